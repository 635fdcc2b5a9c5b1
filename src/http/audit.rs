//! The admin API of the audit: JSON in pages, or CSV as one stream.

use std::collections::VecDeque;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::actions::membership;
use super::admin::{Answer, bad_query, store};
use super::{Doors, Problem, page};
use crate::domain::Timestamp;
use crate::engine::{AuditFilter, Engine, StepView, StoreFailure};
use crate::logic::csv;

/// Steps read at once for a stream.
const CHUNK: u32 = 500;

/// Where the next page of a CSV begins, when one was asked for by `limit`.
const NEXT_CURSOR: &str = "next-cursor";

const COLUMNS: [&str; 14] = [
    "id",
    "at",
    "organization",
    "membership",
    "email",
    "name",
    "actor",
    "event",
    "reason",
    "before",
    "after",
    "delivery_id",
    "run_id",
    "action_id",
];

/// Filters and paging of the audit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    organization: Option<String>,
    membership: Option<String>,
    actor: Option<String>,
    since: Option<String>,
    format: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/audit`, newest first. As CSV (`?format=csv`, or `Accept: text/csv`) it is the whole
/// of what the filter finds, unless `limit` asks for a page; then the header `next-cursor` leads on.
pub(super) async fn audit(
    State(doors): State<Doors>,
    headers: HeaderMap,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Answer<Response> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let as_csv = wants_csv(query.format.as_deref(), &headers)?;
    let limit = page::limit(query.limit.as_deref())?;
    let since = query.since.as_deref().map(|text| {
        Timestamp::parse(text).ok_or_else(|| {
            let detail = "since is a time such as 2026-11-24T08:00:00Z";
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    });
    let filter = AuditFilter {
        organization: query.organization,
        membership: membership(query.membership.as_deref())?,
        actor: query.actor,
        since: since.transpose()?,
        before: page::cursor(query.cursor.as_deref())?,
    };
    if as_csv && query.limit.is_none() {
        return Ok(csv_response(Body::from_stream(stream_of(doors.engine, filter)), None));
    }
    let rows = doors.engine.audit(filter, limit + 1).await.map_err(store)?;
    if !as_csv {
        return Ok(Json(page::wrap(rows, limit, |row| row.row)).into_response());
    }
    let (rows, next) = page::cut(rows, limit, |row| row.row);
    let text: String = rows.iter().map(line).collect();
    Ok(csv_response(Body::from(csv::line(COLUMNS) + &text), next))
}

fn wants_csv(format: Option<&str>, headers: &HeaderMap) -> Result<bool, Problem> {
    match format {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "format is json or csv")),
        None => {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            Ok(accept.is_some_and(|types| types.to_ascii_lowercase().contains("text/csv")))
        }
    }
}

fn csv_response(body: Body, next: Option<String>) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(header::CONTENT_TYPE, text);
    let name = HeaderValue::from_static("attachment; filename=\"audit.csv\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        headers.insert(NEXT_CURSOR, next);
    }
    response
}

fn line(step: &StepView) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let json = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or_else(String::new, ToString::to_string)
    };
    let cells = [
        step.id.clone(),
        step.at.clone(),
        text(&step.organization),
        text(&step.membership),
        text(&step.email),
        text(&step.name),
        step.actor.clone(),
        step.event.clone(),
        step.reason.clone(),
        json(&step.before),
        json(&step.after),
        text(&step.delivery_id),
        text(&step.run_id),
        text(&step.action_id),
    ];
    csv::line(cells.iter().map(String::as_str))
}

/// What is left to send of a stream.
struct Rest {
    engine: Engine,
    filter: AuditFilter,
    ready: VecDeque<String>,
    over: bool,
}

/// The head, then chunk after chunk. Steps are only ever added, at the other end, so the pages fit
/// together. A store that fails breaks the stream off, which the reader sees.
fn stream_of(
    engine: Engine,
    filter: AuditFilter,
) -> impl futures_util::Stream<Item = Result<Bytes, StoreFailure>> {
    let ready = VecDeque::from([csv::line(COLUMNS)]);
    stream::try_unfold(Rest { engine, filter, ready, over: false }, |mut rest| async move {
        if rest.ready.is_empty() && !rest.over {
            let rows = rest.engine.audit(rest.filter.clone(), CHUNK).await?;
            rest.over = u32::try_from(rows.len()).is_ok_and(|count| count < CHUNK);
            rest.filter.before = rows.last().map(|row| row.row);
            rest.ready.push_back(rows.iter().map(line).collect());
        }
        Ok(rest.ready.pop_front().map(|text| (Bytes::from(text), rest)))
    })
}
