//! What a confirmed downgrade with the standing choice `restrict` does to one member (R15).
//!
//! Deliberately absent: the table of plans (`logic::access`), and any removal. Every other downgrade
//! asks for nothing, so it has no case here (R13, R14, R16).

use super::{Decision, Step, Verdict, enter, keep};
use crate::domain::membership::{Membership, State};
use crate::domain::{Access, PortalVerb, Presence, Timestamp};

/// What becomes of a member whom Cliq shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Restricted through the portal.
    Restrict,
    /// Should be restricted; in `observe` mode only an administrator can.
    ByHand,
    /// The bridge has restricted the person, and that holds as long as the downgrade.
    Stays,
    /// The portal refused to restrict the person.
    Parked(String),
}

/// Decides; `None` leaves the person to the rest of the plan. `row` is as before this look.
pub(super) fn consequence(
    row: &Membership,
    access: Access,
    presence: Presence,
    portal_adds: bool,
) -> Option<Consequence> {
    if access != Access::Restricted || !row.is_owned() {
        return None;
    }
    match presence {
        Presence::Inactive if row.restricted_by_bridge => Some(Consequence::Stays),
        // Done, and not shown yet. Somebody who was seen restricted and is active again was let in
        // by an administrator, and that is not undone.
        Presence::Active if row.restricted_by_bridge && row.state != State::Restricted => {
            Some(Consequence::Stays)
        }
        Presence::Active if row.restricted_by_bridge => None,
        Presence::Active => Some(match (&row.parked, portal_adds) {
            (_, false) => Consequence::ByHand,
            // What parks somebody who has joined is a refusal to restrict.
            (Some(code), true) if row.state == State::Joined => Consequence::Parked(code.clone()),
            _ => Consequence::Restrict,
        }),
        Presence::Inactive | Presence::Pending | Presence::Unknown => None,
    }
}

/// What becomes of a leaver while downgraded: nobody is taken away then, whatever CRM says of its
/// users (G8); where everybody is restricted, the leaver is too. `None` when not downgraded.
pub(super) fn instead_of_leaving(
    row: &Membership,
    access: Access,
    presence: Presence,
    portal_adds: bool,
    now: Timestamp,
) -> Option<Decision> {
    if access == Access::Normal {
        return None;
    }
    Some(match consequence(row, access, presence, portal_adds) {
        Some(consequence) => consequence.decision(row.clone(), presence, now),
        None => keep(row.clone(), Verdict::HeldByDowngrade),
    })
}

/// Nobody is invited to be restricted on arrival: additions wait until the downgrade is over.
pub(super) fn hold(mut decision: Decision, access: Access) -> Decision {
    let add = Step::Portal(PortalVerb::AddExternal);
    if access == Access::Restricted && decision.steps.contains(&add) {
        decision.steps.clear();
        decision.verdict = Verdict::HeldByDowngrade;
    }
    decision
}

impl Consequence {
    /// The decision, with the row as it should be now.
    pub(super) fn decision(self, mut row: Membership, seen: Presence, now: Timestamp) -> Decision {
        let state = if seen == Presence::Active { State::Joined } else { State::Restricted };
        enter(&mut row, state, now);
        match self {
            Self::Stays => keep(row, Verdict::StaysRestricted),
            Self::ByHand => keep(row, Verdict::DowngradedByHand),
            Self::Parked(code) => keep(row, Verdict::Parked(code)),
            Self::Restrict => {
                row.parked = None;
                Decision::of(row, vec![Step::Portal(PortalVerb::Restrict)], Verdict::Downgraded)
            }
        }
    }
}
