//! The shell around the rules: the only code that joins the store and the world.
//!
//! Everything happens in steps: a *desk* takes one piece of due work, does it, and writes down what
//! came of it. Production runs loops over [`Engine::step`]; tests call the same function. Nothing
//! here knows signals, sockets or configuration files.

mod accept;
mod actions;
mod alarm;
mod apply;
mod approvable;
mod approve;
mod asked;
mod channels;
mod clockwork;
mod crm_watch;
mod deliver;
mod digest;
mod dry_run;
mod explain;
mod explain_act;
mod facts;
mod failures;
mod flap;
mod foreign;
mod guard;
mod held;
mod host;
mod invite;
mod join;
mod letters;
mod licences;
mod metrics;
mod notices;
mod outlook;
mod pairs;
mod pause;
mod people;
mod people_views;
mod plan_views;
mod quarantine;
mod replay;
mod resolve;
mod resync;
mod schedule;
mod scope;
mod second_key;
mod status;
mod steps;
mod subscription;
mod tell;
pub mod tokens;
mod verbs;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::policy::{Limits, Timing};
use crate::domain::{BootId, OrgId, Secret, Timestamp};
use crate::mail::Mailer;
use crate::store::outbox::Desk as OutboxDesk;
use crate::store::{Store, StoreError};

pub use accept::{AcceptError, Incoming, Receipt};
pub use actions::ActionView;
pub use approvable::NotApproved;
pub use approve::Approved;
pub use asked::{Asked, BadRequest, Requested};
pub use channels::{ChannelView, GuestView};
pub use dry_run::{DryRun, NotPlanned};
pub use failures::remedy;
pub use host::Host;
pub use metrics::{Counted, Numbers, OrganizationNumbers};
pub use pause::{PauseView, Paused};
pub use people_views::{
    Confirmed, ConflictView, Found, HomeView, HostView, LimitView, PersonLine, PersonView, limits,
    not_applicable, surface_only,
};
pub use plan_views::{PlanPage, RunsAsked};
pub use replay::Replayed;
pub use status::{HistoryLine, OrganizationStatus, QueueStatus, RunView, Status};
pub use steps::StepView;
pub use subscription::{Polled, Refused};
pub use verbs::Ordered;

/// What the store says, for those above who may not name it.
pub use crate::store::StoreError as StoreFailure;
/// Which steps a list shows.
pub use crate::store::audit::Filter as AuditFilter;
/// Which deliveries a list shows.
pub use crate::store::inbox::Filter as DeliveryFilter;
/// Which memberships a list shows.
pub use crate::store::ledger::Filter as MembershipFilter;
/// Which outbox rows a list shows.
pub use crate::store::outbox::Filter as ActionFilter;

/// Portal calls of one organization in parallel (design section 11, "Portal").
pub const PORTAL_PARALLEL: usize = 4;

/// Letters in parallel; more connections than this look like a flood to a relay.
pub const LETTERS_PARALLEL: usize = 4;

/// One place where due work is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Desk {
    /// Hints of one organization: read both sides, plan, queue.
    Hints(OrgId),
    /// Resyncs of one organization.
    Runs(OrgId),
    /// Portal calls of one organization.
    Access(OrgId),
    /// Bot messages of one organization.
    Notices(OrgId),
    /// Channel invitations, adds and removals of one organization, in batches.
    Channels(OrgId),
    /// The clock of one organization: reminders, expiry, what lasts too long, no good run.
    Clock(OrgId),
    /// What one organization's schedules ask for.
    Schedule(OrgId),
    /// Letters of all.
    Letters,
}

impl Desk {
    /// The outbox rows of this desk; `None` for desks that read.
    fn outbox(&self) -> Option<OutboxDesk> {
        match self {
            Self::Hints(_)
            | Self::Runs(_)
            | Self::Channels(_)
            | Self::Clock(_)
            | Self::Schedule(_) => None,
            Self::Access(organization) => Some(OutboxDesk::Access(organization.clone())),
            Self::Notices(organization) => Some(OutboxDesk::Notices(organization.clone())),
            Self::Letters => Some(OutboxDesk::Letters),
        }
    }

    /// Whether its steps change nothing outside, so that one may be broken off.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Hints(_) | Self::Runs(_))
    }

    /// How many workers may take from it at once.
    pub fn workers(&self) -> usize {
        match self {
            Self::Access(_) => PORTAL_PARALLEL,
            Self::Letters => LETTERS_PARALLEL,
            _ => 1,
        }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Worked,
    /// Nothing is due before this time; `None` means until somebody wakes the desk.
    Idle(Option<Timestamp>),
}

/// Settings of the engine that are not an organization's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Unfinished rows at which webhooks are turned away with 503.
    pub queue_limit: i64,
    /// `mail.per_hour`
    pub letters_per_hour: u32,
    /// `mail.admins`
    pub admins: Vec<crate::domain::Email>,
    /// `invitations.send`
    pub send_invitations: bool,
    /// `[invitations]`: when they are looked at again
    pub timing: Timing,
    /// `[guard]`
    pub limits: Limits,
    /// `[schedule]`
    pub schedule: crate::config::Schedule,
    /// `server.public_url`, with a slash at its end
    pub public_url: url::Url,
    /// `store.keep_days`, as a duration
    pub keep: Duration,
}

