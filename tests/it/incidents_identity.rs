//! Incidents of others in which a changed name or address made another person, or none.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const NEW: &str = "bo@renamed.example";
const EVE: &str = "eve@partner.example";
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn i15_a_renamed_address_aborts_no_run_and_the_others_converge() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    let before = bridge.count().await;
    bridge.crm(&bo, json!({ "email": NEW })).await;
    for round in 0..5 {
        let email = format!("p{round}@partner.example");
        bridge.add("birch", &email).await;
        let run = bridge.run_over("birch").await;
        assert_eq!(run["state"], "done", "{run}");
        assert_eq!(bridge.state(&email).await, "invited");
        assert_eq!(bridge.organization("birch").await["no_good_run"], false);
        bridge.clock.advance(DAY);
    }
    assert_eq!(bridge.done_after(before).await, ["add_external", "letter"].repeat(5));
    assert_eq!(bridge.mails(NEW).await.len(), 0);
    bridge.finish_with_leftovers("Cliq shows the address that was invited").await;
}

#[tokio::test]
async fn i16_i18_a_new_name_and_address_are_the_same_member_by_event_and_by_run() {
    for by_event in [true, false] {
        let bridge = Setup::demo().start().await;
        let bo = bridge.joined(&[BO]).await.remove(0);
        let row = bridge.membership("birch", BO).await;
        let before = bridge.count().await;
        bridge.crm(&bo, json!({ "email": NEW, "last_name": "Married" })).await;
        for _ in 0..3 {
            if by_event {
                bridge.say("user.updated", &bo).await;
                bridge.settle().await;
            } else {
                bridge.run_over("birch").await;
            }
            bridge.clock.advance(DAY);
        }
        let after = bridge.membership("birch", NEW).await;
        assert_eq!((&after["id"], &after["since"]), (&row["id"], &row["since"]));
        assert_eq!(after["state"], "joined");
        assert_eq!(bridge.done_after(before).await, [""; 0], "no removal, no invitation");
        bridge.finish_with_leftovers("Cliq shows the address that was invited").await;
    }
}

#[tokio::test]
async fn i17_what_is_written_over_a_deleted_account_never_becomes_an_address() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO, EVE]).await;
    let before = bridge.count().await;
    for tombstone in ["Deleted User", "bo@partner.example_deleted_1764000000", "", "a@b@c", "@x"] {
        bridge.crm(&ids[0], json!({ "email": tombstone })).await;
        for _ in 0..2 {
            bridge.say("user.updated", &ids[0]).await;
            let run = bridge.run_over("birch").await;
            assert_ne!(run["state"], "failed", "{tombstone:?}: {run}");
            bridge.clock.advance(DAY * 2);
        }
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined", "under his address");
    bridge.crm(&ids[0], json!({ "email": BO })).await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.count().await, before);
    bridge.finish().await;
}

#[tokio::test]
async fn i19_i20_upper_case_on_either_side_is_one_person_and_a_second_run_writes_nothing() {
    let bridge = Setup::demo().start().await;
    // Invited by hand in one case; CRM has another.
    let bo = bridge.joined(&["Bo@Partner.Example"]).await.remove(0);
    let before = bridge.count().await;
    assert_eq!(before, 2, "an add and a letter");
    for form in ["BO@PARTNER.EXAMPLE", "bo@partner.example", "bO@pArtner.eXample"] {
        bridge.crm(&bo, json!({ "email": form })).await;
        for _ in 0..2 {
            let run = bridge.run_over("birch").await;
            assert_eq!((&run["state"], &run["counts"]["changed"]), (&json!("done"), &json!(0)));
        }
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    let list = bridge.admin("/memberships?organization=birch").await.body;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "no second account: {list}");
    bridge.finish_with_leftovers("Cliq shows the address as it was written first").await;
}

/// A membership's list of steps.
async fn events(bridge: &Bridge, email: &str) -> Vec<Value> {
    let id = bridge.membership("birch", email).await["id"].as_str().unwrap().to_owned();
    let row = bridge.admin(&format!("/memberships/{id}")).await.body;
    row["history"].as_array().unwrap().iter().map(|step| step["event"].clone()).collect()
}

#[tokio::test]
async fn i39_two_users_of_one_address_are_not_linked_to_one_account() {
    let bridge = Setup::demo().start().await;
    let ids = bridge.joined(&[BO]).await;
    let before = bridge.count().await;
    let steps = events(&bridge, BO).await;
    // A second CRM user with Bo's address, as it happens with twins of a contact.
    let twin = bridge.add("birch", EVE).await;
    bridge.crm(&twin, json!({ "email": BO })).await;
    for kind in ["user.added", "user.updated"] {
        bridge.say(kind, &twin).await;
        bridge.settle().await;
        let run = bridge.run_over("birch").await;
        assert_eq!(run["counts"]["verdicts"]["conflict"], 2, "{run}");
        // A resync of the person makes no duplicate either.
        bridge.resync(json!({ "organization": "birch", "user": twin })).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    // Nor does one of them leaving take the account from the other.
    bridge.crm(&ids[0], json!({ "status": "deleted" })).await;
    for _ in 0..3 {
        bridge.run_over("birch").await;
        bridge.clock.advance(DAY * 2);
    }
    assert_eq!(bridge.done_after(before).await, [""; 0]);
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active");
    assert!(events(&bridge, BO).await.len() >= steps.len(), "and all of it is in the history");
    bridge.finish().await;
}
