//! A person across organizations: the zuid, provisionally the address; one home, any number of hosts.

use super::ids::OrgId;

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
    /// Whether nothing may be written for the person in any organization.
    pub fn forbids_writes(&self) -> bool {
        !matches!(self, Self::Elsewhere | Self::At(_))
    }
}
