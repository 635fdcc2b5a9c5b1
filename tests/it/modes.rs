//! What the configuration changes: observe mode, the invitation cap, the held first run, scope.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::traces::ADMIN as IT;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

/// Adds `count` people to Birch's CRM, unannounced.
async fn people(bridge: &Bridge, count: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(bridge.add("birch", &format!("p{number}@partner.example")).await);
    }
    ids
}

async fn resynced(bridge: &Bridge) -> Value {
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    bridge.admin(&format!("/runs/{id}")).await.body
}

async fn writes(bridge: &Bridge) -> usize {
    bridge.journal().await.of("write", "portal").len()
}

#[tokio::test]
async fn c6_observe_watches_for_the_person_and_adds_nobody() {
    let world = "propagate = true\npropagate_after_s = 300";
    let bridge = Setup::demo().observe("birch").world("birch", world).start().await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(4)).await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "wanted");
    assert!(bridge.mails(BO).await.is_empty());

    // CRM Plus has added the person by itself meanwhile; nobody told the bridge.
    bridge.settle().await;
    for _ in 0..2 {
        let row = bridge.membership("birch", BO).await;
        assert_eq!((&row["state"], &row["origin"]), (&json!("invited"), &json!("expected")));
        assert_eq!(bridge.mails(BO).await.len(), 1);
        resynced(&bridge).await;
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn observe_sends_no_letter_to_somebody_who_is_in_already() {
    let world = "propagate = true\npropagate_after_s = 60";
    let bridge = Setup::demo().observe("birch").world("birch", world).start().await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_secs(50)).await;
    bridge.clock.advance(Duration::from_secs(20));
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    resynced(&bridge).await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined");
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn more_invitations_than_the_cap_are_held_as_a_whole() {
    let bridge = Setup::demo().with("guard", "max_invites = 3").start().await;
    people(&bridge, 5).await;
    for _ in 0..2 {
        let run = resynced(&bridge).await;
        assert_eq!(run["state"], "held");
        assert_eq!(rows(&run["held"]).count(), 5, "{run}");
        assert!(run["held"][0]["reason"].as_str().unwrap().contains("guard.max_invites"));
    }
    assert_eq!(writes(&bridge).await, 0);
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("told once: {told:?}") };
    assert!(notice.subject().contains("held back"), "{}", notice.subject());
    bridge.finish().await;
}

