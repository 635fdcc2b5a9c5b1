//! Deliveries: every webhook that was acknowledged, once, and the refused ones by count.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{StoreError, Tx, counters};
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
        counters::add(tx, "duplicate", 1)?;
        return Ok(Stored::Duplicate(DeliveryId(id)));
    }
    counters::add(tx, new.status.as_str(), 1)?;
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
    /// How often an operator had it read again.
    pub replays: i64,
    /// RFC 3339.
    pub last_replay_at: Option<String>,
}

const VIEW: &str = "id, source, key_id, event_id, event_type, organization, status, detail, \
                    received_at, repeats, last_repeat_at, replays, last_replay_at";

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
        replays: row.get(11)?,
        last_replay_at: row.get::<_, Option<i64>>(12)?.map(|at| Timestamp(at).to_rfc3339()),
    })
}

/// Which deliveries a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this event.
    pub event_id: Option<String>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only those that were answered so.
    pub status: Option<DeliveryStatus>,
    /// Only those with a lower id.
    pub before: Option<i64>,
}

/// A page of deliveries, newest first.
pub fn list(tx: &Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<DeliveryView>, StoreError> {
    // Asked for an event, SQLite has an index; a term that may be absent would hide it.
    let event = if filter.event_id.is_some() { "event_id = ?1" } else { "?1 IS NULL" };
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {VIEW} FROM deliveries
         WHERE {event} AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR status = ?3)
           AND id < ?4 ORDER BY id DESC LIMIT ?5"
    ))?;
    let rows = statement.query_map(
        params![
            filter.event_id,
            filter.source,
            filter.status.map(DeliveryStatus::as_str),
            filter.before.unwrap_or(i64::MAX),
            limit
        ],
        view,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A delivery as it came, to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The source's name.
    pub source: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
}

/// What is kept of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    Kept(Kept),
    /// Nothing any more: it is older than `store.keep_days`.
    Forgotten,
    /// There was none.
    Never,
}

/// The delivery as it came. Ids grow, and the newest row always stays, so a lower one is one that
/// was forgotten.
pub fn kept(tx: &Tx<'_>, id: DeliveryId) -> Result<Found, StoreError> {
    let row = tx
        .sql()
        .prepare_cached("SELECT source, body, received_at FROM deliveries WHERE id = ?1")?
        .query_row([id.0], |row| {
            Ok(Kept { source: row.get(0)?, body: row.get(1)?, received_at: Timestamp(row.get(2)?) })
        })
        .optional()?;
    if let Some(kept) = row {
        return Ok(Found::Kept(kept));
    }
    let first: Option<i64> =
        tx.sql().query_row("SELECT min(id) FROM deliveries", [], |row| row.get(0))?;
    let was = id.0 > 0 && first.is_some_and(|first| id.0 < first);
    Ok(if was { Found::Forgotten } else { Found::Never })
}

/// Counts a replay.
pub fn replayed(tx: &Tx<'_>, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE deliveries SET replays = replays + 1, last_replay_at = ?2 WHERE id = ?1",
        )?
        .execute([id.0, now.millis()])?;
    Ok(())
}

/// One delivery with its body as text (lossy where it is not UTF-8).
pub fn get(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<(DeliveryView, String)>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {VIEW}, body FROM deliveries WHERE id = ?1"))?
        .query_row([id.0], |row| {
            let body: Vec<u8> = row.get(13)?;
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
    counters::add(tx, "rejected", all)?;
    for one in rejected {
        counters::add(tx, &format!("rejected/{}", one.kind), 1)?;
    }
    if uncounted > 0 {
        counters::add(tx, "rejected/flood", uncounted.into())?;
    }
    tx.sql().execute(
        "DELETE FROM rejections WHERE id <= (SELECT max(id) FROM rejections) - ?1",
        [REJECTIONS_KEPT],
    )?;
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
    Ok(Tally {
        accepted: counters::value(tx, "accepted")?,
        duplicate: counters::value(tx, "duplicate")?,
        ignored: counters::value(tx, "ignored")?,
        rejected: counters::value(tx, "rejected")?,
    })
}
