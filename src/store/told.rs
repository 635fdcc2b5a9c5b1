//! What administrators were told of a lasting state, so that it is said once, however long it lasts.
//!
//! Deliberately absent: the notices themselves; they are outbox rows.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::OrgId;

/// What they were last told about this matter; `None` if nothing yet.
pub fn last(tx: &Tx<'_>, organization: &OrgId, what: &str) -> Result<Option<String>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT about FROM told WHERE organization = ?1 AND what = ?2")?
        .query_row([organization.as_str(), what], |row| row.get(0))
        .optional()?)
}

/// Notes what they are told. True if that is not what they were told last.
pub fn note(
    tx: &Tx<'_>,
    organization: &OrgId,
    what: &str,
    about: &str,
) -> Result<bool, StoreError> {
    let news = last(tx, organization, what)?.is_none_or(|last| last != about);
    tx.sql()
        .prepare_cached(
            "INSERT INTO told(organization, what, about) VALUES (?1, ?2, ?3)
             ON CONFLICT(organization, what) DO UPDATE SET about = excluded.about",
        )?
        .execute(params![organization.as_str(), what, about])?;
    Ok(news)
}

/// The state is over: when it begins again, that is news.
pub fn end(tx: &Tx<'_>, organization: &OrgId, what: &str) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("DELETE FROM told WHERE organization = ?1 AND what = ?2")?
        .execute([organization.as_str(), what])?;
    Ok(())
}
