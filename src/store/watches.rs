//! CRM watches: until when each one stands, when it is looked at again, and the listings that its
//! notifications ask for.
//!
//! Deliberately absent: channel and token, which follow from the store's key (`engine::crm_watch`).

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::{OrgId, Timestamp};

/// What is known of an organization's watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The terms it stands on, as the engine spells them; `None` while there is none.
    pub terms: Option<String>,
    /// When it lapses; `None` while there is none.
    pub expires_at: Option<Timestamp>,
    /// When it is to be registered, renewed or tried again; `None` before the first try.
    pub next_at: Option<Timestamp>,
    /// Whether the last try failed.
    pub failing: bool,
    /// Whether the administrators know of it, since it last stood.
    pub told: bool,
    /// Since when a complete listing is wanted.
    pub asked_at: Option<Timestamp>,
    /// When a listing was last begun for a notification.
    pub listed_at: Option<Timestamp>,
}

/// The organization's watch; the default for one never tried.
pub fn get(tx: &Tx<'_>, organization: &OrgId) -> Result<Kept, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT terms, expires_at, next_at, failing, told, asked_at, listed_at FROM watches
             WHERE organization = ?1",
        )?
        .query_row([organization.as_str()], |row| {
            let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
                Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
            };
            Ok(Kept {
                terms: row.get(0)?,
                expires_at: time(1)?,
                next_at: time(2)?,
                failing: row.get(3)?,
                told: row.get(4)?,
                asked_at: time(5)?,
                listed_at: time(6)?,
            })
        })
        .optional()?
        .unwrap_or_default())
}

/// Notes that the watch stands on these terms until `expires_at`.
pub fn stands(
    tx: &Tx<'_>,
    organization: &OrgId,
    terms: &str,
    expires_at: Timestamp,
    next_at: Timestamp,
) -> Result<(), StoreError> {
    tx.sql().execute(
        "INSERT INTO watches(organization, terms, expires_at, next_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT(organization) DO UPDATE SET terms = excluded.terms,
           expires_at = excluded.expires_at, next_at = excluded.next_at, failing = 0, told = 0",
        params![organization.as_str(), terms, expires_at.millis(), next_at.millis()],
    )?;
    Ok(())
}

/// Notes that the last try failed, when it is tried again, and whether this is told now. What stands
/// goes on standing.
pub fn failed(
    tx: &Tx<'_>,
    organization: &OrgId,
    next_at: Timestamp,
    tell: bool,
) -> Result<(), StoreError> {
    tx.sql().execute(
        "INSERT INTO watches(organization, next_at, failing, told) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT(organization) DO UPDATE SET
           next_at = excluded.next_at, failing = 1, told = max(told, excluded.told)",
        params![organization.as_str(), next_at.millis(), tell],
    )?;
    Ok(())
}

/// Notes that a complete listing is wanted, since the first time that it was.
pub fn ask_listing(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql().execute(
        "INSERT INTO watches(organization, asked_at) VALUES (?1, ?2)
         ON CONFLICT(organization) DO UPDATE SET
           asked_at = coalesce(asked_at, excluded.asked_at)",
        params![organization.as_str(), now.millis()],
    )?;
    Ok(())
}

/// Notes that a listing is under way; `still` where it began too early to serve the asking.
pub fn listing(
    tx: &Tx<'_>,
    organization: &OrgId,
    now: Timestamp,
    still: bool,
) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE watches SET listed_at = ?2, asked_at = CASE WHEN ?3 THEN asked_at END
         WHERE organization = ?1",
        params![organization.as_str(), now.millis(), still],
    )?;
    Ok(())
}
