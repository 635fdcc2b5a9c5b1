//! The admin door's lock: a bearer token, what its role opens, and who is not listened to.
//!
//! A viewer's token reads; whatever is not a plain read takes an operator's. Deliberately absent:
//! the audit of what is then done, which belongs into the transaction that does it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::listen::Peer;
use super::lockout::Lockout;
use super::throttle::Client;
use super::{Doors, Problem};
use crate::domain::token::BOOTSTRAP;
use crate::domain::{Caller, Role};
use crate::engine::StoreFailure;
use crate::engine::tokens::Recognised;

/// What the admin door remembers between requests.
#[derive(Debug, Default)]
pub struct Keeper {
    lockout: Lockout,
    refused: [AtomicU64; REASONS.len()],
}

/// Why somebody was not let in, in the order of the counters.
const REASONS: [&str; 5] = ["no_token", "wrong_token", "token_over", "not_operator", "locked_out"];

impl Keeper {
    /// How many requests were refused for which reason, since the start.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        REASONS.into_iter().zip(counts)
    }

    fn count(&self, reason: &str) {
        let found = REASONS.iter().zip(&self.refused).find(|(known, _)| **known == reason);
        if let Some((_, count)) = found {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Why somebody is not let in.
enum Refusal {
    NoToken,
    Wrong,
    Over(String),
    NotOperator(String),
    LockedOut(std::time::Duration),
    Store(StoreFailure),
}

/// Lets a request through that carries a token whose role opens what it asks for.
pub(super) async fn required(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&doors, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refuse(&doors, &parts, refusal),
    }
}

async fn admit(doors: &Doors, request: &Parts) -> Result<Caller, Refusal> {
    let peer = Client::at(request.extensions.get().copied().unwrap_or(Peer(None)));
    let now = doors.clock.now();
    let token = presented(&request.headers).ok_or(Refusal::NoToken)?;
    let hash: [u8; 32] = Sha256::digest(token).into();
    let caller = if is_bootstrap(&hash, doors.bootstrap_token.expose()) {
        Caller { name: BOOTSTRAP.to_owned(), role: Role::Operator }
    } else {
        match doors.engine.recognise(hash).await.map_err(Refusal::Store)? {
            Recognised::Caller(caller) => caller,
            Recognised::Over(name) => return Err(Refusal::Over(name)),
            Recognised::Unknown => {
                // A right token is let in at any time: nobody beside an operator, behind the same
                // proxy or socket, can keep the operator out by guessing.
                doors.keeper.lockout.check(peer, now).map_err(Refusal::LockedOut)?;
                if doors.keeper.lockout.failed(peer, now) {
                    tracing::warn!(?peer, "too many wrong tokens: not listened to for a while");
                }
                return Err(Refusal::Wrong);
            }
        }
    };
    if caller.role == Role::Operator || request.method.is_safe() {
        Ok(caller)
    } else {
        Err(Refusal::NotOperator(caller.name))
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    // The scheme's name is written in any case (RFC 9110, section 11.1).
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Compares digests, so that not even the length of the right token shows in the time taken.
fn is_bootstrap(hash: &[u8; 32], expected: &[u8]) -> bool {
    let equal: bool = Sha256::digest(expected).as_slice().ct_eq(hash).into();
    equal && !expected.is_empty()
}

fn refuse(doors: &Doors, request: &Parts, refusal: Refusal) -> Response {
    const ASK: &str = "send the admin token: Authorization: Bearer <token>";
    let (reason, problem) = match refusal {
        Refusal::Store(error) => return Problem::store(&error).into_response(),
        Refusal::NoToken => ("no_token", Problem::new(StatusCode::UNAUTHORIZED, ASK)),
        Refusal::Wrong => ("wrong_token", Problem::new(StatusCode::UNAUTHORIZED, ASK)),
        Refusal::Over(name) => {
            tracing::warn!(name, "a token that is over");
            let detail = "this admin token has expired or was revoked; ask an operator for another";
            ("token_over", Problem::new(StatusCode::UNAUTHORIZED, detail))
        }
        Refusal::NotOperator(name) => {
            tracing::warn!(name, "a viewer's token changes nothing");
            let detail = "this is a viewer's token, which changes nothing; use an operator's";
            ("not_operator", Problem::new(StatusCode::FORBIDDEN, detail))
        }
        Refusal::LockedOut(wait) => {
            let detail = "too many wrong tokens came from your address; wait before the next";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
            ("locked_out", problem.retry_after(wait))
        }
    };
    doors.keeper.count(reason);
    tracing::info!(path = request.uri.path(), reason, "the admin door stays shut");
    let unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
    let mut response = problem.into_response();
    if unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Who asks: the name that the audit gets. There is none only where the lock was left off.
pub(super) struct By(pub(super) String);

impl FromRequestParts<Doors> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Doors) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>();
        Ok(Self(caller.map_or_else(|| "nobody".to_owned(), |caller| caller.name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};
    use sha2::{Digest as _, Sha256};

    use super::{is_bootstrap, presented};

    #[test]
    fn an_empty_token_opens_nothing() {
        let hash = |token: &[u8]| -> [u8; 32] { Sha256::digest(token).into() };
        assert!(!is_bootstrap(&hash(b""), b""));
        assert!(!is_bootstrap(&hash(b"secret"), b"secrets"));
        assert!(is_bootstrap(&hash(b"secret"), b"secret"));
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        let token = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            presented(&headers).map(|token| String::from_utf8(token.to_vec()).unwrap())
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(token(other), None, "{other}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
