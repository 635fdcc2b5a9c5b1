//! The planner: what one person's facts on both sides, and the ledger, ask for.
//!
//! Webhook, resync and schedule all come here, so they cannot disagree. A run is the fold of
//! [`plan_one`] over everybody whom either side or the ledger knows. Deliberately absent: the
//! guard, which sees many people at once; what is planned here may still be held.

mod class;
mod downgrade;
mod home;
mod leaving;
mod matching;
mod verdict;

pub use class::{classify, evidence};
pub use leaving::LATE_JOIN;
pub use matching::{doubles, found_by, is_claimed, matching, of_ledger};
pub use verdict::{Leaver, Verdict};

use leaving::{absent, not_active, release, unscoped};

use crate::domain::membership::{Membership, Origin, State};
use crate::domain::policy::{Policy, Scope};
use crate::domain::shared::Shared;
use crate::domain::{
    Access, Class, CliqUser, CrmUser, Email, Home, MembershipId, PortalVerb, Presence, Standing,
    Timestamp,
};

/// One change that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the portal.
    Portal(PortalVerb),
    /// Send the invitation letter and the bot notice.
    Invite,
}

/// What is to become of one membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The ledger row as it should be now; `None` when nothing of it changes.
    pub ledger: Option<Membership>,
    /// The changes outside that follow, in order.
    pub steps: Vec<Step>,
    /// The steps take access from a person who had it, or was invited: the guard is asked.
    pub guarded: bool,
    /// Somebody who was seen is taken for gone: a short directory must not stick, so the number of
    /// these is limited too.
    pub vanished: bool,
    /// Why, in one word and a sentence.
    pub verdict: Verdict,
}

impl Decision {
    fn nothing(verdict: Verdict) -> Self {
        Self { ledger: None, steps: Vec::new(), guarded: false, vanished: false, verdict }
    }

    fn of(row: Membership, steps: Vec<Step>, verdict: Verdict) -> Self {
        Self { ledger: Some(row), ..Self::nothing(verdict) }.with(steps)
    }

    fn with(self, steps: Vec<Step>) -> Self {
        Self { steps, ..self }
    }
}

/// The facts about one person in one organization.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The CRM row of a fresh read.
    pub crm: Option<&'a CrmUser>,
    /// The Cliq rows that match: one or none, or a conflict.
    pub cliq: Matched<'a>,
    /// The ledger row, also one that this CRM user succeeds (Z14).
    pub membership: Option<&'a Membership>,
    /// Another live CRM user of the organization is the same person (G9).
    pub rival: bool,
    /// An active CRM user maps to the Cliq row: its owner is not leaving, whichever of the CRM
    /// rows is gone (Z14).
    pub claimed: bool,
    /// The CRM row was in the first complete snapshot, or there is no snapshot yet.
    pub was_there_before: bool,
    /// Both sides were listed completely, so that silence in them means something.
    pub complete: bool,
    /// Where the person is at home.
    pub home: &'a Home,
    /// What the organization's plans mean for its external users.
    pub access: Access,
}

/// What Cliq shows of the person.
#[derive(Clone, Copy, Debug)]
pub enum Matched<'a> {
    /// No row.
    Nobody,
    /// Exactly one.
    One(&'a CliqUser),
    /// Several rows with the person's address, or a row whose account is another's.
    Conflict,
}

/// Why nothing follows for somebody whose row does not show what the scope asks for (I30).
const HIDDEN: &str = "CRM does not show the profile or role that the scope asks for";

/// Decides for one person.
pub fn plan_one(policy: &Policy, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let mut decision = decide(policy, facts, now);
    if decision.ledger.as_ref() == facts.membership {
        decision.ledger = None;
    }
    decision
}

fn decide(policy: &Policy, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let Some(user) = facts.crm else { return absent(policy, facts, now) };
    match &user.standing {
        Standing::Unknown(word) => {
            return listed(facts.membership, Verdict::UnknownStatus(word.clone()));
        }
        Standing::NotActive(word) => return not_active(policy, facts, word, now),
        Standing::Active => {}
    }
    if let Some(verdict) = out_of_bounds(policy, user, facts) {
        return out(facts.membership, verdict, now);
    }
    match policy.scope(user) {
        Scope::Meant => {}
        Scope::LeftOut(why) => return unscoped(policy, facts, why, now),
        Scope::Unknown => {
            return listed(facts.membership, Verdict::OutOfScope(HIDDEN));
        }
    }
    match draft(policy, user, facts, now) {
        Some(row) => home::hold(facts.home, mirror(policy, user, facts, row, now)),
        None => Decision::nothing(Verdict::NoAddress),
    }
}

