//! Reading both sides: one person by single calls, or everybody by one complete listing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::channels::MemberLists;
use super::{Engine, Host};
use crate::domain::{
    CrmUser, CrmUserId, Directory, Email, Membership, Presence, Roster, Timestamp,
};
use crate::logic::plan::doubles;
use crate::store::{StoreError, ledger};
use crate::zoho::cliq::Paid;
use crate::zoho::{CallError, Priority};

/// Pages of a CRM listing and of the Cliq passes of an organization never listed before.
const UNKNOWN_CRM_PAGES: u32 = 1;
const UNKNOWN_CLIQ_PAGES: u32 = 3;

/// Pauses before a listing that contradicted itself is tried again, and once more.
const LISTING_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// What was read of one person or of all.
pub(super) struct Sides {
    /// Every CRM user, or the one that was read.
    pub(super) roster: Roster,
    /// Every Cliq user, or the few that can be the one.
    pub(super) directory: Directory,
    /// Whether both listings are complete, so that silence in them means something.
    pub(super) complete: bool,
    /// CRM users who share a person with another active one (G9).
    pub(super) doubles: BTreeSet<CrmUserId>,
    /// Who has a paid licence, where that is looked at.
    pub(super) paid: Option<Paid>,
    /// Complete member lists of mapped channels, where a run has read them.
    pub(super) members: MemberLists,
    /// When reading began: what was changed since may not show.
    pub(super) begun_at: Timestamp,
}

impl Sides {
    fn of(roster: Roster, directory: Directory, begun_at: Timestamp) -> Self {
        let (doubles, members) = (doubles(&roster), MemberLists::default());
        Self { roster, directory, complete: true, doubles, paid: None, members, begun_at }
    }

    fn one(user: Option<CrmUser>, directory: Directory, begun_at: Timestamp) -> Arc<Self> {
        let roster = Roster::complete(user.into_iter().collect(), 1).unwrap_or_default();
        Arc::new(Self { complete: false, ..Self::of(roster, directory, begun_at) })
    }

    /// Nobody was looked at.
    pub(super) fn nobody(now: Timestamp) -> Self {
        Self { complete: false, ..Self::of(Roster::default(), Directory::default(), now) }
    }
}

/// Why a read gave nothing to go by.
pub(super) enum ReadError {
    /// The outside failed.
    Call(CallError),
    /// CRM lists nobody at all: out of bounds, whatever its status says (I7, G12). So is a Cliq that
    /// lists nobody and did before.
    Empty(&'static str),
    /// The store failed.
    Store(StoreError),
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether one complete listing is cheaper than two reads for each of `k` people (design section
/// 11, "Burst").
pub(super) fn listing_is_cheaper(
    k: usize,
    crm_pages: Option<u32>,
    cliq_pages: Option<u32>,
) -> bool {
    let pages = crm_pages.unwrap_or(UNKNOWN_CRM_PAGES) + cliq_pages.unwrap_or(UNKNOWN_CLIQ_PAGES);
    2 * k > usize::try_from(pages).unwrap_or(usize::MAX)
}

impl Engine {
    /// Lists both sides completely and notes the snapshot.
    pub(super) async fn list(
        &self,
        host: &Host,
        priority: Priority,
    ) -> Result<Arc<Sides>, ReadError> {
        let begun_at = self.now();
        let roster = self.thrice(|| host.crm.users(priority)).await?;
        if roster.is_empty() {
            return Err(ReadError::Empty("CRM lists no user at all"));
        }
        let passes = host.passes();
        let directory = self.thrice(|| host.cliq.directory(passes, priority)).await?;
        if directory.is_empty() {
            let id = host.id().clone();
            if self.inner.store.read(move |tx| ledger::any_seen(tx, &id)).await? {
                return Err(ReadError::Empty("Cliq lists no user at all, and did before"));
            }
        }
        let mut sides = Sides::of(roster, directory, begun_at);
        if self.looks_at_licences(host).await? {
            sides.paid = Some(self.thrice(|| host.cliq.paid(priority)).await?);
        }
        Ok(Arc::new(sides))
    }

    /// Tries a listing again whose pages shifted while they were read; other failures of a page were
    /// tried three times already.
    async fn thrice<T, F>(&self, listing: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        for pause in LISTING_PAUSES {
            match listing().await {
                Err(CallError::Incomplete { .. }) => {
                    self.inner.clock.wait_until(self.now() + pause).await;
                }
                done => return done,
            }
        }
        listing().await
    }

    /// Reads one person: the CRM row, then the Cliq row by the remembered id, else by the zuid,
    /// else by address.
    pub(super) async fn look_at(
        &self,
        host: &Host,
        user: &CrmUserId,
    ) -> Result<Arc<Sides>, ReadError> {
        let begun_at = self.now();
        let Some(row) = host.crm.user(user).await? else {
            return Ok(Sides::one(None, Directory::default(), begun_at));
        };
        let directory = self.find_in_cliq(host, &row).await?;
        Ok(Sides::one(Some(row), directory, begun_at))
    }

    async fn find_in_cliq(&self, host: &Host, user: &CrmUser) -> Result<Directory, ReadError> {
        let (organization, id) = (host.id().clone(), user.id.clone());
        let known: Option<Membership> =
            self.inner.store.read(move |tx| ledger::by_user(tx, &organization, &id)).await?;
        let invited = known.as_ref().and_then(|row| row.invited_as.clone());
        let remembered = known.and_then(|row| row.cliq_id).map(|id| id.to_string());
        let zuid = user.zuid.as_ref().map(ToString::to_string);
        let named = remembered.is_some() || zuid.is_some();
        let mut rows = Vec::new();
        let second = zuid.clone().filter(|_| remembered.is_some() && remembered != zuid);
        for id in remembered.or(zuid).into_iter().chain(second) {
            if let Some(row) = host.cliq.user(&id).await? {
                rows.push(row);
                break;
            }
        }
        // A single row need not say whether the account works (contract section 2.1); a search
        // with `fields=all` does.
        let silent = rows.iter().any(|row| row.presence == Presence::Unknown);
        if silent || !named {
            let addresses: Vec<&Email> = user.email.iter().chain(&invited).collect();
            rows.extend(host.cliq.search_any(&addresses).await?);
        }
        Ok(Directory::complete(rows, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::listing_is_cheaper;

    #[test]
    fn three_hints_of_an_organization_never_listed_are_served_by_one_listing() {
        assert!(!listing_is_cheaper(2, None, None));
        assert!(listing_is_cheaper(3, None, None));
        assert!(!listing_is_cheaper(30, Some(50), Some(102)));
    }
}
