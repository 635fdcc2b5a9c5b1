//! Messages: only documented keys go out, success has many faces, refusals keep their code.

use serde_json::json;

use super::super::cliq::Client;
use super::super::{CallError, Permit, Priority};
use super::server::{Canned, Fake, json, status};
use super::{Leaping, START, World};
use crate::domain::budget::Group;
use crate::domain::letter::{BotMessage, Button};
use crate::domain::{CliqId, Failure};

async fn world(answers: Vec<Canned>) -> (World, Client) {
    let world = World::new(Fake::list(answers).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    (world, client)
}

async fn permit(world: &World) -> Permit {
    world.account.gate().try_take(Group::Messages).await.unwrap()
}

fn plain() -> BotMessage {
    BotMessage { text: "Hello".into(), title: None, button: None }
}

fn with_button() -> BotMessage {
    BotMessage {
        text: "You are invited".into(),
        title: Some("Invitation".into()),
        button: Some(Button {
            label: "Join".into(),
            hint: "Open".into(),
            key: "join".into(),
            url: "https://bridge.example/join/x".into(),
        }),
    }
}

#[tokio::test]
async fn a_bot_message_has_the_documented_body() {
    let sync = json!({"user_ids": ["1", "2"], "message_details": {"1": {"chat_id": "CT"}}});
    let (mut world, client) = world(vec![json(&sync), status(204, "")]).await;
    let ids = [CliqId::from("1"), CliqId::from("2")];
    let first = permit(&world).await;
    client.bot_message(first, "bridge", &ids, &with_button()).await.unwrap();
    let second = permit(&world).await;
    client.bot_message(second, "bridge", &ids[..1], &plain()).await.unwrap();
    let seen = world.fake.seen();
    assert_eq!(seen[0].path, "/api/v2/bots/bridge/message");
    assert_eq!(
        seen[0].json(),
        json!({"text": "You are invited", "userids": "1,2", "sync_message": true,
            "card": {"title": "Invitation", "theme": "modern-inline"},
            "buttons": [{"label": "Join", "hint": "Open", "type": "+", "key": "join",
                "action": {"type": "open.url", "data": {"web": "https://bridge.example/join/x"}}}]})
    );
    assert_eq!(seen[1].json(), json!({"text": "Hello", "userids": "1", "sync_message": true}));
    assert_eq!(world.recorded(), ["call messages"; 2]);
}

#[tokio::test]
async fn a_message_that_reached_nobody_is_refused() {
    let code = "botmessage_no_valid_users";
    let (world, client) = world(vec![
        status(400, r#"{"code":"botmessage_no_valid_users","message":"m"}"#),
        json(&json!({"user_ids": [], "message_details": {}})),
    ])
    .await;
    for _ in 0..2 {
        let permit = permit(&world).await;
        let error =
            client.bot_message(permit, "bridge", &[CliqId::from("1")], &plain()).await.unwrap_err();
        assert!(matches!(error.failure(START), Failure::Refused { code: c, .. } if c == code));
    }
}

#[tokio::test]
async fn channel_posts_and_buddy_messages_accept_every_success() {
    let (world, client) = world(vec![
        status(204, ""),
        status(200, "\"\""),
        json(&json!({"Response Code": "204 No response"})),
        json(&json!({"message_id": "1_2"})),
    ])
    .await;
    for _ in 0..2 {
        let permit = permit(&world).await;
        client.channel_post(permit, "admins", "bridge", "Note").await.unwrap();
    }
    for _ in 0..2 {
        let permit = permit(&world).await;
        client.buddy_message(permit, "a@x.example", "Note").await.unwrap();
    }
    let seen = world.fake.seen();
    assert_eq!(seen[0].path, "/api/v2/channelsbyname/admins/message");
    assert_eq!(seen[0].q("bot_unique_name"), "bridge");
    assert_eq!(seen[0].json(), json!({"text": "Note"}));
    assert_eq!(seen[2].path, "/api/v2/buddies/a@x.example/message");
}

#[tokio::test]
async fn an_error_names_neither_person_nor_address() {
    let (world, client) = world(vec![status(500, "")]).await;
    let permit = permit(&world).await;
    let error = client.buddy_message(permit, "a@x.example", "Note").await.unwrap_err();
    assert!(!error.to_string().contains("x.example"), "{error}");
}

#[tokio::test]
async fn subscribers_are_read_to_the_end() {
    let first = json!({"url": "u", "type": "bot_subscriber", "sync_token": "s",
        "next_token": "n", "data": [{"email_id": "a@x.example", "user_id": 1, "name": "A"}]});
    let last = json!({"type": "bot_subscriber", "sync_token": "s", "data": [{"user_id": "2"}]});
    let (world, client) = world(vec![json(&first), json(&last)]).await;
    let subscribers = client.subscribers("bridge", Priority::Run).await.unwrap();
    assert_eq!(subscribers.len(), 2);
    assert_eq!(subscribers[0].id, CliqId::from("1"));
    assert_eq!(world.fake.seen()[1].q("next_token"), "n");
    assert_eq!(world.fake.seen()[0].path, "/api/v2/bots/bridge/subscribers");
}

#[tokio::test]
async fn a_throttled_post_locks_the_posts() {
    let (mut world, client) =
        world(vec![status(400, r#"{"code":"request_limit_exceeded","message":"m"}"#)]).await;
    let first = permit(&world).await;
    let error = client.channel_post(first, "admins", "bridge", "Note").await.unwrap_err();
    assert!(matches!(error, CallError::Throttled { .. }));
    assert!(world.account.gate().try_take(Group::Messages).await.is_err());
    assert_eq!(world.recorded(), ["call messages", "lock messages +600"]);
}
