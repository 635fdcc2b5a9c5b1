//! Member calls in batches: how few, what a refusal of one does to the rest, and what becomes of a
//! lost answer.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::channels::{BO, EVE, EXT, PEOPLE, mapped, one_channel};
use super::support::people::{address, crowd};
use super::support::{Bridge, Setup};

const ROOM: &str =
    r#"channels = [{ id = "O1", unique_name = "room", name = "Room", level = "organization" }]"#;

fn desk(name: fn(OrgId) -> Desk) -> Desk {
    name(OrgId::from("acme"))
}

async fn invite_one(bridge: &Bridge) {
    bridge.added("acme", EVE).await;
    bridge.settle().await;
}

#[tokio::test]
async fn two_hundred_and_fifty_people_are_three_calls() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 250, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await.len(), 250);
    assert_eq!(bridge.calls("cliq.members.add").await, 3);
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.add").await, 3);
    bridge.finish_with_leftovers("the ledger is more than a page").await;
}

#[tokio::test]
async fn one_refused_among_a_hundred_is_found_by_halving_and_the_others_are_in() {
    let bridge = Setup::demo()
        .world("acme", ROOM)
        .people(crowd("acme", 100, "free"))
        .with("acme", &mapped(&["room"]))
        .start()
        .await;
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.step(&desk(Desk::Runs)).await;
    // Cliq does not take somebody whose account was blocked since.
    let bad = address(57);
    bridge.act(&format!("/organizations/acme/members/{bad}/restrict"), &Value::Null).await;
    bridge.settle().await;

    assert_eq!(bridge.members("room").await.len(), 100, "ninety-nine and the administrator");
    let calls = bridge.calls("cliq.members.add").await;
    assert!((9..=15).contains(&calls), "{calls} calls");
    assert_eq!(bridge.guest(&bad, "room").await["state"], "wanted");
    assert!(!bridge.guest(&bad, "room").await["parked"].is_null());
    assert_eq!(bridge.guest(&address(56), "room").await["state"], "joined");
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.calls("cliq.members.add").await, calls, "a refusal waits for an operator");
    bridge.finish().await;
}

#[tokio::test]
async fn a_refusal_of_everybody_is_known_when_each_was_tried_and_forgiven_by_a_resync() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 100, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    let refusal = json!({ "kind": "status", "status": 400, "body": { "code": "member_add_failed", "message": "m" } });
    bridge.fault("cliq.members.add", json!({ "times": null }), refusal).await;
    bridge.run("acme").await;
    let calls = bridge.calls("cliq.members.add").await;
    assert_eq!(calls, 199, "every part of a hundred, down to one");
    for number in [0, 1, 99] {
        let guest = bridge.guest(&address(number), "ext").await;
        let cause = guest["parked"].as_str().unwrap().to_owned();
        assert!(cause.starts_with("refused_for_all:member_add_failed"), "{cause}");
    }
    assert_eq!(bridge.notices("Channel ext of acme").await, 1);
    bridge.clear_faults().await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await.len(), 100);
    bridge.finish().await;
}

