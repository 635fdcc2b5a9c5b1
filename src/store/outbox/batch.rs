//! Channel rows, which go together: up to a hundred people of one channel in one call.
//!
//! Deliberately absent: who of them goes the same way; that takes a fresh look at the channel.

use rusqlite::params;

use super::super::orgs::NOT_FROZEN;
use super::super::pauses::NOT_PAUSED;
use super::work::{CLAIM_FOR, WAIT_MAX, action};
use super::{StoreError, Tx};
use crate::domain::{Action, ActionId, BootId, GuestId, Lane, OrgId, Timestamp};

/// Rows of one channel and operation that are due together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The channel's unique name.
    pub channel: String,
    /// Whether people are taken out; else they are brought in.
    pub removes: bool,
    /// Whether they are a part of a call that was refused.
    pub parted: bool,
    /// The rows, in the order of the memberships.
    pub rows: Vec<(ActionId, GuestId)>,
}

/// A channel row that may go: due, or of an earlier boot, and the first of its guest.
/// The pauses are asked for beside it, and whether the organization is left alone (G12).
const DUE: &str = "actions.state = 'waiting' AND actions.lane = ?1 AND actions.organization = ?2
     AND NOT EXISTS (SELECT 1 FROM actions earlier
       WHERE earlier.guest_id = actions.guest_id AND earlier.state = 'waiting'
         AND earlier.id < actions.id)";

/// When the organization's channel rows have something to do; a time not after `now` means at once.
pub fn next_batch_due(
    tx: &Tx<'_>,
    organization: &OrgId,
    boot: BootId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let (lane, ahead) = (Lane::Channel.as_str(), (now + WAIT_MAX).millis());
    let next: Option<i64> = tx
        .sql()
        .prepare_cached(&format!(
            "SELECT min(CASE WHEN boot <> ?3 OR (boot IS NULL AND next_at > ?4) THEN 0
                             ELSE next_at END)
             FROM actions WHERE {DUE} AND {NOT_PAUSED} AND {NOT_FROZEN}"
        ))?
        .query_row(params![lane, organization.as_str(), boot.0, ahead], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}

/// The due rows that go together with the one that is due longest, at most `most`. Rows that were
/// refused together are tried in the parts they were put into; a part is due since the refusal, so
/// other channels are not kept waiting by it.
pub fn next_batch(
    tx: &Tx<'_>,
    organization: &OrgId,
    boot: BootId,
    now: Timestamp,
    most: usize,
) -> Result<Option<Batch>, StoreError> {
    let ahead = (now + WAIT_MAX).millis();
    let ready = "(next_at <= ?3 OR boot <> ?4 OR (boot IS NULL AND next_at > ?5))";
    let mut first = tx.sql().prepare_cached(&format!(
        "SELECT guests.channel, actions.operation, guests.part
         FROM actions JOIN guests ON guests.id = actions.guest_id
         WHERE {DUE} AND {ready} AND {NOT_PAUSED} AND {NOT_FROZEN}
         ORDER BY actions.next_at, guests.part, actions.id LIMIT 1"
    ))?;
    let (lane, org) = (Lane::Channel.as_str(), organization.as_str());
    let mut found = first.query(params![lane, org, now.millis(), boot.0, ahead])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let (channel, operation): (String, String) = (row.get(0)?, row.get(1)?);
    let part: Option<i64> = row.get(2)?;
    let mut together = tx.sql().prepare_cached(&format!(
        "SELECT actions.id, actions.guest_id
         FROM actions JOIN guests ON guests.id = actions.guest_id
         WHERE {DUE} AND {ready} AND {NOT_PAUSED} AND {NOT_FROZEN}
           AND guests.channel = ?6 AND actions.operation = ?7 AND guests.part IS ?8
         ORDER BY guests.membership_id, guests.id LIMIT ?9"
    ))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = together
        .query_map(
            params![lane, org, now.millis(), boot.0, ahead, channel, operation, part, most],
            |row| Ok((ActionId(row.get(0)?), GuestId(row.get(1)?))),
        )?
        .collect::<Result<_, _>>()?;
    let removes = operation == "channel_remove";
    Ok(Some(Batch { channel, removes, parted: part.is_some(), rows }))
}

/// Whether a part of a refused call for people who are to be brought in is still to be tried.
pub fn parts_wait(tx: &Tx<'_>, organization: &OrgId, channel: &str) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM guests JOIN actions ON actions.guest_id = guests.id
             WHERE guests.organization = ?1 AND guests.channel = ?2 AND guests.part IS NOT NULL
               AND actions.state = 'waiting' AND actions.operation = 'channel_add'",
        )?
        .exists([organization.as_str(), channel])?)
}

/// Claims those of the rows that still wait; the others were withdrawn meanwhile. None while an
/// operator lets nothing be written, or the organization is left alone.
pub fn claim_batch(
    tx: &Tx<'_>,
    ids: &[ActionId],
    boot: BootId,
    now: Timestamp,
) -> Result<Vec<Action>, StoreError> {
    let mut claim = tx.sql().prepare_cached(&format!(
        "UPDATE actions SET boot = ?2, claims = claims + 1, next_at = ?3
         WHERE id = ?1 AND state = 'waiting' AND {NOT_PAUSED} AND {NOT_FROZEN} RETURNING *"
    ))?;
    let mut claimed = Vec::new();
    for id in ids {
        let until = (now + CLAIM_FOR).millis();
        let rows = claim.query_map(params![id.0, boot.0, until], action)?;
        for row in rows {
            claimed.extend(row?.1);
        }
    }
    Ok(claimed)
}

/// Ends waiting rows that nobody claimed: a fresh look showed that they are not wanted, or why they
/// cannot be.
pub fn drop_batch(
    tx: &Tx<'_>,
    ids: &[ActionId],
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut end = tx.sql().prepare_cached(
        "UPDATE actions SET state = 'superseded', finished_at = ?2, last_error = ?3
         WHERE id = ?1 AND state = 'waiting'",
    )?;
    for id in ids {
        end.execute(params![id.0, now.millis(), why])?;
    }
    Ok(())
}

/// Lets waiting rows wait longer: what had to be read before them could not be.
pub fn delay_batch(
    tx: &Tx<'_>,
    ids: &[ActionId],
    at: Timestamp,
    why: &str,
) -> Result<(), StoreError> {
    let mut delay = tx.sql().prepare_cached(
        "UPDATE actions SET next_at = ?2, last_error = ?3, boot = NULL
         WHERE id = ?1 AND state = 'waiting'",
    )?;
    for id in ids {
        delay.execute(params![id.0, at.millis(), why])?;
    }
    Ok(())
}

/// Takes back a guest's rows that are not in flight.
pub fn withdraw_guest(
    tx: &Tx<'_>,
    guest: GuestId,
    boot: BootId,
    why: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = 'superseded', finished_at = ?3, last_error = ?4
             WHERE guest_id = ?1 AND state = 'waiting' AND by_operator = 0
               AND (boot IS NULL OR boot <> ?2)",
        )?
        .execute(params![guest.0, boot.0, now.millis(), why])?)
}
