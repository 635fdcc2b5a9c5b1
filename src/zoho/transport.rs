//! The one HTTP client: its limits, and a whole answer or an error.
//!
//! Deliberately absent: tokens, budgets and the meaning of answers. Redirects are not followed and
//! no proxy is taken from the environment, so a token goes only where the configuration says.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use reqwest::RequestBuilder;

use super::error::CallError;
use crate::clock::Clock;
use crate::domain::Timestamp;

/// Longest time of one call, from connecting to the last byte of its answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time for a connection: a dead host must not use up [`CALL_TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of one answer: a page of 200 CRM users with every field is about 1 MiB.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Bounds of a `Retry-After`: a vendor's zero must not make us hammer, a mistake not park a day.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

const USER_AGENT: &str = concat!("cliqbridge/", env!("CARGO_PKG_VERSION"));

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be built: {0}")]
pub struct BuildError(String);

/// A connection pool with the bridge's limits. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

/// A whole answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Http {
    /// Builds the client, and installs `ring` as the process's TLS provider if none is.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Self::within(clock, CALL_TIMEOUT)
    }

    /// The same with another time for a whole call than [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(clock: Arc<dyn Clock>, patience: Duration) -> Result<Self, BuildError> {
        // Fails only when another part of the process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| BuildError(root_cause(&error)))?;
        Ok(Self { client, clock, patience })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sends one request and reads its answer to the end.
    ///
    /// # Errors
    /// Only [`CallError::Transient`]: no answer, a cut answer or one over 8 MiB.
    pub(super) async fn send(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<Reply, CallError> {
        let lost =
            |error: reqwest::Error| CallError::transient(call, describe(error, self.patience));
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let retry_after = retry_after(response.headers(), self.clock.now());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ANSWER_MAX_BYTES {
                let limit = ANSWER_MAX_BYTES / (1024 * 1024);
                return Err(CallError::transient(call, format!("an answer over {limit} MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, retry_after, body: body.freeze() })
    }
}

/// `Retry-After` in seconds or as an HTTP date (RFC 9110 section 10.2.3), within its bounds.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            Timestamp(DateTime::parse_from_rfc2822(value).ok()?.timestamp_millis()).since(now)
        }
    };
    Some(wish.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

/// What happened, without the URL: it may hold a key or an address.
fn describe(error: reqwest::Error, patience: Duration) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return format!("no whole answer within {} s", patience.as_secs());
    }
    let what = if error.is_connect() { "no connection" } else { "the answer was cut off" };
    format!("{what}: {}", root_cause(&error))
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "unknown cause".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::header::{HeaderValue, RETRY_AFTER};

    use super::{Timestamp, retry_after};

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = Timestamp::parse("2015-10-21T07:27:00Z").unwrap();
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            retry_after(&headers, now).map(|wish| wish.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("0"), Some(1));
        assert_eq!(read("86400"), Some(3600));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(1));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None::<Duration>);
    }
}
