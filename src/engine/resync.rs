//! Runs: one person, one organization or everything, through the same planner as a webhook.
//!
//! A run decides for everybody first, so that what is too much as a whole is held as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::apply::Look;
use super::facts::{ReadError, Sides};
use super::guard::Bounds;
use super::held::noted;
use super::outlook::{Closed, Outlook, Reading, licence_line};
use super::resolve::is_deleted;
use super::{Desk, Engine, Host, Step};
use crate::domain::plan::{Hold, Plan};
use crate::domain::run::RunState;
use crate::domain::{
    CrmUser, CrmUserId, Email, Failure, Membership, OrgId, RunId, State, Timestamp,
};
use crate::logic::plan::Verdict;
use crate::store::outbox::Cause;
use crate::store::runs::{self, Note, Run};
use crate::store::{StoreError, Tx, ledger, looks, orgs};
use crate::zoho::{Calls, Meter, Priority};

/// How often one person is read in a run, while webhooks bring news of them meanwhile.
const PERSON_LOOKS_MAX: usize = 3;

/// People planned in one transaction.
pub(super) const PEOPLE_PER_TRANSACTION: usize = 200;

impl Engine {
    /// Carries out the organization's next run.
    pub(super) async fn run(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        // Nobody else reads or queues for the organization meanwhile: an approval waits its turn.
        let turn = self.turn(organization).await;
        let (id, boot, now) = (organization.clone(), self.inner.boot, self.now());
        let claimed = self
            .inner
            .store
            .write("claim run", move |tx| {
                looks::forget(tx, &id)?;
                runs::claim(tx, &id, boot, now)
            })
            .await?;
        let Some(run) = claimed else { return Ok(Step::Idle(None)) };
        tracing::info!(run = %run.id, %organization, person = run.person.is_some(), "run begins");
        let host = &host.for_run(&Meter::default());
        let result = match &run.person {
            None => self.run_everybody(host, &run).await,
            Some(person) => self.run_one(host, &run, person).await,
        };
        drop(turn);
        match result {
            Ok(()) => {}
            Err(ReadError::Store(error @ StoreError::Superseded(_))) => {
                tracing::warn!(run = %run.id, %organization, %error, "a run was fenced off");
            }
            Err(ReadError::Store(error)) => {
                // If the store fails again here, the run is taken up again as it stands.
                self.fail(host, &run, Failure::transient(error.to_string())).await?;
                return Err(error);
            }
            Err(error) => {
                let failure = self.book_failed_read(host, error).await?.failure;
                self.fail(host, &run, failure).await?;
            }
        }
        self.wake_outbox(organization);
        // Of whom there was news meanwhile, the hints look again; the invitation clock may have waited.
        self.wake(&Desk::Hints(organization.clone()));
        self.wake(&Desk::Clock(organization.clone()));
        Ok(Step::Worked)
    }

    async fn run_everybody(&self, host: &Host, run: &Run) -> Result<(), ReadError> {
        let reading = self.read_everybody(host, run).await?;
        let hold = self.hold_of(host).await?;
        let sides = Arc::clone(&reading.sides);
        let goes = hold.is_none();
        self.plan_and_queue(host, run, &reading, hold, true).await?;
        if goes {
            self.note_members(host, &sides).await?;
        }
        Ok(())
    }

    /// What holds the organization's runs back, whatever is in them.
    async fn hold_of(&self, host: &Host) -> Result<Option<Hold>, StoreError> {
        let (engine, id) = (self.clone(), host.id().clone());
        self.inner
            .store
            .read(move |tx| engine.host(&id).map_or(Ok(None), |host| engine.whole_hold(tx, host)))
            .await
    }

    /// Reads both sides and every mapped channel, and notes what that says of the organization.
    pub(super) async fn read_everybody(
        &self,
        host: &Host,
        run: &Run,
    ) -> Result<Reading, ReadError> {
        let sides = self.list(host, Priority::Run).await?;
        self.read_members(host, run, &sides).await?;
        self.note_listing(host, &sides).await?;
        let people = self.everybody(host, &sides).await?;
        Ok(Reading { sides, people, person: None, calls: host.account.calls() })
    }

