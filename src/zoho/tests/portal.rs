//! The portal function: plain and wrapped answers, refusals, parking, and a key nobody sees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::portal::{Applied, Client, Door, PortalCall};
use super::super::{CallError, Gate, Http, Record};
use super::server::{Canned, Fake, json, status};
use super::{Leaping, START, gate};
use crate::domain::budget::Group;
use crate::domain::{CrmUserId, Email, Failure, PortalVerb, Secret};

struct Portal {
    fake: Fake,
    client: Client,
    gate: Arc<Gate>,
    /// Kept open: a closed one would refuse records, and with them permits.
    _records: mpsc::UnboundedReceiver<Record>,
}

async fn portal(header: Option<&str>, answers: Vec<Canned>) -> Portal {
    let fake = Fake::list(answers).await;
    let clock = Leaping::new();
    let (gate, records) = gate(BTreeMap::from([(Group::Portal, 60)]), clock.clone());
    let door = Door {
        url: fake.url.join("function?v=1").unwrap(),
        key: Secret::new("top&secret"),
        header: header.map(str::to_owned),
    };
    let http = Http::new(clock.clone()).unwrap();
    let client = Client::new(http, door, gate.clone(), clock);
    Portal { fake, client, gate, _records: records }
}

fn call() -> PortalCall {
    PortalCall {
        operation: PortalVerb::AddExternal,
        organization_id: "60001234".into(),
        crm_user_id: CrmUserId::from("7"),
        email: Email::parse("ada@x.example").unwrap(),
        first_name: "Ada".into(),
        last_name: "L".into(),
        idempotency_key: "key-1".into(),
    }
}

impl Portal {
    async fn apply(&self) -> Result<Applied, CallError> {
        let permit = self.gate.try_take(Group::Portal).await.unwrap();
        let result = self.client.apply(permit, &call()).await;
        if let Err(error) = &result {
            let told = error.to_string();
            assert!(!told.contains("secret") && !told.contains("x.example"), "{told}");
        }
        result
    }
}

async fn answered(answer: Canned) -> Result<Applied, CallError> {
    portal(None, vec![answer]).await.apply().await
}

fn wrapped(output: &Value) -> Canned {
    json(&json!({"code": "success", "message": "function executed successfully",
        "details": {"output_type": "string", "output": output, "id": "1"}}))
}

fn url(applied: &Applied) -> Option<&str> {
    let (Applied::Now { join_url } | Applied::AlreadySo { join_url }) = applied;
    join_url.as_ref().map(url::Url::as_str)
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let done = || json(&json!({"status": "done"}));
    let plain = portal(None, vec![done()]).await;
    plain.apply().await.unwrap();
    let seen = &plain.fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/function"));
    assert_eq!(
        (seen.q("auth_type"), seen.q("zapikey"), seen.q("v")),
        ("apikey", "top&secret", "1")
    );
    assert_eq!(
        seen.json(),
        json!({"operation": "add_external", "organization_id": "60001234", "crm_user_id": "7",
            "email": "ada@x.example", "first_name": "Ada", "last_name": "L",
            "idempotency_key": "key-1"})
    );
    assert_eq!(seen.header("authorization"), "");

    let with_header = portal(Some("X-Portal-Key"), vec![done()]).await;
    with_header.apply().await.unwrap();
    let seen = &with_header.fake.seen()[0];
    assert_eq!((seen.header("x-portal-key"), seen.q("zapikey")), ("top&secret", ""));
}

