//! When scheduled jobs last ran, so that a tick missed while the daemon was down runs once.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::Timestamp;

/// When the job last ran. A job never heard of is noted as having run now: a schedule that never
/// ran does not fire at start.
pub fn last(
    tx: &Tx<'_>,
    organization: &str,
    job: &str,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let known: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT last_at FROM ticks WHERE organization = ?1 AND job = ?2")?
        .query_row([organization, job], |row| row.get(0))
        .optional()?;
    if let Some(at) = known {
        return Ok(Timestamp(at));
    }
    note(tx, organization, job, now, false)?;
    Ok(now)
}

/// Notes that the job's tick has come, and whether it was skipped because the last one still runs.
pub fn note(
    tx: &Tx<'_>,
    organization: &str,
    job: &str,
    now: Timestamp,
    skipped: bool,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO ticks(organization, job, last_at, skipped) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(organization, job) DO UPDATE SET
               last_at = excluded.last_at, skipped = skipped + excluded.skipped",
        )?
        .execute(params![organization, job, now.millis(), skipped])?;
    Ok(())
}
