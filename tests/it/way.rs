//! The way of one webhook: from the signed body to the external member, the letter and the notice.

use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

/// The person accepts the invitation, and the bridge looks again.
async fn joins(bridge: &Bridge, organization: &str, email: &str) {
    bridge
        .act(&format!("/organizations/{organization}/members/{email}/accept"), &Value::Null)
        .await;
    bridge.resync(json!({ "organization": organization, "user": email })).await;
    bridge.settle().await;
}

#[tokio::test]
async fn r8_a_person_added_in_crm_becomes_an_external_member_by_one_portal_call() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let row = bridge.cliq_row("birch", BO).await.unwrap();
    assert_eq!((&row["class"], &row["status"]), (&json!("external"), &json!("pending")));
    assert_eq!(bridge.cliq_row("acme", BO).await, None, "only where CRM has them");
    let journal = bridge.journal().await;
    let portal = journal.of("write", "portal");
    assert_eq!(portal.len(), 1);
    assert!(!portal[0]["idempotency_key"].as_str().unwrap().is_empty());
    joins(&bridge, "birch", BO).await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined");
    bridge.finish().await;
}
