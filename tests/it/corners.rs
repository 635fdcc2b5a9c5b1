//! Corners that generated histories led into: each a short story by itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const DAY: Duration = Duration::from_hours(24);

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

#[tokio::test]
async fn g17_g2_an_invitation_is_cancelled_under_the_address_that_was_invited() {
    for listed_in_time in [true, false] {
        let bridge = Setup::demo().start().await;
        let bo = bridge.added("birch", BO).await;
        bridge.settle().await;
        if listed_in_time {
            resync(&bridge).await;
        }
        // Bo has no Zoho account: nothing but the address says who the open invitation is for.
        patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example" })).await;
        bridge.webhook("crmplus", &bridge.event("user.updated", "birch", &bo)).await;
        bridge.settle().await;
        resync(&bridge).await;
        bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
        for _ in 0..3 {
            resync(&bridge).await;
            bridge.clock.advance(DAY);
        }
        assert_eq!(status(&bridge, BO).await, Value::Null, "listed in time: {listed_in_time}");
        assert_eq!(bridge.mails(BO).await.len(), 1);
        bridge.finish().await;
    }
}

#[tokio::test]
async fn g11_whoever_was_once_one_of_their_own_and_is_added_anew_is_ours() {
    let bridge = Setup::demo().start().await;
    let bo = joined(&bridge).await;
    bridge.patch(&format!("/people/{BO}"), &json!({ "home": "birch" })).await;
    resync(&bridge).await;
    bridge.patch(&format!("/people/{BO}"), &json!({ "home": "elsewhere" })).await;
    resync(&bridge).await;
    bridge.admin_post(&format!("/people/{BO}/confirm-home"), &Value::Null).await;
    for _ in 0..2 {
        bridge.clock.advance(DAY * 2);
        resync(&bridge).await;
    }
    assert_eq!(status(&bridge, BO).await, "pending", "added anew");
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    for _ in 0..3 {
        resync(&bridge).await;
        bridge.clock.advance(DAY);
    }
    assert_eq!(status(&bridge, BO).await, Value::Null, "what our call made is ours");
    bridge.finish().await;
}

#[tokio::test]
async fn g1_whoever_is_listed_again_in_whatever_shape_is_not_absent_any_more() {
    for (name, shape) in
        [("category", "portal_user"), ("status", "paused"), ("email", "no address")]
    {
        let bridge = Setup::demo().start().await;
        let bo = joined(&bridge).await;
        let alone = json!({ "kind": "status", "status": 200, "body": {
            "users": [{ "id": "1", "email": "boss@birch.example", "status": "active" }],
            "info": { "per_page": 200, "count": 1, "page": 1, "more_records": false },
        }});
        let once = json!({ "organization": "birch" });
        bridge.fault("crm.users.list", once.clone(), alone.clone()).await;
        resync(&bridge).await;
        patch(&bridge, &bo, json!({ name: shape })).await;
        bridge.clock.advance(DAY * 3);
        resync(&bridge).await;
        bridge.fault("crm.users.list", once, alone).await;
        resync(&bridge).await;
        assert_eq!(status(&bridge, BO).await, "active", "{name}: absent in one listing, twice");
        bridge.finish_with_leftovers("the listing lied last").await;
    }
}

#[tokio::test]
async fn i17_g1_a_leaver_is_taken_out_under_the_address_that_cliq_shows() {
    let bridge = Setup::demo().start().await;
    let bo = joined(&bridge).await;
    patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example" })).await;
    resync(&bridge).await;
    // What CRM leaves of the address when it deletes a user; nobody hears of it in time.
    patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example (deleted 1)" })).await;
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    for days in [1, 1, 8, 1] {
        resync(&bridge).await;
        bridge.clock.advance(DAY * days);
    }
    assert_eq!(status(&bridge, BO).await, Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn i16_g2_an_open_invitation_is_found_by_the_address_it_went_to() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example" })).await;
    resync(&bridge).await;
    // Deleted unheard, and made anew under the first address, at which Cliq still waits.
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    bridge.added("birch", BO).await;
    for _ in 0..3 {
        bridge.settle_for(DAY).await;
        resync(&bridge).await;
    }
    let letters = bridge.mails(BO).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn g2_g6_whoever_comes_back_under_the_first_address_is_let_in_again() {
    let bridge = Setup::demo().start().await;
    let bo = joined(&bridge).await;
    // Nobody told Zoho whose account it is: only the Cliq id connects the two CRM users.
    patch(&bridge, &bo, json!({ "email": "bo.nordin@partner.example" })).await;
    resync(&bridge).await;
    patch(&bridge, &bo, json!({ "status": "disabled" })).await;
    resync(&bridge).await;
    assert_eq!(status(&bridge, BO).await, "inactive");
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(status(&bridge, BO).await, "active", "what the bridge restricted, it restores");
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}
