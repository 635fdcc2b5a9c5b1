//! What waited and is wanted no more, what was asked for and did not last, and what was read first and
//! is decided last.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn did(bridge: &Bridge, verb: &str) -> usize {
    bridge.journal().await.portal_writes(verb)
}

async fn status(bridge: &Bridge, email: &str) -> Value {
    bridge.cliq_row("birch", email).await.unwrap()["status"].clone()
}

/// Every portal call of Birch comes to this until the faults are cleared.
async fn portal_says(bridge: &Bridge, fault: Value) {
    bridge.fault("portal", json!({ "organization": "birch", "times": null }), fault).await;
}

/// Bo has joined, and is gone from CRM for a whole grace.
async fn leaver(bridge: &Bridge) {
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.crm_delete(&bo).await;
    bridge.run_over("birch").await;
    bridge.clock.advance(DAY);
}

/// The state of Birch's one restriction.
async fn restriction(bridge: &Bridge) -> Value {
    let list = bridge.admin("/actions?organization=birch").await.body;
    rows(&list["items"]).find(|row| row["operation"] == "restrict").unwrap().clone()
}

#[tokio::test]
async fn g1_a_leaver_whose_restriction_was_given_up_is_restricted_by_a_later_run() {
    let bridge = Setup::demo().start().await;
    leaver(&bridge).await;
    portal_says(&bridge, json!({ "kind": "status", "status": 500 })).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    for _ in 0..60 {
        bridge.settle_for(DAY).await;
        if restriction(&bridge).await["state"] == "dead" {
            break;
        }
    }
    assert_eq!(
        (restriction(&bridge).await["state"].clone(), status(&bridge, BO).await),
        ("dead".into(), "active".into())
    );
    bridge.clear_faults().await;
    bridge.run_over("birch").await;
    assert_eq!((did(&bridge, "restrict").await, did(&bridge, "remove_external").await), (1, 0));
    assert_eq!(status(&bridge, BO).await, "inactive");
    // The week counts from when it was done.
    bridge.clock.advance(DAY * 6);
    bridge.run_over("birch").await;
    assert_eq!(did(&bridge, "remove_external").await, 0);
    bridge.clock.advance(DAY + HOUR);
    bridge.run_over("birch").await;
    assert_eq!((did(&bridge, "restrict").await, did(&bridge, "remove_external").await), (1, 1));
    bridge.finish().await;
}

#[tokio::test]
async fn g1_a_leaver_whose_restriction_was_refused_is_restricted_when_an_operator_resyncs_them() {
    let bridge = Setup::demo().start().await;
    leaver(&bridge).await;
    let refused = json!({ "kind": "status", "status": 200,
                          "body": { "status": "refused", "code": "no_permission" } });
    portal_says(&bridge, refused).await;
    bridge.run_over("birch").await;
    bridge.run_over("birch").await;
    bridge.clear_faults().await;
    let parked = restriction(&bridge).await;
    assert_eq!(parked["state"], "parked", "{parked}");
    let retry = format!("/actions/{}/retry", parked["id"].as_str().unwrap());
    let answer = bridge.admin_post(&retry, &Value::Null).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains("resync the person"), "{answer:?}");
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!((did(&bridge, "restrict").await, status(&bridge, BO).await), (1, "inactive".into()));
    bridge.finish().await;
}

#[tokio::test]
async fn r15_a_leaver_whom_an_administrator_lets_in_again_is_not_restricted_again() {
    let bridge = Setup::demo().start().await;
    leaver(&bridge).await;
    bridge.run_over("birch").await;
    assert_eq!(did(&bridge, "restrict").await, 1);
    bridge.by_hand("birch", BO, "activate").await;
    for _ in 0..3 {
        bridge.clock.advance(DAY);
        bridge.run_over("birch").await;
    }
    assert_eq!((did(&bridge, "restrict").await, status(&bridge, BO).await), (1, "active".into()));
    bridge.finish_with_leftovers("staged, and active by an administrator's hand").await;
}

