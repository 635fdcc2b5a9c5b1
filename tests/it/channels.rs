//! External channels: who is invited, how they come in, and what is never done (R41 to R59).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, DAY, EVE, EXT, PEOPLE, mapped, one_channel};
use super::support::harness::rows;
use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";

#[tokio::test]
async fn r41_people_of_other_organizations_are_invited_and_not_added() {
    let bridge = one_channel().start().await;
    bridge.added("acme", BO).await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;

    assert_eq!(bridge.invited("ext").await, [BO, EVE]);
    assert_eq!(bridge.members("ext").await, ["admin@acme.example"]);
    for entry in bridge.journal().await.of("write", "cliq.members.add") {
        let detail = entry["detail"].as_str().unwrap();
        assert!(detail.contains("invited") && !detail.contains("added"), "{detail}");
    }
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn r42_r49_joined_is_what_the_member_list_shows() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "invited", "a link opened is not joined");
    bridge.channel_act("ext", "accept", EVE).await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "invited");
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "joined");
    assert_eq!(bridge.calls("cliq.members.add").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r42_a_no_in_cliq_shows_nowhere_and_ends_by_our_clock() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.act(&format!("/organizations/acme/members/{EVE}/accept"), &Value::Null).await;
    bridge.channel_act("ext", "decline", EVE).await;
    bridge.settle_for(DAY * 7).await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "expired");
    for _ in 0..3 {
        bridge.settle_for(DAY).await;
        bridge.run("acme").await;
    }
    assert_eq!(bridge.calls("cliq.members.add").await, 1);
    assert_eq!(bridge.channel_mails(EVE).await, 1);
    bridge.finish_with_leftovers("the schedule runs on").await;
}

#[tokio::test]
async fn r43_own_people_are_added_directly_if_the_operator_maps_them() {
    for internals in [true, false] {
        let lines = format!(
            "channels = [{{ channel = \"ext\", when = {{ profile = [\"Standard\"] }}, \
             internals = {internals} }}]"
        );
        let bridge = Setup::demo().world("acme", EXT).with("acme", &lines).start().await;
        bridge.run("acme").await;
        let expected = if internals {
            vec!["ada@acme.example", "admin@acme.example"]
        } else {
            vec!["admin@acme.example"]
        };
        assert_eq!(bridge.members("ext").await, expected);
        assert_eq!(bridge.channel_mails(ADA).await, 0);
        let shown = bridge.channel_view("acme", "ext").await;
        assert_eq!(shown["guests"]["joined"], if internals { json!(1) } else { Value::Null });
        if internals {
            // Whoever goes by themselves is not added again; nor is anybody taken out.
            bridge.channel_act("ext", "leave", ADA).await;
            for _ in 0..3 {
                bridge.clock.advance(Duration::from_mins(1));
                bridge.run("acme").await;
            }
            let shown = bridge.channel_view("acme", "ext").await;
            assert_eq!(shown["guests"], json!({ "left": 1 }));
            assert_eq!(bridge.members("ext").await, ["admin@acme.example"]);
            assert_eq!(bridge.calls("cliq.members.add").await, 1);
        }
        assert_eq!(bridge.calls("cliq.members.remove").await, 0);
        bridge.finish().await;
    }
}

#[tokio::test]
async fn r44_the_address_is_read_again_right_before_the_call() {
    let bridge = one_channel().start().await;
    let down = json!({ "kind": "status", "status": 503 });
    bridge.fault("cliq.members.get", json!({ "times": 3 }), down).await;
    let bo = bridge.added("acme", BO).await;
    bridge.settle_for(Duration::from_secs(30)).await;
    assert_eq!(bridge.calls("cliq.members.add").await, 0, "the channel could not be read");
    let path = format!("/organizations/acme/crm-users/{bo}");
    bridge.patch(&path, &json!({ "email": "bo.nordin@partner.example" })).await;
    bridge.settle().await;

    assert_eq!(bridge.invited("ext").await, ["bo.nordin@partner.example"]);
    assert_eq!(bridge.channel_mails(BO).await, 0);
    bridge.finish_with_leftovers("the membership was invited under the old address").await;
}

