//! `send`: the operator's test tool. Signs one webhook as a sender would, and posts it.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use url::Url;

use super::{Outcome, print};
use crate::app::client::client;
use crate::clock::{Clock, SystemClock};
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey, TOKEN_HEADER};
use crate::domain::{Secret, Timestamp};
use crate::logic::signature;

#[derive(Args)]
pub(super) struct SendOptions {
    /// Where to post, such as `https://bridge.example.org/webhooks/crmplus`.
    #[arg(long)]
    url: Url,
    /// The secret, or `@FILE` to read it from a file (a command line is seen by others).
    #[arg(long)]
    secret: String,
    /// How to sign.
    #[arg(long, value_enum)]
    scheme: SchemeName,
    /// The body; `-` is stdin. Without it a harmless test event is sent, which is answered
    /// `ignored`.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The header, for `raw`, `timestamped` (`X-Bridge-Signature` unless told) and `token`
    /// (`X-Bridge-Token`).
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// What stands before the signature, for `raw`.
    #[arg(long, default_value = "")]
    prefix: String,
    /// How the signature is written.
    #[arg(long, value_enum, default_value = "hex")]
    encoding: EncodingName,
    /// The hash, for `raw` and `timestamped`.
    #[arg(long, value_enum, default_value = "sha256")]
    hash: HashName,
    /// The message id, for `standard`; made up unless told. Send the same twice to see a duplicate.
    #[arg(long)]
    id: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemeName {
    Standard,
    ZohoBilling,
    ZohoPayments,
    Raw,
    Timestamped,
    Token,
}

#[derive(Clone, Copy, ValueEnum)]
enum EncodingName {
    Hex,
    Base64,
}

#[derive(Clone, Copy, ValueEnum)]
enum HashName {
    Sha256,
    Sha512,
}

impl SendOptions {
    fn scheme(&self) -> Scheme {
        let usual = match self.scheme {
            SchemeName::Token => TOKEN_HEADER,
            _ => "X-Bridge-Signature",
        };
        let header = self.header.clone().unwrap_or_else(|| usual.to_owned());
        let encoding = match self.encoding {
            EncodingName::Hex => Encoding::Hex,
            EncodingName::Base64 => Encoding::Base64,
        };
        let hash = match self.hash {
            HashName::Sha256 => Hash::Sha256,
            HashName::Sha512 => Hash::Sha512,
        };
        match self.scheme {
            SchemeName::Standard => Scheme::Standard,
            SchemeName::ZohoBilling => Scheme::ZohoBilling { encoding },
            SchemeName::ZohoPayments => Scheme::ZohoPayments,
            SchemeName::Raw => Scheme::Raw { header, prefix: self.prefix.clone(), encoding, hash },
            SchemeName::Timestamped => {
                let (field, separator) = ("v1".to_owned(), ".".to_owned());
                Scheme::Timestamped { header, field, separator, encoding, hash }
            }
            SchemeName::Token => Scheme::Token { header },
        }
    }

    fn key(&self) -> anyhow::Result<SigningKey> {
        let text = match self.secret.strip_prefix('@') {
            None => self.secret.clone(),
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?
            }
        };
        let bytes = match self.scheme {
            SchemeName::Standard => signature::decode_standard_secret(text.trim())
                .context("the secret is not base64, with or without whsec_ before it")?,
            _ => text.trim().as_bytes().to_vec(),
        };
        if bytes.is_empty() {
            bail!("the secret is empty");
        }
        Ok(SigningKey {
            id: "send".to_owned(),
            secret: Secret::new(bytes),
            not_before: None,
            not_after: None,
        })
    }

    fn body(&self, now: Timestamp, id: &str) -> anyhow::Result<Vec<u8>> {
        match &self.file {
            None => {
                let event = json!({
                    "event_id": id, "event_type": "bridge.test", "event_time": now.to_rfc3339(),
                    "data": {},
                });
                Ok(event.to_string().into_bytes())
            }
            Some(path) if path.as_os_str() == "-" => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes).context("stdin cannot be read")?;
                Ok(bytes)
            }
            Some(path) => {
                std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
            }
        }
    }
}

pub(super) async fn run(options: &SendOptions) -> anyhow::Result<Outcome> {
    const JSON: &str = "application/json";
    let now = SystemClock.now();
    let mut random = [0_u8; 12];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let id = options.id.clone().unwrap_or_else(|| format!("msg_{}", hex::encode(random)));
    let body = options.body(now, &id)?;
    let (scheme, key) = (options.scheme(), options.key()?);
    let headers = signature::sign(&scheme, &key, &id, options.url.query(), JSON, &body, now)?;
    let mut request = client()?.post(options.url.clone()).header("content-type", JSON).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
        format!("{} does not answer", options.url.origin().ascii_serialization())
    })?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if options.json {
        let body: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|_| text.clone().into());
        print(&json!({ "status": status.as_u16(), "body": body }).to_string());
    } else {
        print(&format!("{status}\n{text}"));
    }
    Ok(if status.is_success() { Outcome::Good } else { Outcome::Failed })
}
