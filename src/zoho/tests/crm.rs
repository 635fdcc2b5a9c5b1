//! CRM: a roster is whole or an error; a missing field is unknown; no such user is no error.

use serde_json::{Value, json};

use super::super::crm::Client;
use super::super::{CallError, Priority};
use super::server::{Canned, Fake, Seen, json, status};
use super::{Leaping, World};
use crate::domain::{CrmUser, CrmUserId, Roster, Standing, Timestamp};

const USERS: &str = "/crm/v8/users";
const PAGE: usize = 200;

fn row(number: usize) -> Value {
    json!({"id": number.to_string(), "email": format!("u{number}@x.example"), "status": "active"})
}

fn page(rows: &[Value], number: usize, more: bool) -> Canned {
    let info = json!({"per_page": 200, "count": rows.len(), "page": number, "more_records": more});
    json(&json!({"users": rows, "info": info}))
}

/// An organization with `total` users, paged as Zoho pages.
async fn organization(total: usize) -> Fake {
    Fake::start(move |seen: &Seen| {
        assert_eq!((seen.q("type"), seen.q("per_page")), ("AllUsers", "200"));
        let number: usize = seen.q("page").parse().unwrap();
        let rows: Vec<Value> = (0..total).skip((number - 1) * PAGE).take(PAGE).map(row).collect();
        if rows.is_empty() {
            return status(204, "");
        }
        page(&rows, number, number * PAGE < total)
    })
    .await
}

async fn roster(fake: Fake) -> Result<Roster, CallError> {
    let world = World::new(fake, Leaping::new());
    Client::new(world.account.clone(), &world.zoho).users(Priority::Run).await
}

async fn one(answer: Canned) -> Result<Option<CrmUser>, CallError> {
    let world = World::new(Fake::list(vec![answer]).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    client.user(&CrmUserId::from("7")).await
}

#[tokio::test]
async fn i12_the_roster_is_whole_at_every_size() {
    for total in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 10 * PAGE] {
        let roster = roster(organization(total).await).await.unwrap();
        assert_eq!((roster.len(), roster.pages()), (total, total.div_ceil(PAGE).max(1)));
    }
}

#[tokio::test]
async fn i12_a_short_page_with_the_more_flag_is_no_end() {
    let answers = vec![page(&[row(1)], 1, true), page(&[row(2), row(3)], 2, false)];
    assert_eq!(roster(Fake::list(answers).await).await.unwrap().len(), 3);
}

