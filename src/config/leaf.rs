//! Single values: text, numbers, words of a list, names. Each says what to write instead.
//!
//! Deliberately absent: addresses (`address.rs`), durations' grammar (`units.rs`), secrets.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::units;
use crate::domain::Timestamp;

/// Longest identifier of an organization or a source, in characters; it travels in paths and logs.
const SLUG_MAX_CHARS: usize = 40;

/// Text that may be empty.
pub(super) fn any_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.chars().any(char::is_control) => {
            Err("must not hold line breaks or other control characters".to_owned())
        }
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => {
            Err(format!("must be text; write it in quotes: \"{}\"", number.as_str()))
        }
        other => Err(format!("must be text in quotes, not {}", kind(other))),
    }
}

/// Text with something in it.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = any_text(value)?;
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text)
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(flag) => Ok(*flag),
        other => Err(format!("must be true or false without quotes, not {}", kind(other))),
    }
}

/// A whole number within limits.
pub(super) fn number(limits: RangeInclusive<u32>) -> impl Fn(&DeValue<'_>) -> Result<u32, String> {
    move |value| {
        let hint = format!("a whole number from {} to {}", limits.start(), limits.end());
        let DeValue::Integer(integer) = value else {
            return Err(format!("must be {hint} without quotes, not {}", kind(value)));
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        number.filter(|number| limits.contains(number)).ok_or_else(|| format!("must be {hint}"))
    }
}

/// A duration within limits.
pub(super) fn duration(
    limits: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    move |value| {
        if let DeValue::Integer(number) = value {
            return Err(format!("a duration needs its unit: write \"{}s\"", number.as_str()));
        }
        let duration = units::duration(&any_text(value)?)?;
        if limits.contains(&duration) {
            return Ok(duration);
        }
        let show = |limit: &Duration| units::show_duration(*limit);
        Err(format!("must be from \"{}\" to \"{}\"", show(limits.start()), show(limits.end())))
    }
}

/// A size in bytes within limits; a bare number counts bytes.
pub(super) fn size(
    limits: RangeInclusive<usize>,
    hint: &str,
) -> impl Fn(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let bytes = match value {
            DeValue::Integer(number) => units::size(number.as_str())?,
            other => units::size(&any_text(other)?)?,
        };
        if limits.contains(&bytes) { Ok(bytes) } else { Err(format!("must be {hint}")) }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let text = any_text(value)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("must be {}", words.join(" or "))
        })
    }
}

/// The name of an organization or a source: `[a-z0-9-]{1,40}`.
pub(super) fn slug(value: &DeValue<'_>) -> Result<String, String> {
    let text = any_text(value)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > SLUG_MAX_CHARS || !text.chars().all(plain) {
        return Err("must be 1 to 40 of a-z, 0-9 and -, such as \"acme\"".to_owned());
    }
    Ok(text)
}

/// The unique name of a bot or a channel, which becomes a part of a path (contract section 2).
pub(super) fn unique_name(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    if text.contains(['/', '?', '#', '%', '@']) || text.contains(char::is_whitespace) {
        return Err("must be the unique name as Cliq shows it, without #, @ or spaces".to_owned());
    }
    Ok(text)
}

/// The name of an HTTP header (RFC 9110 section 5.1).
pub(super) fn header_name(value: &DeValue<'_>) -> Result<String, String> {
    let text = any_text(value)?;
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(_) => Err("not a header name; write one such as \"X-Bridge-Signature\"".to_owned()),
    }
}

/// Text, or a whole number taken as its digits.
pub(super) fn text_or_integer(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Integer(number) => Ok(number.to_string()),
        other => text(other),
    }
}

/// An RFC 3339 instant, in quotes or bare as TOML allows.
pub(super) fn instant(value: &DeValue<'_>) -> Result<Timestamp, String> {
    let text = match value {
        DeValue::Datetime(datetime) => datetime.to_string(),
        other => any_text(other)?,
    };
    Timestamp::parse(&text).ok_or_else(|| {
        "not an instant; write RFC 3339 with an offset, such as \"2026-11-24T00:00:00Z\"".to_owned()
    })
}

/// What a value is, for "must be …, not …".
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
