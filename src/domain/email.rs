//! E-mail addresses: parsed once at an edge, compared in one canonical form, masked in logs.
//!
//! Canonical form (design section 11, identity): NFC, trimmed, lower case, IDNA domain.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest address accepted, in bytes (RFC 5321 section 4.5.3.1.3: a path is at most 256).
const LENGTH_MAX_BYTES: usize = 254;

/// A single, syntactically valid address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email {
    canonical: Box<str>,
}

/// Why a text is not an address that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEmail {
    /// Over 254 bytes.
    #[error("longer than 254 bytes")]
    TooLong,
    /// Contains a control character; refused so that no header can be injected.
    #[error("contains a control character")]
    ControlCharacter,
    /// Not one address in the form local@domain.
    #[error("not an e-mail address")]
    Syntax,
}

impl Email {
    /// Parses one address. Display names, lists, quoted local parts and address literals are
    /// refused: none of them is a CRM login.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, BadEmail> {
        let text = composed(text.trim());
        if text.len() > LENGTH_MAX_BYTES {
            return Err(BadEmail::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(BadEmail::ControlCharacter);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(BadEmail::Syntax)?;
        if local.contains(['"', '<', '>', ',', ';', ' ']) || domain.starts_with('[') {
            return Err(BadEmail::Syntax);
        }
        let domain = canonical_domain(domain).ok_or(BadEmail::Syntax)?;
        let lower = local.to_lowercase();
        let canonical = format!("{}@{domain}", composed(&lower));
        if canonical.len() > LENGTH_MAX_BYTES {
            return Err(BadEmail::TooLong);
        }
        let options = email_address::Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        email_address::EmailAddress::parse_with_options(&canonical, options)
            .map_err(|_| BadEmail::Syntax)?;
        Ok(Self { canonical: canonical.into_boxed_str() })
    }

    /// The canonical address: what is compared, stored and written to.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// The canonical domain.
    pub fn domain(&self) -> &str {
        self.canonical.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether it is what a directory writes over the address of a deleted account (I17): marked as
    /// deleted, or of the domain that never exists (RFC 6761). Nobody is reached there.
    pub fn is_tombstone(&self) -> bool {
        const MARKS: [&str; 4] = ["deleted-", "deleted_", "deleted.", "deleteduser"];
        const ENDS: [&str; 3] = ["-deleted", "_deleted", ".deleted"];
        let local = self.canonical.split('@').next().unwrap_or_default();
        let top = self.domain().rsplit('.').next().unwrap_or_default();
        top == "invalid"
            || top == "deleted"
            || MARKS.iter().any(|mark| local.starts_with(mark))
            || ENDS.iter().any(|end| local.ends_with(end))
    }

    /// The address as logs may show it: `a***@example.org`.
    pub fn masked(&self) -> String {
        let first: String = self.canonical.chars().take(1).collect();
        format!("{first}***@{}", self.domain())
    }
}

/// The text in NFC; plain ASCII is that already.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfc().collect() }
}

/// The canonical form of a domain: IDNA (punycode), lower case; `None` if it is not one.
pub fn canonical_domain(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain.trim()).ok().filter(|ascii| !ascii.is_empty())
}

impl fmt::Display for Email {
    /// Masked: a full address is shown only through [`Email::as_str`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::{BadEmail, Email};

    #[test]
    fn i19_i20_case_and_unicode_forms_are_one_address() {
        let composed = Email::parse("Zo\u{eb}@B\u{fc}cher.example");
        let decomposed = Email::parse(" zoe\u{308}@bu\u{308}cher.EXAMPLE ");
        assert!(composed.is_ok());
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn header_injection_and_lists_are_refused() {
        assert_eq!(
            Email::parse("a@example.org\r\nBcc: b@example.org"),
            Err(BadEmail::ControlCharacter)
        );
        for text in ["a@x.org, b@x.org", "A <a@x.org>", "a@", "@x.org", "a", "a@localhost", ""] {
            assert_eq!(Email::parse(text), Err(BadEmail::Syntax), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@x.org", "a".repeat(300))), Err(BadEmail::TooLong));
    }

    #[test]
    fn logs_see_a_masked_address() {
        let email = Email::parse("ada@acme.example");
        assert_eq!(email.map(|e| e.to_string()), Ok("a***@acme.example".to_owned()));
    }

    #[test]
    fn i17_what_is_written_over_a_deleted_account_is_a_tombstone() {
        let is = |text: &str| Email::parse(text).map(|email| email.is_tombstone());
        for text in ["deleted-7@x.example", "bo_deleted@x.example", "bo@x.invalid", "bo@x.deleted"]
        {
            assert_eq!(is(text), Ok(true), "{text}");
        }
        for text in ["bo@x.example", "undeleted@x.example", "deleted@x.example", "bo@deleted.eu"] {
            assert_eq!(is(text), Ok(false), "{text}");
        }
    }

    proptest::proptest! {
        /// What was stored reads back as the same address, whatever it was made from.
        #[test]
        fn the_canonical_form_is_a_fixed_point(local in "\\PC{1,12}", domain in "\\PC{1,12}") {
            let text = format!("{local}@{domain}.example");
            if let Ok(email) = Email::parse(&text) {
                proptest::prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }
    }

    #[test]
    fn an_address_that_grows_over_the_limit_is_refused_at_the_door() {
        let long = format!("{}@{}example", "a".repeat(64), "\u{fc}.".repeat(28));
        assert_eq!(Email::parse(&long), Err(BadEmail::TooLong));
    }
}
