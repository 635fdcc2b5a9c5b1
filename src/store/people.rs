//! A person across organizations: who is internal where, the home last accepted, and what stands
//! against any write (R3, G6, G9).
//!
//! Every look-up goes by account or by address over an index. Deliberately absent: deciding what it
//! means, which `logic::home` does.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx};
use crate::domain::{Accepted, CliqId, CrmUserId, Email, Home, OrgId, Timestamp, Who, Zuid};

/// One of an organization's own people, as its Cliq lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internal {
    /// Cliq's id of the row.
    pub cliq_id: CliqId,
    /// Zoho account id.
    pub zuid: Option<Zuid>,
    /// Address, when it is one.
    pub email: Option<Email>,
}

/// How a complete listing differs from what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// New rows, and rows whose account or address changed.
    pub put: Vec<Internal>,
    /// Rows that are not listed any more, as they were.
    pub gone: Vec<Internal>,
}

fn internal(row: &Row<'_>) -> rusqlite::Result<Internal> {
    Ok(Internal {
        cliq_id: CliqId::new(row.get::<_, String>(0)?),
        zuid: row.get::<_, Option<String>>(1)?.map(Zuid::new),
        email: row.get::<_, Option<String>>(2)?.and_then(|text| Email::parse(&text).ok()),
    })
}

/// Compares a complete listing of an organization's own people with the stored one.
pub fn compare(
    tx: &Tx<'_>,
    organization: &OrgId,
    listed: Vec<Internal>,
) -> Result<Difference, StoreError> {
    let mut statement = tx
        .sql()
        .prepare_cached("SELECT cliq_id, zuid, email FROM internals WHERE organization = ?1")?;
    let mut stored: BTreeMap<String, Internal> = BTreeMap::new();
    for row in statement.query_map([organization.as_str()], internal)? {
        let row = row?;
        stored.insert(row.cliq_id.to_string(), row);
    }
    let mut put = Vec::new();
    for row in listed {
        if stored.remove(row.cliq_id.as_str()).as_ref() != Some(&row) {
            put.push(row);
        }
    }
    Ok(Difference { put, gone: stored.into_values().collect() })
}

/// Writes a part of a difference.
pub fn note_internals(
    tx: &Tx<'_>,
    organization: &OrgId,
    put: &[Internal],
    gone: &[Internal],
) -> Result<(), StoreError> {
    let mut upsert = tx.sql().prepare_cached(
        "INSERT INTO internals(organization, cliq_id, zuid, email) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT(organization, cliq_id) DO UPDATE SET
           zuid = excluded.zuid, email = excluded.email",
    )?;
    for row in put {
        upsert.execute(params![
            organization.as_str(),
            row.cliq_id.as_str(),
            row.zuid.as_ref().map(Zuid::as_str),
            row.email.as_ref().map(Email::as_str),
        ])?;
    }
    let mut delete = tx
        .sql()
        .prepare_cached("DELETE FROM internals WHERE organization = ?1 AND cliq_id = ?2")?;
    for row in gone {
        delete.execute([organization.as_str(), row.cliq_id.as_str()])?;
    }
    Ok(())
}

/// Whose account or address is whose: for somebody whose account is not told, the one that goes
/// with the address everywhere else.
pub fn identify(tx: &Tx<'_>, zuid: Option<&Zuid>, email: &Email) -> Result<Who, StoreError> {
    if zuid.is_some() {
        return Ok(Who { zuid: zuid.cloned(), email: email.clone() });
    }
    let mut statement = tx.sql().prepare_cached(
        "SELECT zuid FROM memberships WHERE email = ?1 AND zuid IS NOT NULL
         UNION SELECT zuid FROM internals WHERE email = ?1 AND zuid IS NOT NULL LIMIT 2",
    )?;
    let known: Vec<String> =
        statement.query_map([email.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let zuid = match known.as_slice() {
        [one] => Some(Zuid::new(one.as_str())),
        _ => None,
    };
    Ok(Who { zuid, email: email.clone() })
}

/// Organizations that list the person among their own; and those that list the address with another
/// account.
pub fn accounts(tx: &Tx<'_>, who: &Who) -> Result<(BTreeSet<OrgId>, BTreeSet<OrgId>), StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT organization, 1 FROM internals WHERE zuid = ?1
         UNION
         SELECT organization, zuid IS NULL OR ?1 IS NULL OR zuid = ?1 FROM internals
         WHERE email = ?2",
    )?;
    let rows = statement
        .query_map(params![who.zuid.as_ref().map(Zuid::as_str), who.email.as_str()], |row| {
            Ok((OrgId::new(row.get::<_, String>(0)?), row.get::<_, bool>(1)?))
        })?;
    let (mut same, mut others) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let (organization, is_same) = row?;
        if is_same {
            same.insert(organization)
        } else {
            others.insert(organization)
        };
    }
    Ok((same, others))
}

