//! Who leaves, and how: evidence first, then the invitation is cancelled or access is restricted,
//! then after `guard.remove_after` the person is taken out (G1, G16, G17; design section 11,
//! "Evidence and reads" and "States").
//!
//! Only owned people whom Cliq shows as External can leave (design decision 4). Deliberately
//! absent: the guard, and the fresh read right before the call.

use std::time::Duration;

use super::downgrade::instead_of_leaving;
use super::{Decision, Facts, Leaver, Matched, Step, Verdict, classify, enter, keep, note_address};
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::policy::Policy;
use crate::domain::{Class, CliqUser, PortalVerb, Presence, Timestamp};

/// How long an invitation that was taken back or ran out may still be accepted: twice the longest that one
/// is kept open by default (G17).
pub const LATE_JOIN: Duration = Duration::from_hours(60 * 24);

/// CRM does not have the row. One read's silence only raises a suspicion; a complete listing's
/// starts the grace, and a second one after it is evidence (G1, G14).
pub(super) fn absent(policy: &Policy, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let Some(known) = facts.membership else { return Decision::nothing(Verdict::Absent) };
    let mut row = known.clone();
    if row.is_live() {
        row.suspected_at.get_or_insert(now);
    }
    if !facts.complete {
        return keep(row, Verdict::Absent);
    }
    let first = row.absent_since.is_none();
    let since = *row.absent_since.get_or_insert(now);
    if first || now.since(since) < policy.grace {
        return keep(row, Verdict::Absent);
    }
    leave(policy, facts, row, Leaver::Gone, now)
}

/// CRM has the row and says that it is not active: positive evidence, without grace. Deleted is
/// leaving; anything else may be undone, so access is restricted and nobody is removed (G16).
pub(super) fn not_active(
    policy: &Policy,
    facts: &Facts<'_>,
    word: &str,
    now: Timestamp,
) -> Decision {
    let verdict = Verdict::NotActive(word.to_owned());
    let Some(known) = facts.membership else { return Decision::nothing(verdict) };
    let mut row = known.clone();
    if row.is_live() {
        row.suspected_at.get_or_insert(now);
    }
    row.absent_since = None;
    if let Some(email) = facts.crm.and_then(|user| user.email.clone()) {
        note_address(&mut row, email);
    }
    if word.eq_ignore_ascii_case("deleted") {
        // A deleted user may be back under a new id, which only a listing shows (Z14).
        let leaver = Leaver::Gone;
        return if facts.complete {
            leave(policy, facts, row, leaver, now)
        } else {
            keep(row, verdict)
        };
    }
    deactivate(policy, facts, row, verdict, now)
}

/// The person's Cliq row, if it is an external user's; why not, if not.
fn external<'a>(policy: &Policy, facts: &Facts<'a>) -> Result<Option<&'a CliqUser>, Verdict> {
    match facts.cliq {
        Matched::Nobody => Ok(None),
        Matched::Conflict => Err(Verdict::Conflict),
        Matched::One(_) if facts.claimed => Err(Verdict::Succeeded),
        Matched::One(cliq) => match classify(policy, cliq) {
            Class::External => Ok(Some(cliq)),
            Class::Internal => Err(Verdict::Internal),
            Class::Unknown => Err(Verdict::UnknownClass),
        },
    }
}

/// The scope does not mean the person any more, which the CRM row or the configuration says
/// positively: access goes as a leaver's does, without grace (I10, I21).
pub(super) fn unscoped(
    policy: &Policy,
    facts: &Facts<'_>,
    why: &'static str,
    now: Timestamp,
) -> Decision {
    let Some(known) = facts.membership else { return Decision::nothing(Verdict::OutOfScope(why)) };
    let row = Membership { absent_since: None, suspected_at: None, ..known.clone() };
    leave(policy, facts, row, Leaver::Unscoped(why), now)
}

fn leave(
    policy: &Policy,
    facts: &Facts<'_>,
    mut row: Membership,
    why: Leaver,
    now: Timestamp,
) -> Decision {
    let cliq = match external(policy, facts) {
        Ok(found) => found,
        Err(Verdict::Internal) => return release(&row, now),
        Err(verdict) => return keep(row, verdict),
    };
    let Some(cliq) = cliq else { return nothing_to_take(facts, row, why, now) };
    note_shown(&mut row, cliq);
    let adds = policy.portal_adds;
    if let Some(held) = instead_of_leaving(&row, facts.access, cliq.presence, adds, now) {
        return held;
    }
    if facts.home.forbids_writes() {
        return keep(row, Verdict::Conflict);
    }
    if !row.is_owned() {
        return keep(row, Verdict::NotOurs);
    }
    if row.state == State::Removed && matches!(why, Leaver::Unscoped(_)) && !accepts_late(&row, now)
    {
        return keep(row, Verdict::NotOurs);
    }
    if let Some(code) = row.parked.clone() {
        return keep(row, Verdict::Parked(code));
    }
    if !policy.portal_adds {
        let guarded = row.state != State::RemovalStaged;
        enter(&mut row, State::RemovalStaged, now);
        return Decision { guarded, ..keep(row, Verdict::RemoveByHand(why)) };
    }
    let (late, staged) = (row.state == State::Removed, row.state == State::RemovalStaged);
    let (verb, verdict) = match cliq.presence {
        _ if late => (PortalVerb::RemoveExternal, Verdict::LateJoin),
        Presence::Pending => (PortalVerb::RemoveExternal, Verdict::Cancel(why)),
        // Asked for until it is done: a restriction that was given up leaves a leaver inside. One
        // that was done, of somebody who is active again, is an administrator's wish.
        Presence::Active if !staged || !row.restricted_by_bridge => {
            row.restricted_by_bridge = false;
            (PortalVerb::Restrict, Verdict::Restrict(why))
        }
        Presence::Active | Presence::Inactive
            if staged && now.since(row.since) >= policy.remove_after =>
        {
            (PortalVerb::RemoveExternal, Verdict::Remove(why))
        }
        Presence::Active | Presence::Inactive => {
            enter(&mut row, State::RemovalStaged, now);
            return keep(row, Verdict::Staged(why));
        }
        Presence::Unknown => return keep(row, Verdict::UnknownPresence),
    };
    enter(&mut row, State::RemovalStaged, now);
    Decision { guarded: true, ..Decision::of(row, vec![Step::Portal(verb)], verdict) }
}

