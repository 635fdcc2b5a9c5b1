//! Reading a mail: headers (RFC 5322), encoded words (RFC 2047), parts (RFC 2045, 2046).
//!
//! Lenient: what cannot be decoded is shown as it is. Deliberately absent: attachments, and
//! character sets other than UTF-8, US-ASCII and ISO 8859-1.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::wire::hex_pair;

/// Nested multiparts that are followed; deeper ones are shown as nothing.
const DEPTH_MAX: usize = 8;

/// A mail's headers and its two bodies.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
}

/// Takes a raw mail apart.
pub(super) fn parse(raw: &[u8]) -> Parsed {
    let (headers, body) = split(raw);
    let mut parsed = Parsed::default();
    collect(&headers, body, &mut parsed, 0);
    for (name, value) in headers {
        let value = decode_words(&value);
        parsed
            .headers
            .entry(name)
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert(value);
    }
    parsed
}

type Headers = Vec<(String, String)>;

fn split(raw: &[u8]) -> (Headers, &[u8]) {
    let mut headers: Headers = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let (line, after) = take_line(rest);
        if line.is_empty() {
            return (headers, after);
        }
        rest = after;
        let text = String::from_utf8_lossy(line);
        if text.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(text.trim());
            }
        } else if let Some((name, value)) = text.split_once(':') {
            headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    (headers, rest)
}

/// The first line without its end, and what follows.
fn take_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, after) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), after.get(1..).unwrap_or_default())
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn collect(headers: &Headers, body: &[u8], parsed: &mut Parsed, depth: usize) {
    let kind = header(headers, "content-type").unwrap_or("text/plain");
    let mime = kind.split(';').next().unwrap_or_default().trim().to_lowercase();
    if mime.starts_with("multipart/") && depth < DEPTH_MAX {
        let boundary = parameter(kind, "boundary").unwrap_or_default();
        for part in parts(body, &boundary) {
            let (headers, body) = split(part);
            collect(&headers, body, parsed, depth + 1);
        }
        return;
    }
    let slot = match mime.as_str() {
        "text/plain" => &mut parsed.text,
        "text/html" => &mut parsed.html,
        _ => return,
    };
    if slot.is_none() {
        let encoding = header(headers, "content-transfer-encoding").unwrap_or("7bit");
        let bytes = match encoding.trim().to_lowercase().as_str() {
            "base64" => base64(body),
            "quoted-printable" => quoted_printable(body, false),
            _ => body.to_vec(),
        };
        let charset = parameter(kind, "charset").unwrap_or_default();
        *slot = Some(text(&bytes, &charset).replace("\r\n", "\n"));
    }
}

/// A parameter of a structured header, unquoted.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        key.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let (open, close) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    let mut rest = body;
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        let (line, after) = take_line(rest);
        let line = line.trim_ascii_end();
        if line == open.as_bytes() || line == close.as_bytes() {
            if let Some(part) = start.and_then(|start| body.get(start..at)) {
                // The line break before a boundary belongs to the boundary.
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                parts.push(part.strip_suffix(b"\r").unwrap_or(part));
            }
            start = (line == open.as_bytes()).then(|| body.len() - after.len());
        }
        rest = after;
    }
    parts
}

fn text(bytes: &[u8], charset: &str) -> String {
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn base64(body: &[u8]) -> Vec<u8> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let compact: Vec<u8> =
        body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    engine.decode(&compact).unwrap_or(compact)
}

/// Quoted-printable; in encoded words (`underscores`) `_` is a space.
fn quoted_printable(body: &[u8], underscores: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match rest {
            [b'=', b'\r', b'\n', after @ ..] | [b'=', b'\n', after @ ..] => (None, after),
            [b'=', high, low, after @ ..] => match hex_pair(*high, *low) {
                Some(byte) => (Some(byte), after),
                None => (Some(*first), tail),
            },
            [b'_', ..] if underscores => (Some(b' '), tail),
            _ => (Some(*first), tail),
        };
        out.extend(byte);
        rest = after;
    }
    out
}

/// Decodes the encoded words of a header; white space between two of them falls away.
fn decode_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        let Some((word, after)) = encoded_word(from) else {
            let (skipped, after) = rest.split_at(start + 2);
            out.push_str(skipped);
            rest = after;
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        rest = after;
        after_word = true;
    }
    out.push_str(rest);
    out
}

/// The text of the encoded word that `from` begins with, and what follows it.
fn encoded_word(from: &str) -> Option<(String, &str)> {
    let (charset, rest) = from.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (payload, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => base64(payload.as_bytes()),
        "Q" | "q" => quoted_printable(payload.as_bytes(), true),
        _ => return None,
    };
    Some((text(&bytes, charset), after))
}

#[cfg(test)]
mod tests {
    use super::{decode_words, parse};

    #[test]
    fn encoded_words_of_both_kinds() {
        assert_eq!(decode_words("=?utf-8?B?w4Vr?= =?utf-8?Q?e_x?= <a@x>"), "Åke x <a@x>");
        assert_eq!(decode_words("2 =? 3"), "2 =? 3");
    }

    #[test]
    fn alternative_parts_are_decoded() {
        let raw = b"Subject: =?utf-8?q?Hej_=C3=85ke?=\r\n you\r\nContent-Type: multipart/alternative;\r\n \
            boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\na =3D b=\r\nc\r\n--b\r\n\
            Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+\r\naDwvYj4=\r\n\
            --b--\r\n";
        let parsed = parse(raw);
        assert_eq!(parsed.headers["subject"], "Hej Åke you");
        assert_eq!(parsed.text.as_deref(), Some("a = bc"));
        assert_eq!(parsed.html.as_deref(), Some("<b>h</b>"));
    }

    #[test]
    fn garbage_is_shown_not_refused() {
        let parsed = parse(b"\xff\xfe no header\r\n\r\n=ZZ");
        assert_eq!(parsed.text.as_deref(), Some("=ZZ"));
    }
}
