//! Looking at rows, and setting one to work again that was refused or given up.
//!
//! Deliberately absent: payloads. They hold addresses and links; whoever looks sees whom a row is
//! about by its membership.

use rusqlite::{OptionalExtension, Row, params};

use super::{Cause, StoreError, Tx};
use crate::domain::{
    ActionId, ActionState, DeliveryId, GuestId, MembershipId, OrgId, RunId, Timestamp,
};

/// Which rows a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only these states; empty is every state.
    pub states: Vec<ActionState>,
    /// Only of this organization.
    pub organization: Option<String>,
    /// Only about this membership.
    pub membership: Option<MembershipId>,
    /// Only those with a lower id.
    pub before: Option<i64>,
}

/// A row as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Row id.
    pub id: ActionId,
    /// The organization.
    pub organization: OrgId,
    /// The membership it is about.
    pub membership: Option<MembershipId>,
    /// The channel guest it is about.
    pub guest: Option<GuestId>,
    /// That guest's channel.
    pub channel: Option<String>,
    /// Which rows it goes in order with.
    pub lane: String,
    /// What it does.
    pub operation: String,
    /// How far it is.
    pub state: ActionState,
    /// Why, in a sentence.
    pub reason: String,
    /// What asked for it.
    pub cause: Cause,
    /// An operator asked for it by name.
    pub by_operator: bool,
    /// The code of its refusal, or the kind of its last failure.
    pub code: Option<String>,
    /// What came of it, in words.
    pub detail: Option<String>,
    /// Failures so far.
    pub failures: u32,
    /// How often a desk took it.
    pub claims: u32,
    /// When it is looked at next.
    pub next_at: Timestamp,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Equal over retries of the row.
    pub idempotency_key: String,
}

const COLUMNS: &str = "actions.id, organization, membership_id, guest_id, lane, operation, state, \
     reason, delivery_id, run_id, by_operator, last_code, last_error, failures, claims, next_at, \
     created_at, finished_at, idempotency_key, \
     (SELECT channel FROM guests WHERE guests.id = actions.guest_id)";

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        id: ActionId(row.get(0)?),
        organization: OrgId::new(row.get::<_, String>(1)?),
        membership: row.get::<_, Option<i64>>(2)?.map(MembershipId),
        guest: row.get::<_, Option<i64>>(3)?.map(GuestId),
        lane: row.get(4)?,
        operation: row.get(5)?,
        state: ActionState::from_word(&row.get::<_, String>(6)?).unwrap_or(ActionState::Dead),
        reason: row.get(7)?,
        cause: Cause {
            delivery: row.get::<_, Option<i64>>(8)?.map(DeliveryId),
            run: row.get::<_, Option<i64>>(9)?.map(RunId),
        },
        by_operator: row.get(10)?,
        code: row.get(11)?,
        detail: row.get(12)?,
        failures: row.get(13)?,
        claims: row.get(14)?,
        next_at: Timestamp(row.get(15)?),
        created_at: Timestamp(row.get(16)?),
        finished_at: row.get::<_, Option<i64>>(17)?.map(Timestamp),
        idempotency_key: row.get(18)?,
        channel: row.get(19)?,
    })
}

/// A page of rows, newest first.
pub fn list(tx: &Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<Line>, StoreError> {
    // The words themselves, not parameters: only so does SQLite see that the index of the open
    // rows serves.
    let words: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
    let states =
        if words.is_empty() { "1".to_owned() } else { format!("state IN ({})", words.join(", ")) };
    let membership = if filter.membership.is_some() { "membership_id = ?2" } else { "?2 IS NULL" };
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM actions
         WHERE {states} AND (?1 IS NULL OR organization = ?1) AND {membership}
           AND actions.id < ?3 ORDER BY actions.id DESC LIMIT ?4"
    ))?;
    let rows = statement.query_map(
        params![
            filter.organization,
            filter.membership.map(|id| id.0),
            filter.before.unwrap_or(i64::MAX),
            limit
        ],
        line,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What came of the wish to try a row again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// There is no such row.
    Missing,
    /// Only what was refused or given up is tried again; this row is in another state.
    NotOver(ActionState),
    /// A later row of the same person and lane exists: to repeat the older one would turn it back.
    Overtaken(ActionId),
    /// It takes access from somebody: the guard that let it pass then has to be asked again.
    Guarded,
    /// It is due now, with its failures forgotten.
    Due(Box<Line>),
}

/// Sets a refused or given-up row to work again: the same row, so the same idempotency key.
pub fn retry(tx: &Tx<'_>, id: ActionId, now: Timestamp) -> Result<Retry, StoreError> {
    let row = tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM actions WHERE id = ?1"))?
        .query_row([id.0], line)
        .optional()?;
    let Some(row) = row else { return Ok(Retry::Missing) };
    if !matches!(row.state, ActionState::Parked | ActionState::Dead) {
        return Ok(Retry::NotOver(row.state));
    }
    let guarded = "SELECT 1 FROM actions WHERE id = ?1 AND guarded";
    if tx.sql().prepare_cached(guarded)?.exists([id.0])? {
        return Ok(Retry::Guarded);
    }
    if let Some(later) = later_one(tx, &row)? {
        return Ok(Retry::Overtaken(later));
    }
    tx.sql()
        .prepare_cached(
            "UPDATE actions SET state = 'waiting', boot = NULL, next_at = ?2, failures = 0,
                    finished_at = NULL
             WHERE id = ?1",
        )?
        .execute([id.0, now.millis()])?;
    Ok(Retry::Due(Box::new(row)))
}

fn later_one(tx: &Tx<'_>, row: &Line) -> Result<Option<ActionId>, StoreError> {
    let (column, subject) = match (row.guest, row.membership) {
        (Some(guest), _) => ("guest_id", guest.0),
        (None, Some(membership)) => ("membership_id", membership.0),
        (None, None) => return Ok(None),
    };
    let later: Option<i64> = tx
        .sql()
        .prepare_cached(&format!(
            "SELECT max(id) FROM actions WHERE {column} = ?1 AND lane = ?2 AND id > ?3"
        ))?
        .query_row(params![subject, row.lane, row.id.0], |found| found.get(0))?;
    Ok(later.map(ActionId))
}
