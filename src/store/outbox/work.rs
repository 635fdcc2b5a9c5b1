//! Taking rows at desks, and ending them. Deliberately absent: queueing, and what a row does.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::super::counters;
use super::super::orgs::NOT_FROZEN;
use super::super::pauses::NOT_PAUSED;
use super::queue::operation;
use super::{Cause, StoreError, Tx};
use crate::domain::{
    Action, ActionId, BootId, DeliveryId, GuestId, Lane, MembershipId, OrgId, RunId, Timestamp,
};

/// How far a claim moves the row: past the longest call (10 minutes for a slow mail server) with
/// room.
pub(super) const CLAIM_FOR: Duration = Duration::from_mins(15);

/// Longest wait that any row is given: quiet hours end within a day, a lock or a `Retry-After` sooner. A
/// time farther ahead was noted before the clock was set back: it is over.
pub(super) const WAIT_MAX: Duration = Duration::from_hours(48);

/// Which rows a desk takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desk {
    /// The portal rows of one organization.
    Access(OrgId),
    /// The bot rows of one organization.
    Notices(OrgId),
    /// All letters.
    Letters,
}

/// The columns that [`action`] reads.
const COLUMNS: &str = "id, organization, membership_id, guest_id, operation, payload, reason, \
     idempotency_key, guarded, by_operator, failures, created_at";

/// A row may go when no earlier row of its lane waits.
const FIRST_IN_LANE: &str = "NOT EXISTS (SELECT 1 FROM actions earlier
     WHERE earlier.membership_id = actions.membership_id AND earlier.lane = actions.lane
       AND earlier.state = 'waiting' AND earlier.id < actions.id)";

/// Leavers lose their channels first, then access (design section 11, "States"): how long what takes
/// access away waits for that. Longer than the longest lock of Cliq's member calls and a few repeats;
/// a channel that is broken must keep nobody in.
const CHANNELS_FIRST_FOR: Duration = Duration::from_hours(1);

/// A planned row that takes access away waits for channel removals of the same person.
pub(in crate::store) const BEHIND_CHANNELS: &str =
    "(actions.operation IN ('restrict', 'remove_external')
     AND actions.by_operator = 0
     AND EXISTS (SELECT 1 FROM actions channel WHERE channel.membership_id = actions.membership_id
       AND channel.operation = 'channel_remove' AND channel.state = 'waiting'))";
/// What concerns people waits while their organization is in quarantine: portal rows, and the letters
/// and messages that follow from them (G12). What administrators are told does not.
const TO_ADMINS: &str = "actions.membership_id IS NULL";

/// Counted by operation and outcome in the same transaction as the end itself.
const COUNTED: &str = "action";

impl Desk {
    /// The rows of the desk; `?3` is the organization of those that have one, so that a long queue
    /// of another organization is never walked.
    fn rows(&self) -> &'static str {
        match self {
            // Named, not bound, for the index of letters.
            Self::Letters => {
                "state = 'waiting' AND lane = 'letter' AND ?1 = ?1 AND ?2 = ?2 AND ?3 IS NULL"
            }
            Self::Access(_) | Self::Notices(_) => {
                "state = 'waiting' AND lane IN (?1, ?2) AND organization = ?3"
            }
        }
    }

    fn scope(&self) -> (&'static str, &'static str, Option<&str>) {
        match self {
            Self::Access(organization) => {
                (Lane::Access.as_str(), Lane::Licence.as_str(), Some(organization.as_str()))
            }
            Self::Notices(organization) => {
                (Lane::Notice.as_str(), Lane::Notice.as_str(), Some(organization.as_str()))
            }
            Self::Letters => (Lane::Letter.as_str(), Lane::Letter.as_str(), None),
        }
    }
}

/// When the desk has something to do: a time not after `now` means at once, `None` never.
pub fn next_due(
    tx: &Tx<'_>,
    desk: &Desk,
    boot: BootId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let rows = desk.rows();
    let (lane, other, organization) = desk.scope();
    let next: Option<i64> = tx
        .sql()
        .prepare_cached(&format!(
            "SELECT min(max(
               CASE WHEN boot <> ?4 OR (boot IS NULL AND next_at > ?7) THEN 0 ELSE next_at END,
               CASE WHEN {BEHIND_CHANNELS} AND created_at <= ?6 THEN created_at + ?5 ELSE 0 END))
             FROM actions WHERE {rows} AND {FIRST_IN_LANE} AND {NOT_PAUSED}
               AND ({TO_ADMINS} OR {NOT_FROZEN})"
        ))?
        .query_row(
            params![
                lane,
                other,
                organization,
                boot.0,
                channels_first(),
                now.millis(),
                (now + WAIT_MAX).millis()
            ],
            |row| row.get(0),
        )?;
    Ok(next.map(Timestamp))
}

