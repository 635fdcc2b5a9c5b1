//! Channel rows and the reads before them: what is refused about one person is that person's alone, is
//! said once, and nothing is written while the organization is left alone or an operator says so.

use std::pin::pin;
use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::{Desk, Step};
use serde_json::{Value, json};

use super::support::channels::{DAY, EVE, EXT, PEOPLE, mapped, partners};
use super::support::people::crowd;
use super::support::{Bridge, Setup};

const ADMIN: &str = "admin@acme.example";
const DAN: &str = "dan@oak.example";
const GUS: &str = "gus@oak.example";
const HOUR: Duration = Duration::from_hours(1);

/// Eve's id in Cliq.
const EVE_ID: &str = "163315702";

async fn pause(bridge: &Bridge) {
    bridge.admin_post("/pause", &json!({ "organization": "acme" })).await;
}

async fn resume(bridge: &Bridge) {
    bridge.admin_post("/resume", &json!({ "organization": "acme" })).await;
}

/// These have joined the channel and are to be taken out of it, as soon as the pause is over.
async fn leavers(bridge: &Bridge, people: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for email in people {
        ids.push(bridge.partner_in(email).await);
    }
    pause(bridge).await;
    for id in &ids {
        bridge.acme_crm(id, json!({ "profile": "Standard" })).await;
    }
    bridge.run("acme").await;
    ids
}

/// Acme is answered so, about this person or anybody, until the faults are cleared.
async fn answered(bridge: &Bridge, call: &str, subject: Option<&str>, status: u16) {
    let more = json!({ "organization": "acme", "subject": subject, "times": null });
    let body = json!({ "code": "odd_person", "message": "m" });
    bridge.fault(call, more, json!({ "kind": "status", "status": status, "body": body })).await;
}

async fn told(bridge: &Bridge) -> Vec<String> {
    let mails = bridge.mails("it@bridge.example").await;
    mails.iter().map(|mail| format!("{}: {}", mail.subject(), mail.text())).collect()
}

async fn writes(bridge: &Bridge) -> usize {
    bridge.calls("cliq.members.add").await + bridge.calls("cliq.members.remove").await
}

