//! Reads `[zoho]` and an organization's own `zoho`, and lays one over the other.
//!
//! Deliberately absent: guessing hosts by top-level domain; Canada's do not follow from it
//! (contract section 1.3).

use sha2::{Digest, Sha256};
use toml::de::DeValue;
use url::Url;

use super::address::{base_url, is_loopback};
use super::leaf;
use super::reader::Section;
use super::secrets;
use super::sections::Zoho;
use crate::domain::Secret;

/// Bytes of the digest that names a credential: short enough for logs, no collision by chance.
const CREDENTIAL_BYTES: usize = 8;

/// One of Zoho's data centres (contract section 1.3).
#[derive(Clone, Copy)]
struct DataCenter {
    word: &'static str,
    accounts: &'static str,
    api: &'static str,
    /// `None` where Zoho lists no Cliq host.
    cliq: Option<&'static str>,
}

const fn data_center(
    word: &'static str,
    accounts: &'static str,
    api: &'static str,
    cliq: &'static str,
) -> DataCenter {
    DataCenter { word, accounts, api, cliq: Some(cliq) }
}

const DATA_CENTERS: [DataCenter; 10] = [
    data_center("us", "accounts.zoho.com", "www.zohoapis.com", "cliq.zoho.com"),
    data_center("eu", "accounts.zoho.eu", "www.zohoapis.eu", "cliq.zoho.eu"),
    data_center("in", "accounts.zoho.in", "www.zohoapis.in", "cliq.zoho.in"),
    data_center("au", "accounts.zoho.com.au", "www.zohoapis.com.au", "cliq.zoho.com.au"),
    data_center("jp", "accounts.zoho.jp", "www.zohoapis.jp", "cliq.zoho.jp"),
    data_center("ca", "accounts.zohocloud.ca", "www.zohoapis.ca", "cliq.zohocloud.ca"),
    data_center("sa", "accounts.zoho.sa", "www.zohoapis.sa", "cliq.zoho.sa"),
    data_center("uk", "accounts.zoho.uk", "www.zohoapis.uk", "cliq.zoho.uk"),
    data_center("cn", "accounts.zoho.com.cn", "www.zohoapis.com.cn", "cliq.zoho.com.cn"),
    DataCenter { word: "ae", accounts: "accounts.zoho.ae", api: "www.zohoapis.ae", cliq: None },
];

const URL_KEYS: [&str; 3] = ["accounts_url", "api_url", "cliq_url"];

/// One table as it was written: `[zoho]`, or one organization's.
pub(super) struct Layer<'a> {
    section: Section<'a>,
    data_center: Option<DataCenter>,
    accounts_url: Option<Url>,
    api_url: Option<Url>,
    cliq_url: Option<Url>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
    auth_scheme: Option<String>,
}

/// Reads one table; whatever it lacks may come from the other.
pub(super) fn read_layer(section: Section<'_>) -> Layer<'_> {
    let secret = |key| secrets::optional(&section, key).and_then(secrets::Found::into_text);
    Layer {
        data_center: section.optional("data_center", known_data_center),
        accounts_url: section.optional("accounts_url", base_url),
        api_url: section.optional("api_url", base_url),
        cliq_url: section.optional("cliq_url", base_url),
        client_id: section.optional("client_id", leaf::text),
        client_secret: secret("client_secret"),
        refresh_token: secret("refresh_token"),
        auth_scheme: section.optional("auth_scheme", auth_scheme),
        section,
    }
}

fn known_data_center(value: &DeValue<'_>) -> Result<DataCenter, String> {
    let text = leaf::text(value)?;
    DATA_CENTERS.into_iter().find(|known| known.word == text).ok_or_else(|| {
        let words: Vec<&str> = DATA_CENTERS.iter().map(|known| known.word).collect();
        let words = words.join(", ");
        format!("must be one of {words}; or write accounts_url, api_url and cliq_url")
    })
}

/// A single word: it stands before the token in `Authorization` (contract section 1.4).
fn auth_scheme(value: &DeValue<'_>) -> Result<String, String> {
    let text = leaf::text(value)?;
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text);
    }
    Err("must be one word, \"Zoho-oauthtoken\" or \"Bearer\"".to_owned())
}

