//! What a run costs: as few calls as the sizes allow, counted as they are made.
//!
//! Deliberately absent: the limits that calls keep to; those are in `pages`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::population;
use super::support::{Bridge, Setup};

/// An administrator and one internal user, of whom the demo's world knows without being told.
const OWN: usize = 2;

/// Rows of a page, as Zoho documents it.
const CRM_PAGE: usize = 200;
const CLIQ_PAGE: usize = 100;

fn pages(rows: usize, page: usize) -> usize {
    rows.div_ceil(page).max(1)
}

/// Calls of an organization since entry `since` of the journal, by name; token refreshes left out.
async fn calls_since(bridge: &Bridge, organization: &str, since: usize) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for entry in &bridge.journal().await.0[since..] {
        let call = entry["call"].as_str().unwrap();
        // A fault without an answer has no entry but its own.
        let counts = entry["kind"] != "fault" || !matches!(entry["detail"].as_str(), Some("slow"));
        if entry["organization"] == organization && call != "oauth.token" && counts {
            *calls.entry(call.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// Two channels that are mapped and meant for nobody.
fn with_channels(setup: Setup) -> Setup {
    setup
        .world(
            "acme",
            "channels = [{ id = \"T1\", unique_name = \"a\", name = \"A\", level = \"external\" }, \
             { id = \"T2\", unique_name = \"b\", name = \"B\", level = \"external\" }]",
        )
        .with(
            "acme",
            "channels = [{ channel = \"a\", when = { profile = [\"Nobody\"] } }, \
             { channel = \"b\", when = { profile = [\"Nobody\"] } }]",
        )
}

/// A second run over Acme, with so many people active and pending in its Cliq.
async fn without_news(active: usize, pending: usize) {
    let tables = population("acme", 0, active, Some("active"))
        + &population("acme", active, pending, Some("pending"));
    let bridge = with_channels(Setup::demo().people(tables.leak())).start().await;
    bridge.run_over("acme").await;
    let since = bridge.journal().await.0.len();
    let run = bridge.run_over("acme").await;

    let users = OWN + active + pending;
    let cliq = pages(OWN + active, CLIQ_PAGE) + pages(pending, CLIQ_PAGE) + pages(0, CLIQ_PAGE);
    let expected = BTreeMap::from([
        ("crm.users.list".to_owned(), pages(users, CRM_PAGE)),
        ("cliq.users.list".to_owned(), cliq),
        ("cliq.members.get".to_owned(), 2),
    ]);
    assert_eq!(calls_since(&bridge, "acme", since).await, expected, "{users} users");
    let total = pages(users, CRM_PAGE) + cliq + 2;
    assert_eq!((&run["state"], &run["counts"]["people"]), (&json!("done"), &json!(users)));
    assert_eq!((&run["calls_used"], &run["calls_needed"]), (&json!(total), &json!(total)));
    assert_eq!(bridge.journal().await.effects().len(), 0, "nothing is written");
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn a_run_without_news_reads_every_page_once_and_writes_nothing() {
    for users in [OWN, 199, 200, 201, 400] {
        without_news(users - OWN, 0).await;
    }
}

#[tokio::test]
async fn a_run_without_news_over_two_thousand_people_reads_ten_pages_and_twenty() {
    without_news(1_900 - OWN, 100).await;
}

/// Acme with so many people in CRM and Cliq, who were looked at once.
async fn looked_at(count: usize) -> Bridge {
    let tables = population("acme", 0, count, Some("active"));
    let bridge = Setup::demo().people(tables.leak()).start().await;
    bridge.run_over("acme").await;
    bridge
}

fn cost(run: &Value) -> (u64, u64) {
    (run["calls_used"].as_u64().unwrap(), run["calls_needed"].as_u64().unwrap())
}

/// Two pages of CRM, three of Cliq's active users and two empty passes.
const PEOPLE: usize = 250;
const NEEDED: u64 = 2 + 3 + 1 + 1;

#[tokio::test]
async fn every_call_that_is_repeated_is_counted_as_used_and_not_as_needed() {
    let bridge = looked_at(PEOPLE).await;
    for (call, fault, more) in [
        ("crm.users.list", json!({ "kind": "status", "status": 500 }), 1),
        ("cliq.users.list", json!({ "kind": "drop" }), 1),
        ("cliq.users.list", json!({ "kind": "stale_token" }), 1),
        ("cliq.users.list", json!({ "kind": "throttle", "retry_after_s": 30 }), 1),
        // The second page repeats the first one's rows: both are read again.
        ("crm.users.list", json!({ "kind": "duplicate_page" }), 2),
    ] {
        let skip = json!({ "organization": "acme", "skip": 1 });
        let since = bridge.journal().await.0.len();
        bridge.fault(call, skip, fault.clone()).await;
        let run = bridge.run_over("acme").await;
        assert_eq!(run["state"], "done", "{fault}: {run}");
        assert_eq!(cost(&run), (NEEDED + more, NEEDED), "{fault}");
        let made: usize = calls_since(&bridge, "acme", since).await.values().sum();
        // A page that is answered in spite of its fault has two entries.
        let twice = usize::from(fault["kind"] == "duplicate_page");
        assert_eq!(made - twice, usize::try_from(NEEDED + more).unwrap(), "{fault}");
    }
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn a_run_that_failed_says_what_it_cost_and_what_it_would_have_needed() {
    let bridge = looked_at(PEOPLE).await;
    let fault = json!({ "kind": "status", "status": 503 });
    bridge.fault("cliq.users.list", json!({ "skip": 1, "times": 3 }), fault).await;
    let run = bridge.run_over("acme").await;
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(cost(&run), (2 + 1 + 3, NEEDED));
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn calls_of_others_on_the_same_credential_are_not_the_runs() {
    let bridge = looked_at(PEOPLE).await;
    let hold = json!({ "kind": "hold" });
    bridge.fault("crm.users.list", json!({ "organization": "acme" }), hold).await;
    let id = bridge.resync(json!({ "organization": "acme" })).await;
    let acme = || cliqbridge::domain::OrgId::new("acme");
    let desk = cliqbridge::engine::Desk::Runs(acme());
    let run = bridge.step(&desk);
    let meanwhile = async {
        bridge.held().await;
        bridge.added("acme", "new@partner.example").await;
        bridge.clock.advance(Duration::from_secs(1));
        bridge.step(&cliqbridge::engine::Desk::Hints(acme())).await;
        bridge.act("/release", &Value::Null).await;
    };
    tokio::join!(run, meanwhile);
    bridge.settle().await;
    let journal = bridge.journal().await;
    let reads = journal.calls("acme", "crm.users.get");
    assert_eq!(reads, 2, "the hint was read meanwhile, and once more before the add");
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!(cost(&run), (NEEDED, NEEDED), "{run}");
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn a_run_over_one_person_counts_its_single_reads() {
    let bridge = looked_at(3).await;
    let since = bridge.journal().await.0.len();
    let body = json!({ "organization": "acme", "user": "p1@partner.example" });
    let id = bridge.resync(body).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    let made: usize = calls_since(&bridge, "acme", since).await.values().sum();
    assert_eq!(cost(&run).0, u64::try_from(made).unwrap(), "{run}");
    assert_eq!(run["calls_used"], run["calls_needed"]);
    bridge.finish().await;
}

/// A listing costs ten calls here: two reads each for five people are no more, for six they are.
#[tokio::test]
async fn a_burst_is_served_by_one_listing_when_that_costs_fewer_calls() {
    for (hints, listings) in [(5, 0), (6, 1)] {
        let bridge = looked_at(400).await;
        let since = bridge.journal().await.0.len();
        for number in 0..hints {
            bridge.announce("acme", &format!("77{number}")).await;
        }
        bridge.settle().await;
        let calls = calls_since(&bridge, "acme", since).await;
        let expected = if listings == 0 {
            BTreeMap::from([
                ("crm.users.get".to_owned(), hints),
                ("cliq.users.get".to_owned(), hints),
            ])
        } else {
            // 402 rows in CRM, 402 in Cliq, and two empty passes.
            BTreeMap::from([("crm.users.list".to_owned(), 3), ("cliq.users.list".to_owned(), 7)])
        };
        assert_eq!(calls, expected, "{hints} hints");
        assert_eq!(bridge.journal().await.effects().len(), 0);
        bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
    }
}

/// Who is in Cliq and in the ledger, and how.
async fn stands(bridge: &Bridge) -> Vec<String> {
    let list = bridge.admin("/memberships?organization=birch&limit=200").await.body;
    let row = |row: &Value| format!("{} {} {}", row["email"], row["state"], row["external"]);
    let mut lines: Vec<String> = rows(&list["items"]).map(row).collect();
    for row in bridge.cliq_rows("birch").await {
        lines.push(format!("{} {} {}", row["email"], row["status"], row["class"]));
    }
    lines.sort();
    lines
}

/// One story: after a run that both worlds have, people are added, one is disabled, one is renamed and
/// one is deleted. With its webhooks or without any.
async fn story(webhooks: bool) -> Bridge {
    let bridge = Setup::demo().start().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(bridge.add("birch", &format!("s{number}@partner.example")).await);
    }
    bridge.run_over("birch").await;
    for number in 0..4 {
        bridge.by_hand("birch", &format!("s{number}@partner.example"), "accept").await;
    }
    bridge.run_over("birch").await;
    let tell = async |kind: &str, id: &str| {
        if webhooks {
            bridge.webhook("crmplus", &bridge.event(kind, "birch", id)).await;
        }
        bridge.settle().await;
    };
    let path = |index: usize| format!("/organizations/birch/crm-users/{}", ids[index]);
    bridge.patch(&path(0), &json!({ "status": "disabled" })).await;
    tell("user.deactivated", &ids[0]).await;
    bridge.patch(&path(1), &json!({ "email": "other@partner.example" })).await;
    tell("user.updated", &ids[1]).await;
    bridge.delete(&path(2)).await;
    tell("user.removed", &ids[2]).await;
    let late = bridge.add("birch", "late@partner.example").await;
    tell("user.added", &late).await;
    bridge
}

#[tokio::test]
async fn i34_when_every_event_is_lost_reconciliation_alone_reaches_the_same_state() {
    let (told, lost) = (story(true).await, story(false).await);
    let (heard, unheard) = (told.journal().await, lost.journal().await);
    assert!(heard.effects().len() > unheard.effects().len(), "nobody told the other of anything");
    for bridge in [&told, &lost] {
        for days in [0, 1, 1, 8] {
            bridge.clock.advance(Duration::from_hours(24 * days));
            bridge.run_over("birch").await;
        }
    }
    let stands = (stands(&told).await, stands(&lost).await);
    assert_eq!(stands.0, stands.1);
    for part in ["s0@partner.example\" \"restricted", "other@partner.example\" \"joined", "late@"] {
        assert!(stands.0.iter().any(|line| line.contains(part)), "{part}: {stands:#?}");
    }
    let (told_words, lost_words) = (told.journal().await.words(), lost.journal().await.words());
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    assert_eq!(sorted(told_words), sorted(lost_words), "the same was done, if not in one order");
    told.finish_with_leftovers("Cliq still has the address of before the change").await;
    lost.finish_with_leftovers("as the other").await;
}

#[tokio::test]
async fn i34_a_thousand_events_about_one_person_are_one_look() {
    let bridge = Setup::demo().start().await;
    let id = bridge.add("birch", "bo@partner.example").await;
    for _ in 0..1_000 {
        bridge.announce("birch", &id).await;
    }
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.users.get"), 1);
    assert_eq!(journal.of("write", "portal").len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i40_whoever_comes_back_into_scope_is_noticed_by_the_schedule_without_any_event() {
    // Nothing is configured: reconciliation cannot be left out.
    let scope = "scope = { include = { profile = [\"Partner\"] } }";
    let bridge = Setup::demo().with("birch", scope).start().await;
    let user = json!({ "email": "bo@partner.example", "profile": "Standard" });
    let id = bridge.add_with("birch", user).await;
    bridge.live_for(Duration::from_mins(20)).await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0, "out of scope");
    let path = format!("/organizations/birch/crm-users/{id}");
    bridge.patch(&path, &json!({ "profile": "Partner" })).await;
    bridge.live_for(Duration::from_mins(20)).await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "within a quarter of an hour");
    assert_eq!(bridge.mails("bo@partner.example").await.len(), 1);
    bridge.finish().await;
}
