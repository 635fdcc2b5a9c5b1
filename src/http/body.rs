//! Reading a body within its limit while it streams.
//!
//! A refused large body is drained for a moment, so that a sender that writes before it reads sees
//! the 413 instead of a reset connection.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::Problem;

/// How much of a refused body is read and dropped.
const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a refused body is drained.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a whole body may take: a webhook is small, and a slow one holds a connection.
const READ_TIME_MAX: Duration = Duration::from_secs(15);

/// Largest body of the admin API, bytes: its questions are a few fields.
const ADMIN_BODY_MAX: usize = 64 * 1024;

/// The JSON body of an admin request; none at all counts as `{}`. Whatever content type it names:
/// `curl -d` names the wrong one, and a browser that is led here has no token.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, ADMIN_BODY_MAX).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let detail = format!("the body is not the JSON that is taken here: {error}");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    }
}

/// Reads at most `limit` bytes.
///
/// # Errors
/// 413 over the limit, 408 when it takes too long, 400 when it breaks off.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(refuse(body, 0, limit).await);
    }
    let collect = async {
        let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                Problem::new(StatusCode::BAD_REQUEST, "the body broke off before its end")
            })?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > limit {
                    return Ok(Err(bytes.len() + data.len()));
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Ok(bytes.freeze()))
    };
    let outcome = tokio::time::timeout(READ_TIME_MAX, collect).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"))
    })?;
    match outcome {
        Ok(bytes) => Ok(bytes),
        Err(seen) => Err(refuse(body, seen, limit).await),
    }
}

async fn refuse(mut body: Body, mut seen: usize, limit: usize) -> Problem {
    let drain = async {
        while seen < DRAIN_BYTES_MAX {
            match body.frame().await {
                Some(Ok(frame)) => seen += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, drain).await;
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than the {limit} bytes that are taken here"),
    )
}
