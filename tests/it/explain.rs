//! `GET /api/v1/explain/{person}`: each kind of person, told in sentences, and nothing written or
//! done for it.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, EVE};
use super::support::harness::rows;
use super::support::{Bridge, Setup};

const DAY: Duration = Duration::from_hours(24);
const CY: &str = "cy@birch.example";

/// The one entry of Birch; what is stored and what was done stays as it was.
async fn told(bridge: &Bridge, person: &str) -> Value {
    let (before, effects) = (bridge.stored(), bridge.journal().await.effects().len());
    let answer = bridge.explain(person, Some("birch")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((bridge.stored(), bridge.journal().await.effects().len()), (before, effects));
    assert_eq!(answer.body["person"], person);
    let mut all = rows(&answer.body["organizations"]);
    let one = all.next().unwrap().clone();
    assert!(all.next().is_none(), "{answer:?}");
    assert_eq!(one["organization"], "birch");
    let names: Vec<&Value> = rows(&one["steps"]).map(|step| &step["step"]).collect();
    assert_eq!(names, ["import", "match", "scope", "decide", "act"]);
    one
}

fn step<'a>(one: &'a Value, name: &str) -> &'a Value {
    rows(&one["steps"]).find(|step| step["step"] == name).unwrap()
}

/// The step says this, among other things.
fn says(one: &Value, name: &str, part: &str) {
    let text = step(one, name)["text"].as_str().unwrap();
    assert!(text.contains(part), "{name}, {part:?}: {one}");
}

#[tokio::test]
async fn a_newcomer_who_becomes_a_member() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let one = told(&bridge, BO).await;
    says(&one, "import", &format!("with address {BO}: status active, confirmed"));
    says(&one, "match", "shows nobody");
    says(&one, "scope", "there is no scope.include");
    says(&one, "decide", "added through the portal");
    says(&one, "decide", "does not know the person yet");
    says(&one, "act", "The bridge would add the person through the portal.");
    assert_eq!((&one["crm_user_id"], &one["history"]), (&json!(bo), &json!([])));

    bridge.run_birch().await;
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    bridge.run_birch().await;
    let one = told(&bridge, &bo).await;
    assert!(rows(&one["steps"]).all(|step| step["ok"] == true), "{one}");
    says(&one, "match", "an external user (");
    assert_eq!(step(&one, "match")["facts"]["class"], "external");
    says(&one, "decide", "mem-1 is joined since");
    says(&one, "decide", "generation 1, 1 letter in it");
    says(&one, "act", "Nothing to do.");
    assert!(rows(&one["history"]).count() > 1, "{one}");

    // What holds everything is told too.
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    let one = told(&bridge, BO).await;
    assert_eq!(step(&one, "act")["facts"]["held_by"], json!(["pause"]));
    says(&one, "act", "Paused: birch since");
    bridge.admin_post("/resume", &json!({})).await;
    bridge.finish().await;
}

#[tokio::test]
async fn i25_who_was_refused_is_told_with_the_remedy_and_what_a_resync_would_do() {
    let bridge = Setup::demo().start().await;
    let body = json!({ "status": "refused", "code": "no_permission", "message": "no" });
    let refusal = json!({ "kind": "status", "status": 200, "body": body });
    bridge.fault("portal", json!({ "times": 1 }), refusal).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let one = told(&bridge, BO).await;
    assert_eq!(step(&one, "decide")["facts"]["verdict"], "parked");
    says(&one, "act", "A resync of this person would add the person through the portal.");
    says(&one, "act", "act-1 (add_external) is parked: no_permission");
    assert_eq!(step(&one, "act")["facts"]["would"], json!([]));
    assert_eq!(step(&one, "act")["ok"], false);
    bridge.finish_with_leftovers("somebody stays parked").await;
}

#[tokio::test]
async fn who_is_out_of_scope_or_one_of_the_own_people() {
    let scope = "scope = { exclude = { email = [\"eve@oak.example\"] } }";
    let bridge = Setup::demo().with("birch", scope).start().await;
    bridge.add("birch", EVE).await;
    let one = told(&bridge, EVE).await;
    says(&one, "scope", "scope.exclude names email \"eve@oak.example\"");
    assert_eq!(step(&one, "scope")["facts"], json!({ "in": false, "rule": "scope.exclude" }));
    assert_eq!(step(&one, "decide")["facts"]["verdict"], "out_of_scope");
    says(&one, "act", "Nothing to do.");

    let one = told(&bridge, CY).await;
    says(&one, "scope", "birch.example is one of internal_domains");
    says(&one, "match", "one of the organization's own people");
    assert_eq!(step(&one, "decide")["facts"]["verdict"], "internal");
    says(&one, "act", "Nothing to do.");
    bridge.finish().await;
}

#[tokio::test]
async fn g9_a_conflict_names_the_other_row() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let eve = bridge.add("birch", EVE).await;
    bridge.patch(&format!("/organizations/birch/crm-users/{eve}"), &json!({ "email": BO })).await;
    let one = told(&bridge, &eve).await;
    says(&one, "match", &format!("CRM user {bo} shares the account or the address"));
    assert_eq!(step(&one, "match")["facts"]["same_person"], json!([bo]));
    assert_eq!(step(&one, "decide")["facts"]["verdict"], "conflict");
    says(&one, "act", "Nothing to do.");
    bridge.finish().await;
}

#[tokio::test]
async fn who_was_removed_and_who_declined() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined_in_birch(&[BO.to_owned()]).await;
    bridge.gone_from_birch(&ids).await;
    bridge.clock.advance(DAY * 8);
    bridge.run_birch().await;
    let one = told(&bridge, BO).await;
    says(&one, "import", &format!("CRM has no user {}", ids[0]));
    assert_eq!(step(&one, "decide")["facts"]["before"], "removed");
    says(&one, "act", "Nothing to do.");
    assert!((2..=10).contains(&rows(&one["history"]).count()), "{one}");

    bridge.added("birch", EVE).await;
    bridge.settle().await;
    bridge.run_birch().await;
    bridge.act(&format!("/organizations/birch/members/{EVE}/decline"), &Value::Null).await;
    for _ in 0..2 {
        bridge.run_birch().await;
        bridge.clock.advance(DAY);
    }
    let one = told(&bridge, EVE).await;
    assert_eq!(step(&one, "decide")["facts"]["before"], "declined");
    says(&one, "decide", "cliqbridge memberships resend mem-2");
    says(&one, "act", "Nothing to do.");
    bridge.finish().await;
}

#[tokio::test]
async fn who_is_unknown_and_what_cannot_be_read() {
    let bridge = Setup::demo().start().await;
    let unknown = bridge.explain("nobody@partner.example", None).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(bridge.explain(BO, Some("oak")).await.status, 404);
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let shut = json!({ "kind": "status", "status": 401 });
    for call in ["crm.users.get", "crm.users.list"] {
        bridge.fault(call, json!({ "organization": "birch", "times": 40 }), shut.clone()).await;
    }
    let one = told(&bridge, &bo).await;
    says(&one, "import", "birch could not be read: ");
    says(&one, "match", &format!("The ledger remembers CRM user {bo}"));
    says(&one, "decide", "mem-1 is invited since");
    assert!(rows(&one["steps"]).all(|step| step["ok"] == false), "{one}");
    assert!(rows(&one["history"]).next().is_some(), "{one}");
    bridge.clear_faults().await;
    bridge.finish().await;
}
