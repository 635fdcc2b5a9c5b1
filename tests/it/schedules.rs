//! The schedules: when each organization's jobs begin, what a tick is worth that comes too early, too
//! late or twice, and the pruning of the store.
//!
//! Deliberately absent: cron's arithmetic, which has its own tests beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use cliqbridge::domain::{OrgId, Timestamp};
use cliqbridge::engine::{Desk, Step};
use serde_json::json;

use super::support::{Bridge, Setup};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn every_hour(more: &str) -> Setup {
    let lines = format!("reconcile = \"0 0 * * * *\"\npoll_plan = \"0 0 0 1 1 *\"\n{more}");
    Setup::demo().with("schedule", &lines)
}

async fn listings(bridge: &Bridge, organization: &str) -> Vec<Timestamp> {
    bridge.journal().await.times(organization, "crm.users.list")
}

#[tokio::test]
async fn organizations_begin_one_after_the_other_and_each_at_its_own_moment() {
    let bridge = every_hour("").cedar().start().await;
    bridge.live_for(HOUR * 3 + HALF_A_MINUTE).await;
    let mut moments = BTreeSet::new();
    for organization in ["acme", "birch", "cedar"] {
        let begun = listings(&bridge, organization).await;
        assert_eq!(begun.len(), 3, "{begun:?}");
        let late = begun[0].since(at("2026-11-24T09:00:00Z"));
        assert!(late <= HALF_A_MINUTE, "{late:?}");
        assert_eq!(begun[1].since(begun[0]), HOUR, "always at the same moment");
        moments.insert(begun[0]);
    }
    assert_eq!(moments.len(), 3);
    bridge.finish().await;
}

#[tokio::test]
async fn without_jitter_a_tick_is_exact() {
    let bridge = every_hour("jitter = \"0s\"").start().await;
    bridge.live_for(HOUR + HALF_A_MINUTE).await;
    for organization in ["acme", "birch"] {
        assert_eq!(listings(&bridge, organization).await, [at("2026-11-24T09:00:00Z")]);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn a_tick_that_comes_during_a_run_is_skipped_and_counted() {
    let bridge = every_hour("").start().await;
    let desk = Desk::Schedule(OrgId::new("birch"));
    // The plan is read first, then the ticks begin.
    while bridge.step(&desk).await == Step::Worked {}
    bridge.clock.advance(HALF_A_MINUTE);
    bridge.resync(json!({ "organization": "birch" })).await;
    for skipped in 1..=2 {
        bridge.clock.advance(HOUR);
        assert_eq!(bridge.step(&desk).await, Step::Worked);
        assert!(matches!(bridge.step(&desk).await, Step::Idle(Some(_))), "once a tick");
        assert_eq!(bridge.organization("birch").await["skipped_ticks"], skipped);
    }
    bridge.settle().await;
    assert_eq!(listings(&bridge, "birch").await.len(), 1, "the one that was asked for");
    bridge.live_for(HOUR).await;
    assert_eq!(listings(&bridge, "birch").await.len(), 2, "the next tick is served again");
    bridge.finish().await;
}

#[tokio::test]
async fn ticks_that_were_missed_run_once_with_or_without_jitter() {
    for jitter in ["0s", "30s"] {
        let mut bridge = every_hour(&format!("jitter = \"{jitter}\"")).start().await;
        bridge.live_for(HOUR + HALF_A_MINUTE).await;
        bridge.stop().await;
        bridge.clock.advance(DAY);
        bridge.start_again().await;
        bridge.live_for(Duration::from_secs(1)).await;
        assert_eq!(listings(&bridge, "birch").await.len(), 2, "a day of ticks was missed");
        bridge.finish().await;
    }
}

/// Reconciles at half past two in the morning, Berlin's time, until this moment.
async fn in_berlin(from: &str, until: &str) -> Vec<String> {
    let lines = "time_zone = \"Europe/Berlin\"\nreconcile = \"0 30 2 * * *\"\n\
                 poll_plan = \"0 0 0 1 1 *\"\njitter = \"0s\"";
    let bridge = Setup::demo().with("schedule", lines).start().await;
    bridge.live_for(Duration::from_secs(1)).await;
    bridge.clock.advance_to(at(from));
    bridge.live_for(Duration::from_secs(1)).await;
    let before = listings(&bridge, "birch").await.len();
    bridge.live_for(at(until).since(at(from))).await;
    let begun = listings(&bridge, "birch").await;
    bridge.finish().await;
    begun[before..].iter().map(|at| at.to_rfc3339()[..16].to_owned()).collect()
}

#[tokio::test]
async fn a_nightly_run_is_due_after_the_gap_of_spring_and_once_in_the_double_hour_of_autumn() {
    let spring = in_berlin("2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z").await;
    assert_eq!(spring, ["2027-03-28T01:00", "2027-03-29T00:30"]);
    let autumn = in_berlin("2027-10-30T12:00:00Z", "2027-11-01T12:00:00Z").await;
    assert_eq!(autumn, ["2027-10-31T00:30", "2027-11-01T01:30"]);
}

#[tokio::test]
async fn old_rows_are_forgotten_once_a_day_and_not_at_the_first_start() {
    let bridge = Setup::demo().start().await;
    let prune = async || bridge.running().engine.tick_prune().await.unwrap();
    bridge.added("birch", "bo@partner.example").await;
    bridge.added("birch", "eve@partner.example").await;
    bridge.settle().await;
    let first = at("2026-11-25T03:40:00Z");
    let due = match prune().await {
        Step::Idle(Some(due)) => due,
        other => panic!("{other:?}"),
    };
    assert!(due >= first && due.since(first) <= HALF_A_MINUTE, "{due}");
    bridge.clock.advance_to(due);
    assert_eq!(prune().await, Step::Worked);
    assert_eq!(prune().await, Step::Idle(Some(due + DAY)));
    let deliveries = async || {
        let list = bridge.admin("/deliveries").await.body;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(deliveries().await, 2, "younger than store.keep_days");
    bridge.clock.advance(DAY * 91);
    assert_eq!(prune().await, Step::Worked, "ninety-one ticks were missed");
    assert!(matches!(prune().await, Step::Idle(Some(_))), "and are one");
    assert_eq!(deliveries().await, 1, "the newest stays, so that no id is given twice");
    bridge.finish().await;
}
