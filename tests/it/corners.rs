//! Corners that generated histories led into: each a short story by itself.

use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";

async fn resync(bridge: &Bridge) {
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
}

async fn act(bridge: &Bridge, email: &str, act: &str) {
    bridge.act(&format!("/organizations/birch/members/{email}/{act}"), &Value::Null).await;
}

async fn patch(bridge: &Bridge, id: &str, patch: Value) {
    bridge.patch(&format!("/organizations/birch/crm-users/{id}"), &patch).await;
}

async fn status(bridge: &Bridge, email: &str) -> Value {
    bridge.cliq_row("birch", email).await.map_or(Value::Null, |row| row["status"].clone())
}

/// Invites Bo to Birch, who joins.
async fn joined(bridge: &Bridge) -> String {
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    act(bridge, BO, "accept").await;
    resync(bridge).await;
    bo
}

#[tokio::test]
async fn g2_g16_whoever_was_renamed_unheard_and_deactivated_is_restricted_under_the_new_address() {
    let bridge = Setup::demo().start().await;
    let bo = joined(&bridge).await;
    patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example" })).await;
    resync(&bridge).await;
    patch(&bridge, &bo, json!({ "email": "bo@nordin.example", "status": "disabled" })).await;
    resync(&bridge).await;
    assert_eq!(status(&bridge, BO).await, "inactive");
    bridge.finish_with_leftovers("Cliq shows the address of the account").await;
}
