//! Access tokens: one refresh for all, one more after a 401, and no hammering.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::super::cliq::Client;
use super::super::{CallError, Priority, Remembered, crm};
use super::server::{Canned, Fake, Seen, json, status};
use super::{Leaping, START, World, is_pending};
use crate::clock::{Clock, ManualClock};
use crate::domain::Secret;

const TOKEN: &str = "/oauth/v2/token";

fn user() -> Canned {
    json(&json!({"data": {"id": "7", "zuid": "7", "status": "active"}}))
}

fn token(name: &str) -> Canned {
    json(&json!({"access_token": name, "expires_in": 3600}))
}

fn fresh(fake: Fake, clock: Arc<dyn Clock>) -> World {
    World::with(fake, clock, Remembered::default())
}

#[tokio::test]
async fn twenty_callers_make_one_refresh() {
    let fake = Fake::start(|seen: &Seen| match seen.path.as_str() {
        TOKEN => token("one"),
        _ => user(),
    })
    .await;
    let mut world = fresh(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let answers = join_all((0..20).map(|_| client.user("7"))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(_)))));
    assert_eq!(world.fake.calls(TOKEN), 1);
    let form = &world.fake.seen()[0];
    assert_eq!(form.method, "POST");
    assert!(form.query.is_empty(), "secrets are not in the address");
    assert!(form.body.contains("grant_type=refresh_token"), "{}", form.body);
    assert!(form.body.contains("client_secret=hush%26secret"), "{}", form.body);
    assert!(form.body.contains("refresh_token=refresh%2Bme"), "{}", form.body);
    let words = world.recorded();
    let at = |word: &str| words.iter().position(|w| w == word).unwrap();
    assert!(at("refresh") < at("token"));
    assert_eq!(words.iter().filter(|word| *word == "token").count(), 1);
}

