//! The outbox: intended changes outside, claimed and settled one by one.
//!
//! Lane = (membership, one of access, licence, letter, notice): rows of one lane go in order, lanes
//! do not wait for each other. Claiming is postponing; a row claimed by an earlier boot is due at
//! once; completion names the boot that claimed.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{StoreError, Tx};
use crate::domain::letter::{Invitation, Notice};
use crate::domain::{
    Action, ActionId, BootId, DeliveryId, Email, Lane, Membership, MembershipId, Operation, OrgId,
    PortalVerb, RunId, Timestamp,
};

/// How far a claim moves the row: past the longest call (10 minutes for a slow mail server) with
/// room.
const CLAIM_FOR: Duration = Duration::from_mins(15);

/// A change to queue.
#[derive(Debug)]
pub struct NewAction<'a> {
    /// The organization it acts on, or speaks for.
    pub organization: &'a OrgId,
    /// The membership it is about; `None` for administrators' notices.
    pub membership: Option<&'a Membership>,
    /// What to do.
    pub operation: Operation,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// What asked for it.
    pub cause: Cause,
    /// Not before this time.
    pub not_before: Timestamp,
}

/// What asked for a change: for the audit, and for a run to know its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The delivery, if a webhook did.
    pub delivery: Option<DeliveryId>,
    /// The run, if a run did.
    pub run: Option<RunId>,
}

/// What became of a change that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// A new row waits.
    New(ActionId),
    /// The same operation waited already: that row, its id, key and attempts stay.
    AlreadyWaiting(ActionId),
}

fn payload(operation: &Operation) -> Result<Option<String>, StoreError> {
    let text = match operation {
        Operation::Portal(_) => return Ok(None),
        Operation::Letter(invitation) | Operation::BotNotice(invitation) => {
            serde_json::to_string(invitation)
        }
        Operation::AdminMail(to, notice) => serde_json::to_string(&(to.as_str(), notice)),
        Operation::AdminPost(notice) => serde_json::to_string(notice),
    };
    text.map(Some).map_err(|_| StoreError::Unreadable("action"))
}

fn operation(name: &str, payload: Option<&str>) -> Option<Operation> {
    if let Some(verb) = PortalVerb::from_word(name) {
        return Some(Operation::Portal(verb));
    }
    let invitation = || serde_json::from_str::<Invitation>(payload?).ok();
    match name {
        "letter" => invitation().map(Operation::Letter),
        "bot_notice" => invitation().map(Operation::BotNotice),
        "admin_mail" => {
            let (to, notice) = serde_json::from_str::<(String, Notice)>(payload?).ok()?;
            Some(Operation::AdminMail(Email::parse(&to).ok()?, notice))
        }
        "admin_post" => serde_json::from_str(payload?).ok().map(Operation::AdminPost),
        _ => None,
    }
}

/// Queues a change. A row of the same lane that no boot ever claimed is superseded by another
/// operation; the same operation keeps the waiting row.
pub fn put(tx: &Tx<'_>, new: &NewAction<'_>, now: Timestamp) -> Result<Queued, StoreError> {
    let lane = new.operation.lane();
    let name = new.operation.name();
    if let Some(membership) = new.membership {
        let waiting = tx
            .sql()
            .prepare_cached(
                "SELECT id FROM actions WHERE membership_id = ?1 AND lane = ?2
                   AND operation = ?3 AND state = 'waiting' ORDER BY id LIMIT 1",
            )?
            .query_row(params![membership.id.0, lane.as_str(), name], |row| row.get(0))
            .optional()?;
        if let Some(id) = waiting {
            return Ok(Queued::AlreadyWaiting(ActionId(id)));
        }
        supersede(tx, membership.id, lane, now)?;
    }
    tx.sql()
        .prepare_cached(
            "INSERT INTO actions(organization, membership_id, lane, operation, payload, reason,
                                 delivery_id, run_id, idempotency_key, next_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', ?9, ?10)",
        )?
        .execute(params![
            new.organization.as_str(),
            new.membership.map(|membership| membership.id.0),
            lane.as_str(),
            name,
            payload(&new.operation)?,
            new.reason,
            new.cause.delivery.map(|id| id.0),
            new.cause.run.map(|id| id.0),
            new.not_before.millis(),
            now.millis(),
        ])?;
    let id = ActionId(tx.sql().last_insert_rowid());
    tx.sql()
        .prepare_cached("UPDATE actions SET idempotency_key = ?2 WHERE id = ?1")?
        .execute(params![id.0, idempotency_key(new, id)])?;
    Ok(Queued::New(id))
}

/// Hash of (organization, CRM id, operation, generation, action id): equal over retries of a row,
/// new for every row (design section 11, "Portal").
fn idempotency_key(new: &NewAction<'_>, id: ActionId) -> String {
    let (user, generation) =
        new.membership.map_or(("", 0), |m| (m.crm_user_id.as_str(), m.generation));
    let text = [
        new.organization.as_str(),
        user,
        new.operation.name(),
        &generation.to_string(),
        &id.to_string(),
    ]
    .join("\u{1f}");
    let digest = Sha256::digest(text.as_bytes());
    hex::encode(digest.get(..16).unwrap_or_default())
}

