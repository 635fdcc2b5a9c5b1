//! Carrying out one batch: fresh reads, the plan once more over what they show, permit, claim, call.
//!
//! Nothing is written to Cliq from facts that are older than the step.

use std::collections::{BTreeMap, BTreeSet};

use super::again;
use super::places::problem;
use super::replan::Again;
use super::settle::GuestNote;
use crate::domain::budget::Group;
use crate::domain::channel::{Guest, Members, Way};
use crate::domain::{
    Action, ActionId, Class, CliqId, CliqUser, CrmUser, CrmUserId, Directory, Email, GuestId,
    Timestamp,
};
use crate::engine::{Desk, Engine, Host, Step};
use crate::logic::channels::{FULL, GuestVerdict, NOT_EXTERNAL, NOT_IN_CLIQ, room};
use crate::logic::plan::classify;
use crate::store::outbox::{self, Batch, Cause};
use crate::store::{StoreError, Tx, guests, orgs, runs, told};
use crate::zoho::channels::{MEMBERS_MAX, People};
use crate::zoho::{CallError, Permit, Priority};

/// Pages of a listing of everybody, where none was made yet.
const UNKNOWN_PAGES: u32 = 8;

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
        let Some(batch) = batch else { return Ok(Step::Idle(None)) };
        let fresh = match self.read_for(host, &batch).await? {
            Ok(fresh) => fresh,
            Err(error) => {
                self.delay(host, &batch.rows, &error).await?;
                return Ok(Step::Worked);
            }
        };
        let removes = batch.removes;
        let call = self.plan_batch(host, batch, fresh).await?;
        if removes {
            // What takes access away waits for rows that may have ended here.
            self.wake(&Desk::Access(host.id().clone()));
        }
        let Some(mut call) = call else { return Ok(Step::Worked) };
        if call.removes
            && let Err(error) = self.second_keys(host, &mut call).await?
        {
            let rows: Vec<_> = call.people.iter().map(|one| (one.action, one.guest)).collect();
            self.delay(host, &rows, &error).await?;
            return Ok(Step::Worked);
        }
        if call.people.is_empty() {
            return Ok(Step::Worked);
        }
        let permit = match host.account.gate().try_take(Group::MembersWrite).await {
            Ok(permit) => permit,
            Err(wait) => return Ok(Step::Idle(Some(wait.until))),
        };
        let claimed = self.claim_call(&mut call).await?;
        let result = self.send(host, &call, permit).await;
        self.book_call(host, call, claimed, result).await?;
        Ok(Step::Worked)
    }

    /// Reads the channel, its members and the people's CRM rows; `None` in the first when the
    /// channel is not there.
    async fn read_for(
        &self,
        host: &Host,
        batch: &Batch,
    ) -> Result<Result<Option<Fresh>, CallError>, StoreError> {
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
                return Ok(Err(error));
            }
        };
        if self.is_unreadable(host.id(), &batch.channel).await? {
            self.note_readable(host, &batch.channel, None).await?;
        }
        let short = self.is_short(host.id(), &batch.channel, &members).await?;
        let ids = batch.rows.iter().map(|(_, guest)| *guest).collect::<Vec<_>>();
        let users = self
            .inner
            .store
            .read(move |tx| {
                let mut users = Vec::new();
                for id in ids {
                    users.extend(guests::get(tx, id)?.map(|guest| guest.crm_user_id));
                }
                Ok(users)
            })
            .await?;
        Ok(match self.read_users(host, &users).await {
            Ok(crm) => Ok(Some(Fresh { channel_id: id, members, short, crm })),
            Err(error) => Err(error),
        })
    }

    /// The people's current rows: one call for all of them, and one more for each whom it left out.
    async fn read_users(
        &self,
        host: &Host,
        users: &[CrmUserId],
    ) -> Result<BTreeMap<CrmUserId, CrmUser>, CallError> {
        let mut found = BTreeMap::new();
        if users.len() > 1 {
            match host.crm.some(users).await {
                Ok(listed) => {
                    found.extend(listed.iter().map(|user| (user.id.clone(), user.clone())));
                }
                // One of them may be what CRM refuses: each is asked for alone.
                Err(CallError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for user in users {
            if !found.contains_key(user)
                && let Some(row) = host.crm.user(user).await?
            {
                found.insert(user.clone(), row);
            }
        }
        Ok(found)
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

    /// The second of two keys: a fresh read that says External, for each person who is to be taken out
    /// (R29). Whoever never was in this Cliq is a guest from elsewhere, and needs no row there.
    async fn second_keys(
        &self,
        host: &Host,
        call: &mut Call,
    ) -> Result<Result<(), CallError>, StoreError> {
        let mut refused = BTreeMap::new();
        let id = host.id().clone();
        let pages = self.inner.store.read(move |tx| orgs::state(tx, &id)).await?.cliq_pages;
        let pages = usize::try_from(pages.unwrap_or(UNKNOWN_PAGES)).unwrap_or(usize::MAX);
        // One by one, as long as that takes no more calls than a listing.
        let directory = if call.people.len() > pages {
            match host.cliq.directory(host.passes(), Priority::Webhook).await {
                Ok(directory) => Some(directory),
                Err(error) => return Ok(Err(error)),
            }
        } else {
            None
        };
        for one in &call.people {
            let rows = match &directory {
                Some(directory) => listed(directory, one),
                None => match read_rows(host, one).await {
                    Ok(rows) => rows,
                    Err(error) => return Ok(Err(error)),
                },
            };
            if let Err(code) = is_external(host, one, &rows) {
                refused.insert(one.action, code);
            }
        }
        if refused.is_empty() {
            return Ok(Ok(()));
        }
        let (out, go): (Vec<_>, Vec<_>) = std::mem::take(&mut call.people)
            .into_iter()
            .partition(|one| refused.contains_key(&one.action));
        call.people = go;
        let now = self.now();
        self.inner
            .store
            .write("not external", move |tx| {
                for one in &out {
                    let code = refused.get(&one.action).copied().unwrap_or(NOT_EXTERNAL);
                    refuse_removal(tx, one, code, now)?;
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await?;
        Ok(Ok(()))
    }

    /// Claims the rows, and counts the invitations before they are sent: a crash between the call
    /// and its booking must not forget one (R48).
    async fn claim_call(&self, call: &mut Call) -> Result<Vec<Action>, StoreError> {
        let ids: Vec<ActionId> = call.people.iter().map(|one| one.action).collect();
        let counted = !call.removes && call.way == Way::Invitation;
        let people = call.people.clone();
        let (boot, now) = (self.inner.boot, self.now());
        let claimed = self
            .inner
            .store
            .write("claim batch", move |tx| {
                let claimed = outbox::claim_batch(tx, &ids, boot, now)?;
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
        if call.people.is_empty() {
            // Withdrawn between the plan and the claim; the permit is spent.
            return Ok(());
        }
        if call.removes {
            host.cliq.remove_members(permit, &call.channel_id, people).await
        } else {
            host.cliq.add_members(permit, &call.channel_id, people).await
        }
    }

    /// Lets rows wait whose facts could not be read; that is no attempt.
    async fn delay(
        &self,
        host: &Host,
        rows: &[(ActionId, GuestId)],
        error: &CallError,
    ) -> Result<(), StoreError> {
        let ids: Vec<ActionId> = rows.iter().map(|(action, _)| *action).collect();
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (at, text) = (again(error, now), error.to_string());
        let shut = matches!(error, CallError::Unauthorized { .. } | CallError::Forbidden { .. });
        tracing::warn!(%organization, %error, %at, "channel rows wait for a read");
        self.inner
            .store
            .write("delay batch", move |tx| {
                if shut {
                    engine.tell_shut(tx, &organization, &text, now)?;
                }
                outbox::delay_batch(tx, &ids, at, &text)?;
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }
}

/// The rows of a complete directory that can be the person.
fn listed(directory: &Directory, one: &Candidate) -> Vec<CliqUser> {
    let ids = [&one.member_of, &one.id];
    let by_id = ids.into_iter().flatten().filter_map(|id| directory.get(id));
    let by_email = one.email.iter().flat_map(|email| directory.by_email(email));
    by_id.chain(by_email).cloned().collect()
}

/// Whether every row of the person says External; else why they are left alone. No row at all is
/// somebody from elsewhere, unless the ledger says that they are in this Cliq: then the mark was lost
/// between plan and call.
fn is_external(host: &Host, one: &Candidate, rows: &[CliqUser]) -> Result<(), &'static str> {
    if rows.is_empty() && one.is_here {
        return Err(NOT_IN_CLIQ);
    }
    let external = rows.iter().all(|row| classify(&host.policy, row) == Class::External);
    if external { Ok(()) } else { Err(NOT_EXTERNAL) }
}

async fn read_rows(host: &Host, one: &Candidate) -> Result<Vec<CliqUser>, CallError> {
    let mut rows = Vec::new();
    let ids: BTreeSet<&CliqId> = one.member_of.iter().chain(&one.id).collect();
    for id in &ids {
        rows.extend(host.cliq.user(id.as_str()).await?);
    }
    if ids.is_empty()
        && let Some(email) = &one.email
    {
        rows.extend(host.cliq.search(email).await?);
    }
    Ok(rows)
}

/// Cliq does not show the person as external: left alone, and written down.
fn refuse_removal(
    tx: &Tx<'_>,
    one: &Candidate,
    code: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let verdict = GuestVerdict::Parked(code.to_owned());
    if let Some(before) = guests::get(tx, one.guest)? {
        let after = Guest { parked: Some(code.to_owned()), ..before.clone() };
        guests::put(tx, &after)?;
        let note = GuestNote {
            before: Some(&before),
            after: &after,
            event: verdict.word(),
            reason: "Not taken out of the channel: Cliq does not show the person as external (R29).",
            by_operator: false,
            cause: outbox::cause(tx, one.action)?,
        };
        note.record(tx, now)?;
    }
    outbox::drop_batch(tx, &[one.action], &verdict.sentence(), now)
}

/// The cause of nothing in particular, for what follows from a batch.
pub(super) const NO_CAUSE: Cause = Cause { delivery: None, run: None };
