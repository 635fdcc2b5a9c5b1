//! When a cron schedule is due next, in a time zone whose clocks change.
//!
//! The rules are those of Vixie's cron. A schedule that names its hours means the clock on the
//! wall: a time that the clocks skip is due when they have moved, a time that they show twice is
//! due the first time only. A schedule of every hour means intervals: it is due whenever the clock
//! shows one of its times. Deliberately absent: waiting, and what a missed tick is worth.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use cron::{Schedule, TimeUnitSpec as _};

use crate::domain::Timestamp;

/// Widest change of clocks that is followed, minutes. Known ones are of 20 to 120 minutes.
const CHANGE_MAX_MINUTES: i64 = 180;

/// The first instant strictly after `after` at which `schedule` is due in `zone`; `None` when it
/// is never due again.
pub fn next(schedule: &Schedule, zone: Tz, after: Timestamp) -> Option<Timestamp> {
    let after = after.to_utc();
    let is_interval = schedule.hours().is_all();
    // The schedule is asked in wall time, which has no changes. Beginning a little earlier finds
    // the times whose second showing is still to come.
    let wall = after
        .with_timezone(&zone)
        .naive_local()
        .checked_sub_signed(TimeDelta::minutes(CHANGE_MAX_MINUTES))?;
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

    use super::next;
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
