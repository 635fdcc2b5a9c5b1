//! Reads what happens when: `[guard]`, `[invitations]` and `[schedule]`.
//!
//! Deliberately absent: computing an instant; `logic` does, with these values.

use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use toml::de::DeValue;

use super::address::web_url;
use super::leaf;
use super::reader::Section;
use super::sections::{Guard, Invitations, Schedule};
use super::units::DURATION_MAX;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// People; beyond this a guard guards nothing.
const PEOPLE_MAX: u32 = 1_000_000;
/// Reminders to one person; more is harassment.
const REMINDERS_MAX: u32 = 20;

const RECONCILE_DEFAULT: &str = "0 */15 * * * *";
const POLL_PLAN_DEFAULT: &str = "0 5 * * * *";
/// Once a day, when few people work and no clock change falls.
const PRUNE_DEFAULT: &str = "0 40 3 * * *";

/// How far the organizations' ticks are spread, where the file does not say.
const JITTER_DEFAULT: Duration = Duration::from_secs(30);
/// Most of it: a tick must still be known by its time.
const JITTER_MAX: Duration = Duration::from_mins(10);

/// `[guard]`
pub(super) fn read_guard(section: &Section<'_>) -> Guard {
    Guard {
        max_removals: section.or("max_removals", 5, leaf::number(0..=PEOPLE_MAX)),
        max_percent: section.or("max_percent", 10, leaf::number(0..=100)),
        max_invites: section.or("max_invites", 500, leaf::number(0..=PEOPLE_MAX)),
        window: section.or("window", DAY, leaf::duration(SECOND..=DURATION_MAX)),
        grace: section.or("grace", DAY, leaf::duration(Duration::ZERO..=DURATION_MAX)),
        remove_after: section.or(
            "remove_after",
            DAY * 7,
            leaf::duration(Duration::ZERO..=DURATION_MAX),
        ),
    }
}

/// `[invitations]`
pub(super) fn read_invitations(section: &Section<'_>) -> Invitations {
    let duration = |key, days| section.or(key, DAY * days, leaf::duration(SECOND..=DURATION_MAX));
    Invitations {
        send: section.or("send", true, leaf::flag),
        expire_after: duration("expire_after", 7),
        signup_expire_after: duration("signup_expire_after", 30),
        reminders: section.or("reminders", 2, leaf::number(0..=REMINDERS_MAX)),
        remind_every: duration("remind_every", 2),
        overdue_after: duration("overdue_after", 1),
        readd_cooldown: section.or(
            "readd_cooldown",
            DAY,
            leaf::duration(Duration::ZERO..=DURATION_MAX),
        ),
        quiet_hours: section.optional("quiet_hours", quiet_hours),
        join_url: section.optional("join_url", web_url),
    }
}

/// `HH:MM-HH:MM` as minutes after midnight; the second may be the next day's.
fn quiet_hours(value: &DeValue<'_>) -> Result<(u32, u32), String> {
    let text = leaf::text(value)?;
    let span =
        text.split_once('-').and_then(|(from, until)| Some((minutes(from)?, minutes(until)?)));
    span.filter(|(from, until)| from != until)
        .ok_or_else(|| "must be two times of day, such as \"20:00-08:00\"".to_owned())
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let plain = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(hours) || !plain(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// `[schedule]`; `None` when an expression is wrong and reported.
pub(super) fn read_schedule(section: &Section<'_>) -> Option<Schedule> {
    let cron_or = |key, default| {
        if section.has(key) {
            section.optional(key, expression)
        } else {
            cron::Schedule::from_str(default).ok()
        }
    };
    let time_zone = section.or("time_zone", Tz::UTC, time_zone);
    let reconcile = cron_or("reconcile", RECONCILE_DEFAULT);
    let poll_plan = cron_or("poll_plan", POLL_PLAN_DEFAULT);
    let digest = section.optional("digest", expression);
    let prune = cron_or("prune", PRUNE_DEFAULT);
    let jitter = section.or("jitter", JITTER_DEFAULT, leaf::duration(Duration::ZERO..=JITTER_MAX));
    Some(Schedule {
        time_zone,
        reconcile: reconcile?,
        poll_plan: poll_plan?,
        digest,
        prune: prune?,
        jitter,
    })
}

fn time_zone(value: &DeValue<'_>) -> Result<Tz, String> {
    leaf::text(value)?.parse().map_err(|_| {
        "not a time zone; write a name of the IANA list, such as \"Europe/Berlin\" or \"UTC\""
            .to_owned()
    })
}

/// A cron expression of six or seven fields, seconds first. Days of the week are names only: the
/// `cron` crate counts Sunday as 1, every other cron as 0.
fn expression(value: &DeValue<'_>) -> Result<cron::Schedule, String> {
    let text = leaf::text(value)?;
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [shorthand] if shorthand.starts_with('@') => {}
        [_, _, _, _, _] => {
            return Err(format!("has five fields, but seconds come first: write \"0 {text}\""));
        }
        [_, _, _, _, _, days] | [_, _, _, _, _, days, _] => {
            // A step ("*/2", "Mon-Fri/2") is a count, not a day.
            let days = days.split(',').map(|day| day.split('/').next().unwrap_or(day));
            if days.into_iter().any(|day| day.contains(|c: char| c.is_ascii_digit())) {
                return Err("days of the week must be names, such as \"Mon-Fri\": numbers are \
                            counted differently by every cron"
                    .to_owned());
            }
        }
        _ => {
            return Err(format!(
                "has {} fields; write six: second minute hour day month weekday, such as \
                 \"{RECONCILE_DEFAULT}\"",
                fields.len()
            ));
        }
    }
    let schedule = cron::Schedule::from_str(&text).map_err(|why| {
        let why = why.to_string();
        let why = why.lines().next_back().unwrap_or("").trim().to_owned();
        format!("not a cron expression ({why}); write one such as \"{RECONCILE_DEFAULT}\"")
    })?;
    if schedule.after(&DateTime::UNIX_EPOCH).next().is_none() {
        return Err("never comes true; check day and month".to_owned());
    }
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::{expression, quiet_hours};

    fn text(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn cron_expressions_put_seconds_first_and_name_their_days() {
        for good in ["0 */15 * * * *", "0 0 8 * * Mon-Fri", "0 0 8 * * Mon,Wed 2030", "@hourly"] {
            assert!(expression(&text(good)).is_ok(), "{good}");
        }
        let five = expression(&text("*/15 * * * *")).unwrap_err();
        assert!(five.contains("write \"0 */15 * * * *\""), "{five}");
        let numbered = expression(&text("0 0 8 * * 1-5")).unwrap_err();
        assert!(numbered.contains("Mon-Fri"), "{numbered}");
        for bad in ["", "0", "0 99 * * * *", "0 */0 * * * *", "0 0 0 30 Feb *", "a b c d e f g h"] {
            assert!(expression(&text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn quiet_hours_are_two_times_of_day() {
        assert_eq!(quiet_hours(&text("20:00-08:30")), Ok((1200, 510)));
        for bad in ["20-8", "24:00-08:00", "20:00", "20:00-20:00", "2x:00-08:00", "20:60-08:00"] {
            assert!(quiet_hours(&text(bad)).is_err(), "{bad}");
        }
    }
}
