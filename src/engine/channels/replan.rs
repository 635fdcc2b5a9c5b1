//! The plan once more, right before a call: over the channel, its members and the CRM rows as they
//! are now. Deliberately absent: the guard, which admitted the row when it was queued.

use super::READ_AGAIN;
use super::batch::{Candidate, Fresh};
use super::places::mapped;
use super::settle::{GuestNote, UNSCOPED, fitting, is_deleted};
use crate::domain::channel::{Guest, GuestState, Member, Way};
use crate::domain::policy::Scope;
use crate::domain::{ActionId, CliqId, CrmUser, GuestId, Membership, Standing, State, Timestamp};
use crate::engine::subscription::access_of;
use crate::engine::{Engine, Host};
use crate::logic::channels::{
    ChannelStep, GuestFacts, GuestVerdict, Mapping, Observed, UNANSWERED, UNANSWERED_MAX, Who,
    find, plan_guest,
};
use crate::store::outbox::{self, Batch};
use crate::store::{StoreError, Tx, guests, ledger, plans};

/// A batch that is planned once more.
pub(super) struct Again<'a> {
    pub(super) engine: &'a Engine,
    pub(super) tx: &'a Tx<'a>,
    pub(super) host: &'a Host,
    pub(super) batch: &'a Batch,
    /// What was read; `None` when the channel is not there, or may not be written to.
    pub(super) fresh: &'a Option<Fresh>,
    pub(super) now: Timestamp,
}

/// What is known of one person of the batch.
struct Person<'a> {
    before: Guest,
    row: Option<Membership>,
    crm: Option<&'a CrmUser>,
    shown: Option<&'a Member>,
}

impl Person<'_> {
    fn has_account(&self) -> bool {
        self.crm.is_some_and(|user| user.zuid.is_some())
            || self.row.as_ref().is_some_and(|row| row.zuid.is_some())
    }
}

