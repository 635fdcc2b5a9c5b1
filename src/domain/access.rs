//! Plans: of the organization in CRM Plus (subscription), of the organization in Cliq, of a person.

use std::fmt;

use super::words::words;

/// The Cliq plan of an organization (`organizations.cliq_plan`); no API tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CliqPlan {
    /// Free plan: a CRM Plus downgrade changes nothing by itself (R13, R14).
    Free,
    /// Paid plan: Zoho itself makes external users free users on a downgrade (R16, R17).
    Paid,
}

/// The CRM Plus plan of an organization (design section 11, "Plan webhooks").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscription {
    /// Paid for and running.
    Active,
    /// Downgraded, cancelled or expired.
    Downgraded,
    /// Nobody has said yet.
    #[default]
    Unknown,
}

/// A person's licence in one organization's Cliq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Licence {
    /// A free user.
    Free,
    /// Takes a seat of the organization's paid plan.
    Paid,
}

/// What the plans of an organization mean for its external users (the downgrade table R13 to R19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing out of the ordinary.
    #[default]
    Normal,
    /// Downgraded on the free Cliq plan: access is retained, nothing is written (R13, R14).
    Retained,
    /// Downgraded on the free Cliq plan, confirmed, and the administrator's standing choice is to
    /// restrict (R15).
    Restricted,
    /// Downgraded on a paid Cliq plan: Zoho makes external users free users by itself; that is
    /// recorded and not fought (R16, R17).
    FreeByZoho,
}

impl Subscription {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Downgraded => "downgraded",
            Self::Unknown => "unknown",
        }
    }

    /// Reads [`Self::as_str`] back; anything else is `Unknown`.
    pub fn from_word(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "downgraded" => Self::Downgraded,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

words!(Licence { Free = "free", Paid = "paid" });

words!(CliqPlan { Free = "free", Paid = "paid" });

words!(Access {
    Normal = "normal",
    Retained = "retained",
    Restricted = "restricted",
    FreeByZoho = "free_by_zoho",
});
