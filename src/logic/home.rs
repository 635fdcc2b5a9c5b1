//! Where a person is at home, from what is seen of them in every organization (R1, R3, R40, G6, G9;
//! design section 11, "Identity").
//!
//! Deliberately absent: any order of organizations. A home is seen, or an address belongs to it;
//! it is never guessed.

use std::collections::BTreeSet;

use crate::domain::{Accepted, Home, OrgId};

/// What shows of a person's home now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Organizations whose last complete listing has the person as one of their own.
    pub accounts: BTreeSet<OrgId>,
    /// Organizations to whose `internal_domains` the address belongs.
    pub domains: BTreeSet<OrgId>,
}

/// Where the person is at home. `accepted` counts only while its organization is configured.
pub fn home(shown: &Shown, accepted: Option<&Accepted>) -> Home {
    if let Some(before) = accepted
        && before.seen
        && !shown.accounts.contains(&before.home)
    {
        let to: Vec<&str> = shown.accounts.iter().map(OrgId::as_str).collect();
        let to = if to.is_empty() { "elsewhere".to_owned() } else { to.join(", ") };
        return Home::Changed { from: before.home.to_string(), to };
    }
    let claims: Vec<&OrgId> = shown.accounts.union(&shown.domains).collect();
    match claims.as_slice() {
        [] => Home::Elsewhere,
        [one] => Home::At((*one).clone()),
        several => match accepted {
            Some(before)
                if before.confirmed
                    && several.contains(&&before.home)
                    && shown.accounts.iter().all(|seen| *seen == before.home) =>
            {
                Home::At(before.home.clone())
            }
            _ => Home::Claimed(several.iter().copied().cloned().collect()),
        },
    }
}

/// What is to be remembered from now on: `None` while a conflict stands, so that what was accepted
/// stays; `Some(None)` when no home is in sight.
pub fn learnt(shown: &Shown, home: &Home, accepted: Option<&Accepted>) -> Option<Option<Accepted>> {
    match home {
        Home::Elsewhere => Some(None),
        Home::At(organization) => Some(Some(Accepted {
            home: organization.clone(),
            seen: shown.accounts.contains(organization),
            confirmed: accepted
                .is_some_and(|before| before.confirmed && before.home == *organization),
        })),
        _ => None,
    }
}

/// What an operator accepts by confirming what shows now; `Err` when that is not one home.
pub fn confirmed(shown: &Shown) -> Result<Option<Accepted>, BTreeSet<OrgId>> {
    let claims = if shown.accounts.is_empty() { &shown.domains } else { &shown.accounts };
    let mut claims = claims.iter();
    match (claims.next(), claims.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => Ok(Some(Accepted {
            home: one.clone(),
            seen: shown.accounts.contains(one),
            confirmed: true,
        })),
        (Some(_), Some(_)) => Err(shown.accounts.union(&shown.domains).cloned().collect()),
    }
}

/// What it means, in a sentence for administrators.
pub fn sentence(home: &Home) -> String {
    let names = |all: &[OrgId]| all.iter().map(OrgId::as_str).collect::<Vec<_>>().join(" and ");
    match home {
        Home::Elsewhere => {
            "At home in an organization that the bridge does not see, or in none yet.".to_owned()
        }
        Home::At(organization) => format!("At home in {organization}."),
        Home::Claimed(all) => format!(
            "{} claim to be the home of this person, and there can be only one: nothing is done \
             anywhere. Remove the account that should not be, or mend `internal_domains`.",
            names(all)
        ),
        Home::Changed { from, to } => format!(
            "The home was {from} and is {to} now: nothing is done in any organization until an \
             operator confirms that (`people confirm-home`)."
        ),
        Home::TwoPersons(other) => format!(
            "{other} knows the address with another account: two persons share one address, and \
             nothing is done for either. Give one of them another address in CRM Plus."
        ),
        Home::TwoAddresses(other) => format!(
            "{other} knows the account with another address: one person has two, and nothing is \
             done for either. Make the addresses equal in CRM Plus."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, confirmed, home, learnt};
    use crate::domain::{Accepted, Home, OrgId};

    fn shown(accounts: &[&str], domains: &[&str]) -> Shown {
        let set = |ids: &[&str]| ids.iter().map(|id| OrgId::from(*id)).collect();
        Shown { accounts: set(accounts), domains: set(domains) }
    }

    fn accepted(home: &str, seen: bool, confirmed: bool) -> Accepted {
        Accepted { home: OrgId::from(home), seen, confirmed }
    }

    fn at(id: &str) -> Home {
        Home::At(OrgId::from(id))
    }

    fn changed(from: &str, to: &str) -> Home {
        Home::Changed { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn r3_one_claim_is_the_home_none_is_elsewhere_and_two_are_a_conflict() {
        assert_eq!(home(&shown(&[], &[]), None), Home::Elsewhere);
        assert_eq!(home(&shown(&["a"], &[]), None), at("a"));
        assert_eq!(home(&shown(&[], &["a"]), None), at("a"));
        assert_eq!(home(&shown(&["a"], &["a"]), None), at("a"));
        for both in [shown(&["a", "b"], &[]), shown(&["a"], &["b"]), shown(&[], &["a", "b"])] {
            let two = vec![OrgId::from("a"), OrgId::from("b")];
            assert_eq!(home(&both, None), Home::Claimed(two));
            assert_eq!(learnt(&both, &home(&both, None), None), None);
        }
    }

    #[test]
    fn g6_a_home_that_was_seen_and_is_not_any_more_waits_for_an_operator() {
        let before = accepted("a", true, false);
        assert_eq!(home(&shown(&["b"], &[]), Some(&before)), changed("a", "b"));
        assert_eq!(home(&shown(&[], &[]), Some(&before)), changed("a", "elsewhere"));
        // The address alone does not stand for the account that is gone.
        assert_eq!(home(&shown(&[], &["a"]), Some(&before)), changed("a", "elsewhere"));
        assert_eq!(home(&shown(&["a"], &[]), Some(&before)), at("a"), "back again");
    }

    #[test]
    fn what_only_the_configuration_said_may_change_with_it() {
        let before = accepted("a", false, false);
        assert_eq!(home(&shown(&[], &[]), Some(&before)), Home::Elsewhere);
        assert_eq!(home(&shown(&["b"], &[]), Some(&before)), at("b"), "learning is no change");
        let seen = shown(&["a"], &["a"]);
        let learning = learnt(&seen, &at("a"), Some(&before));
        assert_eq!(learning, Some(Some(accepted("a", true, false))));
    }

    #[test]
    fn an_operator_settles_an_account_against_a_domain_but_not_two_accounts() {
        let moved = shown(&["b"], &["a"]);
        let after = confirmed(&moved).ok().flatten();
        assert_eq!(after, Some(accepted("b", true, true)));
        assert_eq!(home(&moved, after.as_ref()), at("b"));
        assert_eq!(confirmed(&shown(&[], &[])), Ok(None));
        assert_eq!(confirmed(&shown(&[], &["a"])), Ok(Some(accepted("a", false, true))));
        assert!(confirmed(&shown(&["a", "b"], &[])).is_err());
        let third = shown(&["b", "c"], &[]);
        assert!(matches!(home(&third, after.as_ref()), Home::Claimed(_)));
    }
}
