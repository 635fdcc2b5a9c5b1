//! A run and a webhook about the same person, in every order of their store transactions (I31).
//!
//! Whatever the order, the end is the same and nothing is written on the way that the person's
//! history does not ask for. Deliberately absent: luck.

mod effects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::people::crowd;
use super::support::traces::ADMIN;
use super::support::turns::{Actor, Orders, Taken, Turn, next};
use super::support::{Bridge, Setup};

/// The first of a crowd.
const BO: &str = "p0@partner.example";
const NEW: &str = "p0@renamed.example";

/// What passes in the world at every turn. Longer than a burst of hints is waited for.
const TURN: Duration = Duration::from_secs(1);

/// Orders that are tried at once, each with a bridge and a sandbox of its own.
const AT_ONCE: usize = 8;

/// How Bo stands before anything happens.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// Nowhere.
    Nobody,
    /// In CRM, and the bridge has not heard of it.
    Unheard,
    /// An active external user.
    Joined,
    /// Deactivated, and blocked by the bridge.
    Blocked,
}

/// What then happens in CRM.
#[derive(Clone, Copy, Debug)]
enum Change {
    Added,
    Removed,
    Deactivated,
    Activated,
    Renamed,
    /// Deleted, and added again under another id (Z14).
    Readded,
}

/// Whether the webhook about it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It does; the run may have read what was before.
    Heard,
    /// It is lost, and an earlier one is being worked off, which may have read what was before.
    Lost,
    /// It has been worked off, and what follows from it is being carried out while the run reads.
    Served,
}

struct Case {
    before: Before,
    change: Change,
    /// What the ledger may say at the end; where nothing has happened it need not know of anybody.
    ledger: &'static [&'static str],
    /// The row in Cliq at the end.
    cliq: &'static str,
    /// Everything that is done in Zoho, and every letter.
    effects: &'static [&'static str],
}

async fn patch(bridge: &Bridge, id: &str, change: Value) {
    bridge.patch(&format!("/organizations/birch/crm-users/{id}"), &change).await;
}

async fn say(bridge: &Bridge, kind: &str, id: &str) {
    let event = bridge.event(kind, "birch", id);
    assert_eq!(bridge.webhook("crmplus", &event).await.status, 200);
}

/// The world before, and Bo's id in CRM if there is one.
async fn world(before: Before) -> (Bridge, String) {
    let is_in = matches!(before, Before::Joined | Before::Blocked);
    let bridge =
        Setup::demo().people(if is_in { crowd("birch", 1, "free") } else { "" }).start().await;
    if is_in {
        bridge.adopted("birch").await;
    } else {
        bridge.run_over("birch").await;
    }
    let id = match before {
        Before::Nobody => String::new(),
        Before::Unheard => bridge.add("birch", BO).await,
        Before::Joined | Before::Blocked => {
            bridge.membership("birch", BO).await["crm_user_id"].as_str().unwrap().to_owned()
        }
    };
    if matches!(before, Before::Blocked) {
        patch(&bridge, &id, json!({ "status": "inactive" })).await;
        say(&bridge, "user.deactivated", &id).await;
        bridge.settle().await;
    }
    bridge.clock.advance(TURN);
    (bridge, id)
}

/// It happens, and is told or not.
async fn happen(bridge: &Bridge, change: Change, id: &str, news: News) {
    let path = format!("/organizations/birch/crm-users/{id}");
    let mut told = Vec::new();
    match change {
        Change::Added => told.push(("user.added", bridge.add("birch", BO).await)),
        Change::Removed => {
            bridge.delete(&path).await;
            told.push(("user.removed", id.to_owned()));
        }
        Change::Deactivated => {
            patch(bridge, id, json!({ "status": "inactive" })).await;
            told.push(("user.deactivated", id.to_owned()));
        }
        Change::Activated => {
            patch(bridge, id, json!({ "status": "active" })).await;
            told.push(("user.activated", id.to_owned()));
        }
        Change::Renamed => {
            patch(bridge, id, json!({ "email": NEW })).await;
            told.push(("user.updated", id.to_owned()));
        }
        Change::Readded => {
            bridge.delete(&path).await;
            told.push(("user.removed", id.to_owned()));
            told.push(("user.added", bridge.add("birch", BO).await));
        }
    }
    for (kind, id) in told.iter().filter(|_| news != News::Lost) {
        say(bridge, kind, id).await;
    }
}

/// The world takes a turn too.
fn its_turn() {
    tracing::trace!(target: "world::store", transaction = "the world");
}

/// The run, and the hint or what follows from it; whoever brings the change has it as the first turn.
fn actors(bridge: &Arc<Bridge>, case: &'static Case, id: &str, news: News) -> (Actor, Actor) {
    let birch = OrgId::new("birch");
    let actor = |desk: Desk, changes: bool| {
        let (bridge, id) = (Arc::clone(bridge), id.to_owned());
        Actor::new(async move {
            if changes {
                its_turn();
                happen(&bridge, case.change, &id, news).await;
                bridge.clock.advance(TURN);
            }
            bridge.step(&desk).await;
        })
    };
    let run = actor(Desk::Runs(birch.clone()), news == News::Lost);
    let other = if news == News::Served { Desk::Access(birch) } else { Desk::Hints(birch) };
    (run, actor(other, news == News::Heard))
}

