//! The configuration as plain data, already parsed and checked. Keys are those of the example file.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use url::Url;

use crate::domain::policy::{ExternalWhen, Matcher};
use crate::domain::scheme::{Scheme, SigningKey};
use crate::domain::{CliqPlan, Email, OrgId, Secret};

/// A whole, valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[admin]`
    pub admin: Admin,
    /// `[[sources]]`
    pub sources: Vec<Source>,
    /// `[[organizations]]`; each carries its own resolved `zoho`.
    pub organizations: Vec<Organization>,
    /// `[invitations]`
    pub invitations: Invitations,
    /// `[schedule]`
    pub schedule: Schedule,
    /// `[guard]`
    pub guard: Guard,
    /// `[mail]`
    pub mail: Mail,
    /// `[budgets] scale`: multiplies every call budget; 1 unless every base URL is loopback.
    pub budget_scale: u32,
}

impl Config {
    /// The organization with this id.
    pub fn organization(&self, id: &OrgId) -> Option<&Organization> {
        self.organizations.iter().find(|organization| &organization.id == id)
    }
}

/// A TCP address or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8081`
    Tcp(SocketAddr),
    /// `unix:/run/cliqbridge/admin.sock`
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// `listen`: webhooks and health.
    pub listen: Listen,
    /// `admin_listen`: the admin API.
    pub admin_listen: Listen,
    /// `public_url`: how the outside reaches `listen`; no trailing slash needed.
    pub public_url: Url,
    /// `body_limit`, bytes.
    pub body_limit: usize,
    /// `queue_limit`: unfinished hints and actions at which webhooks get 503.
    pub queue_limit: u32,
    /// `drain`: how long a stop waits for work in flight.
    pub drain: Duration,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// `path`, absolute or relative to the configuration file.
    pub path: PathBuf,
    /// `keep_days`: how long deliveries, finished actions and runs are kept.
    pub keep_days: u32,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `bootstrap_token`, role operator.
    pub bootstrap_token: Secret,
}

/// `[[sources]]`
#[derive(Clone, Debug)]
pub struct Source {
    /// `name`: the last part of `POST /webhooks/{name}`.
    pub name: String,
    /// `scheme` with its own keys.
    pub scheme: Scheme,
    /// `tolerance`: replay window of schemes that sign a time.
    pub tolerance: Duration,
    /// `max_event_age`: oldest event accepted where the scheme signs no time.
    pub max_event_age: Option<Duration>,
    /// `organization`: for bodies that do not name one.
    pub organization: Option<OrgId>,
    /// `organizations`: the only ones this source may speak for; `None` is all.
    pub organizations: Option<BTreeSet<OrgId>>,
    /// `secrets`.
    pub secrets: Vec<SigningKey>,
}

/// `[zoho]`, or an organization's own `zoho`, resolved.
#[derive(Clone, Debug)]
pub struct Zoho {
    /// Token endpoint's base.
    pub accounts_url: Url,
    /// CRM's base.
    pub api_url: Url,
    /// Cliq's base.
    pub cliq_url: Url,
    /// `client_id`
    pub client_id: String,
    /// `client_secret`
    pub client_secret: Secret,
    /// `refresh_token`
    pub refresh_token: Secret,
    /// `auth_scheme`: `Zoho-oauthtoken` unless told (contract section 1.4).
    pub auth_scheme: String,
    /// Names the credential in the store and in logs: the first 8 bytes, in hex, of a SHA-256 over
    /// accounts base, client id and refresh token. Equal credentials share tokens and budgets.
    pub credential: String,
}

/// `[[organizations]]`
#[derive(Clone, Debug)]
pub struct Organization {
    /// `id`
    pub id: OrgId,
    /// `name`
    pub name: String,
    /// `crm_org`
    pub crm_org: String,
    /// `cliq_org`
    pub cliq_org: String,
    /// `zoid`, optional
    pub zoid: Option<String>,
    /// `internal_domains`, canonical
    pub internal_domains: BTreeSet<String>,
    /// `cliq_plan`
    pub cliq_plan: CliqPlan,
    /// `first_run`
    pub first_run: FirstRun,
    /// `on_free_downgrade`
    pub on_free_downgrade: OnFreeDowngrade,
    /// `bot`
    pub bot: Option<String>,
    /// `admin_channel`, its unique name
    pub admin_channel: Option<String>,
    /// `external_when`
    pub external_when: BTreeSet<ExternalWhen>,
    /// `external_user_types`
    pub external_user_types: BTreeSet<String>,
    /// `mirror_unconfirmed`
    pub mirror_unconfirmed: bool,
    /// `cliq_list`
    pub cliq_list: CliqList,
    /// `portal`
    pub portal: Portal,
    /// `zoho`, its own or the top one
    pub zoho: Zoho,
    /// `scope.include`; `None` is every active user who is not internal
    pub include: Option<Matcher>,
    /// `scope.exclude`
    pub exclude: Matcher,
    /// `[[organizations.channels]]`
    pub channels: Vec<Channel>,
    /// `billing.customer_id`
    pub billing_customers: BTreeSet<String>,
    /// `billing.subscription_id`
    pub billing_subscriptions: BTreeSet<String>,
    /// `crmplus_paid_types`: values of CRM's `paid_type` that mean an active subscription; empty
    /// means the first value seen
    pub crmplus_paid_types: BTreeSet<String>,
    /// `licences`: CRM Plus licences of the organization
    pub licences: Option<u32>,
    /// `cliq_licences`: paid Cliq seats of the organization
    pub cliq_licences: Option<u32>,
    /// `assign_licence`: external users who get a paid Cliq licence (R18); `None` is nobody
    pub assign_licence: Option<Matcher>,
    /// `watch`: a CRM watch as a further source of hints
    pub watch: Option<Watch>,
}

