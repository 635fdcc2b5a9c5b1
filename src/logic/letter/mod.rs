//! Letters and bot notices, rendered from facts: the invitation and the notice to administrators.
//!
//! The same facts always give the same bytes, so a retried letter is the letter. Deliberately
//! absent: MIME and headers (`mail` makes them), the wire form of a bot message (`zoho` does), and
//! any language but English so far.

mod clean;
mod english;
mod render;
mod words;

#[cfg(test)]
mod tests;

use minijinja::value::Serde;
use minijinja::{Value, context};
use url::Url;

use crate::domain::letter::{BotMessage, Button, Invitation, Letter, Notice};
use crate::domain::{Email, Timestamp};
use words::Facts;

/// Longest subject, in characters: what mail programs show of one at most.
const SUBJECT_MAX_CHARS: usize = 150;

/// Longest body of a notice, in characters; a vendor's error text must not fill a mailbox.
const NOTICE_BODY_MAX_CHARS: usize = 20_000;

/// Longest join URL in a letter, in characters: what every browser and mail gateway accepts.
const JOIN_URL_MAX_CHARS: usize = 2_000;

/// Longest text of a bot message, in characters (contract section 2.3).
const BOT_TEXT_MAX_CHARS: usize = 5_000;

/// Longest card title. The contract names no limit; this is its limit for other one-line texts.
const BOT_TITLE_MAX_CHARS: usize = 100;

/// Longest button label, in characters (contract section 2.3).
const BUTTON_LABEL_MAX_CHARS: usize = 20;

/// Longest button hint, in characters (contract section 2.3).
const BUTTON_HINT_MAX_CHARS: usize = 100;

/// Longest URL that a button opens, in characters (contract section 2.3).
const BUTTON_URL_MAX_CHARS: usize = 256;

/// The key of the Join button; at most 100 characters (contract section 2.3).
const BUTTON_KEY: &str = "join";

/// Why a letter cannot be written. Each is a mistake on our side; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The join URL is not an http(s) URL of at most 2,000 characters.
    #[error("the join URL is not an http or https URL of at most {JOIN_URL_MAX_CHARS} characters")]
    JoinUrl,
    /// `expires_at` is not an RFC 3339 instant.
    #[error("expires_at is not an RFC 3339 time: {0:?}")]
    ExpiresAt(String),
    /// A template does not fit its facts.
    #[error("the template does not render: {0}")]
    Template(#[from] minijinja::Error),
}

/// Writes the invitation letter (R9 to R12): who invites, to what, what limited access means, how
/// to join, until when. `message_key` becomes the `Message-ID`, `date` the `Date` header.
///
/// # Errors
/// When the join URL or the expiry cannot be shown.
pub fn invitation(
    invitation: &Invitation,
    to: &Email,
    message_key: &str,
    date: Timestamp,
) -> Result<Letter, RenderError> {
    let join_url =
        join_url(&invitation.join_url, JOIN_URL_MAX_CHARS).ok_or(RenderError::JoinUrl)?;
    let expires = shown_time(&invitation.expires_at)
        .ok_or_else(|| RenderError::ExpiresAt(invitation.expires_at.clone()))?;
    let words = english::invitation(&facts(invitation, to.as_str(), expires));
    let subject = clean::one_line(&words.subject, SUBJECT_MAX_CHARS);
    let words = Value::from(Serde(&words));
    let plain = context! { words => &words, join_url => &join_url };
    let html = context! { words, join_url => render::html_url(&join_url) };
    Ok(Letter {
        to: to.clone(),
        to_name: clean::name(&invitation.full_name),
        subject,
        text: render::template("invitation.txt", &plain)?,
        html: render::template("invitation.html", &html)?,
        message_key: message_key.to_owned(),
        date,
        unsubscribe: None,
    })
}

/// Writes a notice to an administrator of `organization`: one state change, in plain words.
///
/// # Errors
/// Only if a template is broken.
pub fn notice(
    notice: &Notice,
    organization: &str,
    to: &Email,
    message_key: &str,
    date: Timestamp,
) -> Result<Letter, RenderError> {
    let title = clean::one_line(&notice.title, SUBJECT_MAX_CHARS);
    let words = english::notice(&clean::one_line(organization, clean::NAME_MAX_CHARS), &title);
    let subject = clean::one_line(&words.subject, SUBJECT_MAX_CHARS);
    let paragraphs = clean::paragraphs(&notice.body, NOTICE_BODY_MAX_CHARS);
    let facts = context! { words => Value::from(Serde(&words)), title, paragraphs };
    Ok(Letter {
        to: to.clone(),
        to_name: String::new(),
        subject,
        text: render::template("notice.txt", &facts)?,
        html: render::template("notice.html", &facts)?,
        message_key: message_key.to_owned(),
        date,
        unsubscribe: None,
    })
}

/// The invitation as a bot message with a Join button. A URL that the button may not carry
/// (contract section 2.3) goes into the text; one that is not http(s) is not shown at all, and the
/// text points to the letter.
pub fn bot_message(invitation: &Invitation) -> BotMessage {
    let mut facts = facts(invitation, "", shown_time(&invitation.expires_at).unwrap_or_default());
    facts.organization = clean::without_markup(&facts.organization);
    facts.invited_by = clean::without_markup(&facts.invited_by);
    let words = english::bot(&facts);
    let button = join_url(&invitation.join_url, BUTTON_URL_MAX_CHARS).map(|url| Button {
        label: clean::capped(&words.button, BUTTON_LABEL_MAX_CHARS),
        hint: clean::capped(&words.hint, BUTTON_HINT_MAX_CHARS),
        key: BUTTON_KEY.to_owned(),
        url,
    });
    let text = match (&button, join_url(&invitation.join_url, JOIN_URL_MAX_CHARS)) {
        (Some(_), _) => words.text,
        (None, Some(url)) => format!("{}\n{} {url}", words.text, words.link),
        (None, None) => format!("{}\n{}", words.text, words.see_mail),
    };
    BotMessage {
        text: clean::capped(&text, BOT_TEXT_MAX_CHARS),
        title: button.is_some().then(|| clean::capped(&words.title, BOT_TITLE_MAX_CHARS)),
        button,
    }
}

fn facts(invitation: &Invitation, email: &str, expires: String) -> Facts {
    Facts {
        first_name: clean::name(&invitation.first_name),
        // The organization's name is the operator's own and may well be a domain.
        organization: clean::one_line(&invitation.organization, clean::NAME_MAX_CHARS),
        invited_by: clean::name(&invitation.invited_by),
        email: email.to_owned(),
        expires,
    }
}

/// The URL in its canonical spelling, if it is http(s) and at most `max` characters.
fn join_url(text: &str, max: usize) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (web && url.as_str().chars().count() <= max).then(|| url.into())
}

/// An RFC 3339 instant for readers of any language: `2026-12-01 07:30 UTC`.
fn shown_time(text: &str) -> Option<String> {
    Timestamp::parse(text).map(|at| at.to_utc().format("%Y-%m-%d %H:%M UTC").to_string())
}
