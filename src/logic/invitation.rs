//! The invitation clock: when a membership is looked at again although nothing happened (R9, G3,
//! G4; design section 11, "Order and letters").
//!
//! Deliberately absent: removals, which only complete listings decide.

use chrono::{NaiveTime, TimeDelta, TimeZone as _, Timelike as _};
use chrono_tz::Tz;

use crate::domain::Timestamp;
use crate::domain::membership::{Membership, State};
use crate::domain::policy::Timing;

/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

/// What falls due by the clock alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The reminder with this number; earlier ones that were missed are passed over.
    Remind(u32),
    /// The invitation has run out.
    Expire,
    /// The state lasts too long: the administrators should know.
    Overdue,
}

/// What falls due next, and when. `observe` says that somebody else adds people, so that waiting
/// for them can take too long as well.
pub fn next(row: &Membership, timing: &Timing, observe: bool) -> Option<(Timestamp, Due)> {
    let overdue = overdue_at(row, timing, observe).map(|at| (at, Due::Overdue));
    match row.state {
        State::Wanted if observe => overdue,
        State::Invited if row.is_owned() => {
            let at = row.invited_at?;
            let expire = (at + timing.expire_after, Due::Expire);
            let remind = reminder(row, at, timing).filter(|(due, _)| *due < expire.0);
            [Some(expire), remind, overdue].into_iter().flatten().min_by_key(|(due, _)| *due)
        }
        _ => None,
    }
}

/// When the state lasts too long, if the administrators are to be told of that and were not yet.
pub fn overdue_at(row: &Membership, timing: &Timing, observe: bool) -> Option<Timestamp> {
    let at = row.since + timing.overdue_after;
    let comes = match row.state {
        State::Wanted => observe,
        // What runs out before that is over.
        State::Invited => {
            row.is_owned() && row.invited_at.is_some_and(|sent| at < sent + timing.expire_after)
        }
        _ => false,
    };
    (comes && !row.overdue_told).then_some(at)
}

fn reminder(row: &Membership, invited_at: Timestamp, timing: &Timing) -> Option<(Timestamp, Due)> {
    let number = row.reminded + 1;
    // Whoever seems to be leaving is not asked to come.
    if number > timing.reminders || row.sends == 0 || row.suspected_at.is_some() {
        return None;
    }
    let at = invited_at + timing.remind_every * number;
    Some((after_quiet(at, &row.time_zone, timing), Due::Remind(number)))
}

/// The last reminder whose time has come by `now`: whoever was not reminded in time is not reminded
/// twice at once.
pub fn latest_reminder(row: &Membership, timing: &Timing, now: Timestamp) -> Option<u32> {
    let invited_at = row.invited_at?;
    (row.reminded + 1..=timing.reminders)
        .take_while(|number| invited_at + timing.remind_every * *number <= now)
        .last()
}

