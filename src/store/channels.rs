//! Mapped channels as last read, what stands in their way, and who is in them by others' hand.
//!
//! Deliberately absent: guests, who have a module of their own.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::channel::{ChannelFacts, Level};
use crate::domain::{CliqId, Email, OrgId, Timestamp};

/// What is known of a mapped channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The channel's unique name.
    pub channel: String,
    /// What Cliq showed; `None` for a channel that it does not show.
    pub facts: Option<ChannelFacts>,
    /// What Cliq refused to everybody alike, as a code, until an operator asks again or time has
    /// passed.
    pub refused: Option<String>,
    /// The last refusal is old enough to be tried again, and nobody got in since.
    pub on_trial: bool,
    /// The problem that the administrators were told last, as a code.
    pub problem: Option<String>,
    /// When this was read.
    pub read_at: Timestamp,
}

const COLUMNS: &str = "channel, channel_id, level, name, alive, add_participants, may_add, \
     participants, external_channels, read_at, refused, refused_at, problem";

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let read_at = Timestamp(row.get("read_at")?);
    let level: Option<String> = row.get("level")?;
    let roles: String = row.get("add_participants")?;
    let facts = match row.get::<_, Option<String>>("channel_id")? {
        None => None,
        Some(id) => Some(ChannelFacts {
            id,
            level: level.and_then(|word| Level::from_word(&word)).unwrap_or(Level::Unknown),
            name: row.get("name")?,
            alive: row.get("alive")?,
            add_participants: serde_json::from_str(&roles).unwrap_or_default(),
            may_add: row.get("may_add")?,
            participants: row.get("participants")?,
            external_channels: row.get("external_channels")?,
            read_at,
        }),
    };
    Ok(Known {
        channel: row.get("channel")?,
        facts,
        on_trial: row.get::<_, Option<String>>("refused")?.is_none()
            && row.get::<_, Option<i64>>("refused_at")?.is_some(),
        refused: row.get("refused")?,
        problem: row.get("problem")?,
        read_at,
    })
}

/// What is known of one channel; `None` before anybody looked.
pub fn get(tx: &Tx<'_>, organization: &OrgId, channel: &str) -> Result<Option<Known>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM channels WHERE organization = ?1 AND channel = ?2"
        ))?
        .query_row([organization.as_str(), channel], known)
        .optional()?)
}

/// What is known of all channels of the organization, also of those that are mapped no more.
pub fn all(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Known>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM channels WHERE organization = ?1 ORDER BY channel"
    ))?;
    let rows = statement.query_map([organization.as_str()], known)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes what was read of a channel; `None` when Cliq does not show it. Refusal and problem stay.
pub fn note(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    facts: Option<&ChannelFacts>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let roles = facts.map(|facts| facts.add_participants.as_slice()).unwrap_or_default();
    let roles = serde_json::to_string(roles).map_err(|_| StoreError::Unreadable("channel"))?;
    tx.sql()
        .prepare_cached(
            "INSERT INTO channels(organization, channel, channel_id, level, name, alive,
                                  add_participants, may_add, participants, external_channels,
                                  read_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET
               channel_id = excluded.channel_id, level = excluded.level, name = excluded.name,
               alive = excluded.alive, add_participants = excluded.add_participants,
               may_add = excluded.may_add, participants = excluded.participants,
               external_channels =
                 coalesce(excluded.external_channels, channels.external_channels),
               read_at = excluded.read_at",
        )?
        .execute(params![
            organization.as_str(),
            channel,
            facts.map(|facts| facts.id.as_str()),
            facts.map(|facts| facts.level.as_str()),
            facts.map(|facts| facts.name.as_str()).unwrap_or_default(),
            facts.is_some_and(|facts| facts.alive),
            roles,
            facts.and_then(|facts| facts.may_add),
            facts.and_then(|facts| facts.participants),
            facts.and_then(|facts| facts.external_channels),
            now.millis(),
        ])?;
    Ok(())
}

/// Writes how many people a complete member list showed.
pub fn note_participants(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    participants: u32,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE channels SET participants = ?3
             WHERE organization = ?1 AND channel = ?2 AND participants IS NOT ?3",
        )?
        .execute(params![organization.as_str(), channel, participants])?;
    Ok(())
}

/// Notes what keeps everybody out alike, until somebody takes it back.
pub fn refuse(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    code: &str,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE channels SET refused = ?3, refused_at = NULL
             WHERE organization = ?1 AND channel = ?2",
        )?
        .execute([organization.as_str(), channel, code])?;
    Ok(())
}

