//! Durations ("30s", "5m", "12h", "7d") and sizes ("256 KiB", "4096") as an operator writes them.
//!
//! Deliberately absent: fractions, compound forms ("1h30m") and decimal units; each value has one
//! way to be written.

use std::time::Duration;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Longest duration accepted: ten years. Longer is a slip of the unit, and would overflow dates.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(3650 * DAY_SECONDS);

/// Reads a whole number with one unit.
///
/// # Errors
/// What to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || "not a duration; write a whole number and s, m, h or d, such as \"5m\"".to_owned();
    let split = text.len() - text.chars().last().map_or(0, char::len_utf8);
    let (digits, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY_SECONDS,
        _ => return Err(wrong()),
    };
    let seconds = whole(digits).ok_or_else(wrong)?.checked_mul(seconds);
    let duration = Duration::from_secs(seconds.unwrap_or(u64::MAX));
    if duration > DURATION_MAX {
        return Err("too long; at most ten years (\"3650d\")".to_owned());
    }
    Ok(duration)
}

/// A duration in its largest whole unit, as the file would hold it.
pub(super) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(DAY_SECONDS, "d"), (60 * 60, "h"), (60, "m")];
    let fits = |(size, _): &(u64, &str)| seconds > 0 && seconds.is_multiple_of(*size);
    let (size, unit) = units.into_iter().find(fits).unwrap_or((1, "s"));
    format!("{}{unit}", seconds / size)
}

/// Reads a number of bytes, bare or with `KiB` or `MiB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "not a size; write bytes, KiB or MiB, such as \"256 KiB\"".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text.get(digits.len()..).map(str::trim) {
        Some("" | "B") => 1,
        Some("KiB") => 1024,
        Some("MiB") => 1024 * 1024,
        _ => return Err(wrong()),
    };
    let bytes = whole(digits).ok_or_else(wrong)?.checked_mul(factor);
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(wrong)
}

/// Digits only: no sign, no separator.
fn whole(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, show_duration, size};

    #[test]
    fn durations_are_whole_numbers_with_one_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(show_duration(Duration::ZERO), "0s");
        for text in
            ["", "5", "m", "1.5h", "-1s", "+1s", "1h30m", "5 m", "5M", "5min", "4000d", "5µ"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("99999999999999999999d").is_err());
        assert!(duration("18446744073709551615d").is_err());
    }

    #[test]
    fn sizes_are_bytes_kib_or_mib() {
        assert_eq!(size("256 KiB"), Ok(262_144));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(size("4096"), Ok(4096));
        for text in ["", "KiB", "1.5 MiB", "10 KB", "256 kib", "-1", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
