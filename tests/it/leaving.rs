//! Who leaves, and how: evidence, grace, restriction, removal, guard (G1, G12, G16 to G18).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn resync(bridge: &Bridge) {
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
}

async fn accept(bridge: &Bridge, email: &str) {
    let path = format!("/organizations/birch/members/{email}/accept");
    bridge.act(&path, &Value::Null).await;
}

async fn delete(bridge: &Bridge, id: &str) {
    bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
}

/// Invites these people to Birch and lets them join.
async fn joined(bridge: &Bridge, people: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for email in people {
        ids.push(bridge.added("birch", email).await);
    }
    bridge.settle().await;
    for email in people {
        accept(bridge, email).await;
    }
    resync(bridge).await;
    for email in people {
        assert_eq!(bridge.membership("birch", email).await["state"], "joined");
    }
    ids
}

async fn state(bridge: &Bridge, email: &str) -> String {
    bridge.membership("birch", email).await["state"].as_str().unwrap().to_owned()
}

async fn portal(bridge: &Bridge, word: &str) -> usize {
    let done = format!("{word}: done");
    let journal = bridge.journal().await;
    journal.of("write", "portal").iter().filter(|entry| entry["detail"] == *done).count()
}

#[tokio::test]
async fn g1_a_leaver_is_restricted_after_the_grace_and_removed_a_week_later() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    delete(&bridge, &ids[0]).await;
    resync(&bridge).await;
    resync(&bridge).await;
    assert_eq!(
        (state(&bridge, BO).await.as_str(), portal(&bridge, "restrict").await),
        ("joined", 0)
    );
    bridge.clock.advance(DAY);
    resync(&bridge).await;
    assert_eq!(portal(&bridge, "restrict").await, 1);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "inactive");
    assert_eq!(state(&bridge, BO).await, "removal_staged");
    bridge.clock.advance(DAY * 6);
    resync(&bridge).await;
    assert_eq!(portal(&bridge, "remove_external").await, 0);
    bridge.clock.advance(DAY + HOUR);
    resync(&bridge).await;
    assert_eq!(portal(&bridge, "remove_external").await, 1);
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    assert_eq!(state(&bridge, BO).await, "removed");
    resync(&bridge).await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g1_whoever_is_back_within_the_grace_loses_nothing() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    let fault = json!({ "kind": "status", "status": 200, "body": {
        "users": [crm_row("1", "boss@birch.example")],
        "info": { "per_page": 200, "count": 1, "page": 1, "more_records": false },
    }});
    bridge.fault("crm.users.list", json!({ "organization": "birch" }), fault).await;
    resync(&bridge).await;
    let seen = bridge.membership("birch", BO).await;
    assert_ne!(seen["suspected_at"], Value::Null, "{seen}");
    bridge.clock.advance(DAY * 2);
    resync(&bridge).await;
    assert_eq!(bridge.membership("birch", BO).await["suspected_at"], Value::Null);
    let journal = bridge.journal().await;
    assert_eq!(journal.effects().len(), 2, "one add and one letter: {:#?}", journal.effects());
    assert_eq!(ids.len(), 1);
    bridge.finish().await;
}

fn crm_row(id: &str, email: &str) -> Value {
    json!({ "id": id, "email": email, "first_name": "B", "last_name": "B", "status": "active",
            "confirm": true, "category": "regular_user" })
}

