//! What is held and stays right: contradictions, what an approval is bound to, all of it or nothing.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::population;
use super::support::plans::{lines, partners};
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const NEW: &str = "new@partner.example";
const DAY: Duration = Duration::from_hours(24);

fn store(bridge: &Bridge) -> Connection {
    Connection::open(bridge.folder.path().join("bridge.db")).unwrap()
}

fn id(run: &Value) -> &str {
    run["run_id"].as_str().unwrap()
}

fn checksum(run: &Value) -> &str {
    run["checksum"].as_str().unwrap()
}

async fn approve(bridge: &Bridge, run: &Value) -> super::support::Answer {
    bridge.approve(id(run), checksum(run)).await
}

/// A person who is in Cliq is given another's address in CRM and made inactive: the address would
/// be taken out for the one and brought in for the other. Answers the other's id.
async fn contradict(bridge: &Bridge, old: &str) -> String {
    bridge.crm(old, json!({ "email": NEW, "status": "inactive" })).await;
    bridge.add("birch", NEW).await
}

#[tokio::test]
async fn i26_a_contradiction_holds_the_people_concerned_and_nobody_else() {
    let bridge = Setup::demo().start().await;
    let people = partners(3);
    let ids = bridge.joined_in_birch(&people).await;
    let other = contradict(&bridge, &ids[0]).await;
    bridge.add("birch", BO).await;
    let dry = bridge.plan().await;
    assert_eq!(lines(&dry["actions"]), [("add_external".to_owned(), BO.to_owned())], "{dry}");
    let mut run = Value::Null;
    for _ in 0..3 {
        bridge.clock.advance(DAY * 2);
        run = bridge.run_birch().await;
        assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("contradiction")));
    }
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited", "the rest goes on");
    for list in [&dry["held"], &run["held"]] {
        let held = lines(list);
        let of = |operation: &str| held.contains(&(operation.to_owned(), NEW.to_owned()));
        assert!(held.len() == 2 && of("restrict") && of("add_external"), "{list}");
        for row in rows(list) {
            let reason = row["reason"].as_str().unwrap();
            assert!(reason.contains(&ids[0]) && reason.contains(&other), "{reason}");
            assert!(reason.contains("in CRM"), "what to do: {reason}");
        }
    }
    assert_eq!(bridge.portal_did("restrict").await, 0);
    assert!(bridge.mails(NEW).await.is_empty());
    assert_eq!(bridge.notices("contradict").await, 1, "one notice, not one a run or a day");
    // No approval resolves it; the answer says who is to be.
    let refused = approve(&bridge, &run).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    let why = refused.body["detail"].as_str().unwrap();
    assert!(why.contains(&ids[0]) && why.contains(&other), "{why}");
    // In CRM it is.
    bridge.crm(&ids[0], json!({ "email": people[0] })).await;
    assert_eq!(bridge.run_birch().await["state"], "done");
    assert_eq!(bridge.portal_did("restrict").await, 1);
    assert_eq!(bridge.membership("birch", NEW).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn i26_an_approval_lets_a_contradiction_through_no_more_than_a_run() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    for leaver in &ids[..6] {
        bridge.crm(leaver, json!({ "status": "inactive" })).await;
    }
    contradict(&bridge, &ids[6]).await;
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("guard")), "{run}");
    assert_eq!(rows(&run["held"]).count(), 8, "{run}");
    assert_eq!(run["counts"]["removals"], 6, "whoever is not taken out is not counted");
    let approved = approve(&bridge, &run).await;
    assert_eq!((approved.status, &approved.body["changes"]), (200, &json!(6)), "{approved:?}");
    let left = lines(&approved.body["held"]);
    assert_eq!(left.len(), 2, "{approved:?}");
    assert!(approved.body["held"][0]["reason"].as_str().unwrap().contains(&ids[6]));
    bridge.settle().await;
    assert_eq!((bridge.portal_did("restrict").await, bridge.mails(NEW).await.len()), (6, 0));
    let after = bridge.run_birch().await;
    assert_eq!((&after["hold"], rows(&after["held"]).count()), (&json!("contradiction"), 2));
    bridge.crm(&ids[6], json!({ "email": people[6] })).await;
    bridge.run_birch().await;
    bridge.finish_with_leftovers("the seventh leaver waits for the guard").await;
}

/// Lets the store fail once so many rows of a kind are queued, as a full disk would.
fn full_after(bridge: &Bridge, operation: &str, count: usize) {
    let trigger = format!(
        "CREATE TRIGGER full BEFORE INSERT ON actions
         WHEN (SELECT count(*) FROM actions WHERE operation = '{operation}') >= {count}
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    );
    store(bridge).execute_batch(&trigger).unwrap();
}