#[tokio::test]
async fn r44_another_case_of_the_address_is_no_second_invitation() {
    let bridge = one_channel().start().await;
    let bo = bridge.added("acme", "Bo@Partner.Example").await;
    bridge.settle().await;
    let path = format!("/organizations/acme/crm-users/{bo}");
    bridge.patch(&path, &json!({ "email": "BO@partner.EXAMPLE" })).await;
    bridge.announce("acme", &bo).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.add").await, 1);
    assert_eq!(bridge.guest(BO, "ext").await["invited_as"], BO);
    bridge.finish().await;
}

#[tokio::test]
async fn r44_what_is_not_one_address_is_never_sent() {
    let bridge = one_channel().start().await;
    for address in ["bo@partner.example, eve@oak.example", "nobody", "a@b@c.example"] {
        let user = json!({ "email": address });
        bridge.try_act("/organizations/acme/crm-users", &user).await;
    }
    bridge.run("acme").await;
    assert_eq!(bridge.calls("cliq.members.add").await, 0);
    bridge.finish().await;
}

#[test]
fn r45_the_way_by_hand_is_written_down() {
    let readme = include_str!("../../README.md");
    let readme: String = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let by_hand = cliqbridge::logic::channels::MANUAL_INVITATION;
    assert!(readme.contains(by_hand), "{by_hand}");
    assert!(cliqbridge::logic::channels::remedy("permission").contains(by_hand));
}

#[tokio::test]
async fn r46_who_is_in_under_an_old_address_is_found_by_the_id() {
    let bridge = one_channel().start().await;
    let eve = bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;
    let path = format!("/organizations/acme/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": "eve@new.example" })).await;
    for _ in 0..3 {
        bridge.clock.advance(Duration::from_mins(1));
        bridge.run("acme").await;
    }
    assert_eq!(bridge.guest("eve@new.example", "ext").await["state"], "joined");
    assert_eq!(bridge.calls("cliq.members.add").await, 1);
    let shown = bridge.channel_view("acme", "ext").await;
    assert_eq!(shown["added_by_others"], json!([]));
    bridge.finish_with_leftovers("CRM and Cliq know different addresses").await;
}

#[tokio::test]
async fn r47_r54_r56_an_account_flips_the_case_and_only_joining_joins() {
    let bridge = one_channel().start().await;
    let bo = bridge.added("acme", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.guest(BO, "ext").await["state"], "awaiting_signup");
    bridge.act(&format!("/people/{BO}/sign-up"), &Value::Null).await;
    bridge.announce("acme", &bo).await;
    bridge.settle().await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(BO, "ext").await["state"], "signed_up");
    assert_eq!((bridge.channel_mails(BO).await, bridge.calls("cliq.members.add").await), (1, 1));
    bridge.channel_act("ext", "accept", BO).await;
    bridge.run("acme").await;
    assert_eq!(bridge.guest(BO, "ext").await["state"], "joined");
    bridge.finish().await;
}

