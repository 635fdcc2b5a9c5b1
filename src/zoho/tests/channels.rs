//! Channels and members: only documented keys go out, and empty answers are success.

use serde_json::json;

use super::super::channels::{MEMBERS_MAX, People};
use super::super::cliq::Client;
use super::super::{CallError, Priority};
use super::server::{Canned, Fake, json, status};
use super::{Leaping, World};
use crate::domain::budget::Group;
use crate::domain::{CliqId, Email};

async fn world(answers: Vec<Canned>) -> (World, Client) {
    let world = World::new(Fake::list(answers).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    (world, client)
}

#[tokio::test]
async fn channels_are_listed_whole_and_their_words_stay_open() {
    let first = json!({"channels": [{"channel_id": "T1", "name": "#Ext Support",
        "unique_name": "extsupport", "level": "external", "status": "created",
        "total_message_count": "100"}], "has_more": true, "next_token": "n", "sync_token": ""});
    let last = json!({"channels": [{"channel_id": "P2", "level": "personal"}], "has_more": false});
    let (world, client) = world(vec![json(&first), json(&last)]).await;
    let channels = client.channels(Priority::Run).await.unwrap();
    assert_eq!(channels.len(), 2);
    assert_eq!(channels[0].unique_name.as_deref(), Some("extsupport"));
    assert_eq!(channels[1].level.as_deref(), Some("personal"));
    assert_eq!(world.fake.seen()[1].q("next_token"), "n");
}

#[tokio::test]
async fn one_channel_or_none() {
    let (_world, client) = world(vec![
        json(&json!({"channel_id": "T1", "level": "external", "status": "created"})),
        status(400, r#"{"code":"channel_not_exists"}"#),
        status(500, ""),
    ])
    .await;
    assert_eq!(client.channel("T1").await.unwrap().unwrap().level.as_deref(), Some("external"));
    assert_eq!(client.channel("T1").await.unwrap(), None);
    assert!(client.channel("T1").await.is_err());
    assert_eq!(client.channel("..").await.unwrap(), None);
}

#[tokio::test]
async fn r59_who_may_add_is_what_cliq_says_of_our_own_role() {
    let says = |more: serde_json::Value| {
        let mut channel = json!({"channel_id": "T1", "participant_count": 3, "joined": true,
            "admin_permission": {"add_participant": true},
            "member_permission": {"add_participant": false, "send_message": true}});
        channel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json(&channel)
    };
    let (_world, client) = world(vec![
        says(json!({"current_user_role": "super_admin"})),
        says(json!({"current_user_role": "admin"})),
        says(json!({"current_user_role": "member"})),
        says(json!({"current_user_role": "moderator"})),
        says(json!({"current_user_role": "", "joined": false})),
        says(json!({})),
    ])
    .await;
    for may_add in [Some(true), Some(true), Some(false), None, None, None] {
        let channel = client.channel("T1").await.unwrap().unwrap();
        assert_eq!(channel.may_add(), may_add, "{channel:?}");
        assert_eq!(channel.participants, Some(3));
    }
}

#[tokio::test]
async fn members_are_whole_or_an_error() {
    let row = json!({"user_id": 12, "email_id": "S@x.example", "name": "S", "user_role": "owner"});
    let (_world, client) = world(vec![
        json(&json!({ "members": [row] })),
        json(&json!({"members": [], "has_more": true})),
        json(&json!({"members": [{"name": "S"}]})),
        status(400, r#"{"code":"channel_not_exists"}"#),
    ])
    .await;
    let members = client.members("T1", Priority::Run).await.unwrap().unwrap();
    let email = Email::parse("s@x.example").unwrap();
    assert_eq!(members.by_email(&email).unwrap().id, CliqId::from("12"));
    for _ in 0..2 {
        let result = client.members("T1", Priority::Run).await;
        assert!(matches!(result, Err(CallError::Incomplete { .. })), "{result:?}");
    }
    assert_eq!(client.members("T1", Priority::Run).await, Ok(None));
}

#[tokio::test]
async fn members_are_added_and_removed_by_documented_bodies() {
    let (mut world, client) = world(vec![
        status(204, ""),
        status(200, ""),
        json(&json!({"Response Code": "204 No response"})),
        status(400, r#"{"code":"member_add_failed"}"#),
    ])
    .await;
    let emails = [Email::parse("a@x.example").unwrap()];
    let ids = [CliqId::from("1"), CliqId::from("2")];
    let gate = world.account.gate();
    let permit = || async { gate.try_take(Group::MembersWrite).await.unwrap() };
    client.add_members(permit().await, "T1", People::Emails(&emails)).await.unwrap();
    client.remove_members(permit().await, "T1", People::Ids(&ids)).await.unwrap();
    client.remove_members(permit().await, "T1", People::Emails(&emails)).await.unwrap();
    let refused = client.add_members(permit().await, "T1", People::Emails(&emails)).await;
    assert!(
        matches!(&refused, Err(CallError::Refused { code, .. }) if code == "member_add_failed"),
        "{refused:?}"
    );
    let seen = world.fake.seen();
    assert!(seen.iter().all(|seen| seen.path == "/api/v2/channels/T1/members"));
    assert_eq!((seen[0].method.as_str(), seen[1].method.as_str()), ("POST", "DELETE"));
    assert_eq!(seen[0].json(), json!({"email_ids": ["a@x.example"]}));
    assert_eq!(seen[1].json(), json!({"user_ids": ["1", "2"]}));
    assert_eq!(seen[0].header("content-type"), "application/json");
    assert_eq!(world.recorded(), ["call members.write"; 4]);
}

#[tokio::test]
async fn more_than_a_hundred_are_refused_before_they_are_sent() {
    let (world, client) = world(Vec::new()).await;
    let ids = vec![CliqId::from("1"); MEMBERS_MAX + 1];
    let permit = world.account.gate().try_take(Group::MembersWrite).await.unwrap();
    let refused = client.add_members(permit, "T1", People::Ids(&ids)).await;
    assert!(matches!(refused, Err(CallError::Refused { .. })));
    assert_eq!(world.fake.seen().len(), 0);
}
