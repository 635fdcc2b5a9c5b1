//! Writing a decision down: ledger, audit and outbox in the transaction it was made in.

use super::facts::Sides;
use super::flap::hold_flapping;
use super::guard::Bounds;
use super::people::Sight;
use super::subscription::access_for;
use super::tell::named;
use super::{Engine, Host, pairs};
use crate::domain::membership::{Membership, State};
use crate::domain::plan::Hold;
use crate::domain::{CrmUser, CrmUserId, Lane, Operation, PortalVerb, Standing, Timestamp};
use crate::logic::plan::{
    Decision, Facts, Matched, Step, Verdict, is_claimed, matching, of_ledger, plan_one,
};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause, NewAction, Wish};
use crate::store::{StoreError, Tx, hints, ledger, looks, orgs};

/// One person to be looked at, with everything that was read.
pub(super) struct Look<'a> {
    /// The organization.
    pub(super) host: &'a Host,
    /// The CRM user.
    pub(super) user: &'a CrmUserId,
    /// Both sides as they were read.
    pub(super) sides: &'a Sides,
    /// What asked.
    pub(super) cause: Cause,
    /// An operator asked for this very person: a parked row is tried again.
    pub(super) rearm: bool,
    /// Now.
    pub(super) now: Timestamp,
}

impl Engine {
    /// Decides for one person, and writes ledger, audit and outbox. Answers why.
    pub(super) fn settle_person(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        bounds: &mut Bounds,
    ) -> Result<Verdict, StoreError> {
        let (known, mut decision, sight) = self.decide(tx, look)?;
        if is_overtaken(tx, look, known.as_ref(), self.now())? {
            // What was read is older than what is known by now: a run may have listed for an hour.
            let absent = look.sides.complete && look.sides.roster.get(look.user).is_none();
            hints::look_again(tx, look.host.id(), look.user, absent, look.now)?;
            return Ok(Verdict::Overtaken);
        }
        let held = self.hold_back(tx, look, known.as_ref(), &mut decision, bounds)?;
        if let Some(row) = known.as_ref().filter(|_| !held)
            && is_off(look, row, &decision)
        {
            // Whatever waits for this person was planned from facts that hold no more.
            let (boot, why) = (self.inner.boot, decision.verdict.sentence());
            outbox::withdraw(tx, row.id, Lane::Access, boot, &why, look.now)?;
        }
        let mut row = decision.ledger.clone().or_else(|| known.clone());
        if let (true, Some(row)) = (decision.ledger.is_some(), &mut row) {
            if known.as_ref().is_some_and(|known| known.generation < row.generation) {
                let why = "a new start";
                outbox::withdraw_letters(tx, row.id, self.inner.boot, why, look.now)?;
            }
            row.id = ledger::put(tx, row)?;
            note_change(tx, look, known.as_ref(), row, &decision.verdict)?;
        }
        if let (true, Some(row)) = (look.rearm, &row)
            && row.state == State::Invited
        {
            outbox::rearm(tx, row.id, Lane::Letter, look.now)?;
            outbox::rearm(tx, row.id, Lane::Notice, look.now)?;
        }
        if let (true, Some(row)) = (look.rearm, &row) {
            outbox::rearm(tx, row.id, Lane::Licence, look.now)?;
        }
        if let Some(sight) = &sight {
            self.note_sight(tx, look, sight, row.as_ref(), &decision.verdict)?;
        }
        self.tell_of(tx, look, &decision.verdict)?;
        note_by_hand(known.as_ref(), row.as_ref(), &decision.verdict, bounds);
        self.take_steps(tx, look, &decision, row.as_mut())?;
        self.settle_guests(tx, look, row.as_ref(), &decision.verdict, bounds)?;
        Ok(decision.verdict)
    }

    /// Asks the bounds for what the decision wants. True if something of it was held back; the
    /// person then stays as before and is planned again later.
    fn hold_back(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        known: Option<&Membership>,
        decision: &mut Decision,
        bounds: &mut Bounds,
    ) -> Result<bool, StoreError> {
        if let Some(hold) = bounds.hold()
            && is_unapproved(hold, known, decision)
        {
            // As in a run over the organization: only planned until it is approved.
            decision.steps.clear();
            (decision.ledger, decision.guarded, decision.vanished) = (None, false, false);
            return Ok(true);
        }
        let mut held = false;
        if decision.steps.iter().copied().any(invites)
            && !self.is_counted(tx, known, look.now)?
            && !bounds.invitations.take()
        {
            hold(known, decision);
            held = true;
        }
        let Some(known) = known else { return Ok(held) };
        let removal = decision.guarded && !bounds.removals.admits(tx, known.id)?;
        if removal || (decision.vanished && !bounds.vanishing.take()) {
            decision.steps.clear();
            if let Some(row) = &mut decision.ledger {
                (row.state, row.since) = (known.state, known.since);
                row.overdue_told = known.overdue_told;
            }
            held = true;
        }
        Ok(held)
    }

