//! Runs beside other runs: who joins whom, what keeps a tick from its run, and reads that fail once.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::channels::{EXT, mapped, one_channel};
use super::support::harness::rows;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
/// Longer than any jitter.
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn every_hour() -> Setup {
    Setup::demo().with("schedule", "reconcile = \"0 0 * * * *\"\npoll_plan = \"0 0 0 1 1 *\"")
}

async fn listings(bridge: &Bridge, organization: &str) -> usize {
    bridge.journal().await.calls(organization, "crm.users.list")
}

async fn asked(bridge: &Bridge, body: Value) -> Value {
    let answer = bridge.admin_post("/resync", &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body
}

/// The run of this organization in the answer to a resync, or in the view of a run.
fn of(answer: &Value, organization: &str) -> Value {
    let found = rows(&answer["runs"]).find(|run| run["organization"] == organization);
    found.unwrap_or_else(|| panic!("no {organization} in {answer}"))["run_id"].clone()
}

async fn runs_of(bridge: &Bridge, organization: &str) -> usize {
    let list = bridge.admin(&format!("/runs?organization={organization}&limit=200")).await.body;
    rows(&list["items"]).count()
}

async fn state(bridge: &Bridge, run: &str) -> Value {
    bridge.admin(&format!("/runs/{run}")).await.body["state"].clone()
}

/// The demo's Birch goes back to `observe`, and the bridge starts again.
async fn observing(bridge: &mut Bridge) {
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    let at = text.rfind("portal           = { mode = \"function\"").unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let edited = format!("{}portal = {{ mode = \"observe\" }}{}", &text[..at], &text[end..]);
    std::fs::write(&bridge.file, edited).unwrap();
    bridge.restart().await;
}

#[tokio::test]
async fn runs_go_on_during_a_pause_that_keeps_an_earlier_one_from_its_end() {
    let bridge = every_hour().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.add("birch", BO).await;
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, &run).await, "applying");
    let before = listings(&bridge, "birch").await;
    bridge.live_for(HOUR * 3 + MINUTE).await;
    assert_eq!(listings(&bridge, "birch").await - before, 3, "every tick");
    assert_eq!(bridge.organization("birch").await["skipped_ticks"], 0);
    assert_eq!(bridge.notices("No good run").await, 0);
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, &run).await, "done");
    assert_eq!(bridge.journal().await.portal_writes("add_external"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_tick_is_skipped_while_a_run_has_something_to_do_at_once() {
    let bridge = every_hour().start().await;
    let desk = Desk::Schedule(OrgId::new("birch"));
    // The plan is read first, then the ticks begin.
    while bridge.step(&desk).await == Step::Worked {}
    bridge.add("birch", BO).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.step(&Desk::Runs(OrgId::new("birch"))).await;
    bridge.clock.advance(HOUR + Duration::from_secs(30));
    assert_eq!(bridge.step(&desk).await, Step::Worked);
    assert_eq!(bridge.organization("birch").await["skipped_ticks"], 1);
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn channel_rows_that_cannot_be_read_for_were_tried_and_end_their_run() {
    for status in [401, 403] {
        let bridge = one_channel().start().await;
        bridge.added("acme", BO).await;
        bridge.settle().await;
        bridge.by_hand("acme", BO, "accept").await;
        bridge.admin_post("/pause", &json!({ "organization": "acme" })).await;
        bridge.added("acme", "eve@oak.example").await;
        let run = bridge.resync(json!({ "organization": "acme" })).await;
        bridge.settle().await;
        let more = json!({ "organization": "acme", "times": null });
        let fault = json!({ "kind": "status", "status": status });
        bridge.fault("cliq.channels.get", more.clone(), fault.clone()).await;
        bridge.fault("cliq.members.get", more, fault).await;
        bridge.admin_post("/resume", &json!({ "organization": "acme" })).await;
        bridge.settle_for(HOUR).await;
        let state = state(&bridge, &run).await;
        assert!(state == "done" || state == "degraded", "{status}: {state}");
        bridge.finish_with_leftovers("a channel that cannot be read").await;
    }
}

#[tokio::test]
async fn a_switch_to_observe_ends_what_waited_for_the_portal_and_says_so() {
    let mut bridge = every_hour().start().await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.add("birch", BO).await;
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    observing(&mut bridge).await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, &run).await, "done");
    let list = bridge.admin("/actions?organization=birch").await.body;
    let add = rows(&list["items"]).find(|row| row["operation"] == "add_external").unwrap();
    assert_eq!(add["state"], "superseded", "{add}");
    assert!(add["detail"].as_str().unwrap().contains("observe"), "{add}");
    assert_eq!(bridge.steps("birch", BO, "not_done").await, 1);
    let before = listings(&bridge, "birch").await;
    bridge.live_for(HOUR * 2 + MINUTE).await;
    assert_eq!(listings(&bridge, "birch").await - before, 2);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn ten_resyncs_of_everything_are_one_run_of_an_organization_that_waits() {
    let bridge = Setup::demo().start().await;
    let acme = Desk::Runs(OrgId::new("acme"));
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(asked(&bridge, json!({})).await);
        while bridge.step(&acme).await == Step::Worked {}
    }
    assert_eq!(runs_of(&bridge, "birch").await, 1);
    assert_eq!(runs_of(&bridge, "acme").await, 10, "each had begun to apply before the next");
    for answer in &answers {
        assert_eq!(of(answer, "birch"), of(&answers[0], "birch"));
        let shown = bridge.admin(&format!("/runs/{}", answer["run_id"].as_str().unwrap())).await;
        assert_eq!(
            (&shown.body["state"], of(&shown.body, "acme")),
            (&json!("queued"), of(answer, "acme"))
        );
    }
    bridge.settle().await;
    for answer in &answers {
        assert_eq!(state(&bridge, answer["run_id"].as_str().unwrap()).await, "done");
    }
    assert_eq!(listings(&bridge, "birch").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_resync_of_everything_joins_what_is_queued_or_reading_whoever_asked() {
    let bridge = Setup::demo().start().await;
    let birch = asked(&bridge, json!({ "organization": "birch" })).await["run_id"].clone();
    let all = asked(&bridge, json!({})).await;
    assert_eq!(of(&all, "birch"), birch);
    let again = asked(&bridge, json!({})).await;
    assert_eq!(again, all, "nothing new in it");
    let acme = asked(&bridge, json!({ "organization": "acme" })).await["run_id"].clone();
    assert_eq!(of(&all, "acme"), acme);
    let bo = asked(&bridge, json!({ "user": BO })).await;
    assert_eq!(asked(&bridge, json!({ "user": BO })).await, bo, "for one person too");
    assert_ne!(of(&bo, "birch"), birch);
    bridge.settle().await;
    assert_eq!((runs_of(&bridge, "birch").await, runs_of(&bridge, "acme").await), (2, 2));
    bridge.finish().await;
}

#[tokio::test]
async fn a_read_about_one_person_is_tried_three_times_before_its_run_fails() {
    let bridge = Setup::demo().start().await;
    let id = bridge.add("birch", BO).await;
    for call in ["crm.users.get", "cliq.users.list"] {
        let more = json!({ "organization": "birch", "times": 2 });
        bridge.fault(call, more, json!({ "kind": "status", "status": 503 })).await;
        let run = bridge.resync(json!({ "organization": "birch", "user": id })).await;
        bridge.settle().await;
        assert_eq!(state(&bridge, &run).await, "done", "{call}");
        bridge.clear_faults().await;
    }
    let more = json!({ "organization": "birch", "times": null });
    bridge.fault("crm.users.get", more, json!({ "kind": "status", "status": 503 })).await;
    let before = bridge.journal().await.calls("birch", "crm.users.get");
    let run = bridge.resync(json!({ "organization": "birch", "user": id })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, &run).await, "failed");
    assert_eq!(bridge.journal().await.calls("birch", "crm.users.get") - before, 3);
    bridge.clear_faults().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_lock_met_while_one_person_is_read_is_waited_out() {
    let bridge = Setup::demo().start().await;
    let id = bridge.add("birch", BO).await;
    let fault = json!({ "kind": "throttle", "retry_after_s": 60 });
    bridge.fault("crm.users.get", json!({ "organization": "birch" }), fault).await;
    let begun = bridge.now();
    let run = bridge.resync(json!({ "organization": "birch", "user": id })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, &run).await, "done");
    assert!(bridge.now().since(begun) >= Duration::from_mins(1));
    bridge.finish().await;
}

#[tokio::test]
async fn what_the_guard_counts_outlives_a_short_memory() {
    let mut bridge = Setup::demo().start().await;
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    let short = text.replace("path = \"bridge.db\"", "path = \"bridge.db\"\nkeep_days = 1");
    std::fs::write(&bridge.file, short).unwrap();
    bridge.restart().await;
    bridge.running().engine.tick_prune().await.unwrap();
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle().await;
    let known = async |bridge: &Bridge| {
        let list = bridge.admin("/actions?state=done&limit=200").await.body;
        rows(&list["items"]).filter(|row| row["operation"] == "restrict").count()
    };
    for (days, count) in [(3, 1), (26, 1), (3, 0)] {
        bridge.clock.advance(DAY * days);
        assert_eq!(bridge.running().engine.tick_prune().await.unwrap(), Step::Worked);
        assert_eq!(known(&bridge).await, count, "{days} days more");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn g1_whoever_is_to_be_taken_out_by_hand_is_counted_over_the_window() {
    let limits = "max_removals = 2\nmax_percent = 100\ngrace = \"1h\"";
    let setup = Setup::demo().observe("birch").with("guard", limits);
    let bridge = setup.world("birch", "propagate = true\npropagate_after_s = 60").start().await;
    let people: Vec<String> = (0..6).map(|n| format!("p{n}@partner.example")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let ids = bridge.joined(&names).await;
    let mut states = Vec::new();
    for pair in ids.chunks(2) {
        for id in pair {
            bridge.crm_delete(id).await;
        }
        bridge.run_over("birch").await;
        bridge.clock.advance(HOUR);
        states.push(bridge.run_over("birch").await["state"].clone());
    }
    assert_eq!(states, ["done", "held", "held"]);
    bridge.clock.advance(DAY);
    assert_eq!(bridge.run_over("birch").await["state"], "held", "four at once are too many too");
    bridge.finish_with_leftovers("nobody takes them out by hand").await;
}

#[tokio::test]
async fn a_leaver_who_waits_for_a_channel_skips_no_tick() {
    let setup = Setup::demo().with("acme", &mapped(&["ext"])).world("acme", EXT);
    let bridge = setup.start().await;
    let bo = bridge.add("acme", BO).await;
    for _ in 0..2 {
        bridge.run_over("acme").await;
        bridge.settle().await;
    }
    bridge.act(&format!("/organizations/acme/members/{BO}/accept"), &Value::Null).await;
    bridge.run_over("acme").await;
    bridge.settle().await;
    bridge.delete(&format!("/organizations/acme/crm-users/{bo}")).await;
    bridge.run_over("acme").await;
    bridge.clock.advance(DAY);
    // The run reads the channel; the desk that is to take the leaver out of it does not.
    let more = json!({ "organization": "acme", "times": null, "skip": 1 });
    bridge.fault("cliq.members.get", more, json!({ "kind": "status", "status": 422 })).await;
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.live_for(Duration::from_mins(50)).await;
    assert_eq!(bridge.organization("acme").await["skipped_ticks"], 0);
    bridge.clear_faults().await;
    bridge.run_over("acme").await;
    bridge.finish_with_leftovers("restricted, and to be taken out later").await;
}
