//! What a read proves and what it does not.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

async fn patch_user(bridge: &Bridge, id: &str, change: Value) {
    bridge.patch(&format!("/organizations/birch/crm-users/{id}"), &change).await;
}

async fn run(bridge: &Bridge, id: &str) -> Value {
    bridge.admin(&format!("/runs/{id}")).await.body
}

#[tokio::test]
async fn a_row_that_its_own_event_announced_is_looked_for_four_times_and_then_left() {
    let bridge = Setup::demo().start().await;
    bridge.announce("birch", "778120000009999").await;
    bridge.settle().await;
    let looks = bridge.journal().await.times("birch", "crm.users.get");
    let waits: Vec<_> = looks.windows(2).map(|two| two[1].since(two[0]).as_secs()).collect();
    assert_eq!(waits, [30, 120, 600]);
    bridge.finish().await;
}

#[tokio::test]
async fn a_row_that_shows_late_is_found_and_mirrored() {
    let bridge = Setup::demo().start().await;
    bridge.announce("birch", "778120000009999").await;
    bridge.settle_for(Duration::from_secs(5)).await;
    let status = bridge.admin("/status").await.body["queue"].clone();
    assert_eq!((&status["hints_absent"], &status["settled"]), (&json!(1), &json!(true)));
    bridge.add_with("birch", json!({ "email": BO, "id": "778120000009999" })).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.journal().await.calls("birch", "crm.users.get"), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn i2_a_failing_read_says_nothing_about_the_person() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.membership("birch", BO).await;
    let down = json!({ "kind": "status", "status": 503 });
    bridge.fault("crm.users.get", json!({ "times": null }), down.clone()).await;
    bridge.fault("crm.users.list", json!({ "times": null }), down).await;

    for kind in ["user.removed", "user.deactivated", "user.updated"] {
        bridge.webhook("crmplus", &bridge.event(kind, "birch", &bo)).await;
    }
    let failed = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_hours(1)).await;
    assert_eq!(run(&bridge, &failed).await["state"], "failed");
    assert_eq!(bridge.membership("birch", BO).await, before);
    assert_eq!(bridge.admin("/status").await.body["queue"]["hints"], 1, "the hint never dies");

    bridge.clear_faults().await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i8_a_new_person_waits_out_an_outage_of_either_side() {
    for call in ["crm.users.get", "cliq.users.list", "cliq.users.get"] {
        let bridge = Setup::demo().start().await;
        let down = json!({ "kind": "status", "status": 503 });
        bridge.fault(call, json!({ "times": 4 }), down).await;
        let id = bridge.add("birch", "ada@acme.example").await;
        bridge.announce("birch", &id).await;
        bridge.added("birch", BO).await;
        bridge.settle_for(Duration::from_secs(2)).await;
        bridge.settle().await;
        assert_eq!(bridge.journal().await.of("write", "portal").len(), 2, "{call}");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i30_a_row_without_its_status_is_left_alone() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let bare = json!({ "users": [{ "id": bo, "email": BO, "first_name": "Bo" }] });
    let fault = json!({ "kind": "status", "status": 200, "body": bare });
    bridge.fault("crm.users.get", json!({}), fault).await;
    bridge.announce("birch", &bo).await;
    bridge.settle().await;
    assert!(bridge.journal().await.effects().is_empty());

    let whole = json!({
        "users": [{ "id": bo, "email": BO }],
        "info": { "page": 1, "count": 1, "per_page": 200, "more_records": false },
    });
    let fault = json!({ "kind": "status", "status": 200, "body": whole });
    bridge.fault("crm.users.list", json!({}), fault).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(run(&bridge, &id).await["counts"]["verdicts"], json!({ "unknown_status": 1 }));
    assert!(bridge.journal().await.effects().is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn i30_a_member_whose_row_loses_its_status_stays() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    for status in ["", "paused"] {
        patch_user(&bridge, &bo, json!({ "status": status })).await;
        bridge.webhook("crmplus", &bridge.event("user.updated", "birch", &bo)).await;
        bridge.settle().await;
        assert_eq!(bridge.membership("birch", BO).await["suspected_at"], Value::Null);
    }
    assert_eq!(bridge.journal().await.effects().len(), 2, "the add and its letter");
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_is_deactivated_before_the_add_goes_out_is_not_added() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.clock.advance(Duration::from_millis(300));
    // The add is queued and not sent yet.
    let hints = Desk::Hints(OrgId::new("birch"));
    assert_eq!(bridge.step(&hints).await, Step::Worked);
    patch_user(&bridge, &bo, json!({ "status": "inactive" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &bo)).await;
    bridge.clock.advance(Duration::from_millis(300));
    assert_eq!(bridge.step(&hints).await, Step::Worked);
    bridge.settle().await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_is_deactivated_while_the_portal_is_parked_is_not_added() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 600 })).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    patch_user(&bridge, &bo, json!({ "status": "inactive" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &bo)).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "the throttled one");
    bridge.finish().await;
}

