//! A letter as an RFC 5322 message. The same letter gives the same bytes, so that a letter sent
//! twice is recognisably one: same `Message-ID`, same `Date`, same boundary.
//!
//! Deliberately absent: DKIM, which the relay signs, and attachments.

use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::MailError;
use crate::config;
use crate::domain::{Email, Letter, Timestamp};

/// Longest `message_key`, in bytes; with the domain it keeps the header on one line of at most 998
/// bytes (RFC 5322 section 2.1.1).
const MESSAGE_KEY_MAX_BYTES: usize = 200;

/// Last second that a `Date` header can name (9999-12-31T23:59:59Z), in milliseconds.
const DATE_MAX_MILLIS: i64 = 253_402_300_799_000;

/// Bytes of the digest in a boundary: 32 hexadecimal digits of the 70 that RFC 2046 allows.
const BOUNDARY_DIGEST_BYTES: usize = 16;

/// Writes the message: plain text first, then HTML, both UTF-8 in quoted-printable, which keeps
/// lines short and cannot contain the boundary (`=_` is no valid escape).
///
/// # Errors
/// [`MailError::Unwritable`] if a header would hold a control character, or the key or an address
/// does not fit its header. Nothing is repaired: that is the renderer's part.
pub fn message(mail: &config::Mail, letter: &Letter) -> Result<Message, MailError> {
    let from = mailbox("the sender's name", &mail.from.name, &mail.from.email)?;
    let to = mailbox("the recipient's name", &letter.to_name, &letter.to)?;
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()])
        .map_err(|error| unwritable(&error.to_string()))?;
    let id = message_id(&letter.message_key, mail.from.email.domain())?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .from(from)
        .to(to)
        .subject(one_line("the subject", &letter.subject)?)
        .date(UNIX_EPOCH + since_epoch(letter.date))
        .raw_header(plain_header("Message-ID", id))
        .raw_header(plain_header("Auto-Submitted", "auto-generated".to_owned()));
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(mailbox("the reply name", &reply_to.name, &reply_to.email)?);
    }
    if let Some(first) = &letter.in_reply_to {
        let first = message_id(first, mail.from.email.domain())?;
        builder = builder
            .raw_header(plain_header("In-Reply-To", first.clone()))
            .raw_header(plain_header("References", first));
    }
    // Whatever is no plain URL would be a header of its own.
    let plain = |url: &&String| url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'>');
    if let Some(url) = letter.unsubscribe.as_ref().filter(plain) {
        let one_click = "List-Unsubscribe=One-Click".to_owned();
        builder = builder
            .raw_header(plain_header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(plain_header("List-Unsubscribe-Post", one_click));
    }
    let alternatives = MultiPart::alternative()
        .boundary(boundary(&letter.message_key))
        .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
        .singlepart(part(ContentType::TEXT_HTML, &letter.html));
    builder.multipart(alternatives).map_err(|error| unwritable(&error.to_string()))
}

fn part(content_type: ContentType, body: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(body.to_owned())
}

fn mailbox(what: &str, name: &str, email: &Email) -> Result<Mailbox, MailError> {
    let name = Some(one_line(what, name)?).filter(|name| !name.is_empty());
    let address = email.as_str().parse();
    address
        .map(|address| Mailbox::new(name, address))
        .map_err(|error| unwritable(&format!("{}: {error}", email.masked())))
}

/// `<key@domain>`. The key is a dot-atom (RFC 5322 section 3.2.3), so it needs no quoting anywhere.
fn message_id(key: &str, domain: &str) -> Result<String, MailError> {
    let atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    if key.len() > MESSAGE_KEY_MAX_BYTES || !key.split('.').all(atom) {
        return Err(unwritable(&format!("{key:?} cannot be the left side of a Message-ID")));
    }
    Ok(format!("<{key}@{domain}>"))
}

fn boundary(message_key: &str) -> String {
    let digest = Sha256::digest(message_key.as_bytes());
    format!("=_{}", hex::encode(digest.get(..BOUNDARY_DIGEST_BYTES).unwrap_or(&digest)))
}

fn one_line(what: &str, text: &str) -> Result<String, MailError> {
    if text.chars().any(char::is_control) {
        return Err(unwritable(&format!("{what} contains a control character")));
    }
    Ok(text.to_owned())
}

/// A header whose value is known to be printable ASCII, and must not be folded or encoded.
fn plain_header(name: &'static str, value: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
}

