//! The admin door's lock: a bearer token, compared in constant time.
//!
//! For now there is the bootstrap token alone; further tokens with roles and expiry come with the
//! rest of the admin API.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Doors, Problem};

/// Lets a request through that carries the token.
pub(super) async fn required(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if presented.is_some_and(|token| matches(token, doors.bootstrap_token.expose())) {
        return next.run(request).await;
    }
    let path = request.uri().path();
    tracing::warn!(path, presented = presented.is_some(), "the admin door stays shut");
    let detail = "send the admin token: Authorization: Bearer <token>";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Compares digests, so that not even the length of the right token shows in the time taken.
fn matches(presented: &[u8], expected: &[u8]) -> bool {
    let equal: bool = Sha256::digest(presented).ct_eq(&Sha256::digest(expected)).into();
    equal && !expected.is_empty()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn an_empty_token_opens_nothing() {
        assert!(!matches(b"", b""));
        assert!(!matches(b"secret", b"secrets"));
        assert!(matches(b"secret", b"secret"));
    }
}
