//! Cliq's user listing: whole in both wire shapes, or an error.

use serde_json::{Value, json};

use super::super::cliq::Client;
use super::super::{CallError, Priority};
use super::server::{Canned, Fake, Seen, json, status};
use super::{Leaping, World};
use crate::domain::Directory;

const PAGE: usize = 100;

fn row(number: usize) -> Value {
    json!({"id": number.to_string(), "email_id": format!("u{number}@x.example"), "status": "active"})
}

fn rows(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(row).collect()
}

fn page(rows: &[Value], next: Option<&str>) -> Canned {
    json(&json!({"data": rows, "next_token": next.unwrap_or(""), "has_more": next.is_some()}))
}

async fn directory(fake: Fake, passes: bool) -> Result<Directory, CallError> {
    // A clock that leaps: budgets are kept, and nobody waits for them.
    let world = World::new(fake, Leaping::new());
    Client::new(world.account.clone(), &world.zoho).directory(passes, Priority::Run).await
}

#[tokio::test]
async fn i12_a_pass_is_whole_at_every_size() {
    for total in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 30 * PAGE] {
        let fake = Fake::start(move |seen: &Seen| {
            assert_eq!((seen.q("limit"), seen.q("fields")), ("100", "all"));
            let from: usize = seen.q("next_token").trim_start_matches('t').parse().unwrap_or(0);
            let until = (from + PAGE).min(total);
            let next = (until < total).then(|| format!("t{until}"));
            page(&rows(from..until), next.as_deref())
        })
        .await;
        let directory = directory(fake, false).await.unwrap();
        assert_eq!((directory.len(), directory.pages()), (total, total.div_ceil(PAGE).max(1)));
    }
}

#[tokio::test]
async fn the_older_shape_pages_by_offset_to_an_empty_page() {
    for total in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE] {
        let fake = Fake::start(move |seen: &Seen| {
            let from: usize = seen.q("from").parse().unwrap_or(0);
            let users: Vec<Value> = (from..(from + PAGE).min(total))
                .map(|n| json!({"user_id": n, "email": format!("u{n}@x.example")}))
                .collect();
            json(&json!({ "users": users }))
        })
        .await;
        let directory = directory(fake, false).await.unwrap();
        assert_eq!(directory.len(), total);
        assert!(directory.iter().all(|user| user.email.is_some()));
    }
}

#[tokio::test]
async fn i12_a_short_page_with_the_more_flag_is_no_end() {
    let answers = vec![page(&rows(0..1), Some("a")), page(&[], Some("b")), page(&rows(1..3), None)];
    assert_eq!(directory(Fake::list(answers).await, false).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_last_page_may_leave_the_paging_words_out() {
    let silent = |range| json(&json!({ "data": rows(range), "next_token": "" }));
    for (answers, total) in [
        (vec![silent(0..2)], 2),
        (vec![page(&rows(0..PAGE), Some("a")), silent(PAGE..2 * PAGE)], 2 * PAGE),
    ] {
        assert_eq!(directory(Fake::list(answers).await, false).await.unwrap().len(), total);
    }
}

#[tokio::test]
async fn i3_a_listing_that_contradicts_itself_is_incomplete() {
    let two = rows(0..2);
    let no_id = json!({"data": [{"email_id": "a@x.example"}], "has_more": false});
    for (answers, what) in [
        (vec![page(&two, Some("a")), page(&rows(2..4), Some("a"))], "a token twice"),
        (vec![page(&two, Some("a")), page(&two, None)], "the same page again"),
        (vec![page(&[row(1), row(1)], None)], "an id twice in a page"),
        (vec![json(&json!({"data": two, "has_more": true}))], "more without a token"),
        (vec![json(&json!({"data": two, "has_more": true, "next_token": ""}))], "an empty token"),
        (vec![json(&json!({ "data": rows(0..PAGE) }))], "a full page and no word about more"),
        (vec![page(&two, Some("a")), status(204, "")], "204 after a promise"),
        (vec![json(&no_id)], "a row without an id"),
        (vec![json(&json!({"users": two})), json(&json!({"users": two}))], "offset ignored"),
    ] {
        let result = directory(Fake::list(answers).await, false).await;
        assert!(matches!(result, Err(CallError::Incomplete { .. })), "{what}: {result:?}");
    }
    let error = directory(Fake::start(|_: &Seen| json(&json!({"x": 1}))).await, false).await;
    assert!(matches!(error, Err(CallError::Transient { .. })), "no list at all");
}

#[tokio::test]
async fn a_failing_second_pass_fails_the_directory() {
    let fake = Fake::start(|seen: &Seen| match seen.q("status") {
        "pending" => status(500, ""),
        _ => page(&rows(0..2), None),
    })
    .await;
    assert!(directory(fake, true).await.is_err());
}

#[tokio::test]
async fn the_budget_of_the_listing_is_kept() {
    let clock = Leaping::new();
    let fake = Fake::start(|seen: &Seen| {
        let from: usize = seen.q("next_token").parse().unwrap_or(0);
        let next = (from < 30).then(|| (from + 1).to_string());
        page(&rows(from..from + 1), next.as_deref())
    })
    .await;
    let world = World::new(fake, clock.clone());
    let client = Client::new(world.account.clone(), &world.zoho);
    assert_eq!(client.directory(false, Priority::Run).await.unwrap().len(), 31);
    let waited: u64 = clock.leaps().iter().sum();
    assert_eq!(waited, 60, "24 calls, then the rest of the minute, then 7");
}
