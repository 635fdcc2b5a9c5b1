//! `check`, `send` and a `serve` that cannot start: exit statuses, and words that help.
//!
//! Deliberately absent: what makes a configuration wrong; the checker's own tests have that.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::post::added;
use crate::daemon::zoho::Zoho;
use crate::daemon::{BILLING_SECRET, BIRCH, Home, RAW_SECRET, STANDARD_SECRET, lane};

/// Text of the good file, what it becomes, and the key that is wrong then.
const MISTAKES: [(&str, &str, &str); 5] = [
    ("drain        = \"5s\"", "drain        = \"5 weeks\"", "server.drain"),
    ("scheme  = \"standard\"", "scheme  = \"sha1\"", "scheme"),
    ("secrets/deluge", "secrets/nowhere", "secrets"),
    ("cliq_plan        = \"free\"", "cliq_plan        = \"gold\"", "cliq_plan"),
    ("[mail]", "[mail]\ncolour = \"blue\"", "colour"),
];

async fn home() -> (Zoho, Home) {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    (zoho, home)
}

/// Writes the mistakes into the file; answers the line of each, in the order of the file.
fn spoil(home: &Home) -> Vec<(usize, &'static str)> {
    let mut text = fs::read_to_string(home.config()).unwrap();
    for (good, bad, _) in MISTAKES {
        assert!(text.contains(good), "{good}");
        text = text.replacen(good, bad, 1);
    }
    fs::write(home.config(), &text).unwrap();
    let line = |bad: &str| {
        let last = bad.lines().last().unwrap();
        text.lines().position(|line| line.contains(last)).unwrap() + 1
    };
    let mut lines: Vec<_> = MISTAKES.iter().map(|(_, bad, key)| (line(bad), *key)).collect();
    lines.sort_unstable();
    lines
}

async fn check(home: &Home, more: &[&str]) -> Ended {
    let config = home.config();
    let fixed = ["check", "--config", config.to_str().unwrap()];
    Program::run(&[&fixed, more].concat()).await
}

#[tokio::test]
async fn five_mistakes_are_five_lines() {
    let (_zoho, home) = home().await;
    let good = check(&home, &[]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.contains("is valid"), "{good:?}");
    let good = check(&home, &["--json"]).await;
    let document: Value = serde_json::from_str(&good.out).unwrap();
    let expected = serde_json::json!({ "valid": true, "problems": [], "warnings": [] });
    assert_eq!((document, good.err.as_str()), (expected, ""));
    let written = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), written.replace("admins = [", "#admins = [")).unwrap();
    let deaf = check(&home, &[]).await;
    assert_eq!(deaf.code, Some(0), "a warning is no mistake: {deaf:?}");
    assert!(deaf.err.contains("warning: acme: no administrator hears"), "{deaf:?}");
    fs::write(home.config(), written).unwrap();

    let lines = spoil(&home);
    let bad = check(&home, &[]).await;
    assert_eq!((bad.code, bad.out.as_str()), (Some(2), ""), "{bad:?}");
    let file = home.config().to_str().unwrap().to_owned();
    let said: Vec<&str> = bad.err.lines().filter(|line| line.starts_with(&file)).collect();
    assert_eq!(said.len(), 5, "{}", bad.err);
    for (said, (line, key)) in said.iter().zip(&lines) {
        assert!(said.starts_with(&format!("{file}:{line}:")), "line {line}: {said}");
        assert!(said.contains(key), "{key}: {said}");
    }
    let bad = check(&home, &["--json"]).await;
    assert_eq!(bad.code, Some(2));
    let document: Value = serde_json::from_str(&bad.out).unwrap();
    let listed: Vec<u64> = document["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["line"].as_u64().unwrap())
        .collect();
    assert_eq!(listed, lines.iter().map(|(line, _)| *line as u64).collect::<Vec<_>>());

    let served = home.start(&[], &[]).ended().await;
    assert_eq!(served.code, Some(2));
    assert_eq!(served.err.lines().filter(|line| line.starts_with(&file)).count(), 5, "{served:?}");
    assert!(!home.store().exists(), "nothing was opened");
}