#[tokio::test]
async fn g16_i21_a_deactivated_person_who_accepts_late_is_restricted_again() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle().await;
    assert_eq!(did(&bridge, "restrict").await, 1);
    for _ in 0..2 {
        bridge.run_over("birch").await;
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 2, "asked once");
    // It had no lasting effect on an invitation that is still open.
    bridge.by_hand("birch", BO, "accept").await;
    for _ in 0..2 {
        bridge.run_over("birch").await;
    }
    assert_eq!((did(&bridge, "restrict").await, status(&bridge, BO).await), (2, "inactive".into()));
    // What the bridge did it undoes.
    bridge.crm(&bo, json!({ "status": "active" })).await;
    bridge.say("user.activated", &bo).await;
    bridge.settle().await;
    assert_eq!(
        (bridge.state(BO).await.as_str(), status(&bridge, BO).await),
        ("joined", "active".into())
    );
    bridge.finish().await;
}

#[tokio::test]
async fn i31_an_add_that_waited_is_withdrawn_if_crm_lists_the_person_as_active_no_more() {
    let bridge = Setup::demo().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    let (bo, eve) = (bridge.added("birch", BO).await, bridge.added("birch", EVE).await);
    bridge.added("birch", "stays@partner.example").await;
    bridge.settle().await;
    bridge.clock.advance(HOUR);
    // Nobody tells the bridge.
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    bridge.crm_delete(&eve).await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(did(&bridge, "add_external").await, 1, "whoever is still active");
    assert_eq!((bridge.mails(BO).await.len(), bridge.mails(EVE).await.len()), (0, 0));
    assert_eq!(
        (bridge.steps("birch", BO, "not_done").await, bridge.state(BO).await.as_str()),
        (1, "removed")
    );
    bridge.finish().await;
}

#[tokio::test]
async fn r29_g6_an_add_that_waited_is_not_asked_for_when_the_person_is_at_home_there_by_now() {
    let bridge = Setup::demo().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.clock.advance(HOUR * 2);
    bridge.patch(&format!("/people/{BO}"), &json!({ "home": "birch" })).await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    assert_eq!((bridge.steps("birch", BO, "not_done").await, bridge.mails(BO).await.len()), (1, 0));
    bridge.run_over("birch").await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0, "nor by the next run");
    bridge.finish().await;
}

