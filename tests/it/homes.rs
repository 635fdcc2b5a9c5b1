//! One person, one home, any number of hosts: where it is, when it changes, and what contradicts.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::one_channel;
use super::support::harness::rows;
use super::support::traces::ADMIN;
use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

/// Di has her account in Birch and an address of Acme's domain: two claims to be her home.
const DI: &str = "
[[people]]
email      = \"di@acme.example\"
first_name = \"Di\"
last_name  = \"Foss\"
zuid       = \"163316111\"
home       = \"birch\"
";

async fn listed(bridge: &Bridge, organizations: &[&str]) {
    for organization in organizations {
        bridge.resync(json!({ "organization": organization })).await;
        bridge.settle().await;
    }
}

async fn person(bridge: &Bridge, id: &str) -> Value {
    let answer = bridge.admin(&format!("/people/{id}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn accept(bridge: &Bridge, organization: &str, email: &str) {
    let path = format!("/organizations/{organization}/members/{email}/accept");
    bridge.act(&path, &Value::Null).await;
}

async fn moved(bridge: &Bridge, email: &str, home: &str) {
    bridge.patch(&format!("/people/{email}"), &json!({ "home": home })).await;
}

/// Subjects of the administrators' mails that hold this text.
async fn told(bridge: &Bridge, text: &str) -> usize {
    let mails = bridge.mails(ADMIN).await;
    mails.iter().filter(|mail| mail.subject().contains(text)).count()
}

fn hosts(person: &Value) -> Vec<(&str, &str)> {
    rows(&person["hosts"])
        .map(|row| (row["organization"].as_str().unwrap(), row["state"].as_str().unwrap()))
        .collect()
}

/// Ada of Acme, joined in Birch and in Cedar.
async fn ada_in_two_hosts() -> Bridge {
    let bridge = Setup::demo().cedar().start().await;
    for organization in ["birch", "cedar"] {
        bridge.added(organization, ADA).await;
    }
    bridge.settle().await;
    for organization in ["birch", "cedar"] {
        accept(&bridge, organization, ADA).await;
    }
    listed(&bridge, &["acme", "birch", "cedar"]).await;
    bridge
}

#[tokio::test]
async fn r2_r3_r4_every_host_gets_one_invitation_and_the_home_none_however_often_it_is_fed() {
    let bridge = Setup::demo().cedar().start().await;
    let in_acme = bridge.sandbox("/state").await["organizations"][0]["crm_users"][0]["id"].clone();
    for _ in 0..3 {
        bridge.announce("acme", in_acme.as_str().unwrap()).await;
    }
    for organization in ["birch", "cedar"] {
        bridge.added(organization, ADA).await;
        bridge.added(organization, BO).await;
    }
    bridge.settle().await;
    listed(&bridge, &["acme", "birch", "cedar"]).await;

    let journal = bridge.journal().await;
    let adds = journal.of("write", "portal");
    let of = |email: &str, organization: &str| {
        adds.iter().filter(|e| e["subject"] == email && e["organization"] == organization).count()
    };
    for email in [ADA, BO] {
        let counts = ["acme", "birch", "cedar"].map(|organization| of(email, organization));
        assert_eq!(counts, [0, 1, 1], "{email}");
    }
    assert!(journal.of("write", "cliq.users.add").is_empty(), "R1: no internal account");
    assert_eq!(journal.calls("acme", "cliq.users.add"), 0);

    let ada = person(&bridge, ADA).await;
    assert_eq!(
        (&ada["home"]["organization"], &ada["home"]["kind"]),
        (&json!("acme"), &json!("at"))
    );
    assert_eq!(hosts(&ada), [("birch", "invited"), ("cedar", "invited")]);
    let bo = person(&bridge, BO).await;
    assert_eq!(bo["home"]["kind"], "elsewhere", "an unknown home does not stop mirroring");
    assert_eq!(hosts(&bo), [("birch", "invited"), ("cedar", "invited")]);
    bridge.finish().await;
}

#[tokio::test]
async fn r1_one_person_has_one_home_whatever_happens() {
    let bridge = ada_in_two_hosts().await;
    moved(&bridge, ADA, "cedar").await;
    listed(&bridge, &["acme", "birch", "cedar", "acme"]).await;
    let state = bridge.sandbox("/state").await;
    let internal = rows(&state["organizations"])
        .flat_map(|org| rows(&org["cliq_users"]))
        .filter(|row| row["email"] == ADA && row["class"] == "internal");
    assert_eq!(internal.count(), 1);
    let journal = bridge.journal().await;
    assert!(journal.0.iter().all(|entry| entry["call"] != "cliq.users.add"));
    bridge.finish_with_leftovers("the move waits for an operator").await;
}

#[tokio::test]
async fn r39_r40_the_switcher_lists_the_home_and_what_was_joined() {
    let bridge = Setup::demo().cedar().start().await;
    for organization in ["birch", "cedar"] {
        bridge.added(organization, ADA).await;
    }
    bridge.settle().await;
    accept(&bridge, "birch", ADA).await;
    listed(&bridge, &["acme", "birch", "cedar"]).await;
    let ada = person(&bridge, ADA).await;
    assert_eq!(ada["switcher"], json!(["Acme Ltd", "Birch Studio"]), "pending ones are not in it");
    let shown = bridge.sandbox(&format!("/people/{ADA}/switcher")).await;
    let names: Vec<&Value> = rows(&shown["organizations"]).map(|row| &row["name"]).collect();
    assert_eq!(json!(names), ada["switcher"]);
    assert_eq!(ada["home"]["sentence"], "At home in acme.");
    assert_eq!(ada["hosts"][0]["tag"], "External User");

    // Removed in one host: the home and the other stay.
    accept(&bridge, "cedar", ADA).await;
    bridge.act(&format!("/organizations/birch/members/{ADA}/remove"), &Value::Null).await;
    listed(&bridge, &["cedar"]).await;
    bridge.clock.advance(Duration::from_mins(1));
    listed(&bridge, &["birch"]).await;
    bridge.clock.advance(Duration::from_mins(1));
    listed(&bridge, &["birch"]).await;
    let ada = person(&bridge, ADA).await;
    assert_eq!(ada["switcher"], json!(["Acme Ltd", "Cedar House"]));
    bridge.finish_with_leftovers("a member who left stays in the ledger").await;
}

#[tokio::test]
async fn r39_a_host_that_fails_delays_no_other() {
    let bridge = Setup::demo().cedar().start().await;
    let down = json!({ "organization": "birch", "times": null });
    for call in ["crm.users.list", "crm.users.get"] {
        bridge.fault(call, down.clone(), json!({ "kind": "status", "status": 503 })).await;
    }
    for organization in ["birch", "cedar"] {
        bridge.added(organization, BO).await;
    }
    bridge.settle_for(Duration::from_mins(5)).await;
    assert_eq!(bridge.membership("cedar", BO).await["state"], "invited");
    accept(&bridge, "cedar", BO).await;
    bridge.resync(json!({ "organization": "cedar" })).await;
    bridge.settle_for(Duration::from_mins(5)).await;
    let bo = person(&bridge, BO).await;
    assert_eq!(hosts(&bo), [("cedar", "joined")]);
    assert_eq!(bridge.cliq_row("birch", BO).await, None);
    bridge.clear_faults().await;
    bridge.settle().await;
    let bo = person(&bridge, BO).await;
    assert_eq!(hosts(&bo), [("cedar", "joined"), ("birch", "invited")]);
    bridge.finish().await;
}

#[tokio::test]
async fn r3_two_claimed_homes_stop_every_write_and_are_told_once() {
    let bridge = Setup::demo().cedar().people(DI).start().await;
    listed(&bridge, &["birch"]).await;
    bridge.added("cedar", "di@acme.example").await;
    bridge.settle().await;
    for _ in 0..5 {
        listed(&bridge, &["birch", "cedar", "acme"]).await;
        bridge.clock.advance(Duration::from_hours(30));
    }
    assert!(bridge.journal().await.effects().is_empty());
    assert_eq!(told(&bridge, "claim to be the home").await, 1);
    let di = person(&bridge, "163316111").await;
    assert_eq!(di["home"]["kind"], "claimed");
    assert_eq!(di["conflicts"][0]["kind"], "claimed");
    let all = bridge.admin("/conflicts").await.body;
    assert_eq!(rows(&all["items"]).count(), 1, "{all}");

    // An operator says that the account counts, not the address.
    let answer = bridge.admin_post("/people/di@acme.example/confirm-home", &Value::Null).await;
    assert_eq!((answer.status, &answer.body["home"]["organization"]), (200, &json!("birch")));
    bridge.settle().await;
    listed(&bridge, &["cedar"]).await;
    assert_eq!(bridge.membership("cedar", "di@acme.example").await["state"], "invited");
    assert_eq!(bridge.mails("di@acme.example").await.len(), 1);
    assert!(rows(&bridge.admin("/conflicts").await.body["items"]).next().is_none());
    bridge.finish().await;
}

#[tokio::test]
async fn g6_a_home_account_that_is_gone_holds_every_host_until_an_operator_confirms() {
    let bridge = ada_in_two_hosts().await;
    let before = bridge.journal().await.effects().len();
    moved(&bridge, ADA, "elsewhere").await;
    // Acme's own listing shows it; the hosts are looked at by themselves.
    listed(&bridge, &["acme"]).await;
    assert_eq!(told(&bridge, "The home of").await, 1);
    let ada = person(&bridge, ADA).await;
    assert_eq!(ada["home"]["kind"], "changed");
    assert!(ada["conflicts"][0]["sentence"].as_str().unwrap().contains("confirm-home"), "{ada}");

    // Whatever would be written is held, in every host, over any number of runs.
    for organization in ["birch", "cedar"] {
        let id = bridge.membership(organization, ADA).await["crm_user_id"].clone();
        let user = format!("/organizations/{organization}/crm-users/{}", id.as_str().unwrap());
        bridge.patch(&user, &json!({ "status": "inactive" })).await;
    }
    for _ in 0..4 {
        listed(&bridge, &["acme", "birch", "cedar"]).await;
        bridge.clock.advance(Duration::from_hours(30));
    }
    assert_eq!(bridge.journal().await.effects().len(), before, "0 writes");
    assert_eq!(told(&bridge, "The home of").await, 1);

    let answer = bridge.admin_post(&format!("/people/{ADA}/confirm-home"), &Value::Null).await;
    assert_eq!((answer.status, &answer.body["conflicts"]), (200, &json!([])), "{answer:?}");
    bridge.settle().await;
    listed(&bridge, &["birch", "cedar"]).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.effects().len(), before + 2, "restricted in both");
    let id = bridge.membership("birch", ADA).await["id"].clone();
    let one = bridge.admin(&format!("/memberships/{}", id.as_str().unwrap())).await.body;
    assert!(rows(&one["history"]).any(|line| line["event"] == "home_confirmed"), "{one}");
    bridge.finish().await;
}

#[tokio::test]
async fn g6_a_home_that_comes_back_needs_no_operator() {
    let bridge = ada_in_two_hosts().await;
    moved(&bridge, ADA, "elsewhere").await;
    listed(&bridge, &["acme"]).await;
    assert_eq!(person(&bridge, ADA).await["home"]["kind"], "changed");
    moved(&bridge, ADA, "acme").await;
    listed(&bridge, &["acme"]).await;
    let ada = person(&bridge, ADA).await;
    assert_eq!((&ada["home"]["kind"], &ada["conflicts"]), (&json!("at"), &json!([])));
    bridge.finish().await;
}

#[tokio::test]
async fn g6_a_move_into_a_host_releases_it_there_and_holds_the_other() {
    let bridge = ada_in_two_hosts().await;
    let before = bridge.journal().await.effects().len();
    moved(&bridge, ADA, "birch").await;
    listed(&bridge, &["acme", "birch", "cedar"]).await;
    let ada = person(&bridge, ADA).await;
    assert_eq!(ada["home"]["kind"], "changed", "{ada}");
    let birch = bridge.membership("birch", ADA).await;
    assert_eq!((&birch["external"], &birch["origin"]), (&json!(false), &json!("present")));

    // The address is Acme's still; the operator's word settles it.
    let answer = bridge.admin_post(&format!("/people/{ADA}/confirm-home"), &Value::Null).await;
    assert_eq!(answer.body["home"]["organization"], "birch", "{answer:?}");
    assert_eq!(hosts(&answer.body), [("cedar", "joined")]);
    listed(&bridge, &["acme", "birch", "cedar"]).await;
    assert_eq!(person(&bridge, ADA).await["switcher"], json!(["Birch Studio", "Cedar House"]));
    assert_eq!(bridge.journal().await.effects().len(), before);
    bridge.finish().await;
}

#[tokio::test]
async fn g11_an_external_member_who_becomes_internal_is_released_and_never_touched_again() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    accept(&bridge, "birch", BO).await;
    listed(&bridge, &["birch"]).await;
    let before = bridge.journal().await.effects().len();

    moved(&bridge, BO, "birch").await;
    listed(&bridge, &["birch"]).await;
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["origin"], &row["external"]), (&json!("present"), &json!(false)));
    assert_eq!(row["state"], "removed");
    let one = bridge.admin(&format!("/memberships/{}", row["id"].as_str().unwrap())).await.body;
    let events: Vec<&Value> = rows(&one["history"]).map(|line| &line["event"]).collect();
    assert!(events.contains(&&json!("released")) && events.len() > 1, "history kept: {events:?}");
    assert_eq!(one["home"]["organization"], "birch");

    // Gone from the source later: no write.
    bridge.delete(&format!("/organizations/birch/crm-users/{bo}")).await;
    bridge.webhook("crmplus", &bridge.event("user.removed", "birch", &bo)).await;
    for _ in 0..3 {
        listed(&bridge, &["birch"]).await;
        bridge.clock.advance(Duration::from_hours(48));
    }
    assert_eq!(bridge.journal().await.effects().len(), before);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["class"], "internal");
    bridge.finish().await;
}

