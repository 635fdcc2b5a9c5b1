//! Addresses change, differ in writing, are overwritten or used again: people stay who they are
//! (G2; incidents I15 to I20).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::traces::ADMIN;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

/// People of a rename storm.
const STORM: usize = 500;

async fn resynced(bridge: &Bridge, organization: &str) -> Value {
    let id = bridge.resync(json!({ "organization": organization })).await;
    bridge.settle().await;
    bridge.admin(&format!("/runs/{id}")).await.body
}

async fn patch_user(bridge: &Bridge, organization: &str, id: &str, patch: Value) {
    bridge.patch(&format!("/organizations/{organization}/crm-users/{id}"), &patch).await;
}

async fn updated(bridge: &Bridge, organization: &str, id: &str) {
    bridge.webhook("crmplus", &bridge.event("user.updated", organization, id)).await;
}

/// Events in the history of the membership with this address.
async fn history(bridge: &Bridge, organization: &str, email: &str) -> Vec<String> {
    let row = bridge.membership(organization, email).await;
    let path = format!("/memberships/{}", row["id"].as_str().unwrap());
    let one = bridge.admin(&path).await.body;
    rows(&one["history"]).map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn g2_i15_i16_i18_a_rename_storm_of_500_invites_and_removes_nobody() {
    let limit = format!("max_invites = {STORM}");
    let bridge =
        Setup::demo().with("guard", &limit).with("invitations", "send = false").start().await;
    let add = async |number| bridge.add("birch", &format!("p{number}@partner.example")).await;
    let people = join_all((0..STORM).map(add)).await;
    assert_eq!(resynced(&bridge, "birch").await["counts"]["invitations"], STORM);
    let before = bridge.journal().await.effects().len();

    let rename = async |(number, id): (usize, &String)| {
        let new = format!("p{number}@renamed.example");
        bridge.patch(&format!("/people/p{number}@partner.example"), &json!({ "email": new })).await;
        updated(&bridge, "birch", id).await;
    };
    join_all(people.iter().enumerate().map(rename)).await;
    bridge.settle().await;
    let run = resynced(&bridge, "birch").await;
    assert_eq!((&run["state"], &run["counts"]["invitations"]), (&json!("done"), &json!(0)));
    assert_eq!(run["counts"]["verdicts"]["renamed"], STORM, "reported");
    assert_eq!(bridge.journal().await.effects().len(), before);
    bridge.finish_with_leftovers("more memberships than a page of the ledger").await;
}

#[tokio::test]
async fn g2_a_rename_in_several_organizations_is_no_conflict_and_troubles_nobody() {
    let bridge = Setup::demo().cedar().start().await;
    let mut people = Vec::new();
    for number in 0..20 {
        let email = format!("p{number}@partner.example");
        bridge.act(&format!("/people/{email}/sign-up"), &Value::Null).await;
        let birch = bridge.added("birch", &email).await;
        bridge.added("cedar", &email).await;
        people.push((email, birch));
    }
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    for (number, (email, birch)) in people.iter().enumerate() {
        let new = format!("p{number}@renamed.example");
        bridge.patch(&format!("/people/{email}"), &json!({ "email": new })).await;
        // Only one organization says so; the other is looked at because they differ.
        updated(&bridge, "birch", birch).await;
    }
    bridge.settle().await;
    for organization in ["birch", "cedar"] {
        for number in 0..20 {
            bridge.membership(organization, &format!("p{number}@renamed.example")).await;
        }
    }
    assert!(rows(&bridge.admin("/conflicts").await.body["items"]).next().is_none());
    assert_eq!(bridge.mails(ADMIN).await.len(), 0);
    assert_eq!(bridge.journal().await.effects().len(), before);
    bridge.finish().await;
}

#[tokio::test]
async fn g2_an_address_that_changes_while_invited_is_reported_and_not_invited_again() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.patch(&format!("/people/{BO}"), &json!({ "email": "bo@new.example" })).await;
    updated(&bridge, "birch", &bo).await;
    bridge.settle().await;
    for _ in 0..3 {
        resynced(&bridge, "birch").await;
    }
    let row = bridge.membership("birch", "bo@new.example").await;
    assert_eq!((&row["invited_as"], &row["state"]), (&json!(BO), &json!("invited")));
    assert!(history(&bridge, "birch", "bo@new.example").await.contains(&"renamed".to_owned()));
    assert_eq!(bridge.mails("bo@new.example").await.len(), 0);
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g2_a_joined_member_keeps_the_membership_under_the_new_address() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    resynced(&bridge, "birch").await;
    let before = (bridge.membership("birch", BO).await, bridge.journal().await.effects().len());
    bridge.patch(&format!("/people/{BO}"), &json!({ "email": "bo@new.example" })).await;
    updated(&bridge, "birch", &bo).await;
    bridge.settle().await;
    resynced(&bridge, "birch").await;
    let after = bridge.membership("birch", "bo@new.example").await;
    assert_eq!((&after["id"], &after["since"]), (&before.0["id"], &before.0["since"]));
    assert_eq!(after["state"], "joined");
    assert!(history(&bridge, "birch", "bo@new.example").await.contains(&"renamed".to_owned()));
    assert_eq!(bridge.journal().await.effects().len(), before.1);
    bridge.finish().await;
}

