//! Working as the daemon's loops do: a desk is looked at when its bell rang, when something falls
//! due there, and every few hours anyway.
//!
//! Deliberately absent: the schedules; a story says itself when both sides are looked at.

use std::time::Duration;

use cliqbridge::domain::Timestamp;
use cliqbridge::engine::{Desk, Step};
use tokio::sync::watch::Receiver;

use super::super::support::Bridge;

/// The safety net; the daemon's is a minute.
const LOOK_EVERY: Duration = Duration::from_hours(6);

/// Steps within one stretch; more is a desk that turns in circles.
const STEPS_MAX: usize = 100_000;

struct Watched {
    desk: Desk,
    bell: Receiver<()>,
    due: Timestamp,
}

/// All desks of a bridge that runs.
pub struct Pace(Vec<Watched>);

impl Pace {
    /// Every desk is due at once.
    pub fn of(bridge: &Bridge) -> Self {
        let engine = &bridge.running().engine;
        let mut desks = engine.desks();
        desks.retain(|desk| !matches!(desk, Desk::Schedule(_)));
        let watched = |desk: Desk| {
            let bell = engine.wakes(&desk).expect("a desk has a bell");
            Watched { desk, bell, due: bridge.now() }
        };
        Self(desks.into_iter().map(watched).collect())
    }

    /// Lets this time pass with everything at work.
    pub async fn pass(&mut self, bridge: &Bridge, time: Duration) {
        let until = bridge.now() + time;
        let mut steps = 0;
        loop {
            while self.round(bridge, &mut steps).await {}
            let due = self.0.iter().map(|watched| watched.due).min().expect("desks");
            if due > until {
                break;
            }
            bridge.clock.advance_to(due);
        }
        bridge.clock.advance_to(until);
    }

    /// Works at every desk that rang or has something due; false when none has.
    async fn round(&mut self, bridge: &Bridge, steps: &mut usize) -> bool {
        let mut any = false;
        for Watched { desk, bell, due } in &mut self.0 {
            if !bell.has_changed().expect("the engine lives") && *due > bridge.now() {
                continue;
            }
            any = true;
            loop {
                bell.borrow_and_update();
                *steps += 1;
                assert!(*steps < STEPS_MAX, "{desk:?} turns in circles");
                if let Step::Idle(next) = bridge.step(desk).await {
                    let look = bridge.now() + LOOK_EVERY;
                    *due = next.map_or(look, |next| next.min(look));
                    break;
                }
            }
        }
        any
    }
}
