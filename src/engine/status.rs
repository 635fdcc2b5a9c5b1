//! What an administrator asks for: the state of the whole, and of one thing.

use serde::Serialize;
use serde_json::{Value, json};

use super::schedule::RECONCILE;
use super::subscription::access_of;
use super::{Engine, Host, PauseView, pause};
use crate::domain::budget::Group;
use crate::domain::membership::Membership;
use crate::domain::run::RunState;
use crate::domain::{Access, DeliveryId, MembershipId, OrgId, Subscription, Timestamp};
use crate::store::inbox::{self, DeliveryView};
use crate::store::ledger::{self, Filter};
use crate::store::plans::{self, Plans};
use crate::store::runs::{self, Run};
use crate::store::{StoreError, audit, hints, orgs, outbox, pauses, ticks};

/// The state of the whole.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// The daemon's clock, RFC 3339.
    pub now: String,
    /// How webhooks were answered.
    pub deliveries: inbox::Tally,
    /// What is unfinished.
    pub queue: QueueStatus,
    /// Since when and by whom nothing is written anywhere, if so.
    pub paused: Option<PauseView>,
    /// Each organization.
    pub organizations: Vec<OrganizationStatus>,
}

/// What is unfinished.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    /// Hints that wait or are being looked at.
    pub hints: i64,
    /// Of these, hints that wait for CRM or Cliq to show a row that was announced.
    pub hints_absent: i64,
    /// The outbox by state.
    pub actions: outbox::Tally,
    /// Runs that are not finished.
    pub runs: i64,
    /// Whether nothing is left to do now: no hint but absent ones, no waiting action, no run.
    pub settled: bool,
}

/// One organization.
#[derive(Clone, Debug, Serialize)]
pub struct OrganizationStatus {
    /// Its configured id.
    pub organization: String,
    /// Its display name.
    pub name: String,
    /// `active`, `downgraded` or `unknown`
    pub subscription: &'static str,
    /// `normal`, `retained`, `restricted` or `free_by_zoho`: what its plans mean for external users
    pub access: &'static str,
    /// The same in words, where it is out of the ordinary.
    pub badge: Option<&'static str>,
    /// The plans as they are known: when CRM was last asked and what it said.
    pub plan: Value,
    /// Licences: CRM Plus's as bought or configured, Cliq's seats, and external users by licence.
    pub licences: Value,
    /// Why it is left alone, if it is.
    pub quarantine: Option<Value>,
    /// When a run over everybody last came to its plan, RFC 3339.
    pub last_good_run: Option<String>,
    /// Whether that is so long ago that it is an alarm (I15).
    pub no_good_run: bool,
    /// Since when and by whom nothing is written there, if so.
    pub paused: Option<PauseView>,
    /// Endpoint groups that Zoho has locked, with the end of each lock.
    pub locks: Vec<Value>,
    /// Scheduled reconciliations that were not begun because one was still going on.
    pub skipped_ticks: u64,
    /// Memberships by state.
    pub memberships: std::collections::BTreeMap<String, i64>,
}

/// Steps of a membership that are shown with it.
const HISTORY_MAX: u32 = 100;

/// One step of a membership's life.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryLine {
    /// RFC 3339.
    at: String,
    /// A stable word.
    event: String,
    /// A sentence.
    reason: String,
}

/// A run as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// `run-<number>`
    pub run_id: String,
    /// The organization; absent for a request over all of them.
    pub organization: Option<String>,
    /// The one person it is about.
    pub user: Option<String>,
    /// Who started it.
    pub trigger: String,
    /// How far it is.
    pub state: String,
    /// RFC 3339.
    pub queued_at: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// What was counted; `done` is what was carried out, by operation.
    pub counts: Value,
    /// The plan's checksum, by which it is approved.
    pub checksum: Option<String>,
    /// The guard's verdict.
    pub guard: Value,
    /// What was read: ids, pages and rows of both sides.
    pub snapshot: Value,
    /// External rows of Cliq that no ledger row stands for: how many, and the first of them.
    pub foreign: Value,
    /// What holds it as a whole, or holds a part of it, in a word.
    pub hold: Option<String>,
    /// What the configuration meant for people when it planned, as a checksum.
    pub scope: Option<String>,
    /// A later run that has replaced this held one: it holds something else, or nothing any more.
    pub replaced_by: Option<String>,
    /// RFC 3339.
    pub approved_at: Option<String>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// The request over several organizations that it belongs to.
    pub parent: Option<String>,
    /// Calls that reading took.
    pub calls_used: Value,
    /// Calls that reading needed.
    pub calls_needed: Value,
    /// Held back, with reasons.
    pub held: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// The organizations' own runs, for a request over all of them.
    pub runs: Vec<RunView>,
}

