//! The limits of a message's text, card, slides and buttons (contract section 2.3).
//!
//! Deliberately absent: drawing them.

use serde_json::{Map, Value};

use super::wire::{Violation, only};

/// Longest message text, in characters.
const TEXT_MAX: usize = 5000;
/// Most buttons of a message, slides of a message.
const BUTTONS_MAX: usize = 5;
const SLIDES_MAX: usize = 20;
/// Longest label, hint, key, and address of a button, in characters.
const LABEL_MAX: usize = 20;
const HINT_MAX: usize = 100;
const KEY_MAX: usize = 100;
const URL_MAX: usize = 256;
/// Longest address of a preview and longest text to copy, in characters.
const PREVIEW_MAX: usize = 500;
const COPY_MAX: usize = 200;

fn invalid(message: impl Into<String>) -> Violation {
    Violation::bad("invalid_message", message)
}

/// Checks everything a message may carry; `body` has no unknown keys any more.
pub(super) fn check(body: &Map<String, Value>) -> Result<(), Violation> {
    bounded(body, "text", TEXT_MAX)?;
    for flag in ["sync_message", "broadcast"] {
        if body.get(flag).is_some_and(|value| !value.is_boolean()) {
            return Err(invalid(format!("{flag} must be true or false")));
        }
    }
    if let Some(card) = body.get("card") {
        let card = object(card, "card", &["title", "theme", "thumbnail"])?;
        let theme = card.get("theme").and_then(Value::as_str);
        if theme.is_some_and(|theme| !["poll", "modern-inline", "prompt"].contains(&theme)) {
            return Err(invalid("theme must be poll, modern-inline or prompt"));
        }
    }
    for slide in list(body, "slides", SLIDES_MAX)? {
        let slide = object(slide, "slide", &["type", "title", "data"])?;
        let kind = slide.get("type").and_then(Value::as_str).unwrap_or_default();
        if !["table", "list", "label", "images", "text"].contains(&kind) {
            return Err(invalid(format!("there is no slide type {kind:?}")));
        }
    }
    list(body, "buttons", BUTTONS_MAX)?.iter().try_for_each(button)
}

fn button(value: &Value) -> Result<(), Violation> {
    let button = object(value, "button", &["label", "hint", "type", "key", "action"])?;
    bounded(button, "label", LABEL_MAX)?;
    if let Some(hint) = button.get("hint") {
        bounded_value(hint, "hint", HINT_MAX)?;
    }
    if let Some(key) = button.get("key") {
        bounded_value(key, "key", KEY_MAX)?;
    }
    if let Some(kind) = button.get("type")
        && *kind != "+"
        && *kind != "-"
    {
        return Err(invalid("a button's type must be + or -"));
    }
    let action = button.get("action").ok_or_else(|| invalid("a button needs an action"))?;
    let action = object(action, "action", &["type", "data", "confirm"])?;
    let data = action.get("data").ok_or_else(|| invalid("an action needs data"))?;
    match action.get("type").and_then(Value::as_str).unwrap_or_default() {
        "open.url" => {
            let data = object(data, "data", &["web", "windows", "iOS", "android"])?;
            if data.is_empty() {
                return Err(invalid("open.url needs an address"));
            }
            data.iter().try_for_each(|(key, value)| address(key, value))
        }
        "invoke.function" => object(data, "data", &["name", "owner"]).map(|_| ()),
        "system.api" => object(data, "data", &["api"]).map(|_| ()),
        "preview.url" => bounded(object(data, "data", &["url"])?, "url", PREVIEW_MAX),
        "copy" => bounded(object(data, "data", &["text"])?, "text", COPY_MAX),
        other => Err(invalid(format!("there is no action {other:?}"))),
    }
}

fn address(key: &str, value: &Value) -> Result<(), Violation> {
    bounded_value(value, key, URL_MAX)?;
    let scheme = value.as_str().and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
    let known = ["http", "https", "tel", "sms", "sip"];
    if scheme.is_some_and(|scheme| known.contains(&scheme)) {
        return Ok(());
    }
    Err(invalid(format!("{key} must be an http, https, tel, sms or sip address")))
}

fn bounded(object: &Map<String, Value>, key: &str, max: usize) -> Result<(), Violation> {
    bounded_value(object.get(key).unwrap_or(&Value::Null), key, max)
}

fn bounded_value(value: &Value, key: &str, max: usize) -> Result<(), Violation> {
    match value.as_str() {
        Some(text) if !text.is_empty() && text.chars().count() <= max => Ok(()),
        _ => Err(invalid(format!("{key} must be a text of 1 to {max} characters"))),
    }
}

fn list<'a>(body: &'a Map<String, Value>, key: &str, max: usize) -> Result<&'a [Value], Violation> {
    match body.get(key) {
        None => Ok(&[]),
        Some(Value::Array(items)) if items.len() <= max => Ok(items),
        Some(_) => Err(invalid(format!("{key} must be a list of at most {max}"))),
    }
}

fn object<'a>(
    value: &'a Value,
    what: &str,
    keys: &[&str],
) -> Result<&'a Map<String, Value>, Violation> {
    let object = value.as_object().ok_or_else(|| invalid(format!("{what} must be an object")))?;
    only(object.keys().map(String::as_str), keys)?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn with_button(label: &str, url: &str) -> Value {
        json!({"text": "hi", "buttons": [{
            "label": label, "hint": "h", "type": "+", "key": "join",
            "action": {"type": "open.url", "data": {"web": url}},
        }]})
    }

    fn is_good(body: &Value) -> bool {
        check(body.as_object().unwrap()).is_ok()
    }

    #[test]
    fn button_limits_hold() {
        assert!(is_good(&with_button("Join", "https://cliq.example/")));
        assert!(!is_good(&with_button("A label that is too long", "https://cliq.example/")));
        assert!(!is_good(&with_button("Join", "javascript:alert(1)")));
        assert!(!is_good(&with_button("Join", &format!("https://x/{}", "a".repeat(250)))));
        assert!(!is_good(&json!({"text": "hi", "card": {"titel": "x"}})));
        assert!(!is_good(&json!({"card": {"title": "x"}})), "a text is required");
    }
}
