//! Channels and what happens around them: leavers lose channels first, marks that go between plan and
//! call, invitations that are followed late, and facts of channels that change.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, DAY, EVE, EXT, PEOPLE, one_channel};
use super::support::harness::rows;
use super::support::{Bridge, Setup};

const ADMIN: &str = "admin@acme.example";
const PARTNERS: &str = "channels = [{ channel = \"ext\", when = { profile = [\"Partner\"] } }]";

fn partners() -> Setup {
    Setup::demo().world("acme", EXT).people(PEOPLE).with("acme", PARTNERS)
}

/// A partner who is in the organization and in the channel; answers the CRM id.
async fn settled_in(bridge: &Bridge, email: &str) -> String {
    let id = bridge.add_with("acme", json!({ "email": email, "profile": "Partner" })).await;
    bridge.announce("acme", &id).await;
    bridge.settle().await;
    bridge.by_hand("acme", email, "accept").await;
    bridge.channel_act("ext", "accept", email).await;
    bridge.run("acme").await;
    assert_eq!(bridge.membership("acme", email).await["state"], "joined");
    assert_eq!(bridge.guest(email, "ext").await["state"], "joined");
    id
}

async fn change(bridge: &Bridge, id: &str, body: Value) {
    bridge.patch(&format!("/organizations/acme/crm-users/{id}"), &body).await;
}

/// What was done to the person outside, in order.
async fn done_to(bridge: &Bridge) -> Vec<String> {
    let journal = bridge.journal().await;
    let word = |entry: &Value| match entry["call"].as_str() {
        Some("cliq.members.remove") => Some("channel".to_owned()),
        Some("portal") => {
            let detail = entry["detail"].as_str().unwrap_or_default();
            let verb = detail.split(':').next().unwrap_or_default();
            (verb != "add_external").then(|| verb.to_owned())
        }
        _ => None,
    };
    journal.0.iter().filter(|entry| entry["kind"] == "write").filter_map(word).collect()
}

#[tokio::test]
async fn r29_whom_cliq_does_not_show_at_the_moment_of_the_call_stays_in_the_channel() {
    let bridge = partners().start().await;
    let eve = settled_in(&bridge, EVE).await;
    change(&bridge, &eve, json!({ "profile": "Standard" })).await;
    // The run's own look is a listing; the single read comes right before the call.
    let gone = json!({ "kind": "status", "status": 404, "body": { "code": "user_not_exists", "message": "m" } });
    bridge.fault("cliq.users.get", json!({ "times": null }), gone).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN, EVE]);
    assert_eq!(bridge.calls("cliq.members.remove").await, 0, "nobody said External");
    let guest = bridge.guest(EVE, "ext").await;
    assert!(guest["parked"].as_str().unwrap().starts_with("not_in_cliq"), "{guest}");
    // The next run decides anew.
    bridge.clear_faults().await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN]);
    bridge.finish().await;
}

/// Deletes the CRM user and lets the grace pass.
async fn leaves(bridge: &Bridge, id: &str) {
    bridge.delete(&format!("/organizations/acme/crm-users/{id}")).await;
    bridge.run("acme").await;
    bridge.clock.advance(DAY + Duration::from_hours(1));
}

#[tokio::test]
async fn g1_a_leaver_loses_the_channels_before_access_is_restricted() {
    let bridge = partners().start().await;
    settled_in(&bridge, BO).await;
    let eve = settled_in(&bridge, EVE).await;
    leaves(&bridge, &eve).await;
    // Cliq does not answer for a while: what comes after that waits.
    let down = json!({ "kind": "status", "status": 503 });
    bridge.fault("cliq.members.get", json!({ "skip": 1, "times": 6 }), down).await;
    bridge.run("acme").await;
    assert_eq!(done_to(&bridge).await, ["channel", "restrict"]);
    bridge.clock.advance(DAY * 8);
    bridge.run("acme").await;
    assert_eq!(done_to(&bridge).await, ["channel", "restrict", "remove_external"]);
    bridge.finish().await;
}