#[tokio::test]
async fn g9_one_address_with_two_accounts_in_two_organizations_is_a_conflict_for_both() {
    let bridge = Setup::demo().cedar().start().await;
    for email in [BO, EVE] {
        bridge.act(&format!("/people/{email}/sign-up"), &Value::Null).await;
    }
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    let eve = bridge.add("cedar", EVE).await;
    let path = format!("/organizations/cedar/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": BO })).await;
    bridge.announce("cedar", &eve).await;
    bridge.settle().await;
    for _ in 0..3 {
        listed(&bridge, &["birch", "cedar"]).await;
        bridge.clock.advance(Duration::from_hours(30));
    }
    assert_eq!(bridge.journal().await.effects().len(), before, "no writes for either");
    assert_eq!(told(&bridge, "is two persons").await, 1, "one notice for the pair");
    assert_eq!(bridge.admin(&format!("/people/{BO}")).await.status, 409, "which of the two?");
    let zuid = bridge.membership("cedar", BO).await["zuid"].clone();
    let view = person(&bridge, zuid.as_str().unwrap()).await;
    assert_eq!(view["conflicts"][0]["kind"], "two_persons");

    // Mended in CRM Plus, it is over by itself.
    bridge.patch(&path, &json!({ "email": EVE })).await;
    bridge.announce("cedar", &eve).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("cedar", EVE).await["state"], "invited");
    assert!(rows(&bridge.admin("/conflicts").await.body["items"]).next().is_none());
    bridge.finish().await;
}