#[tokio::test]
async fn a_missing_file_and_bad_usage_exit_with_2() {
    let missing = Program::run(&["check", "--config", "/nonexistent/bridge.toml"]).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("/nonexistent/bridge.toml"), "{missing:?}");
    let far = ["plan", "--admin", "nonsense", "--token-file", "/nonexistent/token"];
    for usage in [
        &["serve"][..],
        &["frobnicate"],
        &["send", "--url", "x"],
        &[],
        &far,
        &["demo", "--listen", "0.0.0.0:0"],
        &["sandbox", "--smtp", "0.0.0.0:0"],
    ] {
        let ended = Program::run(usage).await;
        assert_eq!(ended.code, Some(2), "{usage:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let (_zoho, home) = home().await;
    let store = rusqlite::Connection::open(home.store()).unwrap();
    store.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(store);
    let ended = home.start(&[], &[]).ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let store = home.store();
    for word in [store.to_str().unwrap(), "newer cliqbridge", "99"] {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_store_serves_one_daemon() {
    let _lane = lane().await;
    let (_zoho, home) = home().await;
    let first = home.serve().await;
    let second = home.start(&[], &[]).ended().await;
    assert_eq!(second.code, Some(1), "{second:?}");
    let store = home.store();
    assert!(second.err.contains(store.to_str().unwrap()), "{}", second.err);
    assert!(second.err.contains("in use by another cliqbridge"), "{}", second.err);
    first.signal("TERM");
    assert_eq!(first.ended().await.code, Some(0), "the first is not harmed");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (_zoho, home) = home().await;
    for (address, key) in [(&home.public, "server.listen"), (&home.admin, "server.admin_listen")] {
        let _taken = TcpListener::bind(address).unwrap();
        let ended = home.start(&[], &[]).ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(key) && ended.err.contains(address), "{}", ended.err);
    }
}

#[tokio::test]
async fn send_signs_for_each_scheme() {
    let _lane = lane().await;
    let (_zoho, home) = home().await;
    let written = fs::read_to_string(home.config()).unwrap();
    let flow = "[[sources]]\nname = \"flow\"\nscheme = \"token\"\n\
                secrets = [{ id = \"t\", file = \"secrets/deluge\" }]\n";
    fs::write(home.config(), format!("{written}\n{flow}")).unwrap();
    let _daemon = home.serve().await;
    let url = |path: &str| format!("http://{}/webhooks/{path}", home.public);
    let file = format!("@{}", home.path().join("secrets/crmplus").display());
    let send = async |path: &str, secret: &str, more: &[&str]| {
        let url = url(path);
        let fixed = ["send", "--url", &url, "--secret", secret, "--scheme"];
        Program::run(&[&fixed, more].concat()).await
    };
    for (path, secret, more) in [
        ("crmplus", STANDARD_SECRET, &["standard"][..]),
        ("crmplus", &file, &["standard", "--json"]),
        ("deluge", RAW_SECRET, &["raw", "--encoding", "base64"]),
        ("flow", RAW_SECRET, &["token"]),
        ("billing", BILLING_SECRET, &["zoho-billing"]),
        ("billing", BILLING_SECRET, &["zoho-billing", "--encoding", "base64"]),
        ("billing?b=2&a=1", BILLING_SECRET, &["zoho-billing"]),
    ] {
        let ended = send(path, secret, more).await;
        assert_eq!(ended.code, Some(0), "{path} {more:?}: {ended:?}");
        assert!(ended.out.contains("200") && ended.out.contains("ignored"), "{ended:?}");
    }
    for (path, secret, more) in [
        ("crmplus", "whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkgaGFz", &["standard"][..]),
        ("deluge", "another-secret-that-nobody-has", &["raw", "--encoding", "base64"]),
        ("deluge", RAW_SECRET, &["raw"]),
        ("billing", "anothersecret", &["zoho-billing"]),
    ] {
        let ended = send(path, secret, more).await;
        assert_eq!(ended.code, Some(1), "{path} {more:?}: {ended:?}");
        assert!(ended.out.contains("401"), "{ended:?}");
    }
    let ended = send("crmplus", "whsec_%%%", &["standard"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("not base64"), "{ended:?}");
}

#[tokio::test]
async fn send_says_that_nobody_answers_and_keeps_the_query_to_itself() {
    let (_zoho, home) = home().await;
    let url = format!("http://{}/webhooks/crmplus?key=do-not-print", home.public);
    let secret = STANDARD_SECRET;
    let ended =
        Program::run(&["send", "--url", &url, "--secret", secret, "--scheme", "standard"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("does not answer"), "{ended:?}");
    assert!(!ended.err.contains("do-not-print") && !ended.err.contains(secret), "{ended:?}");
}

#[tokio::test]
async fn send_posts_a_file_and_the_same_id_is_a_duplicate() {
    let _lane = lane().await;
    let (zoho, home) = home().await;
    let _daemon = home.serve().await;
    let ada = zoho.add("birch", "ada@acme.example").await;
    let file = home.path().join("event.json");
    fs::write(&file, added("crmplus", "evt-file", BIRCH, &ada).body).unwrap();
    let url = format!("http://{}/webhooks/crmplus", home.public);
    for status in ["accepted", "duplicate"] {
        let fixed = ["send", "--url", &url, "--secret", STANDARD_SECRET, "--scheme", "standard"];
        let more = ["--id", "msg_file", "--json", "--file", file.to_str().unwrap()];
        let ended = Program::run(&[&fixed[..], &more].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let answer: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((&answer["status"], &answer["body"]["status"]), (&200.into(), &status.into()));
    }
    home.settle().await;
    assert_eq!(zoho.letters("ada@acme.example").await.len(), 1);
}
