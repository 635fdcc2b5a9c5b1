//! What goes wrong: calls that fail in every way there is, and a bridge that dies.
//!
//! Deliberately absent: faults that real time has to end (a call that hangs).

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cliqbridge::engine::Step;
use serde_json::{Value, json};

use super::super::support::Bridge;
use super::dice::Dice;

/// Longer than a burst of hints is waited for.
const BURST: Duration = Duration::from_millis(300);

const READS: [&str; 4] = ["crm.users.list", "crm.users.get", "cliq.users.list", "cliq.users.get"];

/// A directory that shows one of the organization's own people and nobody else, as if it were all.
fn short_directory() -> Value {
    json!({ "kind": "status", "status": 200, "body": {
        "data": [{ "id": "1", "zuid": "1", "email_id": "x@birch.example", "status": "active",
                   "organization_id": "745120981" }], "has_more": false,
    }})
}

/// Asks for up to this many faults.
pub async fn faults(bridge: &Bridge, dice: &mut Dice, most: usize) {
    for _ in 0..dice.below(most + 1) {
        let (call, fault) = one(dice);
        let mut more = json!({ "times": 1 + dice.below(4), "skip": dice.below(6) });
        if call != "smtp" && dice.percent(70) {
            more["organization"] = dice.of(&super::people::ORGANIZATIONS).into();
        }
        bridge.fault(call, more, fault).await;
    }
}

fn one(dice: &mut Dice) -> (&'static str, Value) {
    let read = dice.of(&READS);
    let list = dice.of(&["crm.users.list", "cliq.users.list"]);
    let any = dice.of(&["portal", "portal", "crm.users.list", "cliq.users.list", "cliq.users.get"]);
    let seconds = dice.of(&[1, 30, 600]);
    match dice.below(14) {
        0 => (any, json!({ "kind": "status", "status": dice.of(&[500, 502, 503]) })),
        1 => (any, json!({ "kind": "throttle", "retry_after_s": seconds })),
        2 | 3 => ("portal", json!({ "kind": "apply_then_drop" })),
        4 => (any, json!({ "kind": "cut_body" })),
        5 => (any, json!({ "kind": "drop" })),
        6 => (list, json!({ "kind": dice.of(&["duplicate_page", "missing_page"]) })),
        7 => ("crm.users.list", json!({ "kind": "status", "status": 204 })),
        8 => ("cliq.users.list", short_directory()),
        9 => (read, json!({ "kind": "ok_with_error", "code": "INTERNAL_ERROR" })),
        10 => (read, json!({ "kind": "stale_token" })),
        11 => (list, json!({ "kind": "status", "status": dice.of(&[401, 403, 404]) })),
        12 => ("smtp", json!({ "kind": dice.of(&["drop", "apply_then_drop"]) })),
        _ => {
            let code = dice.of(&[421, 451, 451, 550]);
            ("smtp", json!({ "kind": "reply", "at": dice.of(&["rcpt", "data"]), "code": code }))
        }
    }
}

/// Polls a future this often and then gives it up, as a death would.
async fn only_so_far<F: Future>(future: F, mut polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        polls = polls.saturating_sub(1);
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Some steps of work, the last of them broken off somewhere; then the bridge starts again.
pub async fn die_at_work(bridge: &mut Bridge, dice: &mut Dice) {
    bridge.clock.advance(BURST);
    let desks = bridge.running().engine.desks();
    for _ in 0..dice.below(60) {
        let desk = &desks[dice.below(desks.len())];
        if bridge.step(desk).await == Step::Worked && dice.percent(70) {
            // Where there is work there is more: a death in the middle of nothing proves little.
            only_so_far(bridge.step(desk), 1 + dice.below(12)).await;
        }
    }
    let desk = &desks[dice.below(desks.len())];
    only_so_far(bridge.step(desk), 1 + dice.below(30)).await;
    bridge.restart().await;
}
