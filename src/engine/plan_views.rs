//! Plans and runs as the admin API shows them.
//!
//! Deliberately absent: tables and Markdown, which the command line makes from this.

use serde_json::{Value, json};

use super::Engine;
use super::status::{RunView, view};
use crate::domain::plan::{Hold, Line, Plan, Ruling};
use crate::domain::run::RunState;
use crate::domain::{RunId, Timestamp};
use crate::store::runs::{self, Filter, Run};
use crate::store::{StoreError, Tx, outbox};

/// Lines of each kind that are shown and kept; the checksum is over all of them in any case.
const LINES_MAX: usize = 5_000;

/// Which runs a list shows.
#[derive(Clone, Debug, Default)]
pub struct RunsAsked {
    /// Of this organization.
    pub organization: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// Older than this row.
    pub before: Option<i64>,
}

/// The whole plan: `actions` are the lines that nothing holds back, `held` the others.
pub(super) fn plan(plan: &Plan) -> Value {
    let (free, held) = (plan.free().count(), plan.held().count());
    let snapshot = &plan.snapshot;
    json!({
        "organization": plan.organization.as_str(),
        "user": plan.person,
        "checksum": plan.checksum,
        "scope": plan.scope,
        "actions": plan.free().take(LINES_MAX).map(line).collect::<Vec<_>>(),
        "held": plan.held().take(LINES_MAX).map(held_line).collect::<Vec<_>>(),
        "truncated": free > LINES_MAX || held > LINES_MAX,
        "guard": guard(&plan.ruling),
        "counts": counts(plan),
        "calls_used": plan.calls_used,
        "calls_needed": plan.calls_needed,
        "snapshot": {
            "read_at": snapshot.read_at.to_rfc3339(),
            "complete": snapshot.complete,
            "crm": { "pages": snapshot.crm_pages, "users": snapshot.crm_users },
            "cliq": { "pages": snapshot.cliq_pages, "users": snapshot.cliq_users },
        },
    })
}

/// What is counted of a plan.
pub(super) fn counts(plan: &Plan) -> Value {
    let counts = &plan.counts;
    let mut by_operation = std::collections::BTreeMap::<&str, u32>::new();
    for line in &plan.lines {
        *by_operation.entry(line.deed.as_str()).or_default() += 1;
    }
    json!({
        "people": counts.people, "changed": counts.changed, "verdicts": counts.verdicts,
        "invitations": counts.invitations, "removals": counts.removals,
        "under_way": counts.under_way, "actions": plan.free().count(),
        "held": plan.held().count(), "by_operation": by_operation,
        "calls_used": plan.calls_used, "calls_needed": plan.calls_needed,
    })
}

/// The guard's verdict.
pub(super) fn guard(ruling: &Ruling) -> Value {
    let held = ruling.trip.is_some() || ruling.invitations_held || ruling.vanishing_held;
    json!({
        "verdict": if held { "held" } else { "passed" },
        "reason": ruling.trip,
        "removals": ruling.removals,
        "removals_held": ruling.trip.is_some(),
        "counted_in_window": ruling.counted,
        "owned": ruling.owned,
        "max_removals": ruling.max_removals,
        "max_percent": ruling.max_percent,
        "window_s": ruling.window.as_secs(),
        "invitations": ruling.invitations,
        "invitations_held": ruling.invitations_held,
        "max_invites": ruling.max_invites,
        "vanishing_held": ruling.vanishing_held,
    })
}

fn line(line: &Line) -> Value {
    json!({
        "crm_user_id": line.crm_user_id.as_str(),
        "email": line.email,
        "name": line.name,
        "operation": line.deed.as_str(),
        "channel": line.channel,
        "reason": line.reason,
        "before": line.before,
        "after": line.after,
        "held": line.hold.is_some(),
    })
}

/// A held line: its `reason` is why it is held, `because` why it is wanted.
pub(super) fn held_line(one: &Line) -> Value {
    let mut value = line(one);
    value["because"] = one.reason.as_str().into();
    value["reason"] = one.hold.as_ref().map(Hold::sentence).into();
    value
}

