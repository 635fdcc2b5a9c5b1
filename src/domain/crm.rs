//! The CRM side: users as CRM lists them, and a listing that is complete by construction.

use std::collections::BTreeMap;

use super::email::Email;
use super::ids::{CrmUserId, Zuid};
use super::time::Timestamp;

/// What CRM says of a user's account (contract section 3.1, design section 11 "Identity").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `active`.
    Active,
    /// `disabled`, `inactive`, `deleted` or `closed`, in any case: positive evidence of leaving.
    NotActive(String),
    /// Any other word, or no word: no write follows from it (I30).
    Unknown(String),
}

/// One row of an organization's CRM user list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmUser {
    /// The stable key.
    pub id: CrmUserId,
    /// Zoho account id; absent until the user has confirmed.
    pub zuid: Option<Zuid>,
    /// The address, when it is one; a tombstone-shaped or malformed value is `None` (I17).
    pub email: Option<Email>,
    /// Given name, as CRM has it.
    pub first_name: String,
    /// Family name, as CRM has it.
    pub last_name: String,
    /// Account status.
    pub standing: Standing,
    /// Whether the user confirmed the CRM Plus invitation; `None` if CRM did not say.
    pub confirmed: Option<bool>,
    /// `category`; only `regular_user` is in scope. `None` if CRM did not say.
    pub category: Option<String>,
    /// Profile name, for scope rules.
    pub profile: Option<String>,
    /// Role name, for scope rules. Never mapped onto Cliq (R24, R25).
    pub role: Option<String>,
    /// Name of who created the user: the "who invited you" of a letter.
    pub created_by: Option<String>,
    /// IANA time zone name, if CRM has one.
    pub time_zone: Option<String>,
    /// Language tag, such as `en_US`.
    pub language: Option<String>,
    /// When CRM last changed the row; the version of the evidence.
    pub modified_at: Option<Timestamp>,
}

impl CrmUser {
    /// First and last name joined, or an empty text.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

/// Every user of one organization's CRM. It can be made only from a finished listing (rule 5 of
/// the design), so its silence about somebody means something.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    users: BTreeMap<CrmUserId, CrmUser>,
    pages: usize,
}

/// The same id came twice in one listing: pages shifted while they were read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the listing shows {0} twice: its pages shifted while they were read")]
pub struct Repeated(pub String);

impl Roster {
    /// Takes all rows of all pages.
    ///
    /// # Errors
    /// [`Repeated`] when an id occurs twice; such a listing proves nothing.
    pub fn complete(users: Vec<CrmUser>, pages: usize) -> Result<Self, Repeated> {
        let mut map = BTreeMap::new();
        for user in users {
            let id = user.id.clone();
            if map.insert(id.clone(), user).is_some() {
                return Err(Repeated(id.to_string()));
            }
        }
        Ok(Self { users: map, pages })
    }

    /// The row with this id, if the organization has one.
    pub fn get(&self, id: &CrmUserId) -> Option<&CrmUser> {
        self.users.get(id)
    }

    /// All rows, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &CrmUser> {
        self.users.values()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether the organization has no user at all: out of bounds, never acted on (I7).
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many pages were read.
    pub fn pages(&self) -> usize {
        self.pages
    }
}
