//! `serve`: the daemon, from its configuration file until a signal.

use std::path::Path;
use std::sync::Arc;

use super::{Outcome, credentials, say};
use crate::app::lifecycle::{self, Signals};
use crate::app::{self, Loops};
use crate::clock::{Clock, SystemClock};
use crate::config;

pub(super) async fn run(file: &Path) -> anyhow::Result<Outcome> {
    let config = match config::load(file, credentials().as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            say(&problems.to_string());
            return Ok(Outcome::BadConfig);
        }
    };
    // Before anything is opened: a signal during the start must not leave half a start behind.
    let signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let running = app::start(config, Arc::clone(&clock), Loops::Run).await?;
    lifecycle::run(running, signals, clock.as_ref()).await?;
    Ok(Outcome::Good)
}