fn queued(bridge: &Bridge) -> i64 {
    let rows = "SELECT count(*) FROM actions WHERE operation = 'add_external'";
    store(bridge).query_row(rows, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_approval_of_many_is_queued_as_a_whole_or_not_at_all() {
    let people = population("birch", 0, 450, None).leak();
    let setup = Setup::demo().with("birch", "first_run = \"plan\"").people(people);
    let mut bridge = setup.start().await;
    let run = bridge.run_birch().await;
    assert_eq!((&run["hold"], &run["counts"]["held"]), (&json!("first_run"), &json!(450)));
    // The end comes when two thirds are written down.
    full_after(&bridge, "add_external", 300);
    assert_eq!(approve(&bridge, &run).await.status, 503);
    assert_eq!(queued(&bridge), 0, "none of it");
    store(&bridge).execute_batch("DROP TRIGGER full").unwrap();
    bridge.restart().await;
    let kept = bridge.admin(&format!("/runs/{}", id(&run))).await.body;
    assert_eq!((&kept["state"], &kept["approved_by"]), (&json!("held"), &Value::Null), "{kept}");
    let approved = approve(&bridge, &run).await;
    assert_eq!((approved.status, &approved.body["changes"]), (200, &json!(450)), "{approved:?}");
    assert_eq!(queued(&bridge), 450);
    bridge.settle().await;
    assert_eq!(bridge.portal_did("add_external").await, 450);
    bridge.finish_with_leftovers("more memberships than a page").await;
}

#[tokio::test]
async fn whoever_is_looked_at_while_an_approval_reads_is_left_out_and_not_counted() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    for leaver in &ids[..6] {
        bridge.crm(leaver, json!({ "status": "inactive" })).await;
    }
    let run = bridge.run_birch().await;
    assert_eq!(run["hold"], "guard", "{run}");
    bridge
        .fault("cliq.users.list", json!({ "organization": "birch" }), json!({ "kind": "hold" }))
        .await;
    let approving = {
        let (address, run) = (bridge.admin_address().to_owned(), run.clone());
        tokio::spawn(async move {
            let url = format!("http://{address}/api/v1/runs/{}/approve", id(&run));
            let body = json!({ "checksum": checksum(&run) }).to_string();
            let token = super::support::setup::ADMIN_TOKEN;
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            super::support::harness::answer(client.post(url).bearer_auth(token).body(body)).await
        })
    };
    bridge.held().await;
    // CRM was listed; now the first of them comes back, and a webhook says so.
    bridge.clock.advance(Duration::from_secs(1));
    bridge.crm(&ids[0], json!({ "status": "active" })).await;
    bridge.say("user.activated", &ids[0]).await;
    bridge.clock.advance(Duration::from_secs(1));
    bridge.step(&Desk::Hints(OrgId::new("birch"))).await;
    bridge.act("/release", &Value::Null).await;
    let approved = approving.await.unwrap();
    assert_eq!(approved.status, 200, "{approved:?}");
    let body = &approved.body;
    assert_eq!((&body["changes"], &body["left_out"]), (&json!(5), &json!(1)), "{body}");
    let left = lines(&body["held"]);
    assert_eq!(left, [("restrict".to_owned(), people[0].clone())], "{body}");
    bridge.settle().await;
    assert_eq!(bridge.portal_did("restrict").await, 5);
    assert_eq!(bridge.membership("birch", &people[0]).await["state"], "joined");
    let shown = bridge.admin(&format!("/runs/{}", id(&run))).await.body;
    assert_eq!((&shown["state"], rows(&shown["held"]).count()), (&json!("done"), 1), "{shown}");
    bridge.finish().await;
}

#[tokio::test]
async fn a_plan_that_a_later_run_has_resolved_cannot_be_approved_any_more() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined_in_birch(&partners(12)).await;
    let all_are = async |status: &str| {
        for leaver in &ids[..6] {
            bridge.crm(leaver, json!({ "status": status })).await;
        }
    };
    all_are("inactive").await;
    let run = bridge.run_birch().await;
    assert_eq!(run["hold"], "guard", "{run}");
    all_are("active").await;
    let good = bridge.run_birch().await;
    assert_eq!(good["state"], "done", "{good}");
    let shown = bridge.admin(&format!("/runs/{}", id(&run))).await.body;
    assert_eq!(shown["replaced_by"], good["run_id"], "{shown}");
    // The same people go again; but what was held then is not what is waiting.
    all_are("inactive").await;
    let refused = approve(&bridge, &run).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.body["newer_run_id"], good["run_id"]);
    let why = refused.body["detail"].as_str().unwrap();
    assert!(why.contains(id(&good)) && why.contains("resync"), "{why}");
    bridge.settle().await;
    assert_eq!(bridge.portal_did("restrict").await, 0);
    let again = bridge.run_birch().await;
    bridge.approved(&again).await;
    assert_eq!(bridge.portal_did("restrict").await, 6);
    bridge.finish().await;
}

#[tokio::test]
async fn a_plan_that_is_held_again_and_again_is_kept_once() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined_in_birch(&partners(12)).await;
    for leaver in &ids[..6] {
        bridge.crm(leaver, json!({ "status": "inactive" })).await;
    }
    let first = bridge.run_birch().await;
    let mut last = Value::Null;
    for _ in 0..5 {
        bridge.clock.advance(Duration::from_mins(15));
        last = bridge.run_birch().await;
        assert_eq!((&last["state"], &last["checksum"]), (&json!("held"), &first["checksum"]));
    }
    let kept = "SELECT count(plan), count(waiting), count(free), max(id) FROM runs
                WHERE state = 'held' AND ifnull(plan, ifnull(waiting, free)) IS NOT NULL";
    let kept: [i64; 4] = store(&bridge)
        .query_row(kept, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
        .unwrap();
    assert_eq!((kept[..3].to_vec(), format!("run-{}", kept[3])), (vec![1; 3], id(&last).into()));
    // It is one plan, by whichever of its runs it is called.
    let plan = async |run: &Value| bridge.admin(&format!("/runs/{}/plan", id(run))).await.body;
    let (old, new) = (plan(&first).await, plan(&last).await);
    assert_eq!((rows(&old["held"]).count(), &old), (6, &new));
    // Another one takes its place, and the older plan is gone.
    bridge.crm(&ids[6], json!({ "status": "inactive" })).await;
    let other = bridge.run_birch().await;
    let old = bridge.admin(&format!("/runs/{}/plan", id(&first))).await;
    assert_eq!((old.status, rows(&other["held"]).count()), (404, 7), "{}", old.body);
    bridge.approved(&other).await;
    assert_eq!(bridge.portal_did("restrict").await, 7);
    bridge.finish().await;
}