/// The reasons for which a person is left alone, whatever the ledger says.
fn out_of_bounds(policy: &Policy, user: &CrmUser, facts: &Facts<'_>) -> Option<Verdict> {
    let Some(email) = &user.email else { return Some(Verdict::NoAddress) };
    if policy.internal_domains.contains(email.domain())
        || facts.home.organization() == Some(&policy.organization)
    {
        return Some(Verdict::Internal);
    }
    let cliq = match facts.cliq {
        Matched::Conflict => return Some(Verdict::Conflict),
        Matched::One(row) => Some(row),
        Matched::Nobody => None,
    };
    match cliq.map(|row| classify(policy, row)) {
        Some(Class::Internal) => return Some(Verdict::Internal),
        Some(Class::Unknown) => return Some(Verdict::UnknownClass),
        Some(Class::External) | None => {}
    }
    if facts.rival || accounts_differ(user, facts.membership) {
        return Some(Verdict::Conflict);
    }
    if user.category.as_deref().is_some_and(|category| category != "regular_user") {
        return Some(Verdict::OutOfScope("it is no regular CRM user"));
    }
    None
}

/// Somebody who is not to be mirrored. Who was only wanted so far is not wanted any more; one who
/// turned out internal is released; everybody else is left as is.
fn out(known: Option<&Membership>, verdict: Verdict, now: Timestamp) -> Decision {
    let Some(known) = known else { return Decision::nothing(verdict) };
    match verdict {
        Verdict::Internal if known.state != State::Wanted => release(known, now),
        Verdict::Internal | Verdict::OutOfScope(_) if known.state == State::Wanted => {
            let mut row = known.clone();
            enter(&mut row, State::Removed, now);
            keep(row, verdict)
        }
        _ => listed(Some(known), verdict),
    }
}

/// Nothing follows for somebody whom CRM lists in whatever shape; but listed is not absent (G1).
fn listed(known: Option<&Membership>, verdict: Verdict) -> Decision {
    match known.filter(|known| known.absent_since.is_some()) {
        Some(known) => keep(Membership { absent_since: None, ..known.clone() }, verdict),
        None => Decision::nothing(verdict),
    }
}

/// A zuid that appears later must confirm the remembered one.
fn accounts_differ(user: &CrmUser, membership: Option<&Membership>) -> bool {
    match (&user.zuid, membership.and_then(|membership| membership.zuid.as_ref())) {
        (Some(now), Some(before)) => now != before,
        _ => false,
    }
}

/// The ledger row with everything that a read tells, but the state.
fn draft(policy: &Policy, user: &CrmUser, facts: &Facts<'_>, now: Timestamp) -> Option<Membership> {
    let email = user.email.clone()?;
    let mut row = match facts.membership {
        Some(known) => known.clone(),
        None => Membership {
            id: MembershipId(0),
            organization: policy.organization.clone(),
            crm_user_id: user.id.clone(),
            zuid: None,
            cliq_id: None,
            email: email.clone(),
            invited_as: None,
            first_name: String::new(),
            last_name: String::new(),
            invited_by: String::new(),
            language: String::new(),
            time_zone: String::new(),
            state: State::Wanted,
            origin: Origin::Expected,
            external: false,
            generation: 1,
            sends: 0,
            since: now,
            invited_at: None,
            join_url: None,
            suspected_at: None,
            absent_since: None,
            seen: false,
            unseen_since: None,
            reminded: 0,
            overdue_told: false,
            licence: None,
            licence_given: false,
            restricted_by_bridge: false,
            parked: None,
        },
    };
    if row.crm_user_id != user.id {
        // What the portal said of the old id does not hold for the one that succeeds it (Z14).
        row.parked = None;
    }
    row.crm_user_id = user.id.clone();
    note_address(&mut row, email);
    row.first_name.clone_from(&user.first_name);
    row.last_name.clone_from(&user.last_name);
    let known_as = |word: Option<&Shared>| word.map_or_else(String::new, |word| word.to_string());
    row.invited_by = known_as(user.created_by.as_ref());
    row.language = known_as(user.language.as_ref());
    row.time_zone = known_as(user.time_zone.as_ref());
    row.zuid = user.zuid.clone().or(row.zuid);
    row.suspected_at = None;
    row.absent_since = None;
    if let Matched::One(cliq) = facts.cliq {
        row.seen = true;
        row.unseen_since = row.unseen_since.filter(|_| row.state == State::Declined);
        row.cliq_id = Some(cliq.id.clone());
        row.zuid = row.zuid.or_else(|| cliq.zuid.clone());
        row.external = true;
    }
    Some(row)
}

