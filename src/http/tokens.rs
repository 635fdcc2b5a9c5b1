//! The admin API of its own tokens: who has one, another one, one less.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Answer, store};
use super::bearer::By;
use super::body::Sent;
use super::{Doors, Problem};
use crate::config;
use crate::domain::Role;
use crate::engine::tokens::{LIFE_DEFAULT, NewToken, TokenRefused, TokenView};

fn problem(refused: &TokenRefused) -> Problem {
    let status = match refused {
        TokenRefused::BadName(_) => StatusCode::BAD_REQUEST,
        TokenRefused::Taken(_) => StatusCode::CONFLICT,
        TokenRefused::Missing(_) => StatusCode::NOT_FOUND,
        TokenRefused::NoChance => StatusCode::SERVICE_UNAVAILABLE,
        TokenRefused::Store(error) => return Problem::store(error),
    };
    Problem::new(status, refused.to_string())
}

/// `GET /api/v1/tokens`: names and ends, never a token. There are few, so they are one page.
pub(super) async fn tokens(State(doors): State<Doors>) -> Answer<Json<Value>> {
    let all = doors.engine.tokens().await.map_err(store)?;
    Ok(Json(json!({ "items": all, "next_cursor": null })))
}

/// The body of a new token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    role: String,
    /// `90d`, or `never`; a year if absent.
    expires: Option<String>,
}

/// `POST /api/v1/tokens`: 201 with the token, which is told this once.
pub(super) async fn add(
    State(doors): State<Doors>,
    By(by): By,
    Sent(wanted): Sent<Wanted>,
) -> Answer<(StatusCode, Json<Value>)> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let role = Role::from_word(&wanted.role)
        .ok_or_else(|| bad("role is viewer or operator".to_owned()))?;
    let life = match wanted.expires.as_deref() {
        None => Some(LIFE_DEFAULT),
        Some("never") => None,
        Some(text) => {
            let life = config::duration(text);
            Some(life.map_err(|why| bad(format!("expires: {why}, or \"never\"")))?)
        }
    };
    let new = NewToken { name: wanted.name, role, life };
    let minted = doors.engine.add_token(new, &by).await.map_err(|error| problem(&error))?;
    let mut answer = serde_json::to_value(minted.view).unwrap_or_default();
    answer["token"] = minted.token.expose_text().into();
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `DELETE /api/v1/tokens/{name}`: 200 with what it was.
pub(super) async fn revoke(
    State(doors): State<Doors>,
    By(by): By,
    Path(name): Path<String>,
) -> Answer<Json<TokenView>> {
    doors.engine.revoke_token(&name, &by).await.map(Json).map_err(|error| problem(&error))
}
