//! Approving a held run: both sides are read again, the plan is made again, and if it is the approved
//! one, exactly that is queued, in one transaction: all of it or nothing.
//!
//! The guard is open for those lines alone and in memory alone, so a crash leaves nothing open. What
//! of the plan went on without approval may have happened meanwhile; anything else that differs is a
//! refusal, also when nothing is left to do. Deliberately absent: raising limits, and letting through
//! what contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::approvable::NotApproved;
use super::facts::ReadError;
use super::held::{HELD_MATTERS, held_rows, noted};
use super::outlook::{Closed, Outlook, Reading};
use super::resync::{PEOPLE_PER_TRANSACTION, Task};
use super::{Desk, Engine, Host};
use crate::domain::plan::{Hold, Plan};
use crate::domain::run::RunState;
use crate::domain::{CrmUserId, OrgId, RunId, Timestamp};
use crate::logic::plan::Verdict;
use crate::logic::seal::{self, Print};
use crate::store::audit::{self, Entry};
use crate::store::runs::{self, Run};
use crate::store::{StoreError, Tx, orgs, told};
use crate::zoho::Meter;

/// An approval that was carried out: everything is in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The run, which goes on as any other.
    pub run: RunId,
    /// How far it is.
    pub state: RunState,
    /// The plan's checksum.
    pub checksum: String,
    /// Changes that were let go.
    pub changes: usize,
    /// People left out, because something newer was known of them by then.
    pub left_out: usize,
    /// Lines that were not let go, each with its reason, as in the run's view.
    pub held: Vec<Value>,
}

/// What is let go, and for whom.
struct Permit {
    task: Task,
    organization: OrgId,
    /// The plan as it is now, which is the approved one.
    plan: Plan,
    closed: Closed,
    /// The approved lines of each person.
    lines: BTreeMap<CrmUserId, Vec<Print>>,
    actor: String,
    hold: Option<String>,
    checksum: String,
}

impl Engine {
    /// Approves a held run by the checksum of its plan. Reads both sides, which may take long.
    ///
    /// # Errors
    /// [`NotApproved`], and then nothing was done.
    pub async fn approve(
        &self,
        run: RunId,
        checksum: &str,
        actor: &str,
    ) -> Result<Approved, NotApproved> {
        let (engine, checksum, actor) = (self.clone(), checksum.to_owned(), actor.to_owned());
        // Goes on when the caller goes away.
        tokio::spawn(async move { engine.approve_run(run, &checksum, &actor).await })
            .await
            .unwrap_or(Err(NotApproved::Store(StoreError::Gone)))
    }

    async fn approve_run(
        &self,
        id: RunId,
        checksum: &str,
        actor: &str,
    ) -> Result<Approved, NotApproved> {
        let run = self.approvable(id, checksum).await?;
        let host = run.organization.as_ref().and_then(|organization| self.host(organization));
        let Some(host) = host else {
            let why = "the organization of this run is not configured any more";
            return Err(NotApproved::NotHeld(why.to_owned()));
        };
        let turn = self.turn(host.id()).await;
        // A run may have held something else while this one waited for its turn.
        let run = self.approvable(id, checksum).await?;
        let host = &host.metered(&Meter::default());
        let reading = self.read_for_approval(host, &run).await?;
        let Outlook { plan, closed } = self.look_ahead(host, &reading, None).await?;
        self.compare(&run, checksum, &plan).await?;
        let permit = Permit {
            task: Task::of(&run, &reading),
            organization: host.id().clone(),
            lines: by_person(&plan),
            plan,
            closed,
            actor: actor.to_owned(),
            hold: run.hold.clone(),
            checksum: checksum.to_owned(),
        };
        let approved = self.let_go(host, &run, reading, permit).await;
        drop(turn);
        self.wake_outbox(host.id());
        approved
    }

    async fn read_for_approval(&self, host: &Host, run: &Run) -> Result<Reading, NotApproved> {
        let read = match &run.person {
            None => self.read_everybody(host, run).await,
            Some(person) => self.read_one(host, person, true).await,
        };
        read.map_err(|error| match error {
            ReadError::Store(error) => NotApproved::Store(error),
            ReadError::Empty(what) => NotApproved::Outside(what.to_owned()),
            ReadError::Call(error) => NotApproved::Outside(error.failure(self.now()).to_string()),
        })
    }

    async fn let_go(
        &self,
        host: &Host,
        run: &Run,
        reading: Reading,
        permit: Permit,
    ) -> Result<Approved, NotApproved> {
        let whole = run.person.is_none();
        if whole {
            self.note_licences(host, &reading.sides, permit.task.cause()).await?;
        }
        let (task, closed) = (permit.task.clone(), permit.closed);
        let concerned = permit.plan.contradicted().into_iter().cloned();
        let concerned: BTreeSet<CrmUserId> =
            concerned.chain(permit.lines.keys().cloned()).collect();
        let (engine, now) = (self.clone(), self.now());
        // One transaction, however many people: less than a millisecond each, in which webhooks wait.
        let queued = self
            .inner
            .store
            .write("queue approved", move |tx| engine.queue_all(tx, permit, whole, now))
            .await?;
        let Some(approved) = queued else { return Err(NotApproved::Already(run.id)) };
        // It is approved; what is only noted of the others, the next run notes as well.
        let mut rest = reading.people;
        rest.retain(|user| !concerned.contains(user));
        let noted = self.note_the_rest(host, &task, &rest, closed, whole).await;
        self.wake(&Desk::Hints(host.id().clone()));
        if let Err(error) = noted {
            tracing::warn!(run = %run.id, %error, "not everything that was read is noted");
        }
        Ok(approved)
    }