/// The address that CRM shows now, by which the portal knows the person. What it said of an earlier
/// one does not hold for this one (G2).
fn note_address(row: &mut Membership, email: Email) {
    if row.email != email {
        row.email = email;
        row.parked = None;
    }
}

fn mirror(
    policy: &Policy,
    user: &CrmUser,
    facts: &Facts<'_>,
    mut row: Membership,
    now: Timestamp,
) -> Decision {
    if facts.membership.is_none() && matches!(facts.cliq, Matched::One(_)) && facts.was_there_before
    {
        row.origin = Origin::Present;
    }
    let Matched::One(cliq) = facts.cliq else {
        let decision = not_in_cliq(policy, user, facts.complete, row, now);
        return downgrade::hold(decision, facts.access);
    };
    let adds = policy.portal_adds;
    if let Some(what) = downgrade::consequence(&row, facts.access, cliq.presence, adds) {
        return what.decision(row, cliq.presence, now);
    }
    match cliq.presence {
        Presence::Active => joined(policy, row, now),
        Presence::Pending => pending(policy, row, now),
        Presence::Inactive => restricted(policy, row, now),
        Presence::Unknown => keep(row, Verdict::UnknownPresence),
    }
}

fn keep(row: Membership, verdict: Verdict) -> Decision {
    Decision::of(row, Vec::new(), verdict)
}

fn enter(row: &mut Membership, state: State, now: Timestamp) {
    if row.state != state {
        row.state = state;
        row.since = now;
        row.overdue_told = false;
    }
}

/// A fresh start: nothing that was said or seen of the earlier one counts (G5).
pub fn renew(row: &mut Membership) {
    row.generation += 1;
    row.sends = 0;
    row.reminded = 0;
    row.seen = false;
    row.unseen_since = None;
    row.invited_at = None;
    row.invited_as = None;
    row.join_url = None;
    row.parked = None;
    row.overdue_told = false;
}

/// CRM has the person, Cliq does not: the one case in which somebody is added.
fn not_in_cliq(
    policy: &Policy,
    user: &CrmUser,
    complete: bool,
    mut row: Membership,
    now: Timestamp,
) -> Decision {
    if user.confirmed == Some(false) && !policy.mirror_unconfirmed && row.state == State::Wanted {
        return keep(row, Verdict::Unconfirmed);
    }
    match row.state {
        // Released by an operator before it was done: not taken up again but by an operator.
        State::Wanted if !row.is_owned() => return keep(row, Verdict::NotOurs),
        State::Wanted => {}
        // One read that does not show a restricted person is no reason to invite them anew.
        State::RemovalStaged if !complete => {
            return keep(row, Verdict::NotShown(State::RemovalStaged));
        }
        State::Removed | State::RemovalStaged => {
            // The cooldown is for people who were in; whoever never was has had no mail (G5).
            if row.invited_at.is_some() || row.cliq_id.is_some() {
                if now.since(row.since) < policy.readd_cooldown {
                    return keep(row, Verdict::Cooldown);
                }
                renew(&mut row);
                row.cliq_id = None;
                row.restricted_by_bridge = false;
            }
            // Whatever was there before the bridge is gone; what comes now comes by it (G11).
            if row.origin == Origin::Present {
                row.origin = Origin::Expected;
            }
            // Whatever the portal said was of another time.
            row.parked = None;
            enter(&mut row, State::Wanted, now);
        }
        State::Invited | State::Joined | State::Restricted if row.seen && complete => {
            return gone(policy, row, now);
        }
        // A single read's silence means nothing for one who was here; declined, expired, blocked
        // and left are sticky (G3, I24).
        State::Invited
        | State::Joined
        | State::Restricted
        | State::Declined
        | State::Expired
        | State::Blocked
        | State::Left => {
            let state = row.state;
            return keep(row, Verdict::NotShown(state));
        }
    }
    if let Some(code) = row.parked.clone() {
        return keep(row, Verdict::Parked(code));
    }
    if policy.portal_adds {
        return Decision::of(row, vec![Step::Portal(PortalVerb::AddExternal)], Verdict::Add);
    }
    keep(row, Verdict::WaitsForPortal)
}

