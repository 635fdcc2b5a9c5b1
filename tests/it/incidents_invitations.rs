//! Incidents of others with invitations: live after the membership was lost, sent for ever, sent to
//! who had said no.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const DI: &str = "di@partner.example";
const DAY: Duration = Duration::from_hours(24);

/// Letters and reminders of one generation at most: one and two.
const LETTERS: usize = 3;

async fn years(bridge: &Bridge, weeks: u32) {
    for _ in 0..weeks {
        bridge.wait_for(DAY * 7).await;
        bridge.run_over("birch").await;
    }
}

#[tokio::test]
async fn i21_losing_the_membership_cancels_the_open_invitation() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "pending", "it is live");
    bridge.crm_delete(&bo).await;
    bridge.say("user.removed", &bo).await;
    bridge.settle().await;
    bridge.clock.advance(DAY);
    bridge.run_over("birch").await;
    assert_eq!(bridge.cliq_row("birch", BO).await, None, "nobody can accept it any more");
    assert_eq!(bridge.done_after(0).await, ["add_external", "letter", "remove_external"]);
    bridge.finish().await;
}

#[tokio::test]
async fn i21_an_invitation_accepted_too_late_is_taken_back_by_the_next_read() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.run_over("birch").await;
    bridge.crm_delete(&bo).await;
    bridge.run_over("birch").await;
    bridge.clock.advance(DAY);
    // The portal says that the invitation is cancelled, and it is not.
    let lie = json!({ "kind": "status", "status": 200, "body": { "status": "done" } });
    bridge.fault("portal", json!({ "organization": "birch" }), lie).await;
    bridge.run_over("birch").await;
    bridge.by_hand("birch", BO, "accept").await;
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active", "in all the same");
    bridge.run_over("birch").await;
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    assert_eq!(bridge.journal().await.portal_writes("remove_external"), 1);
    assert_eq!(bridge.steps("birch", BO, "late_join").await, 1, "audited");
    bridge.finish().await;
}

#[tokio::test]
async fn i22_i23_an_invitation_that_nobody_answers_ends_and_is_not_sent_for_ever() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    years(&bridge, 60).await;
    // Zoho goes on showing the invitation; by its word it would be pending for ever.
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "pending");
    assert_eq!(bridge.state(BO).await, "expired");
    assert_eq!(bridge.mails(BO).await.len(), LETTERS);
    for kind in ["user.updated", "user.added", "user.activated"] {
        bridge.say(kind, &bo).await;
        bridge.settle().await;
    }
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), LETTERS, "no event and no resync sends another");

    // Only an operator by name does, and that ends as the first did.
    assert_eq!(bridge.order("birch", BO, "resend").await.status, 200);
    years(&bridge, 60).await;
    assert_eq!(bridge.mails(BO).await.len(), 2 * LETTERS);
    assert_eq!(bridge.state(BO).await, "expired");
    assert_eq!(bridge.journal().await.portal_writes("add_external"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i24_who_said_no_and_who_left_are_not_asked_again_in_a_thousand_runs() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO]).await;
    let eve = bridge.added("birch", EVE).await;
    bridge.settle().await;
    bridge.run_over("birch").await;
    bridge.by_hand("birch", BO, "remove").await;
    bridge.by_hand("birch", EVE, "decline").await;
    let before = bridge.count().await;
    for round in 0..1_000 {
        bridge.clock.advance(Duration::from_hours(2));
        if round % 100 == 5 {
            bridge.say("user.updated", &ids[0]).await;
            bridge.say("user.added", &eve).await;
            bridge.settle().await;
        }
        bridge.resync(json!({ "organization": "birch" })).await;
        assert_eq!(bridge.step(&Desk::Runs(OrgId::new("birch"))).await, Step::Worked);
    }
    bridge.settle().await;
    assert_eq!(
        (bridge.state(BO).await, bridge.state(EVE).await),
        ("left".into(), "declined".into())
    );
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    let journal = bridge.journal().await;
    assert!(journal.of("refused", "portal").is_empty(), "nor does the log fill with refusals");
    assert_eq!(journal.calls("birch", "portal"), 2, "the two adds");
    bridge.finish().await;
}

#[tokio::test]
async fn i25_one_who_is_blocked_parks_alone_and_the_run_ends_degraded() {
    let bridge = Setup::demo().start().await;
    for email in [BO, EVE, DI] {
        bridge.add("birch", email).await;
    }
    let body = json!({ "status": "refused", "code": "blocked", "message": "Blocked" });
    let fault = json!({ "kind": "status", "status": 200, "body": body });
    bridge.fault("portal", json!({}), fault).await;
    let run = bridge.run_over("birch").await;
    assert_eq!(run["state"], "degraded", "not failed: {run}");
    let list = bridge.admin("/memberships?organization=birch").await.body;
    let states: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["blocked", "invited", "invited"]);
    assert_eq!(bridge.journal().await.portal_writes("add_external"), 2);
    // Nobody tries again by itself, and the next run is clean.
    assert_eq!(bridge.run_over("birch").await["state"], "done");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 3);
    bridge.finish().await;
}

#[tokio::test]
async fn i5_who_goes_and_comes_in_turns_is_held_until_an_operator_acts() {
    let bridge = Setup::demo().start().await;
    let mut bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    for _ in 0..6 {
        // Something deletes Bo in CRM for two days, and puts him back.
        bridge.run_over("birch").await;
        bridge.crm_delete(&bo).await;
        for _ in 0..2 {
            bridge.run_over("birch").await;
            bridge.clock.advance(DAY);
        }
        bridge.run_over("birch").await;
        bridge.clock.advance(DAY);
        bo = bridge.added("birch", BO).await;
        bridge.settle().await;
    }
    let done = bridge.done_after(0).await;
    let round = ["add_external", "letter", "remove_external"];
    assert_eq!(done, round.repeat(2), "twice, and then it is held");
    assert_eq!(bridge.state(BO).await, "removed");
    let run = bridge.run_over("birch").await;
    assert_eq!(run["counts"]["verdicts"]["flapping"], 1, "{run}");
    assert_eq!(bridge.notices("goes and comes in turns").await, 1);

    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.done_after(done.len()).await, ["add_external", "letter"]);
    assert_eq!(bridge.state(BO).await, "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn i5_after_a_quiet_month_a_return_is_believed_again() {
    let bridge = Setup::demo().start().await;
    let mut bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    for _ in 0..2 {
        bridge.run_over("birch").await;
        bridge.crm_delete(&bo).await;
        bridge.run_over("birch").await;
        bridge.clock.advance(DAY);
        bridge.run_over("birch").await;
        bridge.clock.advance(DAY * 2);
        bo = bridge.added("birch", BO).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.state(BO).await, "removed");
    bridge.clock.advance(DAY * 30);
    bridge.run_over("birch").await;
    assert_eq!(bridge.state(BO).await, "invited");
    assert_eq!(bridge.journal().await.portal_writes("add_external"), 3);
    bridge.finish().await;
}