    /// Everybody whom CRM or the ledger knows, in the order of the ids.
    pub(super) async fn everybody(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
    ) -> Result<Vec<CrmUserId>, StoreError> {
        let id = host.id().clone();
        let known = self.inner.store.read(move |tx| ledger::users(tx, &id)).await?;
        let listed = sides.roster.iter().map(|user| user.id.clone());
        Ok(listed.chain(known).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn run_one(&self, host: &Host, run: &Run, person: &str) -> Result<(), ReadError> {
        let reading = self.read_one(host, person, true).await?;
        if reading.people.is_empty() {
            // Asked of every organization, most of them need not know the person. That may have been
            // asked after this one was taken up.
            let id = run.id;
            let asked = self.inner.store.read(move |tx| runs::get(tx, id)).await?;
            let of_all = asked.is_some_and(|run| run.parent.is_some());
            let state = if of_all { RunState::Done } else { RunState::Failed };
            let counts = noted_calls(reading.calls);
            let note = Note {
                state,
                counts: counts.to_string(),
                held: "[]".to_owned(),
                error: Some(nobody(host.id())),
                plan: None,
            };
            return Ok(self.note_run(run.id, note).await?);
        }
        let mut reading = reading;
        for look in 1..=PERSON_LOOKS_MAX {
            let (hold, is_last) = (self.hold_of(host).await?, look == PERSON_LOOKS_MAX);
            if self.plan_and_queue(host, run, &reading, hold, is_last).await? {
                break;
            }
            // A webhook was quicker; but what an operator asked for is more than it does.
            reading = self.read_one(host, person, true).await?;
        }
        Ok(())
    }

    /// Reads one person, by whatever they are named; nobody, if the organization does not know them.
    /// Notes what that says of the organization, and reads the person's channels, unless it is dry.
    pub(super) async fn read_one(
        &self,
        host: &Host,
        person: &str,
        notes: bool,
    ) -> Result<Reading, ReadError> {
        let (id, name) = (host.id().clone(), person.to_owned());
        let known = self.inner.store.read(move |tx| ledger::find(tx, Some(&id), &name)).await?;
        let email = Email::parse(person).ok();
        // An address may have been another's before: whoever has it now is meant.
        let is_open = |row: &&Membership| row.is_live() || row.state == State::RemovalStaged;
        let known_row = known.iter().find(is_open).or(known.first());
        let candidate = match known_row {
            Some(row) => Some(row.crm_user_id.clone()),
            None => email.is_none().then(|| CrmUserId::new(person)),
        };
        let goes = known_row.as_ref().is_some_and(is_open);
        let mut leaver = None;
        let asked = Some(person.to_owned());
        if let Some(user) = candidate {
            let sides = self.look_at(host, &user).await?;
            if notes {
                self.note_good_read(host, false).await?;
            }
            if goes && sides.roster.get(&user).is_none_or(is_deleted) {
                leaver = Some(user);
            } else if sides.roster.get(&user).is_some() || !known.is_empty() {
                if notes {
                    self.read_members_of(host, &sides, &user).await?;
                }
                let calls = host.account.calls();
                return Ok(Reading { sides, people: vec![user], person: asked, calls });
            }
        }
        // Named by a zuid or an address that the ledger does not know, or gone from CRM: only a
        // listing can tell.
        let sides = self.list(host, Priority::Webhook).await?;
        if notes {
            self.note_listing(host, &sides).await?;
        }
        let people = match leaver {
            Some(user) => vec![user],
            None => named(&sides, person, email.as_ref()),
        };
        if let (true, [user]) = (notes, people.as_slice()) {
            self.read_members_of(host, &sides, user).await?;
        }
        Ok(Reading { sides, people, person: asked, calls: host.account.calls() })
    }

    /// Makes the plan, then queues what nothing holds back in a few transactions. False if news of the
    /// one person came meanwhile, and this is not the last look at them: then nothing was decided.
    async fn plan_and_queue(
        &self,
        host: &Host,
        run: &Run,
        reading: &Reading,
        hold: Option<Hold>,
        is_last: bool,
    ) -> Result<bool, ReadError> {
        let Outlook { mut plan, closed } = self.look_ahead(host, reading, hold.clone()).await?;
        if run.person.is_none() {
            self.note_foreign(host, &plan.foreign).await?;
        }
        // There is nothing to approve of a person for whom nothing is to be done.
        let hold = hold.filter(|_| run.person.is_none() || !plan.lines.is_empty());
        let task = Task::of(run, reading);
        if hold.is_some() {
            if hold == Some(Hold::Scope) {
                self.note_unplanned(host, &task, &reading.people, &plan, closed).await?;
            }
            self.hold_run(host, run, &plan, hold.as_ref()).await?;
            return Ok(true);
        }
        let mut refused = BTreeMap::new();
        let contradicted = plan.contradicted();
        let mut people = reading.people.clone();
        people.retain(|user| !contradicted.contains(user));
        let stuck = !contradicted.is_empty();
        for some in people.chunks(PEOPLE_PER_TRANSACTION) {
            refused.extend(self.queue(host, &task, some.to_vec(), closed).await?);
        }
        let whole = run.person.is_none();
        if !is_last && refused.values().any(|why| *why == Left::Overtaken) {
            return Ok(false);
        }
        leave_out(&mut plan, &refused);
        if whole {
            self.settle_licences(host, run, reading, &mut plan).await?;
        }
        if whole && !closed.anything() {
            let (organization, now) = (host.id().clone(), self.now());
            self.inner
                .store
                .write("note first run", move |tx| orgs::note_run(tx, &organization, now))
                .await?;
        }
        if stuck || plan.waiting().next().is_some() {
            self.hold_run(host, run, &plan, None).await?;
            return Ok(true);
        }
        if whole {
            self.forget_hold(host).await?;
        }
        self.note_run(run.id, noted(&plan, RunState::Applying, None)).await?;
        Ok(true)
    }

    /// Notes what was read of people for whom nothing is planned while a changed scope waits for its
    /// approval: who has joined meanwhile is not to be reminded.
    async fn note_unplanned(
        &self,
        host: &Host,
        task: &Task,
        people: &[CrmUserId],
        plan: &Plan,
        closed: Closed,
    ) -> Result<(), StoreError> {
        let planned: BTreeSet<&CrmUserId> =
            plan.lines.iter().map(|line| &line.crm_user_id).chain(plan.contradicted()).collect();
        let rest: Vec<CrmUserId> =
            people.iter().filter(|user| !planned.contains(user)).cloned().collect();
        self.note_the_rest(host, task, &rest, closed, false).await
    }

    /// Licences, after everybody was planned; whoever goes without one is named in the plan.
    async fn settle_licences(
        &self,
        host: &Host,
        run: &Run,
        reading: &Reading,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let cause = Cause { delivery: None, run: Some(run.id) };
        self.note_licences(host, &reading.sides, cause).await?;
        let without = self.assign_licences(host, &reading.sides, cause).await?;
        plan.lines.retain(|line| line.hold != Some(Hold::NoSeat));
        if let Ok(count @ 1..) = u32::try_from(without.len()) {
            plan.counts.verdicts.insert("no_licence", count);
        }
        plan.lines.extend(without.iter().map(|row| licence_line(row, Some(Hold::NoSeat))));
        Plan::sort(&mut plan.lines);
        Ok(())
    }

    /// The same decisions without writing any: what the run is about to do.
    pub(super) async fn look_ahead(
        &self,
        host: &Host,
        reading: &Reading,
        hold: Option<Hold>,
    ) -> Result<Outlook, StoreError> {
        let (engine, organization) = (self.clone(), host.id().clone());
        let (reading, now) = (reading.clone(), self.now());
        self.inner
            .store
            .read(move |tx| {
                // A configured organization does not go away while the daemon runs.
                let host = engine.host(&organization).ok_or(StoreError::Gone)?;
                engine.outlook(tx, host, &reading, hold.as_ref(), now)
            })
            .await
    }

    /// Queues these people's part of the plan. Answers who was left out of it, and why.
    async fn queue(
        &self,
        host: &Host,
        task: &Task,
        people: Vec<CrmUserId>,
        closed: Closed,
    ) -> Result<Vec<(CrmUserId, Left)>, StoreError> {
        let (engine, organization, task) = (self.clone(), host.id().clone(), task.clone());
        let (boot, now) = (self.inner.boot, self.now());
        self.inner
            .store
            .write("queue run", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(Vec::new()) };
                if !runs::is_held(tx, task.run, boot)? {
                    return Err(StoreError::Superseded(task.run));
                }
                let mut bounds = engine.bounds(tx, &organization, now)?;
                bounds.close(closed);
                let mut left = Vec::new();
                for user in &people {
                    let before = bounds.held();
                    let look = task.look(host, user, now);
                    let verdict = engine.settle_planned(tx, &look, &mut bounds)?;
                    if verdict == Verdict::Overtaken {
                        left.push((user.clone(), Left::Overtaken));
                    } else if let Some(why) = bounds.held_since(before) {
                        left.push((user.clone(), Left::Held(why)));
                    }
                }
                if task.rearm {
                    engine.tell_bounds(tx, host, &bounds, now)?;
                } else {
                    engine.tell_vanishing(tx, host, &bounds, now)?;
                }
                Ok(left)
            })
            .await
    }

