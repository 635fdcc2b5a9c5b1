//! What sets an organization aside, what does not, and the alarm for what fails in silence.

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const ADA: &str = "ada@acme.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Birch is frozen: said once, its hints wait without failing, Acme goes on; and the next good read
/// lets everything go.
async fn frozen_and_released(bridge: Bridge, what: &str) {
    assert!(bridge.quarantine().await["cause"].is_string(), "{what}");
    assert_eq!(bridge.organization("acme").await["quarantine"], Value::Null, "{what}");
    let before = bridge.journal().await.effects().len();
    for round in 0..3 {
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.added("acme", &format!("p{round}@partner.example")).await;
        bridge.settle_for(HOUR * 3).await;
    }
    let done = bridge.journal().await.words().split_off(before);
    assert_eq!(done.len(), 6, "{what}: three adds and letters of Acme: {done:?}");
    let told = bridge.notices("birch").await - bridge.notices("No good run").await;
    assert_eq!(told, 1, "{what}: said once");
    bridge.clear_faults().await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.quarantine().await, Value::Null, "{what}");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn g12_a_refused_listing_freezes_its_organization_and_no_other() {
    for call in ["crm.users.list", "cliq.users.list"] {
        for status in [401, 403, 404] {
            let bridge = Setup::demo().start().await;
            bridge.joined(&[BO]).await;
            bridge.answers(call, status).await;
            bridge.resync(json!({ "organization": "birch" })).await;
            bridge.settle_for(Duration::from_mins(1)).await;
            frozen_and_released(bridge, &format!("{status} of {call}")).await;
        }
    }
}

