//! Join links: only the SHA-256 of each token is kept (design section 11, "Order and letters").

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::{Email, MembershipId, Timestamp};

/// What a join link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinLink {
    /// Whose invitation.
    pub membership: MembershipId,
    /// Of which generation; an older one is revoked.
    pub generation: u32,
    /// Which letter of the generation carried it.
    pub send: u32,
}

/// Remembers a link. The same link again changes nothing.
pub fn put(tx: &Tx<'_>, hash: &[u8; 32], link: JoinLink, now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO joins(hash, membership_id, generation, send, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            hash.as_slice(),
            link.membership.0,
            link.generation,
            link.send,
            now.millis()
        ])?;
    Ok(())
}

/// The link whose token has this hash.
pub fn find(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<Option<JoinLink>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT membership_id, generation, send FROM joins WHERE hash = ?1")?
        .query_row([hash.as_slice()], |row| {
            Ok(JoinLink {
                membership: MembershipId(row.get(0)?),
                generation: row.get(1)?,
                send: row.get(2)?,
            })
        })
        .optional()?)
}

/// Notes that nobody is to write to the address any more. False if that was known.
pub fn suppress(tx: &Tx<'_>, email: &Email, now: Timestamp) -> Result<bool, StoreError> {
    let new = tx
        .sql()
        .prepare_cached(
            "INSERT INTO suppressed(email, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![email.as_str(), now.millis()])?;
    Ok(new == 1)
}

/// Whether somebody at the address wants no more letters.
pub fn is_suppressed(tx: &Tx<'_>, email: &Email) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM suppressed WHERE email = ?1")?
        .exists([email.as_str()])?)
}
