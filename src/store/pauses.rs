//! Where an operator lets nothing be written. It holds over restarts, until somebody resumes.
//!
//! Deliberately absent: stopping anything. The claims of the outbox look here, each in its own
//! transaction, so that a pause stands before the next single write.

use rusqlite::{Row, params};

use super::{StoreError, Tx};
use crate::domain::{OrgId, Timestamp};

/// For the claims: no pause stands in the way of an outbox row.
pub(super) const NOT_PAUSED: &str =
    "NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.organization IN ('', actions.organization))";

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The organization; `None` is everywhere.
    pub organization: Option<OrgId>,
    /// Since when.
    pub since: Timestamp,
    /// Who asked for it.
    pub by: String,
}

fn pause(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let organization: String = row.get(0)?;
    Ok(Pause {
        organization: (!organization.is_empty()).then(|| OrgId::new(organization)),
        since: Timestamp(row.get(1)?),
        by: row.get(2)?,
    })
}

fn key(organization: Option<&OrgId>) -> &str {
    organization.map_or("", OrgId::as_str)
}

/// Begins a pause. False if it stands already; then it keeps its time and its author.
pub fn begin(tx: &Tx<'_>, new: &Pause) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "INSERT INTO pauses(organization, since, by) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![key(new.organization.as_ref()), new.since.millis(), new.by])?;
    Ok(changed == 1)
}

/// Ends the pause of an organization, or every pause. True if there was one.
pub fn end(tx: &Tx<'_>, organization: Option<&OrgId>) -> Result<bool, StoreError> {
    let changed = match organization {
        Some(id) => tx
            .sql()
            .prepare_cached("DELETE FROM pauses WHERE organization = ?1")?
            .execute([id.as_str()])?,
        None => tx.sql().prepare_cached("DELETE FROM pauses")?.execute([])?,
    };
    Ok(changed > 0)
}

/// Every pause, that of everywhere first.
pub fn all(tx: &Tx<'_>) -> Result<Vec<Pause>, StoreError> {
    let mut statement =
        tx.sql().prepare_cached("SELECT organization, since, by FROM pauses ORDER BY 1")?;
    let rows = statement.query_map([], pause)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether nothing may be written in the organization.
pub fn holds(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM pauses WHERE organization IN ('', ?1) LIMIT 1")?
        .exists([organization.as_str()])?)
}
