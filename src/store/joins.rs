//! Join links: only the SHA-256 of each token is kept (design section 11, "Order and letters").

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::{MembershipId, Timestamp};

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
