//! What is not an answer: dead ports, cut bodies, pages for people, redirects, floods.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::cliq::Client;
use super::super::{CallError, Record};
use super::server::{Canned, Fake, json, status};
use super::{Leaping, START, World, is_pending};
use crate::clock::ManualClock;
use crate::domain::Failure;

fn user() -> Canned {
    json(&json!({"data": {"id": "7", "status": "active"}}))
}

async fn ask(answer: Canned) -> CallError {
    let world = World::new(Fake::list(vec![answer]).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let error = client.user("7").await.unwrap_err();
    let told = error.to_string();
    assert!(!told.contains("http:") && !told.contains("remembered"), "{told}");
    error
}

#[tokio::test]
async fn no_answer_is_transient() {
    for (answer, what) in [
        (user().cut(), "cut"),
        (status(200, "<html>Sorry</html>"), "HTML"),
        (status(502, "<html>Bad gateway</html>"), "502"),
        (status(404, "<html>no such page</html>"), "HTML for 404 is not a missing person"),
        (status(200, ""), "nothing"),
        (status(200, r#"{"data":{"id":"8"}}"#), "someone else"),
        (status(200, r#"{"data":[]}"#), "no user"),
        (status(302, "").header("location", "http://127.0.0.1:9/"), "redirect"),
        (status(200, &"x".repeat(9 * 1024 * 1024)), "flood"),
    ] {
        let result = ask(answer).await;
        assert!(matches!(result, CallError::Transient { .. }), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn a_dead_port_is_transient_and_says_no_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut world = World::new(Fake::list(Vec::new()).await, Leaping::new());
    world.zoho.cliq_url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let client = Client::new(world.account.clone(), &world.zoho);
    let error = client.user("7").await.unwrap_err();
    assert!(matches!(error, CallError::Transient { .. }), "{error}");
    assert!(!error.to_string().contains(&port.to_string()), "{error}");
    assert_eq!(error.failure(START).kind(), "transient");
}

#[tokio::test]
async fn a_5xx_hands_on_its_retry_after() {
    let error = ask(status(503, "").header("retry-after", "42")).await;
    let Failure::Transient { retry_after, .. } = error.failure(START) else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(42)));
}

#[tokio::test]
async fn a_throttle_locks_the_group_and_the_next_read_waits_it_out() {
    let exceeded = r#"{"code":"request_limit_exceeded","message":"You have exceeded"}"#;
    for (answer, seconds) in [
        (status(400, exceeded), 600),
        (status(429, ""), 600),
        (status(429, "").header("retry-after", "1"), 1),
        (status(400, exceeded).header("retry-after", "7"), 7),
        (status(200, r#"{"code":"TOO_MANY_REQUESTS","status":"error"}"#), 600),
    ] {
        let clock = Arc::new(ManualClock::new(START));
        let mut world = World::new(Fake::list(vec![answer, user()]).await, clock.clone());
        let client = Client::new(world.account.clone(), &world.zoho);
        let until = START + Duration::from_secs(seconds);
        let error = client.user("7").await.unwrap_err();
        assert!(matches!(error, CallError::Throttled { until: u, .. } if u == until), "{error}");
        assert_eq!(world.recorded(), ["call users.get", &format!("lock users.get +{seconds}")]);
        let mut next = Box::pin(client.user("7"));
        assert!(is_pending(next.as_mut()).await);
        assert_eq!(world.fake.seen().len(), 1, "nothing is sent into a lock");
        clock.advance_to(until);
        assert!(matches!(next.await, Ok(Some(_))));
    }
}

#[tokio::test]
async fn a_listing_waits_for_a_lock_and_goes_on_where_it_was() {
    let clock = Arc::new(ManualClock::new(START));
    let page = |id: &str, more: bool| {
        json(&json!({"data": [{"id": id, "status": "active"}], "has_more": more,
            "next_token": if more { "t2" } else { "" }}))
    };
    let fake = Fake::list(vec![page("1", true), status(429, ""), page("2", false)]).await;
    let mut world = World::new(fake, clock.clone());
    let client = Client::new(world.account.clone(), &world.zoho);
    let reading =
        tokio::spawn(async move { client.directory(false, super::super::Priority::Run).await });
    loop {
        if let Record::Lock { until, .. } = world.records.recv().await.unwrap() {
            assert_eq!(world.account.gate().locks().len(), 1);
            clock.advance_to(until);
            break;
        }
    }
    assert_eq!(reading.await.unwrap().unwrap().len(), 2);
    let tokens: Vec<String> =
        world.fake.seen().iter().map(|seen| seen.q("next_token").to_owned()).collect();
    assert_eq!(tokens, ["", "t2", "t2"]);
}
