//! When it is an alarm that no run has come to its plan (I15).
//!
//! Four ticks in a row without one, and at least an hour; longer for an organization whose runs take
//! long. A daemon that was down is given time to catch up. Deliberately absent: why there was none,
//! which is the point: a run that fails in silence, hangs or never begins looks the same from here.

use std::time::Duration;

use chrono_tz::Tz;
use cron::Schedule;

use super::schedule;
use crate::domain::Timestamp;

/// Ticks of `schedule.reconcile` that may pass.
const TICKS: usize = 4;

/// Shortest silence that is an alarm.
const AT_LEAST: Duration = Duration::from_hours(1);

/// No alarm so soon after a start: the tick that was missed has its run first.
const AFTER_START: Duration = Duration::from_mins(15);

/// A run may take this many times as long as the last good one did.
const SLOWER: u32 = 2;

/// The last good run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoodRun {
    /// When it came to its plan.
    pub at: Timestamp,
    /// How long that took.
    pub took: Duration,
}

/// When the silence becomes an alarm; `None` where no run is ever due.
pub fn at(
    reconcile: &Schedule,
    zone: Tz,
    last: Option<GoodRun>,
    started_at: Timestamp,
) -> Option<Timestamp> {
    let since = last.map_or(started_at, |run| run.at);
    let took = last.map_or(Duration::ZERO, |run| run.took.saturating_mul(SLOWER));
    let mut tick = since;
    for _ in 0..TICKS {
        tick = schedule::next(reconcile, zone, tick)?;
    }
    Some(tick.max(since + AT_LEAST).max(started_at + AFTER_START) + took)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;
    use std::time::Duration;

    use cron::Schedule;

    use super::{GoodRun, at};
    use crate::domain::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);

    fn alarm(cron: &str, last: Option<(u64, u64)>, started: u64) -> Option<u64> {
        let zero = Timestamp::parse("2026-11-24T08:00:00Z").unwrap();
        let after = |minutes: u64| zero + MINUTE * u32::try_from(minutes).unwrap();
        let last = last.map(|(at, took)| GoodRun {
            at: after(at),
            took: MINUTE * u32::try_from(took).unwrap(),
        });
        let schedule = Schedule::from_str(cron).unwrap();
        let at = at(&schedule, chrono_tz::UTC, last, after(started))?;
        Some(at.since(zero).as_secs() / 60)
    }

    #[test]
    fn four_ticks_and_an_hour_and_what_a_run_takes() {
        let quarterly = "0 */15 * * * *";
        assert_eq!(alarm(quarterly, None, 0), Some(60));
        assert_eq!(alarm(quarterly, Some((7, 0)), 0), Some(67), "at least an hour");
        assert_eq!(alarm("0 * * * * *", Some((0, 0)), 0), Some(60));
        assert_eq!(alarm("0 0 * * * *", Some((5, 0)), 0), Some(240), "four hourly ticks");
        assert_eq!(alarm(quarterly, Some((0, 70)), 0), Some(200), "runs that take long");
        assert_eq!(alarm(quarterly, Some((0, 0)), 5000), Some(5015), "it was down");
        assert_eq!(alarm("0 0 0 1 1 * 2020", None, 0), None);
    }
}
