//! The HTTP client of the operator's own commands (`send`, `demo`): not for Zoho, which has its
//! transport with tokens and budgets.

use std::time::Duration;

use anyhow::Context;

/// How long an operator's command waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A client without redirects and without a proxy from the environment.
///
/// # Errors
/// When TLS cannot be set up; the message names the missing package.
pub fn client() -> anyhow::Result<reqwest::Client> {
    // Fails only when another part of the process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(ANSWER_MAX)
        .user_agent(concat!("cliqbridge/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("TLS cannot be set up; is the package ca-certificates installed?")
}
