//! Forgetting what is older than `store.keep_days`: deliveries, finished actions, finished runs.
//!
//! The ledger and the audit stay: they answer "why was this person removed" years later.

use rusqlite::params;

use super::{StoreError, Tx};
use crate::domain::Timestamp;

/// Rows of each kind removed in one transaction, so that nobody waits long behind it.
const CHUNK: i64 = 2_000;

/// Removes a few thousand old rows of each kind. True if there may be more. Finished actions are what
/// limits over a window count, so they have an age of their own.
pub fn chunk(
    tx: &Tx<'_>,
    older_than: Timestamp,
    actions_older_than: Timestamp,
) -> Result<bool, StoreError> {
    let mut more = false;
    for (statement, age) in [
        // Ids grow with time, so the oldest rows come first without an index of their own. The newest
        // stays, so that no id is given twice.
        (
            "DELETE FROM deliveries WHERE received_at < ?1 AND id IN
           (SELECT id FROM deliveries ORDER BY id LIMIT ?2)
           AND id < (SELECT max(id) FROM deliveries)",
            older_than,
        ),
        (
            "DELETE FROM actions WHERE id IN
           (SELECT id FROM actions WHERE finished_at < ?1 AND state IN ('done', 'superseded')
            ORDER BY finished_at LIMIT ?2)",
            actions_older_than,
        ),
        (
            "DELETE FROM runs WHERE id IN
           (SELECT id FROM runs WHERE organization IS NOT NULL AND finished_at < ?1 LIMIT ?2)",
            older_than,
        ),
        (
            "DELETE FROM runs WHERE id IN
           (SELECT id FROM runs WHERE organization IS NULL AND queued_at < ?1 AND id NOT IN
              (SELECT parent_id FROM run_parts) LIMIT ?2)",
            older_than,
        ),
    ] {
        let removed = tx.sql().execute(statement, params![age.millis(), CHUNK])?;
        more |= i64::try_from(removed).is_ok_and(|removed| removed == CHUNK);
    }
    Ok(more)
}