/// Everything the engine is built from.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way out for letters.
    pub mailer: Mailer,
    /// The organizations.
    pub hosts: Vec<Host>,
    /// Which sources speak for which organizations.
    pub sources: Vec<crate::config::Source>,
    /// The rest of the configuration.
    pub settings: Settings,
    /// This start of the daemon.
    pub boot: BootId,
    /// The store's key.
    pub key: Secret,
}

/// The engine. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    mailer: Mailer,
    hosts: BTreeMap<OrgId, Host>,
    sources: BTreeMap<String, crate::config::Source>,
    settings: Settings,
    boot: BootId,
    key: Secret,
    wakes: HashMap<Desk, watch::Sender<()>>,
    claiming: HashMap<Desk, tokio::sync::Mutex<()>>,
    depth: accept::Depth,
    refused: accept::Refused,
    subscribers: notices::Subscribers,
    inviters: channels::Inviters,
    parts: channels::Parts,
    /// What each organization's configuration means for people, as a checksum.
    scopes: BTreeMap<OrgId, String>,
}

impl Engine {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let hosts: BTreeMap<_, _> =
            parts.hosts.into_iter().map(|host| (host.id().clone(), host)).collect();
        let desks = desks(hosts.keys());
        let inner = Inner {
            wakes: desks.iter().map(|desk| (desk.clone(), watch::Sender::new(()))).collect(),
            claiming: desks.into_iter().map(|desk| (desk, tokio::sync::Mutex::default())).collect(),
            scopes: hosts.iter().map(|(id, host)| (id.clone(), scope::seen(host))).collect(),
            store: parts.store,
            clock: parts.clock,
            mailer: parts.mailer,
            hosts,
            sources: parts.sources.into_iter().map(|s| (s.name.clone(), s)).collect(),
            settings: parts.settings,
            boot: parts.boot,
            key: parts.key,
            depth: accept::Depth::default(),
            refused: accept::Refused::default(),
            subscribers: notices::Subscribers::default(),
            inviters: channels::Inviters::default(),
            parts: channels::Parts::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Every desk there is.
    pub fn desks(&self) -> Vec<Desk> {
        desks(self.inner.hosts.keys())
    }

    /// Ends when the desk has been woken since `seen` was last looked at.
    pub fn wakes(&self, desk: &Desk) -> Option<watch::Receiver<()>> {
        self.inner.wakes.get(desk).map(watch::Sender::subscribe)
    }

    /// Takes one piece of due work from the desk and does it.
    ///
    /// # Errors
    /// Only the store's: failures of the outside are written down, not returned.
    pub async fn step(&self, desk: &Desk) -> Result<Step, StoreError> {
        match desk {
            Desk::Hints(organization) => self.resolve(organization).await,
            Desk::Runs(organization) => self.run(organization).await,
            Desk::Channels(organization) => self.channels(organization).await,
            Desk::Clock(organization) => self.tick_clock(organization).await,
            Desk::Schedule(organization) => self.tick_schedule(organization).await,
            Desk::Access(_) | Desk::Notices(_) | Desk::Letters => self.deliver(desk).await,
        }
    }

    /// The source with this name.
    pub fn source(&self, name: &str) -> Option<&crate::config::Source> {
        self.inner.sources.get(name)
    }

    /// Whether the store's writer commits.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.inner.store.ping().await
    }

    /// The organization's turn: whoever has it is the only one who reads and queues in a run over it.
    async fn turn(&self, organization: &OrgId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.inner.claiming.get(&Desk::Runs(organization.clone())) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn host(&self, organization: &OrgId) -> Option<&Host> {
        self.inner.hosts.get(organization)
    }

    fn wake(&self, desk: &Desk) {
        if let Some(bell) = self.inner.wakes.get(desk) {
            bell.send_replace(());
        }
    }

    fn wake_outbox(&self, organization: &OrgId) {
        self.wake(&Desk::Access(organization.clone()));
        self.wake(&Desk::Notices(organization.clone()));
        self.wake(&Desk::Channels(organization.clone()));
        self.wake(&Desk::Letters);
    }

    /// HMAC-SHA256 under the store's key, in hex: names that nobody outside can guess and that
    /// come out the same after a restart.
    fn keyed(&self, purpose: &str, parts: &[&str]) -> String {
        // HMAC takes keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.inner.key.expose()) else {
            return String::new();
        };
        mac.update(purpose.as_bytes());
        for part in parts {
            mac.update(&[0x1f]);
            mac.update(part.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

fn desks<'a>(organizations: impl Iterator<Item = &'a OrgId>) -> Vec<Desk> {
    let mut desks = vec![Desk::Letters];
    for organization in organizations {
        desks.push(Desk::Hints(organization.clone()));
        desks.push(Desk::Runs(organization.clone()));
        desks.push(Desk::Access(organization.clone()));
        desks.push(Desk::Notices(organization.clone()));
        desks.push(Desk::Channels(organization.clone()));
        desks.push(Desk::Clock(organization.clone()));
        desks.push(Desk::Schedule(organization.clone()));
    }
    desks
}
