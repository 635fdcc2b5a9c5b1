//! Whether a webhook comes from somebody who holds one of the source's secrets.
//!
//! Everything is computed over the raw bytes of the request and compared in constant time. The
//! scheme is the operator's setting, never guessed: one header name of Zoho's carries two forms
//! that do not agree. Deliberately absent: SHA-1 and Ed25519, which are refused by name, and any
//! word to the sender about what was wrong; [`Rejection`] is for the log.

mod billing;
mod claim;
mod mac;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use subtle::ConstantTimeEq as _;

pub use self::sign::sign;
use crate::domain::scheme::{Scheme, SigningKey};
use crate::domain::{Secret, Timestamp};

/// A webhook as it came in; nothing in it is trusted yet.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What follows the `?`, still encoded.
    pub query: Option<&'a str>,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// A webhook whose signature held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which of the source's keys it was; tells when an old one can go.
    pub key_id: String,
    /// The sender's id of the message, equal over its retries; only the `standard` scheme has one.
    pub message_id: Option<String>,
    /// SHA-256 of what was signed: the last resort for recognising a duplicate. Where nothing is
    /// signed (`token`) it is that of the body.
    pub signed_digest: [u8; 32],
}

/// Why a webhook was not believed. For the log and the metrics only, and free of anything that
/// the sender wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The scheme's header is missing or empty.
    #[error("no {header} header, or an empty one")]
    NoSignature {
        /// The header looked for.
        header: String,
    },
    /// Two values would let two readers believe two things.
    #[error("the {header} header came more than once")]
    DuplicateHeader {
        /// The header.
        header: String,
    },
    /// Not the scheme's form.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A form that exists and is refused on purpose.
    #[error("signed with {0}, which is not supported")]
    Unsupported(&'static str),
    /// Only signatures of versions, prefixes or fields that the source does not use.
    #[error("no signature with the version, prefix or field of this source")]
    UnknownVersion,
    /// Signed too long ago: a replay, a stuck sender or a wrong clock.
    #[error("signed {seconds} s ago")]
    Stale {
        /// Age, whole seconds.
        seconds: u64,
    },
    /// Signed in the future: a wrong clock.
    #[error("signed {seconds} s in the future")]
    Future {
        /// Distance, whole seconds.
        seconds: u64,
    },
    /// The source has no key that counts now.
    #[error("no key of this source is in force")]
    NoKeyInForce,
    /// The keys in force are empty or not of the form that the scheme wants.
    #[error("key {key_id:?} is empty or not of the form that the scheme wants")]
    UnusableKey {
        /// The last such key.
        key_id: String,
    },
    /// Well formed, but made with another secret or over other bytes.
    #[error("no key matched{}", if *.body_empty { "; the body is empty" } else { "" })]
    NoKeyMatched {
        /// An empty body often is a sender that signs before it fills in the body.
        body_empty: bool,
    },
}

impl Rejection {
    /// A short stable word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSignature { .. } => "no_signature",
            Self::DuplicateHeader { .. } => "duplicate_header",
            Self::Malformed(_) => "malformed",
            Self::Unsupported(_) => "unsupported",
            Self::UnknownVersion => "unknown_version",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::NoKeyInForce => "no_key_in_force",
            Self::UnusableKey { .. } => "unusable_key",
            Self::NoKeyMatched { .. } => "no_key_matched",
        }
    }
}

/// Checks a webhook against the keys that are in force at `now`.
///
/// `tolerance` bounds the signed time in both directions, for schemes that sign one; exactly
/// `tolerance` is still accepted. Any signature in the header may match, with any key.
pub fn verify(
    scheme: &Scheme,
    keys: &[SigningKey],
    tolerance: Duration,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Verified, Rejection> {
    let claim = claim::read(scheme, request)?;
    if let Some(signed_at) = claim.signed_at {
        signed_at.check(tolerance, now)?;
    }
    let mut outcome = Rejection::NoKeyInForce;
    for key in keys.iter().filter(|key| key.is_live(now)) {
        let Some(secret) = key_bytes(key) else {
            if outcome == Rejection::NoKeyInForce {
                outcome = Rejection::UnusableKey { key_id: key.id.clone() };
            }
            continue;
        };
        // The proof is computed once per key, however many signatures the header lists.
        let expected = claim.proof(secret.expose());
        if claim.proofs.iter().any(|proof| proof.ct_eq(&expected).into()) {
            return Ok(Verified {
                key_id: key.id.clone(),
                message_id: claim.message_id.clone(),
                signed_digest: mac::sha256(&claim.signed()),
            });
        }
        outcome = Rejection::NoKeyMatched { body_empty: request.body.is_empty() };
    }
    Err(outcome)
}

/// Reads a Standard Webhooks secret: base64, padded or not, with or without `whsec_`.
///
/// `None` when it is not base64 or holds no bytes. The standard asks for 24 to 64 bytes; shorter
/// ones are in use at senders and are taken.
pub fn decode_standard_secret(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = text.trim();
    let bytes = ENGINE.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The bytes that key the MAC, if there are any. `standard` keys were decoded when the
/// configuration was read; Stripe and Outpost use the same `whsec_` prefix as part of the key.
fn key_bytes(key: &SigningKey) -> Option<&Secret> {
    (!key.secret.is_empty()).then_some(&key.secret)
}
