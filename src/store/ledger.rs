//! The ledger: what the bridge knows of each (organization, CRM user), and the audit of its steps.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::{
    CliqId, CrmUserId, Email, Licence, Membership, MembershipId, OrgId, Origin, State, Timestamp,
    Who, Zuid,
};

const COLUMNS: &str = "id, organization, crm_user_id, zuid, cliq_id, email, invited_as, \
     first_name, last_name, invited_by, language, time_zone, state, origin, external, generation, \
     sends, since, invited_at, join_url, suspected_at, absent_since, seen, unseen_since, reminded, \
     overdue_told, licence, licence_given, restricted_by_bridge, parked";

fn unreadable(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.to_owned().into())
}

fn email(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Email>> {
    row.get::<_, Option<String>>(column)?
        .map(|text| Email::parse(&text).map_err(|_| unreadable(column, "e-mail address")))
        .transpose()
}

fn membership(row: &Row<'_>) -> rusqlite::Result<Membership> {
    let state: String = row.get("state")?;
    let origin: String = row.get("origin")?;
    let time = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
    };
    Ok(Membership {
        id: MembershipId(row.get("id")?),
        organization: OrgId::new(row.get::<_, String>("organization")?),
        crm_user_id: CrmUserId::new(row.get::<_, String>("crm_user_id")?),
        zuid: row.get::<_, Option<String>>("zuid")?.map(Zuid::new),
        cliq_id: row.get::<_, Option<String>>("cliq_id")?.map(CliqId::new),
        email: email(row, 5)?.ok_or_else(|| unreadable(5, "e-mail address"))?,
        invited_as: email(row, 6)?,
        first_name: row.get("first_name")?,
        last_name: row.get("last_name")?,
        invited_by: row.get("invited_by")?,
        language: row.get("language")?,
        time_zone: row.get("time_zone")?,
        state: State::from_word(&state).ok_or_else(|| unreadable(12, "state"))?,
        origin: Origin::from_word(&origin).ok_or_else(|| unreadable(13, "origin"))?,
        external: row.get("external")?,
        generation: row.get("generation")?,
        sends: row.get("sends")?,
        since: Timestamp(row.get("since")?),
        invited_at: time("invited_at")?,
        join_url: row.get("join_url")?,
        suspected_at: time("suspected_at")?,
        absent_since: time("absent_since")?,
        seen: row.get("seen")?,
        unseen_since: time("unseen_since")?,
        reminded: row.get("reminded")?,
        overdue_told: row.get("overdue_told")?,
        licence: row
            .get::<_, Option<String>>("licence")?
            .and_then(|word| Licence::from_word(&word)),
        licence_given: row.get("licence_given")?,
        restricted_by_bridge: row.get("restricted_by_bridge")?,
        parked: row.get("parked")?,
    })
}

/// The row with this id.
pub fn get(tx: &Tx<'_>, id: MembershipId) -> Result<Option<Membership>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM memberships WHERE id = ?1"))?
        .query_row([id.0], membership)
        .optional()?)
}

/// The row of this CRM user.
pub fn by_user(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
) -> Result<Option<Membership>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM memberships WHERE organization = ?1 AND crm_user_id = ?2"
        ))?
        .query_row([organization.as_str(), user.as_str()], membership)
        .optional()?)
}

/// By what [`namesakes`] knows a person again.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// The Zoho account, where CRM says it.
    pub zuid: Option<&'a Zuid>,
    /// The address.
    pub email: &'a Email,
    /// The Cliq row that is the person's.
    pub cliq_id: Option<&'a CliqId>,
}

