//! `POST /webhooks/{source}`: raw bytes, signature, event, store, answer; in this order.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{Doors, Problem, body};
use crate::config::Source;
use crate::domain::scheme::Scheme;
use crate::engine::{AcceptError, Incoming, Receipt};
use crate::logic::event::{self, Echo, Shape};
use crate::logic::signature::{self, Request, Verified};

/// What a bad signature hears, whatever is wrong with it; the log says which class it was.
const NOT_BELIEVED: &str = "the signature is missing, malformed, stale or wrong";

/// The key id of a delivery that a CRM watch's token proved.
const WATCH_KEY: &str = "crm-watch";

/// Takes a webhook.
pub(super) async fn receive(
    State(doors): State<Doors>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let refuse = |status: StatusCode, kind: &'static str, why: String| {
        doors.engine.refuse(&name, status.as_u16(), kind, why);
    };
    let Some(source) = doors.engine.source(&name) else {
        refuse(StatusCode::NOT_FOUND, "unknown_source", "no such source".to_owned());
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such source"));
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let shape = Shape::of(&source.scheme);
    if !shape.accepts(content_type) {
        let why = format!("content type {content_type:?}");
        refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", why);
        let detail = match shape {
            Shape::Native | Shape::NativeOrWatch => "send application/json",
            Shape::Billing => "send application/json or application/x-www-form-urlencoded",
        };
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = match body::read(&headers, body, doors.body_limit).await {
        Ok(bytes) => bytes,
        Err(problem) => {
            refuse(problem.status(), "body", "too large, too slow or broken off".to_owned());
            return Err(problem);
        }
    };
    let request = Request { query: uri.query(), content_type, headers: &headers, body: &bytes };
    let verified = verify(&doors, source, &request).inspect_err(|(kind, why)| {
        refuse(StatusCode::UNAUTHORIZED, kind, why.clone());
    });
    let verified = verified.map_err(|_| Problem::new(StatusCode::UNAUTHORIZED, NOT_BELIEVED))?;
    let event = event::read(shape, content_type, &bytes).map_err(|malformed| {
        refuse(StatusCode::BAD_REQUEST, "malformed", malformed.to_string());
        Problem::new(StatusCode::BAD_REQUEST, malformed.to_string())
    })?;
    let stale =
        source.max_event_age.is_some_and(|age| event::too_old(&event, age, doors.clock.now()));
    if stale {
        refuse(StatusCode::UNAUTHORIZED, "event_age", "the event is too old".to_owned());
        return Err(Problem::new(StatusCode::UNAUTHORIZED, NOT_BELIEVED));
    }
    let dedupe = event::duplicate_key(
        &name,
        &event,
        verified.message_id.as_deref(),
        &verified.signed_digest,
    );
    let incoming = Incoming {
        source: name.clone(),
        key_id: verified.key_id,
        dedupe,
        event,
        body: bytes.to_vec(),
    };
    answer(doors.engine.accept(incoming).await)
}

fn verify(
    doors: &Doors,
    source: &Source,
    request: &Request<'_>,
) -> Result<Verified, (&'static str, String)> {
    // A CRM watch sends no header of ours: its notifications are proven by the token that the bridge
    // registered, and by nothing else.
    if matches!(source.scheme, Scheme::Token { .. })
        && let Some(echo) = Echo::of(request.body)
    {
        if !doors.engine.knows_echo(&source.name, &echo) {
            return Err(("watch_token", "no CRM watch of ours has this channel and token".into()));
        }
        return Ok(Verified {
            key_id: WATCH_KEY.to_owned(),
            message_id: None,
            signed_digest: event::watch_digest(request.body),
        });
    }
    let now = doors.clock.now();
    signature::verify(&source.scheme, &source.secrets, source.tolerance, request, now)
        .map_err(|rejection| (rejection.kind(), rejection.to_string()))
}

fn answer(accepted: Result<Receipt, AcceptError>) -> Result<Json<Value>, Problem> {
    let (id, status) = match accepted {
        Ok(Receipt::Accepted(id)) => (id, "accepted"),
        Ok(Receipt::Duplicate(id)) => (id, "duplicate"),
        Ok(Receipt::Ignored(id)) => (id, "ignored"),
        Err(AcceptError::Full { retry_after }) => {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much is waiting to be worked off; send it again later",
            )
            .retry_after(retry_after));
        }
        Err(AcceptError::Store(error)) => return Err(Problem::store(&error)),
    };
    Ok(Json(json!({ "delivery_id": id.to_string(), "status": status })))
}
