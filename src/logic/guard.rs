//! The removal guard: how many people may be taken away within a window before somebody has to
//! look (design section 11, "Guard").
//!
//! It counts people, each once, over removals, restrictions of leavers, channel removals and
//! cancelled invitations. Deliberately absent: additions, which have a cap of their own, and who
//! is counted; the caller knows what was queued and carried out.

use crate::domain::policy::Limits;

/// Why removals are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// More people than `guard.max_removals`.
    Number {
        /// How many it would be within the window.
        people: usize,
        /// The limit.
        max: u32,
    },
    /// More than `guard.max_percent` of those who are ours.
    Share {
        /// How many it would be within the window.
        people: usize,
        /// How many are ours.
        owned: usize,
        /// The limit, per cent.
        max: u32,
    },
    /// Everybody who is ours.
    Everybody {
        /// How many are ours.
        owned: usize,
    },
    /// What the configuration means for people has changed, and nobody has approved that.
    Unapproved,
}

impl Trip {
    /// A sentence for an administrator.
    pub fn sentence(self) -> String {
        match self {
            Self::Number { people, max } => {
                format!("{people} people would lose access within the window; the limit is {max}")
            }
            Self::Share { people, owned, max } => format!(
                "{people} of {owned} people would lose access within the window; the limit is \
                 {max} %"
            ),
            Self::Everybody { owned } => {
                format!("all {owned} people would lose access, which is never done unasked")
            }
            Self::Unapproved => {
                "the scope changed in the configuration: nobody is taken away until a \
                                 run over the organization is approved"
                    .to_owned()
            }
        }
    }
}

/// Whether `people` of `owned` may be taken away. One leaver of a small organization passes.
///
/// # Errors
/// [`Trip`] when somebody has to approve first.
pub fn check(limits: &Limits, people: usize, owned: usize) -> Result<(), Trip> {
    if people >= 2 && people >= owned {
        return Err(Trip::Everybody { owned });
    }
    if people > usize::try_from(limits.max_removals).unwrap_or(usize::MAX) {
        return Err(Trip::Number { people, max: limits.max_removals });
    }
    let percent = usize::try_from(limits.max_percent).unwrap_or(usize::MAX);
    if people >= 2 && people.saturating_mul(100) > owned.saturating_mul(percent) {
        return Err(Trip::Share { people, owned, max: limits.max_percent });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    use super::{Trip, check};
    use crate::domain::policy::Limits;

    fn limits(max_removals: u32, max_percent: u32) -> Limits {
        Limits { max_removals, max_percent, max_invites: 500, window: Duration::from_hours(24) }
    }

    #[test]
    fn one_leaver_passes_in_an_organization_of_any_size() {
        for owned in [1, 2, 3, 10_000] {
            assert_eq!(check(&limits(5, 10), 1, owned), Ok(()));
        }
        assert!(check(&limits(0, 10), 1, 100).is_err(), "zero means none");
    }

    #[test]
    fn i1_number_share_and_everybody_each_trip() {
        let five_of_ten_percent = limits(5, 10);
        assert_eq!(check(&five_of_ten_percent, 5, 50), Ok(()));
        assert_eq!(check(&five_of_ten_percent, 6, 1_000), Err(Trip::Number { people: 6, max: 5 }));
        assert_eq!(
            check(&five_of_ten_percent, 2, 19),
            Err(Trip::Share { people: 2, owned: 19, max: 10 })
        );
        assert_eq!(check(&five_of_ten_percent, 2, 20), Ok(()));
        assert_eq!(check(&limits(100, 100), 2, 2), Err(Trip::Everybody { owned: 2 }));
        assert_eq!(check(&limits(100, 100), 2, 3), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn never_more_than_the_limits_pass(
            max in 0_u32..60, percent in 0_u32..=100, people in 0_usize..120, owned in 0_usize..400
        ) {
            if check(&limits(max, percent), people, owned).is_ok() && people > 0 {
                prop_assert!(people <= usize::try_from(max).unwrap());
                if people >= 2 {
                    prop_assert!(people < owned, "never all");
                    prop_assert!(people * 100 <= owned * usize::try_from(percent).unwrap());
                }
            }
        }

        #[test]
        fn one_leaver_always_passes_unless_nobody_may(
            max in 0_u32..60, percent in 0_u32..=100, owned in 0_usize..400
        ) {
            prop_assert_eq!(check(&limits(max, percent), 1, owned).is_ok(), max > 0);
        }

        #[test]
        fn fewer_people_or_wider_limits_never_trip_what_passed(
            max in 0_u32..60, percent in 0_u32..=100, people in 0_usize..120, owned in 0_usize..400,
            fewer in 0_usize..120, more in 0_u32..60, wider in 0_u32..=100, others in 0_usize..400
        ) {
            if check(&limits(max, percent), people, owned).is_ok() {
                let fewer = people.saturating_sub(fewer);
                let wide = limits(max + more, percent + wider);
                prop_assert!(check(&limits(max, percent), fewer, owned).is_ok());
                prop_assert!(check(&wide, people, owned).is_ok());
                prop_assert!(check(&limits(max, percent), people, owned + others).is_ok());
            }
        }
    }
}
