//! What is known of each organization beside its people: subscription, sizes, quarantine, and who
//! was there before the bridge.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx};
use crate::domain::policy::{OrgState, Quarantine};
use crate::domain::{CrmUserId, OrgId, Roster, RunId, Subscription, Timestamp, Zuid};

/// Longest time between two probes of a quarantined organization.
pub const PROBE_MAX: Duration = Duration::from_mins(15);
/// For the claims: the organization of an outbox row is not in quarantine.
pub(super) const NOT_FROZEN: &str = "NOT EXISTS (SELECT 1 FROM organizations
     WHERE organizations.id = actions.organization AND quarantined_at IS NOT NULL)";

/// The organization's state; the default for one never seen.
pub fn state(tx: &Tx<'_>, organization: &OrgId) -> Result<OrgState, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT subscription, first_snapshot_at, crm_pages, cliq_pages, quarantined_at,
                    quarantine_cause, wants_listing FROM organizations WHERE id = ?1",
        )?
        .query_row([organization.as_str()], |row| {
            let since: Option<i64> = row.get(4)?;
            let cause: Option<String> = row.get(5)?;
            let wants_listing = row.get(6)?;
            Ok(OrgState {
                subscription: Subscription::from_word(&row.get::<_, String>(0)?),
                first_snapshot_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                crm_pages: row.get(2)?,
                cliq_pages: row.get(3)?,
                quarantined: since.map(|since| Quarantine {
                    since: Timestamp(since),
                    cause: cause.unwrap_or_default(),
                    wants_listing,
                }),
            })
        })
        .optional()?
        .unwrap_or_default())
}

pub(super) fn ensure(tx: &Tx<'_>, organization: &OrgId) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("INSERT INTO organizations(id) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([organization.as_str()])?;
    Ok(())
}

/// Notes a complete listing of both sides. The first one is the baseline: who is in it was there
/// before the bridge. `begun_at` is when it began to read.
pub fn note_snapshot(
    tx: &Tx<'_>,
    organization: &OrgId,
    roster: &Roster,
    cliq_pages: usize,
    begun_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    ensure(tx, organization)?;
    if state(tx, organization)?.first_snapshot_at.is_none() {
        let mut insert = tx.sql().prepare_cached(
            "INSERT INTO baseline(organization, crm_user_id) VALUES (?1, ?2)
                                     ON CONFLICT DO NOTHING",
        )?;
        for user in roster.iter() {
            insert.execute([organization.as_str(), user.id.as_str()])?;
        }
    }
    let pages = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    tx.sql().execute(
        "UPDATE organizations SET first_snapshot_at = coalesce(first_snapshot_at, ?2),
                crm_pages = ?3, cliq_pages = ?4, listed_at = max(coalesce(listed_at, 0), ?5)
         WHERE id = ?1",
        params![
            organization.as_str(),
            now.millis(),
            pages(roster.pages()),
            pages(cliq_pages),
            begun_at.millis()
        ],
    )?;
    Ok(())
}

/// Whether a complete listing was begun after `at`. What lies after `now` was noted under a clock that
/// was set back since, and says nothing.
pub fn was_listed_since(
    tx: &Tx<'_>,
    organization: &OrgId,
    at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM organizations WHERE id = ?1 AND listed_at > ?2 AND listed_at <= ?3",
        )?
        .exists(params![organization.as_str(), at.millis(), now.millis()])?)
}

/// Notes that these organizations are ours. The first time counts.
pub fn know(tx: &Tx<'_>, ours: &[OrgId], now: Timestamp) -> Result<(), StoreError> {
    let mut note = tx.sql().prepare_cached(
        "INSERT INTO organizations(id, known_at) VALUES (?1, ?2)
         ON CONFLICT(id) DO UPDATE SET known_at = coalesce(known_at, excluded.known_at)",
    )?;
    for organization in ours {
        note.execute(params![organization.as_str(), now.millis()])?;
    }
    Ok(())
}

/// Since when the organization is one of ours; `None` of one that no start has had yet.
pub fn known_at(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<Timestamp>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT known_at FROM organizations WHERE id = ?1")?
        .query_row([organization.as_str()], |row| row.get::<_, Option<i64>>(0))
        .optional()?
        .flatten()
        .map(Timestamp))
}

