//! What the article on external channels leaves to people: both ways of joining, and the way by hand.

use serde_json::json;

use super::support::Setup;
use super::support::channels::{EVE, PEOPLE, mapped, one_channel};

const DAN: &str = "dan@oak.example";

#[tokio::test]
async fn r51_r52_both_ways_of_joining_lead_to_the_same() {
    let bridge = one_channel().start().await;
    for email in [EVE, DAN] {
        bridge.added("acme", email).await;
    }
    bridge.settle().await;
    for (email, path) in [(EVE, "dialog"), (DAN, "menu")] {
        let act = format!("/organizations/acme/channels/ext/accept/{email}");
        bridge.act(&act, &json!({ "path": path })).await;
    }
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, ["admin@acme.example", DAN, EVE]);
    for email in [EVE, DAN] {
        assert_eq!(bridge.guest(email, "ext").await["state"], "joined");
        assert_eq!(bridge.channel_mails(email).await, 1);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn r45_r59_where_the_bridge_may_not_invite_the_way_by_hand_is_told() {
    let world = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext Support", level = "external", admin_role = "member", add_participant = { member = false } }]"#;
    let bridge = Setup::demo()
        .world("acme", world)
        .people(PEOPLE)
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.add").await, 0, "known before the call");
    assert_eq!(bridge.invited("ext").await, Vec::<String>::new());
    let shown = bridge.channel_view("acme", "ext").await.to_string();
    assert!(shown.contains("Channel Preview"), "{shown}");
    bridge.finish().await;
}

#[tokio::test]
async fn c3_r31_the_portal_is_the_only_door() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "portal").len(), 1);
    for door in ["cliq.users.add", "act.admin_panel.add", "act.users_and_profiles.add"] {
        assert_eq!(journal.calls("acme", door), 0, "{door}");
    }
    bridge.finish().await;
}
