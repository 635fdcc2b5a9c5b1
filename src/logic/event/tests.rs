//! Bodies as senders write them, and as nobody should.

use std::time::Duration;

use proptest::prelude::*;

use super::{Event, Malformed, Shape, duplicate_key, read, too_old};
use crate::domain::delivery::OrgRef;
use crate::domain::{CrmUserId, HintKind, Subject, Subscription, Timestamp};

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

fn native(body: &str) -> Result<Event, Malformed> {
    read(Shape::Native, JSON, body.as_bytes())
}

fn billing(body: &str) -> Result<Event, Malformed> {
    read(Shape::Billing, JSON, body.as_bytes())
}

fn state(event: &Event) -> Option<Subscription> {
    match &event.hints.first()?.subject {
        Subject::Subscription { state, .. } => Some(*state),
        _ => None,
    }
}

#[test]
fn a_user_event_is_a_hint_about_that_user() {
    let body = r#"{"event_id":"evt-1","event_type":"user.added","event_time":"2026-11-24T08:30:00+0100",
        "organization_id":"60001234","data":{"user":{"id":"4001","email":"ada@acme.example","zuid":"7"}}}"#;
    let event = native(body).unwrap();
    assert_eq!(event.event_id.as_deref(), Some("evt-1"));
    assert_eq!(event.event_time, Timestamp::parse("2026-11-24T07:30:00Z"));
    let [hint] = &event.hints[..] else { panic!("{event:?}") };
    assert_eq!(hint.organization, OrgRef::Id("60001234".to_owned()));
    let user = Subject::User { id: CrmUserId::new("4001"), kind: HintKind::Present };
    assert_eq!(hint.subject, user);
}

#[test]
fn only_leaving_words_make_an_absent_row_suspicious() {
    for (verb, kind) in [
        ("added", HintKind::Present),
        ("updated", HintKind::Present),
        ("activated", HintKind::Present),
        ("deactivated", HintKind::Leaving),
        ("removed", HintKind::Leaving),
    ] {
        let body = format!(r#"{{"event_type":"user.{verb}","data":{{"user":{{"id":1}}}}}}"#);
        let event = native(&body).unwrap();
        assert_eq!(event.hints[0].subject, Subject::User { id: CrmUserId::new("1"), kind });
        assert_eq!(event.hints[0].organization, OrgRef::Unnamed);
    }
}

#[test]
fn ids_may_be_numbers_and_names_may_be_anything() {
    let body = r#"{"event_id":18446744073709551615,"event_type":"user.updated","event_time":1700000000000,
        "organization_id":60001234,"new":{"x":[1]},"data":{"user":{"id":554023000000235011,
        "first_name":"👩🏽‍🚀 \ud83d\ude00","email":null}}}"#;
    let event = native(body).unwrap();
    assert_eq!(event.event_id.as_deref(), Some("18446744073709551615"));
    assert_eq!(event.event_time, Some(Timestamp(1_700_000_000_000)));
    let Subject::User { id, .. } = &event.hints[0].subject else { panic!() };
    assert_eq!(id.as_str(), "554023000000235011");
    // Too large for an integer: rounding would name somebody else.
    let rounded = r#"{"event_type":"user.added","data":{"user":{"id":55402300000023501112345}}}"#;
    assert_eq!(native(rounded), Err(Malformed::NoUserId));
}