#[tokio::test]
async fn g12_channel_rows_that_waited_when_an_organization_is_frozen_go_out_after_the_next_good_read()
 {
    for status in [204, 404] {
        let bridge = partners().start().await;
        let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Standard" })).await;
        bridge.announce("acme", &eve).await;
        let dan = bridge.partner_in(DAN).await;
        pause(&bridge).await;
        // The one is to come into the channel, and the other to leave it.
        bridge.acme_crm(&eve, json!({ "profile": "Partner" })).await;
        bridge.acme_crm(&dan, json!({ "profile": "Standard" })).await;
        bridge.run("acme").await;
        let before = writes(&bridge).await;
        let more = json!({ "organization": "acme", "times": null });
        bridge.fault("crm.users.list", more, json!({ "kind": "status", "status": status })).await;
        bridge.resync(json!({ "organization": "acme" })).await;
        bridge.settle_for(Duration::from_mins(1)).await;
        assert!(bridge.organization("acme").await["quarantine"]["cause"].is_string());
        resume(&bridge).await;
        bridge.settle_for(HOUR * 3).await;
        assert_eq!(writes(&bridge).await, before, "{status}: left alone");
        bridge.clear_faults().await;
        bridge.run("acme").await;
        assert_eq!(bridge.invited("ext").await, [EVE], "{status}");
        assert_eq!(bridge.members("ext").await, [ADMIN], "{status}");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i25_a_leaver_whom_nobody_may_look_at_keeps_no_other_in_the_channel() {
    for (side, status) in [("Cliq", 403), ("Cliq", 400), ("CRM", 403), ("CRM", 400)] {
        // Two of three leave, which is meant.
        let bridge = partners().with("guard", "max_percent = 100").start().await;
        bridge.partner_in(GUS).await;
        let ids = leavers(&bridge, &[EVE, DAN]).await;
        if side == "Cliq" {
            answered(&bridge, "cliq.users.get", Some(EVE_ID), status).await;
        } else {
            // What is refused about one is refused about both at once, as CRM may do it.
            answered(&bridge, "crm.users.list", None, 400).await;
            answered(&bridge, "crm.users.get", Some(&ids[0]), status).await;
        }
        let before = told(&bridge).await.len();
        resume(&bridge).await;
        bridge.settle_for(DAY).await;
        assert_eq!(bridge.members("ext").await, [ADMIN, EVE, GUS], "{side} {status}");
        let news = told(&bridge).await.split_off(before);
        let [news] = news.as_slice() else { panic!("{side} {status}: said once: {news:?}") };
        assert!(news.contains(EVE) && !news.contains("Channels.READ"), "{side} {status}: {news}");
        bridge.clear_faults().await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.members("ext").await, [ADMIN, GUS], "{side} {status}: asked again");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i25_a_leaver_about_whom_there_is_never_an_answer_keeps_no_other_in_the_channel() {
    for side in ["Cliq", "CRM"] {
        let bridge = partners().with("guard", "max_percent = 100").start().await;
        bridge.partner_in(GUS).await;
        let ids = leavers(&bridge, &[EVE, DAN]).await;
        if side == "Cliq" {
            answered(&bridge, "cliq.users.get", Some(EVE_ID), 503).await;
        } else {
            answered(&bridge, "crm.users.list", None, 400).await;
            answered(&bridge, "crm.users.get", Some(&ids[0]), 503).await;
        }
        resume(&bridge).await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.members("ext").await, [ADMIN, EVE, GUS], "{side}");
        bridge.clear_faults().await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.members("ext").await, [ADMIN, GUS], "{side}: asked again");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_before_a_removal_is_told_once_with_its_own_advice() {
    for (call, status, advice) in [
        ("cliq.members.get", 403, "Channels.READ"),
        ("cliq.members.get", 401, "Channels.READ"),
        ("crm.users.get", 401, "ZohoCRM.users.READ"),
        ("cliq.users.get", 401, "ZohoCliq.Users.READ"),
        ("cliq.users.get", 403, "may see"),
    ] {
        let bridge = partners().start().await;
        leavers(&bridge, &[EVE]).await;
        let before = told(&bridge).await.len();
        answered(&bridge, call, None, status).await;
        resume(&bridge).await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.members("ext").await, [ADMIN, EVE], "{call} {status}");
        let news = told(&bridge).await.split_off(before);
        let [news] = news.as_slice() else { panic!("{call} {status}: once: {news:?}") };
        assert!(news.contains(advice), "{call} {status}: {news}");
        bridge.clear_faults().await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.members("ext").await, [ADMIN], "{call} {status}");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn a_refused_list_of_channels_is_told_once_though_a_channel_can_be_read() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(PEOPLE)
        .with("acme", &mapped(&["typo", "ext"]))
        .start()
        .await;
    bridge.run("acme").await;
    // What is missing is looked for every hour; whoever comes is brought into the other one.
    answered(&bridge, "cliq.channels.list", None, 403).await;
    for email in [EVE, DAN, GUS] {
        bridge.added("acme", email).await;
        bridge.live_for(HOUR * 3).await;
    }
    assert_eq!(bridge.invited("ext").await.len(), 3);
    assert_eq!(bridge.notices("Channels of acme cannot be read").await, 1);
    bridge.clear_faults().await;
    bridge.live_for(HOUR * 2).await;
    answered(&bridge, "cliq.channels.list", None, 403).await;
    bridge.live_for(HOUR * 2).await;
    assert_eq!(bridge.notices("Channels of acme cannot be read").await, 2, "again");
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn a_call_that_a_pause_kept_back_is_not_taken_for_one_that_let_somebody_in() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 3, "free"))
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    answered(&bridge, "cliq.members.add", None, 400).await;
    bridge.run("acme").await;
    // A schedule that never was looked at has missed nothing.
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.notices("Channel ext of acme").await, 1);
    let calls = bridge.calls("cliq.members.add").await;
    // After a day a scheduled run lets the channel be tried again.
    bridge.clock.advance(DAY + HOUR);
    let acme = OrgId::new("acme");
    for desk in [Desk::Schedule(acme.clone()), Desk::Runs(acme.clone())] {
        while bridge.step(&desk).await == Step::Worked {}
    }
    let hold = json!({ "kind": "hold" });
    bridge.fault("cliq.members.get", json!({ "times": 1 }), hold).await;
    {
        let channels = Desk::Channels(acme);
        let mut step = pin!(bridge.step(&channels));
        tokio::select! {
            step = &mut step => panic!("the read was to be held: {step:?}"),
            () = bridge.held() => {}
        }
        pause(&bridge).await;
        bridge.act("/release", &Value::Null).await;
        step.await;
    }
    assert_eq!(bridge.calls("cliq.members.add").await, calls, "nothing was sent");
    resume(&bridge).await;
    bridge.settle().await;
    assert!(bridge.calls("cliq.members.add").await > calls, "tried, and refused again");
    assert_eq!(bridge.notices("Channel ext of acme").await, 1, "nobody got in meanwhile");
    bridge.finish().await;
}

#[tokio::test]
async fn what_the_channel_desk_tells_of_is_rung_for() {
    let bridge = partners().start().await;
    leavers(&bridge, &[EVE]).await;
    answered(&bridge, "cliq.users.get", Some(EVE_ID), 403).await;
    resume(&bridge).await;
    let rung = bridge.running().engine.wakes(&Desk::Letters).unwrap();
    let channels = Desk::Channels(OrgId::new("acme"));
    while matches!(bridge.step(&channels).await, Step::Worked) {}
    assert!(rung.has_changed().unwrap(), "a notice waits, and nothing else would ring");
    bridge.clear_faults().await;
    bridge.settle_for(HOUR).await;
    bridge.finish().await;
}
