//! The admin API's brake: pause and resume, one organization or everything.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Doors;
use super::admin::{Answer, refused};
use super::bearer::By;
use super::body::Sent;
use crate::engine::Paused;

/// Where; an empty body means everywhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scope {
    organization: Option<String>,
}

/// `POST /api/v1/pause`: nothing more is written from here on.
pub(super) async fn pause(
    State(doors): State<Doors>,
    By(by): By,
    Sent(scope): Sent<Scope>,
) -> Answer<Json<Paused>> {
    let paused = doors.engine.pause(scope.organization.as_deref(), &by).await;
    paused.map(Json).map_err(refused)
}

/// `POST /api/v1/resume`: without an organization, every pause ends.
pub(super) async fn resume(
    State(doors): State<Doors>,
    By(by): By,
    Sent(scope): Sent<Scope>,
) -> Answer<Json<Paused>> {
    let paused = doors.engine.resume(scope.organization.as_deref(), &by).await;
    paused.map(Json).map_err(refused)
}
