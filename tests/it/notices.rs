//! What administrators are told, and whom nobody writes to: once for each state, whom it concerns by
//! name, and no letter while a conflict or a quarantine stands.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::traces::ADMIN as IT;
use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn broken(bridge: &Bridge, call: &str, status: u16) {
    let more = json!({ "organization": "birch", "times": null });
    bridge.fault(call, more, json!({ "kind": "status", "status": status })).await;
}

/// The text of the newest notice whose subject holds this.
async fn notice(bridge: &Bridge, part: &str) -> String {
    let mails = bridge.mails(IT).await;
    let found = mails.iter().rfind(|mail| mail.subject().contains(part));
    found.unwrap_or_else(|| panic!("a notice of {part}: {mails:?}")).text().to_owned()
}

/// Mails and bot messages to a person.
async fn told(bridge: &Bridge, email: &str) -> usize {
    bridge.mails(email).await.len() + rows(&bridge.sandbox("/bots").await).count()
}

#[tokio::test]
async fn g12_a_second_quarantine_on_the_same_day_is_told_too() {
    let bridge = Setup::demo().start().await;
    bridge.joined(&[BO]).await;
    for round in 1..=2 {
        broken(&bridge, "crm.users.list", 403).await;
        for _ in 0..3 {
            bridge.run_over("birch").await;
            bridge.settle().await;
        }
        assert_eq!(bridge.notices("birch is quarantined").await, round);
        bridge.clear_faults().await;
        bridge.run_over("birch").await;
        bridge.clock.advance(HOUR * 2);
    }
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn i15_what_is_given_up_is_told_at_once_and_the_rest_of_it_together() {
    let bridge = Setup::demo().start().await;
    broken(&bridge, "portal", 500).await;
    for number in 0..8 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.settle_for(DAY * 7).await;
    assert_eq!(bridge.admin("/status").await.body["queue"]["actions"]["dead"], 8);
    let notices = bridge.notices("Given up").await;
    assert!((1..=3).contains(&notices), "{notices} notices about eight");
    assert!(notice(&bridge, "Given up: add").await.contains("@partner.example"));
    bridge.finish_with_leftovers("the adds are dead").await;
}

#[tokio::test]
async fn i28_hints_and_runs_tell_of_one_trip_once_and_of_the_next_again() {
    let bridge = Setup::demo().with("guard", "max_removals = 1").start().await;
    let people: Vec<String> = (0..8).map(|n| format!("p{n}@partner.example")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let ids = bridge.joined(&people).await;
    for trip in 1..=2 {
        for id in &ids[..6] {
            bridge.crm(id, json!({ "status": "inactive" })).await;
            bridge.say("user.deactivated", id).await;
            bridge.settle().await;
        }
        assert_eq!(bridge.notices("Removals of birch are held back").await, trip, "by hints");
        for _ in 0..3 {
            assert_eq!(bridge.run_over("birch").await["state"], "held");
            bridge.clock.advance(HOUR);
        }
        assert_eq!(bridge.notices("Removals of birch are held back").await, trip, "and by runs");
        for id in &ids[..6] {
            bridge.crm(id, json!({ "status": "active" })).await;
        }
        bridge.run_over("birch").await;
        bridge.clock.advance(HOUR);
    }
    bridge.settle().await;
    bridge.finish_with_leftovers("whoever was within the guard is restricted").await;
}

/// Two CRM users with one address in Birch; answers their ids.
async fn pair(bridge: &Bridge, email: &str, other: &str) -> (String, String) {
    let one = bridge.add("birch", email).await;
    let two = bridge.add("birch", other).await;
    let path = format!("/organizations/birch/crm-users/{two}");
    bridge.patch(&path, &json!({ "email": email })).await;
    (one, two)
}

#[tokio::test]
async fn g9_a_pair_in_one_organization_is_listed_and_named_and_told_once() {
    let bridge = Setup::demo().start().await;
    let (bo, eve) = pair(&bridge, BO, EVE).await;
    for _ in 0..3 {
        bridge.run_over("birch").await;
        bridge.settle().await;
        bridge.clock.advance(DAY * 2);
    }
    let listed = bridge.admin("/conflicts").await.body;
    let all: Vec<&Value> = rows(&listed["items"]).collect();
    let [one] = all.as_slice() else { panic!("one pair: {listed}") };
    for id in [&bo, &eve] {
        let both = format!("{} {}", one["one"], one["other"]);
        assert!(both.contains(&format!("birch/{id}")), "{one}");
        assert!(notice(&bridge, "one person").await.contains(id.as_str()));
    }
    assert_eq!(bridge.notices("one person").await, 1, "however long it lasts");

    // Another pair on the same day is news.
    pair(&bridge, "cy@partner.example", "di@partner.example").await;
    bridge.run_over("birch").await;
    bridge.settle().await;
    assert_eq!(bridge.notices("one person").await, 2);

    let path = format!("/organizations/birch/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": EVE })).await;
    bridge.run_over("birch").await;
    bridge.settle().await;
    let left = bridge.admin("/conflicts").await.body;
    assert_eq!(rows(&left["items"]).count(), 1, "{left}");
    assert_eq!((bridge.mails(BO).await.len(), bridge.mails(EVE).await.len()), (1, 1));
    bridge.finish_with_leftovers("the other pair stands").await;
}