/// Somebody whom Cliq has shown is in no part of a complete listing. Once may be a short list;
/// twice is an answer: a member left, an invitee declined (or let it run out).
fn gone(policy: &Policy, mut row: Membership, now: Timestamp) -> Decision {
    let (state, since) = (row.state, *row.unseen_since.get_or_insert(now));
    if since >= now {
        return keep(row, Verdict::NotShown(state));
    }
    let now_is = match (state, row.invited_at) {
        (State::Invited, Some(at)) if at + policy.expire_after <= now => State::Expired,
        (State::Invited, _) => State::Declined,
        _ => State::Left,
    };
    enter(&mut row, now_is, now);
    Decision { vanished: true, ..keep(row, Verdict::Vanished(now_is)) }
}

/// Cliq shows an invitation that is not accepted yet.
fn pending(policy: &Policy, mut row: Membership, now: Timestamp) -> Decision {
    match row.state {
        State::Wanted => {
            enter(&mut row, State::Invited, now);
            row.invited_at = Some(now);
            row.invited_as = Some(row.email.clone());
            row.parked = None;
            // Whoever was there before the bridge gets no letter; neither does anybody twice.
            if row.is_owned() && row.sends == 0 {
                return Decision::of(row, vec![Step::Invite], Verdict::SeenPending);
            }
            keep(row, Verdict::SeenPending)
        }
        // Taken for declined because it was not shown, and there it is.
        State::Declined if row.unseen_since.take().is_some() => {
            enter(&mut row, State::Invited, now);
            keep(row, Verdict::SeenPending)
        }
        State::Joined | State::Restricted | State::Left | State::Removed | State::RemovalStaged => {
            invited_anew(policy, row, now)
        }
        // Found in by other ways than an add of ours that was answered: the letter is still owed.
        State::Invited if row.is_owned() && row.sends == 0 => {
            Decision::of(row, vec![Step::Invite], Verdict::SeenPending)
        }
        _ => {
            let renamed = row.invited_as.as_ref().is_some_and(|address| *address != row.email);
            keep(row, if renamed { Verdict::Renamed } else { Verdict::Settled })
        }
    }
}

/// Somebody who was in, or on the way out, has an open invitation: a fresh start where the earlier
/// one is over, with a letter unless the last is not long ago (G5).
fn invited_anew(policy: &Policy, mut row: Membership, now: Timestamp) -> Decision {
    let over = row.invited_at.is_none_or(|at| at + policy.expire_after <= now);
    let cold = now.since(row.since) >= policy.readd_cooldown;
    let away = matches!(row.state, State::Left | State::Removed | State::RemovalStaged);
    if away && over && cold && row.sends > 0 {
        renew(&mut row);
        row.seen = true;
    }
    enter(&mut row, State::Invited, now);
    row.restricted_by_bridge = false;
    if over {
        row.invited_at = Some(now);
        row.invited_as = Some(row.email.clone());
    }
    if row.is_owned() && row.sends == 0 {
        return Decision::of(row, vec![Step::Invite], Verdict::SeenPending);
    }
    keep(row, Verdict::SeenPending)
}

/// Cliq shows a working external account: only such an observation makes anybody joined (R11).
fn joined(policy: &Policy, mut row: Membership, now: Timestamp) -> Decision {
    let verdict = if row.state == State::Joined { Verdict::Settled } else { Verdict::SeenJoined };
    // Restricted by the bridge, which Cliq has not shown yet: lifted, or it would stay for ever.
    let still = row.restricted_by_bridge && row.state != State::Restricted && policy.portal_adds;
    enter(&mut row, State::Joined, now);
    row.unseen_since = None;
    row.parked = None;
    if still {
        return Decision::of(row, vec![Step::Portal(PortalVerb::Restore)], Verdict::Restore);
    }
    row.restricted_by_bridge = false;
    keep(row, verdict)
}

/// Cliq shows the account blocked. Only what the bridge itself blocked is ever restored (R15).
fn restricted(policy: &Policy, mut row: Membership, now: Timestamp) -> Decision {
    let known = row.state == State::Restricted;
    enter(&mut row, State::Restricted, now);
    // Also when this is the first look that shows what the bridge did.
    if row.restricted_by_bridge && policy.portal_adds {
        return Decision::of(row, vec![Step::Portal(PortalVerb::Restore)], Verdict::Restore);
    }
    keep(row, if known { Verdict::Settled } else { Verdict::SeenRestricted })
}

#[cfg(test)]
mod tests;
