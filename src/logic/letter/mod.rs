//! Letters and bot notices, rendered from facts: the invitation and its reminders, each in the
//! person's language, and the notice to administrators, which is English.
//!
//! The same facts always give the same bytes, so a retried letter is the letter. Deliberately
//! absent: MIME and headers (`mail` makes them), the wire form of a bot message (`zoho` does), and
//! the sentences themselves (`words`).

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use minijinja::{Environment, Value, context};
use url::Url;

use super::words::{self, Facts, LIMITS, Speech, clean, layout};
use crate::domain::letter::{BotMessage, Button, Invitation, Kind, Letter, Notice};
use crate::domain::{Email, Timestamp};

pub use super::words::RenderError;

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

/// Every template by its name.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("invitation.html", include_str!("templates/invitation.html")),
    ("invitation.txt", include_str!("templates/invitation.txt")),
    ("notice.html", include_str!("templates/notice.html")),
    ("notice.txt", include_str!("templates/notice.txt")),
];

/// The templates, read once: reading them takes longer than writing the letter.
static LETTERS: LazyLock<Result<Environment<'static>, String>> =
    LazyLock::new(|| layout::environment(TEMPLATES).map_err(|error| format!("{error:#}")));

/// Writes an invitation letter (R9 to R12) or a reminder of it (G4): who invites, to what, what
/// limited access means, how to join, until when; for somebody without a Cliq account first of all
/// how to sign up (R53 to R56). `message_key` becomes the `Message-ID`, `date` the `Date` header.
///
/// # Errors
/// When the join URL or the expiry cannot be shown.
pub fn invitation(
    invitation: &Invitation,
    to: &Email,
    message_key: &str,
    date: Timestamp,
) -> Result<Letter, RenderError> {
    let join_url = join_url(&invitation.join_url, JOIN_URL_MAX_CHARS)
        .ok_or(RenderError::JoinUrl(JOIN_URL_MAX_CHARS))?;
    let language = words::language([invitation.language.as_str()])?;
    let speech = Speech::new(language, &Facts::of(invitation, to.as_str(), language)?);
    let is_reminder = matches!(invitation.kind, Kind::Reminder { .. });
    let subject = speech.say(if is_reminder { "letter.reminder" } else { "letter.subject" })?;
    let subject = clean::one_line(&subject, SUBJECT_MAX_CHARS);
    let facts = |join_url: Value| {
        context! {
            join_url, is_reminder, subject => &subject, lang => language.tag, dir => &language.dir,
            has_account => invitation.has_account, limits => LIMITS.to_vec(),
            channels => words::channels(invitation),
            say => speech.as_value(),
        }
    };
    Ok(Letter {
        to: to.clone(),
        to_name: clean::name(&invitation.full_name),
        text: render("invitation.txt", &facts(Value::from(&join_url)))?,
        html: render("invitation.html", &facts(layout::html_url(&join_url)))?,
        subject,
        message_key: message_key.to_owned(),
        date,
        unsubscribe: reminders_only(is_reminder, invitation.unsubscribe.as_deref())
            .map(str::to_owned),
        in_reply_to: reminders_only(is_reminder, invitation.thread.as_deref()).map(str::to_owned),
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
    let organization = clean::one_line(organization, clean::NAME_MAX_CHARS);
    let subject = format!("[cliqbridge] {organization}: {title}");
    let subject = clean::one_line(&subject, SUBJECT_MAX_CHARS);
    let paragraphs = clean::paragraphs(&notice.body, NOTICE_BODY_MAX_CHARS);
    let facts = context! { lang => "en", dir => "ltr", subject => &subject, title, paragraphs, organization };
    Ok(Letter {
        to: to.clone(),
        to_name: String::new(),
        text: render("notice.txt", &facts)?,
        html: render("notice.html", &facts)?,
        subject,
        message_key: message_key.to_owned(),
        date,
        unsubscribe: None,
        in_reply_to: None,
    })
}

/// The invitation as a bot message with a Join button. A URL that the button may not carry
/// (contract section 2.3) goes into the text; one that is not http(s) is not shown at all, and the
/// text points to the letter.
///
/// # Errors
/// When the expiry cannot be shown.
pub fn bot_message(invitation: &Invitation) -> Result<BotMessage, RenderError> {
    let language = words::language([invitation.language.as_str()])?;
    let mut facts = Facts::of(invitation, "", language)?;
    facts.organization = clean::without_markup(&facts.organization);
    facts.inviter = clean::without_markup(&facts.inviter);
    let speech = Speech::new(language, &facts);
    let mut lines = vec![
        format!("{} {}", speech.say("invitation.invited")?, speech.say("bot.limits")?),
        speech.say("invitation.expires")?,
    ];
    let channels = words::channels(invitation).join(", ");
    if !channels.is_empty() {
        let heading = speech.say("bot.channels")?;
        lines.push(format!("{heading} {}", clean::without_markup(&channels)));
    }
    let title = match invitation.kind {
        Kind::First => speech.say("bot.title")?,
        Kind::Reminder { .. } => speech.say("bot.reminder")?,
    };
    let button = match join_url(&invitation.join_url, BUTTON_URL_MAX_CHARS) {
        Some(url) => Some(Button {
            label: clean::capped(&speech.say("bot.button")?, BUTTON_LABEL_MAX_CHARS),
            hint: clean::capped(&speech.say("bot.hint")?, BUTTON_HINT_MAX_CHARS),
            key: BUTTON_KEY.to_owned(),
            url,
        }),
        None => None,
    };
    match (&button, join_url(&invitation.join_url, JOIN_URL_MAX_CHARS)) {
        (Some(_), _) => {}
        (None, Some(url)) => lines.push(format!("{} {url}", speech.say("bot.link")?)),
        (None, None) => lines.push(speech.say("bot.see_mail")?),
    }
    Ok(BotMessage {
        text: clean::capped(&lines.join("\n"), BOT_TEXT_MAX_CHARS),
        title: button.is_some().then(|| clean::capped(&title, BOT_TITLE_MAX_CHARS)),
        button,
    })
}

fn render(name: &str, facts: &Value) -> Result<String, RenderError> {
    let letters = LETTERS.as_ref().map_err(|what| RenderError::Catalogue(what.clone()))?;
    Ok(letters.get_template(name)?.render(facts)?)
}

fn reminders_only(is_reminder: bool, value: Option<&str>) -> Option<&str> {
    value.filter(|_| is_reminder)
}

/// The URL in its canonical spelling, if it is http(s) and at most `max` characters.
fn join_url(text: &str, max: usize) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (web && url.as_str().chars().count() <= max).then(|| url.into())
}
