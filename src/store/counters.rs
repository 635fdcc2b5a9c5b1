//! Numbers counted as things happen, since the store was made: asking for them costs no scan, and
//! forgetting old rows does not make them smaller.
//!
//! Deliberately absent: anything that can be counted from rows that stay.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};

/// Counts further ones.
pub fn add(tx: &Tx<'_>, name: &str, more: i64) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO counters(name, value) VALUES (?1, ?2)
             ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
        )?
        .execute(params![name, more])?;
    Ok(())
}

/// One number; 0 when nothing was counted yet.
pub fn value(tx: &Tx<'_>, name: &str) -> Result<i64, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// Every number of a family, such as `action`: what stands after `family/`, in order, and the count.
pub fn family(tx: &Tx<'_>, family: &str) -> Result<Vec<(String, i64)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT substr(name, length(?1) + 2), value FROM counters
         WHERE name > ?1 || '/' AND name < ?1 || '0' ORDER BY name",
    )?;
    let rows = statement.query_map([family], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