/// Everything that was done since and all that the portal was asked for, in a word each.
async fn effects(bridge: &Bridge, since: usize) -> Vec<String> {
    let journal = bridge.journal().await;
    let word = |entry: &Value| match (entry["kind"].as_str(), entry["call"].as_str()) {
        (Some("mail"), _) if entry["subject"] == ADMIN => None,
        (Some("mail"), _) => Some("letter".to_owned()),
        (_, Some("portal")) | (Some("write"), _) => {
            Some(entry["detail"].as_str().unwrap_or_default().to_owned())
        }
        _ => None,
    };
    journal.0.iter().skip(since).filter_map(word).collect()
}

/// What the end looks like: the membership, the row in Cliq, and what was done.
async fn end(bridge: &Bridge, since: usize) -> (String, String) {
    let list = bridge.admin("/memberships?organization=birch").await.body;
    let mut rows: Vec<String> = Vec::new();
    for row in list["items"].as_array().unwrap() {
        rows.push(format!("{} {}", row["state"], row["email"]));
    }
    let mut shown = None;
    for email in [BO, NEW] {
        shown = shown.or(bridge.cliq_row("birch", email).await);
    }
    let shown = shown.map_or_else(|| "nobody".to_owned(), |row| row["status"].to_string());
    (rows.join(", "), format!("{shown} | {:?}", effects(bridge, since).await))
}

/// What a turn looks at and what it changes: from its transaction to the next.
struct Touch {
    looks: &'static [&'static str],
    changes: &'static [&'static str],
}

fn touch(turn: &str) -> Touch {
    let (looks, changes): (&[_], &[_]) = match turn {
        "the world" => (&[], &["zoho", "hints"]),
        // The next turn reads both sides.
        "claim run" => (&["zoho"], &["runs", "looks"]),
        "note internals" | "note listing" => (&[], &["organization"]),
        // A run then looks ahead; a hint may then list.
        "good read" => (&["zoho", "people", "organization"], &[]),
        "queue run" => (&["organization", "looks"], &["people", "hints"]),
        "note run" => (&[], &["runs"]),
        "claim hints" => (&["zoho", "people", "organization"], &["hints"]),
        "resolve" => (&["organization", "runs"], &["people", "hints", "looks"]),
        // Nobody but a run asks whether there was one.
        "note first run" => (&[], &[]),
        "note licences" => (&[], &["people"]),
        // The portal is called next.
        "claim action" => (&["people"], &["people", "zoho"]),
        "book effect" => (&["people"], &["people", "hints", "runs"]),
        other => panic!("nothing is known of {other:?}"),
    };
    Touch { looks, changes }
}

/// Whether one of two turns can tell that the other came before it.
fn see(one: &str, other: &str) -> bool {
    let (one, other) = (touch(one), touch(other));
    let meet = |changes: &[&str], touched: &Touch| {
        changes.iter().any(|what| touched.looks.contains(what) || touched.changes.contains(what))
    };
    meet(one.changes, &other) || meet(other.changes, &one)
}

/// An order that was played.
struct Played {
    taken: Vec<Taken>,
    names: Vec<String>,
    /// What the end looks like; `None` when another order is the same.
    end: Option<(String, String)>,
}

/// Plays one order.
async fn play(case: &'static Case, news: News, beginning: &[Turn]) -> Played {
    let (bridge, id) = world(case.before).await;
    let since = bridge.journal().await.0.len();
    bridge.resync(json!({ "organization": "birch" })).await;
    if news == News::Lost {
        // Something else about Bo was said before.
        say(&bridge, "user.updated", if id.is_empty() { "1" } else { &id }).await;
        bridge.clock.advance(TURN);
    }
    if news == News::Served {
        happen(&bridge, case.change, &id, news).await;
        bridge.clock.advance(TURN);
        bridge.step(&Desk::Hints(OrgId::new("birch"))).await;
        bridge.clock.advance(TURN);
    }
    let bridge = Arc::new(bridge);
    let (run, hint) = actors(&bridge, case, &id, news);
    let (mut taken, mut names) = (Vec::new(), Vec::new());
    let mut twin = false;
    loop {
        let (one, other) = (run.stands_before().await, hint.stands_before().await);
        let Some(turn) = next(beginning, &names, (one.as_deref(), other.as_deref()), see) else {
            let Some(name) = one else { break };
            // Only to come to an end.
            twin = true;
            names.push((Turn::One, name));
            run.turn().await;
            continue;
        };
        bridge.clock.advance(TURN);
        let (actor, name) = if turn.turn == Turn::One { (&run, one) } else { (&hint, other) };
        names.push((turn.turn, name.unwrap_or_default()));
        if !twin {
            taken.push(turn);
        }
        actor.turn().await;
    }
    let bridge = Arc::into_inner(bridge).expect("both actors are gone");
    let mut played = None;
    if !twin {
        bridge.settle().await;
        bridge.clock.advance(TURN);
        bridge.run_over("birch").await;
        played = Some(end(&bridge, since).await);
    }
    bridge.finish_with_leftovers("the end is compared as a whole").await;
    let names = names.into_iter().map(|(turn, name)| format!("{turn:?}: {name}")).collect();
    Played { taken, names, end: played }
}

