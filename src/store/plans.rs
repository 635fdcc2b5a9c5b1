//! The plans of each organization: its subscription, what CRM's licence details said of it, and the
//! paid seats of its Cliq.
//!
//! Deliberately absent: what follows from a plan; `logic::access` decides that.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, Tx, orgs};
use crate::domain::{OrgId, Subscription, Timestamp};

/// What is known of an organization's plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plans {
    /// The CRM Plus subscription that is gone by.
    pub subscription: Subscription,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The first `paid_type` seen; active where the configuration names none.
    pub first_paid_type: Option<String>,
    /// The newest `paid_type`.
    pub paid_type: Option<String>,
    /// The newest `users_license_purchased`.
    pub crm_licences: Option<u32>,
    /// When CRM's licence details were last read.
    pub read_at: Option<Timestamp>,
    /// What the last reads said that said anything.
    pub read: Option<Subscription>,
    /// How many of them agree, the newest counted back.
    pub reads: u32,
    /// An operator has confirmed the downgrade.
    pub approved: bool,
    /// Paid seats of its Cliq: as last listed, and given since.
    pub seats_used: Option<u32>,
    /// Seats in use when the portal said that none is left, and the pool configured then.
    pub seats_learnt: Option<(u32, Option<u32>)>,
}

/// The organization's plans; nothing known for one never seen.
pub fn of(tx: &Tx<'_>, organization: &OrgId) -> Result<Plans, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT subscription, subscription_since, first_paid_type, paid_type, crm_licences,
                    plan_read_at, plan_read, plan_reads, downgrade_approved, seats_used,
                    seats_learnt, seats_configured FROM organizations WHERE id = ?1",
        )?
        .query_row([organization.as_str()], |row| {
            let time = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
                Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
            };
            let read: Option<String> = row.get("plan_read")?;
            let configured = row.get("seats_configured")?;
            Ok(Plans {
                subscription: Subscription::from_word(&row.get::<_, String>("subscription")?),
                since: time("subscription_since")?,
                first_paid_type: row.get("first_paid_type")?,
                paid_type: row.get("paid_type")?,
                crm_licences: row.get("crm_licences")?,
                read_at: time("plan_read_at")?,
                read: read.map(|word| Subscription::from_word(&word)),
                reads: row.get("plan_reads")?,
                approved: row.get("downgrade_approved")?,
                seats_used: row.get("seats_used")?,
                seats_learnt: row
                    .get::<_, Option<u32>>("seats_learnt")?
                    .map(|seats| (seats, configured)),
            })
        })
        .optional()?
        .unwrap_or_default())
}

/// Sets the CRM Plus subscription as of `at`. Answers what it was, or `None` when something newer is
/// known already and this came late.
///
/// A change takes an approved downgrade with it, and reads that said otherwise: what contradicts the
/// new state has to be read anew. Whoever had a paid licence when a downgrade begins may be given
/// one once more by the policy list (R18).
pub fn set_subscription(
    tx: &Tx<'_>,
    organization: &OrgId,
    subscription: Subscription,
    at: Timestamp,
) -> Result<Option<Subscription>, StoreError> {
    orgs::ensure(tx, organization)?;
    let before = of(tx, organization)?.subscription;
    let changed = tx.sql().execute(
        "UPDATE organizations SET
           plan_reads = CASE WHEN plan_read IS ?2 THEN plan_reads ELSE 0 END,
           downgrade_approved = CASE WHEN subscription = ?2 THEN downgrade_approved ELSE 0 END,
           subscription_since = CASE WHEN subscription = ?2 THEN subscription_since ELSE ?3 END,
           subscription = ?2, subscription_at = ?3
         WHERE id = ?1 AND (subscription_at IS NULL OR subscription_at <= ?3)",
        params![organization.as_str(), subscription.as_str(), at.millis()],
    )?;
    if changed == 1 && before != subscription && subscription == Subscription::Downgraded {
        tx.sql().execute(
            "UPDATE memberships SET licence_given = 0
             WHERE organization = ?1 AND licence = 'paid' AND licence_given = 1",
            [organization.as_str()],
        )?;
    }
    Ok((changed == 1).then_some(before))
}

/// A finished read of CRM's licence details.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// `paid_type`
    pub paid_type: Option<&'a str>,
    /// `users_license_purchased`
    pub licences: Option<u32>,
    /// What that means; `Unknown` says nothing and counts for nothing.
    pub says: Subscription,
    /// The type to remember as the first one seen.
    pub first: Option<&'a str>,
}

