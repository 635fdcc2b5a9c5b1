//! Listings and invitations under Zoho's limits: the minute's and the lock behind it.
//!
//! Deliberately absent: pages of every size, whole and broken, which `zoho`'s own tests have
//! against a fake server; and what a run costs, which is in `cost`.

use std::collections::BTreeSet;
use std::time::Duration;

use cliqbridge::domain::{OrgId, Timestamp};
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::people::population;
use super::support::{Bridge, Journal, Setup};

/// Most listing calls in a minute: four fifths of Zoho's thirty.
const LISTINGS_PER_MINUTE: usize = 24;

const MINUTE: Duration = Duration::from_mins(1);

/// Pages of Cliq's active users in these tests; with the two empty passes it is more than a
/// minute's budget.
const PAGES: usize = 30;

async fn crowded() -> Bridge {
    // The administrator and Ada are rows too.
    let tables = population("acme", 0, PAGES * 100 - 2, Some("active"));
    Setup::demo().people(tables.leak()).start().await
}

/// The pages of Cliq that were asked for, in order, each by its address.
fn asked(journal: &Journal) -> Vec<(Timestamp, String)> {
    let pages = journal.0.iter().filter(|entry| entry["call"] == "cliq.users.list");
    pages
        .filter(|entry| entry["organization"] == "acme")
        .map(|entry| {
            let at = Timestamp::parse(entry["at"].as_str().unwrap()).unwrap();
            (at, entry["path"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn i37_a_listing_waits_out_the_minute_and_a_lock_and_goes_on_at_the_same_page() {
    let bridge = crowded().await;
    let lock = Duration::from_mins(10);
    let throttle = json!({ "kind": "throttle", "retry_after_s": lock.as_secs() });
    let skip = json!({ "organization": "acme", "skip": 10 });
    bridge.fault("cliq.users.list", skip, throttle).await;
    let run = bridge.run_over("acme").await;

    assert_eq!((&run["state"], &run["error"]), (&json!("done"), &Value::Null), "{run}");
    let asked = asked(&bridge.journal().await);
    assert_eq!(asked.len(), PAGES + 2 + 1, "each page once, and the one that met the lock again");
    assert_eq!(asked[10].1, asked[11].1, "the same page");
    let all: BTreeSet<&String> = asked.iter().map(|(_, path)| path).collect();
    assert_eq!(all.len(), PAGES + 2);
    assert!(asked[11].0.since(asked[10].0) >= lock, "the lock was waited out");
    for (index, (start, _)) in asked.iter().enumerate() {
        let within = asked[index..].iter().filter(|(at, _)| at.since(*start) <= MINUTE);
        assert!(within.count() <= LISTINGS_PER_MINUTE, "a minute from {start}");
    }
    let (used, needed) = (run["calls_used"].as_u64(), run["calls_needed"].as_u64());
    assert_eq!(used, needed.map(|needed| needed + 1), "{run}");
    assert_eq!(bridge.journal().await.effects().len(), 0);
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn i37_a_run_that_dies_in_a_lock_begins_again_and_keeps_to_the_lock() {
    let mut bridge = Setup::demo().start().await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 600 });
    bridge.fault("cliq.users.list", json!({ "organization": "birch" }), throttle).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    let began = bridge.now();
    {
        let desk = Desk::Runs(OrgId::new("birch"));
        let run = bridge.running().engine.step(&desk);
        tokio::select! {
            done = run => panic!("the lock was not waited out: {done:?}"),
            until = bridge.clock.next_wait() => assert!(until.since(began).as_secs() >= 600),
        }
    }
    bridge.restart().await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!(run["state"], "done", "{run}");
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.users.list"), 2, "it began again");
    let listed = journal.times("birch", "cliq.users.list");
    assert!(listed[1].since(began).as_secs() >= 600, "a restart forgets no lock");
    bridge.finish().await;
}

#[tokio::test]
async fn i38_invitations_that_meet_a_limit_stop_no_read_and_the_other_way_round() {
    let bridge = Setup::demo().start().await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 3_600 });
    bridge.fault("portal", json!({ "organization": "birch" }), throttle.clone()).await;
    for number in 0..3 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.settle_for(Duration::from_mins(5)).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "portal"), 1, "the door is parked");
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_ne!(run["calls_used"], Value::Null, "reads go on: {run}");
    assert!(bridge.journal().await.calls("birch", "cliq.users.list") >= 3);
    bridge.settle_for(Duration::from_hours(1)).await;
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 3, "none is lost");

    bridge.fault("cliq.users.list", json!({ "organization": "birch" }), throttle).await;
    bridge.added("birch", "late@partner.example").await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 4);
    bridge.finish().await;
}

#[tokio::test]
async fn i38_no_more_invitations_in_a_minute_than_the_portal_allows() {
    let bridge = Setup::demo().with("mail", "per_hour = 10000").start().await;
    for number in 0..130 {
        bridge.add("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.run_over("birch").await;
    let journal = bridge.journal().await;
    let times = journal.times("birch", "portal");
    assert_eq!(times.len(), 130);
    for (index, start) in times.iter().enumerate() {
        let within = times[index..].iter().filter(|at| at.since(*start) <= MINUTE).count();
        assert!(within <= 60, "{within} within a minute of {start}");
    }
    bridge.finish().await;
}
