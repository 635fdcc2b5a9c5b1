//! Tombstones with the version of their source: whom a hint looked at since the last run began.
//!
//! A run decides from what it read long ago. Somebody who was deleted since, and of whom the ledger
//! has no row, leaves no other trace (I31). Deliberately absent: what was seen; only when counts.

use rusqlite::params;

use super::{StoreError, Tx};
use crate::domain::{CrmUserId, OrgId, Timestamp};

/// Notes that the user was looked at by a read begun at `read_at`. A run or an approval may be
/// reading; the next run forgets it.
pub fn note(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    read_at: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO looks(organization, crm_user_id, read_at) VALUES (?1, ?2, ?3)
             ON CONFLICT(organization, crm_user_id) DO UPDATE SET
               read_at = max(read_at, excluded.read_at)",
        )?
        .execute(params![organization.as_str(), user.as_str(), read_at.millis()])?;
    Ok(())
}

/// Whether the user was looked at by a read begun after `read_at`. What lies after `now` was noted
/// under a clock that was set back since, and says nothing.
pub fn is_newer(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    read_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM looks WHERE organization = ?1 AND crm_user_id = ?2
               AND read_at > ?3 AND read_at <= ?4",
        )?
        .exists(params![organization.as_str(), user.as_str(), read_at.millis(), now.millis()])?)
}

/// Forgets them: a run begins, and will read after all of these.
pub fn forget(tx: &Tx<'_>, organization: &OrgId) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("DELETE FROM looks WHERE organization = ?1")?
        .execute([organization.as_str()])?;
    Ok(())
}