/// Notes a read. Answers how many of the newest reads agree with it.
pub fn note_reading(
    tx: &Tx<'_>,
    organization: &OrgId,
    reading: &Reading<'_>,
    now: Timestamp,
) -> Result<u32, StoreError> {
    orgs::ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET plan_read_at = ?2, paid_type = coalesce(?3, paid_type),
                crm_licences = coalesce(?4, crm_licences),
                first_paid_type = coalesce(first_paid_type, ?5) WHERE id = ?1",
        params![
            organization.as_str(),
            now.millis(),
            reading.paid_type,
            reading.licences,
            reading.first
        ],
    )?;
    if reading.says != Subscription::Unknown {
        tx.sql().execute(
            "UPDATE organizations SET plan_read = ?2,
                    plan_reads = CASE WHEN plan_read IS ?2 THEN plan_reads + 1 ELSE 1 END
             WHERE id = ?1",
            [organization.as_str(), reading.says.as_str()],
        )?;
    }
    Ok(of(tx, organization)?.reads)
}

/// Asks for a read of CRM's licence details before the schedule's next one.
pub fn ask_reading(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<(), StoreError> {
    orgs::ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET plan_asked_for = ?2 WHERE id = ?1",
        params![organization.as_str(), now.millis()],
    )?;
    Ok(())
}

/// When one is to be made, if one is asked for: always of an organization that was never read, for what
/// is seen first is what a downgrade is told by.
pub fn reading_asked(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<Timestamp>, StoreError> {
    let asked = tx
        .sql()
        .prepare_cached("SELECT plan_asked_for FROM organizations WHERE id = ?1")?
        .query_row([organization.as_str()], |row| row.get::<_, Option<i64>>(0))
        .optional()?;
    Ok(asked.unwrap_or(Some(0)).map(Timestamp))
}

/// The reading that was asked for then has been made, or is to be made later; unless it was asked for
/// anew meanwhile.
pub fn had_its_reading(
    tx: &Tx<'_>,
    organization: &OrgId,
    asked: Timestamp,
    again: Option<Timestamp>,
) -> Result<(), StoreError> {
    orgs::ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET plan_asked_for = ?3 WHERE id = ?1 AND plan_asked_for = ?2",
        params![organization.as_str(), asked.millis(), again.map(Timestamp::millis)],
    )?;
    Ok(())
}

/// An operator confirms the downgrade. False if that was done before.
pub fn approve_downgrade(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    let changed = tx.sql().execute(
        "UPDATE organizations SET downgrade_approved = 1 WHERE id = ?1 AND downgrade_approved = 0",
        [organization.as_str()],
    )?;
    Ok(changed == 1)
}

/// Notes how many paid seats a complete listing shows.
pub fn note_seats(tx: &Tx<'_>, organization: &OrgId, used: u32) -> Result<(), StoreError> {
    orgs::ensure(tx, organization)?;
    tx.sql().execute(
        "UPDATE organizations SET seats_used = ?2 WHERE id = ?1",
        params![organization.as_str(), used],
    )?;
    Ok(())
}

/// Counts a seat that was just taken (+1) or given back (-1), until the next listing.
pub fn change_seats(tx: &Tx<'_>, organization: &OrgId, by: i32) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE organizations SET seats_used = max(0, seats_used + ?2) WHERE id = ?1",
        params![organization.as_str(), by],
    )?;
    Ok(())
}

/// The portal says that no seat is left: as many as are in use now are all there are, until the
/// configured pool is another or a licence could be assigned after all.
pub fn learn_seats(
    tx: &Tx<'_>,
    organization: &OrgId,
    configured: Option<u32>,
) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE organizations SET seats_learnt = coalesce(seats_used, 0), seats_configured = ?2
         WHERE id = ?1",
        params![organization.as_str(), configured],
    )?;
    Ok(())
}

/// A licence could be assigned: there are more seats than was learnt.
pub fn forget_learnt_seats(tx: &Tx<'_>, organization: &OrgId) -> Result<(), StoreError> {
    tx.sql().execute(
        "UPDATE organizations SET seats_learnt = NULL, seats_configured = NULL
         WHERE id = ?1 AND seats_used > seats_learnt",
        [organization.as_str()],
    )?;
    Ok(())
}
