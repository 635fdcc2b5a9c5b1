//! Zoho's failure habits (contract section 6): throttles, errors that come with a 200, stale and
//! revoked tokens; and our own manners, the budgets.

use std::time::Duration;

use cliqbridge::domain::Timestamp;
use serde_json::{Value, json};

use super::support::{Bridge, Journal, Setup};

const BO: &str = "bo@partner.example";

fn tokens(journal: &Journal, organization: &str) -> usize {
    let issued = journal.of("token", "oauth.token");
    issued.iter().filter(|entry| entry["organization"] == organization).count()
}

async fn queue(bridge: &Bridge) -> Value {
    bridge.admin("/status").await.body["queue"].clone()
}

#[tokio::test]
async fn a_throttled_listing_is_waited_out() {
    let bridge = Setup::demo().start().await;
    bridge.add("birch", BO).await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 120 });
    bridge.fault("cliq.users.list", json!({}), throttle).await;
    let began = bridge.now();
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;

    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!((&run["state"], &run["error"]), (&json!("done"), &Value::Null));
    let calls = bridge.journal().await.times("birch", "cliq.users.list");
    assert_eq!(calls[0].since(began), Duration::ZERO);
    assert_eq!(calls[1].since(calls[0]), Duration::from_mins(2), "exactly as asked");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_throttle_that_does_not_say_how_long_is_ten_minutes() {
    let bridge = Setup::demo().start().await;
    let body = json!({ "code": "request_limit_exceeded", "message": "Slow down." });
    let fault = json!({ "kind": "status", "status": 400, "body": body });
    bridge.fault("cliq.users.list", json!({}), fault).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    let calls = bridge.journal().await.times("birch", "cliq.users.list");
    assert_eq!(calls[1].since(calls[0]), Duration::from_mins(10));
    bridge.finish().await;
}

#[tokio::test]
async fn a_throttled_token_endpoint_is_no_revoked_grant() {
    let bridge = Setup::demo().start().await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 900 });
    bridge.fault("oauth.token", json!({ "organization": "birch" }), throttle).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(5)).await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    bridge.settle().await;
    let asked = bridge.journal().await.times("birch", "oauth.token");
    assert_eq!(asked[1].since(asked[0]), Duration::from_mins(15), "not hammered");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert!(bridge.mails("it@bridge.example").await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn a_throttled_single_read_costs_the_hint_no_attempt() {
    let bridge = Setup::demo().start().await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 40 });
    bridge.fault("crm.users.get", json!({ "times": 5 }), throttle).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let calls = bridge.journal().await.times("birch", "crm.users.get");
    let waits: Vec<_> = calls.windows(2).map(|two| two[1].since(two[0]).as_secs()).collect();
    assert_eq!(waits, [40; 5], "no backoff grows");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_parked_portal_is_seen_in_the_status_and_costs_no_attempt() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 300 })).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_eq!(bridge.organization("birch").await["locks"][0]["group"], "portal");
    let actions = queue(&bridge).await["actions"].clone();
    assert_eq!((&actions["waiting"], &actions["retrying"]), (&json!(1), &json!(0)));
    bridge.settle().await;
    assert_eq!(bridge.organization("birch").await["locks"], json!([]));
    bridge.finish().await;
}

