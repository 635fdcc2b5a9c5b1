//! A person across organizations: the zuid, provisionally the address; one home, any number of hosts.

use super::email::Email;
use super::ids::{OrgId, Zuid};

/// Where a person has the one internal Cliq account (R1, R3), as far as the bridge can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Home {
    /// In an organization that the bridge does not see, or nowhere yet. Does not stop mirroring.
    #[default]
    Elsewhere,
    /// In this one.
    At(OrgId),
    /// Two or more claim to be it: a conflict, no writes (R3).
    Claimed(Vec<OrgId>),
    /// It changed or its account is gone: every host is held until an operator confirms (G6).
    Changed {
        /// The home accepted before.
        from: String,
        /// What shows now; `elsewhere` when no organization shows the account any more.
        to: String,
    },
    /// Another organization has the address with another account: two persons (G9).
    TwoPersons(OrgId),
    /// Another organization has the account with another address (G9).
    TwoAddresses(OrgId),
}

impl Home {
    /// A stable word for the audit, the API and counts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::At(_) => "at",
            Self::Claimed(_) => "claimed",
            Self::Changed { .. } => "changed",
            Self::TwoPersons(_) => "two_persons",
            Self::TwoAddresses(_) => "two_addresses",
        }
    }

    /// The organization that is it, when one is.
    pub fn organization(&self) -> Option<&OrgId> {
        match self {
            Self::At(organization) => Some(organization),
            _ => None,
        }
    }

    /// Whether nothing may be written for the person in any organization.
    pub fn forbids_writes(&self) -> bool {
        !matches!(self, Self::Elsewhere | Self::At(_))
    }
}

/// Who is looked for across organizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Zoho account id, where anybody knows it.
    pub zuid: Option<Zuid>,
    /// Canonical address.
    pub email: Email,
}

impl Who {
    /// What the person is known by: the account, provisionally the address.
    pub fn key(&self) -> &str {
        self.zuid.as_ref().map_or(self.email.as_str(), Zuid::as_str)
    }
}

/// The home that was accepted last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Where.
    pub home: OrgId,
    /// An account was seen there; a domain alone is the configuration's word, not Cliq's.
    pub seen: bool,
    /// An operator confirmed it: a domain elsewhere does not claim the person any more.
    pub confirmed: bool,
}
