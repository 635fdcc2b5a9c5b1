//! Why things are as they are: one row per step, append only.

use rusqlite::params;
use serde_json::{Value, json};

use super::outbox::Cause;
use super::{StoreError, Tx};
use crate::domain::{ActionId, CliqId, Licence, Membership, MembershipId, OrgId, Timestamp};

/// One step to record.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The organization.
    pub organization: &'a OrgId,
    /// The membership, if it is about one.
    pub membership: Option<MembershipId>,
    /// Who: `bridge`, or `operator`.
    pub actor: &'a str,
    /// A stable word, such as `invited`.
    pub event: &'a str,
    /// A sentence an administrator understands.
    pub reason: &'a str,
    /// What it was.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
    /// The delivery or run that asked.
    pub cause: Cause,
    /// The outbox row that did it.
    pub action: Option<ActionId>,
}

/// The part of a membership that an audit row shows. The address stays out: the row names the
/// membership, and erasing a person must not leave copies here.
pub fn facts(membership: &Membership) -> Value {
    json!({
        "state": membership.state.as_str(),
        "origin": membership.origin.as_str(),
        "external": membership.external,
        "generation": membership.generation,
        "sends": membership.sends,
        "cliq_id": membership.cliq_id.as_ref().map(CliqId::as_str),
        "licence": membership.licence.map(Licence::as_str),
        "restricted_by_bridge": membership.restricted_by_bridge,
        "parked": membership.parked,
    })
}

/// Records a step.
pub fn record(tx: &Tx<'_>, entry: &Entry<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO audit(at, organization, membership_id, actor, event, reason, before,
                               after, delivery_id, run_id, action_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            now.millis(),
            entry.organization.as_str(),
            entry.membership.map(|id| id.0),
            entry.actor,
            entry.event,
            entry.reason,
            entry.before.as_ref().map(Value::to_string),
            entry.after.as_ref().map(Value::to_string),
            entry.cause.delivery.map(|id| id.0),
            entry.cause.run.map(|id| id.0),
            entry.action.map(|id| id.0),
        ])?;
    Ok(())
}

/// The newest steps of a membership: (at, event, reason), newest first.
pub fn history(
    tx: &Tx<'_>,
    membership: MembershipId,
    limit: u32,
) -> Result<Vec<(Timestamp, String, String)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT at, event, reason FROM audit WHERE membership_id = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![membership.0, limit], |row| {
        Ok((Timestamp(row.get(0)?), row.get(1)?, row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest of these events of the membership, and when it was.
pub fn newest_of(
    tx: &Tx<'_>,
    membership: MembershipId,
    events: &[&str],
) -> Result<Option<(Timestamp, String)>, StoreError> {
    let mut statement = tx
        .sql()
        .prepare_cached("SELECT at, event FROM audit WHERE membership_id = ?1 ORDER BY id DESC")?;
    let mut rows = statement.query([membership.0])?;
    while let Some(row) = rows.next()? {
        let event: String = row.get(1)?;
        if events.contains(&event.as_str()) {
            return Ok(Some((Timestamp(row.get(0)?), event)));
        }
    }
    Ok(None)
}
