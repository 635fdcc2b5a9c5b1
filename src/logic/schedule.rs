//! When a cron schedule is due next, in a time zone whose clocks change.
//!
//! The rules are those of Vixie's cron. A schedule that names its hours means the clock on the
//! wall: a time that the clocks skip is due when they have moved, a time that they show twice is
//! due the first time only. A schedule of every hour means intervals: it is due whenever the clock
//! shows one of its times. Each job of each organization begins a little after its tick, always the
//! same little. Deliberately absent: waiting, and what a missed tick is worth.

use std::time::Duration;

use chrono::{
    DateTime, MappedLocalTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;
use cron::{Schedule, TimeUnitSpec as _};
use sha2::{Digest as _, Sha256};

use crate::domain::Timestamp;

/// Widest change of clocks that is followed, minutes. Known ones are of 20 to 120 minutes.
const CHANGE_MAX_MINUTES: i64 = 180;

/// The part of the time between two ticks that a delay takes at most, as a divisor: a schedule of
/// every second keeps its seconds.
const DELAY_PART: u32 = 10;

/// How long after its tick a job of one organization begins. It is the same at every tick, and
/// another for every organization and job, so that forty organizations do not ask Zoho for their
/// first page in the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    most: Duration,
    /// Parts of 2^32.
    place: u32,
}

impl Delay {
    /// The delay of this job of this organization, at most `most` (`schedule.jitter`).
    pub fn of(organization: &str, job: &str, most: Duration) -> Self {
        let hash = Sha256::new().chain_update(job).chain_update([0]).chain_update(organization);
        let place =
            hash.finalize().iter().take(4).fold(0, |place, byte| place << 8 | u32::from(*byte));
        Self { most, place }
    }

    fn after(self, until_next: Duration) -> Duration {
        let most = self.most.min(until_next / DELAY_PART).as_millis();
        let millis = most.saturating_mul(u128::from(self.place)) >> 32;
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

/// When a job is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time that the expression names.
    pub tick: Timestamp,
    /// When the job begins: a little later.
    pub at: Timestamp,
}

impl Due {
    /// Up to which tick the job is served when it begins at `now`: one that was missed by days stands
    /// for all that were.
    pub fn served(self, now: Timestamp) -> Timestamp {
        now - self.at.since(self.tick)
    }
}

/// When a job is due whose ticks up to `served` have had their turn; `None` when never again.
pub fn due(schedule: &Schedule, zone: Tz, delay: Delay, served: Timestamp) -> Option<Due> {
    let tick = next(schedule, zone, served)?;
    let following = next(schedule, zone, tick);
    let until_next = following.map_or(Duration::MAX, |following| following.since(tick));
    Some(Due { tick, at: tick + delay.after(until_next) })
}

/// The first instant strictly after `after` at which `schedule` is due in `zone`; `None` when it
/// is never due again.
pub fn next(schedule: &Schedule, zone: Tz, after: Timestamp) -> Option<Timestamp> {
    let after = after.to_utc();
    let is_interval = schedule.hours().is_all();
    // The schedule is asked in wall time, which has no changes. Where the clocks change, beginning a
    // little earlier finds the times whose second showing is still to come.
    let mut wall = after.with_timezone(&zone).naive_local();
    let window = TimeDelta::minutes(CHANGE_MAX_MINUTES);
    let (before, later) = (after.checked_sub_signed(window)?, after.checked_add_signed(window)?);
    let offset = |at: &DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    if offset(&before) != offset(&later) {
        wall -= window;
    }
    let mut best: Option<DateTime<Tz>> = None;
    for candidate in schedule.after(&wall.and_utc()) {
        let (first, second) = showings(candidate.naive_utc(), zone, is_interval);
        let later = [first, second].into_iter().flatten().filter(|instant| *instant > after);
        best = best.into_iter().chain(later).min();
        // First showings never come in reverse, so nothing earlier can follow.
        if first.is_some_and(|instant| instant > after) {
            break;
        }
    }
    best.map(|instant| Timestamp(instant.timestamp_millis()))
}

/// The instants at which a wall time counts.
fn showings(
    wall: NaiveDateTime,
    zone: Tz,
    is_interval: bool,
) -> (Option<DateTime<Tz>>, Option<DateTime<Tz>>) {
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(instant) => (Some(instant), None),
        MappedLocalTime::Ambiguous(first, second) => (Some(first), is_interval.then_some(second)),
        MappedLocalTime::None if is_interval => (None, None),
        MappedLocalTime::None => (end_of_gap(wall, zone), None),
    }
}

