//! Access tokens: one refresh at a time, kept over restarts (contract sections 1.1 and 1.2).
//!
//! Deliberately absent: repeated tries. A failed refresh goes back to the caller, whose own backoff
//! spaces the next one, because Zoho blocks a refresh token that is used too often.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::error::CallError;
use super::gate::{Gate, Record};
use super::transport::{Http, Reply};
use super::wire;
use crate::clock::Clock;
use crate::config;
use crate::domain::budget::Group;
use crate::domain::{Secret, Timestamp};

const CALL: &str = "POST /oauth/v2/token";

/// A token is not used in its last minute: the call that carries it takes up to 20 seconds, and
/// clocks differ.
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);

/// Lifetime when the answer does not say (seen missing, contract section 1.1).
const LIFETIME_DEFAULT: Duration = Duration::from_hours(1);

/// Bounds of a believable lifetime. The lower one leaves a minute of use after the margin; a token
/// that really lives shorter is found out by its 401.
const LIFETIME_MIN: Duration = Duration::from_mins(2);
const LIFETIME_MAX: Duration = Duration::from_hours(24);

/// Callers that waited while a refresh failed share its error instead of each sending their own.
const FAILURE_SHARED: Duration = Duration::from_secs(1);

/// Supplies the access token of one credential.
pub(super) struct Tokens {
    http: Http,
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    accounts_url: Url,
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    state: Mutex<State>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<(Secret, Timestamp)>,
    /// Groups in which a fresh token got a 401: refreshing again would not help them.
    unhelped: BTreeSet<Group>,
    failed: Option<(Timestamp, CallError)>,
}

enum Grant {
    Token { access_token: Secret, lifetime: Duration },
    Throttled,
    Permanent(String),
    Transient(String),
}

