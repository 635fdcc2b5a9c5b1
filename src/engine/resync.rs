//! Runs: one person, one organization or everything, through the same planner as a webhook.
//!
//! A run decides for everybody first, so that what is too much as a whole is held as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::apply::{Look, invites};
use super::facts::{ReadError, Sides};
use super::guard::Allowance;
use super::{Desk, Engine, Host, Step};
use crate::domain::run::{RunState, Trigger};
use crate::domain::{CrmUserId, Email, Failure, MembershipId, OrgId, RunId};
use crate::logic::guard::Trip;
use crate::store::outbox::Cause;
use crate::store::runs::{self, Run};
use crate::store::{StoreError, ledger, orgs};
use crate::zoho::Priority;

/// People planned in one transaction.
const PEOPLE_PER_TRANSACTION: usize = 200;

/// Lines of held people a run keeps; the count is exact in any case.
const HELD_LINES_MAX: usize = 200;

/// What is to be resynced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// One organization, by its configured id or its CRM id; `None` is all.
    pub organization: Option<String>,
    /// One person: CRM id, zuid or address.
    pub user: Option<String>,
    /// Who asks, for the audit; `None` is the bridge itself.
    pub by: Option<String>,
}

/// Which runs were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The run to ask for: the one, or the parent of all.
    pub run: RunId,
    /// The run of each organization.
    pub runs: Vec<(OrgId, RunId)>,
}

