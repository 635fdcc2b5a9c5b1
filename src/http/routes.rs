//! Every address of the admin API, in one list: what is registered and what tests walk over.
//!
//! Deliberately absent: roles. The method decides: plain reads are open to viewers, everything else
//! is an operator's (see `bearer`).

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{
    Doors, actions, admin, audit, channels, deliveries, metrics, pause, people, runs, tokens, verbs,
};

/// An address and what answers there.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) answer: MethodRouter<Doors>,
}

fn look<H, T>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, Doors>,
    T: 'static,
{
    Route { method: Method::GET, path, answer: on(MethodFilter::GET, handler) }
}

fn act<H, T>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, Doors>,
    T: 'static,
{
    Route { method: Method::POST, path, answer: on(MethodFilter::POST, handler) }
}

fn delete<H, T>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, Doors>,
    T: 'static,
{
    Route { method: Method::DELETE, path, answer: on(MethodFilter::DELETE, handler) }
}

/// Below `/api/v1`.
pub(super) fn api() -> Vec<Route> {
    vec![
        look("/status", admin::status),
        act("/resync", admin::resync),
        look("/runs", runs::runs),
        look("/runs/{id}", runs::run),
        look("/runs/{id}/plan", runs::plan),
        act("/runs/{id}/approve", runs::approve),
        look("/memberships", admin::memberships),
        look("/memberships/{id}", admin::membership),
        act("/memberships/adopt", verbs::adopt_all),
        act("/memberships/{id}/{verb}", verbs::order),
        look("/channels", channels::channels),
        look("/people", people::people),
        look("/people/{id}", people::person),
        act("/people/{id}/confirm-home", people::confirm_home),
        look("/explain/{person}", runs::explain),
        look("/limits", people::all_limits),
        look("/compliance", people::compliance),
        look("/conflicts", people::conflicts),
        look("/organizations/{id}/foreign", people::foreign),
        act("/organizations/{id}/approve-downgrade", verbs::approve_downgrade),
        act("/organizations/{id}/poll-plan", verbs::poll_plan),
        look("/deliveries", deliveries::deliveries),
        look("/deliveries/{id}", deliveries::delivery),
        act("/deliveries/{id}/replay", deliveries::replay),
        look("/actions", actions::actions),
        act("/actions/{id}/retry", actions::retry),
        look("/audit", audit::audit),
        act("/pause", pause::pause),
        act("/resume", pause::resume),
        look("/tokens", tokens::tokens),
        act("/tokens", tokens::add),
        delete("/tokens/{name}", tokens::revoke),
    ]
}

/// Beside it.
pub(super) fn beside() -> Vec<Route> {
    vec![look("/metrics", metrics::metrics)]
}
