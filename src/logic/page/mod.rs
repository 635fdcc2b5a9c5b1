//! The join page and everything that stands in its place, as HTML (R10, R11).
//!
//! One style sheet inside the page, no script, nothing from elsewhere. Pages other than the open
//! one take no facts, so they cannot give any away. Deliberately absent: HTTP, and which page
//! somebody gets.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Value, context};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::words::{self, Facts, LIMITS, Language, Speech, layout};
use crate::domain::Email;
use crate::domain::letter::Invitation;

pub use super::words::RenderError;

const STYLE: &str = include_str!("style.css");

/// Every template by its name.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("message.html", include_str!("templates/message.html")),
    ("open.html", include_str!("templates/open.html")),
];

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE))));

/// A page, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The document.
    pub html: String,
    /// Its `Content-Security-Policy`.
    pub policy: String,
    /// The tag of its language.
    pub language: &'static str,
}

/// What is shown where no open invitation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The person has just declined, or again.
    Declined,
    /// The invitation was answered.
    Resolved,
    /// It ran out.
    Expired,
    /// It was withdrawn or replaced.
    Revoked,
    /// There is none at this address.
    Missing,
    /// The answer is not one of those on the page.
    Unreadable,
    /// The answer came from a page of somebody else.
    Foreign,
    /// The method is none of this page's.
    Method,
    /// Too many requests.
    Busy,
    /// The store does not answer.
    Down,
}

impl Message {
    /// Every message.
    pub const ALL: &'static [Self] = &[
        Self::Declined,
        Self::Resolved,
        Self::Expired,
        Self::Revoked,
        Self::Missing,
        Self::Unreadable,
        Self::Foreign,
        Self::Method,
        Self::Busy,
        Self::Down,
    ];

    /// Where its words are in a catalogue.
    fn words(self) -> &'static str {
        match self {
            Self::Declined => "page.declined",
            Self::Resolved => "page.resolved",
            Self::Expired => "page.expired",
            Self::Revoked => "page.revoked",
            Self::Missing => "page.missing",
            Self::Unreadable => "page.unreadable",
            Self::Foreign => "page.foreign",
            Self::Method => "page.method",
            Self::Busy => "page.busy",
            Self::Down => "page.down",
        }
    }

    /// Whether the same address asked for in another language shows the same again.
    fn stays(self) -> bool {
        matches!(self, Self::Resolved | Self::Expired | Self::Revoked | Self::Missing)
    }
}

/// The page of an invitation that waits for an answer; its `join_url` is where joining leads on to.
/// `wanted` are language tags, the most wanted first.
///
/// # Errors
/// When the expiry cannot be shown.
pub fn open<'a>(
    invitation: &Invitation,
    wanted: impl IntoIterator<Item = &'a str>,
) -> Result<Page, RenderError> {
    let language = words::language(wanted)?;
    let address = masked(&invitation.email);
    let facts = Facts::of(invitation, &address, language)?;
    let inviter = if facts.inviter.is_empty() { &facts.organization } else { &facts.inviter };
    let initial = facts.organization.chars().find(|c| c.is_alphanumeric());
    let initial = initial.map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let more = context! {
        initial, inviter, address, expires => &facts.expires, expires_at => &invitation.expires_at,
        has_account => invitation.has_account, limits => LIMITS.to_vec(),
        channels => words::channels(invitation),
    };
    let html = render("open.html", language, &facts, true, more)?;
    let policy = policy(&form_action(&invitation.join_url));
    Ok(Page { html, policy, language: language.tag })
}

/// The page of a message.
///
/// # Errors
/// Only when a template or catalogue is broken.
pub fn message<'a>(
    message: Message,
    wanted: impl IntoIterator<Item = &'a str>,
) -> Result<Page, RenderError> {
    let language = words::language(wanted)?;
    let more = context! { words => message.words() };
    let html = render("message.html", language, &Facts::default(), message.stays(), more)?;
    Ok(Page { html, policy: policy("'none'"), language: language.tag })
}

fn render(
    name: &str,
    language: &'static Language,
    facts: &Facts,
    switch: bool,
    more: Value,
) -> Result<String, RenderError> {
    let all = if switch { words::languages()? } else { &[] };
    let languages: Vec<_> =
        all.iter().map(|other| context! { tag => other.tag, name => &other.name }).collect();
    let facts = context! {
        lang => language.tag, dir => &language.dir, languages,
        style => Value::from_safe_string(STYLE.to_owned()),
        say => Speech::new(language, facts).as_value(),
        ..more
    };
    Ok(layout::environment(TEMPLATES)?.get_template(name)?.render(facts)?)
}

/// Nothing but the page's own style sheet, nobody's frame, and forms only where `form_action` says.
fn policy(form_action: &str) -> String {
    let style = STYLE_HASH.as_str();
    format!(
        "default-src 'none'; style-src {style}; form-action {form_action}; \
         frame-ancestors 'none'; base-uri 'none'"
    )
}

/// Where the answer may lead. Chromium holds every redirect after a form against `form-action`, also
/// the ones that follow at Zoho, whose sign-in may lead on to a company's own. They cannot be
/// listed, so any https address may follow; plain http only the target itself, which is loopback.
/// The form holds nothing but a button's name, and nothing foreign stands in the page unescaped.
fn form_action(join_url: &str) -> String {
    match Url::parse(join_url) {
        Ok(url) if url.scheme() == "http" => {
            format!("'self' https: {}", url.origin().ascii_serialization())
        }
        _ => "'self' https:".to_owned(),
    }
}

/// Enough of an address for its owner to know it, and no more: `b…@partner.example`.
fn masked(address: &str) -> String {
    let Ok(email) = Email::parse(address) else { return "\u{2026}".to_owned() };
    let first: String = email.as_str().chars().take(1).collect();
    format!("{first}\u{2026}@{}", email.domain())
}
