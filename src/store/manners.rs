//! What the bridge owes Zoho, kept over restarts: calls made, locks, and the one access token.
//!
//! Every budgeted call is written here before it is sent, so that even a crash forgets none.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx, counters};
use crate::domain::budget::{Budget, Group};
use crate::domain::{Secret, Timestamp};

/// Records one call of a group.
pub fn call(tx: &Tx<'_>, credential: &str, group: Group, at: Timestamp) -> Result<(), StoreError> {
    counters::add(tx, &format!("call/{}", group.as_str()), 1)?;
    tx.sql()
        .prepare_cached("INSERT INTO budget_calls(credential, group_word, at) VALUES (?1, ?2, ?3)")?
        .execute(params![credential, group.as_str(), at.millis()])?;
    // What has left the window is of no use to anybody; removing it here keeps the table small.
    tx.sql()
        .prepare_cached(
            "DELETE FROM budget_calls WHERE credential = ?1 AND group_word = ?2 AND at < ?3",
        )?
        .execute(params![
            credential,
            group.as_str(),
            (at - group.limit().window - group.limit().window).millis()
        ])?;
    Ok(())
}

/// Records a lock of a group.
pub fn lock(
    tx: &Tx<'_>,
    credential: &str,
    group: Group,
    until: Timestamp,
) -> Result<(), StoreError> {
    counters::add(tx, &format!("lock/{}", group.as_str()), 1)?;
    tx.sql()
        .prepare_cached(
            "INSERT INTO budget_locks(credential, group_word, until) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
        )?
        .execute(params![credential, group.as_str(), until.millis()])?;
    Ok(())
}

/// Keeps the access token of a credential.
pub fn put_token(
    tx: &Tx<'_>,
    credential: &str,
    token: &Secret,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO tokens(credential, access_token, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET access_token = excluded.access_token,
                                       expires_at = excluded.expires_at",
        )?
        .execute(params![credential, token.expose(), expires_at.millis()])?;
    Ok(())
}

/// The access token of a credential and when it ends.
pub fn token(tx: &Tx<'_>, credential: &str) -> Result<Option<(Secret, Timestamp)>, StoreError> {
    Ok(tx
        .sql()
        .query_row(
            "SELECT access_token, expires_at FROM tokens WHERE credential = ?1",
            [credential],
            |row| Ok((Secret::new(row.get::<_, Vec<u8>>(0)?), Timestamp(row.get(1)?))),
        )
        .optional()?)
}

/// The budgets of a credential as they were left.
pub fn budgets(tx: &Tx<'_>, credential: &str) -> Result<Vec<(Group, Budget)>, StoreError> {
    let mut found = Vec::new();
    for group in Group::ALL {
        let mut statement = tx.sql().prepare_cached(
            "SELECT at FROM budget_calls WHERE credential = ?1 AND group_word = ?2",
        )?;
        let calls: Vec<Timestamp> = statement
            .query_map([credential, group.as_str()], |row| Ok(Timestamp(row.get(0)?)))?
            .collect::<Result<_, _>>()?;
        let until: Option<i64> = tx
            .sql()
            .query_row(
                "SELECT until FROM budget_locks WHERE credential = ?1 AND group_word = ?2",
                [credential, group.as_str()],
                |row| row.get(0),
            )
            .optional()?;
        if !calls.is_empty() || until.is_some() {
            found.push((group, Budget::restored(calls, until.map(Timestamp))));
        }
    }
    Ok(found)
}