/// Why a resync was not begun.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// No such organization.
    #[error("organization {0:?} is not configured")]
    UnknownOrganization(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a run counts, and what it is about to do.
#[derive(Clone, Default)]
struct Outlook {
    people: u32,
    changed: u32,
    verdicts: BTreeMap<&'static str, u32>,
    /// People to be invited who are not counted yet.
    invitations: usize,
    /// People whose access is to be taken.
    removals: BTreeSet<MembershipId>,
    /// People to be noted as gone.
    vanishing: usize,
    /// Calls that reading took; unknown when it failed.
    calls: Option<usize>,
}

impl Outlook {
    /// Whoever goes without a licence is named; that holds nothing else.
    fn note_unseated(&mut self, without: &[CrmUserId], lines: &mut Vec<Value>) {
        if let Ok(count @ 1..) = u32::try_from(without.len()) {
            self.verdicts.insert("no_licence", count);
        }
        lines.extend(without.iter().map(|user| {
            json!({ "crm_user_id": user.as_str(), "reason": "no licence: all seats are in use" })
        }));
    }

    fn to_json(&self) -> Value {
        json!({
            "people": self.people, "invitations": self.invitations, "changed": self.changed,
            "removals": self.removals.len(), "verdicts": self.verdicts,
        })
    }
}

/// What is too much as a whole, and why.
#[derive(Clone, Copy, Default)]
struct Closed {
    /// Nobody is invited.
    invitations: bool,
    /// Nobody new is taken away.
    removals: Option<Trip>,
    /// Nobody is noted as gone.
    vanishing: bool,
}

impl Closed {
    fn anything(self) -> bool {
        self.invitations || self.removals.is_some() || self.vanishing
    }
}

impl Engine {
    /// Opens the runs; they are carried out by their desks.
    pub async fn resync(&self, asked: Asked, trigger: Trigger) -> Result<Requested, BadRequest> {
        let organizations: Vec<OrgId> = match &asked.organization {
            None => self.inner.hosts.keys().cloned().collect(),
            Some(name) => {
                let found = self
                    .inner
                    .hosts
                    .values()
                    .find(|host| host.id().as_str() == name || host.settings.crm_org == *name);
                match found {
                    Some(host) => vec![host.id().clone()],
                    None => return Err(BadRequest::UnknownOrganization(name.clone())),
                }
            }
        };
        let engine = self.clone();
        // Goes on when the caller goes away: an opened run has to be carried out.
        tokio::spawn(async move { engine.open_runs(asked, organizations, trigger).await })
            .await
            .unwrap_or(Err(StoreError::Gone))
            .map_err(BadRequest::Store)
    }

    async fn open_runs(
        &self,
        asked: Asked,
        organizations: Vec<OrgId>,
        trigger: Trigger,
    ) -> Result<Requested, StoreError> {
        let (one, now, named) = (asked.organization.is_some(), self.now(), organizations.clone());
        let requested = self
            .inner
            .store
            .write("resync", move |tx| {
                let person = asked.user.as_deref();
                if let (false, None, Some((run, runs))) = (one, person, runs::open_everywhere(tx)?)
                {
                    let child = |run: Run| Some((run.organization?, run.id));
                    let runs = runs.into_iter().filter_map(child).collect();
                    asked.note(tx, None, run, now)?;
                    return Ok(Requested { run, runs });
                }
                let parent = if one { None } else { Some(runs::open_parent(tx, trigger, now)?) };
                let mut opened = Vec::new();
                for id in named {
                    let run = runs::open(tx, parent, &id, person, trigger, now)?;
                    opened.push((id, run));
                }
                let run = parent.or_else(|| opened.first().map(|(_, run)| *run));
                let run = run.unwrap_or(RunId(0));
                let organization = opened.first().map(|(id, _)| id).filter(|_| one);
                asked.note(tx, organization, run, now)?;
                Ok(Requested { run, runs: opened })
            })
            .await?;
        for organization in organizations {
            self.wake(&Desk::Runs(organization));
        }
        Ok(requested)
    }

    /// Carries out the organization's next run.
    pub(super) async fn run(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let (id, boot, now) = (organization.clone(), self.inner.boot, self.now());
        let claimed =
            self.inner.store.write("claim run", move |tx| runs::claim(tx, &id, boot, now)).await?;
        let Some(run) = claimed else { return Ok(Step::Idle(None)) };
        tracing::info!(run = %run.id, %organization, person = run.person.is_some(), "run begins");
        let result = match &run.person {
            None => self.run_everybody(host, &run).await,
            Some(person) => self.run_one(host, &run, person).await,
        };
        match result {
            Ok(()) => {}
            Err(ReadError::Store(error)) => {
                // If the store fails again here, the run is taken up again as it stands.
                self.fail(host, &run, Failure::transient(error.to_string())).await?;
                return Err(error);
            }
            Err(ReadError::Empty(what)) => {
                let failure = self.empty(host, what).await?;
                self.fail(host, &run, failure).await?;
            }
            Err(ReadError::Call(error)) => {
                self.fail(host, &run, error.failure(self.now())).await?;
            }
        }
        self.wake_outbox(organization);
        Ok(Step::Worked)
    }

    async fn run_everybody(&self, host: &Host, run: &Run) -> Result<(), ReadError> {
        let sides = self.list(host, Priority::Run).await?;
        let channel_calls = self.read_members(host, run, &sides).await?;
        let first = self.is_first_run(host).await?;
        self.note_listing(host, &sides).await?;
        let people = self.everybody(host, &sides).await?;
        let held = if first && host.holds_first_run() {
            Some(
                "first_run = \"plan\": nothing was done; write first_run = \"apply\" and restart \
                 to carry it out",
            )
        } else {
            None
        };
        let calls = sides.calls() + channel_calls;
        self.plan_and_queue(host, run, &sides, people, calls, held).await?;
        if held.is_none() {
            self.note_members(host, &sides).await?;
        }
        Ok(())
    }

    /// Everybody whom CRM or the ledger knows, in the order of the ids.
    async fn everybody(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
    ) -> Result<Vec<CrmUserId>, StoreError> {
        let id = host.id().clone();
        let known = self.inner.store.read(move |tx| ledger::users(tx, &id)).await?;
        let listed = sides.roster.iter().map(|user| user.id.clone());
        Ok(listed.chain(known).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn is_first_run(&self, host: &Host) -> Result<bool, StoreError> {
        let id = host.id().clone();
        self.inner.store.read(move |tx| Ok(!orgs::had_a_run(tx, &id)?)).await
    }

    async fn run_one(&self, host: &Host, run: &Run, person: &str) -> Result<(), ReadError> {
        let (id, name) = (host.id().clone(), person.to_owned());
        let known = self.inner.store.read(move |tx| ledger::find(tx, Some(&id), &name)).await?;
        let email = Email::parse(person).ok();
        let candidate = match known.first() {
            Some(row) => Some(row.crm_user_id.clone()),
            None => email.is_none().then(|| CrmUserId::new(person)),
        };
        if let Some(user) = candidate {
            let sides = self.look_at(host, &user).await?;
            self.note_good_read(host).await?;
            if sides.roster.get(&user).is_some() || !known.is_empty() {
                let calls = 2 + self.read_members_of(host, &sides, &user).await?;
                return self.plan_and_queue(host, run, &sides, vec![user], calls, None).await;
            }
        }
        // Named by a zuid or an address that the ledger does not know: only a listing can tell.
        let sides = self.list(host, Priority::Webhook).await?;
        self.note_listing(host, &sides).await?;
        let found: Vec<CrmUserId> = sides
            .roster
            .iter()
            .filter(|user| {
                user.email.as_ref().is_some_and(|address| Some(address) == email.as_ref())
                    || user.zuid.as_ref().is_some_and(|zuid| zuid.as_str() == person)
            })
            .map(|user| user.id.clone())
            .collect();
        if found.is_empty() {
            let why = format!("no CRM user of {} has this id, zuid or address", host.id());
            // Asked of every organization, most of them need not know the person.
            let state = if run.parent.is_some() { RunState::Done } else { RunState::Failed };
            let calls = sides.calls();
            let counts = Outlook { calls: Some(calls), ..Outlook::default() };
            self.note_run(run.id, state, &counts, &[], Some(why)).await?;
            return Ok(());
        }
        let mut calls = sides.calls();
        if let [user] = found.as_slice() {
            calls += self.read_members_of(host, &sides, user).await?;
        }
        self.plan_and_queue(host, run, &sides, found, calls, None).await
    }

    /// Plans everybody, then queues everything in a few transactions: the fold of one person's
    /// plan, in the order of the ids.
    async fn plan_and_queue(
        &self,
        host: &Host,
        run: &Run,
        sides: &Arc<Sides>,
        people: Vec<CrmUserId>,
        calls: usize,
        held: Option<&'static str>,
    ) -> Result<(), ReadError> {
        let mut outlook = self.look_ahead(host, run, sides, &people).await?;
        outlook.calls = Some(calls);
        if let Some(why) = held {
            let people = outlook.invitations + outlook.removals.len();
            let lines = [json!({ "reason": why, "people": people })];
            self.note_run(run.id, RunState::Held, &outlook, &lines, None).await?;
            return Ok(());
        }
        let closed = self.close(host, &outlook).await?;
        let mut lines = Vec::new();
        for some in people.chunks(PEOPLE_PER_TRANSACTION) {
            lines.extend(self.queue(host, run, sides, some.to_vec(), closed).await?);
        }
        let state = if lines.is_empty() { RunState::Applying } else { RunState::Held };
        if run.person.is_none() {
            let cause = Cause { delivery: None, run: Some(run.id) };
            self.note_licences(host, sides, cause).await?;
            let without = self.assign_licences(host, sides, cause).await?;
            outlook.note_unseated(&without, &mut lines);
        }
        lines.truncate(HELD_LINES_MAX);
        if run.person.is_none() && !closed.anything() {
            let (organization, now) = (host.id().clone(), self.now());
            self.inner
                .store
                .write("note first run", move |tx| orgs::note_run(tx, &organization, now))
                .await?;
        }
        self.note_run(run.id, state, &outlook, &lines, None).await?;
        Ok(())
    }

    /// The same decisions without writing any: what the run is about to do.
    async fn look_ahead(
        &self,
        host: &Host,
        run: &Run,
        sides: &Arc<Sides>,
        people: &[CrmUserId],
    ) -> Result<Outlook, StoreError> {
        let (engine, organization) = (self.clone(), host.id().clone());
        let (sides, people) = (Arc::clone(sides), people.to_vec());
        let (rearm, now) = (run.person.is_some(), self.now());
        self.inner
            .store
            .read(move |tx| {
                let mut all = Outlook::default();
                let Some(host) = engine.host(&organization) else { return Ok(all) };
                for user in &people {
                    let cause = Cause::default();
                    let look = Look { host, user, sides: &sides, cause, rearm, now };
                    let (known, decision, _) = engine.decide(tx, &look)?;
                    all.people += 1;
                    let counted = engine.is_counted(tx, known.as_ref(), now)?;
                    let row = decision.ledger.as_ref().or(known.as_ref());
                    let guests = engine.foresee_guests(tx, &look, row, &decision.verdict)?;
                    let asks = decision.steps.iter().copied().any(invites) || guests.invites;
                    all.invitations += usize::from(asks && !counted);
                    let takes = decision.guarded || guests.removes;
                    if let Some(known) = known.filter(|_| takes) {
                        all.removals.insert(known.id);
                    }
                    all.vanishing += usize::from(decision.vanished) + guests.left;
                    all.changed += u32::from(decision.ledger.is_some());
                    *all.verdicts.entry(decision.verdict.word()).or_default() += 1;
                }
                Ok(all)
            })
            .await
    }

    /// What of it is too much as a whole.
    async fn close(&self, host: &Host, outlook: &Outlook) -> Result<Closed, StoreError> {
        let (engine, organization) = (self.clone(), host.id().clone());
        let (outlook, now) = (outlook.clone(), self.now());
        self.inner
            .store
            .read(move |tx| {
                let mut bounds = engine.bounds(tx, &organization, now)?;
                Ok(Closed {
                    invitations: !bounds.invitations.fits(outlook.invitations),
                    removals: bounds.removals.close_over(tx, &outlook.removals)?,
                    vanishing: !bounds.vanishing.fits(outlook.vanishing),
                })
            })
            .await
    }

    async fn queue(
        &self,
        host: &Host,
        run: &Run,
        sides: &Arc<Sides>,
        people: Vec<CrmUserId>,
        closed: Closed,
    ) -> Result<Vec<Value>, StoreError> {
        let (engine, organization) = (self.clone(), host.id().clone());
        let (sides, run_id, rearm) = (Arc::clone(sides), run.id, run.person.is_some());
        let now = self.now();
        self.inner
            .store
            .write("queue run", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(Vec::new()) };
                let mut bounds = engine.bounds(tx, &organization, now)?;
                if closed.invitations {
                    bounds.invitations = Allowance::of(0);
                }
                if closed.vanishing {
                    bounds.vanishing = Allowance::of(0);
                }
                bounds.removals.close(closed.removals);
                let mut lines = Vec::new();
                for user in &people {
                    let cause = Cause { delivery: None, run: Some(run_id) };
                    let look = Look { host, user, sides: &sides, cause, rearm, now };
                    let before = bounds.held();
                    engine.settle_person(tx, &look, &mut bounds)?;
                    if let Some(reason) = bounds.held_since(before) {
                        lines.push(json!({ "crm_user_id": user.as_str(), "reason": reason }));
                    }
                }
                engine.tell_bounds(tx, host, &bounds, now)?;
                Ok(lines)
            })
            .await
    }

    async fn note_run(
        &self,
        run: RunId,
        state: RunState,
        counts: &Outlook,
        held: &[Value],
        error: Option<String>,
    ) -> Result<(), StoreError> {
        let mut facts = counts.to_json();
        // Without a failed page every call that was made was needed.
        facts["calls_used"] = counts.calls.into();
        facts["calls_needed"] = counts.calls.into();
        let held = Value::from(held.to_vec()).to_string();
        let now = self.now();
        tracing::info!(%run, %state, %facts, error, "run noted");
        self.inner
            .store
            .write("note run", move |tx| {
                runs::note(tx, run, state, &facts.to_string(), &held, error.as_deref(), now)?;
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }

    /// A failed read ends the run; nothing is planned from it (I2, I3).
    async fn fail(&self, host: &Host, run: &Run, failure: Failure) -> Result<(), StoreError> {
        if let Failure::Unauthorized { detail } = &failure {
            self.quarantine(host, detail).await?;
        }
        let text = Some(failure.to_string());
        self.note_run(run.id, RunState::Failed, &Outlook::default(), &[], text).await
    }
}
