//! The admin API of channels: what is mapped, what stands in the way, who is in by whose hand.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;

use super::admin::bad_query;
use super::{Doors, Problem, page};

/// Filter and paging of channels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelQuery {
    organization: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /api/v1/channels`. The configuration names few of them, so a page is cut from the whole
/// list; a cursor is a place in it.
pub(super) async fn channels(
    State(doors): State<Doors>,
    query: Result<Query<ChannelQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let after = page::cursor(query.cursor.as_deref())?.unwrap_or(0);
    let all = doors
        .engine
        .channel_views(query.organization)
        .await
        .map_err(|error| Problem::store(&error))?;
    let page: Vec<(i64, Value)> = (1_i64..)
        .zip(all)
        .filter(|(place, _)| *place > after)
        .take(usize::try_from(limit + 1).unwrap_or(usize::MAX))
        .map(|(place, view)| (place, serde_json::to_value(view).unwrap_or_default()))
        .collect();
    let places: Vec<i64> = page.iter().map(|(place, _)| *place).collect();
    let mut answer = page::wrap(places, limit, |place| *place);
    let rows = page.into_iter().map(|(_, view)| view);
    answer["items"] = rows.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    Ok(Json(answer))
}