/// Whether somebody who is here after they were taken out may have accepted our own invitation, which
/// was withdrawn (G17). Whoever was restricted first had joined already: they are back by another's hand.
fn accepts_late(row: &Membership, now: Timestamp) -> bool {
    row.invited_at.is_some() && !row.restricted_by_bridge && now.since(row.since) <= LATE_JOIN
}

/// Cliq does not show the leaver. Whoever was only wanted, or never seen, never was in; somebody who
/// was seen has to be missing from two complete listings. A "no", and an invitation that ran out,
/// stay what they are (G3).
fn nothing_to_take(
    facts: &Facts<'_>,
    mut row: Membership,
    why: Leaver,
    now: Timestamp,
) -> Decision {
    let open = row.is_live() || row.state == State::RemovalStaged;
    if !open {
        return keep(row, Verdict::Settled);
    }
    let since = if facts.complete { *row.unseen_since.get_or_insert(now) } else { now };
    if row.state == State::Wanted || facts.complete && (!row.seen || since < now) {
        enter(&mut row, State::Removed, now);
        return keep(row, Verdict::Gone(why));
    }
    let state = row.state;
    keep(row, Verdict::NotShown(state))
}

/// Deactivated in CRM: blocked here too, until CRM activates the person again (G16).
fn deactivate(
    policy: &Policy,
    facts: &Facts<'_>,
    mut row: Membership,
    verdict: Verdict,
    now: Timestamp,
) -> Decision {
    let cliq = match external(policy, facts) {
        Ok(found) => found,
        Err(Verdict::Internal) => return release(&row, now),
        Err(verdict) => return keep(row, verdict),
    };
    let Some(cliq) = cliq else {
        if row.state == State::Wanted {
            enter(&mut row, State::Removed, now);
        }
        return keep(row, verdict);
    };
    note_shown(&mut row, cliq);
    // A restriction does not last on an invitation that is still open: whoever accepts it late is in.
    let accepted = row.state == State::Invited && cliq.presence == Presence::Active;
    row.restricted_by_bridge &= !accepted;
    if row.is_live() {
        // An add whose answer was lost may have had its effect: who is in must not be forgotten
        // (I21).
        enter(&mut row, shown(cliq.presence), now);
    }
    let blocked = matches!(cliq.presence, Presence::Inactive | Presence::Unknown);
    let adds = policy.portal_adds;
    if let Some(held) =
        instead_of_leaving(&row, facts.access, cliq.presence, adds, now).filter(|_| !blocked)
    {
        return held;
    }
    // What was done once is not asked for again: Cliq may lag, or an administrator may have let the
    // person in.
    if blocked || row.restricted_by_bridge || !row.is_owned() || facts.home.forbids_writes() {
        return keep(row, verdict);
    }
    if let Some(code) = row.parked.clone() {
        return keep(row, Verdict::Parked(code));
    }
    if !policy.portal_adds {
        return keep(row, Verdict::RestrictByHand);
    }
    let steps = vec![Step::Portal(PortalVerb::Restrict)];
    Decision { guarded: true, ..Decision::of(row, steps, Verdict::Deactivated) }
}

fn note_shown(row: &mut Membership, cliq: &CliqUser) {
    row.external = true;
    row.seen = true;
    row.unseen_since = None;
    row.cliq_id = Some(cliq.id.clone());
}

/// The state that a Cliq row shows; one that does not say counts as an open invitation.
fn shown(presence: Presence) -> State {
    match presence {
        Presence::Active => State::Joined,
        Presence::Inactive => State::Restricted,
        Presence::Pending | Presence::Unknown => State::Invited,
    }
}

/// An external member has become one of the organization's own: not ours any more, with no write
/// and with the history kept (G11).
pub(super) fn release(known: &Membership, now: Timestamp) -> Decision {
    if known.state == State::Removed && known.origin == Origin::Present {
        return Decision::nothing(Verdict::Internal);
    }
    let mut row = known.clone();
    enter(&mut row, State::Removed, now);
    row.origin = Origin::Present;
    row.external = false;
    row.restricted_by_bridge = false;
    keep(row, Verdict::Released)
}
