//! `people` as a child beside a running daemon: one person, and the word on a home.

use serde_json::Value;

use crate::daemon::child::{Ended, Program};
use crate::daemon::post::added;
use crate::daemon::zoho::Zoho;
use crate::daemon::{BIRCH, Home, lane};

async fn people(home: &Home, arguments: &[&str]) -> Ended {
    let config = home.config();
    let door = ["--config", config.to_str().unwrap()];
    Program::run(&[&["people"], arguments, &door].concat()).await
}

#[tokio::test]
async fn r40_a_person_is_shown_with_home_and_hosts_and_the_home_is_confirmed() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    let ada = "ada@acme.example";
    let id = zoho.add("birch", ada).await;
    assert_eq!(added("crmplus", "evt-1", BIRCH, &id).post(&home).await, "accepted");
    home.settle().await;

    let shown = people(&home, &[ada]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for text in ["At home in acme.", "birch: invited, External User", "switcher", "(R21)"] {
        assert!(shown.out.contains(text), "{text}: {shown:?}");
    }
    let shown = people(&home, &[&id, "--json"]).await;
    let document: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(document["hosts"][0]["crm_user_id"], id);

    let confirmed = people(&home, &["confirm-home", ada]).await;
    assert_eq!(confirmed.code, Some(0), "{confirmed:?}");
    assert!(confirmed.out.contains("At home in acme."), "{confirmed:?}");

    let nobody = people(&home, &["nobody@partner.example"]).await;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.err.contains("nobody is known by this"), "{nobody:?}");
    let what = people(&home, &["forget", ada]).await;
    assert_eq!(what.code, Some(2), "{what:?}");
    assert!(what.err.contains("confirm-home"), "{what:?}");
}
