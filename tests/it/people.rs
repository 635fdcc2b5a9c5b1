//! What the admin API says of people: one by any of their names, all in pages; the digest; and the
//! same from the command line.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::traces::{ADMIN, Mail};
use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

async fn resynced(bridge: &Bridge, organization: &str) {
    bridge.resync(json!({ "organization": organization })).await;
    bridge.settle().await;
}

async fn act(bridge: &Bridge, organization: &str, email: &str, act: &str) {
    let path = format!("/organizations/{organization}/members/{email}/{act}");
    bridge.act(&path, &Value::Null).await;
}

#[tokio::test]
async fn a_person_is_found_by_every_name_and_by_no_other() {
    let bridge = Setup::demo().start().await;
    let user = bridge.added("birch", ADA).await;
    bridge.settle().await;
    resynced(&bridge, "acme").await;
    let id = bridge.membership("birch", ADA).await["id"].clone();
    for name in ["163315760", ADA, "ADA%40Acme.Example", &user, id.as_str().unwrap()] {
        let answer = bridge.admin(&format!("/people/{name}")).await;
        assert_eq!((answer.status, &answer.body["person"]), (200, &json!("163315760")), "{name}");
        assert_eq!(answer.body["hosts"][0]["membership"], id, "{name}");
    }
    // Cy is nobody's guest, and still a person with a home, once Birch was listed.
    assert_eq!(bridge.admin("/people/cy@birch.example").await.status, 404);
    resynced(&bridge, "birch").await;
    let cy = bridge.admin("/people/cy@birch.example").await.body;
    assert_eq!((&cy["home"]["organization"], &cy["hosts"]), (&json!("birch"), &json!([])));
    assert_eq!(cy["limits"], json!([]), "no limit applies at home");
    for name in ["nobody@partner.example", "mem-999", "1"] {
        let answer = bridge.admin(&format!("/people/{name}")).await;
        assert_eq!(answer.status, 404, "{name}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn people_come_in_pages_one_row_each_however_many_hosts_they_have() {
    let bridge = Setup::demo().cedar().start().await;
    for number in 0..5 {
        for organization in ["birch", "cedar"] {
            bridge.added(organization, &format!("p{number}@partner.example")).await;
        }
    }
    bridge.settle().await;
    let (mut seen, mut path) = (Vec::new(), "/people?limit=2".to_owned());
    loop {
        let page = bridge.admin(&path).await.body;
        for row in rows(&page["items"]) {
            assert_eq!(row["hosts"], json!({ "birch": "invited", "cedar": "invited" }));
            seen.push(row["person"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/people?limit=2&cursor={cursor}");
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (5, 5), "{seen:?}");
    let one = bridge.admin("/people?q=P3%40part").await.body;
    assert_eq!(rows(&one["items"]).count(), 1, "{one}");
    bridge.finish().await;
}

#[tokio::test]
async fn r5_r12_a_membership_says_its_home_its_limits_and_who_can_take_part() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", ADA).await;
    bridge.settle().await;
    resynced(&bridge, "acme").await;
    let able = async |bridge: &Bridge| {
        let path = format!("/organizations/birch/members/{ADA}/capabilities");
        bridge.sandbox(&path).await["verbs"]["chat"]["allowed"].clone()
    };
    for (state, chats) in [("invited", false), ("joined", true)] {
        let row = bridge.membership("birch", ADA).await;
        assert_eq!((&row["state"], able(&bridge).await), (&json!(state), json!(chats)));
        let one = bridge.admin(&format!("/memberships/{}", row["id"].as_str().unwrap())).await.body;
        assert_eq!(
            (&one["home"]["organization"], &one["home"]["kind"]),
            (&json!("acme"), &json!("at"))
        );
        assert_eq!(rows(&one["limits"]).count(), 19);
        if state == "invited" {
            act(&bridge, "birch", ADA, "accept").await;
            resynced(&bridge, "birch").await;
        }
    }
    bridge.finish().await;
}

#[tokio::test]
async fn g15_another_data_centre_is_refused_with_its_cause_and_stops_nobody_else() {
    let bridge = Setup::demo().start().await;
    bridge.act(&format!("/people/{BO}/sign-up"), &Value::Null).await;
    bridge.patch(&format!("/people/{BO}"), &json!({ "other_data_centre": true })).await;
    bridge.added("birch", BO).await;
    bridge.added("birch", ADA).await;
    bridge.settle().await;
    for _ in 0..5 {
        resynced(&bridge, "birch").await;
    }
    let row = bridge.membership("birch", BO).await;
    let parked = row["parked"].as_str().unwrap();
    assert!(parked.starts_with("other_data_centre: "), "{parked}");
    assert_eq!((&row["state"], bridge.mails(BO).await.len()), (&json!("wanted"), 0));
    let journal = bridge.journal().await;
    let asked = journal.0.iter().filter(|e| e["call"] == "portal" && e["subject"] == BO).count();
    assert_eq!(asked, 1, "asked once, not with every run");
    assert_eq!(bridge.membership("birch", ADA).await["state"], "invited");
    bridge.finish().await;
}

async fn digests(bridge: &Bridge) -> Vec<Mail> {
    let mails = bridge.mails(ADMIN).await;
    mails.into_iter().filter(|mail| mail.subject().contains("Digest of")).collect()
}

#[tokio::test]
async fn the_digest_tells_once_a_day_what_happened_and_nothing_when_nothing_did() {
    let schedule = "digest = \"0 0 7 * * *\"\ntime_zone = \"UTC\"";
    let bridge = Setup::demo().with("schedule", schedule).start().await;
    for email in [ADA, BO, "cleo@partner.example"] {
        bridge.added("birch", email).await;
    }
    bridge.settle().await;
    act(&bridge, "birch", ADA, "accept").await;
    bridge.patch("/people/cleo@partner.example", &json!({ "email": "cleo@new.example" })).await;
    bridge.live_for(Duration::from_hours(24)).await;
    let told = digests(&bridge).await;
    let [digest] = told.as_slice() else { panic!("one, of Birch: {told:?}") };
    assert!(digest.subject().ends_with("Digest of Birch Studio up to 2026-11-25 07:00"));
    for line in [
        "Joined: 1",
        "Ada Lovelace <ada@acme.example>",
        "Another address since the invitation: 1",
        "invited as cleo@partner.example",
        "(MFA, policies, allowed IPs): 1 external users",
    ] {
        assert!(digest.text().contains(line), "{line}: {}", digest.text());
    }
    assert!(!digest.text().contains("Declined"), "{}", digest.text());
    bridge.patch("/people/cleo@new.example", &json!({ "email": "cleo@partner.example" })).await;
    bridge.live_for(Duration::from_hours(48)).await;
    assert_eq!(digests(&bridge).await.len(), 1, "nothing happened since");
    bridge.finish().await;
}