#[tokio::test]
async fn a_failed_refresh_is_shared_by_those_who_waited() {
    let fake = Fake::start(|_: &Seen| status(200, r#"{"error":"invalid_code"}"#)).await;
    let world = fresh(fake, Leaping::new());
    let answers = join_all((0..20).map(|_| world.account.sign_in())).await;
    assert!(answers.iter().all(|a| matches!(a, Err(CallError::Unauthorized { .. }))));
    assert_eq!(world.fake.calls(TOKEN), 1);
    let told = answers[0].as_ref().unwrap_err().to_string();
    assert!(told.contains("invalid_code") && told.contains("refresh token"), "{told}");
    assert!(!told.contains("hush") && !told.contains("http:"), "{told}");
}

#[tokio::test]
async fn a_rejected_token_is_refreshed_once_and_the_call_repeated_once() {
    let fake = Fake::start(|seen: &Seen| match seen.path.as_str() {
        TOKEN => token("new"),
        _ if seen.header("authorization") == "Zoho-oauthtoken new" => user(),
        _ => status(401, r#"{"code":"INVALID_TOKEN","status":"error"}"#),
    })
    .await;
    let mut world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert!(matches!(client.user("7").await, Ok(Some(_))));
    assert_eq!((world.fake.calls(TOKEN), world.fake.calls("/api/v2/users/7")), (1, 2));
    assert_eq!(
        world.recorded(),
        ["call users.get", "refresh", "token", "call users.get"],
        "the repetition is counted too"
    );
    assert!(matches!(client.user("7").await, Ok(Some(_))));
    assert_eq!(world.fake.calls(TOKEN), 1);
}

#[tokio::test]
async fn a_401_that_no_token_cures_is_unauthorized_and_burns_no_refreshes() {
    let fake = Fake::start(|seen: &Seen| match seen.path.as_str() {
        TOKEN => token("new"),
        _ => status(401, ""),
    })
    .await;
    let world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    for _ in 0..6 {
        assert!(matches!(client.user("7").await, Err(CallError::Unauthorized { .. })));
    }
    assert_eq!((world.fake.calls(TOKEN), world.fake.calls("/api/v2/users/7")), (1, 7));
}

#[tokio::test]
async fn a_missing_scope_asks_for_no_refresh() {
    let fake = Fake::list(vec![status(401, r#"{"code":"oauthtoken_scope_invalid"}"#)]).await;
    let world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert!(matches!(client.user("7").await, Err(CallError::Unauthorized { .. })));
    assert_eq!(world.fake.seen().len(), 1);
}

#[tokio::test]
async fn a_throttled_refresh_parks_the_token_for_a_quarter_hour() {
    let denied = r#"{"error":"Access Denied","status":"failure"}"#;
    for code in [200, 400] {
        let fake = Fake::list(vec![status(code, denied)]).await;
        let mut world = fresh(fake, Leaping::new());
        let answer = world.account.sign_in().await;
        let until = START + Duration::from_mins(15);
        assert!(
            matches!(answer, Err(CallError::Throttled { until: u, .. }) if u == until),
            "{answer:?}"
        );
        assert_eq!(world.recorded(), ["refresh", "lock token +900"]);
    }
}

#[tokio::test]
async fn eight_refreshes_in_ten_minutes_and_not_one_more() {
    let clock = Arc::new(ManualClock::new(START));
    let fake = Fake::start(|_: &Seen| status(503, "<html>")).await;
    let world = fresh(fake, clock.clone());
    for _ in 0..8 {
        assert!(matches!(world.account.sign_in().await, Err(CallError::Transient { .. })));
        clock.advance(Duration::from_secs(2));
    }
    assert!(matches!(world.account.sign_in().await, Err(CallError::Throttled { .. })));
    assert_eq!(world.fake.calls(TOKEN), 8);
    clock.advance(Duration::from_mins(10));
    assert!(matches!(world.account.sign_in().await, Err(CallError::Transient { .. })));
}

#[tokio::test]
async fn a_remembered_token_is_used_until_its_last_minute() {
    let clock = Arc::new(ManualClock::new(START));
    let fake = Fake::list(vec![token("new")]).await;
    let expires_at = START + Duration::from_mins(5);
    let token = Some((Secret::new("old"), expires_at));
    let world = World::with(fake, clock.clone(), Remembered { token, ..Remembered::default() });
    world.account.sign_in().await.unwrap();
    assert_eq!(world.fake.seen().len(), 0);
    clock.advance_to(expires_at - Duration::from_mins(1));
    world.account.sign_in().await.unwrap();
    assert_eq!(world.fake.seen().len(), 1);
}

#[tokio::test]
async fn a_call_given_up_during_a_refresh_leaves_the_next_one_free() {
    let fake = Fake::start(|seen: &Seen| match seen.path.as_str() {
        TOKEN => token("one"),
        _ => user(),
    })
    .await;
    let world = fresh(fake, Leaping::new());
    let mut first = Box::pin(world.account.sign_in());
    assert!(is_pending(first.as_mut()).await);
    drop(first);
    assert!(world.account.sign_in().await.is_ok());
}

#[tokio::test]
async fn i9_a_credential_that_is_refused_for_good_ends_every_listing() {
    // The token endpoint answers, and no token is accepted; or it does not answer.
    for refused in [token("new"), status(401, "")] {
        let fake = Fake::start(move |seen: &Seen| match seen.path.as_str() {
            TOKEN => refused.clone(),
            _ => status(401, ""),
        })
        .await;
        let world = World::new(fake, Leaping::new());
        let cliq = Client::new(world.account.clone(), &world.zoho);
        let crm = crm::Client::new(world.account.clone(), &world.zoho);
        for _ in 0..30 {
            assert!(cliq.directory(true, Priority::Run).await.is_err());
            assert!(crm.users(Priority::Run).await.is_err());
            assert!(cliq.user("7").await.is_err());
        }
        assert!(world.fake.seen().len() < 300, "{}", world.fake.seen().len());
    }
}
