//! Plans and runs as the admin API shows them.
//!
//! Deliberately absent: tables and Markdown, which the command line makes from this.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::status::{RunView, view};
use super::{Engine, foreign};
use crate::domain::RunId;
use crate::domain::plan::{Hold, Line, Plan, Ruling, SNAPSHOT_BYTES};
use crate::domain::run::RunState;
use crate::store::runs::{self, Filter, LINES_PER_PAGE, Run};
use crate::store::{StoreError, Tx, outbox};

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

/// A plan with all its lines: `actions` are those that nothing holds back, `held` the others. Written
/// out line by line: a hundred thousand of them are no tree in memory.
pub(super) struct Whole<'a>(pub(super) &'a Plan);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(plan) = self;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in head(plan).as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        let one = std::slice::from_ref(*plan);
        map.serialize_entry("actions", &Lines { plans: one, held: false, named: false })?;
        map.serialize_entry("held", &Lines { plans: one, held: true, named: false })?;
        map.serialize_entry("next_cursor", &Value::Null)?;
        map.end()
    }
}

/// The lines of plans, one after the other: those that are held, or the others; each with its
/// organization where they are of several.
pub(super) struct Lines<'a> {
    pub(super) plans: &'a [Plan],
    pub(super) held: bool,
    pub(super) named: bool,
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.plans.iter().flat_map(|plan| {
            let lines = plan.lines.iter().filter(|one| one.hold.is_some() == self.held);
            lines.map(|one| {
                let mut value = shown_line(one);
                if self.named {
                    value["organization"] = plan.organization.as_str().into();
                }
                value
            })
        }))
    }
}

/// What stands above a plan's lines.
pub(super) fn head(plan: &Plan) -> Value {
    let mut head = json!({
        "organization": plan.organization.as_str(),
        "user": plan.person,
        "checksum": plan.checksum,
        "scope": plan.scope,
        "guard": guard(&plan.ruling),
        "counts": counts(plan),
        "calls_used": plan.calls_used,
        "calls_needed": plan.calls_needed,
    });
    if let (Some(head), Value::Object(read)) = (head.as_object_mut(), read(plan)) {
        head.extend(read);
    }
    head
}

/// What was read for a plan, and who is there without the ledger's knowing.
pub(super) fn read(plan: &Plan) -> Value {
    let snapshot = &plan.snapshot;
    let id = |side: &str, print: [u8; SNAPSHOT_BYTES]| {
        format!("{side}-{}-{}", snapshot.read_at.millis(), hex::encode(print))
    };
    json!({
        "snapshot": {
            "read_at": snapshot.read_at.to_rfc3339(),
            "complete": snapshot.complete,
            "crm": {
                "id": id("crm", snapshot.crm_print),
                "pages": snapshot.crm_pages, "users": snapshot.crm_users,
            },
            "cliq": {
                "id": id("cliq", snapshot.cliq_print),
                "pages": snapshot.cliq_pages, "users": snapshot.cliq_users,
            },
        },
        "foreign": foreign::view(&plan.foreign),
    })
}

/// All lines in the plan's order, as a run keeps them.
pub(super) fn pages(plan: &Plan) -> Vec<String> {
    let page = |lines: &[Line]| lines.iter().map(shown_line).collect::<Value>().to_string();
    plan.lines.chunks(LINES_PER_PAGE).map(page).collect()
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
        "held": plan.held().count(), "foreign": plan.foreign.count, "by_operation": by_operation,
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

fn shown_line(one: &Line) -> Value {
    if one.hold.is_some() { held_line(one) } else { line(one) }
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

    /// A page of the plan of a run as it was made: at most `limit` of its lines, after as many as
    /// `after`. `None` while there is no plan.
    pub async fn run_plan(
        &self,
        id: RunId,
        after: u32,
        limit: u32,
    ) -> Result<Option<Option<PlanPage>>, StoreError> {
        self.inner
            .store
            .read(move |tx| {
                let Some(run) = runs::get(tx, id)? else { return Ok(None) };
                let id = twin(tx, &run)?;
                let text = runs::plan(tx, id)?;
                let kept = text.and_then(|text| serde_json::from_str(&text).ok());
                let Some(mut plan) = kept.or_else(|| without_lines(&run)) else {
                    return Ok(Some(None));
                };
                let (lines, next) = some_lines(tx, id, after, limit)?;
                let is_held = |line: &Value| line["held"] == true;
                let (held, free): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(is_held);
                plan["actions"] = free.into();
                plan["held"] = held.into();
                Ok(Some(Some(PlanPage { plan, next })))
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

/// A page of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanPage {
    /// The plan with these lines.
    pub plan: Value,
    /// How many lines there were so far, if there are more.
    pub next: Option<u32>,
}

/// Lines `after` and the following ones, and where the next page begins, if there is one.
fn some_lines(
    tx: &Tx<'_>,
    id: RunId,
    after: u32,
    limit: u32,
) -> Result<(Vec<Value>, Option<u32>), StoreError> {
    let per_page = u32::try_from(LINES_PER_PAGE).unwrap_or(u32::MAX);
    let (first, end) = (after / per_page, after.saturating_add(limit));
    // One more line than asked for tells whether there is a next page.
    let pages = runs::plan_pages(tx, id, i64::from(first), i64::from(end / per_page))?;
    let lines =
        pages.iter().flat_map(|page| serde_json::from_str::<Vec<Value>>(page).unwrap_or_default());
    let skip = usize::try_from(after % per_page).unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut lines: Vec<Value> = lines.skip(skip).take(limit.saturating_add(1)).collect();
    let more = lines.len() > limit;
    lines.truncate(limit);
    Ok((lines, more.then_some(end)))
}

/// A plan that had no lines is not kept: it says itself. One that had lines is forgotten once a newer
/// held run has replaced it.
fn without_lines(run: &Run) -> Option<Value> {
    let checksum = run.checksum.as_ref()?;
    let counts: Value = serde_json::from_str(&run.counts).unwrap_or_default();
    if ["actions", "held"].iter().any(|key| counts[*key].as_u64() > Some(0)) {
        return None;
    }
    let parsed = |text: &Option<String>| -> Value {
        text.as_ref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let read = parsed(&run.read);
    Some(json!({
        "organization": run.organization.as_ref().map(ToString::to_string),
        "user": run.person, "checksum": checksum, "scope": run.scope,
        "guard": parsed(&run.guard),
        "calls_used": counts["calls_used"], "calls_needed": counts["calls_needed"],
        "counts": counts, "snapshot": read["snapshot"], "foreign": read["foreign"],
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
