//! The admin API of the outbox: what is to be changed outside, how far it is, and trying again.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::admin::{Answer, bad_query, refused, store};
use super::bearer::By;
use super::{Doors, Problem, page};
use crate::domain::{ActionId, ActionState, MembershipId};
use crate::engine::{ActionFilter, ActionView};

/// Filters and paging of actions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionQuery {
    state: Option<String>,
    organization: Option<String>,
    membership: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `state`: one or more, with commas between.
fn states(words: Option<&str>) -> Result<Vec<ActionState>, Problem> {
    let Some(words) = words else { return Ok(Vec::new()) };
    let known: Option<Vec<_>> = words.split(',').map(ActionState::from_word).collect();
    known.ok_or_else(|| {
        let all: Vec<_> = ActionState::ALL.iter().map(|state| state.as_str()).collect();
        let detail = format!("state is one or more of {}, with commas between", all.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

/// `GET /api/v1/actions`, newest first.
pub(super) async fn actions(
    State(doors): State<Doors>,
    query: Result<Query<ActionQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let filter = ActionFilter {
        states: states(query.state.as_deref())?,
        organization: query.organization,
        membership: membership(query.membership.as_deref())?,
        before: page::cursor(query.cursor.as_deref())?,
    };
    let rows = doors.engine.actions(filter, limit + 1).await.map_err(store)?;
    Ok(Json(page::wrap(rows, limit, |row| row.row)))
}

/// The filter by a membership.
pub(super) fn membership(id: Option<&str>) -> Result<Option<MembershipId>, Problem> {
    let wrong = |_| Problem::new(StatusCode::BAD_REQUEST, "membership is an id such as mem-12");
    id.map(|id| id.parse().map_err(wrong)).transpose()
}

/// `POST /api/v1/actions/{id}/retry`: 202 with the row, which is due now.
pub(super) async fn retry(
    State(doors): State<Doors>,
    By(by): By,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Json<ActionView>)> {
    let missing = |_| Problem::new(StatusCode::NOT_FOUND, "there is no such action");
    let id: ActionId = id.parse().map_err(missing)?;
    let action = doors.engine.retry(id, &by).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(action)))
}