#[tokio::test]
async fn r48_r50_r53_one_mail_and_one_word_of_taz_however_many_runs() {
    let bridge = one_channel().start().await;
    let (bo, eve) = (bridge.added("acme", BO).await, bridge.added("acme", EVE).await);
    bridge.settle().await;
    for _ in 0..50 {
        bridge.run("acme").await;
    }
    for user in [&bo, &eve] {
        bridge.announce("acme", user).await;
    }
    bridge.settle().await;
    assert_eq!((bridge.channel_mails(BO).await, bridge.channel_mails(EVE).await), (1, 1));
    assert_eq!((bridge.taz(BO).await, bridge.taz(EVE).await), (0, 1), "Bo has no Cliq yet");
    assert_eq!(bridge.guest(EVE, "ext").await["sends"], 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r51_r52_both_ways_of_joining_end_the_same() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.added("acme", BO).await;
    bridge.settle().await;
    bridge.act(&format!("/people/{BO}/sign-up"), &Value::Null).await;
    for (email, path) in [(EVE, "dialog"), (BO, "menu")] {
        let act = format!("/organizations/acme/channels/ext/accept/{email}");
        bridge.act(&act, &json!({ "path": path })).await;
    }
    bridge.run("acme").await;
    for email in [EVE, BO] {
        assert_eq!(bridge.guest(email, "ext").await["state"], "joined");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn r53_who_has_to_sign_up_first_has_longer() {
    let bridge = one_channel().start().await;
    bridge.added("acme", BO).await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.clock.advance(DAY * 8);
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "expired");
    assert_eq!(bridge.guest(BO, "ext").await["state"], "awaiting_signup");
    bridge.clock.advance(DAY * 22);
    bridge.run("acme").await;
    assert_eq!(bridge.guest(BO, "ext").await["state"], "expired");
    assert_eq!((bridge.channel_mails(BO).await, bridge.channel_mails(EVE).await), (1, 1));
    bridge.finish_with_leftovers("memberships ran out too").await;
}

#[tokio::test]
async fn r55_who_signs_up_after_the_invitation_ran_out_is_invited_once_more() {
    let bridge = one_channel().start().await;
    bridge.added("acme", BO).await;
    bridge.settle().await;
    bridge.clock.advance(DAY * 31);
    bridge.run("acme").await;
    assert_eq!(bridge.invited("ext").await, [""; 0], "it lapsed in Cliq too");
    bridge.act(&format!("/people/{BO}/sign-up"), &Value::Null).await;
    for _ in 0..5 {
        bridge.run("acme").await;
    }
    assert_eq!(
        (bridge.channel_mails(BO).await, bridge.guest(BO, "ext").await["sends"].clone()),
        (2, json!(2))
    );
    assert_eq!(bridge.invited("ext").await, [BO]);
    bridge.clock.advance(DAY * 31);
    for _ in 0..5 {
        bridge.run("acme").await;
    }
    assert_eq!(bridge.guest(BO, "ext").await["state"], "expired");
    assert_eq!(bridge.channel_mails(BO).await, 2, "once");
    bridge.finish_with_leftovers("the membership ran out").await;
}

#[tokio::test]
async fn c2_one_person_is_invited_to_one_channel_and_added_to_another() {
    const WORLD: &str = r#"channels = [
  { id = "T1", unique_name = "ext", name = "Ext", level = "external" },
  { id = "O1", unique_name = "open", name = "Open", level = "organization" },
  { id = "P1", unique_name = "inner", name = "Inner", level = "private" },
]"#;
    let bridge = Setup::demo()
        .world("acme", WORLD)
        .people(PEOPLE)
        .with("acme", &mapped(&["ext", "open", "inner"]))
        .start()
        .await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    assert_eq!(bridge.invited("ext").await, [EVE], "the invitation does not wait");
    assert_eq!(bridge.guest(EVE, "open").await["state"], "wanted");
    bridge.act(&format!("/organizations/acme/members/{EVE}/accept"), &Value::Null).await;
    bridge.run("acme").await;
    for channel in ["open", "inner"] {
        assert_eq!(bridge.members(channel).await, ["admin@acme.example", EVE], "{channel}");
        assert_eq!(bridge.guest(EVE, channel).await["state"], "joined", "{channel}");
    }
    assert_eq!(bridge.channel_mails(EVE).await, 1);
    assert_eq!(bridge.calls("cliq.members.add").await, 3);
    bridge.finish().await;
}

#[tokio::test]
async fn c1_r57_r58_what_guests_do_is_reported_and_never_undone() {
    const OPEN: &str = r#"channels = [{ id = "T1", unique_name = "ext", name = "Ext",
      level = "external", add_participant = { member = true } }]"#;
    let bridge = Setup::demo()
        .world("acme", OPEN)
        .people(PEOPLE)
        .with("acme", "channels = [{ channel = \"ext\", when = { profile = [\"Partner\"] } }]")
        .start()
        .await;
    let eve = bridge.add_with("acme", json!({ "email": EVE, "profile": "Partner" })).await;
    bridge.announce("acme", &eve).await;
    bridge.settle().await;
    bridge.channel_act("ext", "accept", EVE).await;
    bridge.run("acme").await;

    let add = |email: &str, context: &str| json!({ "by": EVE, "email": email, "context": context });
    let path = "/organizations/acme/channels/ext/guest-add";
    assert_eq!(bridge.try_act(path, &add("dan@oak.example", "host")).await.status, 403, "R36");
    bridge.act(path, &add("dan@oak.example", "home")).await;
    bridge.act(path, &add("gus@oak.example", "home")).await;
    bridge.act(path, &add("hal@third.example", "home")).await;
    bridge.channel_act("ext", "accept", "hal@third.example").await;
    let writes = bridge.calls("cliq.members.add").await + bridge.calls("cliq.members.remove").await;
    for _ in 0..5 {
        bridge.run("acme").await;
    }
    let shown = bridge.channel_view("acme", "ext").await;
    let others: Vec<_> = rows(&shown["added_by_others"]).map(|row| row["email"].clone()).collect();
    assert_eq!(others, ["dan@oak.example", "gus@oak.example", "hal@third.example"]);
    // Nor when the one who brought them in is taken out.
    let crm = format!("/organizations/acme/crm-users/{eve}");
    bridge.patch(&crm, &json!({ "profile": "Other" })).await;
    bridge.run("acme").await;
    let left = ["admin@acme.example", "dan@oak.example", "gus@oak.example", "hal@third.example"];
    assert_eq!(bridge.members("ext").await, left);
    let now = bridge.calls("cliq.members.add").await + bridge.calls("cliq.members.remove").await;
    assert_eq!(now, writes + 1, "one removal, of Eve alone");
    bridge.finish().await;
}

