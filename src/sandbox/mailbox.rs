//! Mails as they lie in mailboxes, and the JSON that tests read.
//!
//! Deliberately absent: HTML pages (`pages`), and mail sent anywhere.

use std::collections::BTreeMap;

use serde::Serialize;

use super::mime;
use crate::domain::Timestamp;

/// One mail, received or sent by the simulated Zoho.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    /// Envelope recipients, as given.
    pub(super) recipients: Vec<String>,
    /// Bare address of the `From` header, or the envelope's sender.
    pub(super) from: String,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    /// Lower-cased names, unfolded and decoded values; a repeated header is joined by `, `.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) message_id: Option<String>,
    pub(super) at: String,
}

/// A mail as one recipient sees it.
#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a Option<String>,
    html: &'a Option<String>,
    headers: &'a BTreeMap<String, String>,
    message_id: &'a Option<String>,
    at: &'a str,
}

/// One address and its mails, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct Mailbox<'a> {
    pub(super) address: String,
    pub(super) mails: Vec<View<'a>>,
}

impl Mail {
    /// A mail that came in by SMTP.
    pub(super) fn received(
        sender: &str,
        recipients: &[String],
        raw: &[u8],
        now: Timestamp,
    ) -> Self {
        let message = mime::parse(raw);
        let header = |name: &str| message.headers.get(name).cloned();
        Self {
            recipients: recipients.to_vec(),
            from: header("from").map_or_else(|| sender.to_owned(), |from| bare(&from)),
            subject: header("subject").unwrap_or_default(),
            message_id: header("message-id"),
            text: message.text,
            html: message.html,
            headers: message.headers,
            at: now.to_rfc3339(),
        }
    }

    /// A mail that Zoho itself sends; it goes straight into the mailbox.
    pub(super) fn from_zoho(
        from: &str,
        to: &str,
        subject: String,
        text: String,
        number: u64,
        now: Timestamp,
    ) -> Self {
        let message_id = format!("<zoho-{number}@zoho.sandbox.example>");
        let headers = BTreeMap::from([
            ("from".to_owned(), from.to_owned()),
            ("to".to_owned(), to.to_owned()),
            ("subject".to_owned(), subject.clone()),
            ("message-id".to_owned(), message_id.clone()),
        ]);
        Self {
            recipients: vec![to.to_owned()],
            from: from.to_owned(),
            subject,
            text: Some(text),
            html: None,
            headers,
            message_id: Some(message_id),
            at: now.to_rfc3339(),
        }
    }
}

/// The address in `Name <address>`.
fn bare(from: &str) -> String {
    let inside = from.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(from, |(address, _)| address).trim().to_owned()
}

/// All mailboxes that have a mail, by address in lower case.
pub(super) fn boxes<'a>(mails: impl IntoIterator<Item = &'a Mail>) -> Vec<Mailbox<'a>> {
    let mut boxes: BTreeMap<String, Vec<View<'a>>> = BTreeMap::new();
    for mail in mails {
        for recipient in &mail.recipients {
            boxes.entry(recipient.to_lowercase()).or_default().push(View {
                from: &mail.from,
                to: recipient,
                subject: &mail.subject,
                text: &mail.text,
                html: &mail.html,
                headers: &mail.headers,
                message_id: &mail.message_id,
                at: &mail.at,
            });
        }
    }
    boxes.into_iter().map(|(address, mails)| Mailbox { address, mails }).collect()
}

impl<'a> View<'a> {
    pub(super) fn from(&self) -> &'a str {
        self.from
    }

    pub(super) fn subject(&self) -> &'a str {
        self.subject
    }

    pub(super) fn at(&self) -> &'a str {
        self.at
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.text.as_deref()
    }

    pub(super) fn html(&self) -> Option<&'a str> {
        self.html.as_deref()
    }
}
