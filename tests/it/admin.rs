//! The admin API from outside: who gets in, how lists are paged, and what a resync does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::harness::{answer, rows};
use super::support::{Answer, Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

/// Five external people in Birch, mirrored.
async fn five() -> Bridge {
    let bridge = Setup::demo().start().await;
    for number in 0..5 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.settle().await;
    bridge
}

async fn run(bridge: &Bridge, id: &str) -> Value {
    bridge.admin(&format!("/runs/{id}")).await.body
}

#[tokio::test]
async fn without_the_token_nothing_answers() {
    let bridge = Setup::demo().start().await;
    let base = format!("http://{}/api/v1", bridge.admin_address());
    for path in ["/status", "/memberships", "/deliveries", "/runs/run-1", "/nothing"] {
        let url = format!("{base}{path}");
        for request in [
            bridge.http.get(&url),
            bridge.http.get(&url).bearer_auth(""),
            bridge.http.get(&url).bearer_auth("token-of-the-integration-test"),
            bridge.http.get(&url).header("authorization", "Basic dG9rZW4="),
        ] {
            let denied = answer(request).await;
            refused(&denied, 401);
            assert_eq!(denied.headers["www-authenticate"], "Bearer");
        }
    }
    refused(&answer(bridge.http.post(format!("{base}/resync"))).await, 401);
    refused(&bridge.admin("/nothing").await, 404);
    refused(&bridge.admin("/resync").await, 405);
    bridge.finish().await;
}

#[tokio::test]
async fn memberships_come_in_pages_each_once() {
    let bridge = five().await;
    let mut seen = Vec::new();
    let mut path = "/memberships?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = bridge.admin(&path).await.body;
        pages += 1;
        seen.extend(rows(&page["items"]).map(|row| row["email"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/memberships?limit=2&cursor={cursor}");
    }
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!((pages, seen.len(), different.len()), (3, 5, 5));
    bridge.finish().await;
}

#[tokio::test]
async fn deliveries_come_in_pages_newest_first() {
    let bridge = five().await;
    let first = bridge.admin("/deliveries?limit=3").await.body;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = bridge.admin(&format!("/deliveries?limit=3&cursor={cursor}")).await.body;
    assert!(second["next_cursor"].is_null());
    let ids: Vec<_> = rows(&first["items"])
        .chain(rows(&second["items"]))
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect();
    // Event numbers are shared with message ids: every second one is an event's.
    assert_eq!(ids, ["evt-8", "evt-6", "evt-4", "evt-2", "evt-0"]);
    bridge.finish().await;
}

#[tokio::test]
async fn a_full_last_page_has_no_next() {
    let bridge = five().await;
    let page = bridge.admin("/memberships?limit=5").await.body;
    assert_eq!(rows(&page["items"]).count(), 5);
    assert!(page["next_cursor"].is_null());
    bridge.finish().await;
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let bridge = five().await;
    bridge.act("/organizations/birch/members/p3@partner.example/accept", &Value::Null).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    for (query, count) in [
        ("organization=birch", 5),
        ("organization=acme", 0),
        ("state=joined", 1),
        ("state=invited", 4),
        ("q=p3@", 1),
        ("organization=birch&state=invited&q=partner", 4),
    ] {
        let page = bridge.admin(&format!("/memberships?{query}")).await.body;
        assert_eq!(rows(&page["items"]).count(), count, "{query}");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn questions_that_make_no_sense_are_400() {
    let bridge = Setup::demo().start().await;
    for path in [
        "/memberships?cursor=nonsense!",
        "/memberships?cursor=bm9uc2Vuc2U",
        "/memberships?limit=0",
        "/memberships?limit=201",
        "/memberships?limit=many",
        "/memberships?limit=-1",
        "/memberships?organisation=birch",
        "/memberships?state=happy",
        "/deliveries?limit=0",
        "/deliveries?cursor=%00",
        "/deliveries?id=1",
    ] {
        refused(&bridge.admin(path).await, 400);
    }
    for path in ["/runs/run-99", "/runs/99x", "/deliveries/dlv-99", "/deliveries/x"] {
        refused(&bridge.admin(path).await, 404);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn a_resync_that_makes_no_sense_does_nothing() {
    let bridge = Setup::demo().start().await;
    refused(&bridge.admin_post("/resync", &json!({ "organization": "oak" })).await, 404);
    refused(&bridge.admin_post("/resync", &json!({ "organisation": "birch" })).await, 400);
    refused(&bridge.admin_post("/resync", &json!(["birch"])).await, 400);
    refused(&bridge.admin_post("/resync", &json!({ "user": 7 })).await, 400);
    let dry = json!({ "organization": "oak", "dry_run": true });
    refused(&bridge.admin_post("/resync", &dry).await, 404);
    let dry = json!({ "organization": "birch", "user": " ", "dry_run": true });
    refused(&bridge.admin_post("/resync", &dry).await, 400);
    bridge.settle().await;
    assert!(bridge.journal().await.0.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn one_person_is_resynced_by_crm_id_address_or_zuid() {
    for name in ["id", "email", "zuid", "shouted", "crm_org"] {
        let bridge = Setup::demo().start().await;
        let id = bridge.add("birch", ADA).await;
        bridge.add("birch", BO).await;
        let user = match name {
            "id" | "crm_org" => id.as_str(),
            "email" => ADA,
            "shouted" => " ADA@ACME.example ",
            _ => "163315760",
        };
        let organization = if name == "crm_org" { "60005678" } else { "birch" };
        let asked = bridge.resync(json!({ "organization": organization, "user": user })).await;
        bridge.settle().await;
        assert_eq!(run(&bridge, &asked).await["state"], "done", "{name}");
        let journal = bridge.journal().await;
        let adds = journal.of("write", "portal");
        assert_eq!((adds.len(), &adds[0]["subject"]), (1, &json!(ADA)), "{name}: only Ada");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn a_person_whom_nobody_knows_fails_the_run_with_a_sentence() {
    let bridge = Setup::demo().start().await;
    for user in ["nobody@x.example", "999999", "no such person", "..", "a/b?c=d#e", "%2e", "\u{0}"]
    {
        let id = bridge.resync(json!({ "organization": "birch", "user": user })).await;
        bridge.settle().await;
        let run = run(&bridge, &id).await;
        assert_eq!(run["state"], "failed");
        assert!(run["error"].as_str().unwrap().contains("no CRM user"), "{run}");
    }
    assert!(bridge.journal().await.effects().is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_what_it_cost() {
    let bridge = Setup::demo().start().await;
    bridge.add("birch", BO).await;
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    let queued = run(&bridge, &id).await;
    assert_eq!((&queued["state"], &queued["trigger"]), (&json!("queued"), &json!("manual")));
    assert_eq!(bridge.admin("/status").await.body["queue"]["settled"], false);
    bridge.settle().await;
    let done = run(&bridge, &id).await;
    assert_eq!((&done["run_id"], &done["state"]), (&json!(id), &json!("done")));
    assert_eq!(done["organization"], "birch");
    // The CRM of Birch has its administrator, Cy and Bo.
    let verdicts = &done["counts"]["verdicts"];
    assert_eq!(verdicts["add"], 1, "{done}");
    assert_eq!(done["counts"]["invitations"], 1);
    assert_eq!((&done["calls_used"], &done["calls_needed"]), (&json!(4), &json!(4)));
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.users.list"), 1);
    assert_eq!(journal.calls("birch", "cliq.users.list"), 3);
    assert!(done["started_at"].is_string() && done["finished_at"].is_string());
    bridge.finish().await;
}

#[tokio::test]
async fn a_resync_of_everything_has_a_run_for_each_organization() {
    let bridge = Setup::demo().start().await;
    bridge.add("acme", BO).await;
    bridge.add("birch", BO).await;
    let asked = answer(
        bridge
            .http
            .post(format!("http://{}/api/v1/resync", bridge.admin_address()))
            .bearer_auth(super::support::setup::ADMIN_TOKEN),
    )
    .await;
    assert_eq!(asked.status, 202, "an empty body means everything");
    let named: Vec<_> = rows(&asked.body["runs"]).map(|run| run["organization"].clone()).collect();
    assert_eq!(named, ["acme", "birch"]);
    bridge.settle().await;
    let parent = run(&bridge, asked.body["run_id"].as_str().unwrap()).await;
    assert_eq!((&parent["state"], &parent["organization"]), (&json!("done"), &Value::Null));
    for (child, asked) in rows(&parent["runs"]).zip(rows(&asked.body["runs"])) {
        assert_eq!((&child["state"], &child["run_id"]), (&json!("done"), &asked["run_id"]));
    }
    assert_eq!(bridge.mails(BO).await.len(), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn a_person_is_resynced_wherever_known_and_known_nowhere_is_a_failure() {
    let bridge = Setup::demo().start().await;
    bridge.add("birch", BO).await;
    for (user, state) in [(BO, "done"), ("nobody@partner.example", "failed")] {
        let id = bridge.resync(json!({ "user": user })).await;
        bridge.settle().await;
        let parent = run(&bridge, &id).await;
        assert_eq!((&parent["state"], rows(&parent["runs"]).count()), (&json!(state), 2));
    }
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_failed_organization_shows_in_the_run_over_all() {
    let bridge = Setup::demo().start().await;
    bridge.add("acme", BO).await;
    let down = json!({ "kind": "status", "status": 503 });
    let more = json!({ "organization": "birch", "times": null });
    bridge.fault("crm.users.list", more, down).await;
    let id = bridge.resync(json!({})).await;
    bridge.settle().await;
    let parent = run(&bridge, &id).await;
    assert_eq!(parent["state"], "failed");
    assert_eq!(
        (&parent["runs"][0]["state"], &parent["runs"][1]["state"]),
        (&json!("done"), &json!("failed"))
    );
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn law_settles_a_world_with_nothing_to_do_is_left_alone() {
    let bridge = five().await;
    bridge.resync(json!({})).await;
    bridge.settle().await;
    let (before, effects) =
        (bridge.sandbox("/state").await, bridge.journal().await.effects().len());
    let ledger = bridge.admin("/memberships").await.body;
    let id = bridge.resync(json!({})).await;
    bridge.settle().await;
    let parent = run(&bridge, &id).await;
    assert_eq!(parent["state"], "done");
    for child in rows(&parent["runs"]) {
        assert_eq!(
            (&child["counts"]["invitations"], &child["counts"]["changed"]),
            (&json!(0), &json!(0))
        );
    }
    assert_eq!(bridge.journal().await.effects().len(), effects);
    assert_eq!(bridge.sandbox("/state").await, before);
    assert_eq!(bridge.admin("/memberships").await.body, ledger);
    bridge.finish().await;
}
