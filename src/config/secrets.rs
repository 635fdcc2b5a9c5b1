//! Secrets: read from a file or a systemd credential, never from the configuration itself.
//!
//! Deliberately absent: any message that holds a secret's content, and any check of a file's mode;
//! who may read it is the system's affair.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::keys;
use super::leaf;
use super::reader::{Entry, Section};
use crate::domain::Secret;

/// Largest secret file, bytes; anything larger is the wrong file.
const SECRET_MAX_BYTES: usize = 64 * 1024;

/// Decoded length of a Standard Webhooks key, bytes. The standard asks for 24 to 64; senders with
/// 16 or 128 exist, and both are safe with HMAC-SHA256.
const STANDARD_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

/// Shortest bootstrap token, characters: below this, guessing is feasible.
const TOKEN_MIN_CHARS: usize = 16;

/// A secret and the words that name its place.
pub(super) struct Found<'a> {
    pub(super) secret: Secret,
    /// The `file` or `credential` value, where mistakes are reported.
    entry: Entry<'a>,
    place: String,
}

impl Found<'_> {
    /// Reports something wrong with the content, naming only its place.
    fn fail(&self, what: &str) {
        self.entry.fail_unseen(format!("{} {what}", self.place));
    }

    /// The content, when it is one line of text: such secrets travel in headers and forms.
    pub(super) fn into_text(self) -> Option<Secret> {
        let text = self.secret.expose_text();
        if text.is_some_and(|text| !text.chars().any(char::is_control)) {
            return Some(self.secret);
        }
        self.fail("must hold one line of text");
        None
    }

    /// One line of text, long enough to serve as a bearer token.
    pub(super) fn into_token(self) -> Option<Secret> {
        let length = self.secret.expose_text().map_or(0, |text| text.chars().count());
        if length < TOKEN_MIN_CHARS {
            self.fail(
                "must hold a token of at least 16 characters; make one with: openssl rand -hex 32",
            );
            return None;
        }
        self.into_text()
    }

    /// The decoded key of the `standard` scheme: base64 after an optional `whsec_`.
    pub(super) fn into_standard_key(self) -> Option<Secret> {
        const BASE64: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let text = self.secret.expose_text().unwrap_or_default();
        let Ok(key) = BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)) else {
            self.fail("must hold base64, with or without whsec_ before it (Standard Webhooks)");
            return None;
        };
        let key = Secret::new(key);
        if !STANDARD_KEY_BYTES.contains(&key.expose().len()) {
            self.fail("must hold a key of 16 to 128 bytes in base64 (Standard Webhooks: 24 to 64)");
            return None;
        }
        Some(key)
    }
}

/// The secret under a key; `None` when absent, or wrong and reported.
pub(super) fn optional<'a>(parent: &Section<'a>, key: &str) -> Option<Found<'a>> {
    let section = open(&parent.entry(key)?, keys::SECRET)?;
    read(&section)
}

/// The secret under a key; its absence is reported.
pub(super) fn required<'a>(parent: &Section<'a>, key: &str) -> Option<Found<'a>> {
    if !parent.has(key) {
        parent.missing(key, &format!("{{ file = \"secrets/{key}\" }}"));
    }
    optional(parent, key)
}

/// The table that names a secret. Anything else in its place may be the secret itself, and is
/// refused without being shown.
pub(super) fn open<'a>(entry: &Entry<'a>, known: &'static [&'static str]) -> Option<Section<'a>> {
    if !matches!(entry.value, toml::de::DeValue::Table(_)) {
        entry.fail_unseen(
            "a secret must not stand in this file; move it into a file of its own and write \
             { file = \"path\" }, or { credential = \"name\" } under systemd",
        );
        return None;
    }
    entry.section(known)
}

/// Reads what an opened table names.
pub(super) fn read<'a>(section: &Section<'a>) -> Option<Found<'a>> {
    let document = section.document;
    let (entry, path, place) = match (section.entry("file"), section.entry("credential")) {
        (Some(entry), None) => {
            let path = document.base.join(entry.parse(leaf::text)?);
            let place = format!("the file {}", path.display());
            (entry, path, place)
        }
        (None, Some(entry)) => {
            let name = entry.parse(credential_name)?;
            let Some(folder) = &document.credentials else {
                entry.fail(format!(
                    "there are no credentials here; start under systemd with \
                     LoadCredential={name}:PATH, or write {{ file = \"path\" }}"
                ));
                return None;
            };
            (entry, folder.join(&name), format!("the credential {name}"))
        }
        (Some(_), Some(_)) => {
            section.fail("names both a file and a credential; keep one");
            return None;
        }
        (None, None) => {
            section.fail("names no secret; write { file = \"path\" } or { credential = \"name\" }");
            return None;
        }
    };
    match content(&path) {
        Ok(bytes) if bytes.is_empty() => {
            entry.fail_unseen(format!("{place} is empty; write the secret into it"));
            None
        }
        Ok(bytes) => Some(Found { secret: Secret::new(bytes), entry, place }),
        Err(why) => {
            entry.fail_unseen(format!("{place} cannot be read: {why}"));
            None
        }
    }
}

/// The file's bytes without surrounding white space.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(SECRET_MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_MAX_BYTES {
        return Err(io::Error::other("larger than 64 KiB; is this the right file?"));
    }
    Ok(bytes.trim_ascii().to_vec())
}

/// A name that stays inside the credentials folder.
fn credential_name(value: &toml::de::DeValue<'_>) -> Result<String, String> {
    let name = leaf::text(value)?;
    let plain = PathBuf::from(&name).file_name().is_some_and(|file| file == name.as_str());
    if plain { Ok(name) } else { Err("must be a plain name without a path".to_owned()) }
}
