//! Who is taken out of a channel: only whom the bridge brought in, by positive evidence, with two keys
//! and within the guard.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, DAY, EVE, EXT, PARTNERS, PEOPLE, one_channel, partners};
use super::support::harness::rows;
use super::support::people::{address, crowd};
use super::support::{Bridge, Setup};

const ADMIN: &str = "admin@acme.example";

/// Two channels of one organization, each for another profile.
const CROSSING: &str = "channels = [{ channel = \"ext\", when = { profile = [\"Partner\"] } }, \
                        { channel = \"two\", when = { profile = [\"Standard\"] } }]";

const TWO_CHANNELS: &str = r#"channels = [
  { id = "T1", unique_name = "ext", name = "Ext Support", level = "external" },
  { id = "T2", unique_name = "two", name = "Ext Sales", level = "external",
    add_participant = { member = true } }]"#;

#[tokio::test]
async fn i29_two_mappings_of_one_organization_do_not_fight_over_a_profile_that_flips() {
    let setup = Setup::demo().world("acme", TWO_CHANNELS).people(PEOPLE).with("acme", CROSSING);
    let bridge = setup.start().await;
    let eve = bridge.partner_in(EVE).await;
    // Dan stands in `two` by a guest's hand; the bridge's mapping of him is `ext`.
    let dan = bridge.partner_in("dan@oak.example").await;
    let gus = json!({ "email": "gus@oak.example", "profile": "Standard" });
    let gus = bridge.add_with("acme", gus).await;
    bridge.announce("acme", &gus).await;
    bridge.settle().await;
    bridge.channel_act("two", "accept", "gus@oak.example").await;
    let add = json!({ "by": "gus@oak.example", "email": "dan@oak.example", "context": "home" });
    bridge.act("/organizations/acme/channels/two/guest-add", &add).await;
    bridge.run("acme").await;
    for (round, profile) in ["Standard", "Partner", "Standard", "Partner"].into_iter().enumerate() {
        bridge.acme_crm(&eve, json!({ "profile": profile })).await;
        bridge.announce("acme", &eve).await;
        bridge.settle().await;
        let (meant, other) = if profile == "Partner" { ("ext", "two") } else { ("two", "ext") };
        bridge.clock.advance(DAY + DAY);
        for _ in 0..3 {
            bridge.run("acme").await;
        }
        bridge.channel_act(meant, "accept", EVE).await;
        bridge.run("acme").await;
        assert!(bridge.members(meant).await.contains(&EVE.to_owned()), "{round}: in {meant}");
        assert!(!bridge.members(other).await.contains(&EVE.to_owned()), "{round}: not in {other}");
        // At rest: neither mapping undoes what the other did, and each flip is one way out.
        let calls = bridge.calls("cliq.members.remove").await;
        assert_eq!(calls, round + 1);
        let plan = bridge.plan_of(json!({ "organization": "acme" })).await;
        assert_eq!((&plan["actions"], &plan["held"]), (&json!([]), &json!([])), "{plan}");
    }
    // What is not this mapping's own is no mapping's to take.
    bridge.acme_crm(&dan, json!({ "profile": "Nobody" })).await;
    bridge.run("acme").await;
    assert!(!bridge.members("ext").await.contains(&"dan@oak.example".to_owned()));
    assert!(bridge.members("two").await.contains(&"dan@oak.example".to_owned()));
    bridge.finish_with_leftovers("the memberships were not followed").await;
}

#[tokio::test]
async fn who_is_not_meant_any_more_is_taken_out_once() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    assert_eq!(bridge.members("ext").await, [ADMIN]);
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "removed");
    assert_eq!(bridge.membership("acme", EVE).await["state"], "invited", "the membership stays");
    // Meant again: not at once, but once after a day.
    bridge.acme_crm(&eve, json!({ "profile": "Partner" })).await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.channel_mails(EVE).await, 1);
    bridge.clock.advance(DAY);
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.channel_mails(EVE).await, 2);
    assert_eq!(bridge.calls("cliq.members.remove").await, 1);
    bridge.finish_with_leftovers("the membership was not followed").await;
}

