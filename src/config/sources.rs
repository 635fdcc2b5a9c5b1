//! Reads `[[sources]]`: who may post webhooks, and how they prove it (design section 11, "Schemes").
//!
//! Deliberately absent: verification; `logic` does it with what is read here.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::keys;
use super::leaf;
use super::reader::{Section, unique};
use super::secrets;
use super::sections::Source;
use crate::domain::OrgId;
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey, TOKEN_HEADER};

/// Standard Webhooks' window, and the longest that still makes a replay hard to use.
const TOLERANCE_DEFAULT: Duration = Duration::from_mins(5);
const TOLERANCE_MAX: Duration = Duration::from_hours(1);

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Zoho Billing repeats a failed delivery for days; the others are retried by their senders for
/// hours at most.
const BILLING_AGE_DEFAULT: Duration = DAY.saturating_mul(3);
const UNTIMED_AGE_DEFAULT: Duration = DAY;
const AGE_MAX: Duration = DAY.saturating_mul(365);

/// Which of the keys below each scheme understands.
const OWN_KEYS: &[(&str, &[&str])] = &[
    ("standard", &[]),
    ("zoho-billing", &["encoding"]),
    ("zoho-payments", &[]),
    ("raw", &["header", "prefix", "encoding", "hash"]),
    ("timestamped", &["header", "field", "separator", "encoding", "hash"]),
    ("token", &["header"]),
];
const SCHEME_KEYS: [&str; 6] = ["header", "prefix", "encoding", "hash", "separator", "field"];

const ENCODINGS: &[(&str, Encoding)] =
    &[("hex", Encoding::Hex), ("base64", Encoding::Base64), ("auto", Encoding::Auto)];

/// Reads every source. `organizations` are the ids that exist, right or wrong.
pub(super) fn read_sources(root: &Section<'_>, organizations: &[String]) -> Vec<Source> {
    let sections = root.sections("sources", keys::SOURCE);
    unique(&sections, "name", "a source");
    sections.iter().filter_map(|section| read_source(section, organizations)).collect()
}

fn read_source(section: &Section<'_>, known: &[String]) -> Option<Source> {
    let name = section.required("name", "\"crmplus\"", leaf::slug);
    let word = section.required("scheme", "\"standard\"", scheme_word);
    let scheme = word.and_then(|word| read_scheme(section, word));
    let tolerance = leaf::duration(SECOND..=TOLERANCE_MAX);
    let tolerance = section.or("tolerance", TOLERANCE_DEFAULT, tolerance);
    let max_event_age = section.optional("max_event_age", leaf::duration(SECOND..=AGE_MAX));
    let (organization, organizations) = read_organizations(section, known);
    let secrets = read_secrets(section, word);
    Some(Source {
        name: name?,
        scheme: scheme?,
        tolerance,
        max_event_age: max_event_age.or_else(|| word.and_then(age_default)),
        organization,
        organizations,
        secrets,
    })
}