/// Takes the row that is due longest, if any.
pub fn claim(
    tx: &Tx<'_>,
    desk: &Desk,
    boot: BootId,
    now: Timestamp,
) -> Result<Option<Action>, StoreError> {
    let rows = desk.rows();
    let (lane, other, organization) = desk.scope();
    let row = tx
        .sql()
        .prepare_cached(&format!(
            "UPDATE actions SET boot = ?4, claims = claims + 1, next_at = ?6 WHERE id =
               (SELECT id FROM actions WHERE {rows}
                  AND (next_at <= ?5 OR boot <> ?4 OR (boot IS NULL AND next_at > ?8))
                  AND {FIRST_IN_LANE}
                  AND {NOT_PAUSED} AND ({TO_ADMINS} OR {NOT_FROZEN})
                  AND NOT ({BEHIND_CHANNELS} AND created_at <= ?5 AND created_at + ?7 > ?5)
                ORDER BY next_at, id LIMIT 1)
             RETURNING {COLUMNS}"
        ))?
        .query_row(
            params![
                lane,
                other,
                organization,
                boot.0,
                now.millis(),
                (now + CLAIM_FOR).millis(),
                channels_first(),
                (now + WAIT_MAX).millis(),
            ],
            action,
        )
        .optional()?;
    match row {
        Some((_, Some(action))) => Ok(Some(action)),
        Some((id, None)) => {
            // A row that no program can read must not stop the desk for ever.
            tracing::error!(action = %id, "an unreadable outbox row was given up");
            settle(tx, id, boot, End::Dead("unreadable", "the row cannot be read"), now)?;
            Ok(None)
        }
        None => Ok(None),
    }
}

/// [`CHANNELS_FIRST_FOR`] as the store counts time.
fn channels_first() -> i64 {
    i64::try_from(CHANNELS_FIRST_FOR.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn action(row: &Row<'_>) -> rusqlite::Result<(ActionId, Option<Action>)> {
    let id = ActionId(row.get("id")?);
    let name: String = row.get("operation")?;
    let payload: Option<String> = row.get("payload")?;
    let guest = row.get::<_, Option<i64>>("guest_id")?.map(GuestId);
    let Some(operation) = operation(&name, payload.as_deref(), guest) else {
        return Ok((id, None));
    };
    let action = Action {
        id,
        organization: OrgId::new(row.get::<_, String>("organization")?),
        membership: row.get::<_, Option<i64>>("membership_id")?.map(MembershipId),
        operation,
        reason: row.get("reason")?,
        idempotency_key: row.get("idempotency_key")?,
        guarded: row.get("guarded")?,
        by_operator: row.get("by_operator")?,
        failures: row.get("failures")?,
        created_at: Timestamp(row.get("created_at")?),
    };
    Ok((id, Some(action)))
}

/// How a claimed row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// Carried out; the note says how, where that is worth knowing.
    Done(&'a str),
    /// Ended well without changing anything outside; the note says why.
    Without(&'a str),
    /// No longer wanted when its turn came.
    Superseded(&'a str),
    /// Refused for good: waits for an operator.
    Parked(&'a str, &'a str),
    /// Given up after too many failures.
    Dead(&'a str, &'a str),
}

/// Ends a row that this boot claimed. False if it was superseded meanwhile.
pub fn settle(
    tx: &Tx<'_>,
    id: ActionId,
    boot: BootId,
    end: End<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (state, outcome, code, detail) = match end {
        End::Done(note) => ("done", "done", None, note),
        End::Without(note) => ("done", "unchanged", None, note),
        End::Superseded(why) => ("superseded", "superseded", None, why),
        End::Parked(code, why) => ("parked", "parked", Some(code), why),
        End::Dead(code, why) => ("dead", "dead", Some(code), why),
    };
    // Also of a row that was superseded while it was in flight: outside, it happened.
    let operation: Option<String> = tx
        .sql()
        .prepare_cached("SELECT operation FROM actions WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    if let Some(operation) = operation {
        counters::add(tx, &format!("{COUNTED}/{operation}/{outcome}"), 1)?;
    }
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = ?3, finished_at = ?4, last_code = ?5, last_error = ?6
             WHERE id = ?1 AND boot = ?2 AND state = 'waiting'",
        )?
        .execute(params![id.0, boot.0, state, now.millis(), code, detail])?;
    Ok(changed == 1)
}

/// Puts a claimed row back until `at`.
pub fn postpone(
    tx: &Tx<'_>,
    action: &Action,
    boot: BootId,
    at: Timestamp,
    counts: bool,
    error: &str,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE actions SET next_at = ?3, failures = failures + ?4, last_error = ?5, boot = NULL
             WHERE id = ?1 AND boot = ?2 AND state = 'waiting'",
        )?
        .execute(params![action.id.0, boot.0, at.millis(), i64::from(counts), error])?;
    Ok(())
}

/// Puts a claimed row back as it was: nothing was tried.
pub fn put_back(
    tx: &Tx<'_>,
    ids: &[ActionId],
    boot: BootId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut back = tx.sql().prepare_cached(
        "UPDATE actions SET next_at = ?3, claims = claims - 1, boot = NULL
         WHERE id = ?1 AND boot = ?2 AND state = 'waiting'",
    )?;
    for id in ids {
        back.execute(params![id.0, boot.0, now.millis()])?;
    }
    Ok(())
}

/// The cause of a row, for what follows from it.
pub fn cause(tx: &Tx<'_>, id: ActionId) -> Result<Cause, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT delivery_id, run_id FROM actions WHERE id = ?1")?
        .query_row([id.0], |row| {
            Ok(Cause {
                delivery: row.get::<_, Option<i64>>(0)?.map(DeliveryId),
                run: row.get::<_, Option<i64>>(1)?.map(RunId),
            })
        })?)
}