#[tokio::test]
async fn an_error_that_comes_with_a_200_is_an_error() {
    let bridge = Setup::demo().start().await;
    for call in ["crm.users.get", "cliq.users.list", "portal", "oauth.token"] {
        let fault = json!({ "kind": "ok_with_error", "code": "INTERNAL_ERROR" });
        bridge.fault(call, json!({}), fault).await;
    }
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_hours(1)).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.0.iter().filter(|entry| entry["kind"] == "fault").count(), 4);
    // An unknown refusal of the portal parks; the rest was tried again.
    assert!(bridge.membership("birch", BO).await["parked"].is_string());
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_stale_token_costs_one_refresh_and_one_repetition() {
    let bridge = Setup::demo().start().await;
    bridge.fault("crm.users.get", json!({}), json!({ "kind": "stale_token" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(tokens(&journal, "birch"), 2);
    assert_eq!(journal.calls("birch", "crm.users.get"), 2);
    let times = journal.times("birch", "crm.users.get");
    assert_eq!(times[0], times[1], "at once");
    bridge.finish().await;
}

#[tokio::test]
async fn a_token_is_used_until_it_runs_out_and_over_restarts() {
    let mut bridge = Setup::demo().start().await;
    for number in 0..3 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
        bridge.settle().await;
        bridge.restart().await;
    }
    assert_eq!(tokens(&bridge.journal().await, "birch"), 1);
    bridge.clock.advance(Duration::from_hours(1));
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(tokens(&bridge.journal().await, "birch"), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn r39_g12_a_revoked_grant_quarantines_its_organization_and_no_other() {
    let bridge = Setup::demo().start().await;
    let valid = async |valid: bool| {
        bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": valid })).await;
    };
    valid(false).await;
    bridge.added("birch", BO).await;
    bridge.added("acme", BO).await;
    bridge.settle_for(Duration::from_hours(1)).await;

    assert_eq!(bridge.membership("acme", BO).await["state"], "invited");
    assert_eq!(bridge.organization("acme").await["quarantine"], Value::Null);
    let quarantine = bridge.organization("birch").await["quarantine"].clone();
    assert!(quarantine["cause"].as_str().unwrap().contains("refresh token"), "{quarantine}");
    assert_eq!(queue(&bridge).await["hints"], 1, "it waits");
    let asked = bridge.journal().await.calls("birch", "oauth.token");
    assert!(asked <= 10, "{asked} refreshes in an hour: asked soon, then less and less");
    let told = bridge.mails("it@bridge.example").await;
    let [notice] = told.as_slice() else { panic!("{told:?}") };
    assert!(notice.subject().contains("birch is quarantined"), "{}", notice.subject());

    valid(true).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_secs(5)).await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 2, "one of each organization");
    bridge.finish().await;
}

#[tokio::test]
async fn a_quarantine_ends_by_itself_when_the_grant_works_again() {
    let bridge = Setup::demo().start().await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": false })).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(20)).await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": true })).await;
    bridge.settle_for(Duration::from_mins(20)).await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_start_asks_a_quarantined_organization_at_once() {
    let mut bridge = Setup::demo().start().await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": false })).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_hours(2)).await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": true })).await;
    bridge.restart().await;
    bridge.settle_for(Duration::from_secs(5)).await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_forbidden_read_that_was_a_mistake_is_over_within_a_minute() {
    let bridge = Setup::demo().start().await;
    let body = json!({ "code": "NO_PERMISSION", "status": "error", "message": "m" });
    let forbidden = json!({ "kind": "status", "status": 403, "body": body });
    bridge.fault("crm.users.get", json!({}), forbidden).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.settle().await;
    bridge.finish().await;
}

/// The most calls that lie within one minute of each other, both ends included.
fn most_in_a_minute(times: &[Timestamp]) -> usize {
    let from = |first: &Timestamp| {
        let within = |at: &&Timestamp| **at >= *first && at.since(*first) <= Duration::from_mins(1);
        times.iter().filter(within).count()
    };
    times.iter().map(from).max().unwrap_or(0)
}

#[tokio::test]
async fn no_minute_holds_more_than_24_listings_even_over_restarts() {
    let mut bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    for round in 0..30 {
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
        if round % 7 == 3 {
            bridge.restart().await;
        }
    }
    let journal = bridge.journal().await;
    let times = journal.times("birch", "cliq.users.list");
    assert!(times.len() >= 90, "{}", times.len());
    assert_eq!(most_in_a_minute(&times), 24, "used to the full, and never more");
    assert!(journal.of("throttled", "cliq.users.list").is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn the_portal_is_called_as_often_as_the_operator_allows() {
    let bridge = Setup::demo().with("invitations", "send = false").start().await;
    for number in 0..150 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.settle().await;
    let journal = bridge.journal().await;
    let times = journal.times("birch", "portal");
    assert_eq!((times.len(), most_in_a_minute(&times)), (150, 60));
    bridge.finish().await;
}

#[tokio::test]
async fn a_bot_that_may_not_post_leaves_it_to_the_letter() {
    for call in ["cliq.bots.subscribers", "cliq.bots.message"] {
        let bridge = Setup::demo().start().await;
        let scope = json!({ "code": "oauthtoken_scope_invalid", "message": "no such right" });
        let forbidden = json!({ "kind": "status", "status": 403, "body": scope });
        bridge.fault(call, json!({ "times": null }), forbidden).await;
        bridge.added("birch", "ada@acme.example").await;
        bridge.settle().await;
        assert_eq!(bridge.mails("ada@acme.example").await.len(), 1, "{call}");
        assert_eq!(bridge.admin("/status").await.body["queue"]["settled"], true, "{call}");
        bridge.finish().await;
    }
}
