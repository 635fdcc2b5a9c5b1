//! What happens to a row after a failure: later, parked, or given up.
//!
//! A hint goes on for ever, an action does not. Deliberately absent: whether the failure was one;
//! adapters classify (design decision 10).

use std::time::Duration;

use crate::domain::time::millis;
use crate::domain::{Disposition, Failure, Timestamp};

/// Wait after the first failure.
const BACKOFF_BASE: Duration = Duration::from_secs(5);

/// Longest wait before jitter: an operator who repaired something should not wait longer.
const BACKOFF_MAX: Duration = Duration::from_mins(15);

/// Jitter either way, thousandths of the wait, so that rows which failed together do not return
/// together.
const JITTER_PERMILLE: i64 = 200;

/// Longest wish of a vendor (`Retry-After`) that is granted; a longer one is more likely wrong.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Wait after a refusal of our credentials. The organization is quarantined meanwhile; this is how
/// soon a row looks whether that has ended.
const UNAUTHORIZED_WAIT: Duration = Duration::from_mins(5);

/// Failures after which an action is dead: waits of 21 minutes while they grow and 31 quarters of
/// an hour make a little over eight hours, a night in which nobody looked.
pub const ATTEMPTS_MAX: u32 = 40;

/// How often a row may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// Hints: they cost a read and say nothing about the person until it succeeds.
    Forever,
    /// Actions; see [`ATTEMPTS_MAX`].
    AtMost(u32),
}

/// Decides about row `row`, which had `failures_so_far` counted failures before this one.
///
/// The wait is 5 s · 2ⁿ, at most 15 min, then ±20 % by (row, n), so equal input gives equal
/// output. A vendor's own wish is granted between that wait and an hour.
pub fn disposition(
    failures_so_far: u32,
    failure: &Failure,
    now: Timestamp,
    row: i64,
    limit: Attempts,
) -> Disposition {
    match failure {
        Failure::Refused { code, .. } => Disposition::Park { code: code.clone() },
        Failure::Throttled { until, .. } => {
            Disposition::RetryAt { at: (*until).max(now), counts: false }
        }
        Failure::Unauthorized { .. } => {
            Disposition::RetryAt { at: now + UNAUTHORIZED_WAIT, counts: false }
        }
        Failure::Transient { .. } if is_last(failures_so_far, limit) => Disposition::GiveUp,
        Failure::Transient { retry_after, .. } => {
            let backoff = backoff(failures_so_far, row);
            let wait = retry_after.map_or(backoff, |wish| wish.clamp(backoff, RETRY_AFTER_MAX));
            Disposition::RetryAt { at: now + wait, counts: true }
        }
    }
}

fn is_last(failures_so_far: u32, limit: Attempts) -> bool {
    match limit {
        Attempts::Forever => false,
        Attempts::AtMost(most) => failures_so_far.saturating_add(1) >= most,
    }
}

fn backoff(failures: u32, row: i64) -> Duration {
    let doubled = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(failures));
    let wait = millis(doubled.min(BACKOFF_MAX));
    let spread = 2 * JITTER_PERMILLE + 1;
    let offset = scatter(row, failures).rem_euclid(spread) - JITTER_PERMILLE;
    Duration::from_millis(u64::try_from(wait + wait * offset / 1000).unwrap_or_default())
}

/// Neighbouring rows and counts give unrelated numbers: the finalizer of `SplitMix64`.
fn scatter(row: i64, failures: u32) -> i64 {
    let mut bits = row
        .cast_unsigned()
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(u64::from(failures).wrapping_mul(0xD1B5_4A32_D192_ED03));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31)).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{ATTEMPTS_MAX, Attempts, disposition};
    use crate::domain::{Disposition, Failure, Timestamp};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn wait(failures: u32, row: i64, retry_after: Option<u64>) -> Duration {
        let retry_after = retry_after.map(Duration::from_secs);
        let failure = Failure::Transient { detail: String::new(), retry_after };
        match disposition(failures, &failure, NOW, row, Attempts::Forever) {
            Disposition::RetryAt { at, counts: true } => at.since(NOW),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_to_a_quarter_of_an_hour() {
        for (failures, seconds) in
            [(0, 5), (1, 10), (4, 80), (7, 640), (8, 900), (31, 900), (u32::MAX, 900)]
        {
            let nominal = Duration::from_secs(seconds);
            let wait = wait(failures, 7, None);
            assert!(wait >= nominal * 4 / 5 && wait <= nominal * 6 / 5, "{failures}: {wait:?}");
        }
    }

    #[test]
    fn rows_that_failed_together_return_apart_and_repeatably() {
        let waits: std::collections::BTreeSet<_> = (0..100).map(|row| wait(8, row, None)).collect();
        assert!(waits.len() > 60, "{}", waits.len());
        assert_eq!(wait(3, 42, None), wait(3, 42, None));
    }

    #[test]
    fn a_vendors_wish_counts_between_the_backoff_and_an_hour() {
        assert_eq!(wait(0, 1, Some(60)), Duration::from_mins(1));
        assert_eq!(wait(0, 1, Some(0)), wait(0, 1, None));
        assert_eq!(wait(0, 1, Some(86_400)), Duration::from_hours(1));
    }

    #[test]
    fn the_last_attempt_gives_up_and_hints_never_do() {
        let failure = Failure::transient("connection reset");
        let at = |failures, limit| disposition(failures, &failure, NOW, 1, limit);
        let limit = Attempts::AtMost(ATTEMPTS_MAX);
        assert!(matches!(at(ATTEMPTS_MAX - 2, limit), Disposition::RetryAt { .. }));
        assert_eq!(at(ATTEMPTS_MAX - 1, limit), Disposition::GiveUp);
        assert_eq!(at(u32::MAX, limit), Disposition::GiveUp);
        assert!(matches!(at(u32::MAX, Attempts::Forever), Disposition::RetryAt { .. }));
    }

    #[test]
    fn giving_up_takes_a_little_over_eight_hours() {
        let total: Duration = (0..ATTEMPTS_MAX - 1).map(|failures| wait(failures, 9, None)).sum();
        assert!(total > Duration::from_hours(7) && total < Duration::from_hours(9), "{total:?}");
    }

    #[test]
    fn throttles_refusals_and_bad_credentials_cost_no_attempt() {
        let limit = Attempts::AtMost(1);
        let at = |failure: &Failure| disposition(0, failure, NOW, 1, limit);
        let detail = String::new;
        let until = NOW + Duration::from_mins(30);
        let throttled = Failure::Throttled { until, detail: detail() };
        assert_eq!(at(&throttled), Disposition::RetryAt { at: until, counts: false });
        let past = Failure::Throttled { until: Timestamp(0), detail: detail() };
        assert_eq!(at(&past), Disposition::RetryAt { at: NOW, counts: false });
        let denied = Failure::Unauthorized { detail: detail() };
        let soon = NOW + Duration::from_mins(5);
        assert_eq!(at(&denied), Disposition::RetryAt { at: soon, counts: false });
        let refused = Failure::Refused { code: "blocked".to_owned(), detail: detail() };
        assert_eq!(at(&refused), Disposition::Park { code: "blocked".to_owned() });
    }

    proptest! {
        #[test]
        fn every_row_waits_within_its_bounds(failures in any::<u32>(), row in any::<i64>()) {
            let wait = wait(failures, row, None);
            prop_assert!(wait >= Duration::from_secs(4) && wait <= Duration::from_mins(18));
        }
    }
}