#[tokio::test]
async fn g12_a_refused_organization_freezes_it() {
    // Refused credentials may be refused for this call alone; an organization that there is not is
    // none for any.
    for (status, calls) in [
        (401, &["crm.org", "crm.users.list"][..]),
        (403, &["crm.org", "crm.users.list"]),
        (404, &["crm.org"]),
    ] {
        let bridge = Setup::demo().start().await;
        bridge.joined(&[BO]).await;
        for call in calls {
            bridge.answers(call, status).await;
        }
        let answer = bridge.admin_post("/organizations/birch/poll-plan", &Value::Null).await;
        assert_ne!(answer.status, 200, "{answer:?}");
        bridge.settle().await;
        let cause = bridge.quarantine().await;
        assert!(cause["cause"].as_str().unwrap().contains("/crm/v8/"), "{status}: {cause}");
        bridge.clear_faults().await;
        bridge.run_over("birch").await;
        assert_eq!(bridge.quarantine().await, Value::Null);
        assert_eq!(bridge.journal().await.effects().len(), 2, "the add and its letter");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn g12_an_empty_roster_freezes_and_removes_nobody() {
    let bridge = Setup::demo().start().await;
    bridge.joined(&[BO]).await;
    bridge.answers("crm.users.list", 204).await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle_for(Duration::from_mins(1)).await;
    let cause = bridge.quarantine().await;
    assert!(cause["cause"].as_str().unwrap().contains("no user at all"), "{cause}");
    frozen_and_released(bridge, "an empty roster").await;
}

#[tokio::test]
async fn g12_reads_that_go_on_failing_freeze_after_a_while() {
    let bridge = Setup::demo().start().await;
    let bo = bridge.joined(&[BO]).await.remove(0);
    bridge.answers("crm.users.get", 503).await;
    bridge.answers("crm.users.list", 503).await;
    bridge.say("user.updated", &bo).await;
    bridge.settle_for(Duration::from_mins(5)).await;
    assert_eq!(bridge.quarantine().await, Value::Null, "a hiccup is nobody's business");
    bridge.settle_for(Duration::from_mins(30)).await;
    let asked = bridge.journal().await.calls("birch", "crm.users.get");
    bridge.settle_for(HOUR * 6).await;
    let often = bridge.journal().await.calls("birch", "crm.users.get") - asked;
    assert!(often <= 3 * 4 * 7, "every quarter of an hour: {often} calls in six hours");
    let failures = bridge.admin("/status").await.body["queue"]["hints"].clone();
    assert_eq!(failures, 1, "it waits");
    frozen_and_released(bridge, "an outage").await;
}

#[tokio::test]
async fn g12_a_404_of_one_cliq_user_means_not_in_cliq() {
    let bridge = Setup::demo().start().await;
    // Ada has an account, by whose id Cliq is asked; it has never heard of her.
    bridge.added("birch", "ada@acme.example").await;
    bridge.settle().await;
    let journal = bridge.journal().await;
    let asked = journal.0.iter().find(|entry| entry["call"] == "cliq.users.get").unwrap();
    assert_eq!(asked["status"], 404, "{asked}");
    assert_eq!(bridge.quarantine().await, Value::Null);
    assert_eq!(journal.portal_writes("add_external"), 1);
    bridge.finish().await;
}

/// What Cliq may answer to one question about Bo, who is searched for, or about Ada, who is asked for by
/// her account; and who can be looked at meanwhile.
const ONE_PERSON: [(&str, u16, &str, &str); 7] = [
    ("cliq.users.list", 400, BO, ADA),
    ("cliq.users.list", 403, BO, ADA),
    ("cliq.users.list", 404, BO, ADA),
    ("cliq.users.list", 422, BO, ADA),
    ("cliq.users.get", 400, ADA, BO),
    ("cliq.users.get", 403, ADA, BO),
    ("cliq.users.get", 422, ADA, BO),
];

#[tokio::test]
async fn g12_a_refused_question_about_one_person_is_that_persons_alone() {
    for (call, status, person, other) in ONE_PERSON {
        let what = format!("{status} of {call}");
        let bridge = Setup::demo().start().await;
        let body = json!({ "code": "odd_person", "message": "m" });
        let refusal = json!({ "kind": "status", "status": status, "body": body });
        let more = json!({ "organization": "birch", "times": null });
        bridge.fault(call, more, refusal).await;
        bridge.added("birch", person).await;
        bridge.settle_for(Duration::from_mins(1)).await;
        bridge.added("birch", other).await;
        bridge.settle_for(Duration::from_mins(1)).await;
        assert_eq!(bridge.membership("birch", other).await["state"], "invited", "{what}");
        for _ in 0..6 {
            bridge.settle_for(HOUR).await;
            assert_eq!(bridge.quarantine().await, Value::Null, "{what}");
        }
        assert_eq!(bridge.admin("/status").await.body["queue"]["hints"], 1, "{what}: it waits");
        let asked = bridge.journal().await.calls("birch", call);
        assert!((20..40).contains(&asked), "{what}: backs off to a quarter of an hour: {asked}");

        let mails = bridge.mails("it@bridge.example").await;
        let [told] = mails.as_slice() else { panic!("{what}: {mails:?}") };
        assert!(told.subject().contains("Somebody of birch"), "{what}: {}", told.subject());
        let says = ["/api/v2/users", &status.to_string(), "odd_person"];
        assert!(says.iter().all(|word| told.text().contains(word)), "{what}: {}", told.text());
        bridge.clear_faults().await;
        bridge.settle().await;
        assert_eq!(bridge.membership("birch", person).await["state"], "invited", "{what}");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn g12_credentials_that_are_refused_for_one_person_are_refused_for_all() {
    for (call, person) in [("cliq.users.list", BO), ("cliq.users.get", ADA)] {
        let bridge = Setup::demo().start().await;
        bridge.answers(call, 401).await;
        bridge.added("birch", person).await;
        bridge.settle_for(Duration::from_mins(1)).await;
        assert!(bridge.quarantine().await["cause"].is_string(), "{call}");
        bridge.clear_faults().await;
        bridge.settle().await;
        assert_eq!(bridge.quarantine().await, Value::Null, "{call}");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn i15_no_good_run_for_an_hour_is_an_alarm_said_once_for_each_silence() {
    let bridge = Setup::demo().start().await;
    bridge.live_for(HOUR).await;
    let good = bridge.organization("birch").await;
    assert_eq!((good["last_good_run"].is_string(), &good["no_good_run"]), (true, &json!(false)));
    for silence in 1..=2 {
        bridge.answers("crm.users.list", 500).await;
        bridge.live_for(Duration::from_mins(40)).await;
        assert_eq!(bridge.notices("No good run").await, silence - 1, "not yet");
        bridge.live_for(DAY).await;
        assert!(bridge.journal().await.of("fault", "crm.users.list").len() > 50, "runs fail");
        assert_eq!(bridge.notices("No good run of birch").await, silence);
        assert_eq!(bridge.organization("birch").await["no_good_run"], true);
        assert_eq!(bridge.organization("acme").await["no_good_run"], false);
        let ready = bridge.http.get(format!("http://{}/readyz", bridge.public()));
        assert_eq!(ready.send().await.unwrap().status(), 200, "an alert, not unready");
        bridge.clear_faults().await;
        bridge.live_for(HOUR).await;
        assert_eq!(bridge.organization("birch").await["no_good_run"], false);
    }
    bridge.finish().await;
}

#[tokio::test]
async fn i15_the_alarm_needs_no_run_at_all() {
    let mut bridge = Setup::demo().start().await;
    bridge.run_over("birch").await;
    // Whatever should run them hangs: neither schedules nor runs take a step.
    let clock = Desk::Clock(OrgId::new("birch"));
    bridge.clock.advance(Duration::from_mins(59));
    bridge.step(&clock).await;
    assert_eq!(bridge.organization("birch").await["no_good_run"], false);
    bridge.clock.advance(Duration::from_mins(30));
    for _ in 0..3 {
        bridge.step(&clock).await;
    }
    bridge.settle().await;
    assert_eq!(bridge.notices("No good run of birch").await, 1);

    // After a long rest the missed tick has its run before anybody is alarmed.
    bridge.clock.advance(DAY * 3);
    bridge.restart().await;
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.notices("No good run").await, 1);
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 0);
    bridge.finish().await;
}

/// Reconciles once a night.
const NIGHTLY: &str = "reconcile = \"0 0 3 * * *\"\npoll_plan = \"0 0 0 1 1 *\"";

#[tokio::test]
async fn i15_nightly_restarts_do_not_silence_the_alarm_nor_repeat_it() {
    let mut bridge = Setup::demo().with("schedule", NIGHTLY).start().await;
    // There never was a good run: the store knows only since when it knows the organization.
    bridge.answers("crm.users.list", 500).await;
    for night in 1..=12 {
        bridge.live_for(DAY).await;
        bridge.restart().await;
        let told = bridge.notices("No good run of birch").await;
        assert_eq!(told, usize::from(night >= 4), "after night {night}");
    }
    assert_eq!(bridge.organization("birch").await["no_good_run"], true);
    bridge.clear_faults().await;
    bridge.live_for(DAY).await;
    assert_eq!(bridge.organization("birch").await["no_good_run"], false);
    bridge.finish().await;
}

#[tokio::test]
async fn i15_a_start_after_a_week_is_given_time_once() {
    let mut bridge = Setup::demo().start().await;
    bridge.live_for(HOUR).await;
    bridge.stop().await;
    bridge.answers("crm.users.list", 500).await;
    bridge.clock.advance(DAY * 7);
    for start in 1..=4 {
        bridge.start_again().await;
        bridge.live_for(Duration::from_mins(6)).await;
        let told = bridge.notices("No good run of birch").await;
        assert_eq!(
            told,
            usize::from(start > 2),
            "start {start}: a quarter of an hour, not for each"
        );
        bridge.stop().await;
    }
    bridge.start_again().await;
    bridge.clear_faults().await;
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.notices("No good run of birch").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g12_a_person_who_can_be_read_ends_no_quarantine_that_a_listing_began() {
    let empty = json!({ "kind": "status", "status": 204 });
    let gone = json!({ "kind": "status", "status": 404 });
    for (call, fault) in [("crm.users.list", empty), ("cliq.users.list", gone)] {
        let bridge = Setup::demo().start().await;
        let bo = bridge.joined(&[BO]).await.remove(0);
        bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
        bridge.added("birch", "eve@partner.example").await;
        bridge.settle().await;
        let more = json!({ "organization": "birch", "times": null });
        bridge.fault(call, more, fault).await;
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.step(&Desk::Runs(OrgId::new("birch"))).await;
        bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
        let before = bridge.count().await;
        for _ in 0..6 {
            bridge.say("user.updated", &bo).await;
            bridge.settle_for(HOUR).await;
            assert!(bridge.quarantine().await["cause"].is_string(), "{call}");
        }
        assert_eq!(bridge.done_after(before).await, Vec::<String>::new(), "{call}");
        assert_eq!(bridge.notices("birch").await, 1, "{call}: said once");
        bridge.clear_faults().await;
        bridge.settle_for(HOUR).await;
        assert_eq!(bridge.quarantine().await, Value::Null, "{call}: the listing is the probe");
        bridge.run_over("birch").await;
        assert_eq!(bridge.state("eve@partner.example").await, "invited");
        bridge.finish().await;
    }
}

#[tokio::test]
async fn g12_many_people_who_cannot_be_looked_at_are_two_notices() {
    let bridge = Setup::demo().start().await;
    let more = json!({ "organization": "birch", "times": null });
    bridge.fault("cliq.users.list", more, json!({ "kind": "status", "status": 403 })).await;
    for number in 0..4 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
        bridge.settle_for(Duration::from_secs(3)).await;
    }
    bridge.settle_for(HOUR * 2).await;
    assert_eq!(bridge.notices("cannot be looked at").await, 2);
    bridge.clear_faults().await;
    bridge.settle().await;
    bridge.finish().await;
}