/// `at`, or the end of the person's quiet hours if it falls into them. An unknown zone is
/// `schedule.time_zone`.
pub fn after_quiet(at: Timestamp, time_zone: &str, timing: &Timing) -> Timestamp {
    let Some((from, until)) = timing.quiet_hours else { return at };
    let zone: Tz = time_zone.parse().unwrap_or(timing.time_zone);
    let local = at.to_utc().with_timezone(&zone);
    let minute = local.hour() * 60 + local.minute();
    let (quiet, next_day) = if from < until {
        ((from..until).contains(&minute), false)
    } else {
        (minute >= from || minute < until, minute >= from)
    };
    if !quiet {
        return at;
    }
    let day = local.date_naive() + TimeDelta::days(i64::from(next_day));
    let time = NaiveTime::from_num_seconds_from_midnight_opt(until % DAY_MINUTES * 60, 0);
    let end = time.and_then(|time| {
        // A time that the clocks skip: the quiet hours end an hour later by the clock on the wall.
        let wall = day.and_time(time);
        let end = zone.from_local_datetime(&wall).earliest();
        end.or_else(|| zone.from_local_datetime(&(wall + TimeDelta::hours(1))).earliest())
    });
    end.map_or(at, |end| Timestamp(end.timestamp_millis()).max(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono_tz::Europe;
    use proptest::prelude::*;

    use super::{Due, after_quiet, latest_reminder, next, overdue_at};
    use crate::domain::membership::{Membership, Origin, State};
    use crate::domain::policy::Timing;
    use crate::domain::{CrmUserId, Email, MembershipId, OrgId, Timestamp};

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn timing() -> Timing {
        Timing {
            expire_after: DAY * 7,
            signup_expire_after: DAY * 30,
            reminders: 2,
            remind_every: DAY * 2,
            overdue_after: DAY,
            readd_cooldown: DAY,
            quiet_hours: Some((20 * 60, 8 * 60)),
            time_zone: Europe::Berlin,
        }
    }

    fn invited() -> Membership {
        let at = at("2026-11-24T09:00:00Z");
        Membership {
            id: MembershipId(1),
            organization: OrgId::from("birch"),
            crm_user_id: CrmUserId::from("7"),
            zuid: None,
            cliq_id: None,
            email: Email::parse("bo@partner.example").unwrap(),
            invited_as: None,
            first_name: String::new(),
            last_name: String::new(),
            invited_by: String::new(),
            language: String::new(),
            time_zone: String::new(),
            state: State::Invited,
            origin: Origin::Made,
            external: true,
            generation: 1,
            sends: 1,
            since: at,
            invited_at: Some(at),
            join_url: None,
            suspected_at: None,
            absent_since: None,
            seen: true,
            unseen_since: None,
            reminded: 0,
            overdue_told: true,
            licence: None,
            licence_given: false,
            restricted_by_bridge: false,
            parked: None,
        }
    }

    #[test]
    fn g4_reminders_come_in_their_number_and_then_the_end() {
        let mut row = invited();
        let mut came = Vec::new();
        while let Some((due, what)) = next(&row, &timing(), false) {
            came.push((due.to_rfc3339(), what));
            match what {
                Due::Remind(number) => row.reminded = number,
                Due::Expire => row.state = State::Expired,
                Due::Overdue => row.overdue_told = true,
            }
        }
        let expected = [
            ("2026-11-26T09:00:00.000Z", Due::Remind(1)),
            ("2026-11-28T09:00:00.000Z", Due::Remind(2)),
            ("2026-12-01T09:00:00.000Z", Due::Expire),
        ];
        assert_eq!(came, expected.map(|(time, what)| (time.to_owned(), what)));
    }

    #[test]
    fn g4_missed_reminders_are_not_made_up() {
        let row = invited();
        let later = at("2026-11-29T00:00:00Z");
        assert_eq!(latest_reminder(&row, &timing(), later), Some(2));
        assert_eq!(latest_reminder(&Membership { reminded: 2, ..row }, &timing(), later), None);
    }

    #[test]
    fn what_lasts_too_long_is_told_once_and_not_of_what_runs_out_before() {
        let row = Membership { overdue_told: false, ..invited() };
        let due = Some(at("2026-11-25T09:00:00Z"));
        assert_eq!(overdue_at(&row, &timing(), false), due);
        assert_eq!(overdue_at(&invited(), &timing(), false), None);
        let short = Timing { expire_after: DAY, ..timing() };
        assert_eq!(overdue_at(&row, &short, false), None);
        // Where the portal adds people at once, nobody waits for anybody.
        let wanted = Membership { state: State::Wanted, ..row };
        assert_eq!(overdue_at(&wanted, &timing(), false), None);
        assert_eq!(overdue_at(&wanted, &timing(), true), due);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Law *mail bound*: however late the clock is looked at, and whatever its hours of quiet,
        /// no more than k reminders come, each with a number of its own, none in the quiet hours,
        /// and then the end.
        #[test]
        fn i23_reminders_are_bounded_whenever_the_clock_is_looked_at(
            reminders in 0_u32..5,
            every in 1_u64..100,
            expire in 1_u64..400,
            late in prop::collection::vec(0_u64..200, 12),
            quiet in prop::option::of((0_u32..1440, 0_u32..1440)),
            zone in prop::sample::select(vec!["", "Europe/Berlin", "Asia/Kolkata", "nowhere"]),
        ) {
            prop_assume!(quiet.is_none_or(|(from, until)| from != until));
            let hours = Duration::from_hours;
            let timing = Timing {
                reminders,
                remind_every: hours(every),
                expire_after: hours(expire),
                quiet_hours: quiet,
                ..timing()
            };
            let mut row = Membership { time_zone: zone.into(), ..invited() };
            let (mut came, mut late) = (Vec::new(), late.into_iter());
            while let Some((due, what)) = next(&row, &timing, false) {
                let now = due + hours(late.next().unwrap_or(0));
                match what {
                    Due::Remind(_) => {
                        prop_assert_eq!(after_quiet(due, zone, &timing), due, "in quiet hours");
                        let number = latest_reminder(&row, &timing, now);
                        let number = number.expect("a reminder that is due has a number");
                        prop_assert!(number > row.reminded && number <= reminders);
                        row.reminded = number;
                        came.push(number);
                    }
                    Due::Expire => row.state = State::Expired,
                    Due::Overdue => row.overdue_told = true,
                }
                prop_assert!(came.len() <= usize::try_from(reminders).unwrap());
            }
            prop_assert_eq!(row.state, State::Expired);
        }
    }

    #[test]
    fn whoever_was_there_before_is_neither_reminded_nor_expired() {
        let row = Membership { origin: Origin::Present, ..invited() };
        assert_eq!(next(&row, &timing(), true), None);
    }

    #[test]
    fn too_long_is_said_once_for_each_state() {
        let mut row = Membership { overdue_told: false, ..invited() };
        assert_eq!(next(&row, &timing(), false), Some((row.since + DAY, Due::Overdue)));
        row.state = State::Wanted;
        assert_eq!(next(&row, &timing(), true), Some((row.since + DAY, Due::Overdue)));
        assert_eq!(next(&row, &timing(), false), None, "the portal's answer is not waited for");
    }

    #[test]
    fn quiet_hours_are_the_persons_own() {
        let timing = timing();
        for (time, zone, after) in [
            ("2026-11-24T12:00:00Z", "Europe/Stockholm", "2026-11-24T12:00:00.000Z"),
            ("2026-11-24T19:30:00Z", "Europe/Stockholm", "2026-11-25T07:00:00.000Z"),
            ("2026-11-24T03:00:00Z", "nowhere/at all", "2026-11-24T07:00:00.000Z"),
            ("2026-11-24T12:00:00Z", "America/Los_Angeles", "2026-11-24T16:00:00.000Z"),
            ("2026-11-24T07:00:00Z", "Europe/Berlin", "2026-11-24T07:00:00.000Z"),
            // Clocks go forward at 02:00: 08:00 is summer time.
            ("2027-03-28T00:30:00Z", "Europe/Berlin", "2027-03-28T06:00:00.000Z"),
        ] {
            assert_eq!(after_quiet(at(time), zone, &timing).to_rfc3339(), after, "{time} {zone}");
        }
        let never = Timing { quiet_hours: None, ..timing };
        let night = at("2026-11-24T22:00:00Z");
        assert_eq!(after_quiet(night, "Europe/Berlin", &never), night);
    }
}