/// The first whole minute at or after a skipped wall time that exists.
fn end_of_gap(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    let seconds = wall.and_utc().timestamp().rem_euclid(60);
    let minute = wall - TimeDelta::seconds(seconds);
    (1..=CHANGE_MAX_MINUTES).find_map(|ahead| {
        zone.from_local_datetime(&(minute + TimeDelta::minutes(ahead))).earliest()
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;
    use std::time::Duration;

    use chrono_tz::{Australia, Europe, Tz};
    use cron::Schedule;
    use proptest::prelude::*;

    use super::{Delay, due, next};
    use crate::domain::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    /// The next `count` instants after `after`, in UTC, without seconds.
    fn ticks(cron: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::from_str(cron).unwrap();
        let following = |instant: &Timestamp| next(&schedule, zone, *instant);
        let ticks = std::iter::successors(following(&at(after)), following).take(count);
        ticks.map(|tick| tick.to_rfc3339()[5..16].to_owned()).collect()
    }

    #[test]
    fn an_ordinary_day_follows_the_zone() {
        let digest = ticks("0 0 8 * * Mon-Fri", Europe::Berlin, "2026-11-27T06:00:00Z", 2);
        assert_eq!(digest, ["11-27T07:00", "11-30T07:00"]);
        let exact = ticks("0 */15 * * * *", Europe::Berlin, "2026-11-24T08:15:00Z", 1);
        assert_eq!(exact, ["11-24T08:30"], "strictly after");
        let within = ticks("0 */15 * * * *", Europe::Berlin, "2026-11-24T08:29:59.999Z", 1);
        assert_eq!(within, ["11-24T08:30"]);
    }

    // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    #[test]
    fn a_skipped_time_is_due_when_the_clocks_have_moved() {
        let daily = ticks("0 30 2 * * *", Europe::Berlin, "2026-03-27T12:00:00Z", 3);
        assert_eq!(daily, ["03-28T01:30", "03-29T01:00", "03-30T00:30"]);
        let quarter = ticks("0 */15 * * * *", Europe::Berlin, "2026-03-29T00:30:00Z", 3);
        assert_eq!(quarter, ["03-29T00:45", "03-29T01:00", "03-29T01:15"], "no tick is added");
    }

    // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    #[test]
    fn a_time_shown_twice_is_due_once_by_name_and_twice_by_interval() {
        let daily = ticks("0 30 2 * * *", Europe::Berlin, "2026-10-24T12:00:00Z", 2);
        assert_eq!(daily, ["10-25T00:30", "10-26T01:30"]);
        let quarter = ticks("0 */15 * * * *", Europe::Berlin, "2026-10-24T23:50:00Z", 10);
        let expected = [
            "00:00", "00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45", "02:00",
            "02:15",
        ];
        assert_eq!(quarter, expected.map(|time| format!("10-25T{time}")));
    }

    #[test]
    fn half_hour_changes_are_followed_too() {
        // Lord Howe, 5 April 2026: 02:00 becomes 01:30 at 15:00 UTC of the day before.
        let hourly = ticks("0 45 * * * *", Australia::Lord_Howe, "2026-04-04T14:00:00Z", 3);
        assert_eq!(hourly, ["04-04T14:45", "04-04T15:15", "04-04T16:15"]);
    }

    #[test]
    fn a_schedule_that_never_comes_has_no_next() {
        let never = Schedule::from_str("0 0 0 30 2 *").unwrap();
        assert_eq!(next(&never, Europe::Berlin, at("2026-01-01T00:00:00Z")), None);
    }

    const HALF_A_MINUTE: Duration = Duration::from_secs(30);

    #[test]
    fn forty_organizations_begin_in_many_seconds_and_each_always_in_the_same() {
        let schedule = Schedule::from_str("0 */15 * * * *").unwrap();
        let mut seconds = std::collections::BTreeSet::new();
        for number in 0..40 {
            let delay = Delay::of(&format!("org-{number}"), "reconcile", HALF_A_MINUTE);
            let due = |served| due(&schedule, Europe::Berlin, delay, served).unwrap();
            let first = due(at("2026-11-24T08:01:00Z"));
            assert_eq!(first.tick, at("2026-11-24T08:15:00Z"));
            assert!(first.at.since(first.tick) <= HALF_A_MINUTE);
            let second = due(first.served(first.at));
            assert_eq!(second.at, first.at + Duration::from_mins(15), "once a tick");
            seconds.insert(first.at.since(first.tick).as_secs());
        }
        assert!(seconds.len() >= 15, "{seconds:?}");
    }

    #[test]
    fn a_delay_is_a_tenth_of_the_interval_at_most_and_none_when_none_is_wanted() {
        let quick = Schedule::from_str("*/2 * * * * *").unwrap();
        let now = at("2026-11-24T08:00:00Z");
        let late = Delay { most: HALF_A_MINUTE, place: u32::MAX };
        let due = |delay| due(&quick, Europe::Berlin, delay, now).unwrap();
        assert_eq!(due(late).at.since(due(late).tick).as_millis(), 199);
        assert_eq!(due(late).tick, at("2026-11-24T08:00:02Z"), "the tick of now has passed");
        let none = due(Delay::of("acme", "reconcile", Duration::ZERO));
        assert_eq!(none.at, none.tick);
    }

    #[test]
    fn ticks_that_were_missed_are_one_with_any_delay() {
        let hourly = Schedule::from_str("0 0 * * * *").unwrap();
        let delay = Delay { most: HALF_A_MINUTE, place: u32::MAX };
        let due = |served| due(&hourly, Europe::Berlin, delay, served).unwrap();
        let missed = due(at("2026-11-24T08:30:00Z"));
        let next = due(missed.served(at("2026-11-26T12:20:00Z")));
        assert_eq!(next.tick, at("2026-11-26T13:00:00Z"));
        // Up again between a tick and its delay: that one still comes.
        let next = due(missed.served(at("2026-11-26T12:00:10Z")));
        assert_eq!(next.tick, at("2026-11-26T12:00:00Z"));
    }

    #[test]
    fn a_delayed_tick_is_not_lost_over_the_changes_of_clocks() {
        let daily = Schedule::from_str("0 30 2 * * *").unwrap();
        let delay = Delay { most: HALF_A_MINUTE, place: u32::MAX };
        let due = |served| due(&daily, Europe::Berlin, delay, served).unwrap();
        for (night, expected) in [
            // The gap of spring: due when the clocks have moved.
            ("2026-03-28T12:00:00Z", ["2026-03-29T01:00:29.999Z", "2026-03-30T00:30:29.999Z"]),
            // The double hour of autumn: once.
            ("2026-10-24T12:00:00Z", ["2026-10-25T00:30:29.999Z", "2026-10-26T01:30:29.999Z"]),
        ] {
            let first = due(at(night));
            let second = due(first.served(first.at));
            assert_eq!([first, second].map(|due| due.at.to_rfc3339()), expected);
        }
    }

    proptest! {
        #[test]
        fn the_next_tick_is_later_and_nothing_lies_between(
            millis in 1_767_225_600_000_i64..1_798_761_600_000,
        ) {
            let after = Timestamp(millis);
            let schedule = Schedule::from_str("0 */15 * * * *").unwrap();
            let tick = next(&schedule, Europe::Berlin, after).unwrap();
            prop_assert!(tick > after);
            // Berlin's changes are of whole hours, so intervals stay what they are.
            prop_assert_eq!(tick.millis() % 900_000, 0);
            prop_assert!(tick.since(after) <= Duration::from_mins(15));
        }
    }
}
