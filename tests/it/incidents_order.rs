//! Incidents of others in which an older decision was written over a newer one.
//!
//! A run and a hint about one person, in every order, are in `interleaved`.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::json;

use super::support::turns::Actor;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

/// Bo is deleted and added again under another id, and both are told in one push.
async fn replaced(bridge: &Bridge, old: &str, newest_first: bool) -> String {
    bridge.crm_delete(old).await;
    let new = bridge.add("birch", BO).await;
    let mut events =
        vec![bridge.event("user.removed", "birch", old), bridge.event("user.added", "birch", &new)];
    if newest_first {
        events.reverse();
    }
    for event in &events {
        for _ in 0..2 {
            assert_eq!(bridge.webhook("crmplus", event).await.status, 200);
        }
    }
    new
}

#[tokio::test]
async fn i32_a_revocation_and_an_add_in_one_push_are_one_member_whatever_their_order() {
    for newest_first in [true, false] {
        let bridge = Setup::demo().start().await;
        let mut id = bridge.joined(&[BO]).await.remove(0);
        let before = bridge.count().await;
        for _ in 0..3 {
            id = replaced(&bridge, &id, newest_first).await;
            bridge.settle().await;
        }
        let row = bridge.membership("birch", BO).await;
        assert_eq!((&row["crm_user_id"], &row["state"]), (&json!(id), &json!("joined")));
        assert_eq!(bridge.done_after(before).await, [""; 0], "newest first: {newest_first}");
        assert_eq!(bridge.notices("").await, 0, "nor is anybody troubled with a conflict");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i32_an_add_that_cannot_work_is_not_tried_for_ever() {
    let bridge = Setup::demo().start().await;
    let down = json!({ "kind": "status", "status": 500 });
    bridge.fault("portal", json!({ "organization": "birch", "times": null }), down).await;
    let bo = bridge.added("birch", BO).await;
    bridge.say("user.removed", &bo).await;
    bridge.say("user.added", &bo).await;
    bridge.settle_for(Duration::from_hours(24 * 7)).await;
    let tries = bridge.journal().await.calls("birch", "portal");
    assert!((2..=40).contains(&tries), "{tries} tries in a week");
    assert_eq!(bridge.admin("/status").await.body["queue"]["actions"]["dead"], 1);
    assert_eq!(bridge.notices("Given up").await, 1, "and it is said");
    bridge.finish_with_leftovers("the add is dead").await;
}

/// Takes the actor to the transaction with this name.
async fn up_to(actor: &Actor, name: &str) {
    while actor.stands_before().await.expect("the run is not over") != name {
        actor.turn().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i33_a_run_that_was_taken_up_anew_writes_nothing_more() {
    for name in ["queue run", "note run"] {
        let mut bridge = Setup::demo().start().await;
        let bo = bridge.add("birch", BO).await;
        let run = bridge.resync(json!({ "organization": "birch" })).await;
        let engine = bridge.running().engine.clone();
        let old = Actor::new(async move {
            engine.step(&Desk::Runs(OrgId::new("birch"))).await.unwrap();
        });
        up_to(&old, name).await;
        // Another start has taken the run up, and the old one does not know.
        let store = rusqlite::Connection::open(bridge.folder.path().join("bridge.db")).unwrap();
        store.execute("UPDATE runs SET boot = boot + 1", []).unwrap();
        let before: i64 = count(&store);
        while old.stands_before().await.is_some() {
            old.turn().await;
        }
        assert_eq!(count(&store), before, "{name}: nothing more is queued");
        let state = bridge.admin(&format!("/runs/{run}")).await.body["state"].clone();
        assert_eq!(state, "reading", "{name}: nor does the old run finish it");

        // What the old one has read holds no more; the new one reads for itself.
        bridge.crm(&bo, json!({ "status": "inactive" })).await;
        bridge.clock.advance(Duration::from_secs(1));
        bridge.restart().await;
        bridge.settle().await;
        let state = bridge.admin(&format!("/runs/{run}")).await.body["state"].clone();
        assert_eq!(state, "done", "{name}");
        assert_eq!(bridge.journal().await.words(), [""; 0], "{name}: Bo was never invited");
        bridge.finish().await;
    }
}

fn count(store: &rusqlite::Connection) -> i64 {
    store.query_row("SELECT count(*) FROM actions", [], |row| row.get(0)).unwrap()
}
