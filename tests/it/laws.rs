//! Laws that hold wherever the outside breaks: one failed call, or one death, at any place of the
//! way gives the same end, with no extra mail.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

/// Calls of the way below without trouble: two organizations' tokens, two people in CRM, Cliq and
/// portal, two bots' subscribers and one message.
const CALLS: usize = 12;

/// Ada (by her zuid, told by a bot) and Bo (by his address) are added to Birch.
async fn announced(bridge: &Bridge) {
    bridge.added("birch", ADA).await;
    bridge.added("birch", BO).await;
}

async fn as_if_nothing_had_happened(bridge: Bridge, what: &str) {
    let journal = bridge.journal().await;
    for email in [ADA, BO] {
        assert_eq!(bridge.membership("birch", email).await["state"], "invited", "{what}");
        assert_eq!(bridge.mails(email).await.len(), 1, "{what}: {email}");
        let calls = journal.0.iter().filter(|e| e["call"] == "portal" && e["subject"] == email);
        let mut keys: Vec<_> = calls.filter_map(|e| e["idempotency_key"].as_str()).collect();
        keys.dedup();
        assert_eq!(keys.len(), 1, "{what}: {email}");
    }
    assert_eq!(journal.of("write", "portal").len(), 2, "{what}");
    bridge.finish().await;
}

#[tokio::test]
async fn the_way_has_the_calls_that_the_laws_go_through() {
    let bridge = Setup::demo().start().await;
    announced(&bridge).await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    let calls: Vec<_> = journal
        .0
        .iter()
        .filter(|entry| !["mail", "act"].contains(&entry["kind"].as_str().unwrap()))
        .map(|entry| entry["call"].as_str().unwrap())
        .collect();
    assert_eq!(calls.len(), CALLS, "{calls:?}");
    as_if_nothing_had_happened(bridge, "no trouble").await;
}

#[tokio::test]
async fn i8_any_one_call_may_fail() {
    for fault in [
        json!({ "kind": "drop" }),
        json!({ "kind": "cut_body" }),
        json!({ "kind": "status", "status": 503 }),
    ] {
        // Each has a bridge of its own; together they wait for the disk only once.
        join_all((0..CALLS).map(async |skip| {
            let bridge = Setup::demo().start().await;
            bridge.fault("*", json!({ "skip": skip }), fault.clone()).await;
            announced(&bridge).await;
            bridge.settle().await;
            as_if_nothing_had_happened(bridge, &format!("{fault} after {skip} calls")).await;
        }))
        .await;
    }
}

#[tokio::test]
async fn crash_free_the_daemon_may_die_in_any_one_call() {
    join_all((0..CALLS).map(|skip| async move {
        let mut bridge = Setup::demo().start().await;
        bridge.fault("*", json!({ "skip": skip }), json!({ "kind": "hold" })).await;
        announced(&bridge).await;
        tokio::select! {
            () = bridge.settle() => panic!("no call was held after {skip}"),
            () = bridge.held() => {}
        }
        // Half of the calls still take effect after the death, the others never did.
        if skip % 2 == 0 {
            bridge.act("/release", &Value::Null).await;
        }
        bridge.restart().await;
        bridge.settle().await;
        as_if_nothing_had_happened(bridge, &format!("death after {skip} calls")).await;
    }))
    .await;
}

#[tokio::test]
#[should_panic(expected = "did not call finish")]
async fn a_test_that_does_not_finish_fails() {
    let _bridge = Setup::demo().start().await;
}

#[tokio::test]
#[should_panic(expected = "left over")]
async fn finish_sees_what_is_left_over() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.finish().await;
}

#[tokio::test]
#[should_panic(expected = "not at rest")]
async fn settle_does_not_wait_for_ever() {
    let bridge = Setup::demo().start().await;
    bridge.fault("crm.users.get", json!({ "times": null }), json!({ "kind": "drop" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
}
