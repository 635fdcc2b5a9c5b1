//! External rows of an organization's Cliq that no ledger row stands for, as the last run over
//! everybody saw them: for lists, and nothing else.
//!
//! Only what changed is written. Deliberately absent: which rows those are; `engine::foreign` tells.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{StoreError, Tx, orgs};
use crate::domain::plan::{Foreign, ForeignRow};
use crate::domain::{CliqId, OrgId, Timestamp};

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the list.
    pub id: i64,
    /// What Cliq shows.
    pub row: ForeignRow,
    /// When a run saw it first.
    pub first_at: Timestamp,
}

fn listed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get(0)?,
        row: ForeignRow {
            cliq_id: CliqId::new(row.get::<_, String>(1)?),
            zuid: row.get(2)?,
            email: row.get(3)?,
            status: row.get::<_, String>(4)?.into(),
        },
        first_at: Timestamp(row.get(5)?),
    })
}

/// What is different between the rows of now and those that are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// New, or shown otherwise.
    pub put: Vec<ForeignRow>,
    /// Not there any more, or in the ledger by now.
    pub gone: Vec<CliqId>,
    /// Whether the whole number is another.
    pub counted: bool,
}

impl Difference {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.gone.is_empty() && !self.counted
    }
}

/// Compares without writing.
pub fn compare(tx: &Tx<'_>, organization: &OrgId, now: &Foreign) -> Result<Difference, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT id, cliq_id, zuid, email, status, first_at FROM foreigners WHERE organization = ?1",
    )?;
    let mut stored: BTreeMap<CliqId, ForeignRow> = BTreeMap::new();
    for row in statement.query_map([organization.as_str()], listed)? {
        let row = row?.row;
        stored.insert(row.cliq_id.clone(), row);
    }
    let mut put = Vec::new();
    for row in &now.rows {
        if stored.remove(&row.cliq_id).as_ref() != Some(row) {
            put.push(row.clone());
        }
    }
    let counted = count(tx, organization)? != now.count;
    Ok(Difference { put, gone: stored.into_keys().collect(), counted })
}

/// Writes a difference, and how many there are in all.
pub fn note(
    tx: &Tx<'_>,
    organization: &OrgId,
    difference: &Difference,
    count: usize,
    now: Timestamp,
) -> Result<(), StoreError> {
    orgs::ensure(tx, organization)?;
    let mut upsert = tx.sql().prepare_cached(
        "INSERT INTO foreigners(organization, cliq_id, zuid, email, status, first_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(organization, cliq_id) DO UPDATE SET
           zuid = excluded.zuid, email = excluded.email, status = excluded.status",
    )?;
    for row in &difference.put {
        upsert.execute(params![
            organization.as_str(),
            row.cliq_id.as_str(),
            row.zuid,
            row.email,
            row.status,
            now.millis()
        ])?;
    }
    let mut delete = tx
        .sql()
        .prepare_cached("DELETE FROM foreigners WHERE organization = ?1 AND cliq_id = ?2")?;
    for id in &difference.gone {
        delete.execute([organization.as_str(), id.as_str()])?;
    }
    tx.sql().execute(
        "UPDATE organizations SET foreign_count = ?2 WHERE id = ?1",
        params![organization.as_str(), i64::try_from(count).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// How many there are, also beyond those that are kept.
pub fn count(tx: &Tx<'_>, organization: &OrgId) -> Result<usize, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT coalesce(max(foreign_count), 0) FROM organizations WHERE id = ?1",
    )?;
    let count: i64 = statement.query_row([organization.as_str()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// A page of them, in the order in which they were first seen.
pub fn list(
    tx: &Tx<'_>,
    organization: &OrgId,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Listed>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT id, cliq_id, zuid, email, status, first_at FROM foreigners
         WHERE organization = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![organization.as_str(), after.unwrap_or(0), limit], listed)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