#[tokio::test]
async fn as_many_invitations_as_the_cap_go() {
    let bridge = Setup::demo().with("guard", "max_invites = 5").start().await;
    people(&bridge, 5).await;
    assert_eq!(resynced(&bridge).await["state"], "done");
    assert_eq!(writes(&bridge).await, 5);
    assert!(bridge.mails(IT).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn the_cap_holds_for_webhooks_that_come_while_the_portal_is_parked() {
    let bridge = Setup::demo().with("guard", "max_invites = 3").start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 900 })).await;
    for id in people(&bridge, 5).await {
        bridge.announce("birch", &id).await;
        bridge.settle_for(Duration::from_secs(30)).await;
    }
    bridge.settle().await;
    assert_eq!(writes(&bridge).await, 3);
    assert_eq!(bridge.mails(IT).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn the_cap_counts_first_letters_in_observe_mode() {
    let world = "propagate = true\npropagate_after_s = 60";
    let setup = Setup::demo().observe("birch").world("birch", world);
    let bridge = setup.with("guard", "max_invites = 3").start().await;
    people(&bridge, 5).await;
    assert_eq!(resynced(&bridge).await["state"], "done", "five are wanted");
    bridge.clock.advance(Duration::from_mins(1));
    let run = resynced(&bridge).await;
    assert_eq!((&run["state"], rows(&run["held"]).count()), (&json!("held"), 5));
    assert_eq!(bridge.mails(IT).await.len(), 1);
    let letters = async || {
        let journal = bridge.journal().await;
        journal.of("mail", "smtp").iter().filter(|mail| mail["subject"] != IT).count()
    };
    assert_eq!(letters().await, 0, "a run over the cap is held as a whole");
    for number in 0..5 {
        let user = format!("p{number}@partner.example");
        bridge.resync(json!({ "organization": "birch", "user": user })).await;
        bridge.settle().await;
    }
    assert_eq!(letters().await, 3, "one by one as many as the cap");
    bridge.clock.advance(Duration::from_hours(25));
    assert_eq!(resynced(&bridge).await["state"], "done");
    assert_eq!(letters().await, 5, "held, and not forgotten");
    bridge.finish().await;
}

#[tokio::test]
async fn the_cap_is_a_window_and_gives_room_again() {
    let setup = Setup::demo().with("guard", "max_invites = 2\nwindow = \"1h\"");
    let bridge = setup.start().await;
    for id in people(&bridge, 3).await {
        bridge.announce("birch", &id).await;
        bridge.settle_for(Duration::from_secs(1)).await;
    }
    assert_eq!(writes(&bridge).await, 2);
    bridge.clock.advance(Duration::from_mins(61));
    assert_eq!(resynced(&bridge).await["state"], "done");
    assert_eq!(writes(&bridge).await, 3);
    bridge.finish().await;
}

#[tokio::test]
async fn a_first_run_that_is_to_be_planned_changes_nothing() {
    let bridge = Setup::demo().with("birch", "first_run = \"plan\"").start().await;
    people(&bridge, 2).await;
    for _ in 0..2 {
        let run = resynced(&bridge).await;
        assert_eq!(run["state"], "held");
        assert_eq!(run["counts"]["verdicts"]["add"], 2);
        assert!(run["held"][0]["reason"].as_str().unwrap().contains("first_run"), "{run}");
    }
    assert!(bridge.journal().await.effects().is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn before_an_approved_first_run_neither_webhook_nor_resync_writes_for_anybody() {
    let bridge = Setup::demo().with("birch", "first_run = \"plan\"").start().await;
    let ids = people(&bridge, 3).await;
    for id in &ids[..2] {
        bridge.announce("birch", id).await;
        bridge.settle().await;
    }
    for _ in 0..2 {
        let user = json!({ "organization": "birch", "user": ids[0] });
        let run = bridge.resync(user).await;
        bridge.settle().await;
        let run = bridge.admin(&format!("/runs/{run}")).await.body;
        assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("first_run")), "{run}");
    }
    assert!(bridge.journal().await.effects().is_empty());
    // One person is let go by approving that person's plan; the first run is still to come.
    let run = bridge.resync(json!({ "organization": "birch", "user": ids[0] })).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    bridge.approved(&run).await;
    assert_eq!(writes(&bridge).await, 1);
    let run = resynced(&bridge).await;
    assert_eq!((&run["state"], writes(&bridge).await), (&json!("held"), 1));
    bridge.approved(&run).await;
    assert_eq!(writes(&bridge).await, 3);
    bridge.finish().await;
}

#[tokio::test]
async fn scope_decides_who_is_mirrored() {
    let scope = "scope = { include = { profile = [\"Partner\"] }, \
                 exclude = { email = [\"robot@partner.example\"] } }";
    let bridge = Setup::demo().with("birch", scope).start().await;
    for (email, profile) in
        [(BO, "Partner"), ("eve@partner.example", "Standard"), ("robot@partner.example", "Partner")]
    {
        bridge.add_with("birch", json!({ "email": email, "profile": profile })).await;
    }
    let run = resynced(&bridge).await;
    assert_eq!(run["counts"]["verdicts"]["add"], 1);
    let journal = bridge.journal().await;
    let adds = journal.of("write", "portal");
    assert_eq!((adds.len(), &adds[0]["subject"]), (1, &json!(BO)));
    bridge.finish().await;
}

#[tokio::test]
async fn notices_also_go_to_the_admin_channel_where_there_is_one() {
    let setup = Setup::demo().with("acme", "admin_channel = \"bridgeadmins\"");
    let bridge = setup.with("guard", "max_invites = 1").start().await;
    for number in 0..2 {
        bridge.add("acme", &format!("p{number}@partner.example")).await;
    }
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle().await;
    let posts = bridge.sandbox("/bots").await;
    let posts: Vec<_> = rows(&posts).filter(|post| post["channel"] == "bridgeadmins").collect();
    assert_eq!((posts.len(), bridge.mails(IT).await.len()), (1, 1));
    assert!(posts[0]["text"].as_str().unwrap().contains("held back"));
    bridge.finish().await;
}
