//! `demo` of the built binary: what a newcomer sees, as one JSON document.
//!
//! Deliberately absent: the story's steps; what must come of them is here.

use serde_json::{Value, json};

use crate::daemon::child::Program;
use crate::daemon::lane;

#[tokio::test]
async fn the_demo_prints_one_document_and_it_converged() {
    let _lane = lane().await;
    let ended = Program::run(&["demo", "--exit", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut document: Value = serde_json::from_str(&ended.out).expect("nothing but one document");

    assert_eq!(document["converged"], true, "{document:#}");
    assert_eq!(document["sandbox"]["violations"], 0);
    let deliveries = &document["deliveries"];
    assert_eq!(deliveries["accepted"], 4);
    assert_eq!(deliveries["duplicate"], 1);
    assert_eq!(deliveries["rejected"], 1);
    let rows = document["memberships"].as_array().unwrap();
    let external: Vec<Value> = rows
        .iter()
        .filter(|row| row["external"] == true)
        .map(|row| json!([row["organization"], row["email"], row["state"]]))
        .collect();
    for row in [
        json!(["acme", "bo@partner.example", "invited"]),
        json!(["birch", "ada@acme.example", "joined"]),
        json!(["birch", "bo@partner.example", "invited"]),
    ] {
        assert!(external.contains(&row), "{row} is not in {external:?}");
    }
    assert_eq!(external.len(), 3, "{external:?}");
    let mails = document["mails"].as_array().unwrap();
    for mail in mails {
        assert!(mail["to"].is_string() && mail["subject"].is_string(), "{mail}");
        assert_eq!(mail["count"], 1, "{mail}");
    }
    assert_eq!(mails.len(), 3, "{mails:?}");
    let notices = document["bot_notices"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice["to"] == "ada@acme.example"), "{notices:?}");

    let token = document["urls"]["admin_token"].take();
    assert!(token.is_string(), "the console's key is told");
    let shown = format!("{document}\n{}", ended.err);
    for secret in ["fake-", "whsec_", "demo-secret", token.as_str().unwrap()] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[tokio::test]
async fn the_demo_is_for_this_machine_only() {
    let ended = Program::run(&["demo", "--exit", "--listen", "0.0.0.0:0"]).await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.contains("0.0.0.0:0") && ended.err.contains("loopback"), "{ended:?}");
    assert_eq!(ended.out, "");
}

#[tokio::test]
async fn the_demo_without_a_terminal_is_plain_text_and_ends_with_a_signal() {
    let _lane = lane().await;
    let demo = Program::spawn(&["demo"], &[]);
    demo.prints("Converged in ").await;
    demo.says("Ctrl-C").await;
    demo.signal("INT");
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'), "{ended:?}");
    for part in ["Memberships", "Letters", "Bot notices", "Webhooks", "http://127.0.0.1:"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
}