/// Takes back the rows of a lane that are not in flight: what they were to do is not wanted any
/// more. One that was tried before may have had its effect; the next read shows it.
pub fn withdraw(
    tx: &Tx<'_>,
    membership: MembershipId,
    lane: Lane,
    boot: BootId,
    why: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = 'superseded', finished_at = ?4, last_error = ?5
             WHERE membership_id = ?1 AND lane = ?2 AND state = 'waiting'
               AND (boot IS NULL OR boot <> ?3)",
        )?
        .execute(params![membership.0, lane.as_str(), boot.0, now.millis(), why])?)
}

/// Sets the newest row of a lane waiting again if it was refused or given up: the same row, so the
/// same letter with the same Message-ID.
pub fn rearm(
    tx: &Tx<'_>,
    membership: MembershipId,
    lane: Lane,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = 'waiting', boot = NULL, next_at = ?3, failures = 0,
                    finished_at = NULL
             WHERE state IN ('parked', 'dead') AND id =
               (SELECT max(id) FROM actions WHERE membership_id = ?1 AND lane = ?2)",
        )?
        .execute(params![membership.0, lane.as_str(), now.millis()])?;
    Ok(changed == 1)
}

/// Takes back the rows of a lane that no boot ever claimed.
pub fn supersede(
    tx: &Tx<'_>,
    membership: MembershipId,
    lane: Lane,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "UPDATE actions SET state = 'superseded', finished_at = ?3
             WHERE membership_id = ?1 AND lane = ?2 AND state = 'waiting' AND claims = 0",
        )?
        .execute(params![membership.0, lane.as_str(), now.millis()])?)
}

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

/// A row may go when no earlier row of its lane waits.
const FIRST_IN_LANE: &str = "NOT EXISTS (SELECT 1 FROM actions earlier
     WHERE earlier.membership_id = actions.membership_id AND earlier.lane = actions.lane
       AND earlier.state = 'waiting' AND earlier.id < actions.id)";

impl Desk {
    /// The rows of the desk; `?3` is the organization of those that have one, so that a long queue
    /// of another organization is never walked.
    fn rows(&self) -> &'static str {
        match self {
            Self::Letters => "state = 'waiting' AND lane = ?1 AND ?2 = ?2 AND ?3 IS NULL",
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
pub fn next_due(tx: &Tx<'_>, desk: &Desk, boot: BootId) -> Result<Option<Timestamp>, StoreError> {
    let rows = desk.rows();
    let (lane, other, organization) = desk.scope();
    let next: Option<i64> = tx
        .sql()
        .prepare_cached(&format!(
            "SELECT min(CASE WHEN boot IS NOT NULL AND boot <> ?4 THEN 0 ELSE next_at END)
             FROM actions WHERE {rows} AND {FIRST_IN_LANE}"
        ))?
        .query_row(params![lane, other, organization, boot.0], |row| row.get(0))?;
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
                  AND (next_at <= ?5 OR (boot IS NOT NULL AND boot <> ?4)) AND {FIRST_IN_LANE}
                ORDER BY next_at, id LIMIT 1)
             RETURNING id, organization, membership_id, operation, payload, reason,
                       idempotency_key, failures, created_at"
        ))?
        .query_row(
            params![lane, other, organization, boot.0, now.millis(), (now + CLAIM_FOR).millis()],
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

fn action(row: &Row<'_>) -> rusqlite::Result<(ActionId, Option<Action>)> {
    let id = ActionId(row.get(0)?);
    let name: String = row.get(3)?;
    let payload: Option<String> = row.get(4)?;
    let Some(operation) = operation(&name, payload.as_deref()) else { return Ok((id, None)) };
    let action = Action {
        id,
        organization: OrgId::new(row.get::<_, String>(1)?),
        membership: row.get::<_, Option<i64>>(2)?.map(MembershipId),
        operation,
        reason: row.get(5)?,
        idempotency_key: row.get(6)?,
        failures: row.get(7)?,
        created_at: Timestamp(row.get(8)?),
    };
    Ok((id, Some(action)))
}

/// How a claimed row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// Carried out; the note says how, where that is worth knowing.
    Done(&'a str),
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
    let (state, code, detail) = match end {
        End::Done(note) => ("done", None, note),
        End::Superseded(why) => ("superseded", None, why),
        End::Parked(code, why) => ("parked", Some(code), why),
        End::Dead(code, why) => ("dead", Some(code), why),
    };
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

/// Whether administrators were told this title for this organization since `from`. Notices carry
/// their title as the reason.
pub fn told_since(
    tx: &Tx<'_>,
    organization: &OrgId,
    title: &str,
    from: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions WHERE operation IN ('admin_mail', 'admin_post')
               AND organization = ?1 AND reason = ?2 AND created_at >= ?3 LIMIT 1",
        )?
        .exists(params![organization.as_str(), title, from.millis()])?)
}