/// Notes what Cliq answered to calls for everybody alike; [`try_again`] ends it.
pub fn refuse_calls(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    code: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE channels SET refused = ?3, refused_at = ?4
             WHERE organization = ?1 AND channel = ?2",
        )?
        .execute(params![organization.as_str(), channel, code, now.millis()])?;
    Ok(())
}

/// Lets channels whose calls were refused until `before` be tried again. So are those whose refusal is
/// ahead of `now`: it was noted before the clock was set back.
pub fn try_again(
    tx: &Tx<'_>,
    organization: &OrgId,
    before: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE channels SET refused = NULL
             WHERE organization = ?1 AND refused IS NOT NULL
               AND (refused_at <= ?2 OR refused_at > ?3)",
        )?
        .execute(params![organization.as_str(), before.millis(), now.millis()])?;
    Ok(())
}

/// Somebody got in: what was refused to everybody is over. True if there was something.
pub fn accept_calls(tx: &Tx<'_>, organization: &OrgId, channel: &str) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE channels SET refused = NULL, refused_at = NULL
             WHERE organization = ?1 AND channel = ?2 AND refused_at IS NOT NULL",
        )?
        .execute([organization.as_str(), channel])?;
    Ok(changed == 1)
}

/// Takes one refusal back, if it is the last one noted. True if it was.
pub fn retract(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    code: &str,
) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE channels SET refused = NULL, refused_at = NULL
             WHERE organization = ?1 AND channel = ?2 AND refused = ?3",
        )?
        .execute([organization.as_str(), channel, code])?;
    Ok(changed == 1)
}

/// Lets every refused channel of the organization be tried again: an operator asks.
pub fn forgive(tx: &Tx<'_>, organization: &OrgId) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE channels SET refused = NULL, refused_at = NULL WHERE organization = ?1",
        )?
        .execute([organization.as_str()])?;
    Ok(())
}

/// Writes the problem that the administrators are told. True when it is another than before.
pub fn set_problem(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    problem: Option<&str>,
) -> Result<bool, StoreError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE channels SET problem = ?3
             WHERE organization = ?1 AND channel = ?2 AND problem IS NOT ?3",
        )?
        .execute(params![organization.as_str(), channel, problem])?;
    Ok(changed == 1)
}

/// Somebody in a channel by others' hand (R57, R58).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The id that the channel shows.
    pub id: CliqId,
    /// The address, when it is one.
    pub email: Option<Email>,
    /// When a member list first showed them.
    pub first_at: Timestamp,
}

/// Who is in the channel by others' hand, oldest first.
pub fn strangers(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
) -> Result<Vec<Stranger>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT cliq_id, email, first_at FROM strangers WHERE organization = ?1 AND channel = ?2
         ORDER BY first_at, cliq_id",
    )?;
    let rows = statement.query_map([organization.as_str(), channel], |row| {
        Ok(Stranger {
            id: CliqId::new(row.get::<_, String>(0)?),
            email: row.get::<_, Option<String>>(1)?.and_then(|text| Email::parse(&text).ok()),
            first_at: Timestamp(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes who is in the channel by others' hand; whoever is known already stays as first seen.
pub fn note_strangers(
    tx: &Tx<'_>,
    organization: &OrgId,
    channel: &str,
    seen: &[(CliqId, Option<Email>)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let ids: BTreeSet<&CliqId> = seen.iter().map(|(id, _)| id).collect();
    let known = strangers(tx, organization, channel)?;
    for gone in known.iter().filter(|stranger| !ids.contains(&stranger.id)) {
        tx.sql()
            .prepare_cached(
                "DELETE FROM strangers WHERE organization = ?1 AND channel = ?2 AND cliq_id = ?3",
            )?
            .execute([organization.as_str(), channel, gone.id.as_str()])?;
    }
    let known: BTreeSet<&CliqId> = known.iter().map(|stranger| &stranger.id).collect();
    for (id, email) in seen.iter().filter(|(id, _)| !known.contains(id)) {
        tx.sql()
            .prepare_cached(
                "INSERT INTO strangers(organization, channel, cliq_id, email, first_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                organization.as_str(),
                channel,
                id.as_str(),
                email.as_ref().map(Email::as_str),
                now.millis()
            ])?;
    }
    Ok(())
}
