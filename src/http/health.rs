//! `GET /healthz` and `GET /readyz`: no secrets, no internals.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Doors, Problem};

/// How long the store's writer may take to commit nothing.
const PING_MAX: Duration = Duration::from_secs(2);

/// Whether the process lives and its store commits.
pub(super) async fn alive(State(doors): State<Doors>) -> Result<Json<Value>, Problem> {
    match tokio::time::timeout(PING_MAX, doors.engine.ping()).await {
        Ok(Ok(())) => Ok(Json(json!({ "status": "ok" }))),
        _ => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not commit")),
    }
}

/// Whether webhooks are taken: the store commits, and the queue is below its mark. A quarantined
/// organization is an alert, not a reason to be taken out of service.
pub(super) async fn ready(State(doors): State<Doors>) -> Result<Json<Value>, Problem> {
    let _alive = alive(State(doors.clone())).await?;
    let depth = doors.engine.queue_depth().await.map_err(|error| Problem::store(&error))?;
    if depth < doors.queue_limit {
        return Ok(Json(json!({ "status": "ready" })));
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the queue is above its mark"))
}