    fn take_steps(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        decision: &Decision,
        row: Option<&mut Membership>,
    ) -> Result<(), StoreError> {
        let Some(row) = row else { return Ok(()) };
        let reason = decision.verdict.sentence();
        for step in &decision.steps {
            match step {
                Step::Invite => self.invite(tx, look.host, row, look.cause, look.now)?,
                Step::Portal(verb) => {
                    let wish = if decision.guarded { Wish::Guarded } else { Wish::Planned };
                    let new = NewAction {
                        organization: look.host.id(),
                        membership: Some(row),
                        operation: Operation::Portal(*verb),
                        reason: &reason,
                        cause: look.cause,
                        wish,
                        not_before: look.now,
                    };
                    outbox::put(tx, &new, look.now)?;
                }
            }
        }
        Ok(())
    }

    /// What the administrators have to know of a decision.
    fn tell_of(&self, tx: &Tx<'_>, look: &Look<'_>, verdict: &Verdict) -> Result<(), StoreError> {
        match verdict {
            Verdict::Flapping => self.tell_flapping(tx, look),
            Verdict::DowngradedByHand => self.tell_restrict_by_hand(tx, look.host, look.now),
            _ => Ok(()),
        }
    }

    /// Decides for one person without writing anything.
    pub(super) fn decide(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
    ) -> Result<(Option<Membership>, Decision, Option<Sight>), StoreError> {
        let (host, sides) = (look.host, look.sides);
        let user = sides.roster.get(look.user);
        let mut known = ledger::by_user(tx, host.id(), look.user)?;
        let others = user.map(|user| pairs::others(tx, look, user, known.as_ref())).transpose()?;
        let (same_here, predecessor) = others.unwrap_or_default();
        known = known.or(predecessor);
        let org = orgs::state(tx, host.id())?;
        let was_there_before =
            org.first_snapshot_at.is_none() || orgs::in_baseline(tx, host.id(), look.user)?;
        let mut asked = known.clone();
        if let (true, Some(row)) = (look.rearm, &mut asked) {
            row.parked = None;
        }
        let cliq = match (user, &known) {
            (Some(user), known) => matching(user, known.as_ref(), &sides.directory),
            (None, Some(known)) => of_ledger(known, &sides.directory),
            (None, None) => Matched::Nobody,
        };
        let claimed = match (cliq, user) {
            (Matched::One(row), None) => is_claimed(&sides.roster, row),
            (Matched::One(row), Some(user)) => {
                user.standing != Standing::Active && is_claimed(&sides.roster, row)
            }
            _ => false,
        };
        let rival = !same_here.is_empty();
        let mut sight = self.sight_of(tx, host.id(), user, known.as_ref())?;
        if let Some(sight) = &mut sight {
            sight.same_here = same_here;
        }
        let home = sight.as_ref().map(Sight::verdict).unwrap_or_default();
        let facts = Facts {
            crm: user,
            cliq,
            membership: asked.as_ref(),
            rival,
            claimed,
            was_there_before,
            complete: sides.complete,
            home: &home,
            access: access_for(tx, host, known.as_ref())?,
        };
        let mut decision = plan_one(&host.policy, &facts, look.now);
        if decision.ledger.is_none() && asked != known {
            decision.ledger = asked;
        }
        hold_flapping(tx, look, known.as_ref(), &mut decision)?;
        Ok((known, decision, sight))
    }

    /// Whether the invitation cap has counted this person within its window.
    pub(super) fn is_counted(
        &self,
        tx: &Tx<'_>,
        known: Option<&Membership>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(row) = known else { return Ok(false) };
        ledger::counts_as_invited(tx, row.id, now - self.inner.settings.limits.window)
    }
}

/// Records what changed.
fn note_change(
    tx: &Tx<'_>,
    look: &Look<'_>,
    before: Option<&Membership>,
    after: &Membership,
    verdict: &Verdict,
) -> Result<(), StoreError> {
    let facts = (before.map(audit::facts), audit::facts(after));
    let renamed =
        before.is_some_and(|b| b.crm_user_id != after.crm_user_id || b.email != after.email);
    if facts.0.as_ref() == Some(&facts.1) && !renamed {
        return Ok(());
    }
    let only_renamed = facts.0.as_ref() == Some(&facts.1) && *verdict == Verdict::Settled;
    let (event, reason) = if only_renamed {
        ("renamed", "The address or the id in CRM changed; the membership is the same.".to_owned())
    } else {
        (verdict.word(), verdict.sentence())
    };
    let entry = Entry {
        organization: look.host.id(),
        membership: Some(after.id),
        actor: if look.rearm { "operator" } else { "bridge" },
        event,
        reason: &reason,
        before: facts.0,
        after: Some(facts.1),
        cause: look.cause,
        action: None,
    };
    audit::record(tx, &entry, look.now)
}

/// Whether a step brings somebody an invitation.
pub(super) fn invites(step: Step) -> bool {
    matches!(step, Step::Invite | Step::Portal(PortalVerb::AddExternal))
}

