//! Plan webhooks: the subscription's state, and what only an operator can set.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::traces::ADMIN as IT;
use super::support::{Bridge, Setup};

async fn subscription(bridge: &Bridge, organization: &str) -> Value {
    bridge.organization(organization).await["subscription"].clone()
}

fn plan(bridge: &Bridge, kind: &str, plan: &Value) -> Value {
    let mut event = bridge.event(kind, "acme", "");
    event["data"] = json!({ "plan": plan });
    event
}

fn billing(kind: &str, id: &str, customer: &str) -> Value {
    json!({
        "event_id": id,
        "event_type": kind,
        "data": { "subscription": {
            "subscription_id": "90300000045", "status": "live",
            "customer": { "customer_id": customer },
        } },
    })
}

#[tokio::test]
async fn r16_a_native_plan_event_sets_the_subscription_of_its_organization() {
    let bridge = Setup::demo().start().await;
    assert_eq!(subscription(&bridge, "acme").await, "unknown");
    for (kind, detail, state) in [
        ("plan.downgraded", json!({ "from": "crmplus", "to": "free" }), "downgraded"),
        ("plan.upgraded", json!({}), "active"),
        ("plan.cancelled", json!({ "product": "crmplus" }), "downgraded"),
        ("plan.changed", json!({ "status": "live" }), "active"),
        ("plan.changed", json!({ "status": "something new" }), "active"),
    ] {
        let answer = bridge.webhook("crmplus", &plan(&bridge, kind, &detail)).await;
        assert_eq!(answer.body["status"], "accepted");
        assert_eq!(subscription(&bridge, "acme").await, state, "{kind}");
    }
    assert_eq!(subscription(&bridge, "birch").await, "unknown");
    bridge.settle().await;
    assert!(bridge.journal().await.effects().is_empty(), "nobody is restricted by a webhook");
    bridge.finish().await;
}

#[tokio::test]
async fn a_billing_body_finds_its_organization_by_customer() {
    let setup = Setup::demo().with("acme", "billing = { customer_id = [\"c-1\"] }");
    let bridge = setup.start().await;
    let downgraded = billing("subscription_downgraded", "b1", "c-1");
    assert_eq!(bridge.webhook("billing", &downgraded).await.body["status"], "accepted");
    assert_eq!(subscription(&bridge, "acme").await, "downgraded");
    assert_eq!(bridge.webhook("billing", &downgraded).await.body["status"], "duplicate");
    let upgraded = billing("subscription_upgraded", "b2", "c-1");
    assert_eq!(bridge.webhook("billing", &upgraded).await.body["status"], "accepted");
    assert_eq!(subscription(&bridge, "acme").await, "active");
    bridge.settle().await;
    assert_eq!(bridge.mails(IT).await.len(), 2, "a change of plan is news");
    bridge.finish().await;
}

#[tokio::test]
async fn a_billing_body_that_names_nobody_known_is_kept_and_ignored() {
    let setup = Setup::demo().with("acme", "billing = { customer_id = [\"c-1\"] }");
    let bridge = setup.start().await;
    let stranger = billing("subscription_downgraded", "b1", "c-2");
    let answer = bridge.webhook("billing", &stranger).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ignored")));
    assert_eq!(subscription(&bridge, "acme").await, "unknown");
    let id = answer.body["delivery_id"].as_str().unwrap();
    let kept = bridge.admin(&format!("/deliveries/{id}")).await.body;
    assert!(kept["detail"].as_str().unwrap().contains("names no organization"), "{kept}");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_cliq_plan_event_asks_the_administrators_once() {
    let bridge = Setup::demo().start().await;
    for _ in 0..3 {
        let event = plan(&bridge, "plan.downgraded", &json!({ "product": "cliq", "to": "free" }));
        assert_eq!(bridge.webhook("crmplus", &event).await.body["status"], "accepted");
        bridge.settle().await;
    }
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("once: {told:?}") };
    assert!(notice.text().contains("cliq_plan"), "{}", notice.text());
    assert_eq!(subscription(&bridge, "acme").await, "unknown", "another product");
    bridge.clock.advance(Duration::from_hours(25));
    let event = plan(&bridge, "plan.upgraded", &json!({ "product": "cliq" }));
    bridge.webhook("crmplus", &event).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(IT).await.len(), 2, "a day later it is news again");
    bridge.finish().await;
}

#[tokio::test]
async fn a_plan_of_another_product_is_ignored() {
    let bridge = Setup::demo().start().await;
    let event = plan(&bridge, "plan.downgraded", &json!({ "product": "desk" }));
    assert_eq!(bridge.webhook("crmplus", &event).await.body["status"], "ignored");
    assert_eq!(subscription(&bridge, "acme").await, "unknown");
    bridge.finish().await;
}
