//! Builds everything once and runs it: the only place that constructs things.
//!
//! `serve`, `demo` and the tests all start the daemon by [`start`]; only `serve` adds signals and
//! systemd (see [`lifecycle`]).

pub mod client;
pub mod lifecycle;
pub mod logging;
mod loops;
pub mod tokens;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{BootId, OrgId, Secret};
use crate::engine::Engine;
use crate::http::{self, Doors, listen};
use crate::mail::SEND_MAX;
use crate::store::lock::StoreLock;
use crate::store::{Store, boots, orgs};
use crate::zoho::CALL_TIMEOUT;

/// Bytes of the store's key: as long as the hash it feeds.
const KEY_BYTES: usize = 32;

/// A running daemon.
pub struct Running {
    /// The engine, for tests and the demo.
    pub engine: Engine,
    /// Where the public door listens.
    pub public: String,
    /// Where the admin door listens.
    pub admin: String,
    tasks: JoinSet<anyhow::Result<&'static str>>,
    stop: CancellationToken,
    drain: Duration,
    store: Store,
    boot: BootId,
    clock: Arc<dyn Clock>,
    _lock: StoreLock,
}

/// Whether the engine's own loops run. Tests drive the steps themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    /// As in production.
    Run,
    /// Nothing happens but by [`Engine::step`].
    ByHand,
}

/// How long the outside may take; for whoever cannot wait as long as production does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one call of Zoho or the portal.
    pub call: Duration,
    /// For the dialogue of one letter.
    pub letter: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { call: CALL_TIMEOUT, letter: SEND_MAX }
    }
}

/// Opens the store, builds the clients, binds both doors, and starts working.
///
/// # Errors
/// With the place and what to do about it, when a part cannot be had.
pub async fn start(config: Config, clock: Arc<dyn Clock>, loops: Loops) -> anyhow::Result<Running> {
    start_within(config, clock, loops, Patience::default()).await
}

/// The same with another patience.
///
/// # Errors
/// As [`start`].
pub async fn start_within(
    mut config: Config,
    clock: Arc<dyn Clock>,
    loops: Loops,
    patience: Patience,
) -> anyhow::Result<Running> {
    let lock = StoreLock::take(&config.store.path)?;
    let store = Store::open(&config.store.path)?;
    let now = clock.now();
    let mut fresh = [0_u8; KEY_BYTES];
    getrandom::fill(&mut fresh).context("the system gives no random bytes")?;
    let ours: Vec<OrgId> = config.organizations.iter().map(|one| one.id.clone()).collect();
    let (boot, key) = store
        .write("boot", move |tx| {
            orgs::probe_all(tx, now)?;
            orgs::know(tx, &ours, now)?;
            Ok((boots::begin(tx, now)?, boots::key(tx, &Secret::new(fresh))?))
        })
        .await?;
    let public = listen::bind(&config.server.listen)
        .await
        .with_context(|| format!("server.listen = {}", config.server.listen))?;
    let admin = listen::bind(&config.server.admin_listen)
        .await
        .with_context(|| format!("server.admin_listen = {}", config.server.admin_listen))?;
    let names = (listen::local(&public), listen::local(&admin));
    name_port(&mut config.server.public_url, &names.0);
    let drain = config.server.drain;
    let doors_settings = (
        config.server.body_limit,
        i64::from(config.server.queue_limit),
        config.admin.bootstrap_token.clone(),
    );
    let seat = (Arc::clone(&clock), patience);
    let wired = wiring::engine(config, store.clone(), seat, boot, key).await?;
    let engine = wired.engine;
    engine.note_scopes().await?;
    let doors = Doors {
        engine: engine.clone(),
        clock: Arc::clone(&clock),
        body_limit: doors_settings.0,
        queue_limit: doors_settings.1,
        bootstrap_token: doors_settings.2,
        keeper: Arc::default(),
    };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for (bound, router, name) in [
        (public, http::public(doors.clone()), "public door"),
        (admin, http::admin(doors), "admin door"),
    ] {
        let stop = stop.clone();
        tasks.spawn(async move {
            listen::serve(bound, router, stop, drain).await;
            Ok(name)
        });
    }
    if loops == Loops::Run {
        loops::spawn(&mut tasks, &engine, &clock, &stop);
        loops::sign_in(&mut tasks, wired.accounts, &stop);
    }
    tracing::info!(public = names.0, admin = names.1, %boot, "listening");
    Ok(Running {
        engine,
        public: names.0,
        admin: names.1,
        tasks,
        stop,
        drain,
        store,
        boot,
        clock,
        _lock: lock,
    })
}

/// A port 0 in `server.public_url` means the one that was bound, as it does in `server.listen`: so
/// the demo's join links work on whatever port was free.
fn name_port(public_url: &mut Url, bound: &str) {
    let bound = bound.parse().ok().map(|at: SocketAddr| at.port());
    if let (Some(0), Some(port)) = (public_url.port(), bound) {
        // An http URL can have any port.
        let _ = public_url.set_port(Some(port));
    }
}

impl Running {
    /// Ends when a task has ended by itself, which none should.
    pub async fn broken(&mut self) -> anyhow::Error {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Ok("sign-in"))) => {}
                Some(Ok(Ok(name))) => return anyhow::anyhow!("the {name} has ended by itself"),
                Some(Ok(Err(error))) => return error,
                Some(Err(error)) => return anyhow::anyhow!("a task died: {error}"),
                None => std::future::pending().await,
            }
        }
    }

    /// Stops in order: no new connections, work in flight finished within `server.drain`, the
    /// store closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let drained = tokio::time::timeout(self.drain, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!(
                drain_s = self.drain.as_secs(),
                "work in flight did not end in time; it is taken up at the next start"
            );
            self.tasks.shutdown().await;
        }
        if let Err(error) = self.engine.flush_refused().await {
            tracing::warn!(%error, "refused requests were not counted");
        }
        let (boot, now) = (self.boot, self.clock.now());
        if let Err(error) = self.store.write("end boot", move |tx| boots::end(tx, boot, now)).await
        {
            tracing::warn!(%error, "the end of this boot was not recorded");
        }
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::name_port;

    #[test]
    fn a_port_0_of_the_public_url_becomes_the_bound_one_and_any_other_stays() {
        for (written, bound, named) in [
            ("http://127.0.0.1:0/", "127.0.0.1:8123", "http://127.0.0.1:8123/"),
            ("http://127.0.0.1/", "127.0.0.1:8123", "http://127.0.0.1/"),
            ("https://bridge.example.org/", "unix:/run/a.sock", "https://bridge.example.org/"),
        ] {
            let mut url = written.parse().unwrap();
            name_port(&mut url, bound);
            assert_eq!(url.as_str(), named);
        }
    }
}
