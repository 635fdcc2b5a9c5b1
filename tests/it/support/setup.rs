//! The demo's world and a configuration for it, with what a test wants otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cliqbridge::app::Patience;
use cliqbridge::sandbox::{Urls, World};

use super::harness::Bridge;

pub const ADMIN_TOKEN: &str = "token-of-the-integration-tests";

/// The address our letters come from; Zoho's own come from another.
pub const OURS: &str = "access@bridge.example";

const SECRETS: [(&str, &str); 13] = [
    ("crmplus", "whsec_ZGVtby1zZWNyZXQtb2YtdGhlLWNybXBsdXMtc291cmNl"),
    ("deluge", "secret-of-the-deluge-source"),
    ("billing", "secretofthebilling"),
    ("admin", ADMIN_TOKEN),
    ("acme_client", "fake-acme-client-secret"),
    ("acme_refresh", "1000.fake-acme-refresh.token"),
    ("acme_portal", "fake-acme-portal-key"),
    ("birch_client", "fake-birch-client-secret"),
    ("birch_refresh", "1000.fake-birch-refresh.token"),
    ("birch_portal", "fake-birch-portal-key"),
    ("cedar_client", "fake-cedar-client-secret"),
    ("cedar_refresh", "1000.fake-cedar-refresh.token"),
    ("cedar_portal", "fake-cedar-portal-key"),
];

const SOURCES: &str = r#"
[[sources]]
name    = "crmplus"
scheme  = "standard"
secrets = [{ id = "a", file = "secrets/crmplus" }]

[[sources]]
name     = "deluge"
scheme   = "raw"
header   = "X-Bridge-Signature"
encoding = "base64"
secrets  = [{ id = "a", file = "secrets/deluge" }]

[[sources]]
name    = "billing"
scheme  = "zoho-billing"
secrets = [{ id = "a", file = "secrets/billing" }]
"#;

/// Id, name, CRM id, Cliq id, Cliq plan and OAuth client of the demo's organizations.
const ORGANIZATIONS: [[&str; 6]; 2] = [
    ["acme", "Acme Ltd", "60001234", "631836344", "paid", "1000.FAKEACMECLIENT"],
    ["birch", "Birch Studio", "60005678", "745120981", "free", "1000.FAKEBIRCHCLIENT"],
];

/// A third organization beside them, for those who ask for it.
const CEDAR: [&str; 6] =
    ["cedar", "Cedar House", "60009012", "752341190", "free", "1000.FAKECEDARCLIENT"];

const CEDAR_WORLD: &str = r#"
[[organizations]]
id            = "cedar"
name          = "Cedar House"
crm_org       = "60009012"
cliq_org      = "752341190"
zoid          = "62330055"
cliq_plan     = "free"
client_id     = "1000.FAKECEDARCLIENT"
client_secret = "fake-cedar-client-secret"
refresh_token = "1000.fake-cedar-refresh.token"
portal_key    = "fake-cedar-portal-key"
bots          = ["bridge"]
"#;

/// Acme and Birch of the demo, both in `function` mode; every method is a difference from that.
#[derive(Default)]
pub struct Setup {
    lines: BTreeMap<&'static str, String>,
    observe: Vec<&'static str>,
    domains: BTreeMap<&'static str, &'static str>,
    sources: String,
    secrets: Vec<(&'static str, &'static str)>,
    world: Vec<(&'static str, &'static str)>,
    tables: &'static str,
    cedar: bool,
    port: u16,
    pub(super) patience: Patience,
}

/// Ports of [`Setup::reachable`], below those that Linux gives to whoever asks for any.
const PORTS: Range<u16> = 12_000..30_000;