/// Time since the epoch, inside what a `Date` header can say; the encoder panics outside.
fn since_epoch(date: Timestamp) -> Duration {
    let millis = date.millis().clamp(0, DATE_MAX_MILLIS);
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn unwritable(what: &str) -> MailError {
    MailError::Unwritable(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::domain::Timestamp;
    use crate::mail::MailError;
    use crate::mail::tests::{letter, mail};

    fn text(of: &crate::domain::Letter) -> String {
        String::from_utf8(message(&mail("smtp://127.0.0.1:25"), of).unwrap().formatted()).unwrap()
    }

    #[test]
    fn headers_and_parts_are_as_written() {
        let text = text(&letter());
        for line in [
            "From: \"Acme Access\" <access@acme.example>",
            "Reply-To: it@acme.example",
            "To: \"Ada Lovelace\" <ada@birch.example>",
            "Subject: Join Acme",
            "Date: Tue, 24 Nov 2026 07:30:00 +0000",
            "Message-ID: <inv-mem-1-g1-1@acme.example>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
            "Caf=C3=A9 https://x.example/join?t=3D1",
        ] {
            assert!(text.split("\r\n").any(|found| found == line), "{line:?} in\n{text}");
        }
        assert!(!text.contains("List-Unsubscribe"));
        let (plain, html) = (text.find("text/plain").unwrap(), text.find("text/html").unwrap());
        assert!(plain < html, "the last alternative is the preferred one (RFC 2046)");
        assert!(text.is_ascii());
    }

    #[test]
    fn a_retried_letter_is_byte_equal_and_another_letter_has_another_boundary() {
        assert_eq!(text(&letter()), text(&letter()));
        let mut other = letter();
        other.message_key = "inv-mem-1-g1-2".to_owned();
        let boundary = |text: &str| text.split("boundary=").nth(1).unwrap()[..36].to_owned();
        assert!(boundary(&text(&letter())).starts_with("\"=_"));
        assert_ne!(boundary(&text(&letter())), boundary(&text(&other)));
    }

    #[test]
    fn unsubscribing_is_offered_where_the_letter_says_so() {
        let mut of = letter();
        of.unsubscribe = Some("https://bridge.example/join/0f".to_owned());
        for line in [
            "\r\nList-Unsubscribe: <https://bridge.example/join/0f>\r\n",
            "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        ] {
            assert!(text(&of).contains(line), "{}", text(&of));
        }
        of.unsubscribe = Some("https://bridge.example/\r\nBcc: all@acme.example".to_owned());
        assert!(!text(&of).contains("Bcc"), "no header of its own");
    }

    #[test]
    fn a_letter_that_follows_another_names_it() {
        let mut of = letter();
        of.in_reply_to = Some("inv-mem-1-g1-0".to_owned());
        for name in ["In-Reply-To", "References"] {
            let line = format!("\r\n{name}: <inv-mem-1-g1-0@acme.example>\r\n");
            assert!(text(&of).contains(&line), "{}", text(&of));
        }
    }

    #[test]
    fn no_line_break_reaches_a_header() {
        let spoil: [fn(&mut crate::domain::Letter); 5] = [
            |of| of.subject = "Join\r\nBcc: m@evil.example".to_owned(),
            |of| of.to_name = "Mallory\nBcc: m@evil.example".to_owned(),
            |of| of.message_key = "k>\r\nBcc: m@evil.example".to_owned(),
            |of| of.message_key = String::new(),
            |of| of.in_reply_to = Some("k>\r\nBcc: m@evil.example".to_owned()),
        ];
        for spoil in spoil {
            let mut of = letter();
            spoil(&mut of);
            let made = message(&mail("smtp://127.0.0.1:25"), &of);
            assert!(matches!(made, Err(MailError::Unwritable(_))), "{of:?}");
        }
    }

    #[test]
    fn names_outside_ascii_and_dates_outside_reason_are_written() {
        let mut of = letter();
        of.to_name = "Zoë \"Z\" 🦀, Ltd <x>".to_owned();
        of.subject = "Grüße".to_owned();
        for at in [i64::MIN, i64::MAX] {
            of.date = Timestamp(at);
            let text = text(&of);
            assert!(text.is_ascii());
            assert!(text.contains("Subject: =?utf-8?b?R3LDvMOfZQ==?="), "{text}");
        }
    }
}
