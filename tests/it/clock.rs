//! The invitation clock: reminders, expiry, quiet hours, what lasts too long; and a year of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::population;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const ADA: &str = "ada@acme.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

async fn state(bridge: &Bridge, email: &str) -> String {
    bridge.membership("birch", email).await["state"].as_str().unwrap().to_owned()
}

async fn act(bridge: &Bridge, email: &str, act: &str) {
    bridge.act(&format!("/organizations/birch/members/{email}/{act}"), &Value::Null).await;
}

#[tokio::test]
async fn g4_one_letter_two_reminders_and_then_expired() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.wait_for(DAY * 60).await;
    assert_eq!(state(&bridge, BO).await, "expired");
    let mails = bridge.mails(BO).await;
    assert_eq!(mails.len(), 3, "{mails:?}");
    let first = mails[0].header("message-id").to_owned();
    for reminder in &mails[1..] {
        assert_eq!(reminder.header("in-reply-to"), first);
        assert_ne!(reminder.header("message-id"), first);
        assert!(reminder.text().contains("/join/"), "{}", reminder.text());
    }
    assert_ne!(mails[1].header("message-id"), mails[2].header("message-id"));
    bridge.finish().await;
}

#[tokio::test]
async fn g4_a_clock_that_jumps_sixty_days_makes_nothing_up() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.clock.advance(DAY * 60);
    bridge.wait_for(HOUR).await;
    assert_eq!((state(&bridge, BO).await.as_str(), bridge.mails(BO).await.len()), ("expired", 1));
    bridge.finish().await;
}

#[tokio::test]
async fn g4_a_reminder_that_was_missed_by_days_is_one_reminder() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.clock.advance(DAY * 5);
    bridge.wait_for(HOUR).await;
    assert_eq!(bridge.mails(BO).await.len(), 2);
    bridge.wait_for(DAY * 30).await;
    assert_eq!(bridge.mails(BO).await.len(), 2, "the second was the one");
    bridge.finish().await;
}

#[tokio::test]
async fn r50_a_reminder_comes_by_bot_where_one_reaches_the_person() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", ADA).await;
    bridge.wait_for(DAY * 3).await;
    let messages = bridge.sandbox("/bots").await;
    let told = rows(&messages).filter(|message| message["bot"] == "bridge").count();
    assert_eq!((told, bridge.mails(ADA).await.len()), (2, 1), "the notice and one reminder");
    bridge.finish().await;
}

#[tokio::test]
async fn g4_reminders_and_notices_wait_out_the_persons_quiet_hours_and_the_letter_does_not() {
    // Ada lives in London. 08:00 UTC is quiet there until 10:00.
    let quiet = "quiet_hours = \"20:00-10:00\"";
    let bridge = Setup::demo().with("invitations", quiet).start().await;
    bridge.added("birch", ADA).await;
    bridge.settle_for(HOUR).await;
    let bots = async || rows(&bridge.sandbox("/bots").await).count();
    assert_eq!((bridge.mails(ADA).await.len(), bots().await), (1, 0));
    bridge.settle_for(HOUR * 2).await;
    assert_eq!(bots().await, 1, "at ten");
    bridge.wait_for(HOUR * 46).await;
    assert_eq!(bots().await, 1, "the reminder falls due at eight in the morning");
    bridge.wait_for(HOUR * 2).await;
    assert_eq!(bots().await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn r9_whoever_joins_is_not_reminded() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    act(&bridge, BO, "accept").await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.wait_for(DAY * 30).await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn g3_a_no_in_cliq_is_seen_in_two_listings_and_is_the_end_of_it() {
    let bridge = Setup::demo().with("schedule", EIGHT_HOURLY).start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    bridge.live_for(HOUR * 9).await;
    act(&bridge, BO, "decline").await;
    bridge.live_for(DAY * 60).await;
    assert_eq!(state(&bridge, BO).await, "declined");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn what_lasts_too_long_is_one_notice_for_all_and_once() {
    let bridge = Setup::demo().start().await;
    for email in [BO, "eve@partner.example"] {
        bridge.added("birch", email).await;
    }
    bridge.wait_for(DAY * 5).await;
    let notices = bridge.mails("it@bridge.example").await;
    let overdue: Vec<_> = notices.iter().filter(|mail| mail.subject().contains(" wait ")).collect();
    let [one] = overdue.as_slice() else { panic!("{notices:?}") };
    assert!(one.subject().contains("2 of birch"), "{}", one.subject());
    bridge.finish().await;
}

#[tokio::test]
async fn what_lasts_too_long_of_hundreds_is_a_few_notices_with_everybody_named_or_counted_once() {
    let bridge = Setup::demo().people(population("birch", 0, 300, None).leak()).start().await;
    bridge.run_over("birch").await;
    let adds = bridge.journal().await.times("birch", "portal");
    let spread = adds[adds.len() - 1].since(adds[0]);
    assert!(spread > Duration::from_mins(4), "one after another: {spread:?}");
    bridge.wait_for(DAY * 2).await;
    let mails = bridge.mails("it@bridge.example").await;
    let overdue: Vec<_> = mails.iter().filter(|mail| mail.subject().contains(" wait ")).collect();
    assert!((1..=3).contains(&overdue.len()), "{}", overdue.len());
    let (mut named, mut more) = (Vec::new(), 0);
    for line in overdue.iter().flat_map(|mail| mail.text().lines()) {
        if line.contains(" is invited and has not joined") {
            named.push(line.to_owned());
        } else if let Some(rest) = line.strip_prefix("and ") {
            more += rest.trim_end_matches(" more").parse::<usize>().unwrap();
        }
    }
    assert_eq!(named.len() + more, 300);
    named.sort();
    named.dedup();
    assert!(named.len() + more == 300 && named.len() <= 60, "{named:?}");
    bridge.finish_with_leftovers("they are still invited").await;
}

#[tokio::test]
async fn a_late_accept_of_an_expired_invitation_is_a_join() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.wait_for(DAY * 10).await;
    assert_eq!(state(&bridge, BO).await, "expired");
    act(&bridge, BO, "accept").await;
    bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, BO).await, "joined");
    bridge.finish().await;
}

