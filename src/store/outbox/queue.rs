//! Queueing changes, and taking back what is not wanted any more. Deliberately absent: claims.

use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{NewAction, Queued, StoreError, Tx, Wish};
use crate::domain::letter::{Invitation, Notice};
use crate::domain::{
    ActionId, BootId, Email, GuestId, Lane, MembershipId, Operation, PortalVerb, Timestamp,
};

fn payload(operation: &Operation) -> Result<Option<String>, StoreError> {
    let text = match operation {
        Operation::Portal(_) | Operation::ChannelAdd(_) | Operation::ChannelRemove(_) => {
            return Ok(None);
        }
        Operation::Letter(invitation) | Operation::BotNotice(invitation) => {
            serde_json::to_string(invitation)
        }
        Operation::AdminMail(to, notice) => serde_json::to_string(&(to.as_str(), notice)),
        Operation::AdminPost(notice) => serde_json::to_string(notice),
    };
    text.map(Some).map_err(|_| StoreError::Unreadable("action"))
}

pub(super) fn operation(
    name: &str,
    payload: Option<&str>,
    guest: Option<GuestId>,
) -> Option<Operation> {
    if let Some(verb) = PortalVerb::from_word(name) {
        return Some(Operation::Portal(verb));
    }
    let invitation = || serde_json::from_str::<Invitation>(payload?).ok();
    match name {
        "letter" | "reminder" => invitation().map(Operation::Letter),
        "bot_notice" => invitation().map(Operation::BotNotice),
        "admin_mail" => {
            let (to, notice) = serde_json::from_str::<(String, Notice)>(payload?).ok()?;
            Some(Operation::AdminMail(Email::parse(&to).ok()?, notice))
        }
        "admin_post" => serde_json::from_str(payload?).ok().map(Operation::AdminPost),
        "channel_add" => guest.map(Operation::ChannelAdd),
        "channel_remove" => guest.map(Operation::ChannelRemove),
        _ => None,
    }
}

/// Queues a change. A row of the same subject and lane that no boot ever claimed is superseded by
/// another operation; the same operation keeps the waiting row.
pub fn put(tx: &Tx<'_>, new: &NewAction<'_>, now: Timestamp) -> Result<Queued, StoreError> {
    let lane = new.operation.lane();
    let name = new.operation.name();
    if let Some(subject) = subject(new) {
        let (column, id) = subject.column();
        let waiting = tx
            .sql()
            .prepare_cached(&format!(
                "SELECT id FROM actions WHERE {column} = ?1 AND lane = ?2
                   AND operation = ?3 AND state = 'waiting' ORDER BY id LIMIT 1"
            ))?
            .query_row(params![id, lane.as_str(), name], |row| row.get(0))
            .optional()?;
        if let Some(id) = waiting {
            if new.wish == Wish::Operator {
                // What a plan began is the operator's wish now: no plan may withdraw it.
                tx.sql()
                    .prepare_cached(
                        "UPDATE actions SET by_operator = 1, guarded = 0 WHERE id = ?1",
                    )?
                    .execute([id])?;
            }
            return Ok(Queued::AlreadyWaiting(ActionId(id)));
        }
        supersede(tx, subject, lane, now)?;
    }
    let guest = match new.operation {
        Operation::ChannelAdd(guest) | Operation::ChannelRemove(guest) => Some(guest.0),
        _ => None,
    };
    tx.sql()
        .prepare_cached(
            "INSERT INTO actions(organization, membership_id, guest_id, lane, operation, payload,
                                 reason, delivery_id, run_id, idempotency_key, guarded, by_operator,
                                 next_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, '', ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            new.organization.as_str(),
            new.membership.map(|membership| membership.id.0),
            guest,
            lane.as_str(),
            name,
            payload(&new.operation)?,
            new.reason,
            new.cause.delivery.map(|id| id.0),
            new.cause.run.map(|id| id.0),
            new.wish == Wish::Guarded,
            new.wish == Wish::Operator,
            new.not_before.millis(),
            now.millis(),
        ])?;
    let id = ActionId(tx.sql().last_insert_rowid());
    tx.sql()
        .prepare_cached("UPDATE actions SET idempotency_key = ?2 WHERE id = ?1")?
        .execute(params![id.0, idempotency_key(new, id)])?;
    Ok(Queued::New(id))
}

/// Whose rows of a lane go in order.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Membership(MembershipId),
    Guest(GuestId),
}

impl Subject {
    fn column(self) -> (&'static str, i64) {
        match self {
            Self::Membership(id) => ("membership_id", id.0),
            Self::Guest(id) => ("guest_id", id.0),
        }
    }
}

fn subject(new: &NewAction<'_>) -> Option<Subject> {
    match new.operation {
        Operation::ChannelAdd(guest) | Operation::ChannelRemove(guest) => {
            Some(Subject::Guest(guest))
        }
        _ => new.membership.map(|membership| Subject::Membership(membership.id)),
    }
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
             WHERE membership_id = ?1 AND lane = ?2 AND state = 'waiting' AND by_operator = 0
               AND (boot IS NULL OR boot <> ?3)",
        )?
        .execute(params![membership.0, lane.as_str(), boot.0, now.millis(), why])?)
}

/// [`withdraw`] for what goes to the person: letters and the bot's notices.
pub fn withdraw_letters(
    tx: &Tx<'_>,
    membership: MembershipId,
    boot: BootId,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    for lane in [Lane::Letter, Lane::Notice] {
        withdraw(tx, membership, lane, boot, why, now)?;
    }
    Ok(())
}

/// Closes the rows of a membership that were refused or given up: nobody is to try them again.
pub fn close_refused(
    tx: &Tx<'_>,
    membership: MembershipId,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE actions SET state = 'superseded', finished_at = ?2, last_error = ?3
             WHERE membership_id = ?1 AND state IN ('parked', 'dead')",
        )?
        .execute(params![membership.0, now.millis(), why])?;
    Ok(())
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
fn supersede(
    tx: &Tx<'_>,
    subject: Subject,
    lane: Lane,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let (column, id) = subject.column();
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "UPDATE actions SET state = 'superseded', finished_at = ?3
             WHERE {column} = ?1 AND lane = ?2 AND state = 'waiting' AND claims = 0
               AND by_operator = 0"
        ))?
        .execute(params![id, lane.as_str(), now.millis()])?)
}
