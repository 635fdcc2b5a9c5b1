//! Two processes: the simulated Zoho and the daemon, webhooks in, external members out, and what
//! the log says meanwhile.

use std::fs;

use cliqbridge::app::client::client;
use serde_json::Value;

use crate::daemon::child::Program;
use crate::daemon::post::{added, post};
use crate::daemon::zoho::{self, Zoho};
use crate::daemon::{ACME, BIRCH, Home, SECRETS, lane, until};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

/// Users are added, webhooks are posted, and all is worked off.
async fn flow(zoho: &Zoho, home: &Home) {
    let ada = zoho.add("birch", ADA).await;
    let bo_acme = zoho.add("acme", BO).await;
    let bo_birch = zoho.add("birch", BO).await;
    for webhook in [
        added("crmplus", "evt-1", BIRCH, &ada),
        added("deluge", "evt-2", ACME, &bo_acme),
        added("crmplus", "evt-3", BIRCH, &bo_birch),
    ] {
        assert_eq!(webhook.post(home).await, "accepted");
        assert_eq!(webhook.post(home).await, "duplicate");
    }
    home.settle().await;
}

fn pending(emails: &[&str]) -> Vec<(String, String)> {
    emails.iter().map(|email| ((*email).to_owned(), "pending".to_owned())).collect()
}

#[tokio::test]
async fn two_processes_make_external_members_letters_and_notices() {
    let _lane = lane().await;
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.toml");
    fs::write(&world, zoho::world()).unwrap();
    let zoho = Zoho::spawn(world.to_str().unwrap()).await;
    let home = Home::new(&zoho, "5s");
    let daemon = home.serve().await;
    flow(&zoho, &home).await;

    assert_eq!(zoho.externals("acme").await, pending(&[BO]));
    assert_eq!(zoho.externals("birch").await, pending(&[ADA, BO]));
    assert_eq!(zoho.letters(ADA).await.len(), 1);
    assert_eq!(zoho.letters(BO).await.len(), 2);
    let notices = zoho.get("/bots").await;
    let to_ada = |notice: &&Value| notice["to"] == ADA && notice["organization"] == "acme";
    assert_eq!(notices.as_array().unwrap().iter().filter(to_ada).count(), 1, "{notices}");
    let invited = |row: &Value| row[2] == true && row[3] == "invited";
    assert_eq!(home.ledger().await.iter().filter(|row| invited(row)).count(), 3);

    daemon.signal("TERM");
    let ended = daemon.ended().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert_eq!(zoho.violations().await, 0);
    let Zoho { process, .. } = zoho;
    let process = process.unwrap();
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.out.lines().count(), 1, "one line of URLs: {}", ended.out);
}

#[tokio::test]
async fn a_verbose_log_names_nobody_and_no_secret() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let daemon = home.serve_with(&["--verbose"], &[]).await;
    // Failures are where logs become talkative.
    zoho.fault("portal", "drop").await;
    zoho.fault("crm.users.get", "cut_body").await;
    zoho.fault("crm.users.get", "stale_token").await;
    let forged = added("deluge", "evt-forged", BIRCH, "778120000000433");
    let headers = [("X-Bridge-Signature".to_owned(), "bm90IHRoZSBzaWduYXR1cmU=".to_owned())];
    let http = client().unwrap();
    let answer = post(&http, &home, "/webhooks/deluge", &headers, forged.body).await.unwrap();
    assert_eq!(answer.0, 401);
    flow(&zoho, &home).await;
    let token = token(&home);
    daemon.signal("TERM");
    let ended = daemon.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);

    assert!(ended.err.contains("\"level\":\"DEBUG\""), "it was not verbose");
    assert!(ended.err.contains("an action failed"), "the fault was not met: {}", ended.err);
    for line in ended.err.lines() {
        let line: Result<Value, _> = serde_json::from_str(line);
        assert!(line.is_ok(), "not one JSON object per line: {}", ended.err);
    }
    let secrets = SECRETS.iter().map(|(_, secret)| *secret);
    for text in secrets.chain([ADA, BO, zoho::OURS, "not@believed", "zapikey=", &token]) {
        let said = ended.err.lines().find(|line| line.contains(text));
        assert_eq!(said, None, "{text} is in the log");
    }
}

/// The access token that the daemon holds, from its store.
fn token(home: &Home) -> String {
    let store = rusqlite::Connection::open(home.store()).unwrap();
    let query = "SELECT access_token FROM tokens LIMIT 1";
    let token: Vec<u8> = store.query_row(query, [], |row| row.get(0)).unwrap();
    String::from_utf8(token).unwrap()
}

#[tokio::test]
async fn a_sandbox_with_a_wrong_world_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.toml");
    fs::write(&world, zoho::world().replace("bots ", "bot_names ")).unwrap();
    let ended = Program::run(&["sandbox", "--world", world.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("bot_names") && ended.err.contains("world.toml"), "{}", ended.err);
}

#[tokio::test]
async fn a_daemon_outlives_a_zoho_that_is_not_there_yet() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "1s");
    drop(zoho);
    let daemon = home.serve().await;
    daemon.says("Zoho does not give a token").await;
    until("the admin door answers", async || home.ask("/status").await).await;
    let webhook = added("crmplus", "evt-early", BIRCH, "778120000000433");
    assert_eq!(webhook.post(&home).await, "accepted");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code, Some(0));
}
