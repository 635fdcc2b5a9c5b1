//! What people are told: a letter (e-mail) and a notice (bot message), as data.

use super::email::Email;
use super::time::Timestamp;

/// A finished e-mail. A retried letter is byte-equal: every varying part is a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The one recipient.
    pub to: Email,
    /// The recipient's name for the `To` header; may be empty.
    pub to_name: String,
    /// Subject line, one line, no control characters.
    pub subject: String,
    /// The written plain-text alternative.
    pub text: String,
    /// The HTML alternative.
    pub html: String,
    /// The local part of the `Message-ID`, derived from the row: equal over retries.
    pub message_key: String,
    /// The `Date` header: when the letter was queued.
    pub date: Timestamp,
    /// `mailto:` target of `List-Unsubscribe`, on letters where it belongs (reminders, digests).
    pub unsubscribe: Option<Email>,
}

/// The facts of an invitation, from which a letter and a bot notice are rendered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Invitation {
    /// First name of the invitee; may be empty.
    pub first_name: String,
    /// Full name of the invitee; may be empty.
    pub full_name: String,
    /// The invited address, canonical.
    pub email: String,
    /// Display name of the host organization.
    pub organization: String,
    /// Who invited: CRM's `created_by`, else empty (the organization stands in).
    pub invited_by: String,
    /// Where to join; http(s).
    pub join_url: String,
    /// When the invitation was made, RFC 3339.
    pub invited_at: String,
    /// When it runs out, RFC 3339.
    pub expires_at: String,
    /// Language tag from CRM, such as `en_US`; may be empty.
    pub language: String,
}

/// What an administrator is told, once per state change.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Notice {
    /// One line: what happened.
    pub title: String,
    /// What it means and what to do, plain text.
    pub body: String,
}

/// A message for a bot to send: text, and a button that leads to a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotMessage {
    /// The text, at most 5,000 characters.
    pub text: String,
    /// Card title; absent for a plain message.
    pub title: Option<String>,
    /// The Join button; absent when its URL would break the contract's limits.
    pub button: Option<Button>,
}

/// A button that opens a URL (contract section 2.3: label 20, hint 100, key 100, URL 256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// At most 20 characters.
    pub label: String,
    /// At most 100 characters.
    pub hint: String,
    /// At most 100 characters.
    pub key: String,
    /// At most 256 characters, http or https.
    pub url: String,
}
