//! Which command an operator may give in which state, and what to do instead.
//!
//! Deliberately absent: the effect; `engine::verbs` has it. Whether Cliq still shows the person as
//! external is asked at the moment of the write.

use crate::domain::access::CliqPlan;
use crate::domain::membership::{Membership, State};
use crate::domain::policy::Policy;
use crate::domain::{Licence, Verb};

/// What a command comes to before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It may be carried out.
    Go,
    /// It is so already.
    AlreadySo,
    /// It may not; the sentence says what to do instead.
    Forbidden(String),
}

/// Rules on a command. `lifted_by_us` says that the restriction in force was the bridge's or an
/// operator's, not an administrator's.
pub fn rule(verb: Verb, policy: &Policy, row: &Membership, lifted_by_us: bool) -> Ruling {
    let needs_portal = !matches!(verb, Verb::Resend | Verb::Adopt | Verb::Release);
    if needs_portal && !policy.portal_adds {
        return Ruling::Forbidden(observe(verb));
    }
    if !row.is_owned() && !matches!(verb, Verb::Adopt | Verb::Release) {
        return forbid(
            "The person was there before the bridge, so it is not the bridge's: adopt it first.",
        );
    }
    match verb {
        Verb::Adopt if row.is_owned() => Ruling::AlreadySo,
        Verb::Release if !row.is_owned() => Ruling::AlreadySo,
        Verb::Adopt | Verb::Release => Ruling::Go,
        Verb::Resend => resend(row),
        Verb::Restrict => restrict(row),
        Verb::Restore => restore(row, lifted_by_us),
        Verb::AssignLicence | Verb::RevokeLicence => licence(verb, policy, row),
    }
}

/// The sentence for `observe` mode, where no command reaches the portal.
fn observe(verb: Verb) -> String {
    let what = match verb {
        Verb::Restrict => "There is no removal verb in observe mode: restrict",
        Verb::Restore => "There is no restore verb in observe mode: activate the person",
        Verb::AssignLicence => "There is no licence verb in observe mode: assign the licence",
        _ => "There is no licence verb in observe mode: revoke the licence",
    };
    format!("{what} in CRM Plus, Admin panel, Users.")
}

fn forbid(why: impl Into<String>) -> Ruling {
    Ruling::Forbidden(why.into())
}

fn resend(row: &Membership) -> Ruling {
    match row.state {
        State::Invited | State::Declined | State::Expired | State::Left | State::Blocked => {
            Ruling::Go
        }
        State::Wanted if row.parked.is_some() => Ruling::Go,
        State::Wanted => {
            forbid("The person is about to be invited; there is nothing to repeat yet.")
        }
        State::Joined | State::Restricted => {
            forbid("The person has joined; there is no invitation to repeat.")
        }
        State::Removed | State::RemovalStaged => forbid(
            "The person is not meant to be in: activate them in CRM Plus (or mend `scope`), then \
             resync the person.",
        ),
    }
}

fn restrict(row: &Membership) -> Ruling {
    match row.state {
        State::Joined => Ruling::Go,
        // Held by the bridge so far; from now on by the operator, and no plan lifts it (R15).
        State::Restricted if row.restricted_by_bridge => Ruling::Go,
        State::Restricted => Ruling::AlreadySo,
        state => forbid(format!("The person is {state}; only who has joined can be restricted.")),
    }
}

fn restore(row: &Membership, lifted_by_us: bool) -> Ruling {
    match row.state {
        State::Restricted if row.restricted_by_bridge || lifted_by_us => Ruling::Go,
        State::Restricted => forbid(
            "An administrator restricted the person, not the bridge: activate them in CRM Plus, \
             Admin panel, Users.",
        ),
        State::Joined => Ruling::AlreadySo,
        state => forbid(format!("The person is {state}, not restricted.")),
    }
}

