//! The licence lane as a whole: who is about to get or lose a seat, and who cannot get one.
//!
//! Deliberately absent: how many seats there are; `store::plans` and the configuration know.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::{StoreError, Tx};
use crate::domain::{BootId, Lane, MembershipId, OrgId, PortalVerb, Timestamp};

/// A change of a licence that a listing may not show yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InMotion {
    /// A seat is taken, or about to be.
    Assigned,
    /// A seat is given back, or about to be.
    Revoked,
}

/// Members whose licence waits to be changed, or was changed since `from`: the newest change of each.
pub fn licences_in_motion(
    tx: &Tx<'_>,
    organization: &OrgId,
    from: Timestamp,
) -> Result<BTreeMap<MembershipId, InMotion>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT membership_id, operation FROM actions
         WHERE organization = ?1 AND lane = ?2 AND membership_id IS NOT NULL
           AND (state = 'waiting' OR (state = 'done' AND finished_at >= ?3)) ORDER BY id",
    )?;
    let scope = params![organization.as_str(), Lane::Licence.as_str(), from.millis()];
    let rows = statement.query_map(scope, |row| {
        let operation: String = row.get(1)?;
        let revoked = operation == PortalVerb::RevokeLicence.as_str();
        let motion = if revoked { InMotion::Revoked } else { InMotion::Assigned };
        Ok((MembershipId(row.get(0)?), motion))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Members for whom a change of the licence was refused or given up: an operator has to act.
pub fn licences_stuck(
    tx: &Tx<'_>,
    organization: &OrgId,
) -> Result<BTreeSet<MembershipId>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT membership_id FROM actions
         WHERE state IN ('parked', 'dead') AND organization = ?1 AND lane = ?2
           AND membership_id IS NOT NULL",
    )?;
    let rows = statement.query_map([organization.as_str(), Lane::Licence.as_str()], |row| {
        Ok(MembershipId(row.get(0)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes back every planned licence of the organization that is not in flight: no seat is left.
pub fn withdraw_licences(
    tx: &Tx<'_>,
    organization: &OrgId,
    boot: BootId,
    why: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = 'superseded', finished_at = ?4, last_error = ?5
             WHERE state = 'waiting' AND organization = ?1 AND operation = ?2 AND by_operator = 0
               AND (boot IS NULL OR boot <> ?3)",
        )?
        .execute(params![
            organization.as_str(),
            PortalVerb::AssignLicence.as_str(),
            boot.0,
            now.millis(),
            why
        ])?)
}
