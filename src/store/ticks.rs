//! Up to when the ticks of scheduled jobs have had their turn, so that a tick missed while the daemon was down runs once.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::Timestamp;

/// Up to when the job's ticks have had their turn; `None` of a job never heard of.
pub fn last(tx: &Tx<'_>, organization: &str, job: &str) -> Result<Option<Timestamp>, StoreError> {
    let known: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT last_at FROM ticks WHERE organization = ?1 AND job = ?2")?
        .query_row([organization, job], |row| row.get(0))
        .optional()?;
    Ok(known.map(Timestamp))
}

/// How many ticks of the job were skipped because the last one still ran.
pub fn skipped(tx: &Tx<'_>, organization: &str, job: &str) -> Result<u64, StoreError> {
    let count: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT skipped FROM ticks WHERE organization = ?1 AND job = ?2")?
        .query_row([organization, job], |row| row.get(0))
        .optional()?;
    Ok(count.and_then(|count| count.try_into().ok()).unwrap_or_default())
}

/// Notes up to when the job's ticks have had their turn, and whether this one was skipped because
/// the last one still runs.
pub fn note(
    tx: &Tx<'_>,
    organization: &str,
    job: &str,
    served: Timestamp,
    skipped: bool,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO ticks(organization, job, last_at, skipped) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(organization, job) DO UPDATE SET
               last_at = excluded.last_at, skipped = skipped + excluded.skipped",
        )?
        .execute(params![organization, job, served.millis(), skipped])?;
    Ok(())
}
