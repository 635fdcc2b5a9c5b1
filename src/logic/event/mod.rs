//! What a verified webhook says: its name, its time, and where to look again.
//!
//! Bodies are read leniently, since their senders are functions that operators write and products
//! that change: unknown fields are ignored, ids may be numbers, of two equal keys the last counts.
//! Deliberately absent: belief in the payload. Besides the subscription's state nothing of it goes
//! further than "look at this row again" (design decision 1).

mod billing;
mod native;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use self::watch::{Echo, digest as watch_digest};
use super::media::Media;
use crate::domain::scheme::Scheme;
use crate::domain::{CrmUserId, Hint, Subscription, Timestamp};

/// Longest event id and event type, bytes. Zoho's ids have 17 digits, UUIDs 36 characters; both
/// are stored and shown.
const NAME_MAX: usize = 200;

/// Longest CRM user id; Zoho's have 18 digits.
const USER_ID_MAX: usize = 100;

/// A body, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The sender's id of the event, equal over its retries.
    pub event_id: Option<String>,
    /// The sender's word for what happened, such as `user.added`.
    pub event_type: String,
    /// When it happened, as the sender says.
    pub event_time: Option<Timestamp>,
    /// Where to look again. None for kinds that mean nothing to the bridge.
    pub hints: Vec<Hint>,
}

/// Which bodies a source sends; follows from its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The bridge's own form (design section 8, "Events").
    Native,
    /// The bridge's own form, or a CRM watch's notification (contract section 3.3).
    NativeOrWatch,
    /// Zoho Billing's default payload (contract section 4.1).
    Billing,
}

impl Shape {
    /// The shape of a source with this scheme.
    pub fn of(scheme: &Scheme) -> Self {
        match scheme {
            Scheme::ZohoBilling { .. } => Self::Billing,
            Scheme::Token { .. } => Self::NativeOrWatch,
            _ => Self::Native,
        }
    }

    /// Whether a body of this `Content-Type` is read at all; if not, the answer is 415. JSON
    /// everywhere, forms from Zoho Billing only; no `Content-Type` counts as JSON.
    pub fn accepts(self, content_type: Option<&str>) -> bool {
        match Media::of(content_type) {
            Media::Json => true,
            Media::Form => self == Self::Billing,
            Media::Other => false,
        }
    }
}

/// Why a body cannot be read. The words are for the sender: they name the field, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Broken, not UTF-8, or nested deeper than 127 levels (`serde_json`'s limit).
    #[error("the body is not JSON, or is nested too deeply")]
    NotJson,
    /// JSON, but a list, a number or the like.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// Without a type nothing can be said about the event.
    #[error("event_type is missing")]
    NoEventType,
    /// A user event that does not say whom it is about.
    #[error("data.user.id is missing")]
    NoUserId,
    /// Present, but nothing that could be meant.
    #[error("{0} is too long, or not of its form")]
    Field(&'static str),
}

/// Reads a body of a source of this shape.
pub fn read(shape: Shape, content_type: Option<&str>, body: &[u8]) -> Result<Event, Malformed> {
    match shape {
        Shape::Native => native::read(&object(body)?),
        Shape::NativeOrWatch => match object(body)? {
            body if watch::is(&body) => watch::read(&body),
            body => native::read(&body),
        },
        Shape::Billing if Media::of(content_type) == Media::Form => billing::read_form(body),
        Shape::Billing => billing::read(&object(body)?),
    }
}

/// Whether the event lies more than `max_age` before or after `now`. The maximum age stands in for
/// a replay window where the scheme signs no time, so it is as symmetric as one; an event without
/// a time is not too old.
pub fn too_old(event: &Event, max_age: Duration, now: Timestamp) -> bool {
    event.event_time.is_some_and(|time| now.since(time) > max_age || time.since(now) > max_age)
}

/// The key that two deliveries of one event share: the body's event id, else the scheme's message
/// id, else the digest of what was signed (design section 11, "Inbox and outbox").
///
/// Half of a SHA-256 over the kind and the source as well, so that sources and kinds cannot meet.
pub fn duplicate_key(
    source: &str,
    event: &Event,
    verified_message_id: Option<&str>,
    signed_digest: &[u8; 32],
) -> [u8; 16] {
    let (kind, value) = match (&event.event_id, verified_message_id) {
        (Some(id), _) => ("event", id.as_bytes()),
        (None, Some(id)) => ("message", id.as_bytes()),
        (None, None) => ("signed", signed_digest.as_slice()),
    };
    let mut hash = Sha256::new();
    for part in [b"cliqbridge duplicate key 1", kind.as_bytes(), source.as_bytes(), value] {
        // The length before each part keeps the cuts between them unambiguous.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let (half, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *half
}

/// Parses a body whose top is an object.
fn object(body: &[u8]) -> Result<Value, Malformed> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Malformed::NotJson)?;
    if value.is_object() { Ok(value) } else { Err(Malformed::NotAnObject) }
}

/// The text or whole number at a path such as `/data/user/id`; blank text counts as absent, and so
/// does everything that is neither.
fn text(body: &Value, path: &str) -> Option<String> {
    match body.pointer(path)? {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// [`text`] that will be stored and shown: bounded, on one line.
fn name(body: &Value, path: &str, field: &'static str) -> Result<Option<String>, Malformed> {
    match text(body, path) {
        Some(text) if text.len() > NAME_MAX || text.contains(char::is_control) => {
            Err(Malformed::Field(field))
        }
        other => Ok(other),
    }
}

/// A CRM user's id, which becomes part of a path at the CRM.
fn plain_user_id(text: Option<&str>, field: &'static str) -> Result<CrmUserId, Malformed> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.filter(|id| id.len() <= USER_ID_MAX && id.bytes().all(is_plain))
        .map(CrmUserId::new)
        .ok_or(Malformed::Field(field))
}

/// An instant: RFC 3339, an offset without its colon, or milliseconds since the epoch.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp).or_else(|| Timestamp::parse(text))
}

/// What a subscription's `status` says.
fn state_of_status(status: Option<&str>) -> Subscription {
    match status.map(str::to_ascii_lowercase).as_deref() {
        Some("live" | "active") => Subscription::Active,
        Some("cancelled" | "expired" | "unpaid" | "downgraded") => Subscription::Downgraded,
        _ => Subscription::Unknown,
    }
}

/// The event's own words for the audit row: the type, then each field that is there.
fn detail(event_type: &str, fields: &[(&str, Option<String>)]) -> String {
    let mut detail = event_type.to_owned();
    for (label, value) in fields {
        let Some(value) = value else { continue };
        let shown = value.chars().filter(|letter| !letter.is_control()).take(NAME_MAX);
        detail.push_str(", ");
        detail.push_str(label);
        detail.push(' ');
        detail.extend(shown);
    }
    detail
}