#[tokio::test]
async fn g1_a_channel_that_is_broken_keeps_no_leaver_in() {
    let bridge = partners().start().await;
    settled_in(&bridge, BO).await;
    let eve = settled_in(&bridge, EVE).await;
    leaves(&bridge, &eve).await;
    let down = json!({ "kind": "status", "status": 503 });
    bridge.fault("cliq.members.remove", json!({ "times": null }), down).await;
    bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle_for(Duration::from_mins(30)).await;
    assert_eq!(done_to(&bridge).await, [""; 0]);
    bridge.settle_for(Duration::from_mins(45)).await;
    assert_eq!(done_to(&bridge).await, ["restrict"]);
    bridge.clear_faults().await;
    bridge.settle_for(DAY).await;
    assert_eq!(done_to(&bridge).await, ["restrict", "channel"]);
    bridge.finish_with_leftovers("the leaver is removed a week later").await;
}

/// Restarts with the mapping of the channel taken out, and approves what follows.
async fn unmapped(bridge: &mut Bridge) {
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    assert!(text.contains(PARTNERS));
    std::fs::write(&bridge.file, text.replace(PARTNERS, "")).unwrap();
    bridge.restart().await;
    let id = bridge.run("acme").await;
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!(run["state"], "held", "{run}");
    let body = json!({ "checksum": run["checksum"] });
    let answer = bridge.admin_post(&format!("/runs/{id}/approve"), &body).await;
    assert!(answer.status < 300, "{answer:?}");
    bridge.settle().await;
}

#[tokio::test]
async fn g17_who_joins_late_a_channel_that_is_mapped_no_more_is_taken_out() {
    let mut bridge = partners().start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    let refused = json!({ "kind": "status", "status": 400, "body": { "code": "no_such_member", "message": "m" } });
    bridge.fault("cliq.members.remove", json!({ "times": 1 }), refused).await;
    unmapped(&mut bridge).await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "removed", "a tombstone");
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN]);
    // Without a tombstone nothing is asked about the channel; one is forgotten after a while.
    let lists = bridge.calls("cliq.members.get").await;
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.get").await, lists);
    bridge.finish().await;
}

#[tokio::test]
async fn g17_a_tombstone_of_a_channel_that_is_mapped_no_more_is_looked_at_for_sixty_days() {
    let mut bridge = partners().start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    unmapped(&mut bridge).await;
    let mut asked = Vec::new();
    for days in [0, 59, 2] {
        bridge.clock.advance(DAY * days);
        let lists = bridge.calls("cliq.members.get").await;
        bridge.run("acme").await;
        asked.push(bridge.calls("cliq.members.get").await - lists);
    }
    assert_eq!(asked, [1, 1, 0]);
    bridge.finish_with_leftovers("the membership ran out").await;
}

/// Roles that may add people, as the admin API tells it.
async fn posture(bridge: &Bridge) -> Vec<String> {
    let shown = bridge.channel_view("acme", "ext").await;
    rows(&shown["add_participants"]).filter_map(|role| role.as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn r59_the_posture_follows_the_channel_daily_and_when_an_operator_asks() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;
    let before = posture(&bridge).await;
    assert!(!before.contains(&"member".to_owned()), "{before:?}");
    bridge.channel_patch("ext", json!({ "add_participant": { "member": true } })).await;
    bridge.clock.advance(Duration::from_mins(10));
    bridge.run("acme").await;
    assert!(posture(&bridge).await.contains(&"member".to_owned()));

    let read = bridge.calls("cliq.channels.get").await + bridge.calls("cliq.channels.list").await;
    bridge.channel_patch("ext", json!({ "add_participant": { "member": false } })).await;
    bridge.live_for(Duration::from_hours(49)).await;
    assert_eq!(posture(&bridge).await, before);
    let now = bridge.calls("cliq.channels.get").await + bridge.calls("cliq.channels.list").await;
    assert!((1..=2).contains(&(now - read)), "{} reads in two days", now - read);

    bridge.channel_patch("ext", json!({ "status": "archived" })).await;
    bridge.live_for(Duration::from_hours(25)).await;
    let shown = bridge.channel_view("acme", "ext").await;
    assert!(shown["problem"].as_str().unwrap().starts_with("channel_archived"), "{shown}");
    bridge.finish_with_leftovers("the schedule runs on").await;
}
