//! Carrying out one batch: fresh reads, the plan once more over what they show, permit, claim, call.
//!
//! Nothing is written to Cliq from facts that are older than the step.

use std::collections::BTreeMap;

use super::places::problem;
use super::replan::Again;
use super::settle::GuestNote;
use super::unread::{Side, Unread, is_of_one};
use crate::domain::budget::Group;
use crate::domain::channel::{Guest, Members, Way};
use crate::domain::{Action, ActionId, CliqId, CrmUser, CrmUserId, Email, GuestId, Timestamp};
use crate::engine::{Desk, Engine, Host, Step};
use crate::logic::channels::{FULL, GuestVerdict, room};
use crate::store::outbox::{self, Batch, Cause};
use crate::store::{StoreError, Tx, guests, runs, told};
use crate::zoho::channels::{MEMBERS_MAX, People};
use crate::zoho::{CallError, Permit, Priority};

/// One person of a batch, ready to go.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) action: ActionId,
    pub(super) guest: GuestId,
    pub(super) way: Way,
    /// By whom the call names the person, as `way` says.
    pub(super) email: Option<Email>,
    pub(super) id: Option<CliqId>,
    /// Whether the person is known to have a Zoho account.
    pub(super) has_account: bool,
    /// The membership's generation.
    pub(super) generation: u32,
    /// What is known of the person in this organization's Cliq, for the second key.
    pub(super) member_of: Option<CliqId>,
    /// The ledger says that this Cliq shows the person: then no row is no answer.
    pub(super) is_here: bool,
}

/// What was read right before the call.
pub(super) struct Fresh {
    pub(super) channel_id: String,
    pub(super) members: Members,
    /// The list has fewer people than the channel itself says: nobody's absence from it counts.
    pub(super) short: bool,
    pub(super) crm: BTreeMap<CrmUserId, CrmUser>,
}

/// A call that is ready.
pub(super) struct Call {
    pub(super) channel: String,
    pub(super) channel_id: String,
    pub(super) removes: bool,
    /// Whether it is a part of a refused one.
    pub(super) parted: bool,
    pub(super) way: Way,
    pub(super) people: Vec<Candidate>,
}

impl Engine {
    /// Carries out the batch that is due longest.
    pub(super) async fn carry_out_batch(&self, host: &Host) -> Result<Step, StoreError> {
        let (organization, boot, now) = (host.id().clone(), self.inner.boot, self.now());
        let batch = self
            .inner
            .store
            .read(move |tx| outbox::next_batch(tx, &organization, boot, now, MEMBERS_MAX))
            .await?;
        let Some(mut batch) = batch else { return Ok(Step::Idle(None)) };
        let fresh = match self.read_for(host, &mut batch).await? {
            Ok(fresh) => fresh,
            Err(unread) => {
                self.delay(host, &batch.rows, unread).await?;
                return Ok(Step::Worked);
            }
        };
        if batch.rows.is_empty() {
            return Ok(Step::Worked);
        }
        let removes = batch.removes;
        let call = self.plan_batch(host, batch, fresh).await?;
        if removes {
            // What takes access away waits for rows that may have ended here.
            self.wake(&Desk::Access(host.id().clone()));
        }
        let Some(mut call) = call else { return Ok(Step::Worked) };
        if call.removes
            && let Err(unread) = self.second_keys(host, &mut call).await?
        {
            let rows: Vec<_> = call.people.iter().map(|one| (one.action, one.guest)).collect();
            self.delay(host, &rows, unread).await?;
            return Ok(Step::Worked);
        }
        if call.people.is_empty() {
            return Ok(Step::Worked);
        }
        let permit = match host.account.gate().try_take(Group::MembersWrite).await {
            Ok(permit) => permit,
            Err(wait) => return Ok(Step::Idle(Some(wait.until))),
        };
        let claimed = self.claim_call(host, &mut call).await?;
        if claimed.is_empty() {
            // Withdrawn, paused or frozen between the plan and the claim: what was not sent has come to
            // nothing, and least of all lets it anybody in. The permit is spent.
            return Ok(Step::Worked);
        }
        let result = self.send(host, &call, permit).await;
        self.book_call(host, call, claimed, result).await?;
        Ok(Step::Worked)
    }