#[tokio::test]
async fn g1_a_removal_webhook_asks_for_a_listing_and_the_grace_holds() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    delete(&bridge, &ids[0]).await;
    let before = bridge.journal().await.calls("birch", "crm.users.list");
    bridge.webhook("crmplus", &bridge.event("user.removed", "birch", &ids[0])).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.calls("birch", "crm.users.list"), before + 1);
    assert_eq!(state(&bridge, BO).await, "joined");
    assert_ne!(bridge.membership("birch", BO).await["suspected_at"], Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn g16_deactivation_restricts_and_activation_restores() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    let path = format!("/organizations/birch/crm-users/{}", ids[0]);
    bridge.patch(&path, &json!({ "status": "disabled" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &ids[0])).await;
    bridge.settle().await;
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "inactive");
    bridge.clock.advance(DAY * 60);
    resync(&bridge).await;
    resync(&bridge).await;
    assert_eq!(
        (portal(&bridge, "restrict").await, portal(&bridge, "remove_external").await),
        (1, 0)
    );
    bridge.patch(&path, &json!({ "status": "active" })).await;
    bridge.webhook("crmplus", &bridge.event("user.activated", "birch", &ids[0])).await;
    bridge.settle().await;
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active");
    assert_eq!(state(&bridge, BO).await, "joined");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_i27_an_administrators_restriction_survives_ten_runs_and_an_activation() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    bridge.act(&format!("/organizations/birch/members/{BO}/restrict"), &Value::Null).await;
    for _ in 0..10 {
        resync(&bridge).await;
    }
    bridge.webhook("crmplus", &bridge.event("user.activated", "birch", &ids[0])).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, BO).await, "restricted");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "the add and nothing else");
    bridge.finish().await;
}

#[tokio::test]
async fn g17_an_invitation_of_a_leaver_is_cancelled() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    resync(&bridge).await;
    delete(&bridge, &bo).await;
    resync(&bridge).await;
    bridge.clock.advance(DAY);
    resync(&bridge).await;
    assert_eq!(portal(&bridge, "remove_external").await, 1);
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    assert_eq!(state(&bridge, BO).await, "removed");
    bridge.finish().await;
}

#[tokio::test]
async fn g17_a_late_accept_after_the_revocation_is_taken_back_and_audited() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    resync(&bridge).await;
    delete(&bridge, &bo).await;
    resync(&bridge).await;
    bridge.clock.advance(DAY);
    // The portal says that it has cancelled, and has not.
    let lie = json!({ "kind": "status", "status": 200, "body": { "status": "done" } });
    bridge.fault("portal", json!({ "organization": "birch" }), lie).await;
    resync(&bridge).await;
    assert_eq!(state(&bridge, BO).await, "removed");
    accept(&bridge, BO).await;
    resync(&bridge).await;
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    let id = bridge.membership("birch", BO).await["id"].as_str().unwrap().to_owned();
    let history = bridge.admin(&format!("/memberships/{id}")).await.body["history"].clone();
    assert!(rows(&history).any(|line| line["event"] == "late_join"), "{history}");
    bridge.finish().await;
}

#[tokio::test]
async fn g18_r29_an_internal_row_behind_an_owned_looking_membership_is_never_touched() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    // Bo becomes one of Birch's own people, and then leaves CRM.
    bridge.patch("/people/bo@partner.example", &json!({ "home": "birch" })).await;
    delete(&bridge, &ids[0]).await;
    for _ in 0..3 {
        resync(&bridge).await;
        bridge.clock.advance(DAY * 2);
    }
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "portal"), 1, "the add and nothing else: {:#?}", journal.0);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active");
    bridge.finish().await;
}

