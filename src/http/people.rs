//! The admin API's part on people: one person over all organizations, limits, compliance, conflicts.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Answer, bad_query, refused, shown, store};
use super::bearer::By;
use super::{Doors, Problem, page};
use crate::engine::{
    Confirmed, Found, PersonLine, PersonView, limits, not_applicable, surface_only,
};

fn nobody() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nobody is known by this; name a zuid, an address, a CRM id or a membership (mem-1)",
    )
}

fn several(all: &[String]) -> Problem {
    let detail = format!("this names several people; ask for one of {}", all.join(", "));
    Problem::new(StatusCode::CONFLICT, detail)
}

/// `GET /api/v1/people/{id}`
pub(super) async fn person(
    State(doors): State<Doors>,
    Path(id): Path<String>,
) -> Answer<Json<PersonView>> {
    match doors.engine.person(&id).await.map_err(store)? {
        Found::One(person) => Ok(Json(person)),
        Found::Nobody => Err(nobody()),
        Found::Several(all) => Err(several(&all)),
    }
}

/// `POST /api/v1/people/{id}/confirm-home`
pub(super) async fn confirm_home(
    State(doors): State<Doors>,
    By(by): By,
    Path(id): Path<String>,
) -> Answer<Json<PersonView>> {
    match doors.engine.confirm_home(&id, &by).await.map_err(store)? {
        Found::One(Confirmed::Accepted(person)) => Ok(Json(*person)),
        Found::One(Confirmed::Disputed(why)) => Err(Problem::new(StatusCode::CONFLICT, why)),
        Found::Nobody => Err(nobody()),
        Found::Several(all) => Err(several(&all)),
    }
}

/// Filters and paging of people.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleQuery {
    q: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/people`, one row per person.
pub(super) async fn people(
    State(doors): State<Doors>,
    query: Result<Query<PeopleQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?;
    let rows = doors.engine.people(query.q, after, limit + 1).await.map_err(store)?;
    Ok(Json(page::wrap(rows, limit, PersonLine::row)))
}

/// `GET /api/v1/limits`
pub(super) async fn all_limits() -> Json<Value> {
    Json(json!({ "items": limits(), "surface_only": surface_only() }))
}

/// Paging of lists without a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// Filters and paging of the compliance list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    organization: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/compliance`: who is outside the host's policies (R20 to R23).
pub(super) async fn compliance(
    State(doors): State<Doors>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?;
    let rows = doors
        .engine
        .outside_policy(query.organization, after, limit + 1)
        .await
        .map_err(store)?
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such organization"))?;
    let rules = not_applicable();
    let names: Vec<Value> =
        rules.iter().map(|limit| json!({ "rule": limit.rule, "title": limit.title })).collect();
    let rows: Vec<(i64, Value)> = rows
        .into_iter()
        .map(|row| {
            let id = row.id.0;
            let mut line = serde_json::to_value(shown(row)).unwrap_or_default();
            line["not_applicable"] = names.clone().into();
            (id, line)
        })
        .collect();
    let mut answer = wrapped(rows, limit);
    answer["not_applicable"] = serde_json::to_value(rules).unwrap_or_default();
    Ok(Json(answer))
}

/// `GET /api/v1/conflicts`: what forbids every write for somebody (R3, G6, G9).
pub(super) async fn conflicts(
    State(doors): State<Doors>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?;
    let rows = doors.engine.conflicts(after, limit + 1).await.map_err(store)?;
    let rows =
        rows.into_iter().map(|(id, row)| (id, serde_json::to_value(row).unwrap_or_default()));
    Ok(Json(wrapped(rows.collect(), limit)))
}

/// `GET /api/v1/organizations/{id}/foreign`: external rows of Cliq that are in no ledger, as the last
/// run over everybody saw them; `count` has all of them.
pub(super) async fn foreign(
    State(doors): State<Doors>,
    Path(organization): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?;
    let found = doors.engine.foreign(&organization, after, limit + 1).await;
    let (rows, count) = found.map_err(refused)?;
    let mut answer = wrapped(rows, limit);
    answer["count"] = count.into();
    Ok(Json(answer))
}

/// A page of rows whose ids are not part of them.
fn wrapped(rows: Vec<(i64, Value)>, limit: u32) -> Value {
    let mut answer = page::wrap(rows, limit, |(id, _)| *id);
    if let Some(items) = answer["items"].as_array_mut() {
        for item in items {
            *item = item.get(1).cloned().unwrap_or_default();
        }
    }
    answer
}
