//! What the digest of one organization is made of. Deliberately absent: its words.

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::{OrgId, State, Timestamp};

/// The job under which the last digest is noted in `ticks`.
const JOB: &str = "digest_told";

/// A person in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// First and last name; may be empty.
    pub name: String,
    /// Address.
    pub email: String,
    /// What there is to say besides: a code, an old address, a channel.
    pub about: String,
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line { name: row.get(0)?, email: row.get(1)?, about: row.get(2)? })
}

/// Up to when the last digest told; `None` before the first.
pub fn told_until(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = tx
        .sql()
        .prepare_cached("SELECT last_at FROM ticks WHERE organization = ?1 AND job = ?2")?
        .query_row([organization.as_str(), JOB], |row| row.get(0))
        .optional()?;
    Ok(at.map(Timestamp))
}

/// Notes up to when a digest told.
pub fn note_told(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    super::ticks::note(tx, organization.as_str(), JOB, now, false)
}

/// Who has come into this state since.
pub fn entered(
    tx: &Tx<'_>,
    organization: &OrgId,
    state: State,
    from: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT trim(first_name || ' ' || last_name), email, '' FROM memberships
         WHERE organization = ?1 AND state = ?2 AND since >= ?3 ORDER BY since, id",
    )?;
    let rows =
        statement.query_map(params![organization.as_str(), state.as_str(), from.millis()], line)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whose invitation went to an address that is not theirs any more.
pub fn renamed(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Line>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT trim(first_name || ' ' || last_name), email, invited_as FROM memberships
         WHERE organization = ?1 AND state = 'invited' AND invited_as <> email ORDER BY id",
    )?;
    let rows = statement.query_map([organization.as_str()], line)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whom the portal refused: with the code.
pub fn parked(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Line>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT trim(first_name || ' ' || last_name), email, parked FROM memberships
         WHERE organization = ?1 AND parked IS NOT NULL ORDER BY id",
    )?;
    let rows = statement.query_map([organization.as_str()], line)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Changes that channels refused: the channel, the person's address, and the code.
pub fn parked_guests(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Line>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT guests.channel, coalesce(memberships.email, guests.crm_user_id), guests.parked
         FROM guests LEFT JOIN memberships ON memberships.id = guests.membership_id
         WHERE guests.organization = ?1 AND guests.parked IS NOT NULL ORDER BY guests.id",
    )?;
    let rows = statement.query_map([organization.as_str()], line)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Who appeared in mapped channels since, without the bridge: the channel comes last.
pub fn strangers(
    tx: &Tx<'_>,
    organization: &OrgId,
    from: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT '', coalesce(email, cliq_id), channel FROM strangers
         WHERE organization = ?1 AND first_at >= ?2 ORDER BY first_at, cliq_id",
    )?;
    let rows = statement.query_map(params![organization.as_str(), from.millis()], line)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What forbids writes for people of this organization: kind, and the two sides.
pub fn conflicts(
    tx: &Tx<'_>,
    organization: &OrgId,
) -> Result<Vec<(String, String, String)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT kind, one, other FROM conflicts
         WHERE one LIKE ?1 || '/%' OR other LIKE ?1 || '/%'
            OR one IN (SELECT zuid FROM memberships WHERE organization = ?1 AND zuid IS NOT NULL)
            OR one IN (SELECT email FROM memberships WHERE organization = ?1)
         ORDER BY id",
    )?;
    let rows = statement
        .query_map([organization.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The run whose plan is held, if the newest over the whole organization is: its id and what it
/// holds, a JSON array of lines with a reason.
pub fn held_run(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<(i64, String)>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT id, held FROM
               (SELECT id, held, state FROM runs
                WHERE organization = ?1 AND person IS NULL
                  AND state IN ('done', 'degraded', 'held', 'applying') ORDER BY id DESC LIMIT 1)
             WHERE state = 'held'",
        )?
        .query_row([organization.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// How many external users are in, to whom the host's policies do not apply.
pub fn outside_policy(tx: &Tx<'_>, organization: &OrgId) -> Result<u32, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) FROM memberships
             WHERE organization = ?1 AND external = 1 AND state IN ('joined', 'restricted')",
        )?
        .query_row([organization.as_str()], |row| row.get(0))?)
}