    /// Queues what was approved, and says so of the run and of the organization. `None` if the run is
    /// not held any more.
    fn queue_all(
        &self,
        tx: &Tx<'_>,
        permit: Permit,
        whole: bool,
        now: Timestamp,
    ) -> Result<Option<Approved>, StoreError> {
        let (id, organization) = (permit.task.run, &permit.organization);
        let Some(host) = self.host(organization) else { return Ok(None) };
        if !begin(tx, host, &permit, now)? {
            return Ok(None);
        }
        let left_out = self.queue_approved(tx, host, &permit, now)?;
        let mut seated = BTreeSet::new();
        if whole {
            seated = self.seat_approved(tx, host, &permit, now)?;
            orgs::note_run(tx, organization, now)?;
            self.approve_scope(tx, organization)?;
            HELD_MATTERS.iter().try_for_each(|what| told::end(tx, organization, what))?;
        }
        let mut plan = permit.plan;
        for line in &mut plan.lines {
            let goes = line.hold.as_ref().is_none_or(Hold::waits_for_approval);
            let done = if line.is_licence() {
                seated.contains(&line.crm_user_id)
            } else {
                !left_out.contains(&line.crm_user_id)
            };
            if goes {
                line.hold = (!done).then_some(Hold::Overtaken);
            }
        }
        // Under the name by which it was approved, also when some of it had gone on before.
        plan.checksum = permit.checksum;
        runs::note(tx, id, &noted(&plan, RunState::Applying, None), now)?;
        runs::finish_applied(tx, now)?;
        let state = runs::get(tx, id)?.map_or(RunState::Applying, |run| run.state);
        let (changes, held) = (plan.free().count(), held_rows(&plan));
        let (checksum, left_out) = (plan.checksum, left_out.len());
        Ok(Some(Approved { run: id, state, checksum, changes, left_out, held }))
    }

    /// Queues each person's approved lines. Answers who was left out.
    fn queue_approved(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<BTreeSet<CrmUserId>, StoreError> {
        let mut bounds = self.bounds(tx, host.id(), now)?;
        bounds.close(permit.closed);
        bounds.open(true);
        let mut left_out = BTreeSet::new();
        for (user, approved) in &permit.lines {
            let look = permit.task.look(host, user, now);
            // Something newer may be known of the person: then the next run plans anew.
            let same = self.prints(tx, &look)? == *approved;
            if !same || self.settle_planned(tx, &look, &mut bounds)? == Verdict::Overtaken {
                left_out.insert(user.clone());
            }
        }
        self.tell_vanishing(tx, host, &bounds, now)?;
        Ok(left_out)
    }

    /// Gives the licences that the approved plan had, as far as there still are seats. Answers to whom.
    fn seat_approved(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<BTreeSet<CrmUserId>, StoreError> {
        let licences = permit.plan.lines.iter().filter(|line| line.is_licence());
        let planned: BTreeSet<CrmUserId> = licences.map(|line| line.crm_user_id.clone()).collect();
        let (task, cause) = (&permit.task, permit.task.cause());
        let seating = self.seat(tx, host, &task.sides, Some(&planned), cause, now)?;
        Ok(seating.given.into_iter().map(|row| row.crm_user_id).collect())
    }

    /// Notes what was seen of everybody whom the plan has no line of.
    pub(super) async fn note_the_rest(
        &self,
        host: &Host,
        task: &Task,
        people: &[CrmUserId],
        closed: Closed,
        whole: bool,
    ) -> Result<(), StoreError> {
        for some in people.chunks(PEOPLE_PER_TRANSACTION) {
            let (engine, organization) = (self.clone(), host.id().clone());
            let (task, some, now) = (task.clone(), some.to_vec(), self.now());
            self.inner
                .store
                .write("note approved", move |tx| {
                    let Some(host) = engine.host(&organization) else { return Ok(()) };
                    let mut bounds = engine.bounds(tx, &organization, now)?;
                    bounds.close(closed);
                    some.iter().try_for_each(|user| {
                        engine
                            .settle_planned(tx, &task.look(host, user, now), &mut bounds)
                            .map(|_| ())
                    })?;
                    engine.tell_vanishing(tx, host, &bounds, now)
                })
                .await?;
        }
        if whole {
            self.note_members(host, &task.sides).await?;
        }
        Ok(())
    }
}

/// Writes down who approved it. False if it is not held any more.
fn begin(tx: &Tx<'_>, host: &Host, permit: &Permit, now: Timestamp) -> Result<bool, StoreError> {
    let run = permit.task.run;
    if !runs::approve(tx, run, &permit.actor, now)? {
        return Ok(false);
    }
    let entry = Entry {
        organization: host.id(),
        membership: None,
        actor: &permit.actor,
        event: "run_approved",
        reason: "An operator approved the held plan; exactly that is carried out.",
        before: Some(json!({ "run": run.to_string(), "hold": permit.hold })),
        after: Some(json!({ "checksum": permit.checksum, "scope": permit.plan.scope })),
        cause: permit.task.cause(),
        action: None,
    };
    audit::record(tx, &entry, now)?;
    Ok(true)
}

/// The approved lines of each person, but licences, which have no guard and are given as there are
/// seats. Nobody about whom the plan contradicts itself is among them.
fn by_person(plan: &Plan) -> BTreeMap<CrmUserId, Vec<Print>> {
    let mut all: BTreeMap<CrmUserId, Vec<Print>> = BTreeMap::new();
    let goes = |hold: &Option<Hold>| hold.as_ref().is_none_or(Hold::waits_for_approval);
    for line in plan.lines.iter().filter(|line| !line.is_licence() && goes(&line.hold)) {
        all.entry(line.crm_user_id.clone()).or_default().push(seal::print(line));
    }
    all
}
