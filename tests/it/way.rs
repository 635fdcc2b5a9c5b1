//! The way of one webhook: from the signed body to the external member, the letter and the notice.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::{Bridge, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";
const EVE: &str = "eve@partner.example";
const CY: &str = "778120000000433";

#[tokio::test]
async fn r8_a_person_added_in_crm_becomes_an_external_member_by_one_portal_call() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let row = bridge.cliq_row("birch", BO).await.unwrap();
    assert_eq!((&row["class"], &row["status"]), (&json!("external"), &json!("pending")));
    assert_eq!(bridge.cliq_row("acme", BO).await, None, "only where CRM has them");
    let journal = bridge.journal().await;
    let portal = journal.of("write", "portal");
    assert_eq!((portal.len(), bridge.journal().await.calls("birch", "portal")), (1, 1));
    assert!(!portal[0]["idempotency_key"].as_str().unwrap().is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn r11_joined_is_what_cliq_shows_and_nothing_else() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.act(&format!("/organizations/birch/members/{BO}/accept"), &Value::Null).await;
    bridge.resync(json!({ "organization": "birch", "user": BO })).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "joined");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r10_the_letter_says_who_invites_and_how_to_join() {
    let bridge = Setup::demo().start().await;
    let user = json!({ "email": EVE, "first_name": "Eve", "last_name": "Holt" });
    let id = bridge.add_with("birch", user).await;
    bridge.announce("birch", &id).await;
    bridge.settle().await;

    let mails = bridge.mails(EVE).await;
    let [letter] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(letter.header("to").contains(EVE), "{}", letter.header("to"));
    assert_eq!(letter.subject(), "Birch Studio invites you to Cliq as an external user");
    assert_eq!(letter.header("auto-submitted"), "auto-generated");
    assert!(letter.header("message-id").ends_with("@bridge.example>"));
    assert!(letter.header("date").contains("24 Nov 2026"), "{}", letter.header("date"));
    assert!(letter.header("content-type").starts_with("multipart/alternative"));
    assert!(letter.text().contains("Hello Eve,") && letter.html().contains("Hello Eve,"));
    let onward = bridge.membership("birch", EVE).await["join_url"].as_str().unwrap().to_owned();
    assert!(onward.ends_with("/sandbox/join/birch/eve@partner.example"), "{onward}");
    let text = letter.text();
    let join = text.lines().map(str::trim).find(|line| line.contains("/join/")).unwrap();
    assert!(join.starts_with("http://127.0.0.1"), "our own page, on a line of its own: {text}");
    assert!(letter.html().contains(&format!("href=\"{join}\"")), "{}", letter.html());
    bridge.finish().await;
}

