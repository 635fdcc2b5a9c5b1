//! Channels while CRM Plus is downgraded and Cliq's plan is free: nobody in, nobody out (R13).

use serde_json::json;

use super::support::channels::{BO, EVE, PEOPLE};
use super::support::{Bridge, Setup};

/// Calls that brought people into Birch's channels, and out of them.
async fn member_calls(bridge: &Bridge) -> (usize, usize) {
    let journal = bridge.journal().await;
    (journal.calls("birch", "cliq.members.add"), journal.calls("birch", "cliq.members.remove"))
}

#[tokio::test]
async fn r13_no_channel_is_written_to_while_a_free_organization_is_downgraded() {
    const ROOM: &str =
        r#"channels = [{ id = "P1", unique_name = "room", name = "Room", level = "private" }]"#;
    const MAPPED: &str = "channels = [{ channel = \"room\", when = { profile = [\"Partner\"] } }]";
    let bridge =
        Setup::demo().world("birch", ROOM).people(PEOPLE).with("birch", MAPPED).start().await;
    let mut ids = Vec::new();
    for email in [EVE, BO] {
        let id = bridge.add_with("birch", json!({ "email": email, "profile": "Partner" })).await;
        bridge.announce("birch", &id).await;
        bridge.settle().await;
        ids.push(id);
    }
    bridge.by_hand("birch", EVE, "accept").await;
    bridge.run("birch").await;
    assert_eq!(member_calls(&bridge).await, (1, 0));
    bridge.plan_event("birch", "plan.downgraded").await;
    bridge.by_hand("birch", BO, "accept").await;
    let path = format!("/organizations/birch/crm-users/{}", ids[0]);
    bridge.patch(&path, &json!({ "profile": "Standard" })).await;
    for _ in 0..3 {
        bridge.run("birch").await;
    }
    assert_eq!(member_calls(&bridge).await, (1, 0), "neither in nor out");
    for email in [EVE, BO] {
        let id = bridge.membership("birch", email).await["id"].as_str().unwrap().to_owned();
        let row = bridge.admin(&format!("/memberships/{id}")).await.body;
        let parked = row["channels"][0]["parked"].as_str().unwrap_or_default().to_owned();
        assert!(parked.starts_with("downgraded"), "{email}: {row}");
    }
    bridge.plan_event("birch", "plan.upgraded").await;
    bridge.run("birch").await;
    assert_eq!(member_calls(&bridge).await, (2, 1));
    bridge.finish_with_leftovers("the plan is contradicted by the licence details").await;
}
