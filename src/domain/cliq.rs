//! The Cliq side: users as Cliq lists them, how they are told apart, and a complete listing.

use std::collections::BTreeMap;

use super::email::Email;
use super::ids::{CliqId, Zuid};

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
    pub zoid: Option<String>,
    /// The Cliq organization of the person's account.
    pub organization_id: Option<String>,
    /// Undocumented number seen in live answers; counts only with configured values.
    pub user_type: Option<String>,
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
    users: BTreeMap<CliqId, CliqUser>,
    by_zuid: BTreeMap<Zuid, CliqId>,
    by_email: BTreeMap<Email, Vec<CliqId>>,
    pages: usize,
}

impl Directory {
    /// Builds the directory from the rows of all finished passes. A row listed by several passes
    /// is one row; the later pass's presence wins when it is known.
    pub fn complete(rows: Vec<CliqUser>, pages: usize) -> Self {
        let mut directory = Self { pages, ..Self::default() };
        for row in rows {
            match directory.users.get_mut(&row.id) {
                Some(seen) if row.presence != Presence::Unknown => *seen = row,
                Some(_) => {}
                None => {
                    directory.users.insert(row.id.clone(), row);
                }
            }
        }
        for user in directory.users.values() {
            if let Some(zuid) = &user.zuid {
                directory.by_zuid.insert(zuid.clone(), user.id.clone());
            }
            if let Some(email) = &user.email {
                directory.by_email.entry(email.clone()).or_default().push(user.id.clone());
            }
        }
        directory
    }

    /// The row with this id.
    pub fn get(&self, id: &CliqId) -> Option<&CliqUser> {
        self.users.get(id)
    }

    /// The row whose zuid or id is this account.
    pub fn by_zuid(&self, zuid: &Zuid) -> Option<&CliqUser> {
        self.by_zuid
            .get(zuid)
            .and_then(|id| self.users.get(id))
            .or_else(|| self.users.get(&CliqId::new(zuid.as_str())))
    }

    /// All rows with this address; more than one is a conflict.
    pub fn by_email(&self, email: &Email) -> Vec<&CliqUser> {
        self.by_email
            .get(email)
            .map(|ids| ids.iter().filter_map(|id| self.users.get(id)).collect())
            .unwrap_or_default()
    }

    /// All rows, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &CliqUser> {
        self.users.values()
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
