//! A clock that is set back: what was noted under the other time neither stops the bridge until that
//! time comes again nor makes anything up.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::Setup;
use super::support::channels::{EVE, EXT, mapped, one_channel};
use super::support::people::crowd;

const BO: &str = "bo@partner.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The longest time between two probes of a quarantined organization, and a little.
const PROBE: Duration = Duration::from_mins(16);

#[tokio::test]
async fn g12_a_quarantine_is_probed_as_soon_as_ever_after_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": false })).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(HOUR * 2).await;
    assert!(bridge.quarantine().await["cause"].is_string());
    bridge.clock.set_back(DAY);
    bridge.settle_for(HOUR).await;
    let asked = bridge.journal().await.calls("birch", "oauth.token");
    bridge.settle_for(HOUR * 3).await;
    let often = bridge.journal().await.calls("birch", "oauth.token") - asked;
    assert!((6..=20).contains(&often), "less and less, and every quarter of an hour: {often}");
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": true })).await;
    bridge.settle_for(PROBE).await;
    assert_eq!(bridge.quarantine().await, Value::Null);
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn g12_an_outage_is_one_though_it_began_before_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.answers("crm.users.get", 503).await;
    bridge.answers("crm.users.list", 503).await;
    bridge.say("user.updated", &bo).await;
    bridge.settle_for(Duration::from_mins(5)).await;
    bridge.clock.set_back(HOUR * 6);
    bridge.settle_for(Duration::from_mins(45)).await;
    assert!(bridge.quarantine().await["cause"].is_string(), "failing for long enough");
    bridge.clear_faults().await;
    bridge.settle_for(PROBE).await;
    assert_eq!(bridge.quarantine().await, Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn a_webhook_is_served_at_once_after_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    // The one has just come; the other backs off.
    bridge.answers("crm.users.get", 503).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(3)).await;
    bridge.added("birch", "eve@partner.example").await;
    bridge.clear_faults().await;
    bridge.clock.set_back(HOUR * 6);
    bridge.settle_for(PROBE).await;
    for email in [BO, "eve@partner.example"] {
        assert_eq!(bridge.membership("birch", email).await["state"], "invited", "{email}");
    }
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn what_was_to_be_tried_again_is_not_put_off_by_the_month_that_the_clock_was_ahead() {
    let bridge = Setup::demo().start().await;
    bridge.answers("portal", 503).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(30)).await;
    bridge.clear_faults().await;
    bridge.clock.set_back(DAY * 30);
    bridge.settle_for(PROBE).await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn administrators_hear_of_what_dies_after_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    let refused = json!({ "kind": "status", "status": 200,
                          "body": { "status": "refused", "code": "no_permission" } });
    bridge.fault("portal", json!({ "times": null }), refused).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let told = bridge.notices("").await;
    assert_eq!(told, 1);
    bridge.clock.set_back(DAY * 30);
    bridge.added("birch", "eve@partner.example").await;
    bridge.settle_for(HOUR).await;
    assert_eq!(bridge.notices("").await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn g1_a_grace_that_began_before_the_clock_was_set_back_ends() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.clock.advance(DAY * 30);
    bridge.crm_delete(&bo).await;
    bridge.run_over("birch").await;
    bridge.clock.set_back(DAY * 30);
    bridge.wait_for(HOUR).await;
    for _ in 0..2 {
        bridge.run_over("birch").await;
        bridge.wait_for(DAY + HOUR).await;
    }
    bridge.run_over("birch").await;
    assert_eq!(bridge.state(BO).await, "removal_staged");
    bridge.finish().await;
}

