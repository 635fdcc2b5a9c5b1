//! Refusals as `application/problem+json` (RFC 9457): a fixed sentence, never our internals. Also
//! those that the framework makes, and what is left of a request whose handler panicked.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use serde_json::{Map, Value};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
    more: Map<String, Value>,
}

impl Problem {
    /// A refusal with a sentence that says what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, more: Map::new() }
    }

    /// The same, with a time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same, with one more fact for a program to read.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What a client hears when the store fails; the log has the rest.
    pub fn store(error: &crate::engine::StoreFailure) -> Self {
        tracing::error!(%error, "a request failed in the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer; try again")
            .retry_after(Duration::from_secs(10))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("type".to_owned(), "about:blank".into());
        let title = self.status.canonical_reason().unwrap_or("error");
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        body.insert("detail".to_owned(), self.detail.into());
        let mut response = (
            self.status,
            [
                (header::CONTENT_TYPE, "application/problem+json"),
                (header::CACHE_CONTROL, "no-store"),
            ],
            Value::Object(body).to_string(),
        )
            .into_response();
        if let Some(after) = self.retry_after {
            // Rounded up: who comes back a moment too early is refused again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The answer to an unknown path.
pub(super) async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// The answer to a known path with another method.
pub(super) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
}

/// Makes every refusal a problem: what the framework says in plain text, and a handler that
/// panicked, whose words are for the log alone.
pub(super) async fn everywhere(request: Request, next: Next) -> Response {
    let Ok(response) = AssertUnwindSafe(next.run(request)).catch_unwind().await else {
        tracing::error!("a request handler panicked");
        let detail = "the bridge made a mistake; its log says more";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response();
    };
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || !is_bare(&response) {
        return response;
    }
    let (parts, _) = response.into_parts();
    let mut problem = Problem::new(status, sentence(status)).into_response();
    for kept in [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = parts.headers.get(&kept) {
            problem.headers_mut().insert(kept, value.clone());
        }
    }
    problem
}

/// Plain text or nothing: not one of our own answers, which are JSON or a page.
fn is_bare(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_none_or(|kind| kind.starts_with("text/plain"))
}

fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than what is taken here",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body has a content type that is not read here",
        StatusCode::METHOD_NOT_ALLOWED => "this address does not take that method",
        StatusCode::NOT_FOUND => "there is nothing at this address",
        status if status.is_client_error() => "the request is not understood",
        _ => "the bridge could not answer; its log says more",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Path;
    use axum::http::{Request, StatusCode, header};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::{everywhere, nothing_here, wrong_method};

    async fn broken() -> String {
        let secret: Result<(), &str> = Err("a secret");
        secret.map(|()| String::new()).unwrap()
    }

    #[tokio::test]
    async fn whatever_refuses_is_a_problem_and_a_panic_keeps_its_words() {
        let router = Router::new()
            .route("/broken", get(broken))
            .route("/number/{n}", get(async |Path(n): Path<u8>| n.to_string()))
            .method_not_allowed_fallback(wrong_method)
            .fallback(nothing_here)
            .layer(from_fn(everywhere));
        for (method, path, status) in [
            ("GET", "/broken", StatusCode::INTERNAL_SERVER_ERROR),
            ("GET", "/number/999", StatusCode::BAD_REQUEST),
            ("GET", "/number/%ff", StatusCode::BAD_REQUEST),
            ("POST", "/number/1", StatusCode::METHOD_NOT_ALLOWED),
            ("GET", "/elsewhere", StatusCode::NOT_FOUND),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            let headers = response.headers().clone();
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
            if status == StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(headers[header::ALLOW], "GET,HEAD");
            }
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(body["status"], status.as_u16());
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
}
