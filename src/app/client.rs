//! The HTTP client of the operator's own commands (`send`, `memberships`, `demo`): not for Zoho, which has its
//! transport with tokens and budgets.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// How long an operator's command waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a connection may lie idle and be used again: half of what the bridge's own doors let it
/// (`HEADER_TIME_MAX` in `http/listen.rs`), or a POST may go into one that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A client without redirects and without a proxy from the environment.
///
/// # Errors
/// When TLS cannot be set up; the message names the missing package.
pub fn client() -> anyhow::Result<reqwest::Client> {
    build(|builder| builder)
}

/// The same over a Unix socket, whatever host the addresses name.
///
/// # Errors
/// As [`client`].
pub fn client_over(socket: &Path) -> anyhow::Result<reqwest::Client> {
    build(|builder| builder.unix_socket(socket))
}

fn build(
    further: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> anyhow::Result<reqwest::Client> {
    // Fails only when another part of the process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(IDLE_MAX)
        .timeout(ANSWER_MAX)
        .user_agent(concat!("cliqbridge/", env!("CARGO_PKG_VERSION")));
    further(builder)
        .build()
        .context("TLS cannot be set up; is the package ca-certificates installed?")
}