/// The home accepted last, and whether it is still remembered under the address although the account
/// is known by now.
pub fn accepted(tx: &Tx<'_>, who: &Who) -> Result<Option<(Accepted, bool)>, StoreError> {
    let mut statement =
        tx.sql().prepare_cached("SELECT home, seen, confirmed FROM homes WHERE person = ?1")?;
    let mut by = |key: &str| {
        statement
            .query_row([key], |row| {
                Ok(Accepted {
                    home: OrgId::new(row.get::<_, String>(0)?),
                    seen: row.get(1)?,
                    confirmed: row.get(2)?,
                })
            })
            .optional()
    };
    if let Some(found) = by(who.key())? {
        return Ok(Some((found, false)));
    }
    let provisional = if who.zuid.is_some() { by(who.email.as_str())? } else { None };
    Ok(provisional.map(|found| (found, true)))
}

/// Remembers the home, under the account as soon as that is known. `None` forgets it.
pub fn accept(
    tx: &Tx<'_>,
    who: &Who,
    home: Option<&Accepted>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut forget = tx.sql().prepare_cached("DELETE FROM homes WHERE person = ?1")?;
    if who.zuid.is_some() {
        forget.execute([who.email.as_str()])?;
    }
    let Some(home) = home else {
        forget.execute([who.key()])?;
        return Ok(());
    };
    tx.sql()
        .prepare_cached(
            "INSERT INTO homes(person, home, seen, confirmed, since) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(person) DO UPDATE SET
               home = excluded.home, seen = excluded.seen, confirmed = excluded.confirmed,
               since = CASE WHEN home = excluded.home THEN since ELSE excluded.since END",
        )?
        .execute(params![who.key(), home.home.as_str(), home.seen, home.confirmed, now.millis()])?;
    Ok(())
}

/// A live membership of another organization that contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The other organization.
    pub organization: OrgId,
    /// The CRM user there.
    pub crm_user_id: CrmUserId,
    /// Both know an account and they differ; else the addresses do.
    pub two_persons: bool,
}

impl Rival {
    /// What it means for the person.
    pub fn home(&self) -> Home {
        let other = self.organization.clone();
        if self.two_persons { Home::TwoPersons(other) } else { Home::TwoAddresses(other) }
    }
}

/// The states in which a membership counts (`Membership::is_live`).
const LIVE: &str = "state IN ('wanted', 'invited', 'joined', 'restricted')";

/// Live memberships of other organizations with the address and another account, or with the
/// account and another address (G9).
pub fn rivals(
    tx: &Tx<'_>,
    organization: &OrgId,
    zuid: &Zuid,
    email: &Email,
) -> Result<Vec<Rival>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT organization, crm_user_id, 1 FROM memberships
         WHERE email = ?2 AND zuid <> ?3 AND organization <> ?1 AND {LIVE}
         UNION ALL
         SELECT organization, crm_user_id, 0 FROM memberships
         WHERE zuid = ?3 AND email <> ?2 AND organization <> ?1 AND {LIVE}
         ORDER BY 1, 2"
    ))?;
    let rows =
        statement.query_map([organization.as_str(), email.as_str(), zuid.as_str()], |row| {
            Ok(Rival {
                organization: OrgId::new(row.get::<_, String>(0)?),
                crm_user_id: CrmUserId::new(row.get::<_, String>(1)?),
                two_persons: row.get(2)?,
            })
        })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The person's live memberships: (organization, CRM user).
