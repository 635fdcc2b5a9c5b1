//! Planning guests in the transaction of whoever looked at the person: hooks of hints, runs and the
//! portal's answer.

use serde_json::{Value, json};

use super::places::mapped;
use crate::domain::channel::{Guest, GuestState, Level, Way};
use crate::domain::membership::Membership;
use crate::domain::plan::Hold;
use crate::domain::policy::{Fit, Matcher, Scope};
use crate::domain::{
    Class, CliqId, CrmUser, CrmUserId, Lane, Operation, Presence, Standing, Timestamp,
};
use crate::engine::apply::Look;
use crate::engine::guard::Bounds;
use crate::engine::subscription::access_of;
use crate::engine::{Engine, Host};
use crate::logic::channels::{
    ChannelStep, GuestDecision, GuestFacts, GuestVerdict, Mapping, Observed, Who, find, plan_guest,
};
use crate::logic::plan::{Matched, Verdict, classify, matching};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause, NewAction, Wish};
use crate::store::{StoreError, Tx, guests, plans};

/// What is to become of one person in one channel.
pub(super) struct Planned {
    pub(super) before: Option<Guest>,
    pub(super) channel: String,
    pub(super) decision: GuestDecision,
    mapping: Mapping,
    /// The channel is known not to be an external one: nobody is mailed.
    pub(super) silent: bool,
}

impl Engine {
    /// Plans every channel of the person who was just settled: those that are mapped, and those in
    /// which the ledger has them.
    pub(in crate::engine) fn settle_guests(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        row: Option<&Membership>,
        verdict: &Verdict,
        bounds: &mut Bounds,
    ) -> Result<(), StoreError> {
        for planned in self.plan_guests(tx, look, row, verdict)? {
            if bounds.hold().is_some_and(|hold| is_unapproved(hold, &planned)) {
                continue;
            }
            self.settle_guest(tx, look, row, planned, bounds)?;
        }
        Ok(())
    }

    /// Plans the known channels of a membership that has changed without a look at CRM: what was
    /// meant at the last look still is, and was approved with whoever was let in.
    pub(in crate::engine) fn settle_remembered(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &Membership,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = guests::of_person(tx, host.id(), &row.crm_user_id, Some(row.id))?;
        if known.is_empty() {
            return Ok(());
        }
        let mut bounds = self.bounds(tx, host.id(), now)?;
        let sides = crate::engine::facts::Sides::nobody(now);
        let user = &row.crm_user_id;
        let look = Look { host, user, sides: &sides, cause, rearm: false, now };
        let disputed = self.is_disputed(tx, Some(row))?;
        for guest in known {
            let mapping = match mapped(host, &guest.channel) {
                Some(_) => Mapping::Remembered,
                None => Mapping::Unknown,
            };
            let channel = guest.channel.clone();
            let planned = self.plan_in(
                tx,
                &look,
                &channel,
                Some(guest),
                (Who::Member(row), disputed),
                mapping,
            )?;
            self.settle_guest(tx, &look, Some(row), planned, &mut bounds)?;
        }
        self.tell_bounds(tx, host, &bounds, now)
    }

    /// Display names of the external channels that the person is or will be invited to, as far as
    /// Cliq has shown them.
    pub(in crate::engine) fn open_channels(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
    ) -> Result<Vec<String>, StoreError> {
        let Some(host) = self.host(&row.organization) else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for guest in guests::of_person(tx, host.id(), &row.crm_user_id, Some(row.id))? {
            let spot = Self::spot(tx, host, &guest.channel, false)?;
            let waits = guest.state == GuestState::Wanted && guest.parked.is_none();
            let Some(facts) = spot.facts().filter(|facts| facts.level == Level::External) else {
                continue;
            };
            if spot.hindrance().is_none() && (waits || guest.is_open()) {
                names.push(facts.name.clone());
            }
        }
        Ok(names)
    }