impl Engine {
    /// A page of runs, newest first.
    pub async fn runs(
        &self,
        asked: RunsAsked,
        limit: u32,
    ) -> Result<Vec<(i64, RunView)>, StoreError> {
        let filter =
            Filter { organization: asked.organization, state: asked.state, before: asked.before };
        self.inner
            .store
            .read(move |tx| {
                let runs = runs::list(tx, &filter, limit)?;
                runs.iter().map(|run| Ok((run.id.0, shown(tx, run)?))).collect()
            })
            .await
    }

    /// One run, with the runs it stands for.
    pub async fn run_view(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        self.inner
            .store
            .read(move |tx| {
                let Some(run) = runs::get(tx, id)? else { return Ok(None) };
                let mut own = shown(tx, &run)?;
                let children = runs::children(tx, id)?;
                if !children.is_empty() {
                    let each: Result<Vec<RunView>, StoreError> =
                        children.iter().map(|child| shown(tx, child)).collect();
                    own = own.over(&children, each?);
                }
                Ok(Some(own))
            })
            .await
    }

    /// The plan of a run as it was made; `None` while there is none.
    pub async fn run_plan(&self, id: RunId) -> Result<Option<Option<Value>>, StoreError> {
        self.inner
            .store
            .read(move |tx| {
                let Some(run) = runs::get(tx, id)? else { return Ok(None) };
                let text = runs::plan(tx, twin(tx, &run)?)?;
                let kept = text.and_then(|text| serde_json::from_str(&text).ok());
                Ok(Some(kept.or_else(|| without_lines(&run))))
            })
            .await
    }
}

/// The run that keeps this one's plan: a plan that is held again is kept once, by the newest.
fn twin(tx: &Tx<'_>, run: &Run) -> Result<RunId, StoreError> {
    let Some(organization) = run.organization.as_ref().filter(|_| run.state == RunState::Held)
    else {
        return Ok(run.id);
    };
    let newest = runs::newest_held(tx, organization, run.person.as_deref())?;
    let newest = newest.map(|id| runs::get(tx, id)).transpose()?.flatten();
    Ok(newest.filter(|newest| newest.checksum == run.checksum).map_or(run.id, |newest| newest.id))
}

/// A plan that had no lines is not kept: it says itself. Nor are the lines of one that a newer held
/// plan has replaced.
fn without_lines(run: &Run) -> Option<Value> {
    let checksum = run.checksum.as_ref()?;
    let counts: Value = serde_json::from_str(&run.counts).unwrap_or_default();
    let guard: Option<Value> =
        run.guard.as_ref().and_then(|guard| serde_json::from_str(guard).ok());
    Some(json!({
        "organization": run.organization.as_ref().map(ToString::to_string),
        "user": run.person, "checksum": checksum, "scope": run.scope, "actions": [], "held": [],
        "truncated": counts["actions"] != 0 || counts["held"] != 0,
        "guard": guard, "calls_used": counts["calls_used"], "calls_needed": counts["calls_needed"],
        "counts": counts,
        "snapshot": { "read_at": run.started_at.map(Timestamp::to_rfc3339) },
    }))
}

/// A run with what only the store can say of it.
fn shown(tx: &Tx<'_>, run: &Run) -> Result<RunView, StoreError> {
    let mut shown = view(run);
    if let (RunState::Held, Some(organization)) = (run.state, &run.organization) {
        let newest = runs::newest_held(tx, organization, run.person.as_deref())?;
        let newer = newest.filter(|newest| *newest != run.id);
        let later = newer.map_or_else(|| runs::resolved_by(tx, run), |newer| Ok(Some(newer)))?;
        shown.replaced_by = later.map(|id| id.to_string());
    }
    // From the outbox, where each change is written down when it was made (I36).
    let done = outbox::done_by_run(tx, run.id)?;
    if let Some(counts) = shown.counts.as_object_mut() {
        let done = done.into_iter().map(|(operation, count)| (operation, count.into())).collect();
        counts.insert("done".to_owned(), Value::Object(done));
    }
    Ok(shown)
}