#[tokio::test]
async fn plain_and_wrapped_answers_mean_the_same() {
    let inner = json!({"status": "done", "join_url": "https://cliq.example/j"});
    for answer in [json(&inner), wrapped(&json!(inner.to_string())), wrapped(&inner)] {
        let applied = answered(answer).await.unwrap();
        assert!(matches!(applied, Applied::Now { .. }));
        assert_eq!(url(&applied), Some("https://cliq.example/j"));
    }
    let already = answered(wrapped(&json!(r#"{"status":"already"}"#))).await.unwrap();
    assert_eq!(already, Applied::AlreadySo { join_url: None });
}

#[tokio::test]
async fn only_web_addresses_are_join_addresses() {
    let long = format!("https://x.example/{}", "a".repeat(2_048));
    for bad in ["javascript:alert(1)", "cliq.example/j", "", "ftp://x.example/", "data:,x", &long] {
        let applied = answered(json(&json!({"status": "done", "join_url": bad}))).await.unwrap();
        assert_eq!(url(&applied), None, "{bad}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_code() {
    for code in ["already_internal", "declined", "no_licence", "something_new"] {
        let body = json!({"status": "refused", "code": code, "message": "words"});
        for answer in
            [json(&body), wrapped(&json!(body.to_string())), status(400, &body.to_string())]
        {
            let refused = answered(answer).await.unwrap_err();
            assert!(matches!(refused, CallError::Refused { code: c, .. } if c == code));
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_what_the_function_said_on_one_bounded_line() {
    let said = async |message: Value| {
        let body = json!({"status": "refused", "code": "no_permission", "message": message});
        let refused = answered(json(&body)).await.unwrap_err();
        let Failure::Refused { detail, .. } = refused.failure(START) else { panic!("{refused:?}") };
        detail.strip_prefix("POST portal function: HTTP 200").unwrap().to_owned()
    };
    let step = "the portal function has no step for add_external";
    assert_eq!(said(json!(step)).await, format!(": {step}"));
    assert_eq!(said(json!("one\n\u{1b}[2m two\u{0}\tthree")).await, ": one [2m two three");
    assert_eq!(said(json!("x".repeat(5_000))).await.len(), 202);
    let told = said(json!("ada@x.example with top&secret")).await;
    assert!(!told.contains("ada@") && !told.contains("secret"), "{told}");
    for none in [json!(null), json!(" "), json!(["x"])] {
        assert_eq!(said(none).await, "");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_transient() {
    for answer in [
        json(&json!({"state": "done"})),
        json(&json!({"status": "maybe"})),
        json(&json!({"status": "refused"})),
        json(&json!({"status": "refused", "code": "busy"})),
        wrapped(&json!("not json")),
        wrapped(&json!("")),
        status(200, ""),
        status(200, "<html>"),
        status(400, r#"{"code":"INVALID_DATA"}"#),
        status(302, ""),
        status(500, r#"{"status":"done"}"#),
        json(&json!({"status": "done"})).cut(),
    ] {
        let result = answered(answer).await;
        assert!(matches!(result, Err(CallError::Transient { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn rate_limits_and_a_wrong_key_park_the_portal() {
    let limited = json!({"status": "refused", "code": "rate_limited"});
    for (answer, seconds, word) in [
        (json(&limited), 300, "rate_limited"),
        (json(&limited).header("retry-after", "30"), 30, "rate_limited"),
        (status(429, ""), 300, "429"),
    ] {
        let portal = portal(None, vec![answer]).await;
        let error = portal.apply().await.unwrap_err();
        let end = START + Duration::from_secs(seconds);
        let CallError::Throttled { until, detail, .. } = error else { panic!("{error}") };
        assert_eq!(until, end);
        assert!(detail.contains(word), "{detail}");
        assert!(portal.gate.try_take(Group::Portal).await.is_err());
    }
    for (answer, word) in [
        (status(401, ""), "the portal key is not accepted"),
        (status(403, "<html>"), "the portal key is not accepted"),
        (status(404, "<html>"), "no function answers"),
    ] {
        let portal = portal(None, vec![answer]).await;
        let error = portal.apply().await.unwrap_err();
        let CallError::Unauthorized { detail, .. } = error else { panic!("{error}") };
        assert!(detail.contains(word), "{detail}");
        let until = portal.gate.try_take(Group::Portal).await.unwrap_err().until;
        assert_eq!(until, START + Duration::from_mins(5));
    }
}
