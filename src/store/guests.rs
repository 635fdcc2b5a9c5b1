//! Channel guests: one row per organization, mapped channel and CRM user.
//!
//! Deliberately absent: what the rows ask for; the planner decides that.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::channel::{Guest, GuestState};
use crate::domain::{CliqId, CrmUserId, Email, GuestId, MembershipId, OrgId, Timestamp};

const COLUMNS: &str = "id, organization, channel, crm_user_id, membership_id, state, since, \
     invited_as, invited_at, sends, unanswered, has_account, generation, cliq_id, unseen_since, \
     parked";

fn unreadable(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.to_owned().into())
}

fn guest(row: &Row<'_>) -> rusqlite::Result<Guest> {
    let state: String = row.get("state")?;
    let address: Option<String> = row.get("invited_as")?;
    let time = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
    };
    Ok(Guest {
        id: GuestId(row.get("id")?),
        organization: OrgId::new(row.get::<_, String>("organization")?),
        channel: row.get("channel")?,
        crm_user_id: CrmUserId::new(row.get::<_, String>("crm_user_id")?),
        membership: row.get::<_, Option<i64>>("membership_id")?.map(MembershipId),
        state: GuestState::from_word(&state).ok_or_else(|| unreadable(5, "state"))?,
        since: Timestamp(row.get("since")?),
        invited_as: address
            .map(|text| Email::parse(&text).map_err(|_| unreadable(7, "e-mail address")))
            .transpose()?,
        invited_at: time("invited_at")?,
        sends: row.get("sends")?,
        unanswered: row.get("unanswered")?,
        has_account: row.get("has_account")?,
        generation: row.get("generation")?,
        cliq_id: row.get::<_, Option<String>>("cliq_id")?.map(CliqId::new),
        unseen_since: time("unseen_since")?,
        parked: row.get("parked")?,
    })
}

/// Writes the row: a new one when its id is 0, else all columns of the known one. Answers its id.
pub fn put(tx: &Tx<'_>, row: &Guest) -> Result<GuestId, StoreError> {
    let id = (row.id.0 != 0).then_some(row.id.0);
    tx.sql()
        .prepare_cached(&format!(
            "INSERT INTO guests({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT(id) DO UPDATE SET
               crm_user_id = excluded.crm_user_id, membership_id = excluded.membership_id,
               state = excluded.state, since = excluded.since, invited_as = excluded.invited_as,
               invited_at = excluded.invited_at, sends = excluded.sends,
               unanswered = excluded.unanswered, has_account = excluded.has_account,
               generation = excluded.generation, cliq_id = excluded.cliq_id,
               unseen_since = excluded.unseen_since, parked = excluded.parked"
        ))?
        .execute(params![
            id,
            row.organization.as_str(),
            row.channel,
            row.crm_user_id.as_str(),
            row.membership.map(|id| id.0),
            row.state.as_str(),
            row.since.millis(),
            row.invited_as.as_ref().map(Email::as_str),
            row.invited_at.map(Timestamp::millis),
            row.sends,
            row.unanswered,
            row.has_account,
            row.generation,
            row.cliq_id.as_ref().map(CliqId::as_str),
            row.unseen_since.map(Timestamp::millis),
            row.parked,
        ])?;
    Ok(id.map_or_else(|| GuestId(tx.sql().last_insert_rowid()), GuestId))
}

/// The row with this id.
pub fn get(tx: &Tx<'_>, id: GuestId) -> Result<Option<Guest>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM guests WHERE id = ?1"))?
        .query_row([id.0], guest)
        .optional()?)
}

/// Every channel of one CRM user: those of the user's own id, and those that the membership brought
/// along from an id which this one succeeds (Z14).
pub fn of_person(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    membership: Option<MembershipId>,
) -> Result<Vec<Guest>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM guests WHERE id IN
           (SELECT id FROM guests WHERE organization = ?1 AND crm_user_id = ?2
            UNION SELECT id FROM guests WHERE membership_id = ?3)
         ORDER BY channel, id"
    ))?;
    let user = user.as_str();
    let rows = statement
        .query_map(params![organization.as_str(), user, membership.map(|id| id.0)], guest)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether the CRM user has a row of their own for the channel.
pub fn exists(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    user: &CrmUserId,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM guests WHERE organization = ?1 AND channel = ?2 AND crm_user_id = ?3",
        )?
        .exists([organization.as_str(), channel, user.as_str()])?)
}

/// Every guest of one channel, in the order of their memberships.
pub fn of_channel(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
) -> Result<Vec<Guest>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM guests WHERE organization = ?1 AND channel = ?2
         ORDER BY membership_id, id"
    ))?;
    let rows = statement.query_map(params![organization.as_str(), channel], guest)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many of the organization's guests of each channel are in which state.
pub fn tally(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT channel, state, count(*) FROM guests WHERE organization = ?1
         GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows = statement
        .query_map([organization.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Invitations to the channel that are out and not followed yet.
pub fn open(tx: &Tx<'_>, organization: &OrgId, channel: &str) -> Result<u32, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) FROM guests WHERE organization = ?1 AND channel = ?2
               AND state IN ('invited', 'awaiting_signup', 'signed_up')",
        )?
        .query_row([organization.as_str(), channel], |row| row.get(0))?)
}

/// Channels of the organization with somebody who is wanted in them.
pub fn awaited(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT DISTINCT channel FROM guests WHERE organization = ?1 AND state = 'wanted'",
    )?;
    let rows = statement.query_map([organization.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Channels with somebody whom our call invited, whose invitation is over since `since` or later, and
/// who may follow it all the same.
pub fn tombstones(
    tx: &Tx<'_>,
    organization: &OrgId,
    since: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT DISTINCT channel FROM guests WHERE organization = ?1 AND invited_at IS NOT NULL
           AND state IN ('removed', 'declined', 'expired') AND since >= ?2",
    )?;
    let rows =
        statement.query_map(params![organization.as_str(), since.millis()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// With which part of a refused call the guest is tried next; `None` is with everybody.
pub fn set_part(tx: &Tx<'_>, id: GuestId, part: Option<i64>) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("UPDATE guests SET part = ?2 WHERE id = ?1")?
        .execute(params![id.0, part])?;
    Ok(())
}