impl Tokens {
    pub(super) fn new(
        http: Http,
        zoho: &config::Zoho,
        gate: Arc<Gate>,
        remembered: Option<(Secret, Timestamp)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            gate,
            clock,
            accounts_url: zoho.accounts_url.clone(),
            client_id: zoho.client_id.clone(),
            client_secret: zoho.client_secret.clone(),
            refresh_token: zoho.refresh_token.clone(),
            state: Mutex::new(State { token: remembered, ..State::default() }),
            flight: tokio::sync::Mutex::new(()),
        }
    }

    /// A token to use, other than `rejected`; refreshes if there is none.
    pub(super) async fn access(&self, rejected: Option<&Secret>) -> Result<Secret, CallError> {
        if let Some(token) = self.usable(rejected) {
            return Ok(token);
        }
        let _flight = self.flight.lock().await;
        if let Some(token) = self.usable(rejected) {
            return Ok(token);
        }
        if let Some(error) = self.just_failed() {
            return Err(error);
        }
        let refreshed = self.refresh().await;
        self.keep(&refreshed, rejected.is_none());
        let (access_token, expires_at) = refreshed?;
        let credential = self.gate.credential().to_owned();
        let record = Record::Token { credential, access_token: access_token.clone(), expires_at };
        self.gate.record(record).await;
        Ok(access_token)
    }

    fn keep(&self, refreshed: &Result<(Secret, Timestamp), CallError>, by_expiry: bool) {
        let mut state = self.state();
        match refreshed {
            Ok(token) => {
                state.token = Some(token.clone());
                if by_expiry {
                    state.unhelped.clear();
                }
            }
            Err(error) => state.failed = Some((self.clock.now(), error.clone())),
        }
    }

    /// Whether a 401 in `group` is worth a refresh.
    pub(super) fn refresh_may_help(&self, group: Group) -> bool {
        !self.state().unhelped.contains(&group)
    }

    /// Notes whether a token was accepted in `group`, or refused although it was fresh.
    pub(super) fn note(&self, group: Group, accepted: bool) {
        let mut state = self.state();
        if accepted {
            state.unhelped.remove(&group);
        } else {
            state.unhelped.insert(group);
        }
    }

    fn usable(&self, rejected: Option<&Secret>) -> Option<Secret> {
        let now = self.clock.now();
        let mut state = self.state();
        let (token, expires_at) = state.token.clone()?;
        if rejected.is_some_and(|rejected| rejected.expose() == token.expose()) {
            state.token = None;
            return None;
        }
        (now + EXPIRY_MARGIN < expires_at).then_some(token)
    }

    fn just_failed(&self) -> Option<CallError> {
        let now = self.clock.now();
        let state = self.state();
        let (at, error) = state.failed.as_ref()?;
        // One "of the future" was met before the clock was set back: it is shared with nobody.
        (*at <= now && now.since(*at) < FAILURE_SHARED).then(|| error.clone())
    }

    async fn refresh(&self) -> Result<(Secret, Timestamp), CallError> {
        let permit = self.gate.try_take(Group::Token).await.map_err(|wait| {
            let detail = "no token refresh is left in this window".to_owned();
            CallError::Throttled { call: CALL, until: wait.until, detail }
        })?;
        let not_text = || unauthorized("zoho.client_secret or zoho.refresh_token is not text");
        let url = wire::address(CALL, &self.accounts_url, &["oauth", "v2", "token"], &[])?;
        let request = self.http.client().post(url).form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_text().ok_or_else(not_text)?),
            ("refresh_token", self.refresh_token.expose_text().ok_or_else(not_text)?),
        ]);
        let reply = self.http.send(CALL, request).await?;
        match read(&reply) {
            Grant::Token { access_token, lifetime } => {
                Ok((access_token, self.clock.now() + lifetime))
            }
            Grant::Throttled => {
                let group = permit.group();
                let lock = reply.retry_after.unwrap_or(self.gate.limit(group).lock);
                let until = self.clock.now() + lock;
                self.gate.lock(group, until).await;
                let detail = "Zoho takes no token refresh for now".to_owned();
                Err(CallError::Throttled { call: CALL, until, detail })
            }
            Grant::Permanent(code) => Err(unauthorized(&format!(
                "Zoho answered {code}: make a new refresh token in the API console of this data \
                 centre, for this client_id, and put it where zoho.refresh_token points"
            ))),
            Grant::Transient(detail) => {
                Err(CallError::Transient { call: CALL, detail, retry_after: reply.retry_after })
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unauthorized(detail: &str) -> CallError {
    CallError::Unauthorized { call: CALL, detail: detail.to_owned() }
}

/// Success is JSON with a non-empty `access_token`, and nothing else is (contract section 1.2).
fn read(reply: &Reply) -> Grant {
    let status = reply.status.as_u16();
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    if let Some(access_token) = body.get("access_token").and_then(Value::as_str)
        && reply.status.is_success()
        && !access_token.is_empty()
    {
        let lifetime = wire::count(&body, "expires_in").map_or(LIFETIME_DEFAULT, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
                .clamp(LIFETIME_MIN, LIFETIME_MAX)
        });
        return Grant::Token { access_token: Secret::new(access_token), lifetime };
    }
    let error = wire::text(&body, &["error"]).map(|error| wire::clean_code(&error));
    match error {
        Some(code) if code == "invalid_code" || code.starts_with("invalid_client") => {
            Grant::Permanent(code)
        }
        _ if wire::text(&body, &["status"]).as_deref() == Some("failure") => Grant::Throttled,
        _ if matches!(status, 400 | 429) => Grant::Throttled,
        Some(code) => Grant::Transient(format!("HTTP {status} {code}, no access token")),
        None => Grant::Transient(format!("HTTP {status} without an access token")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::{Grant, Reply, read};

    fn of(status: u16, body: &'static str) -> Grant {
        let status = StatusCode::from_u16(status).unwrap();
        read(&Reply { status, retry_after: None, body: Bytes::from_static(body.as_bytes()) })
    }

    fn lifetime(body: &'static str) -> u64 {
        match of(200, body) {
            Grant::Token { lifetime, .. } => lifetime.as_secs(),
            _ => 0,
        }
    }

    #[test]
    fn lifetimes_are_believable() {
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":1800}"#), 1800);
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":"1800"}"#), 1800);
        assert_eq!(lifetime(r#"{"access_token":"t"}"#), 3600);
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":3}"#), 120);
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":3600000}"#), 86_400);
    }

    #[test]
    fn an_error_with_status_200_is_no_success() {
        for body in [r#"{"error":"invalid_code"}"#, r#"{"error":"invalid_client_secret"}"#] {
            assert!(matches!(of(200, body), Grant::Permanent(_)), "{body}");
        }
        let english = r#"{"error":"Access Denied","status":"failure"}"#;
        let chinese = r#"{"error":"拒绝访问","status":"failure"}"#;
        for (status, body) in [(200, english), (400, english), (400, chinese), (400, ""), (429, "")]
        {
            assert!(matches!(of(status, body), Grant::Throttled), "{status} {body}");
        }
        for (status, body) in [
            (200, "{}"),
            (200, r#"{"access_token":""}"#),
            (200, "<html>"),
            (502, "<html>"),
            (500, r#"{"access_token":"t"}"#),
        ] {
            assert!(matches!(of(status, body), Grant::Transient(_)), "{status} {body}");
        }
    }
}
