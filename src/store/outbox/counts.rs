//! Counting rows: for the status, the limits and what administrators were told.

use rusqlite::params;
use serde::Serialize;

use super::{StoreError, Tx};
use crate::domain::{BootId, GuestId, Lane, MembershipId, RunId, Timestamp};

/// Letters sent from `from` to `now` or on their way: how many, and when the oldest of them went.
/// Those "of the future", sent under a clock that was set back since, do not count.
pub fn letters_since(
    tx: &Tx<'_>,
    from: Timestamp,
    now: Timestamp,
    boot: BootId,
) -> Result<(u32, Option<Timestamp>), StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) + (SELECT count(*) FROM actions
                                WHERE lane = 'letter' AND state = 'waiting' AND boot = ?3),
                    min(finished_at)
             FROM actions
             WHERE finished_at > ?1 AND finished_at <= ?2 AND state = 'done' AND lane = 'letter'",
        )?
        .query_row([from.millis(), now.millis(), boot.0], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Timestamp)))
        })?)
}

/// How many rows are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Waiting for their turn or a retry.
    pub waiting: i64,
    /// Of these, rows that have failed at least once.
    pub retrying: i64,
    /// Refused, waiting for an operator.
    pub parked: i64,
    /// Given up.
    pub dead: i64,
}

/// Counts what is not over.
pub fn tally(tx: &Tx<'_>) -> Result<Tally, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT coalesce(sum(state = 'waiting'), 0),
                    coalesce(sum(state = 'waiting' AND failures > 0), 0),
                    coalesce(sum(state = 'parked'), 0), coalesce(sum(state = 'dead'), 0)
             FROM actions WHERE state IN ('waiting', 'parked', 'dead')",
        )?
        .query_row([], |row| {
            Ok(Tally {
                waiting: row.get(0)?,
                retrying: row.get(1)?,
                parked: row.get(2)?,
                dead: row.get(3)?,
            })
        })?)
}

/// Rows still waiting; cheap, for the high-water mark.
pub fn waiting(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT count(*) FROM actions WHERE state = 'waiting'")?
        .query_row([], |row| row.get(0))?)
}

/// Rows that this boot has claimed and whose call has not ended.
pub fn in_flight(tx: &Tx<'_>, boot: BootId) -> Result<i64, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT count(*) FROM actions WHERE state = 'waiting' AND boot = ?1")?
        .query_row([boot.0], |row| row.get(0))?)
}

/// Whether a row of the lane waits for this membership.
pub fn waits(tx: &Tx<'_>, membership: MembershipId, lane: Lane) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions
             WHERE membership_id = ?1 AND lane = ?2 AND state = 'waiting' LIMIT 1",
        )?
        .exists(params![membership.0, lane.as_str()])?)
}

/// Whether this very operation waits for this membership.
pub fn waits_to(
    tx: &Tx<'_>,
    membership: MembershipId,
    operation: &str,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions
             WHERE membership_id = ?1 AND operation = ?2 AND state = 'waiting' LIMIT 1",
        )?
        .exists(params![membership.0, operation])?)
}

/// Whether this very operation waits for this guest.
pub fn waits_for_guest(tx: &Tx<'_>, guest: GuestId, operation: &str) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions
             WHERE guest_id = ?1 AND operation = ?2 AND state = 'waiting' LIMIT 1",
        )?
        .exists(params![guest.0, operation])?)
}

/// What a run's changes came to: operations that were carried out, and how often each.
pub fn done_by_run(tx: &Tx<'_>, run: RunId) -> Result<Vec<(String, u32)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT operation, count(*) FROM actions WHERE run_id = ?1 AND state = 'done'
         GROUP BY operation ORDER BY operation",
    )?;
    let rows = statement.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether something about the person's access was queued or carried out after `from`.
pub fn moved_since(
    tx: &Tx<'_>,
    membership: MembershipId,
    from: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions WHERE membership_id = ?1 AND lane = 'access'
               AND ((state = 'done' AND finished_at > ?2 AND finished_at <= ?3)
                    OR (state = 'waiting' AND created_at > ?2 AND created_at <= ?3)) LIMIT 1",
        )?
        .exists(params![membership.0, from.millis(), now.millis()])?)
}
