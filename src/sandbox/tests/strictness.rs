//! Tokens, limits, pages, violations and faults.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{Bench, emails};

#[tokio::test]
async fn each_token_shows_its_own_organization() {
    let bench = Bench::new().await;
    let acme = bench.token("acme").await;
    let birch = bench.token("birch").await;
    let (_, users) = bench.get("/api/v2/users?limit=100&fields=all", &acme).await;
    assert_eq!(emails(&users), ["ada@acme.example", "admin@acme.example"]);
    assert_eq!(users["data"][0]["status"], "active");
    assert_eq!(users["has_more"], false);
    let (_, users) = bench.get("/crm/v8/users?per_page=200", &birch).await;
    assert_eq!(users["info"]["count"], 2);
    let (_, org) = bench.get("/crm/v8/org", &birch).await;
    assert_eq!(org["org"][0]["license_details"]["paid_type"], "crmplus");
    let (status, _) = bench.get("/crm/v8/users?page=2", &birch).await;
    assert_eq!(status, 204);
    assert_eq!(bench.get("/crm/v8/users/404", &birch).await.0, 204);
    assert_eq!(bench.get("/api/v2/users/nobody%40x.example", &birch).await.0, 404);
    let counts = bench.counts().await;
    assert_eq!((&counts["violations"], &counts["tokens"]), (&json!(0), &json!(2)));
}

#[tokio::test]
async fn z9_tokens_expire_and_are_rationed() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    bench.clock.advance(Duration::from_hours(1));
    let (status, body) = bench.get("/crm/v8/org", &token).await;
    assert_eq!((status, &body["code"]), (401, &json!("INVALID_TOKEN")));
    for _ in 0..10 {
        bench.token("acme").await;
    }
    let (status, body) = bench.ask(bench.token_request("acme")).await;
    assert_eq!((status, &body["error"]), (200, &json!("Access Denied")));
    bench.token("birch").await;
    let patch = bench.request(Method::PATCH, "/sandbox/organizations/birch");
    bench.ask(patch.body(r#"{"refresh_token_valid":false}"#)).await;
    let (status, body) = bench.ask(bench.token_request("birch")).await;
    assert_eq!((status, &body["error"]), (200, &json!("invalid_code")));
}

#[tokio::test]
async fn what_the_contract_does_not_have_is_a_violation() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let (status, body) = bench.get("/api/v2/users?from=1", &token).await;
    assert_eq!((status, &body["code"]), (400, &json!("extra_key_found")));
    assert_eq!(bench.get("/api/v2/teams", &token).await.0, 404);
    let add = bench.post("/api/v2/users", &json!({"users": []})).bearer_auth(&token);
    assert_eq!(bench.ask(add).await.0, 403);
    let message = json!({"text": "hi", "userids": "163315760", "chatid": "1"});
    let post = bench.post("/api/v2/bots/bridge/message", &message).bearer_auth(&token);
    assert_eq!(bench.ask(post).await.1["code"], "extra_key_found");
    assert_eq!(bench.ask(bench.request(Method::GET, "/crm/v8/org")).await.0, 401);
    assert_eq!(bench.counts().await["violations"], 5);
    let journal = bench.look("journal").await;
    let details = journal["entries"].to_string();
    assert!(details.contains("internal add"), "{details}");
}

#[tokio::test]
async fn a_breach_locks_the_endpoint_for_its_period() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    for _ in 0..20 {
        assert_eq!(bench.get("/api/v2/users/163315760", &token).await.0, 200);
    }
    let (status, body) = bench.get("/api/v2/users/163315760", &token).await;
    assert_eq!((status, &body["code"]), (400, &json!("request_limit_exceeded")));
    bench.clock.advance(Duration::from_secs(599));
    assert_eq!(bench.get("/api/v2/users/163315760", &token).await.0, 400);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.get("/api/v2/users/163315760", &token).await.0, 200);
    let counts = bench.counts().await;
    assert_eq!((&counts["throttled"], &counts["retries"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn pages_follow_tokens_and_can_lie() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let (_, first) = bench.get("/api/v2/users?limit=1", &token).await;
    let next =
        format!("/api/v2/users?limit=1&next_token={}", first["next_token"].as_str().unwrap());
    bench.fault(json!({"call": "cliq.users.list", "fault": {"kind": "duplicate_page"}})).await;
    assert_eq!(emails(&bench.get(&next, &token).await.1), emails(&first));
    bench.fault(json!({"call": "cliq.users.list", "fault": {"kind": "missing_page"}})).await;
    assert!(emails(&bench.get(&next, &token).await.1).is_empty());
    let (_, second) = bench.get(&next, &token).await;
    assert_eq!((emails(&second), &second["has_more"]), (vec!["admin@acme.example"], &json!(false)));
}

#[tokio::test]
async fn faults_break_calls_as_told() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let ask = || {
        bench.request(Method::GET, "/crm/v8/org").header("authorization", format!("Bearer {token}"))
    };
    let rule = |fault| json!({"call": "crm.org", "organization": "acme", "fault": fault});
    bench.fault(rule(json!({"kind": "drop"}))).await;
    assert!(ask().send().await.is_err(), "no answer at all");
    bench.fault(rule(json!({"kind": "cut_body"}))).await;
    let answer = ask().send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err(), "half an answer");
    bench.fault(rule(json!({"kind": "throttle", "retry_after_s": 1}))).await;
    let answer = ask().send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()),
        (429, &b"1"[..])
    );
    bench.fault(rule(json!({"kind": "ok_with_error", "code": "INTERNAL_ERROR"}))).await;
    assert_eq!(
        bench.ask(ask()).await,
        (
            200,
            json!({
                "code": "INTERNAL_ERROR", "details": {}, "status": "error",
                "message": "an error that was asked for",
            })
        )
    );
    bench.fault(rule(json!({"kind": "stale_token"}))).await;
    assert_eq!(bench.ask(ask()).await.0, 401);
    assert_eq!(bench.ask(ask()).await.0, 401, "the token is dead");
    let counts = bench.counts().await;
    assert_eq!((&counts["faults"], &counts["violations"]), (&json!(5), &json!(0)));
    assert_eq!(counts["retries"], 4, "the last call came without a known token");
}

#[tokio::test]
async fn held_calls_wait_for_the_release_and_stop_cuts_the_rest() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    bench.fault(json!({"call": "crm.org", "times": null, "fault": {"kind": "hold"}})).await;
    let held = tokio::spawn(bench.request(Method::GET, "/crm/v8/org").bearer_auth(&token).send());
    while bench.look("faults").await["held"] == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!held.is_finished());
    assert_eq!(bench.act("release").await, 200);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    let cut = tokio::spawn(bench.request(Method::GET, "/crm/v8/org").bearer_auth(&token).send());
    while bench.look("faults").await["held"] == 0 {
        tokio::task::yield_now().await;
    }
    bench.sandbox.stop().await;
    assert!(cut.await.unwrap().is_err());
    assert!(bench.client.get(&bench.url).send().await.is_err());
}

#[tokio::test]
async fn only_the_loopback_is_served() {
    let (any, loopback) = ("0.0.0.0:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
    let options =
        super::Options { listen: any, smtp: loopback, world: super::World::demo().unwrap() };
    let clock = std::sync::Arc::new(crate::clock::SystemClock);
    let refused = super::start(options, clock).await.err().unwrap();
    assert!(refused.to_string().contains("loopback"), "{refused}");
}
