//! What the outside reaches over HTTP: the public door and the admin door.
//!
//! Deliberately absent: decisions. `http` puts things in, asks the engine, and reads. No admin
//! path answers on the public door.

mod admin;
mod bearer;
mod body;
mod channels;
mod health;
mod join;
pub mod listen;
mod page;
mod people;
mod problem;
mod runs;
mod throttle;
mod verbs;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::clock::Clock;
use crate::domain::Secret;
use crate::engine::Engine;

pub use problem::Problem;

/// What both doors need.
#[derive(Clone)]
pub struct Doors {
    /// The engine.
    pub engine: Engine,
    /// The time, for replay windows.
    pub clock: Arc<dyn Clock>,
    /// `server.body_limit`, bytes.
    pub body_limit: usize,
    /// `server.queue_limit`, for readiness.
    pub queue_limit: i64,
    /// `admin.bootstrap_token`, role operator.
    pub bootstrap_token: Secret,
}

/// The public door: webhooks, join pages and health.
pub fn public(doors: Doors) -> Router {
    Router::new()
        .route("/webhooks/{source}", post(webhook::receive))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(join::routes(&doors))
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::nothing_here)
        .with_state(doors)
}

/// The admin door: everything under `/api/v1`, with a bearer token.
pub fn admin(doors: Doors) -> Router {
    let api = Router::new()
        .route("/status", get(admin::status))
        .route("/resync", post(admin::resync))
        .route("/memberships", get(admin::memberships))
        .route("/memberships/adopt", post(verbs::adopt_all))
        .route("/memberships/{id}", get(admin::membership))
        .route("/channels", get(channels::channels))
        .route("/people", get(people::people))
        .route("/people/{id}", get(people::person))
        .route("/people/{id}/confirm-home", post(people::confirm_home))
        .route("/limits", get(people::all_limits))
        .route("/compliance", get(people::compliance))
        .route("/conflicts", get(people::conflicts))
        .route("/memberships/{id}/{verb}", post(verbs::order))
        .route("/organizations/{id}/approve-downgrade", post(verbs::approve_downgrade))
        .route("/organizations/{id}/poll-plan", post(verbs::poll_plan))
        .route("/deliveries", get(admin::deliveries))
        .route("/deliveries/{id}", get(admin::delivery))
        .route("/runs", get(runs::runs))
        .route("/runs/{id}", get(runs::run))
        .route("/runs/{id}/plan", get(runs::plan))
        .route("/runs/{id}/approve", post(runs::approve))
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::nothing_here)
        .layer(axum::middleware::from_fn_with_state(doors.clone(), bearer::required));
    Router::new()
        .nest("/api/v1", api)
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::nothing_here)
        .with_state(doors)
}
