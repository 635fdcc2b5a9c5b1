//! Lists of the admin API: pages that hold while rows are added, the audit as JSON and as CSV, and the
//! metrics, which say what the sandbox's journal says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::{answer, rows};
use super::support::setup::{ADMIN_TOKEN, OURS};
use super::support::traces::ADMIN as IT;
use super::support::{Answer, Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

async fn get(bridge: &Bridge, path: &str, accept: &str) -> Answer {
    let url = format!("http://{}{path}", bridge.admin_address());
    answer(bridge.http.get(url).bearer_auth(ADMIN_TOKEN).header("accept", accept)).await
}

#[tokio::test]
async fn pages_hold_while_rows_are_added_and_none_comes_twice_or_is_lost() {
    let bridge = Setup::demo().start().await;
    let post = async |number: usize| {
        let mut event = bridge.event("user.nothing_of_ours", "birch", "1");
        event["event_id"] = format!("evt-{number}").into();
        assert_eq!(bridge.webhook("deluge", &event).await.body["status"], "ignored");
    };
    for number in 0..450 {
        post(number).await;
    }
    let mut seen = Vec::new();
    let mut path = "/deliveries?limit=200&source=deluge&status=ignored".to_owned();
    let first = path.clone();
    let mut sizes = Vec::new();
    loop {
        let page = bridge.admin(&path).await.body;
        let ids = rows(&page["items"]).map(|row| row["event_id"].as_str().unwrap().to_owned());
        let ids: Vec<_> = ids.collect();
        sizes.push(ids.len());
        seen.extend(ids);
        post(1_000 + sizes.len()).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        path = format!("{first}&cursor={cursor}");
    }
    assert_eq!(sizes, [200, 200, 50]);
    let expected: Vec<_> = (0..450).rev().map(|number| format!("evt-{number}")).collect();
    assert_eq!(seen, expected, "newest first, each once, and none that came later");
    for (query, count) in [("source=crmplus", 0), ("status=accepted", 0), ("event_id=evt-7", 1)] {
        let page = bridge.admin(&format!("/deliveries?{query}")).await.body;
        assert_eq!(rows(&page["items"]).count(), count, "{query}");
    }
    assert_eq!(bridge.admin("/deliveries?status=duplicate").await.status, 400);
    bridge.finish().await;
}

/// Reads CSV as RFC 4180 says.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        assert_eq!(letter, '"', "every cell is quoted");
        loop {
            match letters.next().unwrap() {
                '"' if letters.peek() == Some(&'"') => cell.extend(letters.next()),
                '"' => break,
                other => cell.push(other),
            }
        }
        record.push(std::mem::take(&mut cell));
        match letters.next() {
            Some(',') => {}
            Some('\r') => {
                assert_eq!(letters.next(), Some('\n'));
                records.push(std::mem::take(&mut record));
            }
            other => panic!("{other:?} after a cell"),
        }
    }
    assert!(record.is_empty() && cell.is_empty());
    records
}

