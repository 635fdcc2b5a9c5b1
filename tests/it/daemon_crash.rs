//! SIGKILL at the worst moments, and what the next start makes of it.
//!
//! The sandbox holds a call or loses its answer, so that the moment is certain. Deliberately
//! absent: many kills at random moments; `daemon_storm` has those.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::daemon::post::added;
use crate::daemon::zoho::Zoho;
use crate::daemon::{BIRCH, Home, lane, until};

const ADA: &str = "ada@acme.example";

/// Daemon and Zoho with Ada added to Birch, and the call that is in trouble.
async fn stage(call: &str, kind: &str) -> (Zoho, Home, String) {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let ada = zoho.add("birch", ADA).await;
    zoho.fault(call, kind).await;
    (zoho, home, ada)
}

fn keys(entries: &[Value]) -> BTreeSet<&str> {
    entries.iter().filter_map(|entry| entry["idempotency_key"].as_str()).collect()
}

/// Ada is invited once, whatever happened.
async fn invited_once(zoho: &Zoho, home: &Home) {
    home.settle().await;
    let rows = home.ledger().await;
    assert_eq!(rows, [json!(["birch", ADA, true, "invited"])]);
    assert_eq!(zoho.externals("birch").await, [(ADA.to_owned(), "pending".to_owned())]);
    let calls = zoho.entries("portal").await;
    let effects = calls.iter().filter(|entry| entry["kind"] == "write").count();
    assert_eq!((effects, keys(&calls).len()), (1, 1), "{calls:#?}");
    let letters = zoho.letters(ADA).await;
    let ids: BTreeSet<_> = letters.iter().map(|mail| mail["message_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "copies of one letter have one Message-ID: {ids:?}");
    assert_eq!(zoho.violations().await, 0);
}

/// Posts, kills when the call is held, starts again.
async fn killed_while_held(call: &str) -> (Zoho, Home) {
    let (zoho, home, ada) = stage(call, "hold").await;
    let daemon = home.serve().await;
    assert_eq!(added("crmplus", "evt-ada", BIRCH, &ada).post(&home).await, "accepted");
    zoho.held(1).await;
    daemon.kill();
    zoho.release().await;
    let daemon = home.serve().await;
    invited_once(&zoho, &home).await;
    let deliveries = home.admin("/deliveries?event_id=evt-ada").await;
    assert_eq!(deliveries["items"].as_array().unwrap().len(), 1);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code, Some(0));
    (zoho, home)
}

#[tokio::test]
async fn killed_between_acknowledgement_and_processing() {
    let _lane = lane().await;
    killed_while_held("crm.users.get").await;
}

#[tokio::test]
async fn killed_while_the_portal_is_called() {
    let _lane = lane().await;
    killed_while_held("portal").await;
}

#[tokio::test]
async fn killed_while_a_letter_is_handed_over() {
    let _lane = lane().await;
    let (zoho, _) = killed_while_held("smtp").await;
    assert!(zoho.letters(ADA).await.len() <= 2);
}

#[tokio::test]
async fn killed_after_an_effect_whose_answer_was_lost() {
    let _lane = lane().await;
    let (zoho, home, ada) = stage("portal", "apply_then_drop").await;
    let daemon = home.serve().await;
    assert_eq!(added("crmplus", "evt-ada", BIRCH, &ada).post(&home).await, "accepted");
    until("the portal has done it", async || {
        zoho.entries("portal").await.iter().any(|entry| entry["kind"] == "write").then_some(())
    })
    .await;
    daemon.kill();
    let _daemon = home.serve().await;
    invited_once(&zoho, &home).await;
    let calls = zoho.entries("portal").await;
    let again = calls.iter().filter(|entry| entry["detail"] == "same key: stored answer").count();
    assert_eq!(again, 1, "the answer is asked for again under the same key: {calls:#?}");
}

#[tokio::test]
async fn a_token_survives_a_kill() {
    let _lane = lane().await;
    let (zoho, home, ada) = stage("portal", "hold").await;
    let daemon = home.serve().await;
    assert_eq!(added("deluge", "evt-ada", BIRCH, &ada).post(&home).await, "accepted");
    zoho.held(1).await;
    daemon.kill();
    let _daemon = home.serve().await;
    invited_once(&zoho, &home).await;
    let tokens = zoho.entries("oauth.token").await;
    let birch = tokens.iter().filter(|entry| entry["organization"] == "birch");
    assert_eq!(birch.count(), 1, "no second refresh: {tokens:?}");
}

/// Holds call number `number` of all; answers whether there was one when all is done.
async fn killed_at(number: u32) -> bool {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let ada = zoho.add("birch", ADA).await;
    let rule = json!({ "call": "*", "skip": number, "fault": { "kind": "hold" } });
    zoho.call(Method::POST, "/faults", &rule).await;
    let daemon = home.serve().await;
    assert_eq!(added("crmplus", "evt-ada", BIRCH, &ada).post(&home).await, "accepted");
    let held = until("a call is held, or all is done", async || {
        if zoho.get("/faults").await["held"] == 1 {
            return Some(true);
        }
        let settled = home.ask("/status").await?["queue"]["settled"] == true;
        let tokens = zoho.entries("oauth.token").await.len();
        (settled && tokens == 2).then_some(false)
    })
    .await;
    daemon.kill();
    zoho.release().await;
    let _daemon = home.serve().await;
    invited_once(&zoho, &home).await;
    let messages = zoho.get("/bots").await;
    let told = messages.as_array().unwrap().iter().filter(|message| message["to"] == ADA);
    assert!((1..=2).contains(&told.count()), "killed at call {number}: {messages}");
    held
}

#[tokio::test]
async fn crash_free_killed_at_any_call() {
    let _lane = lane().await;
    let mut number = 0;
    while killed_at(number).await {
        number += 1;
        assert!(number < 30, "a person costs fewer calls");
    }
    assert!(number > 5, "only {number} calls were held");
}