#[tokio::test]
async fn g1_g4_a_clock_that_is_wrong_until_the_time_server_answers_ends_nothing() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO]).await;
    bridge.added("birch", "eve@partner.example").await;
    bridge.settle().await;
    bridge.crm_delete(&ids[0]).await;
    bridge.run_over("birch").await;
    // A machine that begins at the clock of its battery.
    bridge.clock.set_back(DAY * 2000);
    bridge.wait_for(Duration::from_mins(2)).await;
    bridge.clock.advance(DAY * 2000);
    bridge.wait_for(Duration::from_mins(2)).await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.state("eve@partner.example").await, "invited");
    assert_eq!(bridge.state(BO).await, "joined", "the grace is not over");
    assert_eq!(bridge.journal().await.portal_writes("restrict"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn i31_what_was_seen_before_the_clock_was_set_back_overtakes_nobody() {
    let bridge = Setup::demo().start().await;
    // A listing, a look, an action and a state, all of a time that is to come again.
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.say("user.updated", &bo).await;
    bridge.settle().await;
    bridge.clock.set_back(DAY);
    bridge.crm(&bo, json!({ "status": "disabled" })).await;
    bridge.say("user.deactivated", &bo).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_eq!(bridge.state(BO).await, "restricted");
    bridge.run_over("birch").await;
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn i31_a_look_before_the_clock_was_set_back_overtakes_no_later_one() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    // Nothing but hints takes a step: a run would forget the look.
    let hints = Desk::Hints(OrgId::new("birch"));
    let looked_at = async || {
        bridge.say("user.updated", &bo).await;
        for _ in 0..2 {
            bridge.clock.advance(Duration::from_secs(3));
            bridge.step(&hints).await;
        }
        bridge.admin("/status").await.body["queue"]["hints"] == 0
    };
    assert!(looked_at().await);
    bridge.clock.set_back(DAY);
    assert!(looked_at().await, "not to be looked at again");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn schedules_go_on_after_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    bridge.live_for(HOUR).await;
    bridge.clock.set_back(DAY);
    let before = bridge.journal().await.calls("birch", "crm.users.list");
    bridge.live_for(HOUR).await;
    let runs = bridge.journal().await.calls("birch", "crm.users.list") - before;
    assert!((3..=5).contains(&runs), "every quarter of an hour: {runs}");
    bridge.finish().await;
}

#[tokio::test]
async fn i15_the_alarm_comes_though_the_clock_was_set_back() {
    let bridge = Setup::demo().start().await;
    bridge.live_for(HOUR).await;
    bridge.answers("crm.users.list", 500).await;
    bridge.clock.set_back(DAY);
    bridge.live_for(Duration::from_mins(50)).await;
    assert_eq!(bridge.notices("No good run of birch").await, 0, "not yet");
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.organization("birch").await["no_good_run"], true);
    assert_eq!(bridge.notices("No good run of birch").await, 1);
    bridge.clear_faults().await;
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.organization("birch").await["no_good_run"], false);
    bridge.finish().await;
}

#[tokio::test]
async fn i15_nothing_is_negative_while_the_clock_is_behind_the_last_good_run() {
    let bridge = Setup::demo().start().await;
    bridge.live_for(HOUR).await;
    bridge.clock.set_back(HOUR * 6);
    for _ in 0..2 {
        let since = bridge.gauge("cliqbridge_seconds_since_good_run", "birch").await;
        assert_eq!(since, Some(0));
        assert_eq!(bridge.organization("birch").await["no_good_run"], false);
        bridge.step(&Desk::Clock(OrgId::new("birch"))).await;
    }
    bridge.finish().await;
}

#[tokio::test]
async fn a_channel_that_refused_everybody_is_tried_again_after_the_clock_was_set_back() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 3, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    let refusal = json!({ "code": "member_add_failed", "message": "m" });
    let fault = json!({ "kind": "status", "status": 400, "body": refusal });
    bridge.fault("cliq.members.add", json!({ "times": null }), fault).await;
    bridge.run("acme").await;
    assert!(bridge.channel_view("acme", "ext").await["problem"].is_string());
    bridge.clear_faults().await;
    bridge.clock.set_back(DAY * 30);
    bridge.live_for(HOUR * 2).await;
    assert_eq!(bridge.invited("ext").await.len(), 3);
    assert_eq!(bridge.channel_view("acme", "ext").await["problem"], Value::Null);
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn a_channel_that_was_archived_is_looked_at_again_after_the_clock_was_set_back() {
    let bridge = one_channel().start().await;
    bridge.channel_patch("ext", json!({ "status": "archived" })).await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert!(bridge.channel_view("acme", "ext").await["problem"].is_string());
    bridge.clock.set_back(DAY * 30);
    bridge.channel_patch("ext", json!({ "status": "created" })).await;
    bridge.live_for(HOUR * 2).await;
    assert_eq!(bridge.channel_view("acme", "ext").await["problem"], Value::Null);
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish_with_leftovers("the schedule runs on").await;
}
