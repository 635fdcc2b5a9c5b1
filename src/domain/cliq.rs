//! The Cliq side: users as Cliq lists them, how they are told apart, and a complete listing.

use super::email::Email;
use super::ids::{CliqId, Zuid};
use super::index::Index;
use super::shared::Shared;

/// Where a Cliq row stands, from its `status` or from the pass that listed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A working account: the person has joined.
    Active,
    /// Invited, not yet joined.
    Pending,
    /// Blocked by an administrator, by Zoho or by the bridge: "restricted".
    Inactive,
    /// Not said, or said in words the contract does not have.
    Unknown,
}

/// A person in one organization's Cliq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliqUser {
    /// Cliq's id of the row.
    pub id: CliqId,
    /// Zoho account id.
    pub zuid: Option<Zuid>,
    /// Address, when it is one.
    pub email: Option<Email>,
    /// The Zoho-wide organization of the person's account.
    pub zoid: Option<Shared>,
    /// The Cliq organization of the person's account.
    pub organization_id: Option<Shared>,
    /// Undocumented number seen in live answers; counts only with configured values.
    pub user_type: Option<Shared>,
    /// Where the row stands.
    pub presence: Presence,
}

/// Whether a Cliq row is one of the organization's own people (R6, R29).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One of the organization's own: out of bounds for every write.
    Internal,
    /// An external user.
    External,
    /// Cannot be told: treated as internal.
    Unknown,
}

/// Every user of one organization's Cliq, complete by construction.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// In the order of their ids.
    users: Vec<CliqUser>,
    by_account: Index,
    by_email: Index,
    pages: usize,
}

impl Directory {
    /// Builds the directory from the rows of all finished passes. A row listed by several passes
    /// is one row; the later pass's presence wins when it is known.
    pub fn complete(mut users: Vec<CliqUser>, pages: usize) -> Self {
        // Stable: rows of one id stay in the order of the passes.
        users.sort_by(|one, other| one.id.cmp(&other.id));
        users.dedup_by(|later, kept| {
            let same = later.id == kept.id;
            if same && later.presence != Presence::Unknown {
                std::mem::swap(later, kept);
            }
            same
        });
        users.shrink_to_fit();
        let by_account = Index::of(&users, account);
        let by_email = Index::of(&users, address);
        Self { users, by_account, by_email, pages }
    }

    /// The row with this id.
    pub fn get(&self, id: &CliqId) -> Option<&CliqUser> {
        self.by_id(id.as_str())
    }

    fn by_id(&self, id: &str) -> Option<&CliqUser> {
        let at = self.users.binary_search_by(|user| user.id.as_str().cmp(id)).ok()?;
        self.users.get(at)
    }

    /// The row whose zuid or id is this account.
    pub fn by_zuid(&self, zuid: &Zuid) -> Option<&CliqUser> {
        let found = self.by_account.find(&self.users, zuid.as_str(), account).next_back();
        found.or_else(|| self.by_id(zuid.as_str()))
    }

    /// All rows with this address; more than one is a conflict.
    pub fn by_email(&self, email: &Email) -> Vec<&CliqUser> {
        self.by_email.find(&self.users, email.as_str(), address).collect()
    }

    /// All rows, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &CliqUser> {
        self.users.iter()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether the listing has no row.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many pages were read, over all passes.
    pub fn pages(&self) -> usize {
        self.pages
    }
}

fn account(user: &CliqUser) -> Option<&str> {
    user.zuid.as_ref().map(Zuid::as_str)
}

fn address(user: &CliqUser) -> Option<&str> {
    user.email.as_ref().map(Email::as_str)
}
