//! What stands in the way of a channel, known before the call, said once, and gone with its cause
//! (R27, R28, R36, R59, C4, Z19).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, EVE, EXT, PEOPLE, mapped, one_channel};
use super::support::harness::rows;
use super::support::{Bridge, Setup};

/// Why the person waits.
fn cause(guest: &Value) -> &str {
    guest["parked"].as_str().unwrap_or_else(|| panic!("not parked: {guest}"))
}

#[tokio::test]
async fn r27_r28_a_team_channel_is_never_written_to() {
    const TEAM: &str = r#"channels = [
  { id = "M1", unique_name = "sales", name = "Sales", level = "team" },
  { id = "T1", unique_name = "ext", name = "Ext", level = "external" },
]"#;
    let bridge = Setup::demo()
        .world("acme", TEAM)
        .people(PEOPLE)
        .with("acme", &mapped(&["sales", "ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert!(cause(&bridge.guest(EVE, "sales").await).starts_with("team_channel"));
    assert_eq!(bridge.invited("ext").await, [EVE], "the other channel goes on");
    assert_eq!(bridge.members("sales").await, ["admin@acme.example"]);
    let calls = bridge.journal().await;
    assert!(calls.of("refused", "cliq.members.add").is_empty());
    assert_eq!(bridge.notices("Channel sales of acme: team_channel").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r28_whom_a_channel_puts_out_when_it_becomes_a_teams_is_not_added_again() {
    const PRIVATE: &str =
        r#"channels = [{ id = "P1", unique_name = "inner", name = "Inner", level = "private" }]"#;
    let bridge = Setup::demo()
        .world("acme", PRIVATE)
        .people(PEOPLE)
        .with("acme", &mapped(&["inner"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/acme/members/{EVE}/accept"), &Value::Null).await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "inner").await["state"], "joined");
    bridge.channel_patch("inner", json!({ "level": "team" })).await;
    for _ in 0..5 {
        bridge.clock.advance(Duration::from_mins(1));
        bridge.run("acme").await;
    }
    let guest = bridge.guest(EVE, "inner").await;
    assert_eq!(guest["state"], "removed", "{guest}");
    assert_eq!(bridge.calls("cliq.members.add").await, 1);
    assert_eq!(bridge.calls("cliq.members.remove").await, 0);
    assert_eq!(bridge.notices("Channel inner of acme: team_channel").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r36_an_external_inviter_brings_nobody_in() {
    let world = format!("admin_external = true\n{EXT}");
    let bridge = Setup::demo()
        .world("acme", world.leak())
        .domains("acme", "[\"staff.acme.example\"]")
        .people(PEOPLE)
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert!(cause(&bridge.guest(EVE, "ext").await).starts_with("R36_external_inviter"));
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.calls("cliq.members.add").await, 0, "known before the call");
    assert_eq!(bridge.notices("R36_external_inviter").await, 1);
    assert_eq!(
        bridge.membership("acme", EVE).await["state"],
        "invited",
        "the portal is another door"
    );
    bridge.finish().await;
}

#[tokio::test]
async fn r36_our_own_user_is_looked_at_once() {
    let bridge = one_channel().start().await;
    for email in [EVE, BO, "dan@oak.example"] {
        bridge.added("acme", email).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.invited("ext").await.len(), 3);
    let asked = |entry: &&Value| {
        entry["call"] == "crm.users.list"
            && entry["detail"].as_str().is_some_and(|d| d.contains("Current"))
    };
    let journal = bridge.journal().await;
    assert!(journal.0.iter().filter(asked).count() <= 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r59_without_the_permission_nothing_is_called_and_other_channels_go_on() {
    const TWO: &str = r#"channels = [
  { id = "T1", unique_name = "mine", name = "Mine", level = "external", admin_role = "member" },
  { id = "T2", unique_name = "ext", name = "Ext", level = "external",
    add_participant = { member = true } },
]"#;
    let bridge = Setup::demo()
        .world("acme", TWO)
        .people(PEOPLE)
        .with("acme", &mapped(&["mine", "ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    let guest = bridge.guest(EVE, "mine").await;
    assert!(cause(&guest).starts_with("permission") && cause(&guest).contains("Channel Preview"));
    assert_eq!((bridge.invited("mine").await.len(), bridge.invited("ext").await.len()), (0, 1));
    assert!(bridge.journal().await.of("refused", "cliq.members.add").is_empty());

    // The posture: who else may bring people in.
    let shown = bridge.channel_view("acme", "ext").await;
    let roles: Vec<_> = rows(&shown["add_participants"]).cloned().collect();
    assert_eq!(roles, ["admin", "member", "moderator"]);
    assert_eq!(bridge.channel_view("acme", "mine").await["may_add"], false);

    bridge.channel_patch("mine", json!({ "add_participant": { "member": true } })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("mine").await, [EVE], "the cause is gone");
    assert_eq!(bridge.guest(EVE, "mine").await["parked"], Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn c4_a_closed_policy_blocks_the_invitation_with_its_cause_and_not_the_run() {
    let bridge = one_channel().start().await;
    let policy = |open: bool| json!({ "external_collaboration": open });
    bridge.patch("/organizations/acme", &policy(false)).await;
    bridge.add("acme", EVE).await;
    bridge.add("acme", BO).await;
    let run = bridge.run("acme").await;
    let state = bridge.admin(&format!("/runs/{run}")).await.body["state"].clone();
    assert!(state == "done" || state == "degraded", "{state}");
    let guest = bridge.guest(EVE, "ext").await;
    assert!(cause(&guest).contains("External collaboration"), "{guest}");
    let calls = bridge.calls("cliq.members.add").await;
    assert_eq!(calls, 1, "it concerns everybody: nobody is tried alone");
    bridge.announce("acme", &crm_id(&bridge.membership("acme", EVE).await)).await;
    bridge.settle().await;
    assert_eq!(bridge.calls("cliq.members.add").await, calls);

    bridge.patch("/organizations/acme", &policy(true)).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    bridge.finish().await;
}

fn crm_id(row: &Value) -> String {
    row["crm_user_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn z19_the_free_plan_has_no_external_channels() {
    const FREE: &str =
        r#"channels = [{ id = "T9", unique_name = "ext", name = "Ext", level = "external" }]"#;
    let bridge = Setup::demo()
        .world("birch", FREE)
        .people(PEOPLE)
        .with("birch", &mapped(&["ext"]))
        .start()
        .await;
    bridge.added("birch", EVE).await;
    bridge.settle().await;
    let shown = bridge.channel_view("birch", "ext").await;
    assert!(shown["problem"].as_str().unwrap().starts_with("plan_free"), "{shown}");
    assert_eq!(bridge.journal().await.calls("birch", "cliq.members.add"), 0);
    assert_eq!(bridge.membership("birch", EVE).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn z19_more_external_channels_than_licences_allow_are_not_written_to() {
    let mut channels = String::from("channels = [");
    for number in 0..6 {
        write!(
            channels,
            "{{ id = \"T{number}\", unique_name = \"ext{number}\", name = \"E\", level = \"external\" }},"
        )
        .unwrap();
    }
    let lines = format!("cliq_licences = 1\n{}", mapped(&["ext0"]));
    let bridge = Setup::demo()
        .world("acme", format!("{channels}]").leak())
        .people(PEOPLE)
        .with("acme", &lines)
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert!(cause(&bridge.guest(EVE, "ext0").await).starts_with("over_quota"));
    assert_eq!(bridge.calls("cliq.members.add").await, 0);
    bridge.finish().await;
}

/// A channel with 499 people in it, and Eve and Bo who are meant for it.
async fn nearly_full() -> Bridge {
    let (mut members, mut people) = (String::new(), String::from(PEOPLE));
    for number in 0..498 {
        let email = format!("q{number}@crowd.example");
        write!(members, "\"{email}\", ").unwrap();
        write!(
            people,
            "\n[[people]]\nemail = \"{email}\"\nfirst_name = \"Q\"\nlast_name = \"{number}\"\n\
             zuid = \"{}\"\nhome = \"elsewhere\"\n",
            800_000_000 + number
        )
        .unwrap();
    }
    let world = format!(
        "channels = [{{ id = \"T1\", unique_name = \"ext\", name = \"Ext\", level = \"external\", \
         members = [{members}] }}]"
    );
    let bridge = Setup::demo()
        .world("acme", world.leak())
        .people(people.leak())
        .with("acme", &mapped(&["ext"]))
        .with("schedule", "digest = \"0 0 9 * * *\"\ntime_zone = \"UTC\"")
        .start()
        .await;
    for email in [EVE, BO] {
        bridge.added("acme", email).await;
    }
    bridge.settle().await;
    bridge
}

#[tokio::test]
async fn z19_the_digest_says_what_can_be_done_about_a_full_channel() {
    let bridge = nearly_full().await;
    bridge.live_for(Duration::from_mins(90)).await;
    let mails = bridge.mails("it@bridge.example").await;
    let digest = mails.iter().find(|mail| mail.subject().contains("Digest of Acme")).unwrap();
    let text = digest.text();
    assert!(text.contains("channel_full: an external channel holds 500 people"), "{text}");
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn z19_a_channel_takes_as_many_as_fit_and_the_rest_when_there_is_room() {
    let bridge = nearly_full().await;
    // 499 are in; one more fits, and the first membership is the one.
    assert_eq!(bridge.invited("ext").await, [EVE]);
    assert!(cause(&bridge.guest(BO, "ext").await).starts_with("channel_full"));
    assert!(bridge.journal().await.of("refused", "cliq.members.add").is_empty());
    for _ in 0..3 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.calls("cliq.members.add").await, 1, "full is known without a call");
    bridge.channel_act("ext", "leave", "q7@crowd.example").await;
    bridge.run("acme").await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    assert_eq!(bridge.notices("channel_full").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_channel_that_cliq_does_not_show_is_said_once_and_found_when_it_is_there() {
    let bridge = Setup::demo()
        .world("acme", EXT)
        .people(PEOPLE)
        .with("acme", &mapped(&["typo", "ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    for _ in 0..3 {
        let run = bridge.run("acme").await;
        assert_eq!(bridge.admin(&format!("/runs/{run}")).await.body["state"], "done");
    }
    assert!(cause(&bridge.guest(EVE, "typo").await).starts_with("channel_not_found"));
    assert_eq!(bridge.notices("Channel typo of acme").await, 1);
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn an_archived_channel_waits_until_it_is_open_again() {
    const OLD: &str = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext",
      level = "external", status = "archived" }]"#;
    let bridge = Setup::demo()
        .world("acme", OLD)
        .people(PEOPLE)
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert!(cause(&bridge.guest(EVE, "ext").await).starts_with("channel_archived"));
    assert_eq!(bridge.calls("cliq.members.add").await, 0);
    bridge.channel_patch("ext", json!({ "status": "created" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn z18_who_lives_in_another_data_centre_is_met_in_the_external_channel() {
    const FAR: &str = r#"
[[people]]
email             = "far@away.example"
first_name        = "Far"
last_name         = "Away"
zuid              = "163315799"
home              = "elsewhere"
other_data_centre = true
"#;
    let bridge =
        Setup::demo().world("acme", EXT).people(FAR).with("acme", &mapped(&["ext"])).start().await;
    bridge.added("acme", "far@away.example").await;
    bridge.settle().await;
    bridge.run("acme").await;
    let row = bridge.membership("acme", "far@away.example").await;
    assert!(row["parked"].as_str().unwrap().starts_with("other_data_centre"), "{row}");
    assert_eq!(bridge.invited("ext").await, ["far@away.example"]);
    bridge.finish().await;
}

const TWO: &str = r#"channels = [
  { id = "T1", unique_name = "shut", name = "Shut", level = "external" },
  { id = "T2", unique_name = "ext", name = "Ext", level = "external" },
]"#;

fn two_channels() -> Setup {
    Setup::demo().world("acme", TWO).people(PEOPLE).with("acme", &mapped(&["shut", "ext"]))
}

#[tokio::test]
async fn r39_a_channel_that_is_not_shown_to_us_any_more_fails_no_run() {
    let bridge = two_channels().start().await;
    bridge.run("acme").await;
    bridge.channel_patch("shut", json!({ "admin_role": "none" })).await;
    bridge.add("acme", EVE).await;
    for _ in 0..2 {
        let run = bridge.run("acme").await;
        let state = bridge.admin(&format!("/runs/{run}")).await.body["state"].clone();
        assert!(state == "done" || state == "degraded", "{state}");
    }
    assert_eq!(bridge.membership("acme", EVE).await["state"], "invited");
    assert_eq!(bridge.invited("ext").await, [EVE], "the other channel goes on");
    let problem = bridge.channel_view("acme", "shut").await["problem"].clone();
    assert!(problem.is_string(), "{problem}");
    assert_eq!(bridge.organization("acme").await["quarantined_at"], Value::Null);
    bridge.channel_patch("shut", json!({ "admin_role": "super_admin" })).await;
    bridge.run("acme").await;
    assert_eq!(bridge.invited("shut").await, [EVE]);
    bridge.finish().await;
}

#[tokio::test]
async fn r39_a_403_of_one_channel_fails_no_run_and_quarantines_nobody() {
    let bridge = two_channels().start().await;
    bridge.run("acme").await;
    bridge.add("acme", EVE).await;
    let forbidden =
        json!({ "kind": "status", "status": 403, "body": { "code": "forbidden", "message": "m" } });
    bridge.fault("cliq.members.get", json!({ "times": 1 }), forbidden).await;
    let run = bridge.run("acme").await;
    assert_eq!(bridge.admin(&format!("/runs/{run}")).await.body["state"], "done");
    assert!(cause(&bridge.guest(EVE, "shut").await).starts_with("channel_unreadable"));
    assert_eq!(bridge.invited("ext").await, [EVE]);
    assert_eq!(bridge.notices("Channel shut of acme: channel_unreadable").await, 1);
    bridge.run("acme").await;
    assert_eq!(bridge.invited("shut").await, [EVE], "it could be read again");
    assert_eq!(bridge.channel_view("acme", "shut").await["problem"], Value::Null);
    bridge.finish().await;
}

#[tokio::test]
async fn a_refused_read_before_the_call_is_noted_and_waits() {
    let bridge = one_channel().start().await;
    let refusal =
        json!({ "kind": "status", "status": 400, "body": { "code": "odd", "message": "m" } });
    bridge.fault("cliq.channels.get", json!({ "times": null }), refusal).await;
    bridge.added("acme", EVE).await;
    bridge.settle_for(Duration::from_mins(40)).await;
    let asked =
        bridge.journal().await.0.iter().filter(|row| row["call"] == "cliq.channels.get").count();
    assert!((1..=4).contains(&asked), "{asked} reads in forty minutes");
    let problem = bridge.channel_view("acme", "ext").await["problem"].clone();
    assert!(problem.as_str().unwrap().starts_with("channel_unreadable"), "{problem}");
    bridge.clear_faults().await;
    bridge.settle_for(Duration::from_mins(20)).await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    assert_eq!(bridge.channel_view("acme", "ext").await["problem"], Value::Null);
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn a_problem_that_is_gone_is_found_by_the_schedule_alone() {
    const MINE: &str = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext",
      level = "external", admin_role = "member" }]"#;
    let bridge = Setup::demo()
        .world("acme", MINE)
        .people(PEOPLE)
        .with("acme", &mapped(&["ext"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert!(cause(&bridge.guest(EVE, "ext").await).starts_with("permission"));
    bridge.channel_patch("ext", json!({ "add_participant": { "member": true } })).await;
    bridge.live_for(Duration::from_hours(26)).await;
    assert_eq!(bridge.invited("ext").await, [EVE]);
    bridge.finish_with_leftovers("the schedule runs on").await;
}
