//! When it is an alarm that no run has come to its plan (I15).
//!
//! Four ticks in a row without one, and at least an hour; longer for an organization whose runs take
//! long. It counts over restarts: a daemon that was down is given time to catch up, once for each
//! silence. Deliberately absent: why there was none, which is the point: a run that fails in silence,
//! hangs or never begins looks the same from here.

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

/// When a silence is an alarm, were the daemon up all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    at: Timestamp,
    grace: Duration,
}

/// When the silence becomes an alarm; `None` where no run is ever due. `known_at` is when the
/// organization was first known, from which an organization without a good run counts.
pub fn due(
    reconcile: &Schedule,
    zone: Tz,
    last: Option<GoodRun>,
    known_at: Timestamp,
) -> Option<Due> {
    let since = last.map_or(known_at, |run| run.at);
    let took = last.map_or(Duration::ZERO, |run| run.took.saturating_mul(SLOWER));
    let mut tick = since;
    for _ in 0..TICKS {
        tick = schedule::next(reconcile, zone, tick)?;
    }
    Some(Due { at: tick.max(since + AT_LEAST) + took, grace: AFTER_START + took })
}

impl Due {
    /// The first start at or after this is given time: an earlier one has had it.
    pub fn counts_starts_from(self) -> Timestamp {
        self.at - self.grace
    }

    /// When it is one, given that start. Later starts are given no time of their own, so that a
    /// daemon which comes up again and again cannot silence it.
    pub fn after(self, first_start: Option<Timestamp>) -> Timestamp {
        first_start.map_or(self.at, |start| self.at.max(start + self.grace))
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;
    use std::time::Duration;

    use cron::Schedule;

    use super::{GoodRun, due};
    use crate::domain::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Minutes after which there is an alarm, of an organization known from the beginning and a daemon
    /// that starts at these minutes.
    fn alarm(cron: &str, last: Option<(u64, u64)>, starts: &[u64]) -> Option<u64> {
        let zero = Timestamp::parse("2026-11-24T08:00:00Z").unwrap();
        let after = |minutes: u64| zero + MINUTE * u32::try_from(minutes).unwrap();
        let last = last.map(|(at, took)| GoodRun {
            at: after(at),
            took: MINUTE * u32::try_from(took).unwrap(),
        });
        let schedule = Schedule::from_str(cron).unwrap();
        let due = due(&schedule, chrono_tz::UTC, last, zero)?;
        let mut starts = starts.iter().map(|at| after(*at));
        let at = due.after(starts.find(|at| *at >= due.counts_starts_from()));
        Some(at.since(zero).as_secs() / 60)
    }

    #[test]
    fn four_ticks_and_an_hour_and_what_a_run_takes() {
        let quarterly = "0 */15 * * * *";
        assert_eq!(alarm(quarterly, None, &[0]), Some(60));
        assert_eq!(alarm(quarterly, Some((7, 0)), &[0]), Some(67), "at least an hour");
        assert_eq!(alarm("0 * * * * *", Some((0, 0)), &[0]), Some(60));
        assert_eq!(alarm("0 0 * * * *", Some((5, 0)), &[0]), Some(240), "four hourly ticks");
        assert_eq!(alarm(quarterly, Some((0, 70)), &[0]), Some(200), "runs that take long");
        assert_eq!(alarm("0 0 0 1 1 * 2020", None, &[0]), None);
    }

    #[test]
    fn a_start_is_given_time_and_no_later_start_again() {
        let quarterly = "0 */15 * * * *";
        assert_eq!(alarm(quarterly, Some((0, 0)), &[5000]), Some(5015), "it was down");
        assert_eq!(alarm(quarterly, Some((0, 30)), &[5000]), Some(5075), "runs take half an hour");
        assert_eq!(alarm(quarterly, Some((0, 0)), &[5000, 5010, 5020]), Some(5015));
        assert_eq!(alarm(quarterly, Some((0, 0)), &[40, 50, 55]), Some(65), "shortly before");
        let nightly: Vec<u64> = (0..9).map(|night| night * 24 * 60 + 19 * 60 + 5).collect();
        let fourth = 3 * 24 * 60 + 19 * 60;
        assert_eq!(alarm("0 0 3 * * *", None, &nightly), Some(fourth + 20), "after each run");
    }
}