    pub(super) fn plan_guests(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        row: Option<&Membership>,
        verdict: &Verdict,
    ) -> Result<Vec<Planned>, StoreError> {
        let host = look.host;
        let mut known = guests::of_person(tx, host.id(), look.user, row.map(|row| row.id))?;
        let own = own(look);
        let mut meant = Vec::new();
        for mapping in &host.settings.channels {
            let guest = take(&mut known, &mapping.channel, look.user);
            let who = match (row, &own) {
                (_, Some(id)) if mapping.internals => Who::Own(id),
                (Some(row), None) => Who::Member(row),
                _ => Who::Nobody,
            };
            let holds = holds(look, verdict, Some(&mapping.when), &who);
            if guest.is_some() || holds == Mapping::Holds {
                meant.push((mapping.channel.clone(), guest, who, holds));
            }
        }
        // Channels that are mapped no more.
        while let Some(channel) = known.first().map(|guest| guest.channel.clone()) {
            let guest = take(&mut known, &channel, look.user);
            let who = row.filter(|_| own.is_none()).map_or(Who::Nobody, Who::Member);
            let holds = holds(look, verdict, None, &who);
            meant.push((channel, guest, who, holds));
        }
        if meant.is_empty() {
            return Ok(Vec::new());
        }
        let disputed = self.is_at_odds(tx, host, look.sides.roster.get(look.user), row)?;
        meant
            .into_iter()
            .map(|(channel, guest, who, holds)| {
                self.plan_in(tx, look, &channel, guest, (who, disputed), holds)
            })
            .collect()
    }

    /// Whether nothing may be written for the person, own or external (R3, G6, G9).
    pub(super) fn is_at_odds(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        crm: Option<&CrmUser>,
        row: Option<&Membership>,
    ) -> Result<bool, StoreError> {
        let sight = self.sight_of(tx, host.id(), crm, row)?;
        Ok(sight.is_some_and(|sight| sight.verdict().forbids_writes()))
    }