impl Engine {
    /// The state of the whole.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let engine = self.clone();
        let now = self.now();
        self.inner
            .store
            .read(move |tx| {
                let (open, absent) = hints::open(tx)?;
                let tally = inbox::tally(tx)?;
                let actions = outbox::tally(tx)?;
                let runs = runs::open_count(tx)?;
                let mut organizations = Vec::new();
                let memberships = ledger::tally(tx)?;
                let pauses = pauses::all(tx)?;
                let pause_of = |of: Option<&OrgId>| {
                    pauses.iter().find(|pause| pause.organization.as_ref() == of).map(pause::view)
                };
                for host in engine.inner.hosts.values() {
                    let state = orgs::state(tx, host.id())?;
                    let plans = plans::of(tx, host.id())?;
                    let silence = engine.silence(tx, host.id())?;
                    let access = access_of(host, &plans);
                    organizations.push(OrganizationStatus {
                        organization: host.id().to_string(),
                        name: host.settings.name.clone(),
                        subscription: state.subscription.as_str(),
                        access: access.as_str(),
                        badge: badge(access),
                        plan: plan_view(&plans),
                        licences: licences_view(host, &plans, ledger::licences(tx, host.id())?),
                        quarantine: state.quarantined.map(|quarantine| {
                            serde_json::json!({
                                "since": quarantine.since.to_rfc3339(), "cause": quarantine.cause,
                            })
                        }),
                        last_good_run: silence.last.map(|run| run.at.to_rfc3339()),
                        no_good_run: silence.is_alarm(now),
                        paused: pause_of(Some(host.id())),
                        locks: lock_views(host),
                        skipped_ticks: ticks::skipped(tx, host.id().as_str(), RECONCILE)?,
                        memberships: memberships
                            .iter()
                            .filter(|(organization, _, _)| organization == host.id().as_str())
                            .map(|(_, state, count)| (state.clone(), *count))
                            .collect(),
                    });
                }
                Ok(Status {
                    version: env!("CARGO_PKG_VERSION"),
                    now: now.to_rfc3339(),
                    deliveries: inbox::Tally {
                        rejected: tally.rejected + engine.inner.refused.waiting(),
                        ..tally
                    },
                    queue: QueueStatus {
                        hints: open,
                        hints_absent: absent,
                        actions,
                        runs,
                        settled: open == absent && actions.waiting == 0 && runs == 0,
                    },
                    paused: pause_of(None),
                    organizations,
                })
            })
            .await
    }

    /// A page of memberships.
    pub async fn memberships(
        &self,
        filter: Filter,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        self.inner.store.read(move |tx| ledger::list(tx, &filter, limit)).await
    }

    /// One membership with its newest steps, newest first.
    pub async fn membership(
        &self,
        id: MembershipId,
    ) -> Result<Option<(Membership, Vec<HistoryLine>)>, StoreError> {
        self.inner
            .store
            .read(move |tx| {
                let Some(row) = ledger::get(tx, id)? else { return Ok(None) };
                let steps = audit::history(tx, id, HISTORY_MAX)?;
                let line = |(at, event, reason): (Timestamp, String, String)| HistoryLine {
                    at: at.to_rfc3339(),
                    event,
                    reason,
                };
                Ok(Some((row, steps.into_iter().map(line).collect())))
            })
            .await
    }

    /// A page of deliveries, newest first.
    pub async fn deliveries(
        &self,
        filter: inbox::Filter,
        limit: u32,
    ) -> Result<Vec<DeliveryView>, StoreError> {
        self.inner.store.read(move |tx| inbox::list(tx, &filter, limit)).await
    }

    /// One delivery with its body.
    pub async fn delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<(DeliveryView, String)>, StoreError> {
        self.inner.store.read(move |tx| inbox::get(tx, id)).await
    }
}

