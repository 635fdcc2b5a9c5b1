//! `sandbox`: the simulated Zoho alone, until a signal. It prints where it is as one JSON line.

use std::sync::Arc;

use anyhow::Context;

use super::{Outcome, SandboxOptions, print, say};
use crate::app::lifecycle::Signals;
use crate::clock::SystemClock;
use crate::sandbox::{self, Options, World};

pub(super) async fn run(options: &SandboxOptions) -> anyhow::Result<Outcome> {
    let world = match &options.world {
        None => World::demo()?,
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            match World::parse(&text) {
                Ok(world) => world,
                Err(error) => {
                    say(&format!("{}: {error}", file.display()));
                    return Ok(Outcome::BadConfig);
                }
            }
        }
    };
    let mut signals = Signals::listen()?;
    let options = Options { listen: options.listen, smtp: options.smtp, world };
    let sandbox = sandbox::start(options, Arc::new(SystemClock)).await?;
    print(&serde_json::to_string(&sandbox.urls())?);
    signals.next().await;
    sandbox.stop().await;
    Ok(Outcome::Good)
}
