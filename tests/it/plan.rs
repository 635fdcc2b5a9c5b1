//! The plan as a value: dry runs, its checksum, and what a run keeps of it (design section 7).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::Bridge;
use super::support::Setup;
use super::support::channels::{BO, EVE, EXT, PEOPLE, mapped};
use super::support::harness::rows;
use super::support::people::population;
use super::support::plans::{lines, partners};

const HOUR: Duration = Duration::from_hours(1);

impl Bridge {
    /// How many a list that counts says there are, and how many are on its first page.
    async fn list(&self, path: &str) -> (u64, usize) {
        let page = self.admin(&format!("{path}?limit=200")).await.body;
        (page["count"].as_u64().unwrap(), rows(&page["items"]).count())
    }
}

fn one(operation: &str, email: &str) -> Vec<(String, String)> {
    vec![(operation.to_owned(), email.to_owned())]
}

#[tokio::test]
async fn plan_apply_plan_again_is_nothing_to_do() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let plan = bridge.plan().await;
    assert_eq!(lines(&plan["actions"]), one("add_external", BO), "{plan}");
    let line = &plan["actions"][0];
    assert_eq!(line["crm_user_id"], bo);
    assert_eq!((&line["before"], &line["after"]), (&Value::Null, &json!("invited")));
    assert!(line["reason"].as_str().unwrap().contains("added through the portal"), "{plan}");
    assert_eq!((&plan["held"], &plan["guard"]["verdict"]), (&json!([]), &json!("passed")));
    assert_eq!(plan["checksum"].as_str().unwrap().len(), 64);
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["checksum"]), (&json!("done"), &plan["checksum"]), "{run}");
    let kept = bridge.admin(&format!("/runs/{}/plan", run["run_id"].as_str().unwrap())).await.body;
    assert_eq!(kept["actions"], plan["actions"]);
    let again = bridge.plan().await;
    assert_eq!((&again["actions"], &again["held"]), (&json!([]), &json!([])), "{again}");
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    let again = bridge.plan().await;
    assert_eq!((&again["actions"], &again["counts"]["changed"]), (&json!([]), &json!(1)));
    bridge.run_birch().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_dry_run_writes_nothing_whatever_it_sees() {
    let channels = mapped(&["ext"]);
    let setup = Setup::demo().with("acme", &channels).world("acme", EXT).people(PEOPLE);
    let bridge = setup.start().await;
    for email in [BO, EVE] {
        bridge.add("acme", email).await;
    }
    bridge.add("birch", EVE).await;
    let before = bridge.stored();
    let plan = bridge.plan_of(json!({})).await;
    assert_eq!(bridge.stored(), before);
    assert_eq!(lines(&plan["actions"]).len(), 5, "three adds and two channels: {plan}");
    // The same of one person, and by another name of the organization.
    let plan = bridge.plan_of(json!({ "organization": "60001234", "user": EVE })).await;
    let asked: Vec<_> =
        lines(&plan["actions"]).into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(asked, ["add_external", "channel_add"], "{plan}");
    assert_eq!(bridge.stored(), before);
    assert!(bridge.journal().await.effects().is_empty());
    assert!(bridge.mails("it@bridge.example").await.is_empty());
    // What it said is what a run does.
    let plan = bridge.plan_of(json!({ "organization": "acme" })).await;
    let run = bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_eq!(run["checksum"], plan["checksum"]);
    let done = &run["counts"]["done"];
    assert_eq!((&done["add_external"], &done["channel_add"]), (&json!(2), &json!(2)), "{run}");
    let after = bridge.plan_of(json!({ "organization": "acme" })).await;
    assert_eq!(after["actions"], json!([]), "{after}");
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_dry_run_over_all_has_everything_twice_and_one_checksum() {
    let bridge = Setup::demo().start().await;
    bridge.add("acme", BO).await;
    bridge.add("birch", BO).await;
    let plan = bridge.plan_of(json!({})).await;
    let organizations: Vec<&Value> =
        rows(&plan["actions"]).map(|line| &line["organization"]).collect();
    assert_eq!(organizations, ["acme", "birch"]);
    assert_eq!(plan["plans"][1], bridge.plan().await);
    let again = bridge.plan_of(json!({})).await;
    assert_eq!((&again["checksum"], &again["errors"]), (&plan["checksum"], &json!([])));
    bridge.run_birch().await;
    assert_ne!(bridge.plan_of(json!({})).await["checksum"], plan["checksum"]);
    for asked in [json!({ "user": "nobody@partner.example" }), json!({ "organization": "oak" })] {
        let mut asked = asked;
        asked["dry_run"] = true.into();
        assert_eq!(bridge.admin_post("/resync", &asked).await.status, 404);
    }
    bridge.resync(json!({})).await;
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_dry_run_looks_at_a_quarantined_organization_and_a_failed_read_plans_nothing() {
    let bridge = Setup::demo().start().await;
    bridge.add("birch", BO).await;
    let shut = json!({ "kind": "status", "status": 401 });
    bridge.fault("crm.users.list", json!({ "organization": "birch", "times": 12 }), shut).await;
    assert_eq!(bridge.run_birch().await["state"], "failed");
    assert!(bridge.organization("birch").await["quarantine"].is_object());
    let asked = json!({ "organization": "birch", "dry_run": true });
    let refused = bridge.admin_post("/resync", &asked).await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("birch could not be read"));
    bridge.clear_faults().await;
    let plan = bridge.plan().await;
    assert_eq!(lines(&plan["actions"]), one("add_external", BO));
    assert!(bridge.organization("birch").await["quarantine"].is_object(), "only looked at");
    bridge.run_birch().await;
    bridge.finish().await;
}

#[tokio::test]
async fn runs_are_listed_newest_first_in_pages_and_by_state() {
    let bridge = Setup::demo().start().await;
    for _ in 0..3 {
        bridge.run_birch().await;
    }
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle().await;
    let all = bridge.admin("/runs").await.body;
    let ids: Vec<&str> = rows(&all["items"]).map(|run| run["run_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["run-4", "run-3", "run-2", "run-1"]);
    let first = bridge.admin("/runs?organization=birch&limit=2").await.body;
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/runs?organization=birch&limit=2&cursor={cursor}");
    let second = bridge.admin(&path).await.body;
    let run = &second["items"][0];
    assert_eq!((&run["run_id"], &second["next_cursor"]), (&json!("run-1"), &Value::Null));
    // A run that did nothing keeps next to nothing, and shows its plan all the same.
    let kept = bridge.admin("/runs/run-1/plan").await.body;
    assert_eq!((&kept["actions"], &kept["checksum"]), (&json!([]), &run["checksum"]), "{kept}");
    assert_eq!(kept["calls_used"], run["calls_used"]);
    assert_eq!(bridge.admin("/runs?state=held").await.body["items"], json!([]));
    assert_eq!(bridge.admin("/runs?state=odd").await.status, 400);
    for path in ["/runs/run-9", "/runs/run-9/plan", "/runs/x/plan"] {
        assert_eq!(bridge.admin(path).await.status, 404, "{path}");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn i26_whoever_is_deleted_and_added_anew_is_never_both_removed_and_added() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    // The administrator deletes two and adds them anew: other ids, the same people.
    for (id, email) in ids.iter().zip(&people).take(2) {
        bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
        bridge.add("birch", email).await;
    }
    for _ in 0..3 {
        let plan = bridge.plan().await;
        let mut seen = std::collections::BTreeSet::new();
        for (operation, email) in lines(&plan["actions"]).into_iter().chain(lines(&plan["held"])) {
            assert!(seen.insert(email.clone()), "{operation} and more for {email}: {plan}");
        }
        bridge.run_birch().await;
        bridge.clock.advance(HOUR * 25);
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 12, "the adds and nothing else");
    bridge.finish().await;
}

#[tokio::test]
async fn i36_what_a_run_counts_is_what_the_journal_shows() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    bridge.add("birch", BO).await;
    // One leaver, one newcomer; and the answer to the restriction is lost once.
    let lost = json!({ "kind": "apply_then_drop" });
    bridge.delete(&format!("/organizations/birch/crm-users/{}", ids[0])).await;
    bridge.run_birch().await;
    bridge.clock.advance(HOUR * 24);
    bridge.add("birch", EVE).await;
    bridge.fault("portal", json!({ "organization": "birch" }), lost).await;
    let before = (bridge.portal_did("restrict").await, bridge.portal_did("add_external").await);
    let run = bridge.run_birch().await;
    let after = (bridge.portal_did("restrict").await, bridge.portal_did("add_external").await);
    let done = &run["counts"]["done"];
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    assert_eq!((&done["restrict"], &done["add_external"]), (&json!(1), &json!(1)), "{run}");
    // A week later the removal: the report never says less than was done.
    bridge.clock.advance(HOUR * 24 * 8);
    let run = bridge.run_birch().await;
    assert_eq!(bridge.portal_did("remove_external").await, 1);
    assert_eq!(run["counts"]["done"], json!({ "remove_external": 1 }), "{run}");
    bridge.finish().await;
}

/// A hundred people whom others brought into Birch's Cliq; half of them are in its CRM too.
fn planted() -> &'static str {
    let mut tables = String::new();
    for number in 0..100 {
        let email = format!("f{number}@foreign.example");
        let zuid = 163_400_000 + number;
        let row = writeln!(
            tables,
            "[[people]]\nemail = \"{email}\"\nfirst_name = \"F\"\nlast_name = \"{number}\"\n\
             zuid = \"{zuid}\"\nhome = \"elsewhere\"\n\
             [[cliq_users]]\norganization = \"birch\"\nemail = \"{email}\"\nstatus = \"active\""
        );
        row.unwrap();
        if number % 2 == 0 {
            let id = 778_120_000_000_500_u64 + number;
            let row = writeln!(
                tables,
                "[[crm_users]]\norganization = \"birch\"\nid = \"{id}\"\nemail = \"{email}\"\n\
                 profile = \"Standard\"\nrole = \"Design\""
            );
            row.unwrap();
        }
    }
    Box::leak(tables.into_boxed_str())
}

#[tokio::test]
async fn i1_a_hundred_foreign_rows_are_no_line_of_any_plan_and_no_write_of_fifty_runs() {
    let bridge = Setup::demo().people(planted()).start().await;
    assert_eq!(bridge.run_birch().await["state"], "done");
    // Then the fifty leave CRM, which is a reason to take away whoever is ours.
    for number in (0..100).step_by(2) {
        let id = 778_120_000_000_500_u64 + number;
        bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    }
    for _ in 0..50 {
        let run = bridge.run_birch().await;
        assert_eq!(
            (&run["state"], &run["counts"]["removals"]),
            (&json!("done"), &json!(0)),
            "{run}"
        );
        bridge.clock.advance(HOUR * 25);
    }
    let plan = bridge.plan().await;
    assert_eq!((&plan["actions"], &plan["held"]), (&json!([]), &json!([])));
    assert!(bridge.journal().await.effects().is_empty());
    bridge.finish_with_leftovers("rows of others are in no ledger").await;
}

#[tokio::test]
async fn i1_rows_that_are_foreign_to_the_ledger_are_listed_and_untouched() {
    let bridge = Setup::demo().people(planted()).start().await;
    let plan = bridge.plan().await;
    assert_eq!(plan["foreign"]["count"], 50, "the others are in CRM: {plan}");
    assert_eq!(bridge.list("/organizations/birch/foreign").await.0, 0, "only looked at");
    let run = bridge.run_birch().await;
    assert_eq!(run["foreign"], plan["foreign"]);
    assert_eq!(run["counts"]["foreign"], 50);
    let shown: Vec<&Value> = rows(&run["foreign"]["rows"]).collect();
    assert_eq!(shown.len(), 20, "the first of them");

    let mut all = std::collections::BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/organizations/birch/foreign?limit=20{cursor}");
        let page = bridge.admin(&path).await.body;
        assert_eq!(page["count"], 50);
        for row in rows(&page["items"]) {
            assert_eq!(row["status"], "active", "{row}");
            assert!(row["cliq_user_id"].is_string() && row["first_seen_at"].is_string(), "{row}");
            all.insert(row["email"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let odd = |number: &u32| number % 2 == 1;
    let foreign = (0..100).filter(odd).map(|number| format!("f{number}@foreign.example"));
    assert_eq!(all, foreign.collect());

    // One goes, and one comes into CRM: the list follows, and nobody is written to.
    bridge.by_hand("birch", "f1@foreign.example", "remove").await;
    bridge.add("birch", "f3@foreign.example").await;
    let run = bridge.run_birch().await;
    assert_eq!(run["foreign"]["count"], 48, "{run}");
    assert_eq!(bridge.list("/organizations/birch/foreign").await, (48, 48));
    assert_eq!(bridge.admin("/organizations/oak/foreign").await.status, 404);
    assert!(bridge.journal().await.effects().is_empty());
    bridge.finish_with_leftovers("rows of others are in no ledger").await;
}

#[tokio::test]
async fn a_snapshot_has_an_id_that_stands_in_the_plan_and_in_the_run() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let ids = |shown: &Value| -> [String; 2] {
        ["crm", "cliq"].map(|side| {
            let id = shown["snapshot"][side]["id"].as_str();
            id.unwrap_or_else(|| panic!("{side}: {shown}")).to_owned()
        })
    };
    let content = |id: &String| id.rsplit('-').next().unwrap().to_owned();
    let plan = bridge.plan().await;
    assert_eq!(ids(&plan), ids(&bridge.plan().await), "one moment, one world");
    let run = bridge.run_birch().await;
    let kept = bridge.admin("/runs/run-1/plan").await.body;
    assert_eq!(ids(&run), ids(&kept));
    assert_eq!(ids(&run).map(|id| content(&id)), ids(&plan).map(|id| content(&id)), "read alike");
    bridge.clock.advance(HOUR);
    let later = ids(&bridge.plan().await);
    assert_ne!(later, ids(&run), "another moment");
    assert_eq!(content(&later[0]), content(&ids(&run)[0]), "CRM shows the same");
    assert_ne!(content(&later[1]), content(&ids(&run)[1]), "Cliq shows Bo");
    bridge.patch(&format!("/organizations/birch/crm-users/{bo}"), &json!({ "email": EVE })).await;
    assert_ne!(content(&ids(&bridge.plan().await)[0]), content(&later[0]));
    bridge.patch(&format!("/organizations/birch/crm-users/{bo}"), &json!({ "email": BO })).await;
    bridge.finish().await;
}

#[tokio::test]
async fn every_line_of_a_large_plan_can_be_seen_before_it_is_approved() {
    const PEOPLE: usize = 5_300;
    let crowd = population("birch", 10_000, PEOPLE, None).leak();
    let setup = Setup::demo().with("birch", "first_run = \"plan\"").people(crowd);
    let bridge = setup.start().await;
    let planned = bridge.plan().await;
    assert_eq!(rows(&planned["held"]).count(), PEOPLE, "a dry run shows all of it");
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["checksum"]), (&json!("held"), &planned["checksum"]));

    let first = bridge.admin("/runs/run-1/plan").await.body;
    assert_eq!(rows(&first["held"]).count(), 5_000);
    assert_eq!(first["checksum"], planned["checksum"]);
    let (mut lines, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/runs/run-1/plan?limit=1700{cursor}");
        let page = bridge.admin(&path).await.body;
        lines.extend(rows(&page["held"]).cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::from(lines), planned["held"]);
    for wrong in ["limit=0", "limit=5001", "cursor=x!"] {
        let path = format!("/runs/run-1/plan?{wrong}");
        assert_eq!(bridge.admin(&path).await.status, 400, "{wrong}");
    }
    bridge.finish_with_leftovers("nobody approves it").await;
}