#[tokio::test]
async fn g9_a_single_look_does_not_invite_one_of_a_pair() {
    let bridge = Setup::demo().start().await;
    let (bo, _) = pair(&bridge, BO, EVE).await;
    bridge.run_over("birch").await;
    bridge.announce("birch", &bo).await;
    bridge.settle().await;
    assert!(bridge.journal().await.effects().is_empty());
    assert_eq!(rows(&bridge.admin("/conflicts").await.body["items"]).count(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g6_whoever_waits_for_an_operators_word_is_not_reminded_until_it_is_said() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", ADA).await;
    bridge.settle().await;
    for organization in ["acme", "birch"] {
        bridge.run_over(organization).await;
    }
    bridge.patch(&format!("/people/{ADA}"), &json!({ "home": "elsewhere" })).await;
    bridge.run_over("acme").await;
    bridge.settle().await;
    let before = told(&bridge, ADA).await;
    bridge.wait_for(DAY * 3).await;
    assert_eq!(told(&bridge, ADA).await, before, "nothing until somebody confirms");
    let answer = bridge.admin_post(&format!("/people/{ADA}/confirm-home"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    bridge.settle().await;
    bridge.wait_for(HOUR).await;
    assert_eq!(told(&bridge, ADA).await, before + 1, "it goes on");
    bridge.finish().await;
}

#[tokio::test]
async fn g9_a_letter_that_waits_when_the_conflict_begins_waits_on() {
    let bridge = Setup::demo().start().await;
    let busy = json!({ "kind": "reply", "at": "rcpt", "code": 451 });
    bridge.fault("smtp", json!({ "times": null }), busy).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    let eve = bridge.add("birch", EVE).await;
    let path = format!("/organizations/birch/crm-users/{eve}");
    bridge.patch(&path, &json!({ "email": BO })).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    bridge.clear_faults().await;
    bridge.wait_for(DAY).await;
    assert!(bridge.mails(BO).await.is_empty(), "no letter while nobody knows whose it is");
    bridge.patch(&path, &json!({ "email": EVE })).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.wait_for(HOUR * 2).await;
    assert_eq!(bridge.mails(BO).await.len(), 1, "the letter was not lost");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn g12_a_quarantined_organization_reminds_and_expires_nobody() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    broken(&bridge, "crm.users.list", 401).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    let notices = bridge.mails(IT).await.len();
    bridge.wait_for(DAY * 30).await;
    let row = bridge.membership("birch", BO).await;
    assert_eq!((row["state"].as_str(), bridge.mails(BO).await.len()), (Some("invited"), 1));
    assert_eq!(bridge.notices(" wait since ").await, 0, "{notices}");
    bridge.clear_faults().await;
    bridge.run_over("birch").await;
    bridge.wait_for(HOUR).await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "expired");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn who_is_overdue_is_named() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.wait_for(DAY * 2).await;
    let text = notice(&bridge, " wait since ").await;
    assert!(text.contains(&format!("<{BO}>")), "{text}");
    bridge.finish().await;
}

#[tokio::test]
async fn r16_a_downgrade_within_the_first_hour_is_no_baseline() {
    let bridge = Setup::demo().start().await;
    bridge.live_for(Duration::from_mins(1)).await;
    bridge.paid_type("birch", "free").await;
    bridge.poll("birch").await;
    bridge.poll("birch").await;
    assert_eq!(bridge.organization("birch").await["subscription"], "downgraded");
    bridge.finish().await;

    // A webhook was faster than the first read.
    let bridge = Setup::demo().start().await;
    bridge.paid_type("birch", "free").await;
    bridge.plan_event("birch", "plan.downgraded").await;
    for _ in 0..3 {
        bridge.poll("birch").await;
    }
    assert_eq!(bridge.organization("birch").await["subscription"], "downgraded");
    bridge.finish().await;
}

#[tokio::test]
async fn r16_a_changed_plan_is_weighed_by_its_name() {
    let types = "crmplus_paid_types = [\"crmplus\", \"crmplus_annual\"]";
    let bridge = Setup::demo().with("birch", types).start().await;
    for (to, state) in [("free", "downgraded"), ("crmplus_annual", "active")] {
        let mut event = bridge.event("plan.changed", "birch", "");
        event["data"] = json!({ "plan": { "from": "something", "to": to } });
        assert_eq!(bridge.webhook("crmplus", &event).await.body["status"], "accepted");
        assert_eq!(bridge.organization("birch").await["subscription"], state, "{to}");
        bridge.settle().await;
        bridge.clock.advance(HOUR);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn r50_the_bot_of_the_home_brings_the_notice_whatever_the_address() {
    // Di is at home in Acme by her account, not by her address.
    let di = "
[[people]]
email      = \"di@elsewhere.example\"
first_name = \"Di\"
last_name  = \"Foss\"
zuid       = \"163316111\"
home       = \"acme\"

[[subscribers]]
organization = \"acme\"
bot          = \"bridge\"
email        = \"di@elsewhere.example\"
";
    let bridge = Setup::demo().people(di).start().await;
    bridge.run_over("acme").await;
    bridge.added("birch", "di@elsewhere.example").await;
    bridge.settle().await;
    let messages = bridge.sandbox("/bots").await;
    let by: Vec<&str> =
        rows(&messages).filter_map(|message| message["organization"].as_str()).collect();
    assert_eq!(by, ["acme"], "{messages}");
    bridge.finish().await;
}

#[tokio::test]
async fn g5_the_cooldown_can_be_set() {
    let bridge = Setup::demo()
        .with("invitations", "readd_cooldown = \"1h\"")
        .with("guard", "grace = \"1h\"\nremove_after = \"1h\"")
        .start()
        .await;
    let ids = bridge.joined(&[BO]).await;
    bridge.crm_delete(&ids[0]).await;
    for _ in 0..4 {
        bridge.run_over("birch").await;
        bridge.settle().await;
        bridge.clock.advance(Duration::from_mins(61));
    }
    assert_eq!(bridge.state(BO).await, "removed");
    let removed = bridge.mails(BO).await.len();
    bridge.clock.advance(HOUR * 2);
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), removed + 1, "an hour is over");
    bridge.finish_with_leftovers("the invitation is open").await;
}

#[tokio::test]
async fn one_click_ends_the_reminders_and_leaves_the_invitation_open() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.wait_for(DAY * 2 + HOUR).await;
    let mails = bridge.mails(BO).await;
    let [first, reminder] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(first.0["headers"].get("list-unsubscribe").is_none(), "the first is asked for");
    assert_eq!(reminder.header("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let link = reminder.header("list-unsubscribe").trim_matches(['<', '>']).to_owned();
    let token = link.rsplit('/').next().unwrap();
    let url = format!("http://{}/join/{token}", bridge.public());
    for _ in 0..2 {
        let click = bridge
            .http
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("List-Unsubscribe=One-Click");
        assert_eq!(click.send().await.unwrap().status(), 200);
    }
    bridge.wait_for(DAY * 3).await;
    assert_eq!(bridge.mails(BO).await.len(), 2, "no more of them");
    assert_eq!(bridge.state(BO).await, "invited");
    assert_eq!(bridge.steps("birch", BO, "unsubscribed").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_is_excluded_gets_no_further_reminder_whether_the_scope_is_approved_or_not() {
    let nobody = "scope = { exclude = { email = [\"x@y.example\"] } }";
    let mut bridge = Setup::demo().with("birch", nobody).start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    std::fs::write(&bridge.file, text.replace("x@y.example", BO)).unwrap();
    bridge.restart().await;
    bridge.wait_for(DAY * 5).await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish_with_leftovers("the changed scope waits for its approval").await;
}

#[tokio::test]
async fn whoever_unsubscribed_gets_no_letter_when_they_are_invited_anew_and_that_is_explained() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.wait_for(DAY * 3).await;
    let mails = bridge.mails(BO).await;
    let link = mails[1].header("list-unsubscribe").trim_matches(['<', '>']).to_owned();
    let token = link.rsplit('/').next().unwrap();
    let click = bridge
        .http
        .post(format!("http://{}/join/{token}", bridge.public()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("List-Unsubscribe=One-Click");
    assert_eq!(click.send().await.unwrap().status(), 200);
    let told = bridge.admin(&format!("/explain/{BO}")).await.text;
    assert!(told.contains("somebody there unsubscribed"), "{told}");
    assert_eq!(bridge.order("birch", BO, "resend").await.status, 200);
    bridge.settle().await;
    assert_eq!((bridge.mails(BO).await.len(), bridge.state(BO).await.as_str()), (2, "invited"));
    bridge.finish().await;
}
