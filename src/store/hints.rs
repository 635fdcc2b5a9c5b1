//! Hints: whom to look at again. One row per (organization, CRM user), however many deliveries
//! asked for it; a version number tells whether another came while the person was looked at.
//!
//! One desk with one worker serves an organization's hints, so a claimed row that is met again was
//! left by a crash or a failed transaction, and is due at once: there is no lease and no reaper.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::{BootId, CrmUserId, DeliveryId, HintKind, OrgId, Timestamp};

/// Hints taken by one claim. A complete listing serves them all, so there may be many.
const CLAIM_MAX: u32 = 10_000;

/// A burst is over when this long nothing new came for the organization …
pub const BURST_QUIET: Duration = Duration::from_millis(250);

/// … or when its first hint has waited this long.
pub const BURST_MAX: Duration = Duration::from_secs(2);

/// Longest wait that any hint is given: what a `Retry-After` may ask for. A time farther ahead was noted
/// before the clock was set back: it is over.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// A claimed hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedHint {
    /// Whom to look at.
    pub crm_user_id: CrmUserId,
    /// What the newest event claimed.
    pub kind: HintKind,
    /// The version that was claimed.
    pub version: i64,
    /// Failed reads so far.
    pub failures: u32,
    /// How often the CRM had no such row, so far.
    pub looks: u32,
    /// The delivery that asked last.
    pub delivery: Option<DeliveryId>,
}

/// What a claim came to.
#[derive(Debug)]
pub enum Claim {
    /// These are to be looked at now.
    Taken(Vec<ClaimedHint>),
    /// Nothing is due before this time; `None` means nothing waits at all.
    Idle(Option<Timestamp>),
}

fn kind_word(kind: HintKind) -> &'static str {
    match kind {
        HintKind::Present => "present",
        HintKind::Leaving => "leaving",
    }
}

fn kind_of(word: &str) -> HintKind {
    if word == "leaving" { HintKind::Leaving } else { HintKind::Present }
}

/// Adds a hint, or refreshes the one that waits.
pub fn put(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    kind: HintKind,
    delivery: Option<DeliveryId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    // A hint that backs off keeps its time: hammering a failing organization helps nobody. One
    // that waits for the CRM to show a row (`looks`) is news again.
    tx.sql()
        .prepare_cached(
            "INSERT INTO hints(organization, crm_user_id, kind, first_at, last_at, next_at, delivery_id)
             VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5)
             ON CONFLICT(organization, crm_user_id) DO UPDATE SET
               version = version + 1, kind = excluded.kind, last_at = excluded.last_at,
               next_at = CASE WHEN failures > 0 THEN next_at ELSE excluded.next_at END,
               looks = 0, delivery_id = coalesce(excluded.delivery_id, delivery_id)",
        )?
        .execute(params![
            organization.as_str(),
            user.as_str(),
            kind_word(kind),
            now.millis(),
            delivery.map(|id| id.0),
        ])?;
    Ok(())
}

/// Asks for another look at somebody; a hint that waits keeps what its event claimed, unless a complete
/// listing was without them.
pub fn look_again(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    was_absent: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    if was_absent {
        return put(tx, organization, user, HintKind::Leaving, None, now);
    }
    let waiting: Option<String> = tx
        .sql()
        .prepare_cached("SELECT kind FROM hints WHERE organization = ?1 AND crm_user_id = ?2")?
        .query_row([organization.as_str(), user.as_str()], |row| row.get(0))
        .optional()?;
    put(tx, organization, user, kind_of(waiting.as_deref().unwrap_or_default()), None, now)
}

