//! The demo's configuration: the same file that an operator writes, in a temporary folder.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::outside::OURS;
use crate::sandbox::Urls;

/// Made-up secrets, of the forms that the checker demands. They open nothing but the demo.
pub(super) const CRMPLUS_SECRET: &str = "whsec_ZGVtby1zZWNyZXQtb2YtdGhlLWNybXBsdXMtc291cmNl";
pub(super) const DELUGE_SECRET: &str = "demo-secret-of-the-deluge-source";
pub(super) const ADMIN_TOKEN: &str = "demo-admin-token-of-this-process";

const SECRETS: [(&str, &str); 9] = [
    ("crmplus", CRMPLUS_SECRET),
    ("deluge", DELUGE_SECRET),
    ("admin", ADMIN_TOKEN),
    ("acme_client", "fake-acme-client-secret"),
    ("acme_refresh", "1000.fake-acme-refresh.token"),
    ("acme_portal", "fake-acme-portal-key"),
    ("birch_client", "fake-birch-client-secret"),
    ("birch_refresh", "1000.fake-birch-refresh.token"),
    ("birch_portal", "fake-birch-portal-key"),
];

/// Who gets the notices to administrators.
pub(super) const ADMINISTRATOR: &str = "it@bridge.example";

/// The channel that Acme offers to everybody it hosts.
const CHANNELS: &str = r#"
[[organizations.channels]]
channel = "extsupport"
when    = { all = true }
"#;

/// On leap days only: nothing but the story moves, however long the demo stays up.
const SCHEDULE: &str = r#"[schedule]
reconcile = "0 0 0 29 2 *"
poll_plan = "0 0 0 29 2 *""#;

/// Writes configuration and secrets; answers where the configuration is.
pub(super) fn write(folder: &Path, urls: &Urls, listen: SocketAddr) -> anyhow::Result<PathBuf> {
    let secrets = folder.join("secrets");
    fs::create_dir(&secrets).context("the demo's secrets cannot be written")?;
    for (name, content) in SECRETS {
        fs::write(secrets.join(name), content).context("the demo's secrets cannot be written")?;
    }
    let file = folder.join("demo.toml");
    let text = configuration(urls, listen)?;
    fs::write(&file, text).context("the demo's configuration cannot be written")?;
    Ok(file)
}

fn configuration(urls: &Urls, listen: SocketAddr) -> anyhow::Result<String> {
    let mut text = format!(
        r#"
[server]
listen       = "{listen}"
admin_listen = "127.0.0.1:0"
public_url   = "http://127.0.0.1:0/"
drain        = "5s"

[store]
path = "demo.db"

[admin]
bootstrap_token = {{ file = "secrets/admin" }}

[[sources]]
name    = "crmplus"
scheme  = "standard"
secrets = [{{ id = "demo", file = "secrets/crmplus" }}]

[[sources]]
name     = "deluge"
scheme   = "raw"
header   = "X-Bridge-Signature"
encoding = "base64"
secrets  = [{{ id = "demo", file = "secrets/deluge" }}]

[mail]
smtp   = "{smtp}"
from   = "Acme Access <{OURS}>"
admins = ["{ADMINISTRATOR}"]

{SCHEDULE}
"#,
        smtp = urls.smtp,
    );
    for (id, name, crm_org, cliq_org, plan, client, channels) in [
        ("acme", "Acme Ltd", "60001234", "631836344", "paid", "1000.FAKEACMECLIENT", CHANNELS),
        ("birch", "Birch Studio", "60005678", "745120981", "free", "1000.FAKEBIRCHCLIENT", ""),
    ] {
        let portal =
            urls.portal_urls.get(id).with_context(|| format!("the sandbox has no {id}"))?;
        write!(
            text,
            r#"
[[organizations]]
id               = "{id}"
name             = "{name}"
crm_org          = "{crm_org}"
cliq_org         = "{cliq_org}"
internal_domains = ["{id}.example"]
cliq_plan        = "{plan}"
bot              = "bridge"
portal           = {{ mode = "function", url = "{portal}", key = {{ file = "secrets/{id}_portal" }} }}

[organizations.zoho]
accounts_url  = "{accounts}"
api_url       = "{api}"
cliq_url      = "{cliq}"
client_id     = "{client}"
client_secret = {{ file = "secrets/{id}_client" }}
refresh_token = {{ file = "secrets/{id}_refresh" }}
{channels}"#,
            accounts = urls.accounts_url,
            api = urls.api_url,
            cliq = urls.cliq_url,
        )?;
    }
    Ok(text)
}
