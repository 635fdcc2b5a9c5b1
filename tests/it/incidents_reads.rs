//! Incidents of others in which a read was believed that should not have been.
//!
//! Each test first builds the world in which somebody else's tool removed people, and shows that it
//! is that world; then that the bridge writes nothing, by the sandbox's journal.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::members::roster;
use super::support::people::crowd;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const DI: &str = "di@partner.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn status(status: u16) -> Value {
    json!({ "kind": "status", "status": status })
}

async fn for_ever(bridge: &Bridge, call: &str, fault: Value) {
    bridge.fault(call, json!({ "organization": "birch", "times": null }), fault).await;
}

/// How often a call was answered with this fault.
async fn faults(bridge: &Bridge, call: &str) -> usize {
    bridge.journal().await.of("fault", call).len()
}

#[tokio::test]
async fn i2_a_503_of_a_single_read_is_not_somebody_who_is_gone() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    let before = bridge.count().await;
    for_ever(&bridge, "crm.users.get", status(503)).await;
    for_ever(&bridge, "cliq.users.get", status(503)).await;
    for _ in 0..3 {
        bridge.say("user.removed", &bo).await;
        bridge.settle_for(DAY).await;
    }
    assert!(faults(&bridge, "crm.users.get").await > 3, "the single reads did fail");
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    assert_eq!(bridge.membership("birch", BO).await["suspected_at"], Value::Null);
    bridge.clear_faults().await;
    bridge.settle().await;
    assert_eq!((bridge.state(BO).await.as_str(), bridge.count().await), ("joined", before));
    bridge.finish().await;
}

#[tokio::test]
async fn i3_a_listing_that_breaks_off_after_its_first_page_removes_nobody() {
    // Two pages of CRM and three of Cliq; everybody is ours.
    let bridge = Setup::demo()
        .people(crowd("birch", 230, "free"))
        .with("guard", "max_removals = 1000\nmax_percent = 100")
        .start()
        .await;
    bridge.adopted("birch").await;
    let before = bridge.count().await;
    for (call, fault) in [
        ("crm.users.list", status(503)),
        ("crm.users.list", json!({ "kind": "missing_page" })),
        ("cliq.users.list", status(503)),
        ("cliq.users.list", json!({ "kind": "cut_body" })),
    ] {
        for _ in 0..2 {
            let more = json!({ "organization": "birch", "skip": 1, "times": null });
            bridge.fault(call, more, fault.clone()).await;
            let run = bridge.run_over("birch").await;
            assert_eq!(run["state"], "failed", "{call} {fault}: {run}");
            bridge.clear_faults().await;
            bridge.clock.advance(DAY * 2);
        }
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    let run = bridge.run_over("birch").await;
    assert_eq!((&run["state"], &run["counts"]["removals"]), (&json!("done"), &json!(0)));
    assert_eq!(bridge.count().await, before);
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn i4_members_who_are_missing_from_every_other_listing_stay() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO, EVE, DI]).await;
    let before = bridge.count().await;
    for missing in [[0, 1], [1, 2], [2, 0], [0, 1]] {
        // Complete by all its counts, and two of the three are not in it.
        let rest: Vec<(&str, &str)> = [(&*ids[0], BO), (&*ids[1], EVE), (&*ids[2], DI)]
            .into_iter()
            .enumerate()
            .filter_map(|(number, row)| (!missing.contains(&number)).then_some(row))
            .collect();
        bridge.fault("crm.users.list", json!({ "organization": "birch" }), roster(&rest)).await;
        let run = bridge.run_over("birch").await;
        assert_eq!(run["counts"]["verdicts"]["absent"], 2, "{run}");
        bridge.clock.advance(DAY * 2);
        bridge.run_over("birch").await;
        bridge.clock.advance(DAY * 2);
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    bridge.finish().await;
}

#[tokio::test]
async fn i4_absence_counts_when_two_complete_listings_apart_say_so() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    let before = bridge.count().await;
    bridge.crm_delete(&bo).await;
    for _ in 0..3 {
        bridge.run_over("birch").await;
        bridge.clock.advance(HOUR);
    }
    assert_eq!(bridge.done_after(before).await, [""; 0], "twice, and not a day apart");
    bridge.clock.advance(DAY);
    bridge.run_over("birch").await;
    assert_eq!(bridge.done_after(before).await, ["restrict"]);
    bridge.finish().await;
}

#[tokio::test]
async fn i9_refused_credentials_freeze_and_nothing_is_made_up_for_afterwards() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO, EVE]).await;
    // Eve is missing from a listing, and Bo's restriction waits for a portal that is busy.
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 7200 })).await;
    bridge.crm(&ids[0], json!({ "status": "inactive" })).await;
    bridge.say("user.deactivated", &ids[0]).await;
    let only = roster(&[("1", "boss@birch.example")]);
    bridge.fault("crm.users.list", json!({ "organization": "birch" }), only).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_ne!(bridge.membership("birch", EVE).await["suspected_at"], Value::Null);
    let before = bridge.count().await;

    // The operator changes the credentials on Zoho's side; meanwhile Bo is activated again.
    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": false })).await;
    bridge.clock.advance(HOUR);
    for _ in 0..3 {
        bridge.say("user.updated", &ids[1]).await;
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle_for(DAY).await;
    }
    let frozen = bridge.organization("birch").await["quarantine"].clone();
    assert!(frozen["cause"].is_string(), "{frozen}");
    bridge.crm(&ids[0], json!({ "status": "active" })).await;
    assert_eq!(bridge.done_after(before).await, [""; 0], "frozen");

    bridge.patch("/organizations/birch", &json!({ "refresh_token_valid": true })).await;
    bridge.run_over("birch").await;
    bridge.clock.advance(DAY);
    bridge.run_over("birch").await;
    assert_eq!(bridge.organization("birch").await["quarantine"], Value::Null);
    assert_eq!(bridge.done_after(before).await, [""; 0], "no removal is replayed");
    assert_eq!(
        (bridge.state(BO).await, bridge.state(EVE).await),
        ("joined".into(), "joined".into())
    );
    bridge.finish().await;
}

#[tokio::test]
async fn i30_a_member_whose_row_has_lost_its_fields_is_not_pruned() {
    let scope = "scope = { include = { profile = [\"Standard\"] } }";
    let bridge = Setup::demo().with("birch", scope).start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    let before = bridge.count().await;
    let whole = roster(&[(&bo, BO)]);
    let fields =
        ["status", "confirm", "category", "email", "first_name", "last_name", "profile", "role"];
    for missing in fields {
        let mut bare = whole.clone();
        let row = &mut bare["body"]["users"][0];
        row.as_object_mut().unwrap().remove(missing).unwrap();
        let single = json!({ "kind": "status", "status": 200, "body": { "users": [row] } });
        for _ in 0..2 {
            bridge.fault("crm.users.list", json!({ "organization": "birch" }), bare.clone()).await;
            assert_ne!(bridge.run_over("birch").await["state"], "failed", "{missing}");
            bridge.fault("crm.users.get", json!({}), single.clone()).await;
            bridge.say("user.updated", &bo).await;
            bridge.settle().await;
            bridge.clock.advance(DAY * 2);
        }
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    assert_eq!(bridge.state(BO).await, "joined");
    bridge.finish().await;
}