/// The organization's own table over the top one, key by key. Own data centre or addresses go
/// before both of the top table's. What both lack is reported where the operator would add it.
pub(super) fn resolve(
    organization: &Section<'_>,
    own: Option<&Layer<'_>>,
    top: Option<&Layer<'_>>,
) -> Option<Zoho> {
    let layers: Vec<&Layer<'_>> = own.into_iter().chain(top).collect();
    let Some(nearest) = layers.first().copied() else {
        organization.fail(
            "has no Zoho credentials; write a [zoho] section, or zoho = { … } in the organization",
        );
        return None;
    };
    let written = |key| layers.iter().any(|layer| layer.section.has(key));
    let examples = [
        ("client_id", "\"1000.…\""),
        ("client_secret", "{ file = \"secrets/zoho_client\" }"),
        ("refresh_token", "{ file = \"secrets/zoho_refresh\" }"),
    ];
    for (key, example) in examples {
        if !written(key) {
            nearest.section.missing(key, example);
        }
    }
    report_missing_urls(&layers, nearest);
    let accounts_url = pick(&layers, |layer| layer.accounts_url.clone(), |at| Some(at.accounts))?;
    let client_id = layers.iter().find_map(|layer| layer.client_id.clone())?;
    let refresh_token = layers.iter().find_map(|layer| layer.refresh_token.clone())?;
    Some(Zoho {
        api_url: pick(&layers, |layer| layer.api_url.clone(), |at| Some(at.api))?,
        cliq_url: pick(&layers, |layer| layer.cliq_url.clone(), |at| at.cliq)?,
        client_secret: layers.iter().find_map(|layer| layer.client_secret.clone())?,
        auth_scheme: (layers.iter().find_map(|layer| layer.auth_scheme.clone()))
            .unwrap_or_else(|| "Zoho-oauthtoken".to_owned()),
        credential: credential(&accounts_url, &client_id, &refresh_token),
        accounts_url,
        client_id,
        refresh_token,
    })
}

/// The first layer that says anything about this address decides.
fn pick(
    layers: &[&Layer<'_>],
    url: impl Fn(&Layer<'_>) -> Option<Url>,
    host: impl Fn(&DataCenter) -> Option<&'static str>,
) -> Option<Url> {
    for layer in layers {
        if let Some(url) = url(layer) {
            return Some(url);
        }
        if let Some(data_center) = &layer.data_center {
            return Url::parse(&format!("https://{}/", host(data_center)?)).ok();
        }
    }
    None
}

fn report_missing_urls(layers: &[&Layer<'_>], nearest: &Layer<'_>) {
    let written = |key| layers.iter().any(|layer| layer.section.has(key));
    if let Some(deciding) = layers.iter().position(|layer| layer.section.has("data_center")) {
        // What lies below the deciding layer counts no more.
        let above = || layers.iter().take(deciding + 1);
        let hostless = |layer: &&Layer<'_>| layer.data_center.is_some_and(|at| at.cliq.is_none());
        if let Some(layer) = layers.get(deciding).copied().filter(hostless)
            && !above().any(|layer| layer.section.has("cliq_url"))
        {
            layer.section.fail_at(
                "data_center",
                "Zoho lists no Cliq host for this data centre; add cliq_url = \"https://…\"",
            );
        }
        return;
    }
    if !URL_KEYS.into_iter().any(written) {
        nearest.section.missing("data_center", "\"eu\", or accounts_url, api_url and cliq_url");
        return;
    }
    for key in URL_KEYS.into_iter().filter(|key| !written(key)) {
        nearest.section.missing(key, "\"https://…\", or a data_center");
    }
}

/// Names a credential without revealing it: SHA-256 over its parts, each ended by a zero byte.
fn credential(accounts_url: &Url, client_id: &str, refresh_token: &Secret) -> String {
    let mut digest = Sha256::new();
    for part in [accounts_url.as_str().as_bytes(), client_id.as_bytes(), refresh_token.expose()] {
        digest.update(part);
        digest.update([0]);
    }
    hex::encode(digest.finalize().iter().copied().take(CREDENTIAL_BYTES).collect::<Vec<u8>>())
}

/// Whether all three of its addresses are this machine.
pub(super) fn all_loopback(zoho: &Zoho) -> bool {
    [&zoho.accounts_url, &zoho.api_url, &zoho.cliq_url].into_iter().all(is_loopback)
}
