//! The CRM side: users as CRM lists them, and a listing that is complete by construction.

use super::email::Email;
use super::ids::{CrmUserId, Zuid};
use super::index::Index;
use super::shared::Shared;
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
    pub category: Option<Shared>,
    /// Profile name, for scope rules.
    pub profile: Option<Shared>,
    /// Role name, for scope rules. Never mapped onto Cliq (R24, R25).
    pub role: Option<Shared>,
    /// Name of who created the user: the "who invited you" of a letter.
    pub created_by: Option<Shared>,
    /// IANA time zone name, if CRM has one.
    pub time_zone: Option<Shared>,
    /// Language tag, such as `en_US`.
    pub language: Option<Shared>,
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
///
/// A million users are kept once; what finds them by account or address is numbers.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// In the order of their ids.
    users: Vec<CrmUser>,
    by_account: Index,
    by_email: Index,
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
    pub fn complete(mut users: Vec<CrmUser>, pages: usize) -> Result<Self, Repeated> {
        users.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let twice = users.windows(2).find_map(|pair| match pair {
            [one, other] if one.id == other.id => Some(one.id.to_string()),
            _ => None,
        });
        if let Some(id) = twice {
            return Err(Repeated(id));
        }
        users.shrink_to_fit();
        let (by_account, by_email) = (Index::of(&users, account), Index::of(&users, address));
        Ok(Self { users, by_account, by_email, pages })
    }

    /// The row with this id, if the organization has one.
    pub fn get(&self, id: &CrmUserId) -> Option<&CrmUser> {
        let at = self.users.binary_search_by(|user| user.id.cmp(id)).ok()?;
        self.users.get(at)
    }

    /// All rows, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &CrmUser> {
        self.users.iter()
    }

    /// The rows with this Zoho account, in the order of their ids.
    pub fn by_account<'a>(&'a self, wanted: &str) -> impl Iterator<Item = &'a CrmUser> + use<'a> {
        self.by_account.find(&self.users, wanted, account)
    }

    /// The rows with this address, in the order of their ids.
    pub fn by_email<'a>(&'a self, email: &Email) -> impl Iterator<Item = &'a CrmUser> + use<'a> {
        self.by_email.find(&self.users, email.as_str(), address)
    }

    /// Rows that share an account or an address, in groups of two or more.
    pub fn namesakes(&self) -> impl Iterator<Item = Vec<&CrmUser>> {
        self.by_account.groups(&self.users).chain(self.by_email.groups(&self.users))
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

fn account(user: &CrmUser) -> Option<&str> {
    user.zuid.as_ref().map(Zuid::as_str)
}

fn address(user: &CrmUser) -> Option<&str> {
    user.email.as_ref().map(Email::as_str)
}
