//! A watch goes out as the contract prints it, and a refusal inside a success is one.

use serde_json::{Value, json};

use super::super::CallError;
use super::super::crm::Client;
use super::super::watch::{Channel, Verb};
use super::server::{Canned, Fake, Seen, json, status};
use super::{Leaping, START, World};
use crate::domain::Timestamp;
use crate::domain::budget::Group;

/// One call with this answer.
async fn ask(verb: Verb, answer: Canned) -> (Result<Option<Timestamp>, CallError>, Vec<Seen>) {
    let world = World::new(Fake::list(vec![answer]).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let permit = world.account.gate().try_take(Group::Crm).await.unwrap();
    let channel = Channel {
        id: "1000000068001",
        events: &["Contacts.create".to_owned(), "Deals.all".to_owned()],
        expires_at: Timestamp::parse("2026-11-30T10:30:00.250Z").unwrap(),
        token: "echo",
        notify_url: "https://h.example/webhooks/crmwatch",
    };
    let answer = client.watch(permit, verb, &channel).await;
    (answer, world.fake.seen())
}

fn success(expiries: &[&str]) -> Value {
    let events: Vec<Value> = expiries
        .iter()
        .map(|expiry| json!({"channel_expiry": expiry, "resource_name": "Contacts"}))
        .collect();
    json!({"code": "SUCCESS", "status": "success", "message": "m", "details": {"events": events}})
}

#[tokio::test]
async fn the_body_is_the_contracts_and_the_nearest_expiry_counts() {
    let answer =
        json!({"watch": [success(&["2026-11-30T10:30:00+05:30", "2026-11-30T05:30:00Z"])]});
    let (until, seen) = ask(Verb::Register, status(201, &answer.to_string())).await;
    assert_eq!(until.unwrap(), Timestamp::parse("2026-11-30T05:00:00Z"));
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/crm/v8/actions/watch"));
    let expected = json!({"watch": [{"channel_id": "1000000068001",
        "events": ["Contacts.create", "Deals.all"], "channel_expiry": "2026-11-30T10:30:00+00:00",
        "token": "echo", "notify_url": "https://h.example/webhooks/crmwatch",
        "return_affected_field_values": false, "notify_on_related_action": false,
        "notification_condition": []}]});
    assert_eq!(seen[0].json(), expected);
    let (until, seen) = ask(Verb::Renew, json(&json!({"watch": [success(&[])]}))).await;
    assert_eq!((until, seen[0].method.as_str()), (Ok(None), "PUT"));
}

#[tokio::test]
async fn a_refusal_inside_a_success_is_a_refusal() {
    let error = json!({"code": "INVALID_DATA", "status": "error", "message": "m", "details": {}});
    for (number, items) in
        [(202, json!([error])), (200, json!([error])), (200, json!([success(&[]), error]))]
    {
        let answer = json!({"watch": items}).to_string();
        let (refused, _) = ask(Verb::Register, status(number, &answer)).await;
        let Err(CallError::Refused { code, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(code, "INVALID_DATA");
    }
    for answer in [json!({}), json!({"watch": []}), json!({"watch": {}})] {
        let (odd, _) = ask(Verb::Register, json(&answer)).await;
        assert!(matches!(odd, Err(CallError::Transient { .. })), "{odd:?}");
    }
    let (forbidden, _) = ask(Verb::Register, status(403, r#"{"code":"NO_PERMISSION"}"#)).await;
    assert!(
        matches!(forbidden.map_err(|e| e.failure(START)), Err(failure) if failure.kind() == "unauthorized")
    );
}