#[tokio::test]
async fn i3_a_listing_that_contradicts_itself_is_incomplete() {
    let two = [row(1), row(2)];
    let count = json!({"users": two, "info": {"count": 3, "page": 1, "more_records": false}});
    let no_more = json!({"users": two, "info": {"count": 2, "page": 1}});
    let no_id = json!({"users": [{"email": "a@x.example"}],
        "info": {"count": 1, "page": 1, "more_records": false}});
    for (answers, what) in [
        (vec![page(&two, 1, true), page(&two, 2, false)], "the same rows again"),
        (vec![page(&two, 1, true), page(&two, 1, false)], "the same page again"),
        (vec![page(&[row(1), row(1)], 1, false)], "one id twice in a page"),
        (vec![page(&two, 1, true), page(&[row(3), row(2)], 2, false)], "shifted pages"),
        (vec![page(&two, 1, true), page(&[], 2, false)], "an empty page after a promise"),
        (vec![page(&two, 1, true), status(204, "")], "204 after a promise"),
        (vec![page(&[], 1, true)], "an empty page that promises more"),
        (vec![json(&count)], "a count that differs"),
        (vec![json(&json!({"users": two}))], "no info"),
        (vec![json(&no_more)], "no more_records"),
        (vec![json(&no_id)], "a row without an id"),
    ] {
        let result = roster(Fake::list(answers).await).await;
        assert!(matches!(result, Err(CallError::Incomplete { .. })), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn i2_a_page_is_tried_three_times_and_then_the_listing_fails() {
    let clock = Leaping::new();
    let fake = Fake::list(vec![
        page(&[row(1)], 1, true),
        status(503, ""),
        page(&[row(2)], 2, false).cut(),
        page(&[row(2)], 2, false),
    ])
    .await;
    let world = World::new(fake, clock.clone());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert_eq!(client.users(Priority::Run).await.unwrap().len(), 2);
    assert_eq!(clock.leaps(), [1, 2]);

    let fake = Fake::start(|_: &Seen| status(503, "")).await;
    let world = World::new(fake, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    let result = client.users(Priority::Run).await;
    assert!(matches!(result, Err(CallError::Transient { .. })));
    assert_eq!(world.fake.calls(USERS), 3);
}

#[tokio::test]
async fn a_listing_throttle_is_waited_out_and_costs_no_try() {
    let clock = Leaping::new();
    let throttled = || status(429, "").header("retry-after", "3");
    let answers =
        vec![throttled(), throttled(), throttled(), status(429, ""), page(&[row(1)], 1, false)];
    let world = World::new(Fake::list(answers).await, clock.clone());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert_eq!(client.users(Priority::Run).await.unwrap().len(), 1);
    assert_eq!(clock.leaps(), [3, 3, 3, 60]);
}

fn full() -> Value {
    json!({"id": 7, "zuid": 694_579_958, "email": "Ada@X.example", "first_name": "Ada",
        "last_name": "B", "status": "Active", "confirm": true, "category": "regular_user",
        "profile": {"id": "1", "name": "Partner"}, "role": {"id": "2", "name": "CEO"},
        "created_by": {"id": "3", "name": "Olga"}, "time_zone": "Europe/Berlin",
        "language": "en_US", "Modified_Time": "2024-05-01T10:00:00+02:00"})
}

fn users(row: &Value) -> Canned {
    json(&json!({"users": [row]}))
}

#[tokio::test]
async fn a_full_row_is_read_whole() {
    let user = one(users(&full())).await.unwrap().unwrap();
    assert_eq!(user.id.as_str(), "7");
    assert_eq!(user.zuid.unwrap().as_str(), "694579958");
    assert_eq!(user.email.unwrap().as_str(), "ada@x.example");
    assert_eq!((user.first_name.as_str(), user.last_name.as_str()), ("Ada", "B"));
    assert_eq!(user.standing, Standing::Active);
    assert_eq!(user.confirmed, Some(true));
    assert_eq!(user.profile.as_deref(), Some("Partner"));
    assert_eq!(user.role.as_deref(), Some("CEO"));
    assert_eq!(user.created_by.as_deref(), Some("Olga"));
    assert_eq!(user.modified_at, Timestamp::parse("2024-05-01T08:00:00Z"));
}

#[tokio::test]
async fn i30_every_field_but_the_id_may_be_missing_or_null() {
    let keys: Vec<String> = full().as_object().unwrap().keys().cloned().collect();
    for key in keys.iter().filter(|key| *key != "id") {
        for missing in [true, false] {
            let mut row = full();
            if missing {
                row.as_object_mut().unwrap().remove(key);
            } else {
                row[key] = Value::Null;
            }
            let user = one(users(&row)).await.unwrap().unwrap();
            let active = user.standing == Standing::Active;
            assert_eq!(active, key != "status", "without {key}");
            assert!(!matches!(user.standing, Standing::NotActive(_)), "without {key}");
            assert_eq!(user.confirmed.is_none(), key == "confirm");
            assert_eq!(user.email.is_none(), key == "email");
        }
    }
}

#[tokio::test]
async fn i17_standing_and_addresses_say_only_what_they_say() {
    for (word, known) in
        [("disabled", true), ("Deleted", true), ("CLOSED", true), ("zombie", false)]
    {
        let mut row = full();
        row["status"] = json!(word);
        let standing = one(users(&row)).await.unwrap().unwrap().standing;
        let expected =
            if known { Standing::NotActive(word.into()) } else { Standing::Unknown(word.into()) };
        assert_eq!(standing, expected);
    }
    let mut row = full();
    row["email"] = json!("deleted_user_7");
    assert_eq!(one(users(&row)).await.unwrap().unwrap().email, None);
}

#[tokio::test]
async fn i2_no_such_user_is_told_apart_from_a_failed_read() {
    let invalid = r#"{"code":"INVALID_DATA","details":{},"message":"m","status":"error"}"#;
    let wrapped = r#"{"users":[{"code":"INVALID_DATA","status":"error"}]}"#;
    for answer in [
        status(204, ""),
        status(404, ""),
        status(400, invalid),
        status(200, invalid),
        status(200, wrapped),
        json(&json!({"users": []})),
    ] {
        assert!(matches!(one(answer).await, Ok(None)));
    }
    let pattern = r#"{"code":"INVALID_URL_PATTERN","status":"error"}"#;
    for answer in [status(404, pattern), status(500, ""), status(200, ""), status(404, "<html>")] {
        assert!(one(answer).await.is_err());
    }
    let mut other = full();
    other["id"] = json!("8");
    assert!(one(users(&other)).await.is_err());
    let mut world = World::new(Fake::list(Vec::new()).await, Leaping::new());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert!(matches!(client.user(&CrmUserId::from("..")).await, Ok(None)));
    assert_eq!(world.fake.seen().len() + world.recorded().len(), 0, "never sent");
}

#[tokio::test]
async fn the_subscription_is_read() {
    let answer = json(&json!({"org": [{"id": "60001234", "zgid": "91", "license_details":
        {"paid": true, "paid_type": "enterprise", "users_license_purchased": "10"}}]}));
    let world = World::new(Fake::list(vec![answer]).await, Leaping::new());
    let org = Client::new(world.account.clone(), &world.zoho).org().await.unwrap();
    assert_eq!((org.id.as_str(), org.zgid.as_deref()), ("60001234", Some("91")));
    assert_eq!((org.paid, org.licences), (Some(true), Some(10)));
    assert_eq!(org.paid_type.as_deref(), Some("enterprise"));

    let world =
        World::new(Fake::list(vec![json(&json!({"org": [{"id": 1}]}))]).await, Leaping::new());
    let org = Client::new(world.account.clone(), &world.zoho).org().await.unwrap();
    assert_eq!((org.paid, org.paid_type, org.licences), (None, None, None));
}
