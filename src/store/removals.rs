//! What the removal guard counts: who lost access in the window, and who is ours.
//!
//! Deliberately absent: the limits, which `logic::guard` compares with.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{StoreError, Tx};
use crate::domain::{MembershipId, OrgId, Timestamp};

/// People of the organization who lose access by rows that wait, or lost it since `from`.
pub fn counted(
    tx: &Tx<'_>,
    organization: &OrgId,
    from: Timestamp,
) -> Result<BTreeSet<MembershipId>, StoreError> {
    people(
        tx,
        "SELECT membership_id FROM actions
         WHERE guarded = 1 AND organization = ?1 AND membership_id IS NOT NULL
           AND (state = 'waiting' OR (state = 'done' AND finished_at >= ?2))",
        (organization, from),
    )
}

/// People of the organization whose removal was staged since `from`.
pub fn staged(
    tx: &Tx<'_>,
    organization: &OrgId,
    from: Timestamp,
) -> Result<BTreeSet<MembershipId>, StoreError> {
    people(
        tx,
        "SELECT id FROM memberships
         WHERE organization = ?1 AND state = 'removal_staged' AND since >= ?2",
        (organization, from),
    )
}

fn people(
    tx: &Tx<'_>,
    query: &'static str,
    (organization, from): (&OrgId, Timestamp),
) -> Result<BTreeSet<MembershipId>, StoreError> {
    let mut statement = tx.sql().prepare_cached(query)?;
    let rows = statement.query_map(params![organization.as_str(), from.millis()], |row| {
        row.get(0).map(MembershipId)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How often the bridge took this person out since `from`, by a plan of its own.
pub fn times_taken_out(
    tx: &Tx<'_>,
    person: MembershipId,
    from: Timestamp,
) -> Result<u32, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) FROM actions
             WHERE membership_id = ?1 AND operation = 'remove_external' AND state = 'done'
               AND by_operator = 0 AND finished_at >= ?2",
        )?
        .query_row([person.0, from.millis()], |row| row.get(0))?)
}

/// People who are ours and in Cliq, or on the way into it, and those whom we invited to a channel: such
/// an invitation is ours whatever the origin of the membership.
pub fn owned(tx: &Tx<'_>, organization: &OrgId) -> Result<BTreeSet<MembershipId>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT id FROM memberships WHERE organization = ?1
           AND origin IN ('made', 'expected', 'adopted')
           AND state IN ('invited', 'joined', 'restricted', 'removal_staged')
         UNION SELECT membership_id FROM guests WHERE organization = ?1
           AND membership_id IS NOT NULL AND invited_at IS NOT NULL
           AND state IN ('wanted', 'invited', 'awaiting_signup', 'signed_up', 'joined', 'expired')",
    )?;
    let rows = statement.query_map([organization.as_str()], |row| row.get(0).map(MembershipId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// People who vanished from Cliq by themselves since `from`, or from a channel, each channel counted.
pub fn vanished(tx: &Tx<'_>, organization: &OrgId, from: Timestamp) -> Result<usize, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT (SELECT count(*) FROM memberships
                     WHERE organization = ?1 AND unseen_since IS NOT NULL
                       AND state IN ('left', 'declined', 'expired') AND since >= ?2)
                  + (SELECT count(*) FROM guests
                     WHERE organization = ?1 AND state = 'left' AND since >= ?2)",
        )?
        .query_row(params![organization.as_str(), from.millis()], |row| {
            row.get::<_, i64>(0).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        })?)
}
