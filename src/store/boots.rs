//! One row per start of the daemon, and the store's own key.

use rusqlite::OptionalExtension;

use super::{StoreError, Tx};
use crate::domain::{BootId, Secret, Timestamp};

/// Opens a new boot. Rows claimed by any other boot are due from now on.
pub fn begin(tx: &Tx<'_>, now: Timestamp) -> Result<BootId, StoreError> {
    tx.sql().execute("INSERT INTO boots(started_at) VALUES (?1)", [now.millis()])?;
    Ok(BootId(tx.sql().last_insert_rowid()))
}

/// When the first boot began of those between `from` and `now`. What lies ahead of `now` was noted under
/// a clock that was set back since, and says nothing.
pub fn first_between(
    tx: &Tx<'_>,
    from: Timestamp,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let first: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT min(started_at) FROM boots WHERE started_at BETWEEN ?1 AND ?2")?
        .query_row([from.millis(), now.millis()], |row| row.get(0))?;
    Ok(first.map(Timestamp))
}

/// Marks the boot as ended in order.
pub fn end(tx: &Tx<'_>, boot: BootId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql().execute("UPDATE boots SET ended_at = ?2 WHERE id = ?1", [boot.0, now.millis()])?;
    Ok(())
}

/// The store's key, from which idempotency keys, message ids and join tokens are derived. `fresh`
/// is kept if there is none yet.
pub fn key(tx: &Tx<'_>, fresh: &Secret) -> Result<Secret, StoreError> {
    let read = || {
        tx.sql()
            .query_row("SELECT value FROM meta WHERE key = 'key'", [], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional()
    };
    if let Some(known) = read()? {
        return Ok(Secret::new(known));
    }
    tx.sql().execute("INSERT INTO meta(key, value) VALUES ('key', ?1)", [fresh.expose()])?;
    Ok(fresh.clone())
}
