//! Identifiers. Each is its own type, so that a CRM id can never stand where a zuid belongs.

use std::fmt;
use std::str::FromStr;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Wraps the identifier as it was given.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into().into_boxed_str())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.into())
            }
        }
    };
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = UnknownId;

            fn from_str(text: &str) -> Result<Self, UnknownId> {
                text.strip_prefix(concat!($prefix, "-"))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or(UnknownId { expected: concat!($prefix, "-<number>") })
            }
        }
    };
}

/// An identifier that does not have the form of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this kind: expected {expected}")]
pub struct UnknownId {
    /// The form that was expected.
    pub expected: &'static str,
}

text_id!(
    /// An organization by its name in the configuration (`organizations.id`), such as `acme`.
    OrgId
);
text_id!(
    /// The stable key of a CRM user inside one organization (contract section 3.1, `users[].id`).
    CrmUserId
);
text_id!(
    /// Zoho's account id of a person, the join key between CRM and Cliq (contract section 3.1).
    Zuid
);
text_id!(
    /// A Cliq user's id as Cliq lists it (contract section 2.1).
    CliqId
);
row_id!(
    /// A stored webhook delivery.
    DeliveryId, "dlv"
);
row_id!(
    /// A ledger row.
    MembershipId, "mem"
);
row_id!(
    /// An outbox row.
    ActionId, "act"
);
row_id!(
    /// A resync or reconciliation run.
    RunId, "run"
);
row_id!(
    /// A person in, or on the way into, one mapped channel.
    GuestId, "gst"
);
row_id!(
    /// A step that was written down.
    AuditId, "aud"
);
row_id!(
    /// One start of the daemon on this store.
    BootId, "boot"
);