#[tokio::test]
async fn people_whom_crm_does_not_list_together_are_read_one_by_one() {
    let bridge = one_channel().start().await;
    let refusal = json!({ "kind": "status", "status": 400, "body": { "code": "INVALID_DATA", "message": "m" } });
    bridge.added("acme", BO).await;
    bridge.added("acme", EVE).await;
    bridge.fault("crm.users.list", json!({ "times": 2 }), refusal).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn r48_a_lost_answer_is_repeated_once_and_never_more() {
    for (times, mails, parked) in [(1, 2, false), (2, 2, true), (5, 2, true)] {
        let bridge = one_channel().start().await;
        let lost = json!({ "kind": "apply_then_drop" });
        bridge.fault("cliq.members.add", json!({ "times": times }), lost).await;
        invite_one(&bridge).await;
        for _ in 0..5 {
            bridge.run("acme").await;
        }
        assert_eq!(bridge.calls("cliq.members.add").await, 2, "{times}");
        assert_eq!(bridge.channel_mails(EVE).await, mails, "{times}");
        let guest = bridge.guest(EVE, "ext").await;
        assert_eq!((&guest["state"], &guest["sends"]), (&json!("invited"), &json!(2)), "{guest}");
        assert_eq!(guest["parked"].is_string(), parked, "{guest}");
        bridge.channel_act("ext", "accept", EVE).await;
        bridge.run("acme").await;
        let guest = bridge.guest(EVE, "ext").await;
        assert_eq!((&guest["state"], &guest["parked"]), (&json!("joined"), &Value::Null));
        bridge.finish().await;
    }
}

#[tokio::test]
async fn r48_an_invitation_lost_before_its_effect_is_sent_again() {
    let bridge = one_channel().start().await;
    bridge.fault("cliq.members.add", json!({ "times": 1 }), json!({ "kind": "drop" })).await;
    invite_one(&bridge).await;
    assert_eq!((bridge.channel_mails(EVE).await, bridge.invited("ext").await.len()), (1, 1));
    bridge.finish().await;
}

#[tokio::test]
async fn r48_a_crash_between_the_call_and_its_booking_is_one_repeat_at_most() {
    let mut bridge = one_channel().start().await;
    bridge.fault("cliq.members.add", json!({ "times": 1 }), json!({ "kind": "hold" })).await;
    bridge.added("acme", EVE).await;
    // A hint is looked at a moment after its webhook.
    bridge.clock.advance(Duration::from_secs(1));
    for name in [Desk::Hints, Desk::Access] {
        bridge.step(&desk(name)).await;
    }
    // The channels are found first; then the call goes out, and the process dies in the middle.
    bridge.step(&desk(Desk::Channels)).await;
    let channels = desk(Desk::Channels);
    tokio::select! {
        step = bridge.step(&channels) => panic!("the call was to be held: {step:?}"),
        () = bridge.held() => {}
    }
    bridge.restart().await;
    bridge.act("/release", &Value::Null).await;
    bridge.settle().await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    let calls = bridge.calls("cliq.members.add").await;
    assert!(calls <= 2, "{calls}");
    assert!(bridge.channel_mails(EVE).await <= 2);
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn a_throttle_postpones_the_whole_batch_and_costs_no_attempt() {
    let bridge = one_channel().start().await;
    let throttle = json!({ "kind": "throttle", "retry_after_s": 120 });
    bridge.fault("cliq.members.add", json!({ "times": 3 }), throttle).await;
    bridge.added("acme", BO).await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    assert_eq!((bridge.channel_mails(BO).await, bridge.channel_mails(EVE).await), (1, 1));
    assert_eq!(bridge.guest(EVE, "ext").await["sends"], 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_read_that_fails_before_the_call_costs_no_attempt() {
    let bridge = one_channel().start().await;
    let down = json!({ "kind": "status", "status": 500 });
    bridge.fault("cliq.channels.get", json!({ "times": 10 }), down).await;
    invite_one(&bridge).await;
    let guest = bridge.guest(EVE, "ext").await;
    assert_eq!((&guest["state"], &guest["sends"]), (&json!("invited"), &json!(1)), "{guest}");
    bridge.finish().await;
}

#[tokio::test]
async fn a_refused_person_waits_for_an_operator_and_others_go_on() {
    let bridge = one_channel().start().await;
    let refusal = json!({ "kind": "status", "status": 400, "body": { "code": "member_add_failed", "message": "m" } });
    bridge.fault("cliq.members.add", json!({ "times": 1 }), refusal).await;
    invite_one(&bridge).await;
    let guest = bridge.guest(EVE, "ext").await;
    assert!(guest["parked"].as_str().unwrap().starts_with("member_add_failed"), "{guest}");
    assert_eq!((&guest["state"], &guest["sends"]), (&json!("wanted"), &json!(0)));
    bridge.added("acme", BO).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [BO]);
    bridge.resync(json!({ "organization": "acme", "user": EVE })).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn r39_channels_of_an_organization_that_fails_delay_no_other() {
    const BIRCH: &str = r#"channels = [{ id = "O2", unique_name = "room", name = "Room", level = "organization" }]"#;
    let bridge = Setup::demo()
        .world("acme", EXT)
        .world("birch", BIRCH)
        .people(PEOPLE)
        .with("acme", &mapped(&["ext"]))
        .with("birch", &mapped(&["room"]))
        .start()
        .await;
    let down = json!({ "kind": "status", "status": 500 });
    let whole = json!({ "organization": "acme", "times": null });
    bridge.fault("cliq.channels.list", whole, down).await;
    bridge.added("acme", EVE).await;
    bridge.added("birch", EVE).await;
    bridge.settle_for(Duration::from_mins(2)).await;
    bridge.act(&format!("/organizations/birch/members/{EVE}/accept"), &Value::Null).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(2)).await;
    let room = bridge.in_sandbox("birch", "room").await;
    assert_eq!(room["members"], json!(["admin@birch.example", EVE]), "{room}");
    assert_eq!(bridge.invited("ext").await, [""; 0]);
    bridge.clear_faults().await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn the_invitation_cap_holds_channel_invitations_too() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 12, "free"))
        .with("acme", &mapped(&["ext"]))
        .with("guard", "max_invites = 10")
        .start()
        .await;
    let run = bridge.run("acme").await;
    assert_eq!(bridge.admin(&format!("/runs/{run}")).await.body["state"], "held");
    assert_eq!(bridge.calls("cliq.members.add").await, 0, "all of it is held");
    assert_eq!(bridge.notices("Invitations of acme are held back").await, 1);
    bridge.finish().await;
}