#[tokio::test]
async fn an_operators_resync_of_the_person_is_one_new_invitation() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN]);
    bridge.acme_crm(&eve, json!({ "profile": "Partner" })).await;
    for _ in 0..3 {
        bridge.resync(json!({ "organization": "acme", "user": EVE })).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.invited("ext").await, [EVE]);
    assert_eq!(bridge.channel_mails(EVE).await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn r57_whom_another_hand_brought_back_is_not_taken_out_again() {
    const OPEN: &str = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext",
      level = "external", add_participant = { member = true } }]"#;
    const DAN: &str = "dan@oak.example";
    let bridge =
        Setup::demo().world("acme", OPEN).people(PEOPLE).with("acme", PARTNERS).start().await;
    bridge.partner_in(DAN).await;
    let eve = bridge.partner_in(EVE).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN, DAN]);
    let add = json!({ "by": DAN, "email": EVE, "context": "home" });
    bridge.act("/organizations/acme/channels/ext/guest-add", &add).await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.members("ext").await, [ADMIN, DAN, EVE]);
    assert_eq!(bridge.calls("cliq.members.remove").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn an_operators_resend_is_one_new_invitation() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    bridge.run("acme").await;
    bridge.acme_crm(&eve, json!({ "profile": "Partner" })).await;
    bridge.run("acme").await;
    let id = bridge.membership("acme", EVE).await["id"].as_str().unwrap().to_owned();
    let done = bridge.admin_post(&format!("/memberships/{id}/resend"), &json!({})).await;
    assert!(done.status < 300, "{done:?}");
    bridge.settle().await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(
        (bridge.invited("ext").await, bridge.channel_mails(EVE).await),
        (vec![EVE.to_owned()], 2)
    );
    bridge.finish().await;
}

#[tokio::test]
async fn who_was_in_by_others_hand_is_never_taken_out() {
    const IN: &str = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext",
      level = "external", members = ["eve@oak.example"] }]"#;
    let bridge =
        Setup::demo().world("acme", IN).people(PEOPLE).with("acme", PARTNERS).start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "joined");
    assert_eq!(bridge.channel_mails(EVE).await, 0);
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.members("ext").await, [ADMIN, EVE]);
    assert_eq!(bridge.calls("cliq.members.remove").await, 0);
    bridge.finish().await;
}

#[tokio::test]
async fn an_open_invitation_is_cancelled_by_the_address_that_was_invited() {
    let bridge = partners().start().await;
    let bo = bridge.add_with("acme", json!({ "email": BO, "profile": "Partner" })).await;
    bridge.announce("acme", &bo).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [BO]);
    bridge.acme_crm(&bo, json!({ "profile": "Standard" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [""; 0]);
    assert_eq!(bridge.guest(BO, "ext").await["state"], "removed");
    bridge.finish().await;
}

#[tokio::test]
async fn g17_who_joins_after_a_cancellation_that_cliq_refused_is_taken_out() {
    let bridge = partners().start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    let refused = json!({ "kind": "status", "status": 400, "body": { "code": "no_such_member", "message": "m" } });
    bridge.fault("cliq.members.remove", json!({ "times": 1 }), refused).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "removed", "a tombstone");
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN]);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_who_shows_as_internal_or_unknown_at_the_moment_of_the_write_is_left_alone() {
    for (organization, class) in [("631836344", "internal"), ("", "unknown")] {
        let bridge = partners().start().await;
        let eve = bridge.partner_in(EVE).await;
        bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
        let row = json!({ "data": { "id": "163315702", "zuid": "163315702", "email_id": EVE,
            "organization_id": organization } });
        // The first read is the run's own look; the second comes right before the call.
        let fault = json!({ "kind": "status", "status": 200, "body": row });
        bridge.fault("cliq.users.get", json!({ "times": 9 }), fault).await;
        bridge.run("acme").await;
        assert_eq!(bridge.members("ext").await, [ADMIN, EVE], "{class}");
        assert_eq!(bridge.calls("cliq.members.remove").await, 0, "{class}");
        let guest = bridge.guest(EVE, "ext").await;
        assert!(guest["parked"].as_str().unwrap().starts_with("not_external"), "{guest}");
        bridge.clear_faults().await;
        bridge.resync(json!({ "organization": "acme", "user": EVE })).await;
        bridge.settle().await;
        assert_eq!(bridge.members("ext").await, [ADMIN], "an operator's resync tries again");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn the_guard_holds_channel_removals_as_a_whole() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(crowd("acme", 20, "free"))
        .with("acme", PARTNERS)
        .start()
        .await;
    bridge.adopted("acme").await;
    bridge.settle().await;
    for number in 0..20 {
        bridge.channel_act("ext", "accept", &address(number)).await;
    }
    bridge.run("acme").await;
    let crm = bridge.sandbox("/state").await;
    let acme = rows(&crm["organizations"]).find(|o| o["id"] == "acme").unwrap();
    let ids: Vec<String> = rows(&acme["crm_users"])
        .filter(|row| row["profile"] == "Partner")
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    for id in &ids[..6] {
        bridge.acme_crm(id, json!({ "profile": "Standard" })).await;
    }
    let run = bridge.run("acme").await;
    let view = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_eq!((&view["state"], rows(&view["held"]).count()), (&json!("held"), 6), "{view}");
    assert_eq!(bridge.members("ext").await.len(), 21, "nobody of them");
    assert_eq!(bridge.notices("Removals of acme are held back").await, 1);

    // Back to two of twenty: within the guard.
    for id in &ids[2..6] {
        bridge.acme_crm(id, json!({ "profile": "Partner" })).await;
    }
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await.len(), 19);
    assert_eq!(bridge.calls("cliq.members.remove").await, 1, "both in one call");
    bridge.finish().await;
}

