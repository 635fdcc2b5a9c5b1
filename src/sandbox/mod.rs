//! A simulated Zoho: accounts, CRM, Cliq, the portal function, and an SMTP sink with mailboxes.
//!
//! One HTTP listener with Zoho's paths and quirks, written by hand from the contract page and
//! never sharing code with the client, so that a wrong assumption shows. It is strict (what the
//! contract does not have is a recorded violation) and honest (pages, limits, locks and the
//! product rules hold). Deliberately absent: any storage; a stopped sandbox forgets everything.
//!
//! # Where things are
//! `world` and its `entries` are the file, `build` makes the `state` of it; `server` takes requests,
//! `router` names them; `accounts`, `crm`, `watch`, `cliq_users`, `cliq_channels`, `cliq_members`,
//! `bots`, `portal` answer them. `membership`, `channel`, `guests`, `licences` and `capabilities`
//! hold the product's rules; `due` is what time brings. `faults`, `limits`, `paging` and `journal`
//! are what tests are about. `control`, the acts (`acts`, `channel_acts`, `organization_acts`,
//! `people`, `attempts`), `views` and `pages` are the sandbox's own door; `courier` posts what CRM
//! tells its subscribers; `smtp`, `mime`, `mailbox` take mail.

mod accounts;
mod acts;
mod attempts;
mod bots;
mod build;
mod capabilities;
mod cards;
mod channel;
mod channel_acts;
mod cliq_channels;
mod cliq_members;
mod cliq_users;
mod control;
mod courier;
mod crm;
mod due;
mod entries;
mod faults;
mod guests;
mod journal;
mod licences;
mod limits;
mod mailbox;
mod membership;
mod mime;
mod organization_acts;
mod pages;
mod paging;
mod people;
mod populations;
mod portal;
mod router;
mod server;
mod smtp;
mod state;
#[cfg(test)]
mod tests;
mod views;
mod watch;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Timestamp;
use state::State;

pub use world::{World, WorldError};

/// What to serve, and where. Port 0 takes a free port.
pub struct Options {
    /// Address of the HTTP listener; the loopback only.
    pub listen: SocketAddr,
    /// Address of the SMTP sink; the loopback only.
    pub smtp: SocketAddr,
    /// Whom to simulate.
    pub world: World,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox has no authentication of its own, so nobody else may reach it.
    #[error("the sandbox listens on loopback addresses only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address is in use, or not ours.
    #[error("the sandbox cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Where everything is. Serialized, it is the line that `cliqbridge sandbox` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Urls {
    /// The sandbox itself, without a slash at the end.
    pub url: String,
    /// Zoho Accounts; add `/oauth/v2/token`.
    pub accounts_url: String,
    /// The general API host; add `/crm/v8`.
    pub api_url: String,
    /// The Cliq host; add `/api/v2`.
    pub cliq_url: String,
    /// The SMTP sink, as `smtp://127.0.0.1:PORT`.
    pub smtp: String,
    /// The mailbox page.
    pub mailbox_url: String,
    /// The journal, as JSON.
    pub journal_url: String,
    /// Where faults are posted.
    pub faults_url: String,
    /// Organization id to the URL of its portal function.
    pub portal_urls: BTreeMap<String, String>,
}

/// A running sandbox; dropped, it ends too, but without waiting.
pub struct Sandbox {
    urls: Urls,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Sandbox {
    /// Where everything is.
    pub fn urls(&self) -> Urls {
        self.urls.clone()
    }

    /// Closes the listeners and cuts all connections at once, held and hanging calls included.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What all connections share. The mutex is never held over an await.
struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Counts releases; a held call waits for the next one.
    release: signal::Sender<u64>,
    urls: Urls,
}

impl Shared {
    /// The state as it is. A panic in another connection must not take the sandbox down.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after what is due by now has happened.
    fn settled(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.settle(now);
        (state, now)
    }
}

/// Starts a sandbox; it serves when this returns.
///
/// # Errors
/// [`SandboxError`] when an address is not a loopback one or cannot be bound.
pub async fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Sandbox, SandboxError> {
    let (http, http_address) = bind(options.listen).await?;
    let (mail, mail_address) = bind(options.smtp).await?;
    let urls = urls(http_address, mail_address, &options.world);
    let shared = Arc::new(Shared {
        state: Mutex::new(build::state(options.world, &urls.url, clock.now())),
        clock,
        release: signal::Sender::new(0),
        urls: urls.clone(),
    });
    let stopping = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let door = Arc::clone(&shared);
    tasks.spawn(accept(http, stopping.clone(), move |stream| {
        server::connection(stream, Arc::clone(&door))
    }));
    tasks.spawn(accept(mail, stopping.clone(), move |stream| {
        smtp::connection(stream, Arc::clone(&shared))
    }));
    Ok(Sandbox { urls, stopping, tasks })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    if !address.ip().is_loopback() {
        return Err(SandboxError::NotLoopback(address));
    }
    let failed = |source| SandboxError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn urls(http: SocketAddr, mail: SocketAddr, world: &World) -> Urls {
    let url = format!("http://{http}");
    let portals = world.organizations.iter().map(|entry| &entry.id);
    Urls {
        accounts_url: url.clone(),
        api_url: url.clone(),
        cliq_url: url.clone(),
        smtp: format!("smtp://{mail}"),
        mailbox_url: format!("{url}/sandbox/mail"),
        journal_url: format!("{url}/sandbox/journal"),
        faults_url: format!("{url}/sandbox/faults"),
        portal_urls: portals
            .map(|id| (id.clone(), format!("{url}/portal/{}", wire::encoded(id))))
            .collect(),
        url,
    }
}

/// Accepts connections until told to stop, then cuts them all and waits for their end.
async fn accept<Serve, Served>(listener: TcpListener, stopping: CancellationToken, serve: Serve)
where
    Serve: Fn(TcpStream) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream));
                }
                // Out of file descriptors, most likely: let others go on and try again.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}