    /// Reads the channel, its members and the people's CRM rows; `None` when the channel is not there.
    /// Whoever CRM refuses to show waits alone, and is left out of the batch.
    async fn read_for(
        &self,
        host: &Host,
        batch: &mut Batch,
    ) -> Result<Result<Option<Fresh>, Unread>, StoreError> {
        if !batch.removes && !self.may_invite(host).await? {
            return Ok(Ok(None));
        }
        let Some(id) = self.channel_id(host.id(), &batch.channel).await? else {
            return Ok(Ok(None));
        };
        let looked = match self.look_at_channel(host, &batch.channel, &id).await? {
            Ok(()) => host.cliq.members(&id, Priority::Webhook).await,
            Err(error) => Err(error),
        };
        let members = match looked {
            Ok(Some(members)) => members,
            Ok(None) => {
                self.note_absent(host, &batch.channel).await?;
                return Ok(Ok(None));
            }
            Err(error) => {
                if error.is_refusal() {
                    self.note_readable(host, &batch.channel, Some(&error)).await?;
                }
                return Ok(Err(Unread { side: Side::Channel, error, at: None }));
            }
        };
        if self.is_unreadable(host.id(), &batch.channel).await? {
            self.note_readable(host, &batch.channel, None).await?;
        }
        let short = self.is_short(host.id(), &batch.channel, &members).await?;
        let crm = self.read_people(host, batch).await?;
        Ok(crm.map(|crm| Some(Fresh { channel_id: id, members, short, crm })))
    }

    async fn read_people(
        &self,
        host: &Host,
        batch: &mut Batch,
    ) -> Result<Result<BTreeMap<CrmUserId, CrmUser>, Unread>, StoreError> {
        let rows = batch.rows.clone();
        let people = self
            .inner
            .store
            .read(move |tx| {
                let mut people = Vec::new();
                for row in rows {
                    people.extend(guests::get(tx, row.1)?.map(|guest| (row, guest.crm_user_id)));
                }
                Ok(people)
            })
            .await?;
        let users: Vec<CrmUserId> = people.iter().map(|(_, user)| user.clone()).collect();
        let (found, refused) = match read_users(host, &users).await {
            Ok(read) => read,
            Err((error, user)) => {
                let is_whose = |(_, other): &&(_, CrmUserId)| Some(other) == user.as_ref();
                let at = people.iter().find(is_whose).map(|((action, _), _)| *action);
                return Ok(Err(Unread { side: Side::Crm, error, at }));
            }
        };
        for (row, user) in people {
            let Some(error) = refused.get(&user) else { continue };
            batch.rows.retain(|one| *one != row);
            let unread = Unread { side: Side::Crm, error: error.clone(), at: None };
            self.delay_one(host, &batch.channel, row, unread).await?;
        }
        Ok(Ok(found))
    }

