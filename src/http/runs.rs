//! The admin API's part on runs: lists, plans, dry runs, and approving what is held.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Answer, bad_query, store};
use super::bearer::By;
use super::body::Sent;
use super::{Doors, Problem, page};
use crate::domain::RunId;
use crate::domain::run::RunState;
use crate::engine::{Asked, NotApproved, NotPlanned, PlanPage, RunView, RunsAsked};

fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such run")
}

/// Filters and paging of runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunQuery {
    organization: Option<String>,
    state: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/runs`, newest first: the runs of single organizations.
pub(super) async fn runs(
    State(doors): State<Doors>,
    query: Result<Query<RunQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let state = match query.state.as_deref() {
        None => None,
        Some(word) => Some(RunState::from_word(word).ok_or_else(|| {
            let words: Vec<_> = RunState::ALL.iter().map(|state| state.as_str()).collect();
            Problem::new(StatusCode::BAD_REQUEST, format!("state is one of {}", words.join(", ")))
        })?),
    };
    let asked = RunsAsked {
        organization: query.organization,
        state,
        before: page::cursor(query.cursor.as_deref())?,
    };
    let rows = doors.engine.runs(asked, limit + 1).await.map_err(store)?;
    let rows = rows.into_iter().map(|(id, run)| Row { id, run }).collect();
    Ok(Json(page::wrap(rows, limit, |row: &Row| row.id)))
}

#[derive(serde::Serialize)]
struct Row {
    #[serde(skip)]
    id: i64,
    #[serde(flatten)]
    run: RunView,
}

/// `GET /api/v1/runs/{id}`
pub(super) async fn run(
    State(doors): State<Doors>,
    Path(id): Path<String>,
) -> Answer<Json<RunView>> {
    let id: RunId = id.parse().map_err(|_| missing())?;
    doors.engine.run_view(id).await.map_err(store)?.map(Json).ok_or_else(missing)
}

/// Lines of a plan in one answer: unless told, and at most. Most plans are shown whole.
const LINES_MAX: u32 = 5_000;

/// Paging of a plan's lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/runs/{id}/plan`: what the run was about to do, at most [`LINES_MAX`] lines a page.
pub(super) async fn plan(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    query: Result<Query<PlanQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit_to(LINES_MAX, LINES_MAX, query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?.unwrap_or(0);
    let after = u32::try_from(after).unwrap_or(u32::MAX);
    let id: RunId = id.parse().map_err(|_| missing())?;
    let plan = doors.engine.run_plan(id, after, limit).await.map_err(store)?;
    let Some(PlanPage { mut plan, next }) = plan.ok_or_else(missing)? else {
        let detail = "this run has no plan: it has not read both sides yet, or could not, or \
                      stands for the runs of several organizations, or a newer held run has \
                      replaced it";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    plan["next_cursor"] = next.map(|next| page::written(i64::from(next))).into();
    Ok(Json(plan))
}

/// The answer to a resync with `dry_run`: the plan, and nothing done.
pub(super) async fn dry(doors: &Doors, asked: &Asked) -> Answer<Response> {
    let dry = doors.engine.dry_run(asked).await.map_err(not_planned)?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], dry.to_json()).into_response())
}

/// Which organization an explanation is about; all of them unless told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    organization: Option<String>,
}

/// `GET /api/v1/explain/{person}`: why somebody stands where they stand, and nothing done.
pub(super) async fn explain(
    State(doors): State<Doors>,
    Path(person): Path<String>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let told = doors.engine.explain(person.trim(), query.organization.as_deref()).await;
    told.map(Json).map_err(not_planned)
}

fn not_planned(error: NotPlanned) -> Problem {
    match error {
        NotPlanned::Store(error) => store(error),
        NotPlanned::UnknownOrganization(_) | NotPlanned::Nobody(_) => {
            Problem::new(StatusCode::NOT_FOUND, error.to_string())
        }
        NotPlanned::Outside(_) => Problem::new(StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

/// The body of an approval.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    checksum: String,
}

/// `POST /api/v1/runs/{id}/approve`: 200 when exactly the approved plan is queued, 409 when it is not
/// what would be done now.
pub(super) async fn approve(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    By(by): By,
    Sent(approval): Sent<Approval>,
) -> Answer<Json<Value>> {
    let id: RunId = id.parse().map_err(|_| missing())?;
    let approved = doors.engine.approve(id, &approval.checksum, &by).await.map_err(not_approved)?;
    Ok(Json(json!({
        "run_id": approved.run.to_string(),
        "state": approved.state.as_str(),
        "checksum": approved.checksum,
        "changes": approved.changes,
        "left_out": approved.left_out,
        "held": approved.held,
    })))
}

fn not_approved(error: NotApproved) -> Problem {
    let conflict = Problem::new(StatusCode::CONFLICT, error.to_string());
    match error {
        NotApproved::Store(error) => store(error),
        NotApproved::Missing => missing(),
        NotApproved::Outside(_) => Problem::new(StatusCode::BAD_GATEWAY, error.to_string()),
        NotApproved::NotHeld(_)
        | NotApproved::Already(_)
        | NotApproved::Expired(_)
        | NotApproved::OtherScope(_) => conflict,
        NotApproved::Resolved { later, .. } => conflict.with("newer_run_id", later.to_string()),
        NotApproved::Replaced { newer, .. } => conflict.with("newer_run_id", newer.to_string()),
        NotApproved::WrongChecksum { expected, given, .. } => {
            conflict.with("checksum", expected).with("given", given)
        }
        NotApproved::Changed { approved, now, what, .. } => {
            conflict.with("approved", approved).with("checksum", now).with("changed", what)
        }
    }
}
