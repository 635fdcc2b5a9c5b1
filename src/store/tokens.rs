//! Tokens of the admin API, by the SHA-256 of each. Deliberately absent: the tokens themselves.
//!
//! A command beside the running daemon writes here too; the daemon looks at every request.

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::{Role, Timestamp};

/// A token as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whom it stands for.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// When it last opened the door, give or take an hour.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "name, role, created_at, created_by, expires_at, last_used_at, revoked_at";

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |at: Option<i64>| at.map(Timestamp);
    Ok(Token {
        name: row.get(0)?,
        // What cannot be read opens least.
        role: Role::from_word(&row.get::<_, String>(1)?).unwrap_or(Role::Viewer),
        created_at: Timestamp(row.get(2)?),
        created_by: row.get(3)?,
        expires_at: time(row.get(4)?),
        last_used_at: time(row.get(5)?),
        revoked_at: time(row.get(6)?),
    })
}

/// Keeps a new token by its hash. False if its name is taken by one that is not revoked.
pub fn add(tx: &Tx<'_>, new: &Token, hash: &[u8; 32]) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "INSERT INTO api_tokens(name, hash, role, created_at, created_by, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.name,
            hash,
            new.role.as_str(),
            new.created_at.millis(),
            new.created_by,
            new.expires_at.map(Timestamp::millis),
        ])?;
    Ok(changed == 1)
}

/// The token with this hash, and the hash as it is kept.
pub fn by_hash(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<Option<(Token, Vec<u8>)>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS}, hash FROM api_tokens WHERE hash = ?1"))?
        .query_row([hash], |row| Ok((token(row)?, row.get(7)?)))
        .optional()?)
}

/// Notes that the token opened the door.
pub fn used(tx: &Tx<'_>, hash: &[u8; 32], now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("UPDATE api_tokens SET last_used_at = ?2 WHERE hash = ?1")?
        .execute(params![hash, now.millis()])?;
    Ok(())
}

/// Every token, the newest of each name first.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Token>, StoreError> {
    let mut statement = tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_tokens ORDER BY name, id DESC"))?;
    let rows = statement.query_map([], token)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Revokes the token of this name; answers what it was, `None` if there is none.
pub fn revoke(tx: &Tx<'_>, name: &str, now: Timestamp) -> Result<Option<Token>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "UPDATE api_tokens SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL
             RETURNING {COLUMNS}"
        ))?
        .query_row(params![name, now.millis()], token)
        .optional()?)
}