    /// Plans the batch's people once more. Who is not to be called any more is written down as the
    /// plan says; the others are ready, as far as they go the same way.
    async fn plan_batch(
        &self,
        host: &Host,
        batch: Batch,
        fresh: Option<Fresh>,
    ) -> Result<Option<Call>, StoreError> {
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .write("plan batch", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(None) };
                let again = Again { engine: &engine, tx, host, batch: &batch, fresh: &fresh, now };
                if fresh.is_some() {
                    told::end(tx, host.id(), Side::Crm.matter())?;
                }
                let mut ready = Vec::new();
                for (action, guest) in &batch.rows {
                    ready.extend(again.plan(*action, *guest)?);
                }
                if fresh.is_none() {
                    again.without_channel(&ready)?;
                } else if !batch.removes {
                    ready = engine.who_fits(tx, host, &batch.channel, ready, now)?;
                }
                runs::finish_applied(tx, now)?;
                let (Some(fresh), Some(first)) = (fresh, ready.first()) else { return Ok(None) };
                let way = first.way;
                ready.retain(|one| one.way == way);
                Ok(Some(Call {
                    channel: batch.channel,
                    channel_id: fresh.channel_id,
                    removes: batch.removes,
                    parted: batch.parted,
                    way,
                    people: ready,
                }))
            })
            .await
    }

    /// As many as fit, in the order of the memberships; the rest waits for room (Z19).
    fn who_fits(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        channel: &str,
        ready: Vec<Candidate>,
        now: Timestamp,
    ) -> Result<Vec<Candidate>, StoreError> {
        let spot = Self::spot(tx, host, channel, false)?;
        let open = guests::open(tx, host.id(), channel)?;
        let Some(room) = room(spot.facts(), open) else { return Ok(ready) };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut fits = ready;
        let rest = if fits.len() > room { fits.split_off(room) } else { Vec::new() };
        for one in &rest {
            let Some(before) = guests::get(tx, one.guest)? else { continue };
            let after = Guest { parked: Some(FULL.to_owned()), ..before.clone() };
            guests::put(tx, &after)?;
            let verdict = GuestVerdict::Parked(FULL.to_owned());
            let note = GuestNote {
                before: Some(&before),
                after: &after,
                event: verdict.word(),
                reason: &verdict.sentence(),
                by_operator: false,
                cause: outbox::cause(tx, one.action)?,
            };
            note.record(tx, now)?;
            outbox::drop_batch(tx, &[one.action], &verdict.sentence(), now)?;
        }
        let matter = format!("room in {channel}");
        if rest.is_empty() {
            told::end(tx, host.id(), &matter)?;
        } else {
            let notice = problem(host.id(), channel, FULL);
            self.tell_once(tx, host.id(), (&matter, FULL), &notice, now)?;
        }
        Ok(fits)
    }

    /// Claims the rows, and counts the invitations before they are sent: a crash between the call
    /// and its booking must not forget one (R48).
    async fn claim_call(&self, host: &Host, call: &mut Call) -> Result<Vec<Action>, StoreError> {
        let ids: Vec<ActionId> = call.people.iter().map(|one| one.action).collect();
        let counted = !call.removes && call.way == Way::Invitation;
        let (people, removes, organization) =
            (call.people.clone(), call.removes, host.id().clone());
        let (boot, now) = (self.inner.boot, self.now());
        let claimed = self
            .inner
            .store
            .write("claim batch", move |tx| {
                // Everything about these was read.
                Self::end_unread(tx, &organization, &ids, removes)?;
                let claimed = outbox::claim_batch(tx, &ids, boot, now)?;
                if claimed.is_empty() {
                    runs::finish_applied(tx, now)?;
                }
                for one in people.iter().filter(|_| counted) {
                    if !claimed.iter().any(|action| action.id == one.action) {
                        continue;
                    }
                    if let Some(mut guest) = guests::get(tx, one.guest)? {
                        guest.sends += 1;
                        guest.unanswered += 1;
                        guest.invited_at = Some(now);
                        guest.invited_as.clone_from(&one.email);
                        guests::put(tx, &guest)?;
                    }
                }
                Ok(claimed)
            })
            .await?;
        call.people.retain(|one| claimed.iter().any(|action| action.id == one.action));
        Ok(claimed)
    }

    async fn send(&self, host: &Host, call: &Call, permit: Permit) -> Result<(), CallError> {
        let emails: Vec<Email> = call.people.iter().filter_map(|one| one.email.clone()).collect();
        let ids: Vec<CliqId> = call.people.iter().filter_map(|one| one.id.clone()).collect();
        let people = match call.way {
            Way::Invitation => People::Emails(&emails),
            Way::Direct => People::Ids(&ids),
        };
        tracing::info!(
            organization = %host.id(), channel = call.channel, people = call.people.len(),
            removes = call.removes, "one member call"
        );
        if call.removes {
            host.cliq.remove_members(permit, &call.channel_id, people).await
        } else {
            host.cliq.add_members(permit, &call.channel_id, people).await
        }
    }
}

/// What CRM showed of people, and what it refused to show of others.
type Read = (BTreeMap<CrmUserId, CrmUser>, BTreeMap<CrmUserId, CallError>);

/// The people's current rows: one call for all of them, and one more for each whom it left out.
/// An error says at whom it ended, if it was a read of one.
async fn read_users(
    host: &Host,
    users: &[CrmUserId],
) -> Result<Read, (CallError, Option<CrmUserId>)> {
    let (mut found, mut refused) = Read::default();
    if users.len() > 1 {
        match host.crm.some(users).await {
            Ok(listed) => {
                found.extend(listed.iter().map(|user| (user.id.clone(), user.clone())));
            }
            // One of them may be what CRM refuses: each is asked for alone.
            Err(CallError::Refused { .. }) => {}
            Err(error) => return Err((error, None)),
        }
    }
    for user in users {
        if found.contains_key(user) {
            continue;
        }
        match host.crm.user(user).await {
            Ok(row) => found.extend(row.map(|row| (user.clone(), row))),
            Err(error) if is_of_one(&error) => {
                refused.insert(user.clone(), error);
            }
            Err(error) => return Err((error, Some(user.clone()))),
        }
    }
    Ok((found, refused))
}

/// The cause of nothing in particular, for what follows from a batch.
pub(super) const NO_CAUSE: Cause = Cause { delivery: None, run: None };
