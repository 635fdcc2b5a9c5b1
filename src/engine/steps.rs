//! The audit as an administrator reads it: every step, who took it and why, newest first.
//!
//! Deliberately absent: changing it. It is only ever added to.

use serde::Serialize;
use serde_json::Value;

use super::Engine;
use crate::store::StoreError;
use crate::store::audit::{self, Filter, Line};

/// A step as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepView {
    /// `aud-<number>`
    pub id: String,
    /// RFC 3339.
    pub at: String,
    /// The organization; absent where it is about none.
    pub organization: Option<String>,
    /// `mem-<number>`
    pub membership: Option<String>,
    /// That person's address, as it is known today.
    pub email: Option<String>,
    /// That person's name, as it is known today.
    pub name: Option<String>,
    /// `bridge`, `operator`, `invitee`, or the name of the token that asked for it.
    pub actor: String,
    /// A stable word.
    pub event: String,
    /// A sentence.
    pub reason: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
    /// `dlv-<number>`, if a webhook led to it.
    pub delivery_id: Option<String>,
    /// `run-<number>`, if a run did.
    pub run_id: Option<String>,
    /// `act-<number>`, the outbox row that did it.
    pub action_id: Option<String>,
    /// Its place in the list.
    #[serde(skip)]
    pub row: i64,
}

fn view(line: Line) -> StepView {
    StepView {
        row: line.id.0,
        id: line.id.to_string(),
        at: line.at.to_rfc3339(),
        organization: Some(line.organization).filter(|name| !name.is_empty()),
        membership: line.membership.map(|id| id.to_string()),
        email: line.email,
        name: line.name,
        actor: line.actor,
        event: line.event,
        reason: line.reason,
        before: line.before,
        after: line.after,
        delivery_id: line.cause.delivery.map(|id| id.to_string()),
        run_id: line.cause.run.map(|id| id.to_string()),
        action_id: line.action.map(|id| id.to_string()),
    }
}

impl Engine {
    /// A page of the audit, newest first.
    pub async fn audit(&self, filter: Filter, limit: u32) -> Result<Vec<StepView>, StoreError> {
        let lines = self.inner.store.read(move |tx| audit::list(tx, &filter, limit)).await?;
        Ok(lines.into_iter().map(view).collect())
    }
}
