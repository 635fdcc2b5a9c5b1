//! Cliq's people: passes and presence, the single user, the search by address.

use serde_json::{Value, json};

use super::super::cliq::Client;
use super::super::{CallError, Priority};
use super::server::{Canned, Fake, Seen, json, status};
use super::{Leaping, World};
use crate::domain::{CliqId, CliqUser, Email, Presence, Zuid};

fn list(rows: &[Value]) -> Canned {
    json(&json!({"data": rows, "next_token": "", "has_more": false}))
}

async fn one(answer: Canned) -> Result<Option<CliqUser>, CallError> {
    let world = World::new(Fake::list(vec![answer]).await, Leaping::new());
    Client::new(world.account.clone(), &world.zoho).user("7").await
}

fn full() -> Value {
    json!({"id": "7", "zuid": 163_315_760, "email_id": "A@X.example", "zoid": 54_107_592,
        "organization_id": "631836344", "user_type": 0, "status": "active", "future": {"a": [1]}})
}

#[tokio::test]
async fn three_passes_are_one_directory_and_absent_words_follow_the_pass() {
    let fake = Fake::start(|seen: &Seen| match seen.q("status") {
        "" => list(&[
            json!({"id": "1", "status": "active"}),
            json!({"id": "2"}),
            json!({"id": "3", "status": "pending"}),
            json!({"id": "4", "status": "somewhere"}),
            json!({"id": "5", "status": "imported_active"}),
            json!({"id": "6"}),
        ]),
        "pending" => list(&[json!({"id": "3"}), json!({"id": "7"}), json!({"id": "6"})]),
        "inactive" => status(204, ""),
        other => panic!("unknown pass {other}"),
    })
    .await;
    let mut world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let directory = client.directory(true, Priority::Run).await.unwrap();
    let presence = |id: &str| directory.get(&CliqId::from(id)).unwrap().presence;
    assert_eq!((directory.len(), directory.pages()), (7, 3));
    assert_eq!(presence("1"), Presence::Active);
    assert_eq!(presence("2"), Presence::Active, "the unfiltered pass lists working accounts");
    assert_eq!(presence("3"), Presence::Pending);
    assert_eq!(presence("4"), Presence::Unknown);
    assert_eq!(presence("5"), Presence::Active);
    assert_eq!(presence("6"), Presence::Pending, "the later pass knows better");
    assert_eq!(presence("7"), Presence::Pending);
    assert_eq!(world.recorded(), ["call users.list"; 3]);
    let seen = &world.fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/api/v2/users"));
    assert_eq!(seen.header("authorization"), "Zoho-oauthtoken remembered");
    assert!(seen.header("user-agent").starts_with("cliqbridge/"));
}

#[tokio::test]
async fn a_full_user_is_read_whole() {
    let user = one(json(&json!({"data": full()}))).await.unwrap().unwrap();
    assert_eq!(user.zuid, Some(Zuid::from("163315760")));
    assert_eq!(user.email, Email::parse("a@x.example").ok());
    assert_eq!(user.zoid.as_deref(), Some("54107592"));
    assert_eq!(user.organization_id.as_deref(), Some("631836344"));
    assert_eq!(user.user_type.as_deref(), Some("0"));
    assert_eq!(user.presence, Presence::Active);
}

#[tokio::test]
async fn i30_every_field_but_the_id_may_be_missing() {
    let keys: Vec<String> = full().as_object().unwrap().keys().cloned().collect();
    for key in keys.iter().filter(|key| *key != "id") {
        let mut row = full();
        row.as_object_mut().unwrap().remove(key);
        let user = one(json(&json!({ "data": row }))).await.unwrap().unwrap();
        assert_eq!(user.presence == Presence::Unknown, key == "status", "without {key}");
        assert_eq!(user.organization_id.is_none(), key == "organization_id");
        assert_eq!(user.zoid.is_none(), key == "zoid");
    }
}

#[tokio::test]
async fn i2_no_such_user_is_told_apart_from_a_failed_read() {
    for answer in [
        status(404, ""),
        status(404, r#"{"message":"no"}"#),
        status(400, r#"{"code":"user_not_exists","message":"m"}"#),
        status(200, r#"{"code":"user_not_exists","message":"m"}"#),
        status(204, ""),
        json(&json!({"data": {}})),
        json(&json!({"data": null})),
    ] {
        assert!(matches!(one(answer).await, Ok(None)));
    }
    for answer in [
        status(400, r#"{"code":"something_else"}"#),
        status(403, ""),
        json(&json!({})),
        json(&json!({"data": {"id": "8"}})),
    ] {
        assert!(one(answer).await.is_err());
    }
}

#[tokio::test]
async fn a_user_may_be_asked_for_by_zuid() {
    let answer = json(&json!({"data": {"id": "cliq-1", "zuid": "7"}}));
    assert_eq!(one(answer).await.unwrap().unwrap().id.as_str(), "cliq-1");
}

#[tokio::test]
async fn the_search_compares_exactly_and_looks_among_the_pending() {
    let fake = Fake::start(|seen: &Seen| {
        assert_eq!((seen.q("search"), seen.q("fields")), ("ada@x.example", "all"));
        match seen.q("status") {
            "" => list(&[json!({"id": "1", "email_id": "ada@x.example.org", "status": "active"})]),
            _ => list(&[json!({"id": "2", "email_id": "Ada@X.example"})]),
        }
    })
    .await;
    let world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let found = client.search(&Email::parse("ada@x.example").unwrap()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].presence), ("2", Presence::Pending));
}

#[tokio::test]
async fn a_row_that_says_where_it_stands_needs_no_second_search() {
    let row = |status: Value| {
        let mut row = json!({"id": "1", "email_id": "ada@x.example"});
        row["status"] = status;
        row
    };
    for (said, calls, presence) in
        [(json!("inactive"), 1, Presence::Inactive), (Value::Null, 2, Presence::Active)]
    {
        let answers = vec![list(&[row(said)]), list(&[])];
        let world = World::new(Fake::list(answers).await, Leaping::new());
        let client = Client::new(world.account.clone(), &world.zoho);
        let found = client.search(&Email::parse("ada@x.example").unwrap()).await.unwrap();
        assert_eq!(found[0].presence, presence);
        assert_eq!(world.fake.seen().len(), calls);
    }
}