/// The scheme's word; the refused ones are named, so that nobody tries them again.
fn scheme_word(value: &DeValue<'_>) -> Result<&'static str, String> {
    let text = leaf::text(value)?;
    let words: Vec<&str> = OWN_KEYS.iter().map(|(word, _)| *word).collect();
    match text.as_str() {
        "ed25519" | "standard-v1a" | "v1a" => {
            Err("Ed25519 signatures (v1a) are not accepted; let the sender sign with a shared \
                 secret and write \"standard\""
                .to_owned())
        }
        "crm-watch" => Err(
            "a CRM watch echoes a token and signs nothing; write \"token\", and name this source \
                 in organizations.watch"
                .to_owned(),
        ),
        text => (words.iter().find(|word| **word == text).copied())
            .ok_or_else(|| format!("must be one of {}", words.join(", "))),
    }
}

fn age_default(word: &str) -> Option<Duration> {
    match word {
        "zoho-billing" => Some(BILLING_AGE_DEFAULT),
        "raw" | "token" => Some(UNTIMED_AGE_DEFAULT),
        _ => None,
    }
}

fn read_scheme(section: &Section<'_>, word: &str) -> Option<Scheme> {
    let own = OWN_KEYS.iter().find(|(known, _)| *known == word).map_or(&[][..], |(_, own)| own);
    for key in SCHEME_KEYS.iter().filter(|key| !own.contains(key)) {
        let owners = OWN_KEYS.iter().filter(|(_, keys)| keys.contains(key));
        let owners: Vec<&str> = owners.map(|(word, _)| *word).collect();
        let owners = owners.join(", ");
        section.fail_at(key, format!("scheme {word} has no {key} (it is for {owners}); remove it"));
    }
    let encoding = |default| {
        if own.contains(&"encoding") {
            section.or("encoding", default, leaf::choice(ENCODINGS))
        } else {
            default
        }
    };
    match word {
        "standard" => Some(Scheme::Standard),
        "zoho-billing" => Some(Scheme::ZohoBilling { encoding: encoding(Encoding::Auto) }),
        "zoho-payments" => Some(Scheme::ZohoPayments),
        "raw" => {
            let (encoding, hash) =
                (encoding(Encoding::Auto), section.or("hash", Hash::Sha256, hash));
            let prefix = section.or("prefix", String::new(), leaf::any_text);
            let header = section.required("header", "\"X-Bridge-Signature\"", leaf::header_name)?;
            Some(Scheme::Raw { header, prefix, encoding, hash })
        }
        "timestamped" => {
            let (encoding, hash) =
                (encoding(Encoding::Hex), section.or("hash", Hash::Sha256, hash));
            let field = section.or("field", "v1".to_owned(), field);
            let separator = section.or("separator", ".".to_owned(), leaf::any_text);
            let header = section.required("header", "\"X-Bridge-Signature\"", leaf::header_name)?;
            Some(Scheme::Timestamped { header, field, separator, encoding, hash })
        }
        _ => {
            let header = section.or("header", TOKEN_HEADER.to_owned(), leaf::header_name);
            Some(Scheme::Token { header })
        }
    }
}

fn hash(value: &DeValue<'_>) -> Result<Hash, String> {
    let text = leaf::text(value)?;
    if matches!(text.to_ascii_lowercase().as_str(), "sha1" | "sha-1") {
        return Err(
            "SHA-1 is not accepted; let the sender sign with \"sha256\" or \"sha512\"".to_owned()
        );
    }
    leaf::choice(&[("sha256", Hash::Sha256), ("sha512", Hash::Sha512)])(value)
}

/// The signature's field in a `t=…,v1=…` header; `t` is the time's.
fn field(value: &DeValue<'_>) -> Result<String, String> {
    let text = leaf::text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text == "t" || !text.chars().all(plain) {
        return Err("must be a name such as \"v1\", and not \"t\", which holds the time".to_owned());
    }
    Ok(text)
}

/// `organization` and `organizations`, which must name configured ones.
fn read_organizations(
    section: &Section<'_>,
    known: &[String],
) -> (Option<OrgId>, Option<BTreeSet<OrgId>>) {
    let exists = |value: &DeValue<'_>| {
        let id = leaf::text(value)?;
        if known.contains(&id) {
            return Ok(OrgId::new(id));
        }
        Err(format!("no organization has this id; configured are: {}", known.join(", ")))
    };
    let organization = section.optional("organization", exists);
    let restricted = section.has("organizations");
    let before = section.document.count();
    let allowed: BTreeSet<OrgId> = section.list("organizations", exists).into_iter().collect();
    if restricted && before == section.document.count() {
        if allowed.is_empty() {
            section.fail_at("organizations", "must not be empty; remove it to allow all");
        } else if organization.as_ref().is_some_and(|one| !allowed.contains(one)) {
            section.fail_at("organization", "must be one of this source's organizations");
        }
    }
    (organization, restricted.then_some(allowed))
}

fn read_secrets(section: &Section<'_>, word: Option<&str>) -> Vec<SigningKey> {
    const EXAMPLE: &str = "[{ id = \"a\", file = \"secrets/NAME\" }]";
    let Some(entry) = section.entry("secrets") else {
        section.missing("secrets", EXAMPLE);
        return Vec::new();
    };
    if matches!(entry.value, DeValue::String(_)) {
        // Reports that a secret must not stand here, without showing it.
        secrets::open(&entry, keys::SIGNING_KEY);
        return Vec::new();
    }
    let items = entry.items().unwrap_or_default();
    if items.is_empty() && matches!(entry.value, DeValue::Array(_)) {
        entry.fail(format!("a source without a secret accepts nothing; write {EXAMPLE}"));
    }
    let opened: Vec<Section<'_>> =
        items.iter().filter_map(|item| secrets::open(item, keys::SIGNING_KEY)).collect();
    unique(&opened, "id", "a secret of this source");
    opened.iter().filter_map(|one| read_signing_key(one, word)).collect()
}

fn read_signing_key(section: &Section<'_>, word: Option<&str>) -> Option<SigningKey> {
    let id = section.required("id", "\"2026-11\"", leaf::text);
    let not_before = section.optional("not_before", leaf::instant);
    let not_after = section.optional("not_after", leaf::instant);
    if let (Some(from), Some(until)) = (not_before, not_after)
        && from >= until
    {
        section.fail_at("not_after", "must be later than not_before");
    }
    let found = secrets::read(section);
    let secret = match word {
        Some("standard") => found?.into_standard_key(),
        Some("token") => found?.into_text(),
        _ => found.map(|found| found.secret),
    };
    Some(SigningKey { id: id?, secret: secret?, not_before, not_after })
}
