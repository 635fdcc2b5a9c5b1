//! Each event counts once, however often and from however many connections it comes.

use futures_util::future::join_all;
use serde_json::json;

use super::support::Setup;

const BO: &str = "bo@partner.example";

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_of_the_first_delivery() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let event = bridge.event("user.added", "birch", &bo);
    let first = bridge.webhook("crmplus", &event).await.body;
    assert_eq!(first["status"], "accepted");
    for _ in 0..3 {
        let again = bridge.webhook("crmplus", &event).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.body["status"], "duplicate");
        assert_eq!(again.body["delivery_id"], first["delivery_id"]);
    }
    let id = event["event_id"].as_str().unwrap();
    let listed = bridge.admin(&format!("/deliveries?event_id={id}")).await.body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["repeats"], 3);
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn the_same_event_id_of_another_source_is_another_delivery() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let event = bridge.event("user.added", "birch", &bo);
    let first = bridge.webhook("crmplus", &event).await.body;
    let other = bridge.webhook("deluge", &event).await.body;
    assert_eq!((&first["status"], &other["status"]), (&json!("accepted"), &json!("accepted")));
    assert_ne!(first["delivery_id"], other["delivery_id"]);
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1, "two deliveries, one person, one letter");
    bridge.finish().await;
}

#[tokio::test]
async fn without_an_event_id_the_signed_bytes_are_the_key() {
    let bridge = Setup::demo().start().await;
    let mut event = bridge.event("user.updated", "birch", "778120000000433");
    event.as_object_mut().unwrap().remove("event_id");
    assert_eq!(bridge.webhook("deluge", &event).await.body["status"], "accepted");
    assert_eq!(bridge.webhook("deluge", &event).await.body["status"], "duplicate");
    event["note"] = 1.into();
    assert_eq!(bridge.webhook("deluge", &event).await.body["status"], "accepted");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn of_twenty_at_once_one_is_accepted() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let event = bridge.event("user.added", "birch", &bo);
    let answers = join_all((0..20).map(|_| bridge.webhook("crmplus", &event))).await;
    let with = |status: &str| answers.iter().filter(|a| a.body["status"] == status).count();
    assert_eq!((with("accepted"), with("duplicate")), (1, 19));
    assert!(answers.iter().all(|a| a.body["delivery_id"] == answers[0].body["delivery_id"]));
    let counted = bridge.admin("/status").await.body["deliveries"].clone();
    assert_eq!(counted, json!({ "accepted": 1, "duplicate": 19, "ignored": 0, "rejected": 0 }));
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}
