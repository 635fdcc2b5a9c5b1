//! The built binary in a folder of its own: configuration, secrets, store, and the processes that
//! are started there, killed, and started again.
//!
//! `child` is one process, `zoho` the simulated Zoho around it, `post` the sender of webhooks.
//! Deliberately absent: anything that reaches into the daemon; it is seen from outside only.

#[path = "daemon/child.rs"]
pub mod child;
#[path = "daemon/post.rs"]
pub mod post;
#[path = "daemon/zoho.rs"]
pub mod zoho;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use cliqbridge::app::client::client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use child::Program;
use zoho::Zoho;

/// Longest wait for anything; far more than a loaded machine takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often [`until`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tests with daemons at once: the machine has two cores.
static LANES: Semaphore = Semaphore::const_new(3);

/// Below the range from which the system takes ports for outgoing connections, so that nobody
/// takes a daemon's port while it is down.
const PORT_MIN: u16 = 12_000;
const PORTS: u16 = 16_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

pub const STANDARD_SECRET: &str = "whsec_dGVzdHMtc2VjcmV0LW9mLXRoZS1jcm1wbHVzLXNvdXJjZQ==";
pub const RAW_SECRET: &str = "tests-secret-of-the-deluge-source";
pub const BILLING_SECRET: &str = "testssecretofthebillingsource";
pub const ADMIN_TOKEN: &str = "tests-admin-token-of-this-process";
pub const ACME: &str = "60001234";
pub const BIRCH: &str = "60005678";

/// Everything secret that the daemon is given: name of the file, content.
pub const SECRETS: [(&str, &str); 10] = [
    ("crmplus", STANDARD_SECRET),
    ("deluge", RAW_SECRET),
    ("billing", BILLING_SECRET),
    ("admin", ADMIN_TOKEN),
    ("acme_client", "fake-acme-client-secret"),
    ("acme_refresh", "1000.fake-acme-refresh.token"),
    ("acme_portal", "fake-acme-portal-key"),
    ("birch_client", "fake-birch-client-secret"),
    ("birch_refresh", "1000.fake-birch-refresh.token"),
    ("birch_portal", "fake-birch-portal-key"),
];

/// Waits for a lane; held by a test for as long as it has processes.
pub async fn lane() -> SemaphorePermit<'static> {
    LANES.acquire().await.unwrap()
}

/// Looks again and again until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let looking = async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    let patient = tokio::time::timeout(PATIENCE, looking).await;
    patient.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = PORT_MIN + start.wrapping_add(step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// A folder with a configuration that a daemon can be started from, any number of times.
pub struct Home {
    folder: TempDir,
    pub public: String,
    pub admin: String,
    http: reqwest::Client,
}

impl Home {
    /// A configuration for the simulated Zoho, with `drain` for `server.drain`.
    pub fn new(zoho: &Zoho, drain: &str) -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
            public: format!("127.0.0.1:{}", free_port()),
            admin: format!("127.0.0.1:{}", free_port()),
            http: client().unwrap(),
        };
        let secrets = home.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        for (name, content) in SECRETS {
            fs::write(secrets.join(name), content).unwrap();
        }
        fs::write(home.config(), configuration(&home, zoho, drain)).unwrap();
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("bridge.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("bridge.db")
    }

    /// Starts the daemon and waits until it says that it listens.
    pub async fn serve(&self) -> Program {
        self.serve_with(&[], &[]).await
    }

    /// The same with further arguments and environment.
    pub async fn serve_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let program = self.start(arguments, environment);
        program.says("\"message\":\"listening\"").await;
        program
    }

    /// Starts the daemon without waiting for anything.
    pub fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let config = self.config();
        let fixed = ["serve", "--config", config.to_str().unwrap()];
        Program::spawn(&[&fixed, arguments].concat(), environment)
    }

    /// Reads from the admin API; `None` while nobody answers.
    pub async fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}/api/v1{path}", self.admin);
        let answer = self.http.get(url).bearer_auth(ADMIN_TOKEN).send().await.ok()?;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    /// Reads from the admin API of a daemon that runs.
    pub async fn admin(&self, path: &str) -> Value {
        self.ask(path).await.unwrap_or_else(|| panic!("{path} is not answered"))
    }

    /// Resyncs one organization by the admin API; answers the `run_id`.
    pub async fn resync(&self, organization: &str) -> String {
        let url = format!("http://{}/api/v1/resync", self.admin);
        let body = serde_json::json!({ "organization": organization }).to_string();
        let request = self.http.post(url).bearer_auth(ADMIN_TOKEN).body(body);
        let text = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["run_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Waits until the daemon has nothing left to do.
    pub async fn settle(&self) {
        until("the daemon has nothing left to do", async || {
            let status = self.ask("/status").await?;
            (status["queue"]["settled"] == true).then_some(())
        })
        .await;
    }

    /// The ledger as (organization, address, external, state), sorted.
    pub async fn ledger(&self) -> Vec<Value> {
        let listed = self.admin("/memberships?limit=200").await;
        let rows = listed["items"].as_array().unwrap();
        let shown =
            |row: &Value| json!([row["organization"], row["email"], row["external"], row["state"]]);
        let mut rows: Vec<Value> = rows.iter().map(shown).collect();
        rows.sort_by_key(ToString::to_string);
        rows
    }
}

fn configuration(home: &Home, zoho: &Zoho, drain: &str) -> String {
    let (public, admin, smtp) = (&home.public, &home.admin, zoho.url("smtp"));
    let mut text = format!(
        r#"
[server]
listen       = "{public}"
admin_listen = "{admin}"
public_url   = "http://127.0.0.1/"
drain        = "{drain}"

[store]
path = "bridge.db"

[admin]
bootstrap_token = {{ file = "secrets/admin" }}

[budgets]
scale = 100

[[sources]]
name    = "crmplus"
scheme  = "standard"
secrets = [{{ id = "t", file = "secrets/crmplus" }}]

[[sources]]
name     = "deluge"
scheme   = "raw"
header   = "X-Bridge-Signature"
encoding = "base64"
secrets  = [{{ id = "t", file = "secrets/deluge" }}]

[[sources]]
name         = "billing"
scheme       = "zoho-billing"
encoding     = "auto"
organization = "acme"
secrets      = [{{ id = "t", file = "secrets/billing" }}]

[mail]
smtp   = "{smtp}"
from   = "Acme Access <{OURS}>"
admins = ["it@bridge.example"]
"#,
        OURS = zoho::OURS,
    );
    for (id, crm_org, cliq_org, plan, client) in [
        ("acme", ACME, "631836344", "paid", "1000.FAKEACMECLIENT"),
        ("birch", BIRCH, "745120981", "free", "1000.FAKEBIRCHCLIENT"),
    ] {
        let (portal, base) = (zoho.portal(id), zoho.url("url"));
        write!(
            text,
            r#"
[[organizations]]
id               = "{id}"
name             = "{id} Ltd"
crm_org          = "{crm_org}"
cliq_org         = "{cliq_org}"
internal_domains = ["{id}.example"]
cliq_plan        = "{plan}"
bot              = "bridge"
portal           = {{ mode = "function", url = "{portal}", key = {{ file = "secrets/{id}_portal" }} }}

[organizations.zoho]
accounts_url  = "{base}"
api_url       = "{base}"
cliq_url      = "{base}"
client_id     = "{client}"
client_secret = {{ file = "secrets/{id}_client" }}
refresh_token = {{ file = "secrets/{id}_refresh" }}
"#
        )
        .unwrap();
    }
    text
}
