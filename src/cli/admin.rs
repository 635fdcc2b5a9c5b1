//! The admin API of a running daemon, as the commands use it.
//!
//! Deliberately absent: what is asked, and how it is printed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::{Outcome, credentials, say};
use crate::app::client::{client, client_over};
use crate::config::{self, Listen, Problems};
use crate::domain::Secret;

/// How long an answer may take for which the daemon reads both sides: at Cliq's limits a hundred
/// thousand people take two hours.
const READING_MAX: Duration = Duration::from_hours(6);

/// Where the daemon is, and the token: from its configuration, or named.
#[derive(Args)]
#[group(skip)]
pub(super) struct Door {
    /// The daemon's configuration file: its admin address and its token are taken.
    #[arg(long, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// The admin address, such as `http://127.0.0.1:8081` or `unix:/run/cliqbridge/admin.sock`.
    #[arg(long, value_name = "URL", requires = "token_file", conflicts_with = "config")]
    #[arg(value_parser = place)]
    admin: Option<Place>,
    /// The file with the admin token.
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
}

/// An admin address as it is typed.
#[derive(Clone)]
enum Place {
    Socket(PathBuf),
    Web(Url),
}

fn place(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Place::Socket(path.into()));
    }
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .map(Place::Web)
        .ok_or_else(|| "write http://ADDRESS:PORT or unix:/path/of/the.sock".to_owned())
}

/// A daemon that can be asked.
pub(super) struct Daemon {
    http: reqwest::Client,
    base: Url,
    token: Secret,
}

/// Why there is nobody to ask.
pub(super) enum Unusable {
    /// The configuration is wrong.
    Config(Problems),
    /// Anything else.
    Other(anyhow::Error),
}

impl Unusable {
    /// What a command ends with that cannot ask.
    pub(super) fn outcome(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Config(problems) => {
                say(&problems.to_string());
                Ok(Outcome::BadConfig)
            }
            Self::Other(error) => Err(error),
        }
    }
}

/// An answer of the daemon.
pub(super) struct Answer {
    pub(super) good: bool,
    pub(super) body: Value,
}

impl Answer {
    /// The daemon's own sentence about a refusal.
    pub(super) fn detail(&self) -> String {
        let said = self.body["detail"].as_str().or_else(|| self.body["title"].as_str());
        said.unwrap_or("the daemon refused without saying why").to_owned()
    }
}

impl Door {
    /// Makes ready to ask. Nothing is sent yet.
    pub(super) fn open(&self) -> Result<Daemon, Unusable> {
        if let Some(file) = &self.config {
            let config = config::load(file, credentials().as_deref()).map_err(Unusable::Config)?;
            let listen = config.server.admin_listen;
            return daemon(&listen, config.admin.bootstrap_token).map_err(Unusable::Other);
        }
        self.named().map_err(Unusable::Other)
    }

    fn named(&self) -> anyhow::Result<Daemon> {
        let (Some(admin), Some(file)) = (&self.admin, &self.token_file) else {
            bail!("name the daemon: --config FILE, or --admin URL with --token-file FILE");
        };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let token = Secret::new(text.trim().as_bytes().to_vec());
        match admin {
            Place::Socket(path) => daemon(&Listen::Unix(path.clone()), token),
            Place::Web(base) => Ok(Daemon { http: client()?, base: base.clone(), token }),
        }
    }
}

fn daemon(listen: &Listen, token: Secret) -> anyhow::Result<Daemon> {
    let (http, base) = match listen {
        Listen::Tcp(address) => (client()?, format!("http://{address}/")),
        // The name is not looked up: every connection goes to the socket.
        Listen::Unix(path) => (client_over(path)?, "http://localhost/".to_owned()),
    };
    Ok(Daemon { http, base: Url::parse(&base).context("the admin address")?, token })
}

impl Daemon {
    /// Reads below `/api/v1`.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, query, None).await
    }

    /// The same where the daemon may read both sides before it answers.
    pub(super) async fn study(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::GET, path, query)?.timeout(READING_MAX);
        read(sent(request).await?).await
    }

    /// Commands below `/api/v1`, without a body.
    pub(super) async fn post(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, query, None).await
    }

    /// Commands below `/api/v1`, with a JSON body. The daemon may read both sides before it answers.
    pub(super) async fn order(&self, path: &[&str], body: &Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// Reads what is not JSON, piece by piece.
    pub(super) async fn open(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<reqwest::Response> {
        let answer = self.send(Method::GET, path, query, None).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let refused = read(answer).await?;
        bail!("{}", refused.detail())
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        read(self.send(method, path, query, body).await?).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self.request(method, path, query)?;
        if let Some(body) = body {
            request = request
                .timeout(READING_MAX)
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        sent(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let token = self.token.expose_text().context("the admin token is not text")?;
        Ok(self.http.request(method, url).bearer_auth(token))
    }
}

async fn sent(request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
    request.send().await.map_err(reqwest::Error::without_url).context(
        "the daemon does not answer at its admin address; does it run, and is that the address?",
    )
}

async fn read(answer: reqwest::Response) -> anyhow::Result<Answer> {
    let good = answer.status().is_success();
    let text = answer.text().await.unwrap_or_default();
    let body = serde_json::from_str(&text)
        .context("what answers at the admin address is not a cliqbridge")?;
    Ok(Answer { good, body })
}
