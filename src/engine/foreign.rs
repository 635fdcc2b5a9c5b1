//! External rows of Cliq that are foreign to the ledger: counted in every plan over everybody, listed,
//! and never touched.
//!
//! Deliberately absent: any way from here to the outbox.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::facts::Sides;
use super::subscription::Refused;
use super::{Engine, Host};
use crate::domain::plan::{Foreign, ForeignRow};
use crate::domain::{Class, CliqId, CliqUser, Email, Membership, Presence, Zuid};
use crate::logic::plan::classify;
use crate::store::{StoreError, foreign};

/// Rows kept of one organization; all are counted. More than this nobody reads through.
const KEPT_MAX: usize = 10_000;

/// Rows shown with a plan or a run; the list has the others.
pub(super) const SHOWN_MAX: usize = 20;

/// The Cliq rows that stand for a membership: by the remembered id, the account or the address.
pub(super) fn rows_of(sides: &Sides, row: &Membership) -> impl Iterator<Item = CliqId> {
    let directory = &sides.directory;
    let by_id = row.cliq_id.as_ref().and_then(|id| directory.get(id));
    let by_account = row.zuid.as_ref().and_then(|zuid| directory.by_zuid(zuid));
    let addresses = [Some(&row.email), row.invited_as.as_ref()].into_iter().flatten();
    let by_address = addresses.flat_map(|email| directory.by_email(email));
    let all = by_id.into_iter().chain(by_account).chain(by_address);
    all.map(|row| row.id.clone()).collect::<Vec<_>>().into_iter()
}

/// Of a complete listing: the external rows that are not among those of the ledger.
pub(super) fn of(host: &Host, sides: &Sides, ledgers: &BTreeSet<CliqId>) -> Foreign {
    let mut foreign = Foreign::default();
    for row in sides.directory.iter() {
        if ledgers.contains(&row.id) || classify(&host.policy, row) != Class::External {
            continue;
        }
        foreign.count += 1;
        if foreign.rows.len() < KEPT_MAX {
            foreign.rows.push(shown(row));
        }
    }
    foreign
}

fn shown(row: &CliqUser) -> ForeignRow {
    let status = match row.presence {
        Presence::Active => "active",
        Presence::Pending => "pending",
        Presence::Inactive => "inactive",
        Presence::Unknown => "unknown",
    };
    ForeignRow {
        cliq_id: row.id.clone(),
        zuid: row.zuid.as_ref().map(Zuid::as_str).map(str::to_owned),
        email: row.email.as_ref().map(Email::as_str).map(str::to_owned),
        status: status.into(),
    }
}

/// As a plan and a run show them.
pub(super) fn view(foreign: &Foreign) -> Value {
    let rows: Vec<Value> = foreign.rows.iter().take(SHOWN_MAX).map(row_view).collect();
    json!({ "count": foreign.count, "rows": rows })
}

fn row_view(row: &ForeignRow) -> Value {
    json!({
        "cliq_user_id": row.cliq_id.as_str(), "email": row.email, "zuid": row.zuid,
        "status": row.status,
    })
}

impl Engine {
    /// Keeps what a run over everybody saw, if it is news.
    pub(super) async fn note_foreign(&self, host: &Host, seen: &Foreign) -> Result<(), StoreError> {
        let (id, seen) = (host.id().clone(), seen.clone());
        let (organization, count) = (id.clone(), seen.count);
        let difference = self.inner.store.read(move |tx| foreign::compare(tx, &id, &seen)).await?;
        if difference.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.inner
            .store
            .write("note foreign rows", move |tx| {
                foreign::note(tx, &organization, &difference, count, now)
            })
            .await
    }

    /// A page of the organization's foreign rows, each with its place in the list; and how many there
    /// are in all.
    ///
    /// # Errors
    /// [`Refused::Missing`] for an unknown organization.
    pub async fn foreign(
        &self,
        organization: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<(i64, Value)>, usize), Refused> {
        let id = self.named_host(organization)?.id().clone();
        let page = self.inner.store.read(move |tx| {
            let rows = foreign::list(tx, &id, after, limit)?.into_iter().map(|listed| {
                let mut view = row_view(&listed.row);
                view["first_seen_at"] = listed.first_at.to_rfc3339().into();
                (listed.id, view)
            });
            Ok((rows.collect(), foreign::count(tx, &id)?))
        });
        Ok(page.await?)
    }
}
