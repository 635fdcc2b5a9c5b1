//! Reading Zoho's JSON leniently, and building request addresses.
//!
//! Ids come as strings or numbers, counts as strings, objects as null (contract section 6, habit
//! 8). A field that is missing or of another type is absent, never a reason to lose its row (I14).
//! Deliberately absent: any rule about what absence means.

use serde_json::Value;
use url::Url;

use super::error::CallError;

/// Longest vendor code that is shown.
const CODE_MAX: usize = 64;

/// Code of a request that was not sent because an id cannot stand in a path.
pub(super) const BAD_PATH: &str = "invalid_path_segment";

/// A text, number or truth value as text; `None` for anything else and for empty text.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The first of `keys` that holds plain text.
pub(super) fn text(row: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| row.get(*key).and_then(plain_text))
}

/// The `name` of the object at `key`, or the text that stands in its place.
pub(super) fn name(row: &Value, key: &str) -> Option<String> {
    let value = row.get(key)?;
    text(value, &["name"]).or_else(|| plain_text(value))
}

/// A truth value, also as the words `true` and `false`.
pub(super) fn truth(row: &Value, key: &str) -> Option<bool> {
    text(row, &[key])?.to_ascii_lowercase().parse().ok()
}

/// A count, also as text.
pub(super) fn count(row: &Value, key: &str) -> Option<usize> {
    text(row, &[key])?.parse().ok()
}

/// A vendor's code as it may be shown: one short plain word, so that localised or hostile text
/// never reaches a log (contract section 6, habit 7).
pub(super) fn clean_code(code: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    if !code.is_empty() && code.len() <= CODE_MAX && code.chars().all(plain) {
        code.to_owned()
    } else {
        "unreadable_code".to_owned()
    }
}

/// `base` with `segments` added, each percent-encoded whole, and a query.
///
/// # Errors
/// [`CallError::Refused`] with [`BAD_PATH`] for segments that would name another address.
pub(super) fn address(
    call: &'static str,
    base: &Url,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Url, CallError> {
    let refused = || CallError::refused(call, BAD_PATH.to_owned(), 0);
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(refused());
    }
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(segments);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// A body that must be there.
///
/// # Errors
/// [`CallError::Transient`] when it is not.
pub(super) fn needed(call: &'static str, body: Option<Value>) -> Result<Value, CallError> {
    body.ok_or_else(|| CallError::transient(call, "an empty answer where JSON is expected"))
}

/// An answer that is not of the documented form.
pub(super) fn malformed(call: &'static str, what: &str) -> CallError {
    CallError::transient(call, format!("an answer not of the documented form: {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::{address, clean_code, count, name, text, truth};

    #[test]
    fn lenient_fields() {
        let row = json!({"id": 7, "zuid": " 8 ", "empty": "", "count": "12", "confirm": "True",
            "profile": {"name": "P"}, "role": "R", "none": null, "list": [1]});
        assert_eq!(text(&row, &["missing", "id"]).as_deref(), Some("7"));
        assert_eq!(text(&row, &["zuid"]).as_deref(), Some("8"));
        for key in ["empty", "none", "list", "missing", "profile"] {
            assert_eq!(text(&row, &[key]), None, "{key}");
        }
        assert_eq!((count(&row, "count"), truth(&row, "confirm")), (Some(12), Some(true)));
        assert_eq!(name(&row, "profile").as_deref(), Some("P"));
        assert_eq!(name(&row, "role").as_deref(), Some("R"));
        assert_eq!(name(&row, "none"), None);
    }

    #[test]
    fn ids_cannot_leave_their_place_in_the_path() {
        let base = Url::parse("https://api.example/root/").unwrap();
        let built = address("x", &base, &["users", "a/b?c#d@x.org"], &[("q", "a&b")]).unwrap();
        assert_eq!(built.as_str(), "https://api.example/root/users/a%2Fb%3Fc%23d@x.org?q=a%26b");
        for id in ["", ".", ".."] {
            assert!(address("x", &base, &["users", id], &[]).is_err(), "{id:?}");
        }
    }

    #[test]
    fn only_plain_codes_are_shown() {
        assert_eq!(clean_code("email.activeuser"), "email.activeuser");
        for code in ["", "two words", "请求", "<b>", &"x".repeat(65)] {
            assert_eq!(clean_code(code), "unreadable_code");
        }
    }
}