/// Rows of other CRM users in the organization that are the same person: equal zuid, or equal
/// address or Cliq row without two different zuids. While an invitation is open, the address it went
/// to counts too. CRM may show another address by now: of the person, and of who was there before.
pub fn namesakes(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
    marks: Marks<'_>,
) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships WHERE crm_user_id <> ?2 AND id IN
           (SELECT id FROM memberships WHERE organization = ?1 AND zuid = ?3
            UNION
            SELECT id FROM memberships WHERE organization = ?1 AND email = ?4
              AND (zuid IS NULL OR ?3 IS NULL)
            UNION
            SELECT id FROM memberships WHERE organization = ?1 AND invited_as = ?4
              AND state = 'invited' AND (zuid IS NULL OR ?3 IS NULL)
            UNION
            SELECT id FROM memberships WHERE organization = ?1 AND cliq_id = ?5
              AND (zuid IS NULL OR ?3 IS NULL))
         ORDER BY id"
    ))?;
    let rows = statement.query_map(
        params![
            organization.as_str(),
            user.as_str(),
            marks.zuid.map(Zuid::as_str),
            marks.email.as_str(),
            marks.cliq_id.map(CliqId::as_str),
        ],
        membership,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rows that a person's CRM id, zuid or address names, in one organization or all.
pub fn find(
    tx: &Tx<'_>,
    organization: Option<&OrgId>,
    person: &str,
) -> Result<Vec<Membership>, StoreError> {
    let address = Email::parse(person).ok();
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships
         WHERE (?1 IS NULL OR organization = ?1)
           AND (crm_user_id = ?2 OR zuid = ?2 OR email = ?3) ORDER BY id"
    ))?;
    let rows = statement.query_map(
        params![organization.map(OrgId::as_str), person, address.as_ref().map(Email::as_str)],
        membership,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every row of one person: the account, or the address where one side does not know the account.
pub fn of_person(tx: &Tx<'_>, who: &Who) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships WHERE id IN
           (SELECT id FROM memberships WHERE zuid = ?1
            UNION
            SELECT id FROM memberships WHERE email = ?2 AND (zuid IS NULL OR ?1 IS NULL))
         ORDER BY id"
    ))?;
    let rows = statement
        .query_map(params![who.zuid.as_ref().map(Zuid::as_str), who.email.as_str()], membership)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first row of each person, oldest first: those with an id above `after`.
pub fn people(
    tx: &Tx<'_>,
    q: Option<&str>,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships one
         WHERE id > ?1
           AND (?2 IS NULL OR email LIKE ?2 ESCAPE '\\' OR crm_user_id LIKE ?2 ESCAPE '\\'
                OR lower(first_name || ' ' || last_name) LIKE ?2 ESCAPE '\\')
           AND NOT EXISTS (SELECT 1 FROM memberships earlier
                           WHERE earlier.zuid = one.zuid AND earlier.id < one.id)
           AND NOT EXISTS (SELECT 1 FROM memberships earlier
                           WHERE earlier.email = one.email AND earlier.id < one.id
                             AND (earlier.zuid IS NULL OR one.zuid IS NULL))
         ORDER BY id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![after.unwrap_or(0), q.map(like), limit], membership)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// External users who are in: to whom the host's own policies do not apply (R20), oldest first.
