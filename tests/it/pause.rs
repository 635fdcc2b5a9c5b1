//! Pause, resume, replay and retry: an operator's hand on what is under way.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::address;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

async fn writes(bridge: &Bridge) -> usize {
    bridge.journal().await.portal_writes("add_external")
}

async fn run_state(bridge: &Bridge, id: &str) -> Value {
    bridge.admin(&format!("/runs/{id}")).await.body["state"].clone()
}

#[tokio::test]
async fn a_pause_stops_before_the_next_single_write_and_resume_loses_nothing() {
    let mut bridge = Setup::demo().start().await;
    for number in 0..50 {
        bridge.add("birch", &address(number)).await;
    }
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    let birch = OrgId::new("birch");
    bridge.step(&Desk::Runs(birch.clone())).await;
    for _ in 0..17 {
        assert_eq!(bridge.step(&Desk::Access(birch.clone())).await, Step::Worked);
    }
    let paused = bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    assert_eq!((paused.status, &paused.body["in_flight"]), (200, &json!(0)));
    assert_eq!(paused.body["paused"][0]["organization"], "birch");

    bridge.settle().await;
    assert_eq!(writes(&bridge).await, 17);
    assert!(bridge.mails(&address(0)).await.is_empty(), "letters wait too");
    assert_eq!(run_state(&bridge, &run).await, "applying");
    let status = bridge.organization("birch").await;
    assert_eq!(status["paused"]["by"], "bootstrap");
    assert_eq!(status["paused"]["since"], paused.body["paused"][0]["since"]);
    assert_eq!(bridge.organization("acme").await["paused"], Value::Null);

    // Webhooks are taken in and looked at, another organization works, a restart changes nothing.
    bridge.added("birch", BO).await;
    bridge.added("acme", BO).await;
    bridge.settle().await;
    bridge.restart().await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "wanted");
    assert_eq!(bridge.membership("acme", BO).await["state"], "invited");
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "portal"), 17);
    assert_eq!(bridge.mails(BO).await.len(), 1);

    let resumed = bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    assert_eq!((resumed.status, &resumed.body["paused"]), (200, &json!([])));
    bridge.settle().await;
    assert_eq!(run_state(&bridge, &run).await, "done");
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "portal"), 51, "each once");
    for number in 0..50 {
        assert_eq!(bridge.mails(&address(number)).await.len(), 1, "{number}");
    }
    assert_eq!(bridge.mails(BO).await.len(), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn everything_is_paused_and_resumed_and_one_alone_is_not_taken_out_of_it() {
    let bridge = Setup::demo().start().await;
    let everything = json!({});
    bridge.admin_post("/pause", &everything).await;
    let first = bridge.admin("/status").await.body["paused"].clone();
    bridge.clock.advance_to(bridge.now() + Duration::from_hours(1));
    bridge.admin_post("/pause", &everything).await;
    let again = bridge.admin("/status").await.body["paused"].clone();
    assert_eq!(first, again, "a second pause keeps the first one's time");
    bridge.added("acme", BO).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(writes(&bridge).await, 0);
    let alone = bridge.admin_post("/resume", &json!({ "organization": "acme" })).await;
    assert_eq!(alone.status, 409, "{alone:?}");
    bridge.admin_post("/pause", &json!({ "organization": "60005678" })).await;
    let resumed = bridge.admin_post("/resume", &everything).await;
    assert_eq!(resumed.body["paused"], json!([]), "every pause ends");
    bridge.settle().await;
    assert_eq!(writes(&bridge).await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn a_pause_while_the_second_key_is_read_stops_that_very_write() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.by_hand("birch", BO, "accept").await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.order("birch", BO, "restrict").await.status, 202);
    bridge.fault("cliq.users.get", json!({ "times": 1 }), json!({ "kind": "hold" })).await;
    let engine = bridge.running().engine.clone();
    let access = Desk::Access(OrgId::new("birch"));
    let step = tokio::spawn(async move { engine.step(&access).await });
    bridge.held().await;
    let paused = bridge.admin_post("/pause", &json!({})).await;
    assert_eq!(paused.body["in_flight"], 1);
    bridge.act("/release", &Value::Null).await;
    step.await.unwrap().unwrap();
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 0);
    let waiting = bridge.admin("/actions?state=waiting").await.body;
    let restrict = rows(&waiting["items"]).find(|row| row["operation"] == "restrict").unwrap();
    assert_eq!((&restrict["claims"], &restrict["failures"]), (&json!(0), &json!(0)));
    bridge.admin_post("/resume", &json!({})).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn channel_calls_wait_too_and_go_once() {
    let mapped = "[[organizations.channels]]\nchannel = \"extsupport\"\nwhen = { all = true }\n";
    let bridge = Setup::demo().with("acme", mapped).start().await;
    bridge.added("acme", BO).await;
    let acme = OrgId::new("acme");
    bridge.settle_for(Duration::from_secs(1)).await;
    bridge.admin_post("/pause", &json!({ "organization": "acme" })).await;
    let before = bridge.journal().await.effects().len();
    bridge.settle().await;
    assert_eq!(bridge.step(&Desk::Channels(acme)).await, Step::Idle(None));
    assert_eq!(bridge.journal().await.effects().len(), before);
    bridge.admin_post("/resume", &json!({ "organization": "acme" })).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_is_released_before_being_added_is_taken_up_again_by_an_operator_only() {
    let bridge = Setup::demo().start().await;
    bridge.admin_post("/pause", &json!({})).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.order("birch", BO, "release").await.body["origin"], "present");
    bridge.admin_post("/resume", &json!({})).await;
    bridge.settle().await;
    let run = bridge.run_over("birch").await;
    assert_eq!(run["state"], "done", "{run}");
    let id = bridge.membership("birch", BO).await["crm_user_id"].as_str().unwrap().to_owned();
    bridge.announce("birch", &id).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "wanted");
    assert!(bridge.journal().await.effects().is_empty(), "nothing touched, nothing sent");
    bridge.order("birch", BO, "adopt").await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_replay_looks_again_and_is_no_second_delivery() {
    let bridge = Setup::demo().start().await;
    let id = bridge.added("birch", BO).await;
    bridge.settle().await;
    let looks = async || bridge.journal().await.calls("birch", "crm.users.get");
    let (before, effects) = (looks().await, bridge.journal().await.effects().len());
    for count in 1..=2 {
        let replayed = bridge.admin_post("/deliveries/dlv-1/replay", &Value::Null).await;
        assert_eq!((replayed.status, &replayed.body["hints"]), (202, &json!(1)), "{replayed:?}");
        bridge.settle().await;
        let row = bridge.admin("/deliveries/dlv-1").await.body;
        assert_eq!((&row["replays"], &row["repeats"]), (&json!(count), &json!(0)));
    }
    assert!(looks().await > before);
    assert_eq!(bridge.journal().await.effects().len(), effects, "the same end state");
    assert_eq!(rows(&bridge.admin("/deliveries").await.body["items"]).count(), 1);
    let steps = bridge.admin("/audit?actor=bootstrap").await.body;
    let steps: Vec<_> = rows(&steps["items"]).collect();
    assert_eq!(steps.len(), 2);
    assert_eq!(
        (&steps[0]["event"], &steps[0]["delivery_id"]),
        (&json!("replayed"), &json!("dlv-1"))
    );

    // What is forgotten cannot be read again; an id that never was is another matter.
    let engine = bridge.running().engine.clone();
    engine.tick_prune().await.unwrap();
    bridge.clock.advance_to(bridge.now() + Duration::from_hours(24 * 91));
    bridge.announce("birch", &id).await;
    assert_eq!(engine.tick_prune().await.unwrap(), Step::Worked);
    bridge.settle().await;
    let gone = bridge.admin_post("/deliveries/dlv-1/replay", &Value::Null).await;
    assert_eq!(gone.status, 409, "{gone:?}");
    assert!(gone.body["detail"].as_str().unwrap().contains("keep_days"), "{gone:?}");
    assert_eq!(bridge.admin_post("/deliveries/dlv-3/replay", &Value::Null).await.status, 404);
    bridge.finish().await;
}

#[tokio::test]
async fn a_replayed_plan_event_does_not_turn_back_a_newer_one() {
    let bridge = Setup::demo().start().await;
    let subscription = async || bridge.organization("acme").await["subscription"].clone();
    for (kind, state) in [("plan.downgraded", "downgraded"), ("plan.upgraded", "active")] {
        let mut event = bridge.event(kind, "acme", "");
        event.as_object_mut().unwrap().remove("event_time");
        event["data"] = json!({ "plan": { "product": "crmplus" } });
        assert_eq!(bridge.webhook("crmplus", &event).await.body["status"], "accepted");
        assert_eq!(subscription().await, state);
        bridge.clock.advance_to(bridge.now() + Duration::from_hours(1));
    }
    let replayed = bridge.admin_post("/deliveries/dlv-1/replay", &Value::Null).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    assert_eq!(subscription().await, "active");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn what_was_refused_or_given_up_is_retried_as_the_same_row() {
    let bridge = Setup::demo().start().await;
    let body = json!({ "status": "refused", "code": "no_permission", "message": "no" });
    let fault = json!({ "kind": "status", "status": 200, "body": body });
    bridge.fault("portal", json!({ "times": 1 }), fault).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let list = bridge.admin("/actions?state=parked,dead&organization=birch").await.body;
    let parked: Vec<_> = rows(&list["items"]).cloned().collect();
    assert_eq!(parked.len(), 1, "{list}");
    let row = &parked[0];
    assert_eq!((&row["operation"], &row["lane"]), (&json!("add_external"), &json!("access")));
    assert_eq!((&row["state"], &row["cause"]), (&json!("parked"), &json!("no_permission")));
    assert!(row["remedy"].as_str().unwrap().contains("Admin panel"), "{row}");
    let id = row["id"].as_str().unwrap();

    let retried = bridge.admin_post(&format!("/actions/{id}/retry"), &Value::Null).await;
    assert_eq!((retried.status, &retried.body["state"]), (202, &json!("waiting")), "{retried:?}");
    assert_eq!(retried.body["failures"], 0);
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    let membership = bridge.membership("birch", BO).await["id"].as_str().unwrap().to_owned();
    let list = bridge.admin(&format!("/actions?membership={membership}")).await.body;
    let same = rows(&list["items"]).find(|row| row["id"] == id).unwrap();
    assert_eq!(same["state"], "done");
    assert_eq!(same["idempotency_key"], row["idempotency_key"]);
    assert_eq!(bridge.mails(BO).await.len(), 1);
    let steps = bridge.admin("/audit?actor=bootstrap").await.body;
    assert_eq!(steps["items"][0]["action_id"], id);

    let over = bridge.admin_post(&format!("/actions/{id}/retry"), &Value::Null).await;
    assert_eq!(over.status, 409, "{over:?}");
    assert!(over.body["detail"].as_str().unwrap().contains("done"), "{over:?}");
    bridge.finish().await;
}

#[tokio::test]
async fn what_a_later_row_has_overtaken_is_not_retried() {
    let bridge = Setup::demo().start().await;
    let body = json!({ "status": "refused", "code": "no_permission", "message": "no" });
    let fault = json!({ "kind": "status", "status": 200, "body": body });
    bridge.fault("portal", json!({ "times": 1 }), fault).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    let list = bridge.admin("/actions?state=parked").await.body;
    let old = list["items"][0]["id"].as_str().unwrap().to_owned();
    let retried = bridge.admin_post(&format!("/actions/{old}/retry"), &Value::Null).await;
    assert_eq!(retried.status, 409, "{retried:?}");
    assert!(retried.body["detail"].as_str().unwrap().contains("came after"), "{retried:?}");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}
