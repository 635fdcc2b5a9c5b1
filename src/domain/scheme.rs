//! How a webhook proves where it comes from: the schemes of the design, and the keys in force.

use super::secret::Secret;
use super::time::Timestamp;

/// `sources.scheme`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks v1; also with `svix-` header names.
    Standard,
    /// Zoho Billing: HMAC over sorted pairs and the raw JSON.
    ZohoBilling {
        /// `encoding`
        encoding: Encoding,
    },
    /// Zoho Payments: `t=<ms>,v=<hex>`.
    ZohoPayments,
    /// HMAC of the raw body in one header.
    Raw {
        /// `header`
        header: String,
        /// `prefix`, such as `sha256=`; compared, never skipped.
        prefix: String,
        /// `encoding`
        encoding: Encoding,
        /// `hash`
        hash: Hash,
    },
    /// Stripe's form: `t=<s>,v1=<hex>[,v1=…]`.
    Timestamped {
        /// `header`
        header: String,
        /// `field`, such as `v1`
        field: String,
        /// `separator` between time and body in the signed string, such as `.`
        separator: String,
        /// `encoding`
        encoding: Encoding,
        /// `hash`
        hash: Hash,
    },
    /// A static token in a header; for senders that cannot sign.
    Token {
        /// `header`
        header: String,
    },
}

/// The header of [`Scheme::Token`] unless told.
pub const TOKEN_HEADER: &str = "X-Bridge-Token";

/// `encoding`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, either case.
    Hex,
    /// Base64 with padding.
    Base64,
    /// By length: as many hex digits as the hash has, or base64.
    Auto,
}

/// `hash`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

/// One entry of `sources.secrets`.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// `id`, shown in logs and on deliveries.
    pub id: String,
    /// The bytes that HMAC is keyed with: for `standard` the decoded base64 without `whsec_`, else
    /// the file's or credential's content, surrounding white space removed.
    pub secret: Secret,
    /// `not_before`
    pub not_before: Option<Timestamp>,
    /// `not_after`
    pub not_after: Option<Timestamp>,
}

impl SigningKey {
    /// Whether the key counts at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|from| now >= from)
            && self.not_after.is_none_or(|until| now <= until)
    }
}
