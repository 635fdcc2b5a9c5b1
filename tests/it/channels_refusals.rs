//! Refused member calls: who is parked, who goes on, and when a channel is closed for everybody.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, EVE, EXT, mapped, one_channel};
use super::support::people::{address, crowd};
use super::support::{Bridge, Setup};

const ROOM: &str =
    r#"channels = [{ id = "O1", unique_name = "room", name = "Room", level = "organization" }]"#;

/// A crowd that is about to be added to a room, when Cliq blocks some of them (R15): those cannot be
/// added any more, and the channel has nothing against the others.
async fn with_blocked(count: usize, blocked: &[usize]) -> Bridge {
    let bridge = Setup::demo()
        .world("acme", ROOM)
        .people(crowd("acme", count, "free"))
        .with("acme", &mapped(&["room"]))
        .start()
        .await;
    bridge.resync(json!({ "organization": "acme" })).await;
    let acme = cliqbridge::domain::OrgId::from("acme");
    bridge.step(&cliqbridge::engine::Desk::Runs(acme)).await;
    for number in blocked {
        bridge.by_hand("acme", &address(*number), "restrict").await;
    }
    bridge.settle().await;
    bridge
}

fn refusal(status: u16, code: &str) -> Value {
    json!({ "kind": "status", "status": status, "body": { "code": code, "message": "m" } })
}

fn cause(guest: &Value) -> &str {
    guest["parked"].as_str().unwrap_or_else(|| panic!("not parked: {guest}"))
}

#[tokio::test]
async fn two_neighbours_who_cannot_be_added_close_the_channel_for_nobody_else() {
    for (count, blocked) in [(3, [0, 1]), (3, [1, 2]), (4, [0, 3]), (100, [57, 58])] {
        let bridge = with_blocked(count, &blocked).await;
        for number in 0..count {
            let guest = bridge.guest(&address(number), "room").await;
            if blocked.contains(&number) {
                assert!(!cause(&guest).starts_with("refused_for_all"), "{guest}");
            } else {
                assert_eq!(guest["state"], "joined", "{number} of {count}: {guest}");
            }
        }
        assert_eq!(bridge.channel_view("acme", "room").await["problem"], Value::Null);
        let calls = bridge.calls("cliq.members.add").await;
        assert!(calls <= 20, "{calls} calls for two of {count}");
        for _ in 0..3 {
            bridge.run("acme").await;
        }
        assert_eq!(bridge.calls("cliq.members.add").await, calls, "they wait for an operator");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn everybody_is_said_only_of_whom_cliq_refused_one_by_one() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 12, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    let fault = refusal(400, "member_add_failed");
    bridge.fault("cliq.members.add", json!({ "times": null }), fault).await;
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.add").await, 23, "each part of twelve, down to one");
    for number in 0..12 {
        let guest = bridge.guest(&address(number), "ext").await;
        assert!(cause(&guest).starts_with("refused_for_all:member_add_failed"), "{guest}");
    }
    assert_eq!(bridge.notices("Channel ext of acme").await, 1);
    // Whoever comes now is not tried, until a day has passed or an operator asks.
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.live_for(Duration::from_hours(1)).await;
    assert_eq!(bridge.calls("cliq.members.add").await, 23);
    bridge.clear_faults().await;
    bridge.live_for(Duration::from_hours(26)).await;
    assert_eq!(bridge.invited("ext").await.len(), 13, "tried again after a day");
    assert_eq!(bridge.channel_view("acme", "ext").await["problem"], Value::Null);
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn a_channel_that_goes_on_refusing_everybody_is_told_once() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 3, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    let fault = refusal(400, "member_add_failed");
    bridge.fault("cliq.members.add", json!({ "times": null }), fault).await;
    bridge.run("acme").await;
    bridge.live_for(Duration::from_hours(24 * 3)).await;
    let calls = bridge.calls("cliq.members.add").await;
    assert!((10..=20).contains(&calls), "five calls a day, not {calls}");
    assert_eq!(bridge.notices("Channel ext of acme").await, 1);
    bridge.clear_faults().await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await.len(), 3, "an operator's resync tries again");
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn r59_a_403_with_a_code_of_the_endpoint_parks_one_and_the_others_go_on() {
    let bridge = one_channel().start().await;
    let forbidden = refusal(403, "operation_not_allowed");
    bridge.fault("cliq.members.add", json!({ "times": 1 }), forbidden).await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    let guest = bridge.guest(EVE, "ext").await;
    assert!(cause(&guest).starts_with("permission"), "{guest}");
    assert!(cause(&guest).contains("Channel Preview"), "{guest}");
    bridge.added("acme", BO).await;
    bridge.settle().await;
    bridge.settle_for(Duration::from_hours(1)).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [BO]);
    assert_eq!(bridge.calls("cliq.members.add").await, 2);
    assert_eq!(bridge.organization("acme").await["quarantined_at"], Value::Null);
    bridge.resync(json!({ "organization": "acme", "user": EVE })).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn r59_a_403_for_everybody_is_the_channels_and_is_not_asked_for_ever() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 4, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    let forbidden = refusal(403, "operation_not_allowed");
    bridge.fault("cliq.members.add", json!({ "times": null }), forbidden).await;
    bridge.run("acme").await;
    bridge.settle_for(Duration::from_hours(2)).await;
    assert_eq!(bridge.calls("cliq.members.add").await, 7);
    assert!(cause(&bridge.guest(&address(2), "ext").await).starts_with("permission"));
    assert_eq!(bridge.notices("Channel ext of acme: permission").await, 1);
    bridge.clear_faults().await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await.len(), 4);
    bridge.finish().await;
}

#[tokio::test]
async fn a_scope_that_is_missing_is_no_refusal_of_people() {
    let bridge = one_channel().start().await;
    let scope = refusal(403, "oauthtoken_scope_invalid");
    bridge.fault("cliq.members.add", json!({ "times": 3 }), scope).await;
    bridge.added("acme", EVE).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    assert_eq!(bridge.guest(EVE, "ext").await["parked"], Value::Null);
    assert_eq!(bridge.notices("Members of channel ext of acme may not be changed").await, 1);
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish().await;
}
