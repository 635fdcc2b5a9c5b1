//! Requests taken apart, replies put together, and strictness about keys.
//!
//! Deliberately absent: what any call means. Nothing here knows a path.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

/// Query keys whose values never reach the journal.
const SECRET_KEYS: [&str; 5] = ["zapikey", "client_secret", "refresh_token", "code", "token"];

/// A request that breaks the contract: recorded, and answered with an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Violation {
    /// An HTTP 400 with Zoho's `code`.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// A key that the contract does not know (contract section 2.3).
    pub(super) fn extra_key(key: &str) -> Self {
        Self::bad("extra_key_found", format!("'{key}' is an extra key in the request."))
    }
}

/// One request with its whole body.
pub(super) struct Request {
    pub(super) method: Method,
    /// Percent-decoded path segments, without empty ones.
    pub(super) segments: Vec<String>,
    query: Vec<(String, String)>,
    /// Path and query with secrets replaced, for the journal.
    pub(super) shown: String,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let path = parts.uri.path();
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let segments = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        Self {
            shown: shown(path, &query),
            method: parts.method,
            segments,
            query,
            headers: parts.headers,
            body,
        }
    }

    /// A header's text, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The access token of the `Authorization` header (contract section 1.4: both spellings).
    pub(super) fn token(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        let known = scheme.eq_ignore_ascii_case("zoho-oauthtoken") || scheme == "Bearer";
        known.then(|| token.trim())
    }

    /// A query parameter.
    pub(super) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Refuses query keys that are not in `keys`, and repeated ones.
    pub(super) fn allow_query(&self, keys: &[&str]) -> Result<(), Violation> {
        only(self.query.iter().map(|(key, _)| key.as_str()), keys)
    }

    /// A numeric query parameter between 1 and `max`.
    pub(super) fn number(&self, key: &str, default: usize, max: usize) -> Result<usize, Violation> {
        let Some(text) = self.query(key) else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(Violation::bad("INVALID_DATA", format!("{key} must be 1 to {max}"))),
        }
    }

    /// The form or query parameters of a token request.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        if self.body.is_empty() {
            return self.query.clone();
        }
        url::form_urlencoded::parse(&self.body).into_owned().chain(self.query.clone()).collect()
    }

    /// The body as a JSON object, without looking at its keys.
    pub(super) fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The JSON object in the body; refuses another content type and keys not in `keys`.
    pub(super) fn json(&self, keys: &[&str]) -> Result<Map<String, Value>, Violation> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.to_lowercase().starts_with("application/json") {
            return Err(Violation::bad(
                "invalid_content_type",
                "the body must be application/json",
            ));
        }
        let object = self
            .object()
            .ok_or_else(|| Violation::bad("invalid_json", "the body is not a JSON object"))?;
        only(object.keys().map(String::as_str), keys)?;
        Ok(object)
    }
}

/// Refuses keys that are not in `allowed`, and repeated ones.
pub(super) fn only<'a>(
    keys: impl Iterator<Item = &'a str>,
    allowed: &[&str],
) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !allowed.contains(&key) {
            return Err(Violation::extra_key(key));
        }
        if !seen.insert(key) {
            return Err(Violation::bad("duplicate_key", format!("'{key}' is given twice")));
        }
    }
    Ok(())
}

fn shown(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in query {
        let secret = SECRET_KEYS.contains(&key.as_str());
        text.append_pair(key, if secret { "***" } else { value });
    }
    format!("{path}?{}", text.finish())
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, after @ ..] => hex_pair(*high, *low).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte written as two hexadecimal digits.
pub(super) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

/// A path segment, escaped where a URL needs it.
pub(super) fn encoded(segment: &str) -> String {
    use std::fmt::Write as _;
    segment.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json;charset=UTF-8".to_owned())];
        Self { status, headers, body: Bytes::from(body.to_string()) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn html(body: String) -> Self {
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        Self { status: 200, headers, body: Bytes::from(body) }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Which of Zoho's services speaks; each has its own shape of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Accounts,
    Crm,
    Cliq,
    Portal,
}

impl Family {
    /// An error in the words of the service (contract sections 1.2, 2.6 and 3.1).
    pub(super) fn error(self, status: u16, code: &str, message: &str) -> Reply {
        let body = match self {
            Self::Accounts => json!({"error": code}),
            Self::Crm => {
                json!({"code": code, "details": {}, "message": message, "status": "error"})
            }
            Self::Portal if status == 200 => {
                json!({"status": "refused", "code": code, "message": message})
            }
            Self::Cliq | Self::Portal => json!({"code": code, "message": message}),
        };
        Reply::json(status, &body)
    }

    /// A throttle as the service words it. Cliq's is an HTTP 400 (contract section 2.6), that of
    /// accounts an HTTP 200 (section 1.2).
    pub(super) fn throttle(self) -> Reply {
        match self {
            Self::Accounts => Reply::json(
                200,
                &json!({
                    "error": "Access Denied",
                    "error_description": "You have made too many requests continuously. \
                                          Please try again after some time.",
                    "status": "failure",
                }),
            ),
            Self::Cliq => self.error(
                400,
                "request_limit_exceeded",
                "You have exceeded the URL throttle limits.",
            ),
            Self::Crm | Self::Portal => {
                self.error(429, "TOO_MANY_REQUESTS", "too many requests in a time frame")
            }
        }
    }

    /// An unknown, expired or missing token (contract section 3.5).
    pub(super) fn unauthorized(self) -> Reply {
        match self {
            Self::Cliq => self.error(401, "oauthtoken_invalid", "The OAuth token is invalid."),
            _ => self.error(401, "INVALID_TOKEN", "invalid oauth token"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{decoded, encoded, shown};

    #[test]
    fn secrets_stay_out_of_the_journal() {
        let query = [("zapikey".to_owned(), "s3cret".to_owned()), ("page".to_owned(), "2".into())];
        assert_eq!(shown("/portal/acme", &query), "/portal/acme?zapikey=***&page=2");
    }

    #[test]
    fn segments_survive_escaping() {
        assert_eq!(decoded("ada%40x.example"), "ada@x.example");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded(&encoded("å/b c@x")), "å/b c@x");
    }
}
