//! `token`, `deliveries`, `dead` and `audit` as children beside a running daemon.

use std::fs;

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::post::added;
use crate::daemon::zoho::Zoho;
use crate::daemon::{BIRCH, Home, lane};

async fn run(home: &Home, arguments: &[&str]) -> Ended {
    let config = home.config();
    Program::run(&[arguments, &["--config", config.to_str().unwrap()]].concat()).await
}

/// The same by a token of its own.
async fn by(home: &Home, token: &str, arguments: &[&str]) -> Ended {
    let file = home.path().join("token");
    fs::write(&file, token).unwrap();
    let admin = format!("http://{}", home.admin);
    let door = ["--admin", &admin, "--token-file", file.to_str().unwrap()];
    Program::run(&[arguments, &door[..]].concat()).await
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"))
}

#[tokio::test]
async fn tokens_are_made_and_revoked_beside_the_running_daemon() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    // Before the first start: the store is made.
    let early = run(&home, &["token", "add", "early", "--role", "operator"]).await;
    assert_eq!(early.code, Some(0), "{early:?}");
    let _daemon = home.serve().await;
    let early = early.out.trim().to_owned();
    assert_eq!(by(&home, &early, &["memberships"]).await.code, Some(0));

    let made = run(&home, &["token", "add", "grafana", "--role", "viewer", "--json"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let made = document(&made);
    let viewer = made["token"].as_str().unwrap();
    assert_eq!((&made["role"], &made["created_by"]), (&"viewer".into(), &"command line".into()));
    assert_eq!(by(&home, viewer, &["memberships"]).await.code, Some(0));
    let denied = by(&home, viewer, &["memberships", "adopt", "mem-1"]).await;
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.out.contains("viewer's token"), "{denied:?}");

    let short = ["token", "add", "short", "--role", "viewer", "--expires", "90d"];
    let short = run(&home, &short).await;
    assert!(short.err.contains("not shown again"), "{short:?}");
    let listed = run(&home, &["token", "list"]).await;
    let names: Vec<_> = listed.out.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["early", "grafana", "short"], "{listed:?}");
    assert!(!listed.out.contains(viewer) && !listed.out.contains(&early));

    let taken = run(&home, &["token", "add", "grafana", "--role", "viewer"]).await;
    assert_eq!(taken.code, Some(1), "{taken:?}");
    assert!(taken.err.contains("revoke it first"), "{taken:?}");
    assert_eq!(run(&home, &["token", "revoke", "grafana"]).await.code, Some(0));
    assert_eq!(run(&home, &["token", "revoke", "grafana"]).await.code, Some(1));
    let over = by(&home, viewer, &["memberships"]).await;
    assert_eq!(over.code, Some(1), "{over:?}");
    assert!(over.err.contains("was revoked"), "{over:?}");

    for usage in [
        &["token", "add", "x", "--role", "root"][..],
        &["token", "add", "x", "--role", "viewer", "--expires", "soon"],
        &["token", "add", "a b", "--role", "viewer"],
        &["token"],
    ] {
        assert_eq!(run(&home, usage).await.code, Some(2), "{usage:?}");
    }
    assert_eq!(Program::run(&["token", "list"]).await.code, Some(2));
    let steps = run(&home, &["audit", "--actor", "command line", "--json"]).await;
    assert_eq!(document(&steps)["items"].as_array().unwrap().len(), 4, "{steps:?}");
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_replayed_and_the_audit_tells_of_it() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    let id = zoho.add("birch", "bo@partner.example").await;
    assert_eq!(added("crmplus", "evt-1", BIRCH, &id).post(&home).await, "accepted");
    home.settle().await;

    let listed = run(&home, &["deliveries"]).await;
    assert!(listed.out.starts_with("dlv-1\t") && listed.out.contains("evt-1"), "{listed:?}");
    let none = run(&home, &["deliveries", "--source", "billing", "--json"]).await;
    assert_eq!(document(&none)["items"], serde_json::json!([]));
    let shown = run(&home, &["deliveries", "show", "dlv-1"]).await;
    assert!(shown.out.contains("user.added") && shown.out.contains(&id), "{shown:?}");
    let replayed = run(&home, &["deliveries", "replay", "dlv-1"]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert!(replayed.out.contains("dlv-1: read again"), "{replayed:?}");
    home.settle().await;
    let missing = run(&home, &["deliveries", "replay", "dlv-9"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("no such delivery"), "{missing:?}");
    for usage in [&["deliveries", "show"][..], &["deliveries", "list", "dlv-1"]] {
        assert_eq!(run(&home, usage).await.code, Some(2), "{usage:?}");
    }

    let audit = run(&home, &["audit", "--actor", "bootstrap"]).await;
    assert!(audit.out.contains("replayed"), "{audit:?}");
    let csv = run(&home, &["audit", "--csv"]).await;
    assert!(csv.out.starts_with("\"id\",\"at\","), "{csv:?}");
    assert!(csv.out.contains("\"bo@partner.example\""), "{csv:?}");
}

#[tokio::test]
async fn what_is_dead_is_listed_with_its_remedy_and_retried() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    let refusal = serde_json::json!({
        "call": "portal", "times": 1,
        "fault": { "kind": "status", "status": 200,
                   "body": { "status": "refused", "code": "no_permission", "message": "no" } },
    });
    zoho.call(reqwest::Method::POST, "/faults", &refusal).await;
    let id = zoho.add("birch", "bo@partner.example").await;
    assert_eq!(added("crmplus", "evt-1", BIRCH, &id).post(&home).await, "accepted");
    home.settle().await;

    let dead = run(&home, &["dead"]).await;
    assert_eq!((dead.code, dead.out.lines().count()), (Some(0), 1), "{dead:?}");
    assert!(dead.out.contains("no_permission") && dead.out.contains("Admin panel"), "{dead:?}");
    let unsure = run(&home, &["dead", "retry"]).await;
    assert_eq!(unsure.code, Some(2), "{unsure:?}");
    assert!(dead.out.contains("dead retry --all --cause no_permission"), "{dead:?}");
    let other = ["dead", "retry", "--all", "--cause", "no_licence"];
    assert_eq!(run(&home, &other).await.out, "", "nobody is refused for that");
    let mended = ["dead", "retry", "--all", "--cause", "no_permission", "--organization", "birch"];
    let retried = run(&home, &mended).await;
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert!(retried.out.contains("is tried again now"), "{retried:?}");
    home.settle().await;
    assert_eq!(zoho.externals("birch").await.len(), 1);
    let action = retried.out.split(':').next().unwrap();
    let again = run(&home, &["dead", "retry", action, "--json"]).await;
    assert_eq!((again.code, &document(&again)["failed"]), (Some(1), &1.into()), "{again:?}");
    let none = run(&home, &["dead", "--json"]).await;
    assert_eq!(document(&none)["items"], serde_json::json!([]));
}