/// A port that nobody listens on, another one each time. Begins elsewhere in each process.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    loop {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let number = number % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Setup {
    pub fn demo() -> Self {
        Self::default()
    }

    /// More lines in `[server]`, `[mail]`, `[guard]`, `[invitations]`, `[schedule]`, or in the table of `acme` or
    /// `birch`.
    pub fn with(mut self, section: &'static str, lines: &str) -> Self {
        let text = self.lines.entry(section).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    /// `public_url` leads to the bridge: for whoever follows a link, or posts to where it was told.
    pub fn reachable(mut self) -> Self {
        self.port = free_port();
        self
    }

    /// The outside may take so long, in real time.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = Patience { call: time, letter: time };
        self
    }

    pub fn observe(mut self, organization: &'static str) -> Self {
        self.observe.push(organization);
        self
    }

    /// Other `internal_domains` than the organization's own.
    pub fn domains(mut self, organization: &'static str, list: &'static str) -> Self {
        self.domains.insert(organization, list);
        self
    }

    /// One more `[[sources]]` table, with its secrets.
    pub fn source(mut self, table: &str, secrets: &[(&'static str, &'static str)]) -> Self {
        write!(self.sources, "\n[[sources]]\n{table}\n").unwrap();
        self.secrets.extend(secrets);
        self
    }

    /// More lines in the sandbox's table of an organization.
    pub fn world(mut self, organization: &'static str, lines: &'static str) -> Self {
        self.world.push((organization, lines));
        self
    }

    /// With a third organization, Cedar.
    pub fn cedar(mut self) -> Self {
        self.cedar = true;
        self
    }

    /// More tables at the end of the sandbox's world.
    pub fn people(mut self, tables: &'static str) -> Self {
        self.tables = tables;
        self
    }

    pub async fn start(self) -> Bridge {
        Bridge::start(&self).await
    }

    pub fn sandbox_world(&self) -> World {
        let mut text = include_str!("../../../config/sandbox/demo.toml").to_owned();
        if self.cedar {
            text.push_str(CEDAR_WORLD);
        }
        for (organization, lines) in &self.world {
            let head = format!("id            = \"{organization}\"\n");
            assert!(text.contains(&head), "the demo world has {organization}");
            text = text.replacen(&head, &format!("{head}{lines}\n"), 1);
        }
        text.push_str(self.tables);
        World::parse(&text).expect("the test's world")
    }

    /// Writes the configuration and its secrets, as an operator would.
    pub fn write(&self, folder: &Path, urls: &Urls) -> PathBuf {
        let secrets = folder.join("secrets");
        fs::create_dir(&secrets).unwrap();
        for (name, content) in SECRETS.iter().chain(&self.secrets) {
            fs::write(secrets.join(name), content).unwrap();
        }
        let file = folder.join("bridge.toml");
        fs::write(&file, self.text(urls)).unwrap();
        file
    }

    fn lines(&self, section: &str) -> &str {
        self.lines.get(section).map_or("", String::as_str)
    }

    fn text(&self, urls: &Urls) -> String {
        let mut text = format!(
            r#"
[server]
listen       = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:0"
public_url   = "http://127.0.0.1{colon_port}/"
drain        = "5s"
{server}
[store]
path = "bridge.db"
[admin]
bootstrap_token = {{ file = "secrets/admin" }}
[mail]
smtp   = "{smtp}"
from   = "Acme Access <{OURS}>"
admins = ["it@bridge.example"]
{mail}
[guard]
{guard}
[invitations]
{invitations}
[schedule]
{schedule}
{SOURCES}
{sources}
"#,
            server = self.lines("server"),
            smtp = urls.smtp,
            mail = self.lines("mail"),
            guard = self.lines("guard"),
            invitations = self.lines("invitations"),
            schedule = self.lines("schedule"),
            port = self.port,
            colon_port = match self.port {
                0 => String::new(),
                port => format!(":{port}"),
            },
            sources = self.sources,
        );
        for organization in ORGANIZATIONS.into_iter().chain(self.cedar.then_some(CEDAR)) {
            self.organization(&mut text, urls, organization);
        }
        text
    }

    fn organization(&self, text: &mut String, urls: &Urls, facts: [&'static str; 6]) {
        let [id, name, crm_org, cliq_org, plan, client] = facts;
        let portal = if self.observe.contains(&id) {
            "{ mode = \"observe\" }".to_owned()
        } else {
            let url = &urls.portal_urls[id];
            let key = format!("{{ file = \"secrets/{id}_portal\" }}");
            format!("{{ mode = \"function\", url = \"{url}\", key = {key} }}")
        };
        write!(
            text,
            r#"
[[organizations]]
id               = "{id}"
name             = "{name}"
crm_org          = "{crm_org}"
cliq_org         = "{cliq_org}"
internal_domains = {domains}
cliq_plan        = "{plan}"
bot              = "bridge"
portal           = {portal}
{more}
[organizations.zoho]
accounts_url  = "{accounts}"
api_url       = "{api}"
cliq_url      = "{cliq}"
client_id     = "{client}"
client_secret = {{ file = "secrets/{id}_client" }}
refresh_token = {{ file = "secrets/{id}_refresh" }}
"#,
            domains = self
                .domains
                .get(id)
                .map_or_else(|| format!("[\"{id}.example\"]"), |list| (*list).to_owned()),
            more = self.lines(id),
            accounts = urls.accounts_url,
            api = urls.api_url,
            cliq = urls.cliq_url,
        )
        .unwrap();
    }
}
