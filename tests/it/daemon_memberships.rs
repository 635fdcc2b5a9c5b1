//! `memberships` as a child beside a running daemon: lists, verbs, exit statuses, and both ways to
//! name the daemon.

use std::fs;

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::post::added;
use crate::daemon::zoho::Zoho;
use crate::daemon::{ADMIN_TOKEN, BIRCH, Home, lane};
use crate::support::people::crowd;

/// People of Birch who have joined, and a daemon that knows it.
async fn joined(count: usize) -> (Zoho, Home, Program) {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let daemon = home.serve().await;
    for number in 0..count {
        let email = format!("p{number}@partner.example");
        let id = zoho.add("birch", &email).await;
        let event = format!("evt-{number}");
        assert_eq!(added("crmplus", &event, BIRCH, &id).post(&home).await, "accepted");
        home.settle().await;
        let accept = format!("/organizations/birch/members/{email}/accept");
        zoho.call(reqwest::Method::POST, &accept, &Value::Null).await;
        let again = format!("evt-{number}-again");
        assert_eq!(added("crmplus", &again, BIRCH, &id).post(&home).await, "accepted");
        home.settle().await;
    }
    (zoho, home, daemon)
}

async fn memberships(home: &Home, arguments: &[&str]) -> Ended {
    let config = home.config();
    let fixed = ["memberships", "--config", config.to_str().unwrap()];
    Program::run(&[&fixed, arguments].concat()).await
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"))
}

#[tokio::test]
async fn lists_as_lines_and_as_json_from_a_config_or_an_address() {
    let _lane = lane().await;
    let (_zoho, home, _daemon) = joined(2).await;
    let listed = memberships(&home, &["--organization", "birch"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let lines: Vec<_> =
        listed.out.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 2, "{listed:?}");
    assert_eq!(lines[0][1..4], ["birch", "p0@partner.example", "joined"]);

    let token = home.path().join("token");
    fs::write(&token, format!("{ADMIN_TOKEN}\n")).unwrap();
    let admin = format!("http://{}", home.admin);
    let named = ["memberships", "--admin", &admin, "--token-file", token.to_str().unwrap()];
    let listed = Program::run(&[&named[..], &["--json", "--q", "p1@"]].concat()).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert_eq!(document(&listed)["items"][0]["email"], "p1@partner.example");
    assert_eq!(document(&listed)["items"].as_array().unwrap().len(), 1);

    fs::write(&token, "wrong").unwrap();
    let denied = Program::run(&named).await;
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.err.contains("admin token"), "{denied:?}");
}

#[tokio::test]
async fn r15_a_dry_run_names_them_and_the_order_hits_exactly_those() {
    let _lane = lane().await;
    let (zoho, home, _daemon) = joined(3).await;
    let filter = ["restrict", "--organization", "birch", "--state", "joined"];
    for empty in [&[][..], &["--yes"], &["--yes", "--q", ""], &["--state", " "]] {
        let unsure = memberships(&home, &[&filter[..3], empty].concat()).await;
        assert_eq!((unsure.code, unsure.out.as_str()), (Some(2), ""), "{unsure:?}");
        assert!(unsure.err.contains("--all"), "{unsure:?}");
    }
    let dry = memberships(&home, &[&filter[..], &["--dry-run"]].concat()).await;
    assert_eq!((dry.code, dry.out.lines().count()), (Some(0), 3), "{dry:?}");
    assert!(dry.out.contains("p2@partner.example: restrict: would be done"), "{dry:?}");
    assert!(zoho.externals("birch").await.iter().all(|(_, status)| status == "active"));

    let done = memberships(&home, &[&filter[..], &["--q", "p1@"]].concat()).await;
    assert_eq!((done.code, done.out.lines().count()), (Some(0), 1), "{done:?}");
    home.settle().await;
    let restricted: Vec<_> = zoho.externals("birch").await;
    let restricted: Vec<_> = restricted.iter().filter(|(_, status)| status == "inactive").collect();
    assert_eq!(restricted, [&("p1@partner.example".to_owned(), "inactive".to_owned())]);

    let rest = memberships(&home, &filter).await;
    assert_eq!((rest.code, rest.out.lines().count()), (Some(0), 2), "{rest:?}");
    home.settle().await;
    assert!(zoho.externals("birch").await.iter().all(|(_, status)| status == "inactive"));
}