#[tokio::test]
async fn g1_i1_the_guard_holds_a_mass_removal_and_nothing_else() {
    let bridge = Setup::demo().start().await;
    let people: Vec<String> = (0..12).map(|n| format!("p{n}@partner.example")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let ids = joined(&bridge, &names).await;
    for id in &ids[..6] {
        delete(&bridge, id).await;
    }
    resync(&bridge).await;
    bridge.clock.advance(DAY);
    let newcomer = bridge.add("birch", BO).await;
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_eq!((&run["state"], rows(&run["held"]).count()), (&json!("held"), 6), "{run}");
    assert_eq!(portal(&bridge, "restrict").await, 0);
    assert_eq!(state(&bridge, BO).await, "invited", "{newcomer} is added all the same");
    let notices = bridge.mails("it@bridge.example").await;
    let held = notices.iter().filter(|mail| mail.subject().contains("Removals of birch")).count();
    assert_eq!(held, 1, "one notice");
    for email in &names {
        assert_eq!(state(&bridge, email).await, "joined");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn g1_one_leaver_of_a_small_organization_passes_the_guard() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    delete(&bridge, &ids[0]).await;
    resync(&bridge).await;
    bridge.clock.advance(DAY);
    resync(&bridge).await;
    assert_eq!(portal(&bridge, "restrict").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r7_r8_in_observe_mode_a_leaver_is_a_notice_and_no_call() {
    let bridge = Setup::demo()
        .observe("birch")
        .world("birch", "propagate = true\npropagate_after_s = 60")
        .start()
        .await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    accept(&bridge, BO).await;
    resync(&bridge).await;
    assert_eq!(state(&bridge, BO).await, "joined");
    delete(&bridge, &bo).await;
    resync(&bridge).await;
    bridge.clock.advance(DAY);
    for _ in 0..3 {
        resync(&bridge).await;
    }
    let notices = bridge.mails("it@bridge.example").await;
    let said =
        notices.iter().filter(|mail| mail.subject().contains("To remove or block in CRM Plus"));
    assert_eq!(said.count(), 1);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.act(&format!("/organizations/birch/members/{BO}/remove"), &Value::Null).await;
    for _ in 0..2 {
        bridge.clock.advance(HOUR);
        resync(&bridge).await;
    }
    assert_eq!(state(&bridge, BO).await, "removed");
    bridge.finish().await;
}

#[tokio::test]
async fn i24_a_member_who_leaves_by_themselves_is_not_added_again() {
    let bridge = Setup::demo().start().await;
    joined(&bridge, &[BO]).await;
    bridge.act(&format!("/organizations/birch/members/{BO}/remove"), &Value::Null).await;
    for _ in 0..4 {
        resync(&bridge).await;
        bridge.clock.advance(HOUR);
    }
    assert_eq!(state(&bridge, BO).await, "left");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i24_a_short_directory_does_not_stick() {
    let bridge = Setup::demo().start().await;
    let people: Vec<String> = (0..8).map(|n| format!("p{n}@partner.example")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    joined(&bridge, &names).await;
    let short = json!({ "kind": "status", "status": 200, "body": {
        "data": [{ "id": "1", "zuid": "1", "email_id": "x@birch.example", "status": "active",
                   "organization_id": "745120981" }], "next_token": "", "has_more": false,
    }});
    for _ in 0..2 {
        let more = json!({ "organization": "birch", "times": 3 });
        bridge.fault("cliq.users.list", more, short.clone()).await;
        resync(&bridge).await;
        bridge.clear_faults().await;
        bridge.clock.advance(HOUR);
    }
    for email in &names {
        assert_eq!(state(&bridge, email).await, "joined", "held, not noted as gone");
    }
    let notices = bridge.mails("it@bridge.example").await;
    assert!(notices.iter().any(|mail| mail.subject().contains("missing from Cliq")));
    resync(&bridge).await;
    bridge.finish().await;
}

#[tokio::test]
async fn g12_an_organization_whose_credentials_are_refused_removes_nobody() {
    let bridge = Setup::demo().start().await;
    let ids = joined(&bridge, &[BO]).await;
    delete(&bridge, &ids[0]).await;
    for status in [401, 403, 404] {
        let fault = json!({ "kind": "status", "status": status });
        let more = json!({ "organization": "birch", "times": 12 });
        bridge.fault("crm.users.list", more, fault).await;
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
        bridge.clear_faults().await;
        bridge.clock.advance(DAY * 3);
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "the add and nothing else");
    resync(&bridge).await;
    assert_eq!(state(&bridge, BO).await, "joined", "the first complete listing without them");
    bridge.finish().await;
}
