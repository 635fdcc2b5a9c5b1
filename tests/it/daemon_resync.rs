//! `resync` and `explain` as children beside a running daemon.

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::zoho::Zoho;
use crate::daemon::{Home, lane};

const BO: &str = "bo@partner.example";

async fn command(home: &Home, arguments: &[&str]) -> Ended {
    let config = home.config();
    let door = ["--config", config.to_str().unwrap()];
    Program::run(&[arguments, &door].concat()).await
}

#[tokio::test]
async fn a_resync_is_followed_to_its_end_and_somebody_is_explained() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let text = std::fs::read_to_string(home.config()).unwrap();
    let held = text.replace("id               = \"birch\"", "id = \"birch\"\nfirst_run = \"plan\"");
    assert_ne!(held, text);
    std::fs::write(home.config(), held).unwrap();
    let _daemon = home.serve().await;
    zoho.add("birch", BO).await;

    let birch = ["resync", "--organization", "birch"];
    let dry = command(&home, &[&birch[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(dry.out.starts_with("birch\tadd_external\t"), "{dry:?}");
    let explained = command(&home, &["explain", BO, "--organization", "birch"]).await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.out.contains("first_run = \"plan\""), "{explained:?}");

    let held = command(&home, &birch).await;
    assert_eq!(held.code, Some(1), "{held:?}");
    assert!(held.out.contains("cliqbridge approve run-1"), "{held:?}");
    let approved = command(&home, &["approve", "run-1", "--yes"]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    home.settle().await;

    let all = command(&home, &["resync", "--json"]).await;
    assert_eq!(all.code, Some(0), "{all:?}");
    let document: Value = serde_json::from_str(&all.out).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{document}");
    assert!(runs.iter().all(|run| run["state"] == "done"), "{document}");
    assert_eq!(all.err, "");

    let one = command(&home, &["resync", "--user", BO, "--organization", "birch"]).await;
    assert_eq!(one.code, Some(0), "{one:?}");
    assert!(one.out.contains(": done, 0 actions"), "{one:?}");
    let queued = command(&home, &[&birch[..], &["--no-wait"]].concat()).await;
    assert_eq!(queued.code, Some(0), "{queued:?}");
    assert!(queued.out.ends_with("is queued"), "{queued:?}");
    for (arguments, code) in [
        (&["resync", "--organization", "oak"][..], 1),
        (&["resync", "--dry-run", "--no-wait"], 2),
        (&["explain", "nobody@partner.example"], 1),
    ] {
        let ended = command(&home, arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    }
    let json = command(&home, &["explain", BO, "--json"]).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["organizations"][0]["steps"].as_array().unwrap().len(), 5, "{json}");
}