#[tokio::test]
async fn a_tick_missed_while_down_runs_once_and_the_first_start_fires_nothing() {
    let mut bridge = Setup::demo().with("schedule", EIGHT_HOURLY).start().await;
    let listings = async |bridge: &Bridge| bridge.journal().await.calls("birch", "crm.users.list");
    bridge.live_for(Duration::from_mins(1)).await;
    assert_eq!(listings(&bridge).await, 0);
    bridge.live_for(HOUR * 9).await;
    assert_eq!(listings(&bridge).await, 1);
    bridge.stop().await;
    bridge.clock.advance(DAY * 3);
    bridge.start_again().await;
    bridge.live_for(Duration::from_mins(1)).await;
    assert_eq!(listings(&bridge).await, 2, "nine ticks were missed");
    bridge.finish().await;
}

/// Three times a day: 1,095 reconciliations of each organization in a year.
const EIGHT_HOURLY: &str = "reconcile = \"0 0 */8 * * *\"\npoll_plan = \"0 0 0 1 1 *\"";

/// Pending in Cliq before the bridge first looked: for ever, and none of its business.
const PAT: &str = "
[[people]]
email      = \"pat@partner.example\"
first_name = \"Pat\"
last_name  = \"Quist\"

[[crm_users]]
organization = \"birch\"
email        = \"pat@partner.example\"

[[cliq_users]]
organization = \"birch\"
email        = \"pat@partner.example\"
status       = \"pending\"
";

/// People of every kind that might be mailed again and again, over a year of reconciliation.
#[tokio::test]
async fn g3_g4_r9_a_thousand_reconciliations_in_a_year_send_the_bounded_number_of_mails() {
    let bridge = Setup::demo().with("schedule", EIGHT_HOURLY).people(PAT).start().await;
    let people = |kind: &str| -> Vec<String> {
        (0..3).map(|number| format!("{kind}{number}@partner.example")).collect()
    };
    let (no, never, yes, blocked) =
        (people("declines"), people("never"), people("joins"), people("blocked"));
    let refusal = json!({ "kind": "status", "status": 200,
                          "body": { "status": "refused", "code": "blocked" } });
    for email in &blocked {
        bridge.fault("portal", json!({ "organization": "birch" }), refusal.clone()).await;
        bridge.added("birch", email).await;
        bridge.settle().await;
    }
    for email in [&no, &never, &yes].into_iter().flatten() {
        bridge.added("birch", email).await;
    }
    bridge.settle().await;
    bridge.live_for(HOUR * 9).await;
    for email in &no {
        act(&bridge, email, "decline").await;
    }
    for email in &yes {
        act(&bridge, email, "accept").await;
    }
    bridge.live_for(DAY * 365).await;

    let runs = bridge.journal().await.calls("birch", "crm.users.list");
    let mut mails = 0;
    for (people, state_is, each) in [
        (&no, "declined", 1),
        (&never, "expired", 3),
        (&yes, "joined", 1),
        (&blocked, "blocked", 0),
    ] {
        for email in people {
            assert_eq!(state(&bridge, email).await, state_is, "{email}");
            let count = bridge.mails(email).await.len();
            assert_eq!(count, each, "{email}");
            mails += count;
        }
    }
    println!("{runs} reconciliations in a year: {mails} mails to 13 people");
    assert!(runs >= 1_000, "{runs}");
    assert_eq!(mails, 15);
    bridge.finish().await;
}