#[tokio::test]
async fn a_subscriber_at_home_also_gets_a_bot_notice_with_a_join_button() {
    let bridge = Setup::demo().start().await;
    let ada = json!({ "email": ADA });
    let id = bridge.add_with("birch", ada).await;
    bridge.announce("birch", &id).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let messages = bridge.sandbox("/bots").await;
    let told: Vec<_> = rows(&messages).collect();
    let [notice] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&notice["organization"], &notice["bot"]), (&json!("acme"), &json!("bridge")));
    assert_eq!(notice["to"], ADA);
    assert_eq!(notice["buttons"][0]["label"], "Join");
    let join = notice["buttons"][0]["action"]["data"]["web"].as_str().unwrap();
    assert!(bridge.mails(ADA).await[0].text().contains(join), "the page of the letter");
    assert_eq!(bridge.mails(ADA).await.len(), 1, "the letter goes in any case");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r9_twenty_duplicates_and_five_resyncs_are_still_one_mail() {
    let mut bridge = Setup::demo().start().await;
    let bo = bridge.add("birch", BO).await;
    let event = bridge.event("user.added", "birch", &bo);
    for round in 0..20 {
        bridge.webhook("crmplus", &event).await;
        if round % 5 == 0 {
            bridge.settle().await;
        }
    }
    for _ in 0..5 {
        bridge.resync(json!({})).await;
        bridge.announce("birch", &bo).await;
        bridge.settle().await;
        bridge.resync(json!({ "organization": "birch", "user": bo })).await;
        bridge.settle().await;
    }
    bridge.restart().await;
    bridge.resync(json!({})).await;
    bridge.settle().await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_an_internal_person_is_untouched() {
    let bridge = Setup::demo().start().await;
    let before = bridge.sandbox("/state").await;
    for kind in ["user.added", "user.updated", "user.deactivated", "user.activated"] {
        bridge.webhook("crmplus", &bridge.event(kind, "birch", CY)).await;
        bridge.settle().await;
    }
    bridge.resync(json!({ "organization": "birch", "user": CY })).await;
    bridge.settle().await;
    assert!(bridge.journal().await.effects().is_empty());
    assert_eq!(bridge.sandbox("/state").await, before);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_an_address_of_an_internal_domain_is_internal_in_any_case_and_its_subdomains_are_not() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", "Dee@Birch.Example").await;
    bridge.added("birch", "eve@sub.birch.example").await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    let adds = journal.of("write", "portal");
    assert_eq!((adds.len(), &adds[0]["subject"]), (1, &json!("eve@sub.birch.example")));
    bridge.finish().await;
}

const DI: &str = "
[[people]]
email      = \"di@elsewhere.example\"
first_name = \"Di\"
last_name  = \"Foss\"
zuid       = \"163316111\"
home       = \"birch\"
";

#[tokio::test]
async fn g10_internal_in_the_host_by_cliqs_word_is_never_touched() {
    let bridge = Setup::demo().people(DI).start().await;
    let id = bridge.added("birch", "di@elsewhere.example").await;
    bridge.settle().await;
    bridge.resync(json!({ "organization": "birch", "user": id })).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert!(journal.effects().is_empty(), "{:#?}", journal.effects());
    assert_eq!(
        bridge.cliq_row("birch", "di@elsewhere.example").await.unwrap()["class"],
        "internal"
    );
    bridge.finish().await;
}

#[tokio::test]
async fn i13_already_invited_is_success_and_one_letter() {
    let world = "propagate = true\npropagate_after_s = 600";
    let bridge = Setup::demo().world("birch", world).start().await;
    bridge.fault("portal", json!({}), json!({ "kind": "throttle", "retry_after_s": 900 })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let journal = bridge.journal().await;
    let answers = journal.of("read", "portal");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["detail"], "add_external: already");
    assert!(journal.of("write", "portal").is_empty());
    assert_eq!(bridge.membership("birch", BO).await["origin"], "made");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn an_add_whose_answer_is_lost_is_repeated_under_the_same_key() {
    let bridge = Setup::demo().start().await;
    bridge.fault("portal", json!({ "times": 2 }), json!({ "kind": "apply_then_drop" })).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;

    let journal = bridge.journal().await;
    let calls: Vec<&Value> = journal
        .0
        .iter()
        .filter(|entry| entry["call"] == "portal" && entry["kind"] != "fault")
        .collect();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call["idempotency_key"] == calls[0]["idempotency_key"]));
    assert_eq!(journal.of("write", "portal").len(), 1, "one effect");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_portal_that_fails_for_a_while_is_tried_again_under_the_same_key() {
    let bridge = Setup::demo().world("birch", "wrap_portal = true").start().await;
    for fault in [
        json!({ "kind": "status", "status": 500 }),
        json!({ "kind": "cut_body" }),
        json!({ "kind": "status", "status": 200, "body": { "code": "success" } }),
        json!({ "kind": "status", "status": 200, "body": { "status": "refused", "code": "busy" } }),
        json!({ "kind": "drop" }),
    ] {
        bridge.fault("portal", json!({}), fault).await;
    }
    bridge.added("birch", BO).await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "portal").len(), 1);
    assert_eq!(journal.of("fault", "portal").len(), 5);
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

/// Whoever was there before the bridge first looked is not ours: no letter.
#[tokio::test]
async fn a_person_present_before_the_first_look_gets_no_letter() {
    let bridge = Setup::demo().world("birch", "propagate = true").start().await;
    bridge.add("birch", BO).await;
    bridge.clock.advance(Duration::from_secs(1));
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", BO).await["origin"], "present");
    assert!(bridge.mails(BO).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn r39_one_person_in_two_organizations_has_two_memberships_and_two_letters() {
    let bridge: Bridge = Setup::demo().start().await;
    bridge.added("acme", BO).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    for organization in ["acme", "birch"] {
        assert_eq!(bridge.membership(organization, BO).await["state"], "invited");
    }
    let mails = bridge.mails(BO).await;
    assert_eq!(mails.len(), 2);
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));
    bridge.finish().await;
}