    fn plan_in(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        channel: &str,
        guest: Option<Guest>,
        (who, disputed): (Who<'_>, bool),
        mapping: Mapping,
    ) -> Result<Planned, StoreError> {
        let waits_for_room = guest.as_ref().is_some_and(|guest| guest.parked.is_some());
        let spot = Self::spot(tx, look.host, channel, waits_for_room)?;
        let crm = look.sides.roster.get(look.user);
        let membership = match who {
            Who::Member(row) => Some(row),
            Who::Own(_) | Who::Nobody => None,
        };
        let member = match look.sides.members.of(channel) {
            None => Observed::NotRead,
            Some(members) => match find(members, crm, membership, guest.as_ref()) {
                Some(member) => Observed::Shown(member),
                None if look.sides.members.is_short(channel) => Observed::NotRead,
                None => Observed::NotShown,
            },
        };
        let facts = GuestFacts {
            organization: look.host.id(),
            channel,
            user: look.user,
            mapping,
            who,
            crm,
            guest: guest.as_ref(),
            place: spot.place(),
            member,
            disputed,
            access: access_of(look.host, &plans::of(tx, look.host.id())?),
            rearm: look.rearm,
            now: look.now,
        };
        let decision = plan_guest(&facts, &self.inner.settings.timing);
        let level = spot.place().level();
        let silent = matches!(level, Some(Level::Organization | Level::Private));
        Ok(Planned { before: guest, channel: channel.to_owned(), decision, mapping, silent })
    }

    fn settle_guest(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        row: Option<&Membership>,
        planned: Planned,
        bounds: &mut Bounds,
    ) -> Result<(), StoreError> {
        let Planned { before, mut decision, mapping, .. } = planned;
        let admitted = match (decision.step, row) {
            (Some(ChannelStep::Remove), Some(row)) => bounds.removals.admits(tx, row.id)?,
            // Nobody is taken out whom the guard cannot count.
            (Some(ChannelStep::Remove), None) => false,
            (Some(ChannelStep::Add(Way::Invitation)), Some(row)) => {
                self.is_counted(tx, Some(row), look.now)? || bounds.invitations.take()
            }
            _ => true,
        };
        if !admitted {
            decision.step = None;
            decision.verdict = GuestVerdict::Held;
        }
        if has_left(before.as_ref(), &decision) && !bounds.vanishing.take() {
            // A list that is short must not stick: looked at again as if this one had not been.
            decision.guest = None;
            decision.verdict = GuestVerdict::Held;
        }
        let Some(mut guest) = decision.guest.clone().or_else(|| before.clone()) else {
            return Ok(());
        };
        // A new CRM id of the same person takes the row over (Z14), if it has none of its own.
        if guest.crm_user_id != *look.user
            && !guests::exists(tx, look.host.id(), &guest.channel, look.user)?
        {
            guest.crm_user_id = look.user.clone();
        }
        if before.as_ref() != Some(&guest) {
            guest.id = guests::put(tx, &guest)?;
            let note = GuestNote {
                before: before.as_ref(),
                after: &guest,
                event: decision.verdict.word(),
                reason: &decision.verdict.sentence(),
                by_operator: look.rearm,
                cause: look.cause,
            };
            note.record(tx, look.now)?;
        }
        let operation = match decision.step {
            Some(ChannelStep::Add(_)) => Operation::ChannelAdd(guest.id),
            Some(ChannelStep::Remove) => Operation::ChannelRemove(guest.id),
            None if admitted && mapping != Mapping::Remembered => {
                // Whatever waits for this guest was planned from facts that hold no more.
                let (boot, why) = (self.inner.boot, decision.verdict.sentence());
                outbox::withdraw_guest(tx, guest.id, boot, &why, look.now)?;
                return Ok(());
            }
            None => return Ok(()),
        };
        let wish = match operation.lane() {
            Lane::Channel if matches!(operation, Operation::ChannelRemove(_)) => Wish::Guarded,
            _ => Wish::Planned,
        };
        let new = NewAction {
            organization: look.host.id(),
            membership: row.filter(|_| guest.membership.is_some()),
            operation,
            reason: &decision.verdict.sentence(),
            cause: look.cause,
            wish,
            not_before: look.now,
        };
        if let outbox::Queued::New(_) = outbox::put(tx, &new, look.now)? {
            guests::set_part(tx, guest.id, None)?;
        }
        Ok(())
    }
}

/// Takes the person's row of a channel out of the known ones: the user's own rather than one of an id
/// which this one succeeds (Z14). A second one stays as it was.
fn take(known: &mut Vec<Guest>, channel: &str, user: &CrmUserId) -> Option<Guest> {
    let of = |guest: &Guest| guest.channel == channel;
    let own = known.iter().position(|guest| of(guest) && guest.crm_user_id == *user);
    let found = own.or_else(|| known.iter().position(of)).map(|at| known.remove(at));
    known.retain(|guest| !of(guest));
    found
}

/// Whether a decision is one that somebody has to approve first, as for memberships: before the first
/// run every step, under a changed scope whatever brings somebody into a channel anew.
fn is_unapproved(hold: &Hold, planned: &Planned) -> bool {
    let (before, decision) = (planned.before.as_ref(), &planned.decision);
    let wanted = |guest: Option<&Guest>| {
        guest.is_some_and(|guest| guest.state == GuestState::Wanted || guest.is_open())
    };
    let newly = !wanted(before) && wanted(decision.guest.as_ref());
    let adds = matches!(decision.step, Some(ChannelStep::Add(_)));
    match hold {
        Hold::FirstRun => newly || decision.step.is_some(),
        _ => newly || (adds && !wanted(before)),
    }
}

pub(super) fn has_left(before: Option<&Guest>, decision: &GuestDecision) -> bool {
    let left = |guest: Option<&Guest>| guest.is_some_and(|guest| guest.state == GuestState::Left);
    left(decision.guest.as_ref()) && !left(before)
}

/// The Cliq id of one of the organization's own people, if the person is one and in Cliq (R43).
fn own(look: &Look<'_>) -> Option<CliqId> {
    let user = look.sides.roster.get(look.user)?;
    match matching(user, None, &look.sides.directory) {
        Matched::One(row)
            if classify(&look.host.policy, row) == Class::Internal
                && row.presence == Presence::Active =>
        {
            Some(row.id.clone())
        }
        _ => None,
    }
}

/// Whether the channel is meant for the person; `when` is absent for a channel that is mapped no
/// more.
fn holds(look: &Look<'_>, verdict: &Verdict, when: Option<&Matcher>, who: &Who<'_>) -> Mapping {
    match verdict {
        Verdict::Internal if matches!(who, Who::Own(_)) => {}
        // Nothing follows for somebody who may be another, or who is none of ours.
        Verdict::Internal
        | Verdict::Released
        | Verdict::UnknownClass
        | Verdict::Succeeded
        | Verdict::Conflict
        | Verdict::Home(_)
        | Verdict::HeldByDowngrade => return Mapping::Held,
        // Nothing follows for a row that CRM does not show in full.
        Verdict::OutOfScope(_) | Verdict::NoAddress | Verdict::UnknownStatus(_) => {
            return Mapping::Unknown;
        }
        _ => {}
    }
    let Some(when) = when else { return Mapping::Lapsed("the channel is not mapped any more") };
    let Some(user) = look.sides.roster.get(look.user) else { return Mapping::Unknown };
    match &user.standing {
        Standing::Active if matches!(who, Who::Member(_)) && is_unscoped(look) => UNSCOPED,
        Standing::Active => fitting(when, user),
        // Deactivated is not deleted: the restriction blocks the person, and may end (G16).
        Standing::NotActive(word) if !is_deleted(word) => Mapping::Held,
        // A deleted user may be back under a new id, which only a listing shows (Z14).
        Standing::NotActive(_) if !look.sides.complete => Mapping::Unknown,
        Standing::NotActive(_) => Mapping::Lapsed("CRM does not list the person as active"),
        Standing::Unknown(_) => Mapping::Unknown,
    }
}

/// Whether the mapping means an active user.
pub(super) fn fitting(when: &Matcher, user: &CrmUser) -> Mapping {
    match when.fit(user) {
        Fit::Yes => Mapping::Holds,
        Fit::No => Mapping::Lapsed("the channel's `when` does not name the person"),
        Fit::Unknown => Mapping::Unknown,
    }
}

/// The scope that brought the person here does not mean them any more (I10).
pub(super) const UNSCOPED: Mapping = Mapping::Lapsed("the scope does not name the person");

/// Whether the scope leaves an active CRM user out.
fn is_unscoped(look: &Look<'_>) -> bool {
    let user = look.sides.roster.get(look.user);
    user.is_some_and(|user| matches!(look.host.policy.scope(user), Scope::LeftOut(_)))
}

/// Whether CRM's word for who is not active says that the user is deleted.
pub(super) fn is_deleted(word: &str) -> bool {
    word.eq_ignore_ascii_case("deleted")
}

/// A change of a guest, for the audit.
pub(super) struct GuestNote<'a> {
    pub(super) before: Option<&'a Guest>,
    pub(super) after: &'a Guest,
    pub(super) event: &'a str,
    pub(super) reason: &'a str,
    pub(super) by_operator: bool,
    pub(super) cause: Cause,
}

impl GuestNote<'_> {
    /// Records the change, if it is one that an administrator would see.
    pub(super) fn record(&self, tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
        let (before, after) = (self.before.map(facts), facts(self.after));
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        let entry = Entry {
            organization: &self.after.organization,
            membership: self.after.membership,
            actor: if self.by_operator { "operator" } else { "bridge" },
            event: self.event,
            reason: self.reason,
            before,
            after: Some(after),
            cause: self.cause,
            action: None,
        };
        audit::record(tx, &entry, now)
    }
}

/// The part of a guest that an audit row shows; the address stays out.
fn facts(guest: &Guest) -> Value {
    json!({
        "channel": guest.channel,
        "guest": guest.id.to_string(),
        "state": guest.state.as_str(),
        "generation": guest.generation,
        "sends": guest.sends,
        "cliq_id": guest.cliq_id.as_ref().map(CliqId::as_str),
        "parked": guest.parked,
    })
}