/// Takes every due hint of the organization, once its burst is over.
pub fn claim(
    tx: &Tx<'_>,
    organization: &OrgId,
    boot: BootId,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    const DUE: &str = "organization = ?1 AND (next_at <= ?2 OR next_at > ?3 OR boot IS NOT NULL)";
    let latest = (now + WAIT_MAX).millis();
    let scope = params![organization.as_str(), now.millis(), latest];
    let (first, last): (Option<i64>, Option<i64>) = tx
        .sql()
        .prepare_cached(&format!(
            "SELECT min(first_at), max(last_at) FROM hints
             WHERE {DUE} AND failures = 0 AND looks = 0 AND boot IS NULL"
        ))?
        .query_row(scope, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let (Some(first), Some(last)) = (first, last) {
        let ready = (Timestamp(last) + BURST_QUIET).min(Timestamp(first) + BURST_MAX);
        if now < ready && ready <= now + BURST_MAX {
            return Ok(Claim::Idle(Some(ready)));
        }
    }
    let mut statement = tx.sql().prepare_cached(&format!(
        "UPDATE hints SET boot = ?4 WHERE (organization, crm_user_id) IN
           (SELECT organization, crm_user_id FROM hints WHERE {DUE} LIMIT {CLAIM_MAX})
         RETURNING crm_user_id, kind, version, failures, looks, delivery_id"
    ))?;
    let taken: Vec<ClaimedHint> = statement
        .query_map(params![organization.as_str(), now.millis(), latest, boot.0], claimed)?
        .collect::<Result<_, _>>()?;
    if !taken.is_empty() {
        return Ok(Claim::Taken(taken));
    }
    let next: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT min(next_at) FROM hints WHERE organization = ?1")?
        .query_row([organization.as_str()], |row| row.get(0))?;
    Ok(Claim::Idle(next.map(Timestamp)))
}

fn claimed(row: &Row<'_>) -> rusqlite::Result<ClaimedHint> {
    Ok(ClaimedHint {
        crm_user_id: CrmUserId::new(row.get::<_, String>(0)?),
        kind: kind_of(&row.get::<_, String>(1)?),
        version: row.get(2)?,
        failures: row.get(3)?,
        looks: row.get(4)?,
        delivery: row.get::<_, Option<i64>>(5)?.map(DeliveryId),
    })
}

/// Closes a hint that was looked at. One that was asked for again meanwhile is due at once.
pub fn settle(
    tx: &Tx<'_>,
    organization: &OrgId,
    hint: &ClaimedHint,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = params![organization.as_str(), hint.crm_user_id.as_str(), hint.version];
    let closed = tx
        .sql()
        .prepare_cached(
            "DELETE FROM hints WHERE organization = ?1 AND crm_user_id = ?2 AND version = ?3",
        )?
        .execute(key)?;
    if closed == 0 {
        tx.sql()
            .prepare_cached(
                "UPDATE hints SET boot = NULL, failures = 0, looks = 0, next_at = ?3
                 WHERE organization = ?1 AND crm_user_id = ?2",
            )?
            .execute(params![organization.as_str(), hint.crm_user_id.as_str(), now.millis()])?;
    }
    Ok(())
}

/// Puts a claimed hint back until `at`. One that was asked for again meanwhile is news: it comes
/// back at once, unless the reads fail.
pub fn postpone(
    tx: &Tx<'_>,
    organization: &OrgId,
    hint: &ClaimedHint,
    at: Timestamp,
    outcome: Postponed<'_>,
) -> Result<(), StoreError> {
    let (failures, looks, error) = match outcome {
        Postponed::Failed(error) => (hint.failures + 1, hint.looks, Some(error)),
        Postponed::Absent => (0, hint.looks + 1, None),
        Postponed::NotCounted(error) => (hint.failures, hint.looks, Some(error)),
    };
    tx.sql()
        .prepare_cached(
            "UPDATE hints SET boot = NULL, failures = ?4, last_error = ?6,
                    next_at = CASE WHEN version = ?7 OR ?6 IS NOT NULL THEN ?3 ELSE next_at END,
                    looks = CASE WHEN version = ?7 THEN ?5 ELSE 0 END
             WHERE organization = ?1 AND crm_user_id = ?2",
        )?
        .execute(params![
            organization.as_str(),
            hint.crm_user_id.as_str(),
            at.millis(),
            failures,
            looks,
            error,
            hint.version,
        ])?;
    Ok(())
}

/// Why a hint is put back.
#[derive(Clone, Copy, Debug)]
pub enum Postponed<'a> {
    /// The read failed; says nothing about the person.
    Failed(&'a str),
    /// The CRM has no such row yet.
    Absent,
    /// The organization is quarantined or throttled: nobody's failure.
    NotCounted(&'a str),
}

/// Makes every waiting hint of the organization due now: its reads work again.
pub fn release(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE hints SET next_at = ?2, failures = 0
         WHERE organization = ?1 AND boot IS NULL AND looks = 0",
        params![organization.as_str(), now.millis()],
    )?;
    Ok(())
}

/// How many hints are open: (all, of these waiting for a row that was announced).
pub fn open(tx: &Tx<'_>) -> Result<(i64, i64), StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT count(*), coalesce(sum(looks > 0), 0) FROM hints")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// When the oldest hint of each organization came.
pub fn oldest(tx: &Tx<'_>) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let mut statement = tx
        .sql()
        .prepare_cached("SELECT organization, min(first_at) FROM hints GROUP BY organization")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