/// Whether a decision is one that somebody has to approve first. Before the first run that is every
/// step; under a changed scope every invitation of a person who was not wanted before the change. Who
/// is not wanted yet is not noted as wanted either.
fn is_unapproved(hold: &Hold, known: Option<&Membership>, decision: &Decision) -> bool {
    let begins = |row: &Membership| matches!(row.state, State::Wanted | State::Invited);
    let wanted = known.is_some_and(begins);
    let newly = !wanted && decision.ledger.as_ref().is_some_and(begins);
    let invites = decision.steps.iter().copied().any(invites);
    match hold {
        Hold::FirstRun => newly || !decision.steps.is_empty(),
        _ => newly || (invites && !wanted),
    }
}

/// Takes the invitation out of a decision: the person stays as before and is planned again later.
fn hold(known: Option<&Membership>, decision: &mut Decision) {
    decision.steps.retain(|step| !invites(*step));
    if let Some(row) = &mut decision.ledger
        && row.state == State::Invited
        && known.is_none_or(|known| known.state == State::Wanted)
    {
        row.state = State::Wanted;
        row.invited_at = None;
        row.invited_as = None;
        if let Some(known) = known {
            (row.since, row.overdue_told) = (known.since, known.overdue_told);
        }
    }
}

/// Notes what only an administrator can do, once per state change; told with the bounds.
fn note_by_hand(
    before: Option<&Membership>,
    after: Option<&Membership>,
    verdict: &Verdict,
    bounds: &mut Bounds,
) {
    let Some(row) = after else { return };
    let entered = before.map(|row| row.state) != Some(row.state);
    let suspected = before.is_some_and(|row| row.suspected_at.is_some());
    let what = match verdict {
        Verdict::RemoveByHand(_) if entered => "remove",
        Verdict::RestrictByHand if !suspected => "block",
        _ => return,
    };
    bounds.by_hand.push(format!("{what} {}", named(row)));
}

/// Whether there is news of the person that is newer than what was read: another look at them, a
/// complete listing, or what the ledger and the outbox say (I31, I32). `now` is this moment: the
/// transaction may have waited, and `look.now` is of before.
fn is_overtaken(
    tx: &Tx<'_>,
    look: &Look<'_>,
    known: Option<&Membership>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (organization, begun_at) = (look.host.id(), look.sides.begun_at);
    // A run over everybody is as new as anything but single looks; what a listing for webhooks showed
    // of others, nobody has acted on.
    let of_everybody = look.cause.run.is_some() && !look.rearm;
    if looks::is_newer(tx, organization, look.user, begun_at, now)?
        || (!of_everybody && orgs::was_listed_since(tx, organization, begun_at, now)?)
    {
        return Ok(true);
    }
    let Some(known) = known else { return Ok(false) };
    // What lies ahead of the clock was noted before it was set back, and says nothing of age.
    let changed = known.since > begun_at && known.since <= now;
    Ok(changed || outbox::moved_since(tx, known.id, begun_at, now)?)
}

/// Whether what waits in the access lane is not wanted any more: an add of somebody who is not to
/// be added, or a restriction of somebody who is active again.
fn is_off(look: &Look<'_>, known: &Membership, decision: &Decision) -> bool {
    let active =
        look.sides.roster.get(look.user).is_some_and(|user| user.standing == Standing::Active);
    let adds = decision.steps.iter().copied().any(invites);
    let asks = decision.steps.iter().any(|step| matches!(step, Step::Portal(_)));
    let forbidden = matches!(
        decision.verdict,
        Verdict::HeldByDowngrade | Verdict::Succeeded | Verdict::Conflict | Verdict::Home(..)
    );
    (known.state == State::Wanted && !adds) || (active && !asks) || forbidden
}

/// The ledger's rows of other CRM users who are the same person as this one.
pub(super) fn sames(
    tx: &Tx<'_>,
    host: &Host,
    sides: &Sides,
    user: &CrmUser,
    known: Option<&Membership>,
) -> Result<Vec<Membership>, StoreError> {
    let Some(email) = &user.email else { return Ok(Vec::new()) };
    let cliq_id = match matching(user, known, &sides.directory) {
        Matched::One(row) => Some(&row.id),
        Matched::Nobody | Matched::Conflict => None,
    };
    let marks = ledger::Marks { zuid: user.zuid.as_ref(), email, cliq_id };
    ledger::namesakes(tx, host.id(), &user.id, marks)
}

pub(super) enum Relation {
    /// Both are active at once: a conflict.
    Rival,
    /// The other row is gone; the new CRM user takes its membership over (Z14).
    Predecessor,
}

pub(super) fn relation(sides: &Sides, other: &Membership) -> Relation {
    let gone = if sides.complete {
        sides.roster.get(&other.crm_user_id).is_none_or(|row| row.standing != Standing::Active)
    } else {
        other.suspected_at.is_some() || matches!(other.state, State::Removed | State::RemovalStaged)
    };
    if gone { Relation::Predecessor } else { Relation::Rival }
}
