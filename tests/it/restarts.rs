//! What a restart takes up again, and which stores the daemon does not open.

use std::time::Duration;

use cliqbridge::app::{self, Loops};
use cliqbridge::config;
use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::json;

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

/// Gives the step up, as a crash would, while the sandbox holds its call.
async fn dies_in(bridge: &Bridge, desk: Desk) {
    tokio::select! {
        step = bridge.step(&desk) => panic!("the step ended: {step:?}"),
        () = bridge.held() => {}
    }
}

fn birch() -> OrgId {
    OrgId::new("birch")
}

#[tokio::test]
async fn an_add_that_was_on_its_way_is_taken_up_under_the_same_key() {
    let mut bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "hold" })).await;
    bridge.added("birch", BO).await;
    bridge.clock.advance(Duration::from_millis(300));
    bridge.step(&Desk::Hints(birch())).await;
    dies_in(&bridge, Desk::Access(birch())).await;
    bridge.act("/release", &json!(null)).await;
    bridge.restart().await;
    let began = bridge.now();
    bridge.settle_for(Duration::from_secs(5)).await;

    assert!(bridge.now().since(began) <= Duration::from_secs(5), "due at the start");
    let journal = bridge.journal().await;
    let mut keys: Vec<_> = ["read", "write"]
        .iter()
        .flat_map(|kind| journal.of(kind, "portal"))
        .map(|entry| entry["idempotency_key"].to_string())
        .collect();
    keys.dedup();
    assert_eq!((keys.len(), journal.of("write", "portal").len()), (1, 1));
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_hint_that_was_being_read_is_read_again() {
    let mut bridge = Setup::demo().start().await;
    bridge.fault("crm.users.get", json!({}), json!({ "kind": "hold" })).await;
    bridge.added("birch", BO).await;
    bridge.clock.advance(Duration::from_millis(300));
    dies_in(&bridge, Desk::Hints(birch())).await;
    bridge.restart().await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_run_that_was_reading_begins_again() {
    let mut bridge = Setup::demo().start().await;
    bridge.add("birch", BO).await;
    bridge.fault("cliq.users.list", json!({}), json!({ "kind": "hold" })).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    dies_in(&bridge, Desk::Runs(birch())).await;
    bridge.restart().await;
    bridge.settle().await;
    assert_eq!(bridge.admin(&format!("/runs/{id}")).await.body["state"], "done");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_letter_that_was_being_sent_is_sent_again_as_the_same_one() {
    let mut bridge = Setup::demo().start().await;
    bridge.fault("smtp", json!({}), json!({ "kind": "hold" })).await;
    bridge.added("birch", BO).await;
    bridge.clock.advance(Duration::from_millis(300));
    bridge.step(&Desk::Hints(birch())).await;
    bridge.step(&Desk::Access(birch())).await;
    dies_in(&bridge, Desk::Letters).await;
    bridge.act("/release", &json!(null)).await;
    bridge.restart().await;
    bridge.settle().await;
    let mails = bridge.mails(BO).await;
    assert!((1..=2).contains(&mails.len()), "{mails:?}");
    assert!(mails.iter().all(|mail| mail.0["message_id"] == mails[0].0["message_id"]));
    bridge.finish().await;
}

#[tokio::test]
async fn what_is_due_later_keeps_its_time() {
    let mut bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 1800 })).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    bridge.restart().await;
    bridge.settle_for(Duration::from_mins(10)).await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "the lock outlives us");
    bridge.settle().await;
    let times = bridge.journal().await.times("birch", "portal");
    assert_eq!(times[1].since(times[0]), Duration::from_mins(30));
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn webhooks_that_were_only_acknowledged_are_worked_off_later() {
    let mut bridge = Setup::demo().start().await;
    for number in 0..5 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.restart().await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.of("mail", "smtp").len(), 5);
    bridge.finish().await;
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_with_what_to_do() {
    let mut bridge = Setup::demo().start().await;
    bridge.stop().await;
    let path = bridge.folder.path().join("bridge.db");
    let store = rusqlite::Connection::open(path).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let config = config::load(&bridge.file, None).unwrap();
    let Err(error) = app::start(config, bridge.clock.clone(), Loops::ByHand).await else {
        panic!("it started");
    };
    let text = format!("{error:#}");
    assert!(text.contains("newer cliqbridge") && text.contains("schema 99"), "{text}");
    assert!(text.contains("backup"), "{text}");
    bridge.finish_with_leftovers("the bridge cannot start any more").await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_store_is_refused() {
    let bridge = Setup::demo().start().await;
    let config = config::load(&bridge.file, None).unwrap();
    let Err(error) = app::start(config, bridge.clock.clone(), Loops::ByHand).await else {
        panic!("it started");
    };
    let text = format!("{error:#}");
    assert!(text.contains("bridge.db"), "{text}");
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.finish().await;
}
