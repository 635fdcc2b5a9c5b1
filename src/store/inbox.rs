//! Deliveries: every webhook that was acknowledged, once, and the refused ones by count.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{StoreError, Tx};
use crate::domain::{DeliveryId, DeliveryStatus, OrgId, Timestamp};

/// Refused requests kept for the log, newest first; they carry no body.
const REJECTIONS_KEPT: i64 = 1_000;

/// A verified delivery, ready to be stored.
#[derive(Debug)]
pub struct NewDelivery {
    /// The source's name.
    pub source: String,
    /// Which key verified it.
    pub key_id: String,
    /// Hash of source and duplicate key.
    pub dedupe: [u8; 16],
    /// The body's event id, if it has one.
    pub event_id: Option<String>,
    /// The body's event type.
    pub event_type: String,
    /// The organization it is about, once resolved.
    pub organization: Option<OrgId>,
    /// Accepted or ignored.
    pub status: DeliveryStatus,
    /// Why it was ignored, for the operator.
    pub detail: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// Whether a delivery was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Stored now.
    New(DeliveryId),
    /// The same one came before; its repeats were counted up.
    Duplicate(DeliveryId),
}

/// Stores the delivery, or counts a repeat of the one with the same duplicate key.
pub fn store(tx: &Tx<'_>, new: &NewDelivery, now: Timestamp) -> Result<Stored, StoreError> {
    let (id, repeats): (i64, i64) = tx
        .sql()
        .prepare_cached(
            "INSERT INTO deliveries
               (dedupe, source, key_id, event_id, event_type, organization, status, detail,
                received_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT(dedupe) DO UPDATE SET repeats = repeats + 1,
               last_repeat_at = excluded.received_at
             RETURNING id, repeats",
        )?
        .query_row(
            params![
                new.dedupe,
                new.source,
                new.key_id,
                new.event_id,
                new.event_type,
                new.organization.as_ref().map(OrgId::as_str),
                new.status.as_str(),
                new.detail,
                now.millis(),
                new.body,
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    if repeats > 0 {
        count(tx, "duplicate", 1)?;
        return Ok(Stored::Duplicate(DeliveryId(id)));
    }
    count(tx, new.status.as_str(), 1)?;
    Ok(Stored::New(DeliveryId(id)))
}

/// A stored delivery as the admin API shows it. The body is left out of lists.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    /// `dlv-<number>`
    pub delivery_id: String,
    /// The source's name.
    pub source: String,
    /// Which key verified it.
    pub key_id: String,
    /// The body's event id.
    pub event_id: Option<String>,
    /// The body's event type.
    pub event_type: String,
    /// The organization it is about.
    pub organization: Option<String>,
    /// `accepted` or `ignored`
    pub status: String,
    /// Why it was ignored.
    pub detail: Option<String>,
    /// RFC 3339.
    pub received_at: String,
    /// How often the same delivery came again.
    pub repeats: i64,
    /// RFC 3339.
    pub last_repeat_at: Option<String>,
}

const VIEW: &str = "id, source, key_id, event_id, event_type, organization, status, detail, \
                    received_at, repeats, last_repeat_at";

fn view(row: &Row<'_>) -> rusqlite::Result<DeliveryView> {
    Ok(DeliveryView {
        delivery_id: DeliveryId(row.get(0)?).to_string(),
        source: row.get(1)?,
        key_id: row.get(2)?,
        event_id: row.get(3)?,
        event_type: row.get(4)?,
        organization: row.get(5)?,
        status: row.get(6)?,
        detail: row.get(7)?,
        received_at: Timestamp(row.get(8)?).to_rfc3339(),
        repeats: row.get(9)?,
        last_repeat_at: row.get::<_, Option<i64>>(10)?.map(|at| Timestamp(at).to_rfc3339()),
    })
}

/// A page of deliveries, newest first: those with an id below `before`, filtered by event id.
pub fn list(
    tx: &Tx<'_>,
    event_id: Option<&str>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<DeliveryView>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {VIEW} FROM deliveries
         WHERE (?1 IS NULL OR event_id = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![event_id, before.unwrap_or(i64::MAX), limit], view)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One delivery with its body as text (lossy where it is not UTF-8).
pub fn get(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<(DeliveryView, String)>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {VIEW}, body FROM deliveries WHERE id = ?1"))?
        .query_row([id.0], |row| {
            let body: Vec<u8> = row.get(11)?;
            Ok((view(row)?, String::from_utf8_lossy(&body).into_owned()))
        })
        .optional()?)
}

/// A request that was refused before it could be stored.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// When.
    pub at: Timestamp,
    /// The source named in the path, cut to a sane length by the caller.
    pub source: String,
    /// The HTTP status it got.
    pub status: u16,
    /// A stable word, such as `no_key_matched`.
    pub kind: &'static str,
    /// What the log says of it.
    pub detail: String,
}

/// Keeps refused requests and counts them, with the `uncounted` that were not even kept; drops
/// the oldest beyond the limit.
pub fn reject(tx: &Tx<'_>, rejected: &[Rejected], uncounted: u32) -> Result<(), StoreError> {
    for one in rejected {
        tx.sql()
            .prepare_cached(
                "INSERT INTO rejections(at, source, status, kind, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![one.at.millis(), one.source, one.status, one.kind, one.detail])?;
    }
    let all = i64::try_from(rejected.len()).unwrap_or(i64::MAX).saturating_add(uncounted.into());
    count(tx, "rejected", all)?;
    tx.sql().execute(
        "DELETE FROM rejections WHERE id <= (SELECT max(id) FROM rejections) - ?1",
        [REJECTIONS_KEPT],
    )?;
    Ok(())
}

/// Counted as they come, so that asking costs no scan.
fn count(tx: &Tx<'_>, name: &str, more: i64) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO counters(name, value) VALUES (?1, ?2)
             ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
        )?
        .execute(params![name, more])?;
    Ok(())
}

/// How many webhooks were answered how, since the store was made.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Tally {
    /// Stored, with hints.
    pub accepted: i64,
    /// Recognised as repeats.
    pub duplicate: i64,
    /// Stored, without hints.
    pub ignored: i64,
    /// Refused.
    pub rejected: i64,
}

/// Counts the deliveries.
pub fn tally(tx: &Tx<'_>) -> Result<Tally, StoreError> {
    let value = |name: &str| -> Result<i64, StoreError> {
        Ok(tx
            .sql()
            .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?
            .unwrap_or(0))
    };
    Ok(Tally {
        accepted: value("accepted")?,
        duplicate: value("duplicate")?,
        ignored: value("ignored")?,
        rejected: value("rejected")?,
    })
}
