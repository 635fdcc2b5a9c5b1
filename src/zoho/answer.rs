//! What an answer of Zoho means: by status and code, never by text (contract sections 2.6, 3.5, 6).
//!
//! Deliberately absent: what follows from it (locks, refreshes, retries), which is `account`'s
//! part, and the token endpoint and the portal, which have habits of their own.

use http::StatusCode;
use serde_json::Value;

use super::transport::Reply;
use super::wire::{clean_code, plain_text};

/// Codes that mean "too many calls", whatever the status.
const THROTTLE: [&str; 2] = ["request_limit_exceeded", "too_many_requests"];

/// Codes of a grant without the scope, which a token refresh cannot cure.
const UNSCOPED: [&str; 2] = ["oauth_scope_mismatch", "oauthtoken_scope_invalid"];

/// Codes of a right that the user of the grant does not have.
const FORBIDDEN: [&str; 2] = ["no_permission", "permission_denied"];

/// Codes of a token that is no longer accepted; so is everything that starts with `oauthtoken_`.
const REJECTED: [&str; 3] = ["authentication_failure", "invalid_token", "invalid_oauthtoken"];

/// Codes of trouble on Zoho's side.
const TROUBLE: [&str; 3] = ["internal_error", "internal_server_error", "service_unavailable"];

/// The meaning of one answer.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Success; `None` where there is no body, or one of the empty forms of contract section 2.6.
    Good(Option<Value>),
    /// Throttled or locked.
    Throttled(String),
    /// The access token is not accepted; another may be.
    Rejected(String),
    /// The grant lacks the scope; a refresh brings none.
    Unscoped(String),
    /// Our rights do not reach this.
    Forbidden(String),
    /// Later, perhaps.
    Transient(String),
    /// This request, never.
    Refused(String),
}

/// Classifies an answer.
pub(super) fn judge(reply: &Reply) -> Verdict {
    let status = reply.status;
    let body = match parse(&reply.body) {
        Ok(body) => body,
        Err(NotJson) => return judge_status(status, None).unwrap_or_else(|| not_json(status)),
    };
    let code = body.as_ref().and_then(|body| error_code(body, status.is_success()));
    if let Some(verdict) = code.as_deref().and_then(|code| judge_code(code, status)) {
        return verdict;
    }
    if status.is_success() {
        return match code {
            Some(code) => Verdict::Refused(code),
            None => Verdict::Good(body),
        };
    }
    judge_status(status, code.as_deref()).unwrap_or_else(|| {
        Verdict::Refused(code.unwrap_or_else(|| format!("http_{}", status.as_u16())))
    })
}

/// The body is there but is not JSON: an HTML page, or cut.
struct NotJson;

/// Parses a body; the empty forms are `None`.
fn parse(body: &[u8]) -> Result<Option<Value>, NotJson> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(NotJson),
    }
}

fn not_json(status: StatusCode) -> Verdict {
    Verdict::Transient(format!("HTTP {} with a body that is not JSON", status.as_u16()))
}

fn said(status: StatusCode, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("HTTP {} {code}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    }
}

/// The code of an answer by which an endpoint itself denies a right: nothing about the token or its
/// scopes, and nothing about trouble (contract section 2.6).
pub(super) fn denial(reply: &Reply) -> Option<String> {
    let body = parse(&reply.body).ok().flatten()?;
    let code = error_code(&body, reply.status.is_success())?;
    let lower = code.to_ascii_lowercase();
    let word = lower.as_str();
    let ours = word.starts_with("oauth") || REJECTED.contains(&word);
    let denies = reply.status == StatusCode::FORBIDDEN || FORBIDDEN.contains(&word);
    (denies && !ours && !TROUBLE.contains(&word)).then_some(code)
}

fn judge_code(code: &str, status: StatusCode) -> Option<Verdict> {
    let lower = code.to_ascii_lowercase();
    let lower = lower.as_str();
    let said = said(status, Some(code));
    if THROTTLE.contains(&lower) {
        Some(Verdict::Throttled(said))
    } else if UNSCOPED.contains(&lower) {
        Some(Verdict::Unscoped(said))
    } else if FORBIDDEN.contains(&lower) {
        Some(Verdict::Forbidden(said))
    } else if REJECTED.contains(&lower) || lower.starts_with("oauthtoken_") {
        Some(Verdict::Rejected(said))
    } else if TROUBLE.contains(&lower) && !matches!(status.as_u16(), 401 | 403 | 404) {
        // Nobody's trouble makes a token bad or an organization unknown.
        Some(Verdict::Transient(said))
    } else {
        None
    }
}

/// What the status alone decides; `None` for success and for the refusals among 4xx.
fn judge_status(status: StatusCode, code: Option<&str>) -> Option<Verdict> {
    let said = said(status, code);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(Verdict::Throttled(said)),
        StatusCode::UNAUTHORIZED => Some(Verdict::Rejected(said)),
        StatusCode::FORBIDDEN => Some(Verdict::Forbidden(said)),
        StatusCode::REQUEST_TIMEOUT => Some(Verdict::Transient(said)),
        _ if status.is_server_error() => Some(Verdict::Transient(said)),
        _ if status.is_success() || status.is_client_error() => None,
        _ => Some(Verdict::Transient(format!("{said}, not an answer of an API"))),
    }
}