pub fn live_memberships(tx: &Tx<'_>, who: &Who) -> Result<Vec<(OrgId, CrmUserId)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT organization, crm_user_id FROM memberships WHERE zuid = ?1 AND {LIVE}
         UNION
         SELECT organization, crm_user_id FROM memberships
         WHERE email = ?2 AND (zuid IS NULL OR ?1 IS NULL) AND {LIVE}"
    ))?;
    let rows = statement
        .query_map(params![who.zuid.as_ref().map(Zuid::as_str), who.email.as_str()], |row| {
            Ok((OrgId::new(row.get::<_, String>(0)?), CrmUserId::new(row.get::<_, String>(1)?)))
        })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What stands against any write for a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The word of the [`Home`].
    pub kind: String,
    /// The person, or the lesser of two [`party`] names.
    pub one: String,
    /// What the home is disputed between, or the greater of the two.
    pub other: String,
}

/// One side of a conflict between two memberships.
pub fn party(organization: &OrgId, user: &CrmUserId) -> String {
    format!("{organization}/{user}")
}

/// The organization and CRM user of a [`party`].
pub fn of_party(name: &str) -> Option<(OrgId, CrmUserId)> {
    let (organization, user) = name.split_once('/')?;
    Some((OrgId::new(organization), CrmUserId::new(user)))
}

/// The conflicts that name any of these, each with whether it was told.
pub fn conflicts(tx: &Tx<'_>, names: &[&str]) -> Result<BTreeMap<Conflict, bool>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT kind, one, other, told_at IS NOT NULL FROM conflicts WHERE one = ?1
         UNION SELECT kind, one, other, told_at IS NOT NULL FROM conflicts WHERE other = ?1",
    )?;
    let mut found = BTreeMap::new();
    for name in names {
        let rows = statement.query_map([name], |row| {
            let conflict = Conflict { kind: row.get(0)?, one: row.get(1)?, other: row.get(2)? };
            Ok((conflict, row.get::<_, bool>(3)?))
        })?;
        for row in rows {
            let (conflict, told) = row?;
            found.insert(conflict, told);
        }
    }
    Ok(found)
}

/// Remembers a conflict, or that it was told.
pub fn note_conflict(
    tx: &Tx<'_>,
    conflict: &Conflict,
    told: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "INSERT INTO conflicts(kind, one, other, since, told_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(one, other, kind) DO UPDATE SET
               told_at = coalesce(told_at, excluded.told_at)",
        )?
        .execute(params![
            conflict.kind,
            conflict.one,
            conflict.other,
            now.millis(),
            told.then_some(now.millis()),
        ])?;
    Ok(())
}

/// Remembers a conflict between two CRM users of one organization, with what they share.
pub fn note_pair(
    tx: &Tx<'_>,
    conflict: &Conflict,
    shared: Option<&str>,
    told: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    note_conflict(tx, conflict, told, now)?;
    tx.sql()
        .prepare_cached(
            "UPDATE conflicts SET shared = ?4 WHERE kind = ?1 AND one = ?2 AND other = ?3",
        )?
        .execute(params![conflict.kind, conflict.one, conflict.other, shared])?;
    Ok(())
}