#[tokio::test]
async fn g9_one_account_with_two_addresses_in_two_organizations_is_a_conflict_for_both() {
    let bridge = Setup::demo().cedar().start().await;
    bridge.act(&format!("/people/{BO}/sign-up"), &Value::Null).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let before = bridge.journal().await.effects().len();
    let id = bridge.add("cedar", BO).await;
    let path = format!("/organizations/cedar/crm-users/{id}");
    bridge.patch(&path, &json!({ "email": "bo@private.example" })).await;
    bridge.announce("cedar", &id).await;
    bridge.settle().await;
    listed(&bridge, &["birch", "cedar"]).await;
    assert_eq!(bridge.journal().await.effects().len(), before);
    assert_eq!(told(&bridge, "has another address").await, 1);
    let bo = person(&bridge, BO).await;
    assert_eq!(bo["addresses"], json!([BO, "bo@private.example"]));
    assert_eq!(bo["conflicts"][0]["kind"], "two_addresses");

    bridge.patch(&path, &json!({ "email": BO })).await;
    bridge.announce("cedar", &id).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("cedar", BO).await["state"], "invited");
    assert_eq!(person(&bridge, BO).await["conflicts"], json!([]));
    bridge.finish().await;
}

#[tokio::test]
async fn g6_channels_and_verbs_are_held_too() {
    const CY: &str = "cy@birch.example";
    let bridge = one_channel().start().await;
    let cy = bridge.added("acme", CY).await;
    bridge.settle().await;
    listed(&bridge, &["birch", "acme"]).await;
    assert_eq!(bridge.guest(CY, "ext").await["state"], "invited");
    let before = bridge.journal().await.effects().len();

    moved(&bridge, CY, "elsewhere").await;
    listed(&bridge, &["birch"]).await;
    assert_eq!(person(&bridge, CY).await["home"]["kind"], "changed");
    let user = format!("/organizations/acme/crm-users/{cy}");
    bridge.patch(&user, &json!({ "status": "inactive" })).await;
    for _ in 0..3 {
        listed(&bridge, &["birch", "acme"]).await;
        bridge.clock.advance(Duration::from_hours(2));
    }
    let id = bridge.membership("acme", CY).await["id"].clone();
    let verb = format!("/memberships/{}/restrict", id.as_str().unwrap());
    let refused = bridge.admin_post(&verb, &Value::Null).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(bridge.journal().await.effects().len(), before);
    assert_eq!(bridge.guest(CY, "ext").await["state"], "invited");

    bridge.admin_post(&format!("/people/{CY}/confirm-home"), &Value::Null).await;
    bridge.settle().await;
    listed(&bridge, &["acme"]).await;
    assert!(bridge.journal().await.effects().len() > before);
    bridge.finish_with_leftovers("a leaver goes in steps").await;
}