#[tokio::test]
async fn i19_i20_case_and_unicode_forms_are_one_person_and_no_write() {
    let bridge = Setup::demo().start().await;
    let composed = "Zo\u{eb}@Partner.example";
    let zoe = bridge.added("birch", composed).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    resynced(&bridge, "birch").await;
    let before = bridge.journal().await.effects().len();
    assert_eq!(before, 4, "two adds and two letters");
    let ledger = bridge.admin("/memberships").await.body;
    for (id, forms) in [
        (&zoe, ["zoe\u{308}@partner.EXAMPLE", "ZOE\u{308}@Partner.example"]),
        (&bo, ["BO@Partner.Example", " bo@PARTNER.example "]),
    ] {
        for form in forms {
            patch_user(&bridge, "birch", id, json!({ "email": form })).await;
            updated(&bridge, "birch", id).await;
            bridge.settle().await;
            let run = resynced(&bridge, "birch").await;
            assert_eq!(run["counts"]["changed"], 0, "{form}");
        }
    }
    assert_eq!(bridge.journal().await.effects().len(), before);
    assert_eq!(bridge.admin("/memberships").await.body, ledger);
    bridge.finish_with_leftovers("Cliq shows the address as it was written first").await;
}

#[tokio::test]
async fn i17_tombstones_and_malformed_addresses_are_nobodys() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    for tombstone in [
        "deleted_user_7@",
        "bo@partner.example, eve@partner.example",
        "deleted-16331@accounts.example",
        "bo.partner.example@deleted.invalid",
        "bo_deleted@partner.example",
    ] {
        patch_user(&bridge, "birch", &bo, json!({ "email": tombstone })).await;
        updated(&bridge, "birch", &bo).await;
        bridge.settle().await;
        let run = resynced(&bridge, "birch").await;
        assert_eq!(run["counts"]["verdicts"]["no_address"], 1, "{tombstone}: {run}");
        assert_eq!(bridge.membership("birch", BO).await["state"], "invited", "{tombstone}");
    }
    // One such row stops nobody else.
    bridge.added("birch", EVE).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", EVE).await["state"], "invited");
    assert_eq!(bridge.journal().await.effects().len(), before + 2);
    bridge.finish().await;
}

#[tokio::test]
async fn an_address_that_another_person_takes_over_is_not_that_persons_membership() {
    const REUSED: &str = "desk@partner.example";
    let bridge = Setup::demo().start().await;
    for email in [BO, EVE] {
        bridge.act(&format!("/people/{email}/sign-up"), &Value::Null).await;
    }
    bridge.patch(&format!("/people/{BO}"), &json!({ "email": REUSED })).await;
    let bo = bridge.added("birch", REUSED).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/birch/members/{REUSED}/accept"), &Value::Null).await;
    resynced(&bridge, "birch").await;
    let first = bridge.membership("birch", REUSED).await;

    // Bo goes, and Eve gets the address of his desk.
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    bridge.patch(&format!("/people/{REUSED}"), &json!({ "email": "bo.old@partner.example" })).await;
    bridge.patch(&format!("/people/{EVE}"), &json!({ "email": REUSED })).await;
    let eve = bridge.added("birch", REUSED).await;
    bridge.settle().await;
    bridge.clock.advance(Duration::from_mins(1));
    resynced(&bridge, "birch").await;

    let list = bridge.admin("/memberships?organization=birch").await.body;
    let of = |id: &Value| rows(&list["items"]).find(|row| row["crm_user_id"] == *id).unwrap();
    assert_eq!(of(&json!(bo))["id"], first["id"], "not handed over");
    assert_eq!(
        (&of(&json!(eve))["state"], &of(&json!(eve))["sends"]),
        (&json!("invited"), &json!(1))
    );
    assert_eq!(bridge.mails(REUSED).await.len(), 2, "one each");
    bridge.finish_with_leftovers("Bo leaves as any leaver does").await;
}