#[test]
fn an_unknown_kind_is_an_event_without_hints() {
    for kind in ["user.renamed", "plan.reviewed", "payment.succeeded", "ping"] {
        let event = native(&format!(r#"{{"event_type":"{kind}"}}"#)).unwrap();
        assert!(event.hints.is_empty(), "{kind}");
    }
}

#[test]
fn what_cannot_be_read_is_malformed_with_its_cause() {
    let long = format!(r#"{{"event_type":"{}"}}"#, "x".repeat(201));
    for (body, why) in [
        ("", Malformed::NotJson),
        ("{", Malformed::NotJson),
        (r#"{"event_type":"ping"} x"#, Malformed::NotJson),
        ("[]", Malformed::NotAnObject),
        ("null", Malformed::NotAnObject),
        ("{}", Malformed::NoEventType),
        (r#"{"event_type":""}"#, Malformed::NoEventType),
        (r#"{"event_type":{"a":1}}"#, Malformed::NoEventType),
        (long.as_str(), Malformed::Field("event_type")),
        (r#"{"event_type":"a\u0000b"}"#, Malformed::Field("event_type")),
        (r#"{"event_type":"user.added"}"#, Malformed::NoUserId),
        (r#"{"event_type":"user.added","data":{"user":{"id":""}}}"#, Malformed::NoUserId),
        (r#"{"event_type":"user.added","data":{"user":{"id":" "}}}"#, Malformed::NoUserId),
        (r#"{"event_type":"user.added","data":[{"user":{"id":1}}]}"#, Malformed::NoUserId),
        (
            r#"{"event_type":"user.added","data":{"user":{"id":"../org"}}}"#,
            Malformed::Field("data.user.id"),
        ),
        (r#"{"event_type":"ping","event_time":"soon"}"#, Malformed::Field("event_time")),
    ] {
        assert_eq!(native(body), Err(why), "{body}");
    }
    assert_eq!(read(Shape::Native, JSON, b"{\"a\":\"\xff\"}"), Err(Malformed::NotJson));
}

#[test]
fn a_thousand_nested_arrays_are_refused_wherever_they_stand() {
    let nest = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(native(&nest), Err(Malformed::NotJson));
    let inside = format!(r#"{{"event_type":"ping","extra":{nest}}}"#);
    assert_eq!(native(&inside), Err(Malformed::NotJson));
    let escaped = format!(r#"{{"event_type":"subscription_created","payload":"{nest}"}}"#);
    assert_eq!(billing(&escaped), Err(Malformed::NotJson));
}

#[test]
fn of_two_equal_keys_the_last_counts() {
    let body = r#"{"event_type":"ping","event_type":"user.added","data":{"user":{"id":1,"id":2}}}"#;
    let Subject::User { id, .. } = &native(body).unwrap().hints[0].subject.clone() else {
        panic!()
    };
    assert_eq!(id.as_str(), "2");
}

#[test]
fn a_plan_event_tells_the_subscription() {
    let event = |kind: &str, plan: &str| {
        native(&format!(r#"{{"event_type":"plan.{kind}","data":{{"plan":{plan}}}}}"#)).unwrap()
    };
    for (kind, plan, expected) in [
        ("downgraded", r#"{"product":"crmplus"}"#, Subscription::Downgraded),
        ("cancelled", "{}", Subscription::Downgraded),
        ("upgraded", "null", Subscription::Active),
        ("renewed", r#"{"product":"CRMPlus"}"#, Subscription::Active),
        ("changed", r#"{"status":"Live"}"#, Subscription::Active),
        ("changed", r#"{"status":"expired"}"#, Subscription::Downgraded),
        ("changed", r#"{"to":"free"}"#, Subscription::Unknown),
    ] {
        assert_eq!(state(&event(kind, plan)), Some(expected), "{kind} {plan}");
    }
    let told = event("changed", r#"{"from":"ENT","to":"FREE","status":"live","code":7}"#);
    let Subject::Subscription { detail, .. } = &told.hints[0].subject else { panic!() };
    assert_eq!(detail, "plan.changed, code 7, from ENT, to FREE, status live");
}

#[test]
fn a_cliq_plan_event_is_only_a_notice_and_other_products_are_nothing() {
    let body = r#"{"event_type":"plan.downgraded","data":{"plan":{"product":"cliq"}}}"#;
    let event = native(body).unwrap();
    assert!(matches!(event.hints[0].subject, Subject::CliqPlan { .. }));
    let other = r#"{"event_type":"plan.downgraded","data":{"plan":{"product":"desk"}}}"#;
    assert!(native(other).unwrap().hints.is_empty());
}

#[test]
fn billing_bodies_are_read_in_every_wrapping() {
    let subscription = r#"{"subscription_id":"903","status":"live","plan":{"plan_code":"ENT"},
        "customer":{"customer_id":"77"}}"#;
    let flat = r#"{"subscription_id":903,"status":"live","plan_code":"ENT","customer_id":77}"#;
    let head = r#""event_id":"5675","event_type":"subscription_upgraded","event_time":"2016-06-05T18:28:20-0700""#;
    let quoted = serde_json::to_string(&format!(r#"{{"subscription":{flat}}}"#)).unwrap();
    let bodies = [
        format!(r#"{{{head},"data":{{"subscription":{subscription}}}}}"#),
        format!(r#"{{{head},"data":{flat}}}"#),
        format!(r#"{{{head},"payload":{quoted},"webhooks":[{{"status":"success"}}]}}"#),
        format!("{{{head},{}", &flat[1..]),
    ];
    let first = billing(&bodies[0]).unwrap();
    let expected = OrgRef::BillingCustomer {
        customer: Some("77".to_owned()),
        subscription: Some("903".to_owned()),
    };
    assert_eq!(first.hints[0].organization, expected);
    assert_eq!(first.event_time, Timestamp::parse("2016-06-06T01:28:20Z"));
    for body in &bodies[1..] {
        assert_eq!(billing(body).as_ref(), Ok(&first), "{body}");
    }
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let forms = [
        format!("JSONString={}", encode(&bodies[0])),
        format!("payload={}", encode(&bodies[1])),
        "event_id=5675&event_type=subscription_upgraded&event_time=2016-06-05T18%3A28%3A20-0700\
         &subscription_id=903&status=live&plan_code=ENT&customer_id=77"
            .to_owned(),
    ];
    for form in forms {
        let event = read(Shape::Billing, FORM, form.as_bytes());
        assert_eq!(event.as_ref(), Ok(&first), "{form}");
    }
}

#[test]
fn billing_verbs_tell_the_state_and_new_ones_leave_it_to_the_status() {
    for (verb, status, expected) in [
        ("created", "trial", Subscription::Active),
        ("activation", "", Subscription::Active),
        ("reactivated", "", Subscription::Active),
        ("downgraded", "live", Subscription::Downgraded),
        ("unpaid", "", Subscription::Downgraded),
        ("paused", "", Subscription::Downgraded),
        ("updated", "live", Subscription::Active),
        ("updated", "cancelled", Subscription::Downgraded),
        ("updated", "", Subscription::Unknown),
        ("foreseen", "expired", Subscription::Downgraded),
    ] {
        let body = format!(
            r#"{{"event_type":"subscription_{verb}","data":{{"subscription":{{"status":"{status}"}}}}}}"#
        );
        assert_eq!(state(&billing(&body).unwrap()), Some(expected), "{verb} {status}");
    }
    let bare = billing(r#"{"event_type":"subscription_cancelled"}"#).unwrap();
    assert_eq!(bare.hints[0].organization, OrgRef::Unnamed);
    assert!(billing(r#"{"event_type":"invoice_created"}"#).unwrap().hints.is_empty());
    // Not the shape of this source: a user event in Billing's clothes means nothing.
    let user = r#"{"event_type":"user.removed","data":{"user":{"id":1}}}"#;
    assert!(billing(user).unwrap().hints.is_empty());
    let dated = billing(r#"{"event_type":"subscription_paused","event_time":"24 Nov"}"#).unwrap();
    assert_eq!(dated.event_time, None);
}

#[test]
fn forms_are_welcome_from_billing_only() {
    assert!(Shape::Billing.accepts(FORM));
    assert!(!Shape::Native.accepts(FORM));
    assert!(Shape::Native.accepts(JSON) && Shape::Native.accepts(None));
    assert!(!Shape::Billing.accepts(Some("text/xml")));
}

fn dated(event_time: Option<Timestamp>) -> Event {
    Event { event_id: None, event_type: "ping".to_owned(), event_time, hints: Vec::new() }
}

#[test]
fn the_maximum_age_counts_both_ways() {
    let now = Timestamp(1_800_000_000_000);
    let hour = Duration::from_hours(1);
    let beyond = hour + Duration::from_millis(1);
    for (time, expected) in [
        (None, false),
        (Some(now), false),
        (Some(now - hour), false),
        (Some(now + hour), false),
        (Some(now - beyond), true),
        (Some(now + beyond), true),
    ] {
        assert_eq!(too_old(&dated(time), hour, now), expected, "{time:?}");
    }
}

#[test]
fn g14_a_repeat_has_the_same_key_and_nothing_else_has() {
    let with_id = |id: &str| Event { event_id: Some(id.to_owned()), ..dated(None) };
    let first = duplicate_key("crm", &with_id("1"), Some("msg_1"), &[0; 32]);
    assert_eq!(first, duplicate_key("crm", &with_id("1"), Some("msg_2"), &[1; 32]));
    let others = [
        duplicate_key("crm", &with_id("2"), None, &[0; 32]),
        duplicate_key("cr", &with_id("m1"), None, &[0; 32]),
        duplicate_key("crm", &dated(None), Some("1"), &[0; 32]),
        duplicate_key("crm", &dated(None), Some("2"), &[0; 32]),
        duplicate_key("crm", &dated(None), None, &[0; 32]),
        duplicate_key("crm", &dated(None), None, &[1; 32]),
        duplicate_key("other", &dated(None), None, &[1; 32]),
        first,
    ];
    let distinct: std::collections::BTreeSet<_> = others.iter().collect();
    assert_eq!(distinct.len(), others.len());
}

/// JSON that looks enough like an event to get past the first checks.
fn event_like() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["user.added", "plan.changed", "subscription_updated"]);
    let leaf = prop::sample::select(vec!["1", "-1.5e3", "\"a\"", "null", "true", "[]", "{}"]);
    (kind, leaf.clone(), leaf).prop_map(|(kind, id, other)| {
        format!(
            r#"{{"event_type":"{kind}","event_id":{other},"event_time":{id},"payload":{other},
            "data":{{"user":{{"id":{id}}},"plan":{other},"subscription":{other}}}}}"#
        )
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for content_type in [JSON, FORM, None] {
            let _ = read(Shape::Native, content_type, &body);
            let _ = read(Shape::NativeOrWatch, content_type, &body);
            let _ = read(Shape::Billing, content_type, &body);
        }
    }

    #[test]
    fn no_field_of_another_type_makes_the_reader_panic(body in event_like()) {
        let _ = native(&body);
        let _ = billing(&body);
    }
}