#[tokio::test]
async fn i21_whoever_is_deactivated_after_an_add_whose_answer_was_lost_is_not_forgotten() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "apply_then_drop" })).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_secs(1)).await;
    patch_user(&bridge, &bo, json!({ "status": "inactive" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &bo)).await;
    bridge.settle().await;
    let row = bridge.membership("birch", BO).await;
    assert!(row["suspected_at"].is_string(), "reconciliation will see to it: {row}");
    assert!(bridge.mails(BO).await.is_empty(), "nobody is invited any more");
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_was_never_invited_and_is_activated_again_is_added_at_once() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 600 })).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    patch_user(&bridge, &bo, json!({ "status": "inactive" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &bo)).await;
    bridge.settle().await;
    patch_user(&bridge, &bo, json!({ "status": "active" })).await;
    bridge.webhook("crmplus", &bridge.event("user.activated", "birch", &bo)).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g5_g16_twenty_cycles_of_activation_in_an_hour_are_one_mail() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    for _ in 0..20 {
        for (status, kind) in [("inactive", "user.deactivated"), ("active", "user.activated")] {
            patch_user(&bridge, &bo, json!({ "status": status })).await;
            bridge.webhook("crmplus", &bridge.event(kind, "birch", &bo)).await;
            bridge.settle_for(Duration::from_secs(90)).await;
        }
    }
    let journal = bridge.journal().await;
    let did = |word: &str| {
        let done = format!("{word}: done");
        journal.of("write", "portal").iter().filter(|entry| entry["detail"] == *done).count()
    };
    assert_eq!((did("add_external"), did("remove_external")), (1, 0));
    assert_eq!((did("restrict"), did("restore")), (20, 20));
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.membership("birch", BO).await["suspected_at"], Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn an_unconfirmed_user_waits_for_the_confirmation() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add_with("birch", json!({ "email": BO, "confirm": false })).await;
    bridge.announce("birch", &bo).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "wanted");
    assert!(bridge.journal().await.effects().is_empty());
    patch_user(&bridge, &bo, json!({ "confirm": true })).await;
    bridge.webhook("crmplus", &bridge.event("user.activated", "birch", &bo)).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i3_a_listing_that_contradicts_itself_plans_nothing() {
    for (call, kind) in [
        ("crm.users.list", "missing_page"),
        ("crm.users.list", "duplicate_page"),
        ("cliq.users.list", "duplicate_page"),
        ("crm.users.list", "cut_body"),
    ] {
        let bridge = Setup::demo().start().await;
        bridge.add("birch", BO).await;
        bridge.fault(call, json!({ "times": null }), json!({ "kind": kind })).await;
        let id = bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
        assert_eq!(run(&bridge, &id).await["state"], "failed", "{call} {kind}");
        assert!(bridge.journal().await.effects().is_empty());
        bridge.clear_faults().await;
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
        assert_eq!(bridge.mails(BO).await.len(), 1);
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i7_an_empty_roster_is_out_of_bounds() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.membership("birch", BO).await;
    bridge.fault("crm.users.list", json!({}), json!({ "kind": "status", "status": 204 })).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(run(&bridge, &id).await["state"], "failed");
    assert_eq!(bridge.membership("birch", BO).await, before);
    bridge.finish().await;
}

#[tokio::test]
async fn g2_a_changed_address_is_reported_and_invites_nobody_again() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    patch_user(&bridge, &bo, json!({ "email": "BO@Partner.Example" })).await;
    bridge.webhook("crmplus", &bridge.event("user.updated", "birch", &bo)).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.effects().len(), before, "a case is no change");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}