#[tokio::test]
async fn g16_deactivated_is_restricted_and_keeps_the_channel() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.act(&format!("/organizations/acme/members/{EVE}/accept"), &Value::Null).await;
    bridge.run("acme").await;
    bridge.acme_crm(&eve, json!({ "status": "inactive" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.members("ext").await, [ADMIN, EVE]);
    assert_eq!(bridge.cliq_row("acme", EVE).await.unwrap()["status"], "inactive");
    bridge.acme_crm(&eve, json!({ "status": "active" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(
        (bridge.members("ext").await, bridge.channel_mails(EVE).await),
        (vec![ADMIN.to_owned(), EVE.to_owned()], 1)
    );
    assert_eq!(bridge.calls("cliq.members.remove").await, 0);
    bridge.finish().await;
}

#[tokio::test]
async fn g1_a_leaver_loses_the_channels_and_a_deleted_row_alone_is_no_evidence() {
    let bridge = one_channel().start().await;
    bridge.added("acme", BO).await;
    let eve = bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;
    bridge.delete(&format!("/organizations/acme/crm-users/{eve}")).await;
    bridge.run("acme").await;
    let shown = bridge.membership("acme", EVE).await;
    bridge.clock.advance(DAY + Duration::from_hours(1));
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN], "{shown}");
    assert_eq!(bridge.invited("ext").await, [BO], "nobody else is touched");
    bridge.finish_with_leftovers("the membership leaves at its own pace").await;
}

#[tokio::test]
async fn who_declines_the_organization_is_not_asked_into_its_channels() {
    let bridge = partners().start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    // A listing has to have shown the invitation before its absence says anything.
    bridge.run("acme").await;
    bridge.act(&format!("/organizations/acme/members/{EVE}/decline"), &Value::Null).await;
    for _ in 0..3 {
        bridge.clock.advance(Duration::from_hours(1));
        bridge.run("acme").await;
    }
    assert_eq!(bridge.membership("acme", EVE).await["state"], "declined");
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "declined");
    assert_eq!(bridge.invited("ext").await, [""; 0]);
    bridge.finish().await;
}

#[tokio::test]
async fn a_no_on_the_join_page_takes_the_channel_invitations_back() {
    let bridge = partners().start().await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    let mails = bridge.mails(EVE).await;
    let link = mails[0].text().lines().find(|line| line.contains("/join/")).unwrap().trim();
    let path = link.split_once("/join/").unwrap().1;
    let url = format!("http://{}/join/{path}", bridge.public());
    let request = bridge.http.post(url).header("sec-fetch-site", "same-origin");
    let request = request.form(&[("action", "decline")]);
    let answer = super::support::harness::answer(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [""; 0]);
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "declined");
    bridge.finish_with_leftovers("the portal's own invitation is still open").await;
}

