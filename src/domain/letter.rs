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
    /// Address of `List-Unsubscribe` (RFC 2369), on reminders: one POST to it is enough (RFC 8058).
    pub unsubscribe: Option<String>,
    /// `message_key` of the letter that this one follows, for `In-Reply-To` and `References`.
    pub in_reply_to: Option<String>,
}

/// Which letter of an invitation it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The one that brings the invitation (R9).
    #[default]
    First,
    /// One of the bounded number that follow while there is no answer (G4).
    Reminder {
        /// Counts from 1.
        number: u32,
    },
}

impl Kind {
    /// Which letter of the generation it is, from 1: part of its `Message-ID` and its join link.
    pub fn send(self) -> u32 {
        match self {
            Self::First => 1,
            Self::Reminder { number } => number.saturating_add(1),
        }
    }
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
    /// IANA zone from CRM, such as `Europe/Berlin`, in which times are shown; UTC when empty.
    #[serde(default)]
    pub time_zone: String,
    /// Which letter it is.
    #[serde(default)]
    pub kind: Kind,
    /// Whether the person has a Cliq account (R47). Without one, letter and page lead with signing
    /// up (R53). Older rows do not say; signing in is then what most people need.
    #[serde(default = "has_account")]
    pub has_account: bool,
    /// Names of the external channels that wait for the person (R49 to R52, R54 to R56).
    #[serde(default)]
    pub channels: Vec<String>,
    /// `message_key` of the first letter, which a reminder follows.
    #[serde(default)]
    pub thread: Option<String>,
    /// Where a reader of reminders can ask for no more of them; none offers no such way.
    #[serde(default)]
    pub unsubscribe: Option<String>,
}

fn has_account() -> bool {
    true
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