/// The code of an error body. On a success status only the documented error forms count:
/// `{"code","status":"error"}`, `{"code","message"}`, and a list whose first row is one of them.
fn error_code(body: &Value, success: bool) -> Option<String> {
    let object = body.as_object()?;
    let is_error = |object: &serde_json::Map<String, Value>| {
        let status = object.get("status").and_then(Value::as_str);
        match status {
            Some(status) => status.eq_ignore_ascii_case("error"),
            None => object.contains_key("message"),
        }
    };
    let code = |object: &serde_json::Map<String, Value>| {
        let code = object.get("code").and_then(plain_text)?;
        (!success || is_error(object)).then(|| clean_code(&code))
    };
    if object.contains_key("code") {
        return code(object).filter(|code| !code.eq_ignore_ascii_case("success"));
    }
    object.values().find_map(|value| match value {
        Value::Array(rows) => {
            let first = rows.first()?.as_object()?;
            first.get("status").and_then(Value::as_str).filter(|s| *s == "error")?;
            code(first)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::{Reply, Verdict, judge};

    fn of(status: u16, body: &'static str) -> Verdict {
        judge(&Reply {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        })
    }

    #[test]
    fn a_throttle_is_a_throttle_by_code_or_status() {
        for (status, body) in [
            (400, r#"{"code":"request_limit_exceeded","message":"x"}"#),
            (429, ""),
            (429, "<html>"),
            (200, r#"{"code":"TOO_MANY_REQUESTS","status":"error","message":"x"}"#),
        ] {
            assert!(matches!(of(status, body), Verdict::Throttled(_)), "{status} {body}");
        }
    }

    #[test]
    fn tokens_and_rights_are_told_apart() {
        for (status, body) in [
            (401, ""),
            (401, r#"{"code":"AUTHENTICATION_FAILURE"}"#),
            (400, r#"{"code":"INVALID_TOKEN"}"#),
            (400, r#"{"code":"oauthtoken_invalid"}"#),
        ] {
            assert!(matches!(of(status, body), Verdict::Rejected(_)), "{status} {body}");
        }
        for (status, body) in [
            (401, r#"{"code":"OAUTH_SCOPE_MISMATCH"}"#),
            (401, r#"{"code":"oauthtoken_scope_invalid"}"#),
            (403, r#"{"code":"oauthtoken_scope_invalid"}"#),
        ] {
            assert!(matches!(of(status, body), Verdict::Unscoped(_)), "{status} {body}");
        }
        for (status, body) in
            [(403, ""), (200, r#"{"users":[{"code":"NO_PERMISSION","status":"error"}]}"#)]
        {
            assert!(matches!(of(status, body), Verdict::Forbidden(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_code_of_trouble_does_not_hide_a_refusal() {
        let body = r#"{"code":"INTERNAL_ERROR","status":"error","message":"m"}"#;
        assert!(matches!(of(401, body), Verdict::Rejected(_)));
        assert!(matches!(of(403, body), Verdict::Forbidden(_)));
        assert_eq!(of(404, body), Verdict::Refused("INTERNAL_ERROR".into()));
        assert!(matches!(of(400, body), Verdict::Transient(_)));
    }

    #[test]
    fn errors_with_status_200_are_errors() {
        for body in [
            r#"{"code":"INVALID_DATA","details":{},"message":"m","status":"error"}"#,
            r#"{"users":[{"code":"INVALID_DATA","status":"error"}]}"#,
            r#"{"code":"INVALID_DATA","message":"m"}"#,
        ] {
            assert_eq!(of(200, body), Verdict::Refused("INVALID_DATA".into()), "{body}");
        }
        assert!(matches!(
            of(200, r#"{"code":"INTERNAL_ERROR","status":"error"}"#),
            Verdict::Transient(_)
        ));
        assert!(matches!(
            of(200, r#"{"users":[{"status":"active","code":"x"}]}"#),
            Verdict::Good(Some(_))
        ));
    }

    #[test]
    fn empty_forms_are_success() {
        for (status, body) in [(204, ""), (200, ""), (200, " \n"), (200, "\"\""), (200, "null")] {
            assert_eq!(of(status, body), Verdict::Good(None), "{status} {body:?}");
        }
        assert!(matches!(
            of(200, r#"{"Response Code":"204 No response"}"#),
            Verdict::Good(Some(_))
        ));
    }

    #[test]
    fn what_is_not_an_answer_of_the_api_is_transient() {
        for (status, body) in
            [(500, ""), (502, "<html>"), (200, "<html>"), (404, "<html>"), (302, ""), (408, "")]
        {
            assert!(matches!(of(status, body), Verdict::Transient(_)), "{status} {body}");
        }
    }

    #[test]
    fn other_4xx_are_refusals_with_their_code() {
        assert_eq!(of(404, ""), Verdict::Refused("http_404".into()));
        assert_eq!(
            of(400, r#"{"code":"channel_not_exists"}"#),
            Verdict::Refused("channel_not_exists".into())
        );
        assert_eq!(of(400, r#"{"code":1234}"#), Verdict::Refused("1234".into()));
    }
}