/// A crowd that was there before the bridge, in the channel by our invitation; answers the CRM ids.
async fn present_crowd(bridge: &Bridge, count: usize) -> Vec<String> {
    bridge.run("acme").await;
    for number in 0..count {
        bridge.channel_act("ext", "accept", &address(number)).await;
    }
    bridge.run("acme").await;
    let state = bridge.sandbox("/state").await;
    let acme = rows(&state["organizations"]).find(|org| org["id"] == "acme").unwrap();
    rows(&acme["crm_users"])
        .filter(|row| row["profile"] == "Partner")
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

fn crowded(count: usize) -> Setup {
    Setup::demo().world("acme", EXT).people(crowd("acme", count, "free")).with("acme", PARTNERS)
}

#[tokio::test]
async fn the_guard_counts_everybody_whom_we_invited_as_ours() {
    let bridge = crowded(20).start().await;
    let ids = present_crowd(&bridge, 20).await;
    for id in &ids[..2] {
        bridge.acme_crm(id, json!({ "profile": "Standard" })).await;
    }
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await.len(), 19, "two of twenty");
    assert_eq!(bridge.notices("Removals of acme are held back").await, 0);
    bridge.finish().await;
}

#[tokio::test]
async fn many_who_are_missing_from_a_channel_are_not_noted_as_gone() {
    let bridge = crowded(8).start().await;
    present_crowd(&bridge, 8).await;
    for number in 0..8 {
        bridge.channel_act("ext", "leave", &address(number)).await;
    }
    for _ in 0..4 {
        bridge.clock.advance(Duration::from_mins(1));
        bridge.run("acme").await;
    }
    assert_eq!(bridge.guest(&address(3), "ext").await["state"], "joined");
    assert_eq!(bridge.notices("People of acme are missing from Cliq").await, 1);
    bridge.finish_with_leftovers("the run is held").await;
}

/// The text of the last step of the person's explanation.
async fn explained(bridge: &Bridge, organization: &str, email: &str) -> String {
    let path = format!("/explain/{email}?organization={organization}");
    let told = bridge.admin(&path).await.body;
    let steps = &told["organizations"][0]["steps"];
    let act = rows(steps).find(|step| step["step"] == "act");
    act.unwrap_or_else(|| panic!("{told}"))["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn r16_a_downgrade_on_a_paid_plan_takes_nobody_out_and_goes_on_inviting() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.paid_type("acme", "free").await;
    bridge.plan_event("acme", "plan.downgraded").await;
    bridge.add_with("acme", json!({ "email": BO, "profile": "Partner" })).await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.members("ext").await, [ADMIN, EVE], "no removals");
    assert_eq!(bridge.calls("cliq.members.remove").await, 0);
    assert_eq!(bridge.invited("ext").await, [BO], "as the portal goes on adding people");
    let guest = bridge.guest(EVE, "ext").await;
    assert!(guest["parked"].as_str().unwrap().starts_with("downgraded"), "{guest}");
    let text = explained(&bridge, "acme", EVE).await;
    assert!(text.contains("#ext") && text.contains("downgraded"), "{text}");
    let mails = bridge.mails("it@bridge.example").await;
    let told = mails.iter().any(|mail| mail.text().contains("taken out of a channel"));
    assert!(told, "the notice of the change says it");

    bridge.paid_type("acme", "crmplus").await;
    bridge.plan_event("acme", "plan.upgraded").await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN], "what was held is done");
    bridge.finish_with_leftovers("the plan is contradicted by the licence details").await;
}

#[tokio::test]
async fn nobody_is_taken_out_of_a_channel_that_cliq_does_not_show() {
    let bridge = partners().start().await;
    let eve = bridge.partner_in(EVE).await;
    bridge.channel_patch("ext", json!({ "admin_role": "none" })).await;
    bridge.run("acme").await;
    bridge.acme_crm(&eve, json!({ "profile": "Standard" })).await;
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    let guest = bridge.guest(EVE, "ext").await;
    assert_eq!(guest["state"], "joined", "{guest}");
    assert!(guest["parked"].as_str().unwrap().starts_with("channel_"), "{guest}");
    assert_eq!(bridge.calls("cliq.members.remove").await, 0);
    bridge.channel_patch("ext", json!({ "admin_role": "super_admin" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.members("ext").await, [ADMIN], "it is shown again");
    bridge.finish().await;
}
