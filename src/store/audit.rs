//! Why things are as they are: one row per step, append only.

use rusqlite::{Row, params};
use serde_json::{Value, json};

use super::outbox::Cause;
use super::{StoreError, Tx};
use crate::domain::{
    ActionId, AuditId, CliqId, DeliveryId, Licence, Membership, MembershipId, OrgId, RunId,
    Timestamp,
};

/// One step to record.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The organization.
    pub organization: &'a OrgId,
    /// The membership, if it is about one.
    pub membership: Option<MembershipId>,
    /// Who: `bridge`, `operator`, `invitee`, or the name of the token that asked for it.
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

/// A command over the API or beside the daemon: one row for each that was accepted, with the name of
/// whoever gave it.
#[derive(Debug)]
pub struct Command<'a> {
    /// The name of the token, or `command line`.
    pub by: &'a str,
    /// The organization it is about; `None` is all of them, or none.
    pub organization: Option<&'a OrgId>,
    /// The membership, if it is about one.
    pub membership: Option<MembershipId>,
    /// A stable word, such as `replay`.
    pub event: &'a str,
    /// A sentence that names the target.
    pub reason: &'a str,
    /// The delivery or run that it is about, or began.
    pub cause: Cause,
    /// The outbox row that it is about, or queued.
    pub action: Option<ActionId>,
}

impl<'a> Command<'a> {
    /// A command about nothing that has an id.
    pub fn by(by: &'a str, event: &'a str, reason: &'a str) -> Self {
        let (organization, membership, action) = (None, None, None);
        Self { by, organization, membership, event, reason, cause: Cause::default(), action }
    }

    /// Records it.
    pub fn record(&self, tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
        let everywhere = OrgId::new("");
        let entry = Entry {
            organization: self.organization.unwrap_or(&everywhere),
            membership: self.membership,
            actor: self.by,
            event: self.event,
            reason: self.reason,
            before: None,
            after: None,
            cause: self.cause,
            action: self.action,
        };
        record(tx, &entry, now)
    }
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

/// Which steps a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this organization.
    pub organization: Option<String>,
    /// Only of this membership.
    pub membership: Option<MembershipId>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only since this time.
    pub since: Option<Timestamp>,
    /// Only those with a lower id.
    pub before: Option<i64>,
}

/// A step as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Row id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// The organization; empty where it is about none.
    pub organization: String,
    /// The membership.
    pub membership: Option<MembershipId>,
    /// That person's address, as it is known today.
    pub email: Option<String>,
    /// That person's name, as it is known today.
    pub name: Option<String>,
    /// Who.
    pub actor: String,
    /// A stable word.
    pub event: String,
    /// A sentence.
    pub reason: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
    /// The delivery or run that asked.
    pub cause: Cause,
    /// The outbox row that did it.
    pub action: Option<ActionId>,
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    let name: Option<String> = row.get(12)?;
    Ok(Line {
        id: AuditId(row.get(0)?),
        at: Timestamp(row.get(1)?),
        organization: row.get(2)?,
        membership: row.get::<_, Option<i64>>(3)?.map(MembershipId),
        actor: row.get(4)?,
        event: row.get(5)?,
        reason: row.get(6)?,
        before: json(row.get(7)?),
        after: json(row.get(8)?),
        cause: Cause {
            delivery: row.get::<_, Option<i64>>(9)?.map(DeliveryId),
            run: row.get::<_, Option<i64>>(10)?.map(RunId),
        },
        action: row.get::<_, Option<i64>>(11)?.map(ActionId),
        name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        email: row.get(13)?,
    })
}

/// A page of steps, newest first. Who the person is comes from the ledger: the steps themselves hold
/// no address.
pub fn list(tx: &Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<Line>, StoreError> {
    // A term that may be absent would hide the indexes from SQLite.
    let organization =
        if filter.organization.is_some() { "audit.organization = ?1" } else { "?1 IS NULL" };
    let membership = if filter.membership.is_some() { "membership_id = ?2" } else { "?2 IS NULL" };
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT audit.id, at, audit.organization, membership_id, actor, event, reason, before, after,
                delivery_id, run_id, action_id, first_name || ' ' || last_name, email
         FROM audit LEFT JOIN memberships ON memberships.id = membership_id
         WHERE {organization} AND {membership} AND (?3 IS NULL OR actor = ?3)
           AND (?4 IS NULL OR at >= ?4) AND audit.id < ?5
         ORDER BY audit.id DESC LIMIT ?6"
    ))?;
    let rows = statement.query_map(
        params![
            filter.organization,
            filter.membership.map(|id| id.0),
            filter.actor,
            filter.since.map(Timestamp::millis),
            filter.before.unwrap_or(i64::MAX),
            limit
        ],
        line,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}
