//! Incidents of others in which one bad row stopped the rest, or what was not theirs was touched.

use std::collections::BTreeSet;
use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::population;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const DAY: Duration = Duration::from_hours(24);

/// People of I14: a thousand, and one bad row of each kind among them.
const PEOPLE: usize = 1_000;

/// Their first number: all are as long.
const FIRST: usize = 1_000;

fn birch() -> OrgId {
    OrgId::new("birch")
}

#[tokio::test]
async fn i13_who_is_in_already_is_success_after_a_look_and_is_not_taken_over() {
    // CRM Plus adds by itself and Cliq shows it late: the portal answers "already".
    let world = "propagate = true\npropagate_after_s = 600";
    let bridge = Setup::demo().world("birch", world).start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 900 })).await;
    bridge.add("birch", BO).await;
    bridge.add("birch", EVE).await;
    let run = bridge.run_over("birch").await;
    assert_eq!(
        run["state"], "degraded",
        "the portal was busy once, and no conflict aborts it: {run}"
    );
    let journal = bridge.journal().await;
    let said: Vec<&Value> =
        journal.of("read", "portal").iter().map(|entry| &entry["detail"]).collect();
    assert_eq!(said, ["add_external: already"; 2], "and the world is that of the incident");
    assert!(journal.of("write", "portal").is_empty());
    for _ in 0..5 {
        assert_eq!(bridge.run_over("birch").await["state"], "done");
    }
    let journal = bridge.journal().await;
    assert_eq!((journal.calls("birch", "portal"), journal.words()), (3, vec!["letter".into(); 2]));
    bridge.finish().await;
}

#[tokio::test]
async fn i13_who_was_there_before_is_adopted_by_an_operator_only() {
    let bridge =
        Setup::demo().people(super::support::people::crowd("birch", 2, "free")).start().await;
    for _ in 0..3 {
        assert_eq!(bridge.run_over("birch").await["state"], "done");
    }
    let list = bridge.admin("/memberships?organization=birch").await.body;
    assert!(rows(&list["items"]).all(|row| row["origin"] == "present"), "{list}");
    assert!(bridge.journal().await.effects().is_empty());
    bridge.adopted("birch").await;
    let list = bridge.admin("/memberships?organization=birch").await.body;
    assert!(rows(&list["items"]).all(|row| row["origin"] == "adopted"), "{list}");
    bridge.finish().await;
}

#[tokio::test]
async fn i14_a_few_poisoned_rows_among_a_thousand_stop_nobody_else() {
    let crowd = population("birch", FIRST, PEOPLE, None).leak();
    let setup = Setup::demo().with("guard", "max_invites = 2000").with("mail", "per_hour = 5000");
    let bridge = setup.people(crowd).start().await;
    // One that the portal refuses, one that CRM shows without an address, one that is twice there,
    // and one that vanishes between the listing and the call.
    let abroad = "abroad@partner.example";
    bridge.act(&format!("/people/{abroad}/sign-up"), &Value::Null).await;
    bridge.patch(&format!("/people/{abroad}"), &json!({ "other_data_centre": true })).await;
    bridge.add("birch", abroad).await;
    let nameless = bridge.add("birch", "nameless@partner.example").await;
    bridge.crm(&nameless, json!({ "email": "not an address" })).await;
    let twin = bridge.add("birch", BO).await;
    bridge.add("birch", EVE).await;
    bridge.crm(&twin, json!({ "email": EVE })).await;
    let ghost = bridge.add("birch", "ghost@partner.example").await;
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    assert_eq!(bridge.step(&Desk::Runs(birch())).await, Step::Worked);
    bridge.crm_delete(&ghost).await;
    bridge.settle().await;

    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_eq!(run["state"], "degraded", "{run}");
    let journal = bridge.journal().await;
    assert_eq!(journal.portal_writes("add_external"), PEOPLE, "everybody else is in");
    assert_eq!(journal.of("refused", "portal").len(), 2, "once each");
    let mails = journal.of("mail", "smtp");
    let letters: BTreeSet<&str> =
        mails.iter().filter_map(|mail| mail["subject"].as_str()).collect();
    for number in FIRST..FIRST + PEOPLE {
        assert!(letters.contains(format!("p{number}@partner.example").as_str()), "{number}");
    }
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn i27_an_administrators_block_survives_every_run_and_event() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.by_hand("birch", BO, "restrict").await;
    let before = bridge.count().await;
    for kind in ["user.activated", "user.updated", "user.added"] {
        for _ in 0..3 {
            bridge.run_over("birch").await;
            bridge.say(kind, &bo).await;
            bridge.settle().await;
            bridge.clock.advance(DAY);
        }
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "inactive");
    assert_eq!(bridge.state(BO).await, "restricted");
    bridge.finish().await;
}