fn licence(verb: Verb, policy: &Policy, row: &Membership) -> Ruling {
    if policy.cliq_plan == CliqPlan::Free {
        return forbid("Cliq is on its free plan (`cliq_plan`): there are no paid licences.");
    }
    let wanted = if verb == Verb::AssignLicence { Licence::Paid } else { Licence::Free };
    match row.state {
        _ if row.licence == Some(wanted) => Ruling::AlreadySo,
        State::Joined => Ruling::Go,
        State::Restricted if verb == Verb::RevokeLicence => Ruling::Go,
        state => forbid(format!("The person is {state}; licences are for who has joined.")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::domain::membership::Origin;
    use crate::domain::policy::Matcher;
    use crate::domain::{CrmUserId, Email, MembershipId, OrgId, Timestamp};

    fn policy(portal_adds: bool, cliq_plan: CliqPlan) -> Policy {
        Policy {
            organization: OrgId::from("acme"),
            cliq_org: "745".into(),
            zoid: None,
            external_when: BTreeSet::new(),
            external_user_types: BTreeSet::new(),
            internal_domains: BTreeSet::new(),
            include: None,
            exclude: Matcher::default(),
            mirror_unconfirmed: false,
            portal_adds,
            cliq_plan,
            restrict_on_free_downgrade: false,
            grace: Duration::ZERO,
            remove_after: Duration::ZERO,
            expire_after: Duration::ZERO,
            readd_cooldown: Duration::ZERO,
        }
    }

    fn row(state: State, origin: Origin) -> Membership {
        Membership {
            id: MembershipId(1),
            organization: OrgId::from("acme"),
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
            state,
            origin,
            external: true,
            generation: 1,
            sends: 1,
            since: Timestamp(0),
            invited_at: None,
            join_url: None,
            suspected_at: None,
            absent_since: None,
            seen: true,
            unseen_since: None,
            reminded: 0,
            overdue_told: false,
            licence: None,
            licence_given: false,
            restricted_by_bridge: false,
            parked: None,
        }
    }

    fn allowed(verb: Verb, origin: Origin) -> Vec<&'static str> {
        let policy = policy(true, CliqPlan::Paid);
        let goes = |state: &State| rule(verb, &policy, &row(*state, origin), true) == Ruling::Go;
        State::ALL.iter().copied().filter(goes).map(State::as_str).collect()
    }

    #[test]
    fn each_verb_has_its_states() {
        let sendable = ["invited", "left", "declined", "expired", "blocked"];
        let resend: BTreeSet<_> = allowed(Verb::Resend, Origin::Made).into_iter().collect();
        assert_eq!(resend, BTreeSet::from(sendable));
        assert_eq!(allowed(Verb::Restrict, Origin::Made), ["joined"]);
        assert_eq!(allowed(Verb::Restore, Origin::Made), ["restricted"]);
        assert_eq!(allowed(Verb::AssignLicence, Origin::Made), ["joined"]);
        assert_eq!(allowed(Verb::RevokeLicence, Origin::Made), ["joined", "restricted"]);
        assert_eq!(allowed(Verb::Adopt, Origin::Present).len(), State::ALL.len());
        assert_eq!(allowed(Verb::Adopt, Origin::Made), [""; 0]);
        assert_eq!(allowed(Verb::Release, Origin::Adopted).len(), State::ALL.len());
    }

    #[test]
    fn whoever_was_there_before_the_bridge_is_out_of_reach_until_adopted() {
        for verb in [Verb::Resend, Verb::Restrict, Verb::Restore, Verb::AssignLicence] {
            assert_eq!(allowed(verb, Origin::Present), [""; 0], "{verb}");
        }
    }

    #[test]
    fn observe_mode_says_where_it_is_done_instead() {
        let policy = policy(false, CliqPlan::Paid);
        let joined = row(State::Joined, Origin::Expected);
        let Ruling::Forbidden(why) = rule(Verb::Restrict, &policy, &joined, false) else {
            panic!("observe mode cannot restrict")
        };
        assert_eq!(
            why,
            "There is no removal verb in observe mode: restrict in CRM Plus, Admin panel, Users."
        );
        for verb in [Verb::Restore, Verb::AssignLicence, Verb::RevokeLicence] {
            assert!(matches!(rule(verb, &policy, &joined, true), Ruling::Forbidden(_)), "{verb}");
        }
        let invited = row(State::Invited, Origin::Expected);
        assert_eq!(rule(Verb::Resend, &policy, &invited, false), Ruling::Go);
    }

    #[test]
    fn r15_an_administrators_restriction_is_not_lifted_by_a_command() {
        let policy = policy(true, CliqPlan::Free);
        let restricted = row(State::Restricted, Origin::Made);
        assert!(matches!(rule(Verb::Restore, &policy, &restricted, false), Ruling::Forbidden(_)));
        assert_eq!(rule(Verb::Restore, &policy, &restricted, true), Ruling::Go);
    }

    #[test]
    fn r18_a_free_plan_has_no_licences_to_give() {
        let policy = policy(true, CliqPlan::Free);
        let joined = row(State::Joined, Origin::Made);
        let ruling = rule(Verb::AssignLicence, &policy, &joined, false);
        assert!(matches!(ruling, Ruling::Forbidden(why) if why.contains("free plan")));
    }
}