/// Takes what an alarm counts from for noted now, where it lies ahead: the clock was set back since, and
/// nobody waits for the old time to come again.
pub fn heed_clock(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE organizations SET good_run_at = min(good_run_at, ?2),
                    known_at = min(known_at, ?2)
             WHERE id = ?1 AND (good_run_at > ?2 OR known_at > ?2)",
        )?
        .execute(params![organization.as_str(), now.millis()])?;
    Ok(())
}

/// The same of what is known of people: graces, invitations and removals. What limits count stays as it
/// is, which counts too much at worst.
pub fn heed_clock_of_people(
    tx: &Tx<'_>,
    organization: &OrgId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE memberships SET since = min(since, ?2), suspected_at = min(suspected_at, ?2),
                    absent_since = min(absent_since, ?2), unseen_since = min(unseen_since, ?2),
                    invited_at = min(invited_at, ?2)
             WHERE organization = ?1
               AND max(since, coalesce(suspected_at, 0), coalesce(absent_since, 0),
                       coalesce(unseen_since, 0), coalesce(invited_at, 0)) > ?2",
        )?
        .execute(params![organization.as_str(), now.millis()])?;
    tx.sql()
        .prepare_cached(
            "UPDATE guests SET since = min(since, ?2), invited_at = min(invited_at, ?2),
                    unseen_since = min(unseen_since, ?2)
             WHERE organization = ?1
               AND max(since, coalesce(invited_at, 0), coalesce(unseen_since, 0)) > ?2",
        )?
        .execute(params![organization.as_str(), now.millis()])?;
    Ok(())
}

/// Notes that a run, if it is one over everybody, has come to its plan.
pub fn note_good_run(tx: &Tx<'_>, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached(
            "UPDATE organizations SET good_run_at = ?2,
               clock_waits = CASE WHEN quarantined_at IS NULL THEN 0 ELSE clock_waits END,
               good_run_took =
               (SELECT max(0, ?2 - started_at) FROM runs WHERE id = ?1)
             WHERE id = (SELECT organization FROM runs WHERE id = ?1 AND person IS NULL)",
        )?
        .execute(params![run.0, now.millis()])?;
    Ok(())
}

/// When a run over everybody last came to its plan, and how long that took.
pub fn good_run(
    tx: &Tx<'_>,
    organization: &OrgId,
) -> Result<Option<(Timestamp, Duration)>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT good_run_at, coalesce(good_run_took, 0) FROM organizations
             WHERE id = ?1 AND good_run_at IS NOT NULL",
        )?
        .query_row([organization.as_str()], |row| {
            let took = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok((Timestamp(row.get(0)?), Duration::from_millis(took)))
        })
        .optional()?)
}

/// Whether a run over the whole organization was ever carried out.
pub fn had_a_run(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM organizations WHERE id = ?1 AND first_run_at IS NOT NULL")?
        .exists([organization.as_str()])?)
}

/// Notes that a run over the whole organization is carried out.
pub fn note_run(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET first_run_at = coalesce(first_run_at, ?2) WHERE id = ?1",
        params![organization.as_str(), now.millis()],
    )?;
    Ok(())
}

/// A checksum of the settings that an operator approved; `None` before any were seen.
pub fn approved_scope(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<String>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT approved_scope FROM organizations WHERE id = ?1")?
        .query_row([organization.as_str()], |row| row.get(0))
        .optional()?
        .flatten())
}

/// Notes which settings are approved.
pub fn approve_scope(tx: &Tx<'_>, organization: &OrgId, seen: &str) -> Result<(), StoreError> {
    ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET approved_scope = ?2 WHERE id = ?1",
        [organization.as_str(), seen],
    )?;
    Ok(())
}

/// Whether this CRM user was in the first complete snapshot.
pub fn in_baseline(
    tx: &Tx<'_>,
    organization: &OrgId,
    user: &CrmUserId,
) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM baseline WHERE organization = ?1 AND crm_user_id = ?2")?
        .exists([organization.as_str(), user.as_str()])?)
}

/// Puts the organization into quarantine until the next probe. True if it was not in it before. One that
/// seems to begin in the future began under a clock that was set back since: it begins now.
pub fn quarantine(
    tx: &Tx<'_>,
    organization: &OrgId,
    (cause, wants_listing): (&str, bool),
    probe_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    ensure(tx, organization)?;
    let fresh = state(tx, organization)?.quarantined.is_none();
    tx.sql().execute(
        "UPDATE organizations SET quarantined_at = min(coalesce(quarantined_at, ?2), ?2),
                quarantine_cause = ?3, probe_at = ?4, wants_listing = max(wants_listing, ?5),
                clock_waits = 1
         WHERE id = ?1",
        params![organization.as_str(), now.millis(), cause, probe_at.millis(), wants_listing],
    )?;
    Ok(fresh)
}

