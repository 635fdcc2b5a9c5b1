//! Every address of the admin door × {no token, bad token, viewer, operator, expired} has its answer,
//! and every command that was accepted leaves one step in the audit, by the name of its token.
//!
//! An address that is registered and not in [`TABLE`] fails; a new one is one line.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::harness::{answer, rows};
use super::support::{Answer, Bridge, Setup};

const BO: &str = "bo@partner.example";

/// What stands in the world: `mem-1` is Bo in Birch, invited after `dlv-1`; `act-1` has added him;
/// `run-1` is a run over Birch. Method, registered path, the path that is asked for, body, and what
/// an operator hears. Commands stand in the order in which they are given.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/api/v1/status", "/api/v1/status", "", 200),
    ("POST", "/api/v1/resync", "/api/v1/resync", r#"{"organization":"birch"}"#, 202),
    ("GET", "/api/v1/runs", "/api/v1/runs?organization=birch", "", 200),
    ("GET", "/api/v1/runs/{id}", "/api/v1/runs/run-1", "", 200),
    ("GET", "/api/v1/runs/{id}/plan", "/api/v1/runs/run-1/plan", "", 200),
    ("POST", "/api/v1/runs/{id}/approve", "/api/v1/runs/run-1/approve", r#"{"checksum":"0"}"#, 409),
    ("GET", "/api/v1/memberships", "/api/v1/memberships?state=invited", "", 200),
    ("GET", "/api/v1/memberships/{id}", "/api/v1/memberships/mem-1", "", 200),
    ("POST", "/api/v1/memberships/adopt", "/api/v1/memberships/adopt", r#"{"organization":"birch"}"#, 200),
    ("POST", "/api/v1/memberships/{id}/{verb}", "/api/v1/memberships/mem-1/release", "", 200),
    ("POST", "/api/v1/memberships/{id}/{verb}", "/api/v1/memberships/mem-1/adopt", "", 200),
    ("POST", "/api/v1/memberships/{id}/{verb}", "/api/v1/memberships/mem-1/restrict", "", 409),
    ("POST", "/api/v1/memberships/{id}/{verb}", "/api/v1/memberships/mem-1/resend", "", 200),
    ("GET", "/api/v1/channels", "/api/v1/channels", "", 200),
    ("GET", "/api/v1/people", "/api/v1/people", "", 200),
    ("GET", "/api/v1/people/{id}", "/api/v1/people/mem-1", "", 200),
    ("POST", "/api/v1/people/{id}/confirm-home", "/api/v1/people/mem-1/confirm-home", "", 200),
    ("GET", "/api/v1/explain/{person}", "/api/v1/explain/bo@partner.example?organization=birch", "", 200),
    ("GET", "/api/v1/limits", "/api/v1/limits", "", 200),
    ("GET", "/api/v1/compliance", "/api/v1/compliance", "", 200),
    ("GET", "/api/v1/conflicts", "/api/v1/conflicts", "", 200),
    ("GET", "/api/v1/organizations/{id}/foreign", "/api/v1/organizations/birch/foreign", "", 200),
    ("POST", "/api/v1/organizations/{id}/approve-downgrade", "/api/v1/organizations/birch/approve-downgrade", "", 409),
    ("POST", "/api/v1/organizations/{id}/poll-plan", "/api/v1/organizations/birch/poll-plan", "", 200),
    ("GET", "/api/v1/deliveries", "/api/v1/deliveries?source=crmplus", "", 200),
    ("GET", "/api/v1/deliveries/{id}", "/api/v1/deliveries/dlv-1", "", 200),
    ("POST", "/api/v1/deliveries/{id}/replay", "/api/v1/deliveries/dlv-1/replay", "", 202),
    ("GET", "/api/v1/actions", "/api/v1/actions?state=done", "", 200),
    ("POST", "/api/v1/actions/{id}/retry", "/api/v1/actions/act-1/retry", "", 409),
    ("GET", "/api/v1/audit", "/api/v1/audit?format=csv", "", 200),
    ("POST", "/api/v1/pause", "/api/v1/pause", "", 200),
    ("POST", "/api/v1/resume", "/api/v1/resume", "{}", 200),
    ("GET", "/api/v1/tokens", "/api/v1/tokens", "", 200),
    ("POST", "/api/v1/tokens", "/api/v1/tokens", r#"{"name":"spare","role":"viewer"}"#, 201),
    ("DELETE", "/api/v1/tokens/{name}", "/api/v1/tokens/spare", "", 200),
    ("GET", "/metrics", "/metrics", "", 200),
];

async fn ask(bridge: &Bridge, line: (&str, &str, &str), token: Option<&str>) -> Answer {
    let (method, path, body) = line;
    let url = format!("http://{}{path}", bridge.admin_address());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = bridge.http.request(method, url).body(body.to_owned());
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

async fn token(bridge: &Bridge, name: &str, role: &str, expires: &str) -> String {
    let body = json!({ "name": name, "role": role, "expires": expires });
    let made = bridge.admin_post("/tokens", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["token"].as_str().unwrap().to_owned()
}

async fn steps_by(bridge: &Bridge, actor: &str) -> usize {
    rows(&bridge.admin(&format!("/audit?limit=200&actor={actor}")).await.body["items"]).count()
}

#[tokio::test]
async fn every_address_has_its_answer_for_everybody_and_commands_leave_a_step() {
    let registered: BTreeSet<_> = cliqbridge::http::admin_routes()
        .into_iter()
        .map(|(method, path)| (method.to_string(), path))
        .collect();
    let tabled: BTreeSet<_> =
        TABLE.iter().map(|line| (line.0.to_owned(), line.1.to_owned())).collect();
    assert_eq!(registered, tabled, "registered (left) and in the table (right)");

    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    let viewer = token(&bridge, "grafana", "viewer", "90d").await;
    let operator = token(&bridge, "ops", "operator", "never").await;
    let expired = token(&bridge, "old", "operator", "1s").await;
    bridge.clock.advance_to(bridge.now() + Duration::from_secs(1));

    for (method, _, path, body, good) in TABLE {
        let line = (*method, *path, *body);
        for (who, token, status) in [
            ("no token", None, 401),
            ("expired", Some(&expired), 401),
            ("viewer", Some(&viewer), if *method == "GET" { *good } else { 403 }),
        ] {
            let said = ask(&bridge, line, token.map(String::as_str)).await;
            assert_eq!(said.status, status, "{method} {path} with {who}: {said:?}");
            if status != *good {
                assert_eq!(said.headers["content-type"], "application/problem+json");
            }
            assert_eq!(said.headers.contains_key("www-authenticate"), status == 401);
        }
        // A wrong token each minute is no guessing.
        let wrong = ask(&bridge, line, Some("cliqbridge_wrong")).await;
        assert_eq!(wrong.status, 401, "{method} {path}: {wrong:?}");
        bridge.clock.advance_to(bridge.now() + Duration::from_mins(1));

        let before = steps_by(&bridge, "ops").await;
        let said = ask(&bridge, line, Some(&operator)).await;
        assert_eq!(said.status, *good, "{method} {path} with operator: {said:?}");
        let accepted = usize::from(*method != "GET" && *good < 300);
        // A person's home stands in each history of the person too.
        let histories = usize::from(path.ends_with("/confirm-home"));
        let steps = steps_by(&bridge, "ops").await - before;
        assert_eq!(steps, accepted + histories, "{method} {path}");
    }
    for silent in ["grafana", "old"] {
        assert_eq!(steps_by(&bridge, silent).await, 0);
    }
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn whatever_is_refused_is_a_problem() {
    let bridge = Setup::demo().start().await;
    let admin = super::support::setup::ADMIN_TOKEN;
    let large = format!("{{\"organization\":\"{}\"}}", "x".repeat(70_000));
    for (line, status) in [
        (("GET", "/api/v1/nothing", ""), 404),
        (("GET", "/nothing", ""), 404),
        (("POST", "/api/v1/memberships/%ff/adopt", ""), 400),
        (("POST", "/api/v1/resync", large.as_str()), 413),
        (("POST", "/api/v1/pause", "[]"), 400),
        (("POST", "/api/v1/pause", r#"{"organization":"oak"}"#), 404),
        (("POST", "/api/v1/tokens", r#"{"name":"=cmd","role":"viewer"}"#), 400),
        (("POST", "/api/v1/tokens", r#"{"name":"a","role":"root"}"#), 400),
        (("POST", "/api/v1/tokens", r#"{"name":"a","role":"viewer","expires":"soon"}"#), 400),
        (("DELETE", "/api/v1/tokens/nobody", ""), 404),
        (("GET", "/api/v1/actions?state=happy", ""), 400),
        (("GET", "/api/v1/audit?since=yesterday", ""), 400),
        (("GET", "/api/v1/audit?limit=1000", ""), 400),
        (("POST", "/api/v1/actions/act-99/retry", ""), 404),
        (("POST", "/api/v1/deliveries/dlv-99/replay", ""), 404),
    ] {
        let said = ask(&bridge, line, Some(admin)).await;
        assert_eq!(said.status, status, "{line:?}: {said:?}");
        assert_eq!(said.headers["content-type"], "application/problem+json", "{line:?}");
        assert_eq!(said.body["status"], status);
    }
    for (line, allow) in [
        (("PUT", "/api/v1/tokens", ""), "GET,HEAD,POST"),
        (("POST", "/api/v1/status", ""), "GET,HEAD"),
        (("GET", "/api/v1/resync", ""), "POST"),
        (("POST", "/metrics", ""), "GET,HEAD"),
    ] {
        let said = ask(&bridge, line, Some(admin)).await;
        assert_eq!((said.status, &said.headers["allow"]), (405, &allow.parse().unwrap()));
        assert_eq!(said.headers["content-type"], "application/problem+json", "{line:?}");
    }
    let url = format!("http://{}/webhooks/crmplus", bridge.public());
    let said = answer(bridge.http.get(url)).await;
    assert_eq!((said.status, &said.headers["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(said.headers["content-type"], "application/problem+json");
    bridge.finish().await;
}

#[tokio::test]
async fn wrong_tokens_shut_the_door_for_a_minute_to_that_address_alone() {
    let bridge = Setup::demo().start().await;
    let admin = super::support::setup::ADMIN_TOKEN;
    let status = ("GET", "/api/v1/status", "");
    let old = token(&bridge, "old", "viewer", "1s").await;
    bridge.clock.advance_to(bridge.now() + Duration::from_secs(1));
    for _ in 0..20 {
        // No token, and one that once was right, are no guesses.
        assert_eq!(ask(&bridge, status, None).await.status, 401);
        assert_eq!(ask(&bridge, status, Some(&old)).await.status, 401);
    }
    for number in 0..10 {
        assert_eq!(ask(&bridge, status, Some("wrong")).await.status, 401, "{number}");
    }
    let shut = ask(&bridge, status, Some("wrong")).await;
    assert_eq!((shut.status, &shut.headers["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(shut.headers["content-type"], "application/problem+json");
    assert_eq!(ask(&bridge, status, Some(admin)).await.status, 200, "guessing keeps nobody out");

    let elsewhere = reqwest::Client::builder()
        .no_proxy()
        .local_address(std::net::IpAddr::from([127, 0, 0, 2]))
        .build()
        .unwrap();
    let url = format!("http://{}/api/v1/status", bridge.admin_address());
    assert_eq!(answer(elsewhere.get(&url).bearer_auth(admin)).await.status, 200);

    bridge.clock.advance_to(bridge.now() + Duration::from_secs(59));
    assert_eq!(ask(&bridge, status, Some("wrong")).await.headers["retry-after"], "1");
    bridge.clock.advance_to(bridge.now() + Duration::from_secs(1));
    assert_eq!(ask(&bridge, status, Some("wrong")).await.status, 401);
    let metrics = ask(&bridge, ("GET", "/metrics", ""), Some(admin)).await.text;
    for line in [
        "cliqbridge_admin_refusals_total{reason=\"no_token\"} 20",
        "cliqbridge_admin_refusals_total{reason=\"token_over\"} 20",
        "cliqbridge_admin_refusals_total{reason=\"wrong_token\"} 11",
        "cliqbridge_admin_refusals_total{reason=\"locked_out\"} 2",
        "cliqbridge_admin_refusals_total{reason=\"not_operator\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn a_token_lives_until_it_ends_or_is_revoked_and_only_its_hash_is_kept() {
    let mut bridge = Setup::demo().start().await;
    let status = ("GET", "/api/v1/status", "");
    let ada = token(&bridge, "ada-laptop", "viewer", "90d").await;
    assert!(ada.len() > 43 && ada.starts_with("cliqbridge_"), "{ada}");
    let again = json!({ "name": "ada-laptop", "role": "viewer" });
    assert_eq!(bridge.admin_post("/tokens", &again).await.status, 409);

    assert_eq!(ask(&bridge, status, Some(&ada)).await.status, 200);
    let first_use = bridge.now().to_rfc3339();
    let list = bridge.admin("/tokens").await;
    assert!(!list.text.contains(&ada));
    let row = &list.body["items"][0];
    assert_eq!((&row["state"], &row["last_used_at"]), (&json!("active"), &json!(first_use)));
    assert_eq!((&row["created_by"], &row["role"]), (&json!("bootstrap"), &json!("viewer")));

    bridge.clock.advance_to(bridge.now() + Duration::from_mins(59));
    assert_eq!(ask(&bridge, status, Some(&ada)).await.status, 200);
    let last_used = async |bridge: &Bridge| {
        bridge.admin("/tokens").await.body["items"][0]["last_used_at"].clone()
    };
    assert_eq!(last_used(&bridge).await, json!(first_use), "written at most once an hour");
    bridge.clock.advance_to(bridge.now() + Duration::from_mins(1));
    assert_eq!(ask(&bridge, status, Some(&ada)).await.status, 200);
    assert_eq!(last_used(&bridge).await, json!(bridge.now().to_rfc3339()));

    bridge.restart().await;
    assert_eq!(ask(&bridge, status, Some(&ada)).await.status, 200);
    let revoked = ask(
        &bridge,
        ("DELETE", "/api/v1/tokens/ada-laptop", ""),
        Some(super::support::setup::ADMIN_TOKEN),
    )
    .await;
    assert_eq!(revoked.body["state"], "revoked");
    assert_eq!(ask(&bridge, status, Some(&ada)).await.status, 401);
    let anew = token(&bridge, "ada-laptop", "viewer", "1d").await;
    assert_ne!(anew, ada);
    assert_eq!(ask(&bridge, status, Some(&anew)).await.status, 200);
    bridge.clock.advance_to(bridge.now() + Duration::from_hours(24));
    assert_eq!(ask(&bridge, status, Some(&anew)).await.status, 401);
    let ends: Vec<Value> = rows(&bridge.admin("/tokens").await.body["items"])
        .map(|row| row["state"].clone())
        .collect();
    assert_eq!(ends, ["expired", "revoked"]);
    bridge.finish().await;
}