/// Plays every order; answers how many there were.
async fn play_all(case: &'static Case, news: News) -> usize {
    let (mut orders, mut count) = (Orders::all(), 0);
    let mut ends: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    loop {
        let beginnings = orders.some(AT_ONCE);
        if beginnings.is_empty() {
            break;
        }
        let played = beginnings
            .iter()
            .map(async |beginning| (beginning.len(), play(case, news, beginning).await));
        for (beginning, played) in join_all(played).await {
            orders.tried(beginning, &played.taken);
            let Some(end) = played.end else { continue };
            ends.entry(end).or_insert(played.names);
            count += 1;
        }
    }
    let expected = format!("{} | {:?}", case.cliq, case.effects);
    ends.retain(|(ledger, end), _| !case.ledger.contains(&ledger.as_str()) || *end != expected);
    let (before, change) = (case.before, case.change);
    assert!(ends.is_empty(), "{before:?} {change:?} {news:?}: not {expected}\n{ends:#?}");
    count
}

/// Plays a case with its news heard and lost; answers how many orders there were of each.
#[expect(clippy::print_stdout, reason = "the number of orders is what the test is about")]
async fn in_every_order(case: &'static Case) -> [usize; 2] {
    let heard = play_all(case, News::Heard).await;
    let lost = play_all(case, News::Lost).await;
    println!("{:?}, then {:?}: {heard} orders heard, {lost} lost", case.before, case.change);
    [heard, lost]
}

const JOINED: &[&str] = &[r#""joined" "p0@partner.example""#];
const INVITED: &[&str] = &[r#""invited" "p0@partner.example""#];
const PENDING: &str = r#""pending""#;
const ACTIVE: &str = r#""active""#;
const ADDED: &[&str] = &["add_external: done", "letter"];

/// Somebody new is invited.
static NEWCOMER: Case = Case {
    before: Before::Nobody,
    change: Change::Added,
    ledger: INVITED,
    cliq: PENDING,
    effects: ADDED,
};

/// A member is deactivated, and restricted.
static DEACTIVATED: Case = Case {
    before: Before::Joined,
    change: Change::Deactivated,
    ledger: &[r#""restricted" "p0@partner.example""#],
    cliq: r#""inactive""#,
    effects: &["restrict: done"],
};

/// Who was blocked is activated, and restored.
static ACTIVATED: Case = Case {
    before: Before::Blocked,
    change: Change::Activated,
    ledger: JOINED,
    cliq: ACTIVE,
    effects: &["restore: done"],
};

/// Fewer orders than this are a test that has lost its turns.
const ORDERS_MIN: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_added_is_invited_once() {
    assert!(in_every_order(&NEWCOMER).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_removed_before_the_bridge_heard_of_them_is_not_invited() {
    static CASE: Case = Case {
        before: Before::Unheard,
        change: Change::Removed,
        ledger: &["", r#""wanted" "p0@partner.example""#],
        cliq: "nobody",
        effects: &[],
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_deactivated_before_the_bridge_heard_of_them_is_not_invited() {
    static CASE: Case = Case {
        before: Before::Unheard,
        change: Change::Deactivated,
        ledger: &["", r#""removed" "p0@partner.example""#],
        cliq: "nobody",
        effects: &[],
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_renamed_before_the_bridge_heard_of_them_is_invited_once() {
    static CASE: Case = Case {
        before: Before::Unheard,
        change: Change::Renamed,
        ledger: &[r#""invited" "p0@renamed.example""#],
        cliq: PENDING,
        effects: ADDED,
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_added_again_before_the_bridge_heard_of_them_is_invited_once() {
    static CASE: Case = Case {
        before: Before::Unheard,
        change: Change::Readded,
        ledger: INVITED,
        cliq: PENDING,
        effects: ADDED,
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_member_who_is_removed_stays_for_the_grace() {
    static CASE: Case = Case {
        before: Before::Joined,
        change: Change::Removed,
        ledger: JOINED,
        cliq: ACTIVE,
        effects: &[],
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_member_who_is_deactivated_is_restricted_once() {
    assert!(in_every_order(&DEACTIVATED).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_member_who_is_renamed_stays() {
    static CASE: Case = Case {
        before: Before::Joined,
        change: Change::Renamed,
        ledger: &[r#""joined" "p0@renamed.example""#],
        cliq: ACTIVE,
        effects: &[],
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_member_who_is_added_again_stays() {
    static CASE: Case = Case {
        before: Before::Joined,
        change: Change::Readded,
        ledger: JOINED,
        cliq: ACTIVE,
        effects: &[],
    };
    assert!(in_every_order(&CASE).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_who_is_activated_again_is_restored_once() {
    assert!(in_every_order(&ACTIVATED).await.into_iter().all(|orders| orders >= ORDERS_MIN));
}