#[tokio::test]
async fn a_run_without_news_costs_one_call_for_each_channel() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.run("acme").await;
    let before = bridge.journal().await.0.len();
    let run = bridge.run("acme").await;
    let calls: Vec<_> = bridge.journal().await.0[before..]
        .iter()
        .filter_map(|entry| entry["call"].as_str().map(str::to_owned))
        .filter(|call| call.starts_with("cliq.channel") || call.starts_with("cliq.members"))
        .collect();
    assert_eq!(calls, ["cliq.members.get"]);
    let view = bridge.admin(&format!("/runs/{run}")).await.body;
    assert_eq!((&view["state"], &view["calls_used"]), (&json!("done"), &json!(5)), "{view}");
    bridge.finish().await;
}

#[tokio::test]
async fn a_member_list_that_fails_fails_the_run_and_changes_nobody() {
    let bridge = one_channel().start().await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    bridge.channel_act("ext", "accept", EVE).await;
    let broken = json!({ "kind": "status", "status": 500 });
    bridge.fault("cliq.members.get", json!({ "times": 3 }), broken).await;
    bridge.add("acme", BO).await;
    let run = bridge.run("acme").await;
    assert_eq!(bridge.admin(&format!("/runs/{run}")).await.body["state"], "failed");
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "invited");
    assert_eq!(bridge.invited("ext").await, [""; 0], "Bo was not planned from it");
    bridge.run("acme").await;
    assert_eq!(bridge.guest(EVE, "ext").await["state"], "joined");
    bridge.finish().await;
}

#[tokio::test]
async fn the_letter_names_the_channels_that_the_person_is_invited_to() {
    let bridge = one_channel().start().await;
    bridge.run("acme").await;
    bridge.added("acme", EVE).await;
    bridge.settle().await;
    let mails = bridge.mails(EVE).await;
    assert!(mails[0].text().contains("#Ext Support"), "{}", mails[0].text());
    bridge.finish().await;
}

#[tokio::test]
async fn channels_are_listed_in_pages_and_by_organization() {
    let bridge: Bridge = Setup::demo()
        .with("acme", &mapped(&["one", "two"]))
        .with("birch", &mapped(&["three"]))
        .start()
        .await;
    let first = bridge.admin("/channels?limit=2").await.body;
    let names = |page: &Value| -> Vec<Value> {
        rows(&page["items"]).map(|row| row["channel"].clone()).collect()
    };
    assert_eq!(names(&first), ["one", "two"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = bridge.admin(&format!("/channels?limit=2&cursor={cursor}")).await.body;
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec![json!("three")], &Value::Null));
    assert_eq!(names(&bridge.admin("/channels?organization=birch").await.body), ["three"]);
    assert_eq!(bridge.admin("/channels?nonsense=1").await.status, 400);
    bridge.finish().await;
}