#[tokio::test]
async fn the_audit_is_csv_in_which_a_name_is_no_formula() {
    let bridge = Setup::demo().start().await;
    let first = "=cmd|' /C calc'!A0 🎉";
    let user = json!({ "email": BO, "first_name": first, "last_name": "O'\"Neill,\nJr" });
    let id = bridge.add_with("birch", user).await;
    bridge.announce("birch", &id).await;
    bridge.added("birch", EVE).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;

    let json = bridge.admin("/audit?limit=200").await.body;
    let csv = get(&bridge, "/api/v1/audit", "text/csv").await;
    assert!(csv.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let records = parse(&csv.text);
    assert_eq!(records.len(), 1 + rows(&json["items"]).count());
    let head = &records[0];
    let column = |name: &str| head.iter().position(|title| title == name).unwrap();
    for (record, row) in records[1..].iter().zip(rows(&json["items"])) {
        assert_eq!(record[column("id")], row["id"].as_str().unwrap());
        assert_eq!(record[column("reason")], row["reason"].as_str().unwrap());
        assert_eq!(record[column("email")], row["email"].as_str().unwrap_or_default());
        for cell in record {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
    }
    let bo = records.iter().find(|record| record[column("email")] == BO).unwrap();
    assert!(bo[column("name")].starts_with(&format!("'{first}")), "{bo:?}");
    assert!(bo[column("name")].contains("O'\"Neill,"), "{bo:?}");
    let shown = rows(&json["items"]).find(|row| row["email"] == BO).unwrap();
    assert!(shown["name"].as_str().unwrap().starts_with(first), "JSON needs no guard: {shown}");

    let mut paged = Vec::new();
    let mut path = "/api/v1/audit?format=csv&limit=2".to_owned();
    loop {
        let page = get(&bridge, &path, "*/*").await;
        let mut lines = parse(&page.text);
        assert_eq!(lines.remove(0), *head);
        paged.extend(lines);
        let Some(cursor) = page.headers.get("next-cursor") else { break };
        path = format!("/api/v1/audit?format=csv&limit=2&cursor={}", cursor.to_str().unwrap());
    }
    assert_eq!(paged, records[1..], "the pages are the stream");
    bridge.finish().await;
}

#[tokio::test]
async fn the_audit_is_filtered_by_organization_membership_actor_and_time() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.clock.advance_to(bridge.now() + Duration::from_hours(1));
    let later = bridge.now();
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle().await;
    let bo = bridge.membership("birch", BO).await["id"].as_str().unwrap().to_owned();
    let found = async |query: &str| -> Vec<Value> {
        rows(&bridge.admin(&format!("/audit?limit=200&{query}")).await.body["items"])
            .cloned()
            .collect()
    };
    let all = found("").await;
    let mut times: Vec<_> = all.iter().map(|row| row["at"].as_str().unwrap()).collect();
    times.reverse();
    assert!(times.is_sorted(), "newest first: {times:?}");
    let of_birch = found("organization=birch").await;
    assert!(!of_birch.is_empty() && of_birch.iter().all(|row| row["organization"] == "birch"));
    let of_bo = found(&format!("membership={bo}")).await;
    assert!(!of_bo.is_empty() && of_bo.iter().all(|row| row["membership"] == bo.as_str()));
    let since = found(&format!("since={}", later.to_rfc3339())).await;
    assert!(!since.is_empty() && since.iter().all(|row| row["organization"] == "acme"));
    let asked = found("actor=bootstrap").await;
    assert_eq!((asked.len(), &asked[0]["event"]), (1, &json!("resync_asked")));
    assert_eq!(asked[0]["run_id"], "run-1");
    assert!(found("actor=nobody").await.is_empty());
    bridge.finish().await;
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, i64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn i36_the_counters_say_what_the_sandboxs_journal_says() {
    let mut bridge = Setup::demo().start().await;
    for number in 0..5 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.settle().await;
    let refused = json!({ "status": "refused", "code": "no_permission", "message": "no" });
    let fault = json!({ "kind": "status", "status": 200, "body": refused });
    bridge.fault("portal", json!({ "times": 1 }), fault).await;
    bridge.added("acme", BO).await;
    bridge.settle().await;
    let event = bridge.event("user.updated", "birch", "1");
    for _ in 0..3 {
        bridge.webhook("crmplus", &event).await;
    }
    let forged = bridge.post("crmplus", &[], b"{}").await;
    assert_eq!(forged.status, 401);
    assert_eq!(bridge.post("nobody", &[], b"{}").await.status, 404);
    bridge.resync(json!({})).await;
    bridge.settle().await;
    bridge.settle_for(Duration::from_mins(15)).await;
    // Counters are the store's: a restart does not begin them anew.
    bridge.restart().await;

    let page = get(&bridge, "/metrics", "*/*").await;
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let shown = samples(&page.text);
    let value =
        |name: &str| shown.get(name).copied().unwrap_or_else(|| panic!("{name} in {}", page.text));
    let journal = bridge.journal().await;
    let count = |rows: usize| i64::try_from(rows).unwrap();
    let done = |operation: &str| {
        value(&format!("cliqbridge_actions_total{{operation=\"{operation}\",outcome=\"done\"}}"))
    };
    assert_eq!(done("add_external"), count(journal.portal_writes("add_external")));
    let parked = "cliqbridge_actions_total{operation=\"add_external\",outcome=\"parked\"}";
    assert_eq!(value(parked), 1);
    assert_eq!(value("cliqbridge_zoho_calls_total{group=\"portal\"}"), 6);
    let calls = journal.calls("birch", "portal") + journal.calls("acme", "portal");
    assert_eq!(count(calls), 6);
    let all = bridge.sandbox("/mailboxes").await;
    let ours = |address: &dyn Fn(&str) -> bool| {
        let boxes = rows(&all["mailboxes"]).filter(|one| address(one["address"].as_str().unwrap()));
        boxes.flat_map(|one| rows(&one["mails"])).filter(|mail| mail["from"] == OURS).count()
    };
    assert_eq!(done("letter"), count(ours(&|address| address != IT)));
    assert_eq!(done("admin_mail"), count(ours(&|address| address == IT)));

    let answered =
        |status: &str| value(&format!("cliqbridge_deliveries_total{{status=\"{status}\"}}"));
    let said = ["accepted", "duplicate", "ignored", "rejected"].map(answered);
    assert_eq!(said, [7, 2, 0, 2]);
    assert_eq!(value("cliqbridge_rejections_total{class=\"unknown_source\"}"), 1);
    let classes: i64 = shown
        .iter()
        .filter(|(name, _)| name.starts_with("cliqbridge_rejections_total"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(classes, 2);
    let states: i64 = ["done", "degraded"]
        .iter()
        .filter_map(|state| shown.get(&format!("cliqbridge_runs_total{{state=\"{state}\"}}")))
        .sum();
    assert_eq!(states, 2);
    assert_eq!(value("cliqbridge_actions{state=\"parked\"}"), 1);
    assert_eq!(value("cliqbridge_memberships{organization=\"birch\",state=\"invited\"}"), 5);
    assert!(value("cliqbridge_seconds_since_good_run{organization=\"birch\"}") >= 900);

    bridge.finish().await;
}

#[tokio::test]
async fn gauges_say_what_is_paused_and_left_alone_and_no_label_names_a_person() {
    let bridge = Setup::demo().start().await;
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": false })).await;
    bridge.added("acme", BO).await;
    bridge.admin_post("/pause", &json!({ "organization": "acme" })).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(5)).await;
    let shown = samples(&get(&bridge, "/metrics", "*/*").await.text);
    let gauge = |name: &str, id: &str| shown[&format!("{name}{{organization=\"{id}\"}}")];
    assert_eq!((gauge("cliqbridge_paused", "acme"), gauge("cliqbridge_paused", "birch")), (1, 0));
    assert_eq!(gauge("cliqbridge_no_good_run", "birch"), 0);
    let quarantined = ["acme", "birch"].map(|id| gauge("cliqbridge_quarantined", id));
    assert_eq!(quarantined, [0, 1]);
    assert_eq!(shown["cliqbridge_runs_total{state=\"failed\"}"], 1);
    assert!(!shown.contains_key("cliqbridge_seconds_since_good_run{organization=\"birch\"}"));
    let personal: BTreeSet<_> = shown.keys().filter(|name| name.contains("partner")).collect();
    assert!(personal.is_empty(), "{personal:?}");
    bridge.finish_with_leftovers("one organization is paused, the other left alone").await;
}

#[tokio::test]
async fn i15_a_good_run_counts_from_its_plan_and_not_from_the_end_of_its_work() {
    let bridge = Setup::demo().start().await;
    let since = async || bridge.gauge("cliqbridge_seconds_since_good_run", "birch").await;
    assert_eq!(since().await, None, "there was none");
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    bridge.add("birch", BO).await;
    let run = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_hours(1)).await;
    let state = async || bridge.admin(&format!("/runs/{run}")).await.body["state"].clone();
    assert_eq!(state().await, "applying", "its one action is held back");
    let hour = 3_500..=3_600;
    assert!(hour.contains(&since().await.unwrap()), "{:?}", since().await);
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_eq!(state().await, "done");
    assert!(since().await.unwrap() > 3_500, "{:?}", since().await);
    bridge.finish().await;
}