#[tokio::test]
async fn an_add_that_goes_at_once_reads_nothing_more() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.calls("birch", "crm.users.get"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g12_what_waited_when_an_organization_is_frozen_goes_out_after_the_next_good_read() {
    for call in ["crm.users.list", "*"] {
        let bridge = Setup::demo().start().await;
        let birch = OrgId::new("birch");
        // Bo is added, and the letter waits; Eve waits to be added.
        bridge.added("birch", BO).await;
        bridge.settle_for(Duration::from_millis(250)).await;
        bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
        bridge.added("birch", EVE).await;
        bridge.settle().await;
        let before = bridge.count().await;
        let more = json!({ "organization": "birch", "times": null });
        let calls: &[&str] = match call {
            "*" => &["crm.users.list", "crm.users.get", "cliq.users.list", "cliq.users.get"],
            one => &[one],
        };
        for call in calls {
            bridge.fault(call, more.clone(), json!({ "kind": "status", "status": 401 })).await;
        }
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.step(&Desk::Runs(birch.clone())).await;
        assert!(bridge.organization("birch").await["quarantine"]["cause"].is_string());
        bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
        bridge.settle_for(HOUR * 3).await;
        assert_eq!(bridge.done_after(before).await, Vec::<String>::new(), "{call}");
        bridge.clear_faults().await;
        bridge.run_over("birch").await;
        bridge.settle().await;
        assert_eq!((did(&bridge, "add_external").await, bridge.mails(EVE).await.len()), (2, 1));
        assert_eq!(bridge.mails(BO).await.len(), 1);
        bridge.finish().await;
    }
}

#[tokio::test]
async fn g12_credentials_refused_right_before_a_write_freeze_the_organization_and_cost_no_attempt()
{
    let bridge = Setup::demo().start().await;
    bridge.joined(&[BO]).await;
    let more = json!({ "organization": "birch", "times": null });
    for call in ["cliq.users.get", "cliq.users.list"] {
        bridge.fault(call, more.clone(), json!({ "kind": "status", "status": 401 })).await;
    }
    assert_eq!(bridge.order("birch", BO, "restrict").await.status, 202);
    bridge.settle_for(HOUR).await;
    assert!(bridge.organization("birch").await["quarantine"]["cause"].is_string());
    let row = restriction(&bridge).await;
    assert_eq!((&row["state"], &row["failures"]), (&json!("waiting"), &json!(0)), "{row}");
    bridge.clear_faults().await;
    bridge.run_over("birch").await;
    bridge.settle().await;
    assert_eq!(did(&bridge, "restrict").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i31_a_listing_for_webhooks_that_is_older_than_a_run_adds_nobody_who_is_gone() {
    let bridge = Setup::demo().start().await;
    bridge.run_over("birch").await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(bridge.added("birch", &format!("p{number}@partner.example")).await);
    }
    bridge.clock.advance(Duration::from_secs(1));
    bridge
        .fault("cliq.users.list", json!({ "organization": "birch" }), json!({ "kind": "hold" }))
        .await;
    let (engine, hints) = (bridge.running().engine.clone(), Desk::Hints(OrgId::new("birch")));
    let step = tokio::spawn(async move { engine.step(&hints).await });
    bridge.held().await;
    // CRM was listed with everybody; now one of them is gone, and a run sees it.
    bridge.crm_delete(&ids[0]).await;
    bridge.clock.advance(Duration::from_secs(1));
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.step(&Desk::Runs(OrgId::new("birch"))).await;
    bridge.act("/release", &Value::Null).await;
    step.await.unwrap().unwrap();
    bridge.settle().await;
    assert_eq!(did(&bridge, "add_external").await, 7);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 7, "nobody asks for the eighth");
    assert!(bridge.mails("p0@partner.example").await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn g2_an_add_that_waited_goes_to_the_address_that_crm_shows_now() {
    let bridge = Setup::demo().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.clock.advance(HOUR);
    bridge.crm(&bo, json!({ "email": EVE })).await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!((bridge.mails(BO).await.len(), bridge.mails(EVE).await.len()), (0, 1));
    assert_eq!(
        (did(&bridge, "add_external").await, bridge.state(EVE).await.as_str()),
        (1, "invited")
    );
    bridge.finish().await;
}

#[tokio::test]
async fn an_add_that_only_waited_for_its_turn_asks_cliq_nothing() {
    let bridge = Setup::demo().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let asked = async || {
        let journal = bridge.journal().await;
        ["crm.users.get", "cliq.users.list", "cliq.users.get"]
            .map(|call| journal.calls("birch", call))
    };
    let [crm, listed, got] = asked().await;
    bridge.clock.advance(Duration::from_mins(59));
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(did(&bridge, "add_external").await, 1);
    assert_eq!(asked().await, [crm + 1, listed, got], "sixteen reads a minute are not sixty adds");
    bridge.finish().await;
}

#[tokio::test]
async fn r29_a_lock_that_outlives_a_claim_carries_out_nothing_twice() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO, EVE]).await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.crm(&ids[0], json!({ "status": "disabled" })).await;
    bridge.say("user.deactivated", &ids[0]).await;
    bridge.settle().await;
    // Somebody else's read meets the lock of half an hour; what goes out then waits for it.
    let lock = json!({ "kind": "throttle", "retry_after_s": 1800 });
    bridge.fault("cliq.users.get", json!({ "organization": "birch" }), lock).await;
    bridge.say("user.updated", &ids[1]).await;
    bridge.settle_for(Duration::from_secs(10)).await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    let (engine, access) = (bridge.running().engine.clone(), Desk::Access(OrgId::new("birch")));
    let desk = access.clone();
    let mut step = tokio::spawn(async move { engine.step(&desk).await });
    let mut ended = None;
    tokio::select! {
        done = &mut step => ended = Some(done),
        _ = bridge.clock.next_wait() => {}
    }
    bridge.clock.advance(Duration::from_mins(16));
    bridge.step(&access).await;
    let done = match ended {
        Some(done) => done,
        None => step.await,
    };
    done.unwrap().unwrap();
    bridge.settle_for(HOUR).await;
    assert_eq!((did(&bridge, "restrict").await, status(&bridge, BO).await), (1, "inactive".into()));
    // Two joined; one is restricted.
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 3, "asked for once");
    bridge.finish().await;
}