pub fn outside_policy(
    tx: &Tx<'_>,
    organization: Option<&OrgId>,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships
         WHERE id > ?1 AND (?2 IS NULL OR organization = ?2)
           AND external = 1 AND state IN ('joined', 'restricted')
         ORDER BY id LIMIT ?3"
    ))?;
    let rows = statement.query_map(
        params![after.unwrap_or(0), organization.map(OrgId::as_str), limit],
        membership,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A pattern for a part of a text.
fn like(part: &str) -> String {
    let escaped = part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// A page of memberships, oldest first: those with an id above `after`.
pub fn list(tx: &Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<Membership>, StoreError> {
    let like = filter.q.as_deref().map(like);
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships
         WHERE id > ?1 AND (?2 IS NULL OR organization = ?2) AND (?3 IS NULL OR state = ?3)
           AND (?4 IS NULL OR email LIKE ?4 ESCAPE '\\' OR crm_user_id LIKE ?4 ESCAPE '\\'
                OR lower(first_name || ' ' || last_name) LIKE ?4 ESCAPE '\\')
         ORDER BY id LIMIT ?5"
    ))?;
    let rows = statement.query_map(
        params![
            filter.after.unwrap_or(0),
            filter.organization,
            filter.state.map(State::as_str),
            like,
            limit
        ],
        membership,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rows of the organization with this origin.
pub fn of_origin(
    tx: &Tx<'_>,
    organization: &OrgId,
    origin: Origin,
) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships WHERE organization = ?1 AND origin = ?2 ORDER BY id"
    ))?;
    let rows = statement.query_map([organization.as_str(), origin.as_str()], membership)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many of the organization's memberships have which licence; unknown ones are left out.
pub fn licences(tx: &Tx<'_>, organization: &OrgId) -> Result<(u32, u32), StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT coalesce(sum(licence = 'paid'), 0), coalesce(sum(licence = 'free'), 0)
             FROM memberships WHERE organization = ?1 AND external = 1",
        )?
        .query_row([organization.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Which memberships [`list`] shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only rows with a higher id.
    pub after: Option<i64>,
    /// Only this organization.
    pub organization: Option<String>,
    /// Only this state.
    pub state: Option<State>,
    /// Part of an address, a name or a CRM id.
    pub q: Option<String>,
}

/// Writes the row: a new one when its id is 0, else all columns of the known one. Answers its id.
pub fn put(tx: &Tx<'_>, row: &Membership) -> Result<MembershipId, StoreError> {
    let id = (row.id.0 != 0).then_some(row.id.0);
    tx.sql()
        .prepare_cached(&format!(
            "INSERT INTO memberships({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                     ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)
             ON CONFLICT(id) DO UPDATE SET
               crm_user_id = excluded.crm_user_id, zuid = excluded.zuid,
               cliq_id = excluded.cliq_id, email = excluded.email,
               invited_as = excluded.invited_as, first_name = excluded.first_name,
               last_name = excluded.last_name, invited_by = excluded.invited_by,
               language = excluded.language, time_zone = excluded.time_zone,
               state = excluded.state, origin = excluded.origin, external = excluded.external,
               generation = excluded.generation, sends = excluded.sends, since = excluded.since,
               invited_at = excluded.invited_at, join_url = excluded.join_url,
               suspected_at = excluded.suspected_at, absent_since = excluded.absent_since,
               seen = excluded.seen, unseen_since = excluded.unseen_since,
               reminded = excluded.reminded, overdue_told = excluded.overdue_told,
               licence = excluded.licence, licence_given = excluded.licence_given,
               restricted_by_bridge = excluded.restricted_by_bridge, parked = excluded.parked"
        ))?
        .execute(params![
            id,
            row.organization.as_str(),
            row.crm_user_id.as_str(),
            row.zuid.as_ref().map(Zuid::as_str),
            row.cliq_id.as_ref().map(CliqId::as_str),
            row.email.as_str(),
            row.invited_as.as_ref().map(Email::as_str),
            row.first_name,
            row.last_name,
            row.invited_by,
            row.language,
            row.time_zone,
            row.state.as_str(),
            row.origin.as_str(),
            row.external,
            row.generation,
            row.sends,
            row.since.millis(),
            row.invited_at.map(Timestamp::millis),
            row.join_url,
            row.suspected_at.map(Timestamp::millis),
            row.absent_since.map(Timestamp::millis),
            row.seen,
            row.unseen_since.map(Timestamp::millis),
            row.reminded,
            row.overdue_told,
            row.licence.map(Licence::as_str),
            row.licence_given,
            row.restricted_by_bridge,
            row.parked,
        ])?;
    Ok(id.map_or_else(|| MembershipId(tx.sql().last_insert_rowid()), MembershipId))
}

/// Rows that the invitation clock looks at.
pub fn on_the_clock(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Membership>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM memberships
         WHERE organization = ?1 AND state IN ('wanted', 'invited') ORDER BY id"
    ))?;
    let rows = statement.query_map([organization.as_str()], membership)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The CRM users of the organization whom the ledger knows, also as guests of channels only.
pub fn users(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<CrmUserId>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT crm_user_id FROM memberships WHERE organization = ?1
             UNION SELECT crm_user_id FROM guests WHERE organization = ?1",
    )?;
    let rows = statement
        .query_map([organization.as_str()], |row| row.get::<_, String>(0).map(CrmUserId::new))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many memberships are in which state.
pub fn tally(tx: &Tx<'_>) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT organization, state, count(*) FROM memberships GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether Cliq ever showed anybody of the organization.
pub fn any_seen(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM memberships WHERE organization = ?1
               AND (cliq_id IS NOT NULL OR state IN ('invited', 'joined', 'restricted')) LIMIT 1",
        )?
        .exists([organization.as_str()])?)
}

/// Whether the invitation cap counts this membership already: an add, a first letter or a channel
/// invitation waits, or went out since `from`.
pub fn counts_as_invited(
    tx: &Tx<'_>,
    membership: MembershipId,
    from: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM actions WHERE membership_id = ?1
               AND operation IN ('add_external', 'letter', 'channel_add')
               AND (state = 'waiting' OR (state = 'done' AND finished_at >= ?2)) LIMIT 1",
        )?
        .exists(params![membership.0, from.millis()])?)
}

/// How many people of the organization were invited since `from`, to it or to a channel, or wait for
/// that to go out.
/// Each person counts once (design section 11, `guard.max_invites`).
pub fn invited_since(
    tx: &Tx<'_>,
    organization: &OrgId,
    from: Timestamp,
) -> Result<u32, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) FROM
               (SELECT membership_id FROM actions
                WHERE state = 'waiting' AND lane IN ('access', 'letter', 'channel')
                  AND organization = ?1 AND membership_id IS NOT NULL
                  AND operation IN ('add_external', 'letter', 'channel_add')
                UNION
                SELECT membership_id FROM actions
                WHERE finished_at >= ?2 AND state = 'done' AND organization = ?1
                  AND membership_id IS NOT NULL
                  AND operation IN ('add_external', 'letter', 'channel_add'))",
        )?
        .query_row(params![organization.as_str(), from.millis()], |row| row.get(0))?)
}
