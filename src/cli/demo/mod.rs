//! `demo`: sandbox and daemon in one process, and a short story of signed webhooks through the
//! real HTTP door.
//!
//! Everything the story does it does from outside: it posts webhooks, calls the admin API, and
//! reads what the sandbox's journal and mailboxes saw. The daemon is the one that `serve` runs.

mod files;
mod judge;
mod outside;
mod report;
mod story;
mod terminal;

use std::sync::Arc;

use anyhow::{Context, bail};

use super::{DemoOptions, Outcome, print, say};
use crate::app::lifecycle::Signals;
use crate::app::{self, Loops};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::sandbox::{self, Options, World};

pub(super) async fn run(options: &DemoOptions) -> anyhow::Result<Outcome> {
    let mut signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let loopback = ([127, 0, 0, 1], 0).into();
    let zoho = sandbox::start(
        Options { listen: loopback, smtp: loopback, world: World::demo()? },
        Arc::clone(&clock),
    )
    .await?;
    let urls = zoho.urls();
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let file = files::write(folder.path(), &urls, options.listen)?;
    let config = config::load(&file, None)?;
    let mut running = app::start(config, Arc::clone(&clock), Loops::Run).await?;
    let places = report::Places::new(&running, &urls);
    let stage = outside::Stage::new(&running, &urls, Arc::clone(&clock))?;
    let told = tokio::select! {
        told = story::tell(&stage, options.json) => told,
        error = running.broken() => Err(error),
        () = signals.next() => bail!("ended before the story was told"),
    };
    let report = match told {
        Ok(told) => report::collect(&stage, places, &told).await?,
        Err(error) => {
            running.stop().await;
            zoho.stop().await;
            return Err(error);
        }
    };
    if options.json {
        print(&serde_json::to_string_pretty(&report)?);
    } else {
        print(&report.to_text(!options.exit));
    }
    if !options.exit {
        say("Everything stays up until Ctrl-C.");
        tokio::select! {
            () = signals.next() => {}
            error = running.broken() => return Err(error),
        }
    }
    running.stop().await;
    zoho.stop().await;
    Ok(if report.converged { Outcome::Good } else { Outcome::Failed })
}