/// The conflicts between this one and others of the same organization, with what they share.
pub fn pairs(tx: &Tx<'_>, name: &str) -> Result<Vec<(Conflict, String)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT kind, one, other, shared FROM conflicts WHERE one = ?1 AND shared IS NOT NULL
         UNION SELECT kind, one, other, shared FROM conflicts
         WHERE other = ?1 AND shared IS NOT NULL",
    )?;
    let rows = statement.query_map([name], |row| {
        Ok((Conflict { kind: row.get(0)?, one: row.get(1)?, other: row.get(2)? }, row.get(3)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets a conflict that is over.
pub fn end_conflict(tx: &Tx<'_>, conflict: &Conflict) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("DELETE FROM conflicts WHERE kind = ?1 AND one = ?2 AND other = ?3")?
        .execute([&conflict.kind, &conflict.one, &conflict.other])?;
    Ok(())
}

/// How many conflicts were told since `from`.
pub fn told_since(tx: &Tx<'_>, from: Timestamp) -> Result<u32, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT count(*) FROM conflicts WHERE told_at >= ?1")?
        .query_row([from.millis()], |row| row.get(0))?)
}

/// A page of what stands, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Row id.
    pub id: i64,
    /// The conflict.
    pub conflict: Conflict,
    /// Since when.
    pub since: Timestamp,
    /// Whether the administrators were told.
    pub told: bool,
}

/// The conflicts that stand: those with an id above `after`, oldest first.
pub fn all_conflicts(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<Listed>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT id, kind, one, other, since, told_at IS NOT NULL FROM conflicts
         WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after, limit], |row| {
        Ok(Listed {
            id: row.get(0)?,
            conflict: Conflict { kind: row.get(1)?, one: row.get(2)?, other: row.get(3)? },
            since: Timestamp(row.get(4)?),
            told: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// People whom only an organization's own list names, by account or address.
pub fn internals_named(tx: &Tx<'_>, name: &str) -> Result<Vec<Who>, StoreError> {
    let address = Email::parse(name).ok();
    let mut statement = tx.sql().prepare_cached(
        "SELECT zuid, email FROM internals WHERE zuid = ?1 AND email IS NOT NULL
         UNION SELECT zuid, email FROM internals WHERE email = ?2",
    )?;
    let rows = statement
        .query_map(params![name, address.as_ref().map(Email::as_str)], |row| {
            Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let who = |(zuid, email): (Option<String>, String)| {
        Some(Who { zuid: zuid.map(Zuid::new), email: Email::parse(&email).ok()? })
    };
    Ok(rows.into_iter().filter_map(who).collect())
}

/// The mapped channels of a CRM user, with where the person stands in each.
pub fn channels_of(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT channel, state FROM guests WHERE organization = ?1 AND crm_user_id = ?2
         ORDER BY channel",
    )?;
    let rows = statement
        .query_map([organization.as_str(), user.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{Internal, compare, note_internals};
    use crate::domain::{CliqId, Email, OrgId, Who, Zuid};
    use crate::store::Store;

    /// A large organization's own people.
    const MANY: usize = 10_000;

    fn row(number: usize) -> Internal {
        Internal {
            cliq_id: CliqId::new(format!("c{number}")),
            zuid: Some(Zuid::new(format!("z{number}"))),
            email: Email::parse(&format!("p{number}@acme.example")).ok(),
        }
    }

    #[tokio::test]
    async fn a_listing_of_ten_thousand_is_written_once_and_then_only_what_changed() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("test.db")).unwrap();
        let all: Vec<Internal> = (0..MANY).map(row).collect();
        let listed = all.clone();
        let written = store.write("test", move |tx| {
            let acme = OrgId::from("acme");
            let first = compare(tx, &acme, listed.clone())?;
            note_internals(tx, &acme, &first.put, &first.gone)?;
            let again = compare(tx, &acme, listed)?;
            Ok((first.put.len(), first.gone.len(), again.put.len(), again.gone.len()))
        });
        assert_eq!(written.await.unwrap(), (MANY, 0, 0, 0));

        let mut later = all;
        later.pop();
        if let Some(renamed) = later.first_mut() {
            renamed.email = Email::parse("new@acme.example").ok();
        }
        let changed = store.write("test", move |tx| compare(tx, &OrgId::from("acme"), later));
        let changed = changed.await.unwrap();
        assert_eq!((changed.put.len(), changed.gone), (1, vec![row(MANY - 1)]));
    }

    #[tokio::test]
    async fn every_look_for_a_person_goes_over_an_index() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("test.db");
        let store = Store::open(&path).unwrap();
        let who = Who { zuid: Some(Zuid::from("z1")), email: Email::parse("a@b.example").unwrap() };
        // Each of them runs on an empty store; what matters is how SQLite means to do it.
        let plans = store.read(move |tx| {
            super::accounts(tx, &who)?;
            let mut plans = Vec::new();
            for query in [
                "SELECT zuid FROM memberships WHERE email = 'x' AND zuid IS NOT NULL",
                "SELECT organization FROM internals WHERE zuid = 'x'",
                "SELECT organization FROM internals WHERE email = 'x'",
                "SELECT id FROM memberships WHERE zuid = 'x' AND email <> 'y'",
                "SELECT id FROM memberships WHERE crm_user_id = 'x' OR zuid = 'x' OR email = 'x'",
                "SELECT kind FROM conflicts WHERE one = 'x'",
                "SELECT kind FROM conflicts WHERE other = 'x'",
                "SELECT home FROM homes WHERE person = 'x'",
            ] {
                let mut plan = tx.sql().prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
                let rows = plan.query_map([], |row| row.get::<_, String>(3))?;
                plans.push((query, rows.collect::<Result<Vec<_>, _>>()?.join("; ")));
            }
            Ok(plans)
        });
        for (query, plan) in plans.await.unwrap() {
            assert!(!plan.contains("SCAN"), "{query}: {plan}");
        }
    }
}
