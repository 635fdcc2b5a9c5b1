//! The admin API's commands: for single memberships, and for the plan of an organization.
//!
//! Deliberately absent: the rules; the engine refuses with a sentence, and that is passed on.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::admin::{self, Answer, refused};
use super::bearer::By;
use super::body::Sent;
use super::{Doors, Problem};
use crate::domain::{MembershipId, Verb};
use crate::engine::{Ordered, Refused};

/// Whether to carry it out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    #[serde(default)]
    dry_run: bool,
}

/// `POST /api/v1/memberships/{id}/{verb}`: 202 with the queued action, or 200 with the membership.
/// With `?dry_run=true` nothing is done: 200 if it may be, 409 if not.
pub(super) async fn order(
    State(doors): State<Doors>,
    By(by): By,
    Path((id, verb)): Path<(String, String)>,
    how: Result<Query<How>, axum::extract::rejection::QueryRejection>,
) -> Answer<Response> {
    let Query(how) = how.map_err(|error| admin::bad_query(&error))?;
    let verb = Verb::from_word(&verb).ok_or_else(|| {
        let words: Vec<_> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("a verb is one of {}", words.join(", ")))
    })?;
    let id: MembershipId = id.parse().map_err(|_| refused(Refused::Missing("membership")))?;
    Ok(match doors.engine.order(id, verb, how.dry_run, &by).await.map_err(refused)? {
        Ordered::Queued(action) => {
            let body = json!({ "membership": id.to_string(), "action_id": action.to_string() });
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        Ordered::Settled(row) => Json(admin::shown(*row)).into_response(),
    })
}

/// The body of `adopt` for a whole organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whole {
    organization: String,
}

/// `POST /api/v1/memberships/adopt`
pub(super) async fn adopt_all(
    State(doors): State<Doors>,
    By(by): By,
    Sent(whole): Sent<Whole>,
) -> Answer<Json<serde_json::Value>> {
    let adopted = doors.engine.adopt_all(&whole.organization, &by).await.map_err(refused)?;
    Ok(Json(json!({ "organization": whole.organization, "adopted": adopted })))
}

/// `POST /api/v1/organizations/{id}/approve-downgrade`: 202 with the run that carries it out.
pub(super) async fn approve_downgrade(
    State(doors): State<Doors>,
    By(by): By,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    let requested = doors.engine.approve_downgrade(&id, &by).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "run_id": requested.run.to_string() }))))
}

/// `POST /api/v1/organizations/{id}/poll-plan`: reads CRM's licence details now.
pub(super) async fn poll_plan(
    State(doors): State<Doors>,
    By(by): By,
    Path(id): Path<String>,
) -> Answer<Json<serde_json::Value>> {
    let polled = doors.engine.poll_plan_now(&id, &by).await.map_err(refused)?;
    Ok(Json(json!({
        "crm_says": polled.says.as_str(),
        "subscription": polled.subscription.as_str(),
        "access": polled.access.as_str(),
    })))
}
