//! Who is who: one person twice, a new id for somebody known, and listings of several pages.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::traces::ADMIN;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

async fn resynced(bridge: &Bridge) -> Value {
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    bridge.admin(&format!("/runs/{id}")).await.body
}

#[tokio::test]
async fn g9_two_crm_users_with_one_address_are_a_conflict_without_writes() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let eve = bridge.add("birch", EVE).await;
    let path = format!("/organizations/birch/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": BO })).await;
    assert_eq!(resynced(&bridge).await["counts"]["verdicts"]["conflict"], 2);
    assert!(bridge.journal().await.effects().is_empty());
    let told = bridge.mails(ADMIN).await;
    let [notice] = told.as_slice() else { panic!("told once: {told:?}") };
    assert!(notice.subject().contains("one person"), "{}", notice.subject());

    bridge.patch(&path, &json!({ "email": EVE })).await;
    for id in [&bo, &eve] {
        bridge.announce("birch", id).await;
    }
    bridge.settle().await;
    assert_eq!((bridge.mails(BO).await.len(), bridge.mails(EVE).await.len()), (1, 1));
    bridge.finish().await;
}

#[tokio::test]
async fn g9_a_single_read_sees_the_rival_in_the_ledger() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    let eve = bridge.add("birch", EVE).await;
    let path = format!("/organizations/birch/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": BO })).await;
    bridge.announce("birch", &eve).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.effects().len(), before);
    bridge.finish().await;
}

#[tokio::test]
async fn z14_a_new_id_of_a_known_person_takes_the_membership_over() {
    for told in [true, false] {
        let bridge = Setup::demo().start().await;
        let old = bridge.added("birch", BO).await;
        bridge.settle().await;
        let gone = format!("/organizations/birch/crm-users/{old}");
        bridge.delete(&gone).await;
        if told {
            bridge.webhook("crmplus", &bridge.event("user.removed", "birch", &old)).await;
            bridge.settle().await;
        }
        let new = bridge.added("birch", BO).await;
        bridge.settle().await;
        resynced(&bridge).await;
        let row = bridge.membership("birch", BO).await;
        assert_eq!((&row["crm_user_id"], &row["generation"]), (&json!(new), &json!(1)));
        assert_eq!(row["suspected_at"], Value::Null);
        let journal = bridge.journal().await;
        assert_eq!((journal.calls("birch", "portal"), bridge.mails(BO).await.len()), (1, 1));
        bridge.finish().await;
    }
}

#[tokio::test]
async fn z14_a_refusal_of_the_old_id_does_not_hold_for_the_new_one() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 600 })).await;
    let old = bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    bridge.delete(&format!("/organizations/birch/crm-users/{old}")).await;
    bridge.webhook("crmplus", &bridge.event("user.removed", "birch", &old)).await;
    bridge.settle().await;
    assert!(bridge.journal().await.effects().is_empty(), "CRM Plus does not know the old id");

    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_whom_an_administrator_restricted_the_bridge_does_not_restore() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let member = format!("/organizations/birch/members/{BO}");
    for (act, state) in [("accept", "joined"), ("restrict", "restricted"), ("activate", "joined")] {
        bridge.act(&format!("{member}/{act}"), &Value::Null).await;
        for kind in ["user.deactivated", "user.activated"] {
            bridge.webhook("crmplus", &bridge.event(kind, "birch", &bo)).await;
        }
        resynced(&bridge).await;
        assert_eq!(bridge.membership("birch", BO).await["state"], state, "after {act}");
    }
    assert_eq!(bridge.journal().await.effects().len(), 2, "the add and its letter");
    bridge.finish().await;
}

#[tokio::test]
async fn whom_an_administrator_removed_from_cliq_the_bridge_does_not_put_back() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    for act in ["accept", "remove"] {
        bridge.act(&format!("/organizations/birch/members/{BO}/{act}"), &Value::Null).await;
        resynced(&bridge).await;
    }
    bridge.announce("birch", &bo).await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.effects().len(), 2, "the add and its letter");
    bridge.finish_with_leftovers("that a member left is judged by reconciliation").await;
}

#[tokio::test]
async fn i12_listings_of_several_pages_are_read_to_their_end() {
    let bridge = Setup::demo().with("invitations", "send = false").start().await;
    for number in 0..210 {
        bridge.add("birch", &format!("p{number}@partner.example")).await;
    }
    assert_eq!(resynced(&bridge).await["counts"]["invitations"], 210);
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 210);

    let run = resynced(&bridge).await;
    assert_eq!((&run["state"], &run["counts"]["invitations"]), (&json!("done"), &json!(0)));
    // 211 rows in CRM are two pages; in Cliq one of the active, three of the pending, one of none.
    assert_eq!(run["calls_used"], 2 + 1 + 3 + 1);
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "portal").len(), 210);
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}