impl Again<'_> {
    /// Plans one person. Ready, if the plan still asks for the call; else the row ends here.
    pub(super) fn plan(
        &self,
        action: ActionId,
        guest: GuestId,
    ) -> Result<Option<Candidate>, StoreError> {
        let Some(person) = self.person(guest)? else { return Ok(None) };
        let (mut after, step, mut verdict) = self.decide(&person)?;
        let mut go = match step {
            Some(ChannelStep::Add(_)) => !self.batch.removes,
            Some(ChannelStep::Remove) => self.batch.removes,
            None => false,
        };
        let whole = self.fresh.as_ref().is_some_and(|fresh| !fresh.short);
        if go && self.batch.removes && whole && is_gone(&after, &person) {
            (after.state, after.since) = (GuestState::Removed, self.now);
            after.disown();
            (go, verdict) = (false, GuestVerdict::SeenLeft);
        }
        if go && !self.batch.removes && after.unanswered >= UNANSWERED_MAX {
            // The second answer was lost with the process: asked twice is asked enough.
            let account = person.has_account();
            after.state = if account { GuestState::Invited } else { GuestState::AwaitingSignup };
            after.since = self.now;
            after.parked = Some(UNANSWERED.to_owned());
            (go, verdict) = (false, GuestVerdict::Parked(UNANSWERED.to_owned()));
        }
        self.write(&person.before, &after, &verdict, action)?;
        let one = self.candidate(action, &person, &after, step).filter(|_| go);
        if one.is_none() {
            outbox::drop_batch(self.tx, &[action], &verdict.sentence(), self.now)?;
        }
        Ok(one)
    }

    /// What to do with rows whose channel Cliq does not show: there is nobody to take out of it; an
    /// add waits, if nothing else says why it cannot be.
    pub(super) fn without_channel(&self, ready: &[Candidate]) -> Result<(), StoreError> {
        let ids: Vec<ActionId> = ready.iter().map(|one| one.action).collect();
        let why = "Cliq does not show the channel or its members";
        if self.batch.removes {
            return outbox::drop_batch(self.tx, &ids, why, self.now);
        }
        outbox::delay_batch(self.tx, &ids, self.now + READ_AGAIN, why)
    }

    fn person(&self, guest: GuestId) -> Result<Option<Person<'_>>, StoreError> {
        let Some(before) = guests::get(self.tx, guest)? else { return Ok(None) };
        let row = before.membership.map(|id| ledger::get(self.tx, id)).transpose()?.flatten();
        let fresh = self.fresh.as_ref();
        let crm = fresh.and_then(|fresh| fresh.crm.get(&before.crm_user_id));
        let shown = fresh.and_then(|fresh| find(&fresh.members, crm, row.as_ref(), Some(&before)));
        Ok(Some(Person { before, row, crm, shown }))
    }

    fn decide(
        &self,
        person: &Person<'_>,
    ) -> Result<(Guest, Option<ChannelStep>, GuestVerdict), StoreError> {
        let spot = Engine::spot(self.tx, self.host, &self.batch.channel, false)?;
        let before = &person.before;
        let access = access_of(self.host, &plans::of(self.tx, self.host.id())?);
        let facts = GuestFacts {
            organization: self.host.id(),
            channel: &self.batch.channel,
            user: &before.crm_user_id,
            mapping: self.mapping(person),
            who: match (&person.row, &before.cliq_id) {
                (Some(row), _) => Who::Member(row),
                (None, Some(id)) => Who::Own(id),
                (None, None) => Who::Nobody,
            },
            crm: person.crm,
            guest: Some(before),
            place: spot.place(),
            member: match (self.fresh, person.shown) {
                (None, _) => Observed::NotRead,
                (Some(fresh), None) if fresh.short => Observed::NotRead,
                (Some(_), None) => Observed::NotShown,
                (Some(_), Some(member)) => Observed::Shown(member),
            },
            disputed: self.engine.is_at_odds(
                self.tx,
                self.host,
                person.crm,
                person.row.as_ref(),
            )?,
            access,
            rearm: false,
            now: self.now,
        };
        let decision = plan_guest(&facts, &self.engine.inner.settings.timing);
        let after = decision.guest.unwrap_or_else(|| before.clone());
        Ok((after, decision.step, decision.verdict))
    }

    fn is_unscoped(&self, user: &CrmUser) -> bool {
        matches!(self.host.policy.scope(user), Scope::LeftOut(_))
    }

    /// Whether the channel is still meant for the person, by what was read right now.
    fn mapping(&self, person: &Person<'_>) -> Mapping {
        let Some(mapped) = mapped(self.host, &self.batch.channel) else {
            return Mapping::Lapsed("the channel is not mapped any more");
        };
        if self.fresh.is_none() {
            return Mapping::Remembered;
        }
        let Some(user) = person.crm else { return Mapping::Unknown };
        match &user.standing {
            Standing::Active if person.row.is_none() && !mapped.internals => Mapping::Unknown,
            Standing::Active if person.row.is_some() && self.is_unscoped(user) => UNSCOPED,
            Standing::Active => fitting(&mapped.when, user),
            Standing::NotActive(word) if !is_deleted(word) => Mapping::Held,
            // The plan that asked for a removal knew whether that is evidence; an add is not sent.
            Standing::NotActive(_) if self.batch.removes => {
                Mapping::Lapsed("CRM does not list the person as active")
            }
            Standing::NotActive(_) | Standing::Unknown(_) => Mapping::Unknown,
        }
    }

    /// How the call names the person: members by the id that the channel shows, invitations by the
    /// current address, and cancellations by the one that was invited (R44).
    fn candidate(
        &self,
        action: ActionId,
        person: &Person<'_>,
        after: &Guest,
        step: Option<ChannelStep>,
    ) -> Option<Candidate> {
        let id = person.shown.map(|member| member.id.clone()).or_else(|| after.cliq_id.clone());
        let email = if self.batch.removes {
            after.invited_as.clone()
        } else {
            person.crm.and_then(|user| user.email.clone())
        };
        let way = match step? {
            ChannelStep::Add(way) => way,
            ChannelStep::Remove if person.shown.is_some() || email.is_none() => Way::Direct,
            ChannelStep::Remove => Way::Invitation,
        };
        let named = match way {
            Way::Direct => id.is_some(),
            // Without fresh facts nothing is called; the row only has to be told from the others.
            Way::Invitation => email.is_some() || self.fresh.is_none(),
        };
        named.then(|| Candidate {
            action,
            guest: after.id,
            way,
            email,
            id,
            has_account: person.has_account(),
            generation: person.row.as_ref().map_or(1, |row| row.generation),
            member_of: person.row.as_ref().and_then(id_in_cliq),
            is_here: person.row.as_ref().is_some_and(is_in_cliq),
        })
    }

    fn write(
        &self,
        before: &Guest,
        after: &Guest,
        verdict: &GuestVerdict,
        action: ActionId,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        guests::put(self.tx, after)?;
        let note = GuestNote {
            before: Some(before),
            after,
            event: verdict.word(),
            reason: &verdict.sentence(),
            by_operator: false,
            cause: outbox::cause(self.tx, action)?,
        };
        note.record(self.tx, self.now)
    }
}

/// Whether somebody who is to be taken out is not in any more.
fn is_gone(after: &Guest, person: &Person<'_>) -> bool {
    after.state == GuestState::Joined && person.shown.is_none()
}

/// Whether the ledger says that this Cliq shows the person, who has joined it or is to leave it.
fn is_in_cliq(row: &Membership) -> bool {
    row.cliq_id.is_some()
        && matches!(row.state, State::Joined | State::Restricted | State::RemovalStaged)
}

fn id_in_cliq(row: &Membership) -> Option<CliqId> {
    row.cliq_id.clone().or_else(|| row.zuid.as_ref().map(|zuid| CliqId::new(zuid.as_str())))
}
