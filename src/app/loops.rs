//! The loops: take a step, else wait for a wake, a due time, or the end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::engine::{Desk, Engine, Step};
use crate::zoho::Account;

/// How long a worker rests after the store failed it.
const REST: Duration = Duration::from_secs(1);

/// How long a desk is left alone although nothing rang and nothing is due: a safety net, which is to
/// catch nothing.
const UNSEEN_MAX: Duration = Duration::from_hours(1);

/// How long forgetting old rows rests after the store failed it: nobody waits for it.
const PRUNE_REST: Duration = Duration::from_mins(1);

/// How long the first webhook of a burst waits for the others before its desk looks.
const GATHER: Duration = Duration::from_millis(100);

/// Store failures in a row after which a worker gives up, and the process with it: systemd's
/// restart is then the better remedy.
const FAILURES_MAX: u32 = 30;

/// How often refused requests are written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

type Tasks = JoinSet<anyhow::Result<&'static str>>;

/// Starts every worker of every desk, and the housekeeping.
pub(super) fn spawn(
    tasks: &mut Tasks,
    engine: &Engine,
    clock: &Arc<dyn Clock>,
    stop: &CancellationToken,
) {
    for desk in engine.desks() {
        for _ in 0..desk.workers() {
            tasks.spawn(work(engine.clone(), desk.clone(), Arc::clone(clock), stop.clone()));
        }
    }
    tasks.spawn(flush(engine.clone(), Arc::clone(clock), stop.clone()));
    tasks.spawn(prune(engine.clone(), Arc::clone(clock), stop.clone()));
}

/// Asks for a token where none is at hand, so that a wrong credential shows at once and not with
/// the first webhook.
pub(super) fn sign_in(tasks: &mut Tasks, accounts: Vec<Arc<Account>>, stop: &CancellationToken) {
    let stop = stop.clone();
    tasks.spawn(async move {
        for account in accounts {
            let signed_in = tokio::select! {
                () = stop.cancelled() => break,
                result = account.sign_in() => result,
            };
            if let Err(error) = signed_in {
                tracing::error!(%error, "Zoho does not give a token");
            }
        }
        Ok("sign-in")
    });
}

async fn work(
    engine: Engine,
    desk: Desk,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<&'static str> {
    let mut wakes = engine.wakes(&desk).context("a desk without a bell")?;
    let mut failures = 0;
    while !stop.is_cancelled() {
        // Looked at before the step: whatever rings while it works is not missed.
        wakes.borrow_and_update();
        let taken = async {
            if !desk.only_reads() {
                return Some(engine.step(&desk).await);
            }
            // A read that waits for a budget or a lock may be dropped: whatever it was for is
            // taken up at the next start.
            tokio::select! {
                () = stop.cancelled() => None,
                done = engine.step(&desk) => Some(done),
            }
        };
        let Some(done) = taken.await else { break };
        let next = match done {
            Ok(Step::Worked) => {
                failures = 0;
                continue;
            }
            Ok(Step::Idle(next)) => {
                failures = 0;
                next
            }
            Err(error) if failures < FAILURES_MAX => {
                failures += 1;
                tracing::error!(?desk, %error, failures, "a step failed in the store");
                Some(clock.now() + REST)
            }
            Err(error) => return Err(error).context("a worker gave up"),
        };
        let look = clock.now() + UNSEEN_MAX;
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.wait_until(next.map_or(look, |at| at.min(look))) => {}
            changed = wakes.changed() => {
                changed.context("the engine is gone")?;
                if matches!(desk, Desk::Hints(_)) {
                    gather(clock.as_ref(), &stop).await;
                }
            }
        }
    }
    Ok("worker")
}

/// A burst rings for each of its webhooks; looking once for all of them keeps the store's writer
/// free for the webhooks themselves.
async fn gather(clock: &dyn Clock, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = clock.wait_until(clock.now() + GATHER) => {}
    }
}

async fn flush(
    engine: Engine,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<&'static str> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok("housekeeping"),
            () = clock.wait_until(clock.now() + FLUSH_EVERY) => {}
        }
        if let Err(error) = engine.flush_refused().await {
            tracing::error!(%error, "refused requests were not counted");
        }
    }
}

/// Waits until then; for ever, when that never comes.
async fn until(clock: &dyn Clock, due: Option<Timestamp>) {
    match due {
        Some(due) => clock.wait_until(due).await,
        None => std::future::pending().await,
    }
}

async fn prune(
    engine: Engine,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<&'static str> {
    while !stop.is_cancelled() {
        let due = match engine.tick_prune().await {
            Ok(Step::Worked) => continue,
            Ok(Step::Idle(due)) => due,
            Err(error) => {
                tracing::error!(%error, "old rows were not forgotten");
                Some(clock.now() + PRUNE_REST)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = until(clock.as_ref(), due) => {}
        }
    }
    Ok("housekeeping")
}
