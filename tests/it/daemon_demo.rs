//! `demo` of the built binary: what a newcomer sees, as one JSON document.
//!
//! Deliberately absent: the story's steps; what must come of them is here.

use cliqbridge::app::client::client;
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
    assert_eq!(deliveries["accepted"], 7);
    assert_eq!(deliveries["duplicate"], 1);
    assert_eq!(deliveries["rejected"], 1);
    let rows = document["memberships"].as_array().unwrap();
    let external: Vec<Value> = rows
        .iter()
        .filter(|row| row["external"] == true)
        .map(|row| json!([row["organization"], row["email"], row["state"]]))
        .collect();
    for row in [
        json!(["acme", "bo@partner.example", "joined"]),
        json!(["acme", "cy@birch.example", "joined"]),
        json!(["birch", "ada@acme.example", "joined"]),
        json!(["birch", "bo@partner.example", "invited"]),
    ] {
        assert!(external.contains(&row), "{row} is not in {external:?}");
    }
    assert_eq!(external.len(), 4, "{external:?}");
    let homes = document["people"].as_array().unwrap();
    let homes: Vec<Value> = homes.iter().map(|one| json!([one["email"], one["home"]])).collect();
    assert_eq!(
        json!(homes),
        json!([
            ["ada@acme.example", "acme"],
            ["bo@partner.example", null],
            ["cy@birch.example", "birch"],
        ])
    );
    channel(&document["channels"]);
    downgrades(&document);
    let mails = document["mails"].as_array().unwrap();
    for mail in mails {
        assert!(mail["to"].is_string() && mail["subject"].is_string(), "{mail}");
        assert_eq!(mail["count"], 1, "{mail}");
    }
    let to_admin = mails.iter().filter(|mail| mail["to"] == "it@bridge.example").count();
    assert_eq!((mails.len(), to_admin), (6, 2), "{mails:?}");
    let notices = document["bot_notices"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice["to"] == "ada@acme.example"), "{notices:?}");

    let token = document["urls"]["admin_token"].take();
    assert!(token.is_string(), "the console's key is told");
    let shown = format!("{document}\n{}", ended.err);
    for secret in ["fake-", "whsec_", "demo-secret", token.as_str().unwrap()] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

/// One external channel, with somebody who has Cliq and somebody who has not (R47).
fn channel(channels: &Value) {
    let [channel] = channels.as_array().unwrap().as_slice() else { panic!("{channels:#}") };
    assert_eq!(
        json!([channel["organization"], channel["channel"], channel["level"], channel["problem"]]),
        json!(["acme", "extsupport", "external", null])
    );
    let guest = |email: &str, states: &[&str], had_account: bool, taz: u32| {
        json!({
            "email": email, "had_account": had_account, "states": states,
            "invitations": 1, "zoho_mails": 1, "taz": taz,
        })
    };
    let without = ["awaiting_signup", "signed_up", "joined"];
    let guests = json!([
        guest("bo@partner.example", &without, false, 0),
        guest("cy@birch.example", &["invited", "joined"], true, 1),
    ]);
    assert_eq!(channel["guests"], guests);
}

/// A downgrade on each Cliq plan, and nothing written back (R13 to R17).
fn downgrades(document: &Value) {
    let plans = document["plans"].as_array().unwrap();
    let shown = |plan: &Value| {
        json!([
            plan["organization"],
            plan["cliq_plan"],
            plan["badge"],
            plan["free_licences"],
            plan["writes"],
            plan["notices"]
        ])
    };
    let plans: Vec<Value> = plans.iter().map(shown).collect();
    assert_eq!(
        json!(plans),
        json!([
            ["acme", "paid", "downgraded, external users are free users", 2, 0, 1],
            ["birch", "free", "downgraded, access retained", 0, 0, 1],
        ])
    );
    let after = &document["after_downgrades"];
    assert_eq!((&after["writes"], &after["mails"]), (&json!(0), &json!(2)), "{after}");
    assert!(after["reads"].as_u64() > Some(0), "{after}");
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
    let line = demo.prints("/join/").await;
    let page = client().unwrap().get(&line[line.find("http").unwrap()..]).send().await.unwrap();
    assert_eq!(page.status(), 200, "the join page is open while the demo stays up");
    assert!(page.text().await.unwrap().contains("Birch Studio"));
    demo.signal("INT");
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'), "{ended:?}");
    for part in [
        "People",
        "External channel #extsupport of Acme Ltd",
        "awaiting_signup → signed_up → joined",
        "CRM Plus downgraded",
        "0 writes",
        "Letters",
        "Bot notices",
        "Webhooks",
        "http://127.0.0.1:",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
}
