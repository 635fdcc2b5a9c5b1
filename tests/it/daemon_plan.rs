//! `plan` and `approve` as children beside a running daemon.

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::zoho::Zoho;
use crate::daemon::{Home, lane};

async fn command(home: &Home, arguments: &[&str]) -> Ended {
    let config = home.config();
    let door = ["--config", config.to_str().unwrap()];
    Program::run(&[arguments, &door].concat()).await
}

fn hold_first_run(home: &Home) {
    let text = std::fs::read_to_string(home.config()).unwrap();
    let held = text.replace("id               = \"birch\"", "id = \"birch\"\nfirst_run = \"plan\"");
    assert_ne!(held, text);
    std::fs::write(home.config(), held).unwrap();
}

#[tokio::test]
async fn a_plan_is_printed_held_approved_and_then_there_is_nothing_to_do() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    hold_first_run(&home);
    let _daemon = home.serve().await;
    zoho.add("birch", "bo@partner.example").await;

    let birch = ["plan", "--organization", "birch"];
    let planned = command(&home, &birch).await;
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert!(planned.out.starts_with("birch\tadd_external\t"), "{planned:?}");
    let ticket = command(&home, &[&birch[..], &["--markdown"]].concat()).await;
    assert!(ticket.out.contains("| add\\_external |"), "{ticket:?}");
    let document = command(&home, &[&birch[..], &["--json"]].concat()).await;
    let document: Value = serde_json::from_str(&document.out).unwrap();
    let checksum = document["checksum"].as_str().unwrap();

    assert_eq!(home.resync("birch").await, "run-1");
    home.settle().await;
    let wrong = command(&home, &["approve", "run-1", "--checksum", "0"]).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("look at its plan again"), "{wrong:?}");
    let approved = command(&home, &["approve", "run-1", "--checksum", checksum]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.out.contains("run-1 is approved: 1 changes"), "{approved:?}");
    home.settle().await;
    let again = command(&home, &birch).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), "birch: nothing to do"), "{again:?}");
    let nobody = command(&home, &["plan", "--user", "nobody@partner.example"]).await;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
}

#[tokio::test]
async fn a_script_approves_by_the_name_of_the_run_only_when_it_says_yes() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    hold_first_run(&home);
    let _daemon = home.serve().await;
    zoho.add("birch", "bo@partner.example").await;
    assert_eq!(home.resync("birch").await, "run-1");
    home.settle().await;
    let unseen = command(&home, &["approve", "run-1"]).await;
    assert_eq!((unseen.code, unseen.out.as_str()), (Some(2), ""), "{unseen:?}");
    assert!(unseen.err.contains("--checksum SUM") && unseen.err.contains("--yes"), "{unseen:?}");
    assert!(zoho.externals("birch").await.is_empty(), "nothing was done");
    let approved = command(&home, &["approve", "run-1", "--yes"]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert!(approved.out.contains("add_external"), "the plan is shown: {approved:?}");
    assert!(approved.out.contains("run-1 is approved: 1 changes"), "{approved:?}");
    home.settle().await;
    assert_eq!(zoho.externals("birch").await.len(), 1);
    let again = command(&home, &["approve", "run-1", "--yes", "--json"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}