#[tokio::test]
async fn everybody_who_was_there_before_the_bridge_is_adopted_at_once() {
    let _lane = lane().await;
    let zoho = Zoho::start_with(crowd("birch", 2, "free")).await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    home.resync("birch").await;
    home.settle().await;
    let whole = ["adopt", "--organization", "birch", "--all"];
    let dry = memberships(&home, &[&whole[..], &["--dry-run"]].concat()).await;
    assert_eq!((dry.code, dry.out.lines().count()), (Some(0), 2), "{dry:?}");
    let adopted = memberships(&home, &whole).await;
    assert_eq!((adopted.code, adopted.out.lines().count()), (Some(0), 2), "{adopted:?}");
    let rows = home.admin("/memberships?organization=birch").await;
    assert!(rows["items"].as_array().unwrap().iter().all(|row| row["origin"] == "adopted"));
    let again = memberships(&home, &whole).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    for usage in [&["adopt", "--all"][..], &["--organization", "birch", "--all"]] {
        assert_eq!(memberships(&home, usage).await.code, Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn each_person_is_a_line_and_one_failure_is_a_failure() {
    let _lane = lane().await;
    let (_zoho, home, _daemon) = joined(1).await;
    let mixed = memberships(&home, &["restrict", "mem-1", "mem-99"]).await;
    assert_eq!((mixed.code, mixed.out.lines().count()), (Some(1), 2), "{mixed:?}");
    assert!(mixed.out.contains("mem-1: restrict: queued as act-"), "{mixed:?}");
    assert!(mixed.out.contains("mem-99: FAILED: there is no such membership"), "{mixed:?}");
    home.settle().await;
    let refused = memberships(&home, &["assign-licence", "mem-1", "--json"]).await;
    let said = document(&refused);
    assert_eq!((refused.code, &said["failed"]), (Some(1), &1.into()), "{refused:?}");
    assert!(said["results"][0]["detail"].as_str().unwrap().contains("free plan"), "{said}");
}

#[tokio::test]
async fn bad_usage_and_a_daemon_that_is_away() {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    for usage in [
        &["memberships"][..],
        &["memberships", "--admin", "http://127.0.0.1:1"],
        &["memberships", "--config", "x", "destroy", "mem-1"],
    ] {
        assert_eq!(Program::run(usage).await.code, Some(2), "{usage:?}");
    }
    let nobody = memberships(&home, &["restrict"]).await;
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    let away = memberships(&home, &[]).await;
    assert_eq!(away.code, Some(1), "{away:?}");
    assert!(away.err.contains("does not answer at its admin address"), "{away:?}");
}

#[tokio::test]
async fn a_unix_socket_is_found_in_the_config_and_by_name() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let socket = home.path().join("admin.sock");
    let socket = format!("unix:{}", socket.display());
    let text = fs::read_to_string(home.config()).unwrap();
    let tcp = format!("admin_listen = \"{}\"", home.admin);
    assert!(text.contains(&tcp));
    fs::write(home.config(), text.replace(&tcp, &format!("admin_listen = \"{socket}\""))).unwrap();
    let _daemon = home.serve().await;
    let listed = memberships(&home, &["--json"]).await;
    assert_eq!((listed.code, &document(&listed)["items"]), (Some(0), &serde_json::json!([])));
    let token = home.path().join("token");
    fs::write(&token, ADMIN_TOKEN).unwrap();
    let named = ["memberships", "--admin", &socket, "--token-file", token.to_str().unwrap()];
    assert_eq!(Program::run(&named).await.code, Some(0));
}
