//! What the outside reaches over HTTP: the public door and the admin door.
//!
//! Deliberately absent: decisions. `http` puts things in, asks the engine, and reads. No admin
//! path answers on the public door.

mod actions;
mod admin;
mod audit;
mod bearer;
mod body;
mod channels;
mod deliveries;
mod health;
mod join;
pub mod listen;
mod lockout;
mod metrics;
mod page;
mod pause;
mod people;
mod problem;
mod routes;
mod runs;
mod throttle;
mod tokens;
mod verbs;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::clock::Clock;
use crate::domain::Secret;
use crate::engine::Engine;

pub use bearer::Keeper;
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
    /// What the admin door remembers between requests.
    pub keeper: Arc<Keeper>,
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
        .layer(from_fn(problem::everywhere))
        .with_state(doors)
}

/// Where the admin API is.
const API: &str = "/api/v1";

/// The admin door: everything under `/api/v1`, and the metrics, with a bearer token.
pub fn admin(doors: Doors) -> Router {
    let register = |routes: Vec<routes::Route>| {
        let routes = routes.into_iter();
        routes.fold(Router::new(), |router, route| router.route(route.path, route.answer))
    };
    let lock = || from_fn_with_state(doors.clone(), bearer::required);
    let api = register(routes::api())
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::nothing_here)
        .layer(lock());
    register(routes::beside())
        .route_layer(lock())
        .nest(API, api)
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(problem::nothing_here)
        .layer(from_fn(problem::everywhere))
        .with_state(doors)
}

/// Every address of the admin door with its method: for tests, which demand an answer of each.
pub fn admin_routes() -> Vec<(Method, String)> {
    let api = routes::api().into_iter().map(|route| (route.method, format!("{API}{}", route.path)));
    let beside = routes::beside().into_iter();
    api.chain(beside.map(|route| (route.method, route.path.to_owned()))).collect()
}
