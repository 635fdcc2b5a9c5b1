//! The outbox as an administrator sees it, and trying again what was refused or given up.
//!
//! Deliberately absent: changing what a row does; a wrong one is replaced by the next plan.

use serde::Serialize;

use super::subscription::Refused;
use super::{Engine, remedy};
use crate::domain::{ActionId, ActionState, Lane, Timestamp};
use crate::store::audit::Command;
use crate::store::outbox::{self, Filter, Line, Retry};
use crate::store::{StoreError, Tx, guests, ledger};

/// An outbox row as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionView {
    /// `act-<number>`
    pub id: String,
    /// The organization.
    pub organization: String,
    /// `mem-<number>`; absent for notices to administrators.
    pub membership: Option<String>,
    /// The channel, for somebody's way into one or out of it.
    pub channel: Option<String>,
    /// What it does, such as `add_external`.
    pub operation: String,
    /// `access`, `licence`, `letter`, `notice` or `channel`: what it goes in order with.
    pub lane: String,
    /// `waiting`, `done`, `superseded`, `parked` or `dead`
    pub state: &'static str,
    /// Why it was queued.
    pub reason: String,
    /// Why it was refused or given up, as a stable word.
    pub cause: Option<String>,
    /// What to do about that.
    pub remedy: Option<String>,
    /// What came of it, or of the last try, in words.
    pub detail: Option<String>,
    /// Failures so far.
    pub failures: u32,
    /// How often it was taken.
    pub claims: u32,
    /// RFC 3339; absent when it is over.
    pub next_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Equal over retries.
    pub idempotency_key: String,
    /// Whether an operator asked for it by name.
    pub by_operator: bool,
    /// `dlv-<number>`, if a webhook asked for it.
    pub delivery_id: Option<String>,
    /// `run-<number>`, if a run did.
    pub run_id: Option<String>,
    /// Its place in the list.
    #[serde(skip)]
    pub row: i64,
}

pub(super) fn view(line: Line) -> ActionView {
    let over = matches!(line.state, ActionState::Parked | ActionState::Dead);
    let waits = line.state == ActionState::Waiting;
    let cause = line.code.filter(|_| over);
    ActionView {
        row: line.id.0,
        id: line.id.to_string(),
        organization: line.organization.to_string(),
        membership: line.membership.map(|id| id.to_string()),
        channel: line.channel,
        operation: line.operation,
        lane: line.lane,
        state: line.state.as_str(),
        reason: line.reason,
        remedy: over.then(|| advice(line.state, cause.as_deref())),
        cause,
        detail: line.detail.filter(|detail| !detail.is_empty()),
        failures: line.failures,
        claims: line.claims,
        next_at: waits.then(|| line.next_at.to_rfc3339()),
        created_at: line.created_at.to_rfc3339(),
        finished_at: line.finished_at.map(Timestamp::to_rfc3339),
        idempotency_key: line.idempotency_key,
        by_operator: line.by_operator,
        delivery_id: line.cause.delivery.map(|id| id.to_string()),
        run_id: line.cause.run.map(|id| id.to_string()),
    }
}

fn advice(state: ActionState, cause: Option<&str>) -> String {
    match (state, cause) {
        (ActionState::Parked, Some(code)) => remedy(code),
        _ => "it failed too often; mend what `detail` says, then retry it".to_owned(),
    }
}

impl Engine {
    /// A page of outbox rows, newest first.
    pub async fn actions(&self, filter: Filter, limit: u32) -> Result<Vec<ActionView>, StoreError> {
        let lines = self.inner.store.read(move |tx| outbox::list(tx, &filter, limit)).await?;
        Ok(lines.into_iter().map(view).collect())
    }

    /// Lets a refused or given-up row be tried again, now and with its failures forgotten.
    ///
    /// # Errors
    /// [`Refused::Missing`]; [`Refused::Forbidden`] for a row in another state, for one that the guard
    /// let pass, and for one that a later row of the same person has overtaken.
    pub async fn retry(&self, id: ActionId, by: &str) -> Result<ActionView, Refused> {
        let (now, by) = (self.now(), by.to_owned());
        let done = self
            .inner
            .store
            .write("retry", move |tx| {
                let done = outbox::retry(tx, id, now)?;
                if let Retry::Due(line) = &done {
                    unpark(tx, line)?;
                    let reason = format!("{id} ({}) is tried again.", line.operation);
                    let command = Command {
                        organization: Some(&line.organization),
                        membership: line.membership,
                        cause: line.cause,
                        action: Some(id),
                        ..Command::by(&by, "retried", &reason)
                    };
                    command.record(tx, now)?;
                }
                Ok(done)
            })
            .await?;
        let line = match done {
            Retry::Due(line) => *line,
            Retry::Missing => return Err(Refused::Missing("action")),
            Retry::NotOver(state) => {
                let why = format!("{id} is {state}; only what is parked or dead is tried again");
                return Err(Refused::Forbidden(why));
            }
            Retry::Guarded => {
                let why = format!(
                    "{id} takes access from somebody, so the guard has to be asked again: resync \
                     the person instead"
                );
                return Err(Refused::Forbidden(why));
            }
            Retry::Overtaken(later) => {
                let why = format!(
                    "{later} came after {id} for the same person, so trying the older one again \
                     would turn the newer back; resync the person instead"
                );
                return Err(Refused::Forbidden(why));
            }
        };
        self.wake_outbox(&line.organization);
        let now_waits = Line {
            state: ActionState::Waiting,
            next_at: now,
            failures: 0,
            finished_at: None,
            ..line
        };
        Ok(view(now_waits))
    }
}

/// A person who is marked as refused would have the row taken back by the next plan.
fn unpark(tx: &Tx<'_>, line: &Line) -> Result<(), StoreError> {
    if let Some(mut guest) = line.guest.map(|id| guests::get(tx, id)).transpose()?.flatten() {
        guest.parked = None;
        guests::put(tx, &guest)?;
        return Ok(());
    }
    let access = line.lane == Lane::Access.as_str();
    let row = line.membership.filter(|_| access).map(|id| ledger::get(tx, id)).transpose()?;
    if let Some(mut row) = row.flatten() {
        row.parked = None;
        ledger::put(tx, &row)?;
    }
    Ok(())
}