/// The endpoint groups that Zoho has locked, and until when.
fn lock_views(host: &Host) -> Vec<Value> {
    let view = |(group, until): (Group, Timestamp)| json!({ "group": group.as_str(), "until": until.to_rfc3339() });
    host.locks().into_iter().map(view).collect()
}

/// What an administrator should see at a glance.
fn badge(access: Access) -> Option<&'static str> {
    match access {
        Access::Normal => None,
        Access::Retained => Some("downgraded, access retained"),
        Access::Restricted => Some("downgraded, external users restricted"),
        Access::FreeByZoho => Some("downgraded, external users are free users"),
    }
}

fn plan_view(plans: &Plans) -> Value {
    json!({
        "subscription_since": plans.since.map(Timestamp::to_rfc3339),
        "crm_says": plans.read.map(Subscription::as_str),
        "crm_reads_agreeing": plans.reads,
        "crm_paid_type": plans.paid_type,
        "crm_read_at": plans.read_at.map(Timestamp::to_rfc3339),
        "downgrade_approved": plans.approved,
    })
}

fn licences_view(host: &Host, plans: &Plans, (paid, free): (u32, u32)) -> Value {
    json!({
        "crm_bought": plans.crm_licences,
        "crm_configured": host.settings.licences,
        "cliq_seats": host.settings.cliq_licences,
        "cliq_seats_used": plans.seats_used,
        "external_paid": paid,
        "external_free": free,
    })
}

/// A run by itself.
pub(super) fn view(run: &Run) -> RunView {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let facts: Value = serde_json::from_str(&run.counts).unwrap_or_default();
    let guard = run.guard.as_ref().and_then(|text| serde_json::from_str(text).ok());
    let (approved_at, approved_by) = run.approved.clone().unzip();
    let mut read: Value =
        run.read.as_ref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut seen = |key: &str| read.get_mut(key).map(Value::take).unwrap_or_default();
    RunView {
        run_id: run.id.to_string(),
        organization: run.organization.as_ref().map(ToString::to_string),
        user: run.person.clone(),
        trigger: run.trigger.clone(),
        state: run.state.as_str().to_owned(),
        queued_at: run.queued_at.to_rfc3339(),
        started_at: time(run.started_at),
        finished_at: time(run.finished_at.filter(|_| run.state.is_final())),
        calls_used: facts.get("calls_used").cloned().unwrap_or_default(),
        calls_needed: facts.get("calls_needed").cloned().unwrap_or_default(),
        counts: facts,
        checksum: run.checksum.clone(),
        guard: guard.unwrap_or_default(),
        snapshot: seen("snapshot"),
        foreign: seen("foreign"),
        hold: run.hold.clone(),
        scope: run.scope.clone(),
        replaced_by: None,
        approved_at: time(approved_at),
        approved_by,
        parent: run.parent.map(|id| id.to_string()),
        held: serde_json::from_str(&run.held).unwrap_or_default(),
        error: run.error.clone(),
        runs: Vec::new(),
    }
}

impl RunView {
    /// The same for a request over several organizations.
    pub(super) fn over(mut self, children: &[Run], shown: Vec<RunView>) -> Self {
        let state = together(children);
        let finished = children.iter().map(|child| child.finished_at).max().flatten();
        state.as_str().clone_into(&mut self.state);
        self.finished_at = finished.filter(|_| state.is_final()).map(Timestamp::to_rfc3339);
        self.runs = shown;
        self
    }
}

/// The state of a request over several organizations: the least finished, else the worst. A person
/// whom none of them knows is a failure of the request.
fn together(children: &[Run]) -> RunState {
    const ORDER: [RunState; 8] = [
        RunState::Reading,
        RunState::Queued,
        RunState::Applying,
        RunState::Failed,
        RunState::Held,
        RunState::Degraded,
        RunState::Cancelled,
        RunState::Done,
    ];
    let unknown = |child: &Run| child.state == RunState::Done && child.error.is_some();
    if children.iter().all(unknown) {
        return RunState::Failed;
    }
    ORDER
        .into_iter()
        .find(|state| children.iter().any(|child| child.state == *state))
        .unwrap_or(RunState::Done)
}
