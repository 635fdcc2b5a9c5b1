//! What the portal refuses is parked with its cause and a remedy, and holds nobody else up (I25).

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

async fn refuse(bridge: &Bridge, code: &str) {
    let body = json!({ "status": "refused", "code": code, "message": "there is no\nstep for it" });
    let fault = json!({ "kind": "status", "status": 200, "body": body });
    bridge.fault("portal", json!({ "times": 1 }), fault).await;
}

#[tokio::test]
async fn i25_a_refused_person_is_parked_with_a_remedy_and_the_others_go_on() {
    for (code, remedy) in [
        ("no_permission", "Admin panel, Users"),
        ("no_licence", "Subscription"),
        ("other_data_centre", "data centre"),
        ("unknown_user", "active there"),
        ("already_internal", "own users"),
        ("brand_new_code", "not a code that the bridge knows"),
    ] {
        let bridge = Setup::demo().start().await;
        refuse(&bridge, code).await;
        bridge.added("birch", BO).await;
        bridge.settle().await;
        bridge.added("birch", EVE).await;
        bridge.settle().await;

        let parked = bridge.membership("birch", BO).await["parked"].clone();
        let parked = parked.as_str().unwrap_or_else(|| panic!("{code} is parked"));
        assert!(parked.starts_with(code) && parked.contains(remedy), "{parked}");
        assert_eq!(bridge.membership("birch", EVE).await["state"], "invited");

        // Neither another event nor a run over all tries again; an operator's resync does.
        bridge.resync(json!({})).await;
        bridge.settle().await;
        assert_eq!(bridge.journal().await.calls("birch", "portal"), 2, "{code}");
        bridge.resync(json!({ "organization": "birch", "user": BO })).await;
        bridge.settle().await;
        assert_eq!(bridge.journal().await.calls("birch", "portal"), 3, "{code}");
        let row = bridge.membership("birch", BO).await;
        assert_eq!((&row["state"], &row["parked"]), (&json!("invited"), &Value::Null));
        assert_eq!(bridge.mails(BO).await.len(), 1);
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i25_whoever_is_released_leaves_no_refusal_behind() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    refuse(&bridge, "no_permission").await;
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle().await;
    assert!(bridge.membership("birch", BO).await["parked"].is_string());
    let refused = async || {
        let list = bridge.admin("/actions?organization=birch&state=parked").await.body;
        rows(&list["items"]).count()
    };
    assert_eq!(refused().await, 1);
    assert_eq!(bridge.order("birch", BO, "release").await.status, 200);
    bridge.settle().await;
    assert_eq!(refused().await, 0, "nothing to retry");
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["origin"], &row["parked"]), (&json!("present"), &Value::Null));
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn a_run_with_a_refusal_ends_degraded() {
    let bridge = Setup::demo().start().await;
    refuse(&bridge, "no_licence").await;
    bridge.add("birch", BO).await;
    bridge.add("birch", EVE).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!(run["state"], "degraded");
    let parked = bridge.admin("/actions?state=parked").await.body;
    let detail = parked["items"][0]["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.ends_with("HTTP 200: there is no step for it"),
        "the function's own words: {detail}"
    );
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g3_declined_is_sticky_even_for_an_operators_resync() {
    let bridge = Setup::demo().start().await;
    refuse(&bridge, "declined").await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "declined");
    for _ in 0..3 {
        bridge.resync(json!({ "organization": "birch", "user": BO })).await;
        bridge.announce("birch", &bo).await;
        bridge.resync(json!({})).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.membership("birch", BO).await["state"], "declined");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1);
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn g3_whoever_declined_in_zoho_is_not_invited_again() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/birch/members/{BO}/decline"), &Value::Null).await;
    for _ in 0..5 {
        bridge.announce("birch", &bo).await;
        bridge.resync(json!({})).await;
        bridge.settle().await;
    }
    let journal = bridge.journal().await;
    assert_eq!((journal.calls("birch", "portal"), bridge.mails(BO).await.len()), (1, 1));
    bridge.finish_with_leftovers("a vanished invitation is judged by reconciliation").await;
}

#[tokio::test]
async fn a_blocked_person_is_blocked_for_good() {
    let bridge = Setup::demo().start().await;
    refuse(&bridge, "blocked").await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "blocked");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_wrong_portal_key_waits_for_the_operator_and_loses_nobody() {
    let bridge = Setup::demo().start().await;
    let denied = json!({ "kind": "status", "status": 401 });
    bridge.fault("portal", json!({ "times": 3 }), denied).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_a_second_key_that_cliq_refuses_to_show_is_asked_for_again_and_parks_nobody() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    let body = json!({ "code": "odd_person", "message": "m" });
    let refusal = json!({ "kind": "status", "status": 422, "body": body });
    // The look at the person is answered; the one right before the write is not.
    let more = json!({ "organization": "birch", "skip": 1, "times": 3 });
    bridge.fault("cliq.users.get", more, refusal).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.of("fault", "cliq.users.get").len(), 3, "it was refused");
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["state"], &row["parked"]), (&json!("restricted"), &Value::Null));
    assert_eq!(bridge.notices("").await, 0, "the portal refused nobody");
    bridge.finish().await;
}

#[tokio::test]
async fn i25_an_operator_who_resyncs_a_parked_person_is_obeyed_though_a_webhook_is_quicker() {
    let bridge = Setup::demo().start().await;
    refuse(&bridge, "no_licence").await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    assert!(bridge.membership("birch", BO).await["parked"].is_string());
    bridge.clock.advance(Duration::from_secs(10));
    // The run has read Bo in CRM and waits for Cliq; a webhook is served meanwhile.
    bridge
        .fault("cliq.users.list", json!({ "organization": "birch" }), json!({ "kind": "hold" }))
        .await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    let (engine, runs) = (bridge.running().engine.clone(), Desk::Runs(OrgId::new("birch")));
    let step = tokio::spawn(async move { engine.step(&runs).await });
    bridge.held().await;
    bridge.clock.advance(Duration::from_secs(1));
    bridge.say("user.updated", &bo).await;
    bridge.clock.advance(Duration::from_secs(3));
    bridge.step(&Desk::Hints(OrgId::new("birch"))).await;
    bridge.act("/release", &Value::Null).await;
    step.await.unwrap().unwrap();
    bridge.settle().await;
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["state"], &row["parked"]), (&json!("invited"), &Value::Null), "{row}");
    bridge.finish().await;
}