#[tokio::test]
async fn i35_only_an_organization_whose_portal_was_given_takes_anybody_out() {
    let propagates = "propagate = true\npropagate_after_s = 60";
    let bridge = Setup::demo().observe("acme").world("acme", propagates).start().await;
    let mut ids = Vec::new();
    for organization in ["acme", "birch"] {
        ids.push(bridge.added(organization, BO).await);
        bridge.settle().await;
        bridge.by_hand(organization, BO, "accept").await;
        bridge.run_over(organization).await;
    }
    for (organization, id) in ["acme", "birch"].into_iter().zip(&ids) {
        bridge.delete(&format!("/organizations/{organization}/crm-users/{id}")).await;
    }
    for days in [0, 1, 8] {
        bridge.clock.advance(DAY * days);
        bridge.run_over("acme").await;
        bridge.run_over("birch").await;
    }
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("acme", "portal"), 0, "no door, no removal");
    assert!(bridge.cliq_row("acme", BO).await.is_some());
    assert_eq!(journal.portal_writes("remove_external"), 1);
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    assert!(bridge.notices("To remove or block in CRM Plus").await >= 1, "it is said instead");
    bridge.finish_with_leftovers("Acme's leaver waits for its administrator").await;
}

#[tokio::test]
async fn i35_a_write_names_the_id_that_was_read_whatever_the_person_is_called_by_then() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    // Another name and another address; and somebody else is called now as Bo was.
    let renamed = "robert@partner.example";
    let change = json!({ "first_name": "Another", "last_name": "Name", "email": renamed });
    bridge.crm(&bo, change).await;
    bridge.run_over("birch").await;
    let other = bridge.add("birch", EVE).await;
    bridge.crm(&other, json!({ "first_name": "Bo", "last_name": "Partner" })).await;
    bridge.run_over("birch").await;
    bridge.crm(&bo, json!({ "status": "inactive" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle().await;

    let journal = bridge.journal().await;
    let asked = journal.of("write", "portal");
    let restrict = asked.iter().find(|entry| entry["detail"] == "restrict: done").unwrap();
    assert_eq!(restrict["crm_user_id"], bo, "{restrict}");
    assert_eq!(journal.portal_writes("restrict"), 1);
    let blocked: Vec<Value> = bridge.cliq_rows("birch").await;
    let blocked: Vec<&Value> =
        blocked.iter().filter(|row| row["status"] == "inactive").map(|row| &row["email"]).collect();
    assert_eq!(blocked, [BO], "Cliq still has the old address");
    bridge.finish_with_leftovers("Cliq and CRM call one person by two addresses").await;
}

/// Bo's restriction is planned and waits; then Cliq says something else of him.
async fn restriction_waits() -> Bridge {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.crm(&bo, json!({ "status": "inactive" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.clock.advance(Duration::from_secs(1));
    assert_eq!(bridge.step(&Desk::Hints(birch())).await, Step::Worked);
    let waiting = bridge.admin("/status").await.body["queue"]["actions"]["waiting"].clone();
    assert_eq!(waiting, 1, "planned");
    bridge
}

#[tokio::test]
async fn r29_a_marker_lost_between_plan_and_apply_means_refused() {
    for marker in ["hidden", "internal"] {
        let bridge = restriction_waits().await;
        let path = format!("/organizations/birch/members/{BO}/marker");
        bridge.act(&path, &json!({ "marker": marker })).await;
        bridge.settle().await;
        assert_eq!(bridge.journal().await.portal_writes("restrict"), 0, "{marker}");
        assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "the add: {marker}");
        assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active", "{marker}");
        assert_eq!(bridge.steps("birch", BO, "not_done").await, 1, "{marker}: audited");
        bridge.finish_with_leftovers("internal by Cliq's word, and released").await;
    }
}

#[tokio::test]
async fn r29_with_the_marker_in_place_the_same_restriction_goes_out() {
    let bridge = restriction_waits().await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_whoever_is_released_while_the_second_key_is_read_is_left_alone() {
    let bridge = restriction_waits().await;
    bridge.fault("cliq.users.get", json!({ "times": 1 }), json!({ "kind": "hold" })).await;
    let engine = bridge.running().engine.clone();
    let step = tokio::spawn(async move { engine.step(&Desk::Access(birch())).await });
    bridge.held().await;
    assert_eq!(bridge.order("birch", BO, "release").await.status, 200);
    bridge.act("/release", &Value::Null).await;
    step.await.unwrap().unwrap();
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 0);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active");
    bridge.finish().await;
}

#[tokio::test]
async fn a_refused_restriction_is_not_tried_again_past_the_guard() {
    let bridge = restriction_waits().await;
    let no = json!({ "status": "refused", "code": "no_permission", "message": "no" });
    let fault = json!({ "kind": "status", "status": 200, "body": no });
    bridge.fault("portal", json!({ "organization": "birch", "times": 1 }), fault).await;
    bridge.settle().await;
    let parked = bridge.admin("/actions?state=parked").await.body;
    assert_eq!(parked["items"][0]["operation"], "restrict", "{parked}");
    let path = format!("/actions/{}/retry", parked["items"][0]["id"].as_str().unwrap());
    let refused = bridge.admin_post(&path, &Value::Null).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    let why = refused.body["detail"].as_str().unwrap();
    assert!(why.contains("guard") && why.contains("resync"), "{why}");
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 0);
    // A resync asks the guard, and it goes.
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 1);
    bridge.finish().await;
}
