//! Letters over a mail server with moods: later, twice, never, and not too many an hour.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::support::Setup;

const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";

#[tokio::test]
async fn a_letter_sent_twice_is_recognisably_one() {
    let bridge = Setup::demo().start().await;
    bridge.fault("smtp", json!({}), json!({ "kind": "apply_then_drop" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let mut mails = bridge.mails(BO).await;
    assert_eq!(mails.len(), 2, "the server had taken the first");
    for mail in &mut mails {
        assert!(mail.0["message_id"].is_string());
        mail.0["at"] = Value::Null;
    }
    assert_eq!(mails[0], mails[1], "headers, text and HTML");
    bridge.finish().await;
}

#[tokio::test]
async fn a_server_that_is_busy_gets_the_letter_later_and_once() {
    for fault in [
        json!({ "kind": "reply", "at": "rcpt", "code": 450 }),
        json!({ "kind": "reply", "at": "data", "code": 451 }),
        json!({ "kind": "drop" }),
    ] {
        let bridge = Setup::demo().start().await;
        bridge.fault("smtp", json!({ "times": 3 }), fault).await;
        let began = bridge.now();
        bridge.added("birch", BO).await;
        bridge.settle().await;
        assert_eq!(bridge.mails(BO).await.len(), 1);
        assert!(bridge.now().since(began) > Duration::from_secs(20), "three waits between");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i25_a_letter_refused_for_good_is_parked_and_the_rest_goes_on() {
    let bridge = Setup::demo().start().await;
    let refusal = json!({ "kind": "reply", "at": "rcpt", "code": 550 });
    bridge.fault("smtp", json!({}), refusal).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.added("birch", EVE).await;
    bridge.settle().await;
    assert!(bridge.mails(BO).await.is_empty());
    assert_eq!(bridge.mails(EVE).await.len(), 1);
    let queue = bridge.admin("/status").await.body["queue"].clone();
    assert_eq!((&queue["actions"]["parked"], &queue["settled"]), (&json!(1), &json!(true)));
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited", "the membership is");
    bridge.finish().await;
}

#[tokio::test]
async fn a_mail_server_that_is_down_for_a_night_and_a_day_costs_nobody_the_letter() {
    let bridge = Setup::demo().start().await;
    let busy = json!({ "kind": "reply", "at": "rcpt", "code": 450 });
    bridge.fault("smtp", json!({ "times": null }), busy).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_hours(34)).await;
    let actions = bridge.admin("/status").await.body["queue"]["actions"].clone();
    assert_eq!((&actions["waiting"], &actions["dead"]), (&json!(1), &json!(0)));
    bridge.clear_faults().await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_letter_is_not_sent_after_its_invitation_has_run_out() {
    let bridge = Setup::demo().with("invitations", "expire_after = \"1d\"").start().await;
    let busy = json!({ "kind": "reply", "at": "rcpt", "code": 450 });
    bridge.fault("smtp", json!({ "times": null }), busy).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_hours(25)).await;
    bridge.clear_faults().await;
    bridge.settle().await;
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn a_refused_letter_goes_out_once_an_operator_resyncs_the_person() {
    let bridge = Setup::demo().start().await;
    bridge.fault("smtp", json!({}), json!({ "kind": "reply", "at": "data", "code": 550 })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert!(bridge.mails(BO).await.is_empty());
    assert_eq!(bridge.mails("it@bridge.example").await.len(), 1, "somebody has to know");
    let id = bridge.membership("birch", BO).await["id"].as_str().unwrap().to_owned();
    let shown = bridge.admin(&format!("/memberships/{id}")).await.body;
    assert_eq!(shown["history"][0]["event"], "letter_refused", "{shown}");
    for _ in 0..2 {
        bridge.resync(json!({ "organization": "birch", "user": BO })).await;
        bridge.settle().await;
        assert_eq!(bridge.mails(BO).await.len(), 1);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn mail_per_hour_holds_letters_back_and_none_is_lost() {
    let bridge = Setup::demo().with("mail", "per_hour = 2").start().await;
    for number in 0..5 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    let sent = async || {
        let mut sent = 0;
        for number in 0..5 {
            sent += bridge.mails(&format!("p{number}@partner.example")).await.len();
        }
        sent
    };
    bridge.settle_for(Duration::from_mins(50)).await;
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 5, "only letters wait");
    assert_eq!(sent().await, 2);
    bridge.settle_for(Duration::from_hours(1)).await;
    assert_eq!(sent().await, 4);
    bridge.settle().await;
    assert_eq!(sent().await, 5);
    bridge.finish().await;
}

#[tokio::test]
async fn mail_per_hour_also_holds_for_letters_on_their_way_together() {
    let bridge = Setup::demo().with("mail", "per_hour = 2").start().await;
    bridge.fault("smtp", json!({ "times": null }), json!({ "kind": "hold" })).await;
    for number in 0..4 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
    }
    bridge.clock.advance(Duration::from_secs(1));
    bridge.step(&Desk::Hints(OrgId::new("birch"))).await;
    for _ in 0..4 {
        bridge.step(&Desk::Access(OrgId::new("birch"))).await;
    }
    // Four workers at once, as in production; the server takes its time with each.
    let letters = join_all((0..4).map(|_| bridge.step(&Desk::Letters)));
    let release = async {
        for _ in 0..200 {
            bridge.act("/release", &Value::Null).await;
        }
    };
    join(letters, release).await;
    assert_eq!(bridge.journal().await.of("mail", "smtp").len(), 2);
    bridge.clear_faults().await;
    bridge.settle().await;
    assert_eq!(bridge.journal().await.of("mail", "smtp").len(), 4);
    bridge.finish().await;
}

#[tokio::test]
async fn a_letter_that_waited_until_the_person_had_joined_is_not_sent() {
    let bridge = Setup::demo().start().await;
    let busy = json!({ "kind": "reply", "at": "rcpt", "code": 450 });
    bridge.fault("smtp", json!({}), busy).await;
    bridge.added("birch", BO).await;
    bridge.settle_for(Duration::from_secs(1)).await;
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined");
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn without_invitations_no_letter_goes() {
    let bridge = Setup::demo().with("invitations", "send = false").start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn a_strange_name_arrives_cleaned() {
    let bridge = Setup::demo().start().await;
    let user = json!({
        "email": BO,
        "first_name": "Zoë 🦊\u{202e}moc.live\r\nBcc: x@y.example",
        "last_name": "שלום https://evil.example/<b>now</b>",
    });
    let id = bridge.add_with("birch", user).await;
    bridge.announce("birch", &id).await;
    bridge.settle().await;
    let mails = bridge.mails(BO).await;
    let [letter] = mails.as_slice() else { panic!("{mails:?}") };
    let text = letter.text();
    assert!(text.contains("Hej Zoë 🦊"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains("evil.example"), "{text}");
    assert!(!letter.html().contains("<b>now"), "{}", letter.html());
    assert!(letter.0["headers"]["bcc"].is_null());
    assert!(!letter.header("to").contains("evil.example"), "{}", letter.header("to"));
    bridge.finish().await;
}
