//! Living under systemd: ready, watchdog, the signals, and one exit reason.
//!
//! The first SIGTERM or SIGINT drains; a second ends the process at once. A task that dies takes
//! the process down, so that systemd starts a whole one again.

use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Running;
use crate::clock::Clock;
use crate::engine::Engine;

/// Exit status when a second signal ends a drain: 128 + SIGTERM, as a shell would say it.
const ENDED_AT_ONCE: i32 = 143;

/// Least time between two signs of life.
const WATCHDOG_MIN: Duration = Duration::from_millis(100);

/// The signals that end the daemon.
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Begins to listen for them; until then they end the process by themselves.
    ///
    /// # Errors
    /// When the system does not let the process listen.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened for");
        Ok(Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    /// Ends at the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Runs until a signal or a death, then stops in order.
///
/// # Errors
/// The reason, when the daemon ended by itself.
pub async fn run(
    mut running: Running,
    mut signals: Signals,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("webhooks on {}, admin on {}", running.public, running.admin)),
    ]);
    let engine = running.engine.clone();
    let reason = tokio::select! {
        () = signals.next() => None,
        error = running.broken() => Some(error),
        () = watchdog(&engine, clock) => None,
    };
    match &reason {
        None => tracing::info!("stopping: work in flight is finished first"),
        Some(error) => tracing::error!(%error, "stopping: a part of the daemon died"),
    }
    tell(&[NotifyState::Stopping]);
    tokio::select! {
        () = running.stop() => {}
        () = feed(clock) => {}
        () = signals.next() => {
            tracing::warn!("a second signal: ending at once");
            std::process::exit(ENDED_AT_ONCE);
        }
    }
    reason.map_or(Ok(()), Err)
}

/// Tells systemd three times per interval that the daemon works, each time after the store has
/// committed. Does nothing, for ever, where there is no watchdog.
async fn watchdog(engine: &Engine, clock: &dyn Clock) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    loop {
        if tokio::time::timeout(interval / 3, engine.ping()).await.is_ok_and(|ping| ping.is_ok()) {
            tell(&[NotifyState::Watchdog]);
        }
        clock.wait_until(clock.now() + (interval / 3).max(WATCHDOG_MIN)).await;
    }
}

/// Feeds the watchdog while the daemon drains: that has its own limit.
async fn feed(clock: &dyn Clock) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    loop {
        tell(&[NotifyState::Watchdog]);
        clock.wait_until(clock.now() + (interval / 3).max(WATCHDOG_MIN)).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
