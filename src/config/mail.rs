//! Reads `[mail]`: where mail goes out, and who stands in it.
//!
//! Deliberately absent: connecting. That `smtp://` to another machine needs STARTTLS is `mail`'s rule.

use toml::de::DeValue;

use super::address::{email, mailbox, smtp_url};
use super::leaf;
use super::reader::Section;
use super::secrets;
use super::sections::Mail;

/// Mails an hour: what a shared submission service tolerates, and the most anyone needs.
const PER_HOUR_DEFAULT: u32 = 500;
const PER_HOUR_MAX: u32 = 1_000_000;

/// `[mail]`
pub(super) fn read_mail(section: &Section<'_>) -> Option<Mail> {
    let smtp = section.required("smtp", "\"smtps://mail.example\"", smtp_url);
    let from = section.required("from", "\"Acme Access <access@acme.example>\"", mailbox);
    let reply_to = section.optional("reply_to", mailbox);
    let admins = section.list("admins", email);
    let per_hour = section.or("per_hour", PER_HOUR_DEFAULT, leaf::number(1..=PER_HOUR_MAX));
    let user = read_user(section);
    let password = secrets::optional(section, "password").and_then(secrets::Found::into_text);
    match (section.has("user"), section.has("password")) {
        (true, false) => section.missing("password", "{ file = \"secrets/smtp\" }, beside user"),
        (false, true) => section.missing("user", "\"NAME\", beside password"),
        _ => {}
    }
    Some(Mail { smtp: smtp?, user, password, from: from?, reply_to, admins, per_hour })
}

/// The user may be written here, or come from a secret like the password.
fn read_user(section: &Section<'_>) -> Option<String> {
    let entry = section.entry("user")?;
    if !matches!(entry.value, DeValue::Table(_)) {
        return entry.parse(leaf::text);
    }
    let secret = secrets::optional(section, "user")?.into_text()?;
    secret.expose_text().map(str::to_owned)
}
