//! What a request claims: the signatures in its header, and the bytes that they should cover.
//!
//! Deliberately absent: keys, and the decision whether the claim is true.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::{Rejection, Request, billing, mac};
use crate::domain::Timestamp;
use crate::domain::scheme::{Encoding, Hash, Scheme};
use crate::domain::time::millis;

/// Most signatures read from one header. Svix signs with at most eleven keys; more than this is
/// nobody's rotation.
const SIGNATURES_MAX: usize = 32;

/// Longest message id, bytes: far above any sender's (svix: 31), small enough to store.
const MESSAGE_ID_MAX: usize = 256;

/// Most digits of a time: milliseconds until the year 5138.
const TIME_DIGITS_MAX: usize = 14;

/// The two families of header names of the `standard` scheme: id, time, signature.
const STANDARD_HEADERS: [[&str; 3]; 2] = [
    ["webhook-id", "webhook-timestamp", "webhook-signature"],
    ["svix-id", "svix-timestamp", "svix-signature"],
];

/// Length of a SHA-1 digest, bytes: recognised only to be refused by name.
const SHA1_LENGTH: usize = 20;

/// What proves the claim.
#[derive(Clone, Copy)]
enum Kind {
    Mac(Hash),
    /// The SHA-256 of the secret itself, so that comparing tells nothing of its length.
    Token,
}

/// Everything that [`super::verify`] needs besides the keys.
pub(super) struct Claim<'a> {
    kind: Kind,
    head: Vec<u8>,
    body: &'a [u8],
    /// Decoded, each as long as the hash.
    pub(super) proofs: Vec<Vec<u8>>,
    pub(super) signed_at: Option<SignedAt>,
    pub(super) message_id: Option<String>,
}

impl Claim<'_> {
    /// What is signed, in parts.
    pub(super) fn signed(&self) -> [&[u8]; 2] {
        [&self.head, self.body]
    }

    /// The proof that a holder of `key` would have sent.
    pub(super) fn proof(&self, key: &[u8]) -> Vec<u8> {
        match self.kind {
            Kind::Mac(hash) => mac::hmac(hash, key, &self.signed()),
            Kind::Token => mac::sha256(&[key]).to_vec(),
        }
    }
}

/// The time that a signature covers.
#[derive(Clone, Copy)]
pub(super) struct SignedAt {
    at: Timestamp,
    unit: Unit,
}

/// What a signed time counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl SignedAt {
    /// Reads decimal digits only: no sign, no leading zero, no space.
    fn read(text: &str, unit: Unit) -> Result<Self, Rejection> {
        let canonical = text.len() <= TIME_DIGITS_MAX
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        let number: i64 = canonical
            .then(|| text.parse().ok())
            .flatten()
            .ok_or(Rejection::Malformed("the time is not a plain number"))?;
        let at = match unit {
            Unit::Seconds => Timestamp::from_seconds(number),
            Unit::Milliseconds => Timestamp(number),
        };
        Ok(Self { at, unit })
    }

    /// Refuses what is further from `now` than `tolerance`. A time in seconds is compared in
    /// whole seconds, as the reference libraries do; else the sender's rounding would count.
    pub(super) fn check(self, tolerance: Duration, now: Timestamp) -> Result<(), Rejection> {
        let now = match self.unit {
            Unit::Seconds => Timestamp::from_seconds(now.seconds()),
            Unit::Milliseconds => now,
        };
        let (age, lead) = (now.since(self.at), self.at.since(now));
        if millis(age) > millis(tolerance) {
            return Err(Rejection::Stale { seconds: age.as_secs() });
        }
        if millis(lead) > millis(tolerance) {
            return Err(Rejection::Future { seconds: lead.as_secs() });
        }
        Ok(())
    }
}

/// Reads the claim in the scheme's form.
pub(super) fn read<'a>(scheme: &Scheme, request: &Request<'a>) -> Result<Claim<'a>, Rejection> {
    match scheme {
        Scheme::Standard => standard(request),
        Scheme::ZohoBilling { encoding } => zoho_billing(*encoding, request),
        Scheme::ZohoPayments => timestamped(request, &Stamped::ZOHO_PAYMENTS),
        Scheme::Raw { header, prefix, encoding, hash } => {
            let value = single(request.headers, header)?;
            let proofs = gather(prefixed(value, prefix, *encoding, *hash))?;
            Ok(plain(Kind::Mac(*hash), proofs, request.body))
        }
        Scheme::Timestamped { header, field, separator, encoding, hash } => {
            let (encoding, hash) = (*encoding, *hash);
            let form = Stamped { header, field, separator, encoding, hash, unit: Unit::Seconds };
            timestamped(request, &form)
        }
        Scheme::Token { header } => {
            let proof = mac::sha256(&[single(request.headers, header)?.as_bytes()]).to_vec();
            Ok(plain(Kind::Token, vec![proof], request.body))
        }
    }
}

/// A claim over the body alone.
fn plain(kind: Kind, proofs: Vec<Vec<u8>>, body: &[u8]) -> Claim<'_> {
    Claim { kind, head: Vec::new(), body, proofs, signed_at: None, message_id: None }
}

fn standard<'a>(request: &Request<'a>) -> Result<Claim<'a>, Rejection> {
    let [webhook, svix] = STANDARD_HEADERS;
    let [id, time, signature] =
        if request.headers.contains_key(svix[2]) && !request.headers.contains_key(webhook[2]) {
            svix
        } else {
            webhook
        };
    let (id, time) = (single(request.headers, id)?, single(request.headers, time)?);
    check_message_id(id)?;
    let signed_at = SignedAt::read(time, Unit::Seconds)?;
    let tokens = single(request.headers, signature)?.split_ascii_whitespace();
    let proofs = tokens.map(|token| match token.split_once(',') {
        Some(("v1", text)) => decode(text, Encoding::Base64, Hash::Sha256),
        Some(("v1a", _)) => Err(Rejection::Unsupported("Ed25519 (v1a)")),
        _ => Err(Rejection::UnknownVersion),
    });
    Ok(Claim {
        kind: Kind::Mac(Hash::Sha256),
        proofs: gather(proofs)?,
        head: format!("{id}.{time}.").into_bytes(),
        body: request.body,
        signed_at: Some(signed_at),
        message_id: Some(id.to_owned()),
    })
}

