//! The admin API, first part: status, resync, memberships.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bearer::By;
use super::body::Sent;
use super::{Doors, Problem, page, runs};
use crate::domain::membership::{Membership, State as MembershipState};
use crate::domain::run::Trigger;
use crate::domain::{Licence, MembershipId, Timestamp};
use crate::engine::{
    Asked, BadRequest, MembershipFilter, Refused, Status, StoreFailure, limits, remedy,
};

pub(super) type Answer<T> = Result<T, Problem>;

/// What a command hears that was not carried out.
pub(super) fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Missing(_) => Problem::new(StatusCode::NOT_FOUND, refused.to_string()),
        Refused::Forbidden(why) => Problem::new(StatusCode::CONFLICT, why),
        Refused::Outside(failure) => Problem::new(StatusCode::BAD_GATEWAY, failure.to_string()),
        Refused::Store(error) => Problem::store(&error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
pub(super) fn store(error: StoreFailure) -> Problem {
    Problem::store(&error)
}

/// `GET /api/v1/status`
pub(super) async fn status(State(doors): State<Doors>) -> Answer<Json<Status>> {
    Ok(Json(doors.engine.status().await.map_err(store)?))
}

/// The body of a resync; an empty one means everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResyncBody {
    organization: Option<String>,
    user: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /api/v1/resync`: 202 with the run, or 200 with the plan of a dry one.
pub(super) async fn resync(
    State(doors): State<Doors>,
    By(by): By,
    Sent(asked): Sent<ResyncBody>,
) -> Answer<Response> {
    if asked.user.as_ref().is_some_and(|user| user.trim().is_empty()) {
        let detail = "user is a CRM id, a zuid or an address; leave it out to mean everybody";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let dry_run = asked.dry_run;
    let asked = Asked { organization: asked.organization, user: asked.user, by: Some(by) };
    if dry_run {
        return runs::dry(&doors, &asked).await;
    }
    let one = asked.organization.is_some();
    let requested = match doors.engine.resync(asked, Trigger::Manual).await {
        Ok(requested) => requested,
        Err(error @ BadRequest::UnknownOrganization(_)) => {
            return Err(Problem::new(StatusCode::NOT_FOUND, error.to_string()));
        }
        Err(BadRequest::Store(error)) => return Err(store(error)),
    };
    let mut answer = json!({ "run_id": requested.run.to_string() });
    if !one {
        let runs: Vec<Value> = requested
            .runs
            .iter()
            .map(|(organization, run)| {
                json!({ "organization": organization.as_str(), "run_id": run.to_string() })
            })
            .collect();
        answer["runs"] = runs.into();
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Filters and paging of memberships.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembershipQuery {
    organization: Option<String>,
    state: Option<String>,
    q: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A membership as the API shows it.
#[derive(Serialize)]
pub(super) struct MembershipView {
    id: String,
    organization: String,
    crm_user_id: String,
    email: String,
    name: String,
    state: &'static str,
    external: bool,
    origin: &'static str,
    since: String,
    generation: u32,
    sends: u32,
    zuid: Option<String>,
    cliq_id: Option<String>,
    invited_at: Option<String>,
    invited_as: Option<String>,
    join_url: Option<String>,
    suspected_at: Option<String>,
    licence: Option<&'static str>,
    restricted_by_bridge: bool,
    parked: Option<String>,
    #[serde(skip)]
    row: i64,
}

pub(super) fn shown(row: Membership) -> MembershipView {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    MembershipView {
        id: row.id.to_string(),
        organization: row.organization.to_string(),
        crm_user_id: row.crm_user_id.to_string(),
        email: row.email.as_str().to_owned(),
        name: format!("{} {}", row.first_name, row.last_name).trim().to_owned(),
        state: row.state.as_str(),
        external: row.external,
        origin: row.origin.as_str(),
        since: row.since.to_rfc3339(),
        generation: row.generation,
        sends: row.sends,
        zuid: row.zuid.map(|id| id.to_string()),
        cliq_id: row.cliq_id.map(|id| id.to_string()),
        invited_at: time(row.invited_at),
        invited_as: row.invited_as.map(|email| email.as_str().to_owned()),
        join_url: row.join_url,
        suspected_at: time(row.suspected_at),
        licence: row.licence.map(Licence::as_str),
        restricted_by_bridge: row.restricted_by_bridge,
        parked: row.parked.as_deref().map(remedy),
        row: row.id.0,
    }
}

/// `GET /api/v1/memberships`
pub(super) async fn memberships(
    State(doors): State<Doors>,
    query: Result<Query<MembershipQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Json<Value>> {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let limit = page::limit(query.limit.as_deref())?;
    let state = match query.state.as_deref() {
        None => None,
        Some(word) => Some(MembershipState::from_word(word).ok_or_else(|| {
            let words: Vec<_> = MembershipState::ALL.iter().map(|s| s.as_str()).collect();
            Problem::new(StatusCode::BAD_REQUEST, format!("state is one of {}", words.join(", ")))
        })?),
    };
    let filter = MembershipFilter {
        after: page::cursor(query.cursor.as_deref())?,
        organization: query.organization,
        state,
        q: query.q,
    };
    let rows = doors.engine.memberships(filter, limit + 1).await.map_err(store)?;
    let rows = rows.into_iter().map(shown).collect();
    Ok(Json(page::wrap(rows, limit, |row| row.row)))
}

/// `GET /api/v1/memberships/{id}`, with its history: why it is as it is; and its channels.
pub(super) async fn membership(
    State(doors): State<Doors>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "there is no such membership");
    let id: MembershipId = id.parse().map_err(|_| missing())?;
    let (row, history) = doors.engine.membership(id).await.map_err(store)?.ok_or_else(missing)?;
    let home = doors.engine.home_of(&row).await.map_err(store)?;
    let limits = if row.external && row.is_live() { limits() } else { Vec::new() };
    let mut answer = serde_json::to_value(shown(row)).unwrap_or_default();
    answer["home"] = serde_json::to_value(home).unwrap_or_default();
    answer["limits"] = serde_json::to_value(limits).unwrap_or_default();
    answer["history"] = serde_json::to_value(history).unwrap_or_default();
    let channels = doors.engine.guest_views(id).await.map_err(store)?;
    answer["channels"] = serde_json::to_value(channels).unwrap_or_default();
    Ok(Json(answer))
}

pub(super) fn bad_query(error: &axum::extract::rejection::QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("the query is not understood: {error}"))
}