/// Whether reminders and expiry wait: for a quarantine to end, and then for a run that has seen who has
/// joined meanwhile.
pub fn clock_waits(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM organizations WHERE id = ?1 AND clock_waits = 1")?
        .exists([organization.as_str()])?)
}

/// Lets every quarantined organization be asked at once: at a start, its credentials may be new.
pub fn probe_all(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE organizations SET probe_at = min(probe_at, ?1) WHERE quarantined_at IS NOT NULL",
        [now.millis()],
    )?;
    tx.sql().execute(
        "UPDATE hints SET next_at = min(next_at, ?1) WHERE looks = 0 AND organization IN
           (SELECT id FROM organizations WHERE quarantined_at IS NOT NULL)",
        [now.millis()],
    )?;
    Ok(())
}

/// Whether the organization is in quarantine: what is known of it may be of yesterday.
pub fn is_frozen(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM organizations WHERE id = ?1 AND quarantined_at IS NOT NULL")?
        .exists([organization.as_str()])?)
}

/// When a quarantined organization may be asked again; `None` when it is not quarantined. A time farther
/// ahead than [`PROBE_MAX`] was noted before the clock was set back: it is over.
pub fn probe_at(
    tx: &Tx<'_>,
    organization: &OrgId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let noted = tx
        .sql()
        .prepare_cached(
            "SELECT probe_at FROM organizations WHERE id = ?1 AND quarantined_at IS NOT NULL",
        )?
        .query_row([organization.as_str()], |row| row.get::<_, Option<i64>>(0))
        .optional()?
        .flatten()
        .map(Timestamp);
    Ok(noted.map(|at| if at > now + PROBE_MAX { now } else { at }))
}

/// Notes a read that worked, of one person or of everybody. True if that ended a quarantine.
pub fn good_read(
    tx: &Tx<'_>,
    organization: &OrgId,
    of_all: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    ensure(tx, organization)?;
    let frozen = state(tx, organization)?.quarantined;
    if frozen.as_ref().is_some_and(|frozen| frozen.wants_listing && !of_all) {
        return Ok(false);
    }
    let was = frozen.is_some();
    tx.sql()
        .prepare_cached(
            "UPDATE organizations SET quarantined_at = NULL, quarantine_cause = NULL,
                    wants_listing = 0, probe_at = NULL, last_good_read_at = ?2, failed_reads = 0,
                    failing_since = NULL WHERE id = ?1",
        )?
        .execute(params![organization.as_str(), now.millis()])?;
    Ok(was)
}

/// Notes a read that failed. Answers how many did in a row, and since when: never since a time that lies
/// ahead, noted before the clock was set back.
pub fn failed_read(
    tx: &Tx<'_>,
    organization: &OrgId,
    now: Timestamp,
) -> Result<(u32, Timestamp), StoreError> {
    ensure(tx, organization)?;
    Ok(tx
        .sql()
        .prepare_cached(
            "UPDATE organizations SET failed_reads = failed_reads + 1,
                    failing_since = min(coalesce(failing_since, ?2), ?2) WHERE id = ?1
             RETURNING failed_reads, failing_since",
        )?
        .query_row(params![organization.as_str(), now.millis()], |row| {
            Ok((row.get(0)?, Timestamp(row.get(1)?)))
        })?)
}

/// The zuid of our own user in the organization, as last asked for; `None` when CRM did not tell it.
pub fn own_zuid(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<String>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT own_zuid FROM organizations WHERE id = ?1")?
        .query_row([organization.as_str()], |row| row.get(0))
        .optional()?
        .flatten())
}

/// Remembers the zuid of our own user, for as long as the process has these credentials.
pub fn set_own_zuid(
    tx: &Tx<'_>,
    organization: &OrgId,
    zuid: Option<&Zuid>,
) -> Result<(), StoreError> {
    ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET own_zuid = ?2 WHERE id = ?1",
        params![organization.as_str(), zuid.map(Zuid::as_str)],
    )?;
    Ok(())
}