/// A dot in the id would let id and time be cut differently than the sender did.
pub(super) fn check_message_id(id: &str) -> Result<(), Rejection> {
    if id.is_empty() || id.len() > MESSAGE_ID_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(Rejection::Malformed("the message id is empty, too long or not plain text"));
    }
    if id.contains('.') {
        return Err(Rejection::Malformed("the message id contains a dot"));
    }
    Ok(())
}

fn zoho_billing<'a>(encoding: Encoding, request: &Request<'a>) -> Result<Claim<'a>, Rejection> {
    let proof = decode(single(request.headers, billing::HEADER)?, encoding, Hash::Sha256)?;
    let (head, body) = billing::signed(request.query, request.content_type, request.body);
    Ok(Claim { head, ..plain(Kind::Mac(Hash::Sha256), vec![proof], body) })
}

/// The forms that list `t=<time>,<field>=<signature>[,…]`.
pub(super) struct Stamped<'a> {
    pub(super) header: &'a str,
    pub(super) field: &'a str,
    pub(super) separator: &'a str,
    pub(super) encoding: Encoding,
    pub(super) hash: Hash,
    pub(super) unit: Unit,
}

impl Stamped<'static> {
    /// Zoho Payments: milliseconds, field `v` (contract section 4).
    pub(super) const ZOHO_PAYMENTS: Self = Self {
        header: billing::HEADER,
        field: "v",
        separator: ".",
        encoding: Encoding::Hex,
        hash: Hash::Sha256,
        unit: Unit::Milliseconds,
    };
}

fn timestamped<'a>(request: &Request<'a>, form: &Stamped<'_>) -> Result<Claim<'a>, Rejection> {
    let value = single(request.headers, form.header)?;
    let fields = || value.split(',').filter_map(|item| item.trim().split_once('='));
    let mut times = fields().filter(|(name, _)| *name == "t").map(|(_, text)| text);
    let (Some(time), None) = (times.next(), times.next()) else {
        return Err(Rejection::Malformed("there is not exactly one time"));
    };
    let signed_at = SignedAt::read(time, form.unit)?;
    let proofs = fields()
        .filter(|(name, _)| *name == form.field)
        .map(|(_, text)| decode(text, form.encoding, form.hash));
    Ok(Claim {
        proofs: gather(proofs)?,
        head: format!("{time}{}", form.separator).into_bytes(),
        signed_at: Some(signed_at),
        ..plain(Kind::Mac(form.hash), Vec::new(), request.body)
    })
}

/// Splits a comma list. The prefix stands before each signature or, as Outpost writes it, only
/// before the first of several.
fn prefixed(
    value: &str,
    prefix: &str,
    encoding: Encoding,
    hash: Hash,
) -> impl Iterator<Item = Result<Vec<u8>, Rejection>> {
    let mut seen = false;
    value.split(',').map(move |token| {
        let token = token.trim();
        match token.strip_prefix(prefix) {
            Some(text) => {
                seen = true;
                decode(text, encoding, hash)
            }
            None if token.starts_with("sha1=") => Err(Rejection::Unsupported("SHA-1")),
            None if seen => decode(token, encoding, hash),
            None => Err(Rejection::UnknownVersion),
        }
    })
}

/// The signatures that can be compared at all; if there are none, the most telling reason.
fn gather(
    found: impl Iterator<Item = Result<Vec<u8>, Rejection>>,
) -> Result<Vec<Vec<u8>>, Rejection> {
    let mut reason = Rejection::UnknownVersion;
    let mut proofs = Vec::new();
    for (index, item) in found.enumerate() {
        if index == SIGNATURES_MAX {
            return Err(Rejection::Malformed("too many signatures"));
        }
        match item {
            Ok(proof) => proofs.push(proof),
            Err(why) if reason == Rejection::UnknownVersion => reason = why,
            Err(_) => {}
        }
    }
    if proofs.is_empty() { Err(reason) } else { Ok(proofs) }
}

/// Decodes one signature and checks its length, so that what is compared later is equally long.
fn decode(text: &str, encoding: Encoding, hash: Hash) -> Result<Vec<u8>, Rejection> {
    let length = mac::length(hash);
    let is_hex = match encoding {
        Encoding::Hex => true,
        Encoding::Base64 => false,
        Encoding::Auto => text.len() == 2 * length,
    };
    let bytes = if is_hex { hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
    match bytes {
        None => Err(Rejection::Malformed("a signature is not in the source's encoding")),
        Some(bytes) if bytes.len() == length => Ok(bytes),
        Some(bytes) if bytes.len() == SHA1_LENGTH => Err(Rejection::Unsupported("SHA-1")),
        Some(_) => Err(Rejection::Malformed("a signature has the wrong length")),
    }
}

/// The one value of a header.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Err(Rejection::NoSignature { header: name.to_owned() });
    };
    if values.next().is_some() {
        return Err(Rejection::DuplicateHeader { header: name.to_owned() });
    }
    let text = value.to_str().map_err(|_| Rejection::Malformed("a header is not plain text"))?;
    match text.trim() {
        "" => Err(Rejection::NoSignature { header: name.to_owned() }),
        text => Ok(text),
    }
}