    /// Settles one person of a plan.
    pub(super) fn settle_planned(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        bounds: &mut Bounds,
    ) -> Result<Verdict, StoreError> {
        let verdict = self.settle_person(tx, look, bounds)?;
        if look.rearm {
            looks::note(tx, look.host.id(), look.user, look.sides.begun_at)?;
        }
        Ok(verdict)
    }

    /// Writes down how far the run is, if it is still ours.
    pub(super) async fn note_run(&self, run: RunId, note: Note) -> Result<(), StoreError> {
        let (boot, now) = (self.inner.boot, self.now());
        tracing::info!(%run, state = %note.state, counts = note.counts, error = note.error, "run noted");
        self.inner
            .store
            .write("note run", move |tx| {
                if !runs::is_held(tx, run, boot)? {
                    return Err(StoreError::Superseded(run));
                }
                if note.state != RunState::Failed {
                    orgs::note_good_run(tx, run, now)?;
                }
                runs::note(tx, run, &note, now)?;
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }

    /// A failed read ends the run; nothing is planned from it (I2, I3).
    async fn fail(&self, host: &Host, run: &Run, failure: Failure) -> Result<(), StoreError> {
        let mut calls = host.account.calls();
        if run.person.is_none() {
            // A listing that did not end tells no size: the last one that did stands for it.
            let id = host.id().clone();
            let known = self.inner.store.read(move |tx| orgs::state(tx, &id)).await?;
            let pages = known.crm_pages.unwrap_or(0) + known.cliq_pages.unwrap_or(0);
            calls.needed = calls.needed.max(pages);
        }
        let note = Note {
            state: RunState::Failed,
            counts: noted_calls(calls).to_string(),
            held: "[]".to_owned(),
            error: Some(failure.to_string()),
            plan: None,
        };
        self.note_run(run.id, note).await
    }
}

/// What a plan is carried out from.
#[derive(Clone)]
pub(super) struct Task {
    /// The run.
    pub(super) run: RunId,
    /// Both sides as they were read.
    pub(super) sides: Arc<Sides>,
    /// An operator asked for these very people.
    pub(super) rearm: bool,
}

impl Task {
    pub(super) fn of(run: &Run, reading: &Reading) -> Self {
        Self { run: run.id, sides: Arc::clone(&reading.sides), rearm: run.person.is_some() }
    }

    /// What is written down as its cause.
    pub(super) fn cause(&self) -> Cause {
        Cause { delivery: None, run: Some(self.run) }
    }

    /// The look at one of its people.
    pub(super) fn look<'a>(
        &'a self,
        host: &'a Host,
        user: &'a CrmUserId,
        now: Timestamp,
    ) -> Look<'a> {
        Look { host, user, sides: &self.sides, cause: self.cause(), rearm: self.rearm, now }
    }
}