/// `organizations.watch`: CRM notifications (contract section 3.3), registered and renewed by the
/// bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// `source`: the source, of scheme `token`, that the notifications are posted to
    pub source: String,
    /// `events`, such as `Users.all`
    pub events: Vec<String>,
}

/// `organizations.first_run`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstRun {
    /// Carry it out.
    Apply,
    /// Print it and wait for approval.
    Plan,
}

/// `organizations.on_free_downgrade` (R15)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFreeDowngrade {
    /// Leave access as it is.
    Retain,
    /// Restrict external users.
    Restrict,
}

/// `organizations.cliq_list`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CliqList {
    /// Unfiltered, pending and inactive passes.
    ThreePasses,
    /// One unfiltered pass; for organizations where it is known to hold everybody.
    Merged,
}

/// `organizations.portal`
#[derive(Clone, Debug)]
pub enum Portal {
    /// CRM Plus's admin adds people; the bridge watches.
    Observe,
    /// The bridge calls the operator's function.
    Function {
        /// `url`
        url: Url,
        /// `key`
        key: Secret,
        /// `header`: send the key in this header instead of `auth_type=apikey&zapikey=`
        header: Option<String>,
        /// `per_minute`
        per_minute: u32,
    },
}

/// `[[organizations.channels]]`
#[derive(Clone, Debug)]
pub struct Channel {
    /// `channel`, its unique name
    pub channel: String,
    /// `when`
    pub when: Matcher,
    /// `internals`: whether the organization's own people who match are added directly (R43)
    pub internals: bool,
}

/// `[invitations]`
#[derive(Clone, Debug)]
pub struct Invitations {
    /// `send`
    pub send: bool,
    /// `expire_after`
    pub expire_after: Duration,
    /// `signup_expire_after`: for channel invitations of people who have to sign up first
    pub signup_expire_after: Duration,
    /// `reminders`: at most this many per membership and generation
    pub reminders: u32,
    /// `remind_every`
    pub remind_every: Duration,
    /// `overdue_after`
    pub overdue_after: Duration,
    /// `readd_cooldown`: least time between a removal and a fresh invitation of the same person, to the
    /// organization or to a channel (G5)
    pub readd_cooldown: Duration,
    /// `quiet_hours`, as minutes after midnight
    pub quiet_hours: Option<(u32, u32)>,
    /// `join_url`; `None` is the organization's Cliq
    pub join_url: Option<Url>,
}

/// `[guard]`
#[derive(Clone, Debug)]
pub struct Guard {
    /// `max_removals`
    pub max_removals: u32,
    /// `max_percent`
    pub max_percent: u32,
    /// `max_invites`
    pub max_invites: u32,
    /// `window`
    pub window: Duration,
    /// `grace`
    pub grace: Duration,
    /// `remove_after`: how long a leaver stays restricted before removal
    pub remove_after: Duration,
}

/// `[schedule]`
#[derive(Clone, Debug)]
pub struct Schedule {
    /// `time_zone`
    pub time_zone: Tz,
    /// `reconcile`
    pub reconcile: cron::Schedule,
    /// `poll_plan`
    pub poll_plan: cron::Schedule,
    /// `digest`
    pub digest: Option<cron::Schedule>,
    /// `prune`
    pub prune: cron::Schedule,
    /// `jitter`
    pub jitter: Duration,
}

/// `[mail]`
#[derive(Clone)]
pub struct Mail {
    /// `smtp`: scheme, host and port (filled in when absent)
    pub smtp: Url,
    /// `user`, written in the file or read from a secret
    pub user: Option<String>,
    /// `password`
    pub password: Option<Secret>,
    /// `from`
    pub from: Mailbox,
    /// `reply_to`
    pub reply_to: Option<Mailbox>,
    /// `admins`
    pub admins: Vec<Email>,
    /// `per_hour`
    pub per_hour: u32,
}

impl fmt::Debug for Mail {
    /// Without the user, which may come from a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("smtp", &self.smtp.as_str())
            .field("user", &self.user.as_ref().map(|_| "redacted"))
            .field("password", &self.password)
            .field("from", &self.from)
            .field("reply_to", &self.reply_to)
            .field("admins", &self.admins)
            .field("per_hour", &self.per_hour)
            .finish()
    }
}

/// A display name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The name; may be empty.
    pub name: String,
    /// The address.
    pub email: Email,
}
