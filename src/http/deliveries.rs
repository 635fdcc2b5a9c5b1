//! The admin API of deliveries: what came, with its body, and reading it again.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::admin::{Answer, bad_query, refused, store};
use super::bearer::By;
use super::{Doors, Problem, page};
use crate::domain::{DeliveryId, DeliveryStatus};
use crate::engine::{DeliveryFilter, Replayed};

/// Filters and paging of deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryQuery {
    event_id: Option<String>,
    source: Option<String>,
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/deliveries`, newest first.
pub(super) async fn deliveries(
    State(doors): State<Doors>,
    query: Result<Query<DeliveryQuery>, QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let status = query.status.as_deref().map(|word| {
        DeliveryStatus::from_word(word)
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "status is accepted or ignored"))
    });
    let filter = DeliveryFilter {
        event_id: query.event_id,
        source: query.source,
        status: status.transpose()?,
        before: page::cursor(query.cursor.as_deref())?,
    };
    let rows = doors.engine.deliveries(filter, limit + 1).await.map_err(store)?;
    Ok(Json(page::wrap(rows, limit, |row| {
        row.delivery_id.parse::<DeliveryId>().map_or(0, |id| id.0)
    })))
}

fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such delivery")
}

/// `GET /api/v1/deliveries/{id}`, with its body.
pub(super) async fn delivery(
    State(doors): State<Doors>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    let id: DeliveryId = id.parse().map_err(|_| missing())?;
    let (view, body) = doors.engine.delivery(id).await.map_err(store)?.ok_or_else(missing)?;
    let mut shown = serde_json::to_value(view).unwrap_or_default();
    shown["body"] = body.into();
    Ok(Json(shown))
}

/// `POST /api/v1/deliveries/{id}/replay`: 202, its hints are looked at again.
pub(super) async fn replay(
    State(doors): State<Doors>,
    By(by): By,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Json<Replayed>)> {
    let id: DeliveryId = id.parse().map_err(|_| missing())?;
    let replayed = doors.engine.replay(id, &by).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(replayed)))
}