/// Whom a listing shows by this zuid or address.
fn named(sides: &Sides, name: &str, email: Option<&Email>) -> Vec<CrmUserId> {
    let is_meant = |user: &&CrmUser| {
        user.email.as_ref().is_some_and(|address| Some(address) == email)
            || user.zuid.as_ref().is_some_and(|zuid| zuid.as_str() == name)
    };
    sides.roster.iter().filter(is_meant).map(|user| user.id.clone()).collect()
}

/// What an unknown person's run says.
pub(super) fn nobody(organization: &OrgId) -> String {
    format!("no CRM user of {organization} has this id, zuid or address")
}

/// Why somebody's part of a plan was not queued, although nothing of it was to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Left {
    /// A webhook was faster, and left less room than the look ahead saw.
    Held(String),
    /// There is news of the person since they were read.
    Overtaken,
}

/// Says in the plan who was left out of it.
fn leave_out(plan: &mut Plan, left: &BTreeMap<CrmUserId, Left>) {
    let held: BTreeSet<CrmUserId> = plan.held().map(|line| line.crm_user_id.clone()).collect();
    for line in &mut plan.lines {
        let why = left.get(&line.crm_user_id).filter(|_| line.hold.is_none());
        line.hold = match why {
            Some(Left::Overtaken) => Some(Hold::Overtaken),
            Some(Left::Held(why)) if !held.contains(&line.crm_user_id) => {
                Some(Hold::Guard(why.clone()))
            }
            _ => line.hold.take(),
        };
    }
}

/// What reading cost, as a run's row keeps it.
fn noted_calls(calls: Calls) -> Value {
    json!({ "calls_used": calls.used, "calls_needed": calls.needed })
}
