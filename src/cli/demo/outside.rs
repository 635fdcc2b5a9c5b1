//! What the story can do from outside: post webhooks, ask the admin API, open join pages, and be
//! the people and administrators of the sandbox.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::files::{ADMIN_TOKEN, CRMPLUS_SECRET, DELUGE_SECRET};
use crate::app::Running;
use crate::app::client::client;
use crate::clock::Clock;
use crate::domain::Secret;
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey};
use crate::logic::signature;
use crate::sandbox::Urls;

/// The address the bridge writes from; Zoho's own mails come from another.
pub(super) const OURS: &str = "access@bridge.example";

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// One signed webhook, ready to be posted once or again.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    source: &'static str,
    id: String,
    body: Vec<u8>,
    secret: Vec<u8>,
}

/// Everything around the daemon.
pub(super) struct Stage {
    http: reqwest::Client,
    webhooks: String,
    join: String,
    admin: String,
    sandbox: String,
    pub(super) clock: Arc<dyn Clock>,
}

impl Stage {
    pub(super) fn new(
        running: &Running,
        urls: &Urls,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            http: client()?,
            webhooks: format!("http://{}/webhooks", running.public),
            join: format!("http://{}/join/", running.public),
            admin: format!("http://{}/api/v1", running.admin),
            sandbox: format!("{}/sandbox", urls.url.trim_end_matches('/')),
            clock,
        })
    }

    /// A user event as the CRM side would send it; `source` decides the scheme.
    pub(super) fn user_event(
        &self,
        source: &'static str,
        event_id: &str,
        event_type: &str,
        crm_org: &str,
        user: (&str, &str),
    ) -> Webhook {
        let data = json!({ "user": { "id": user.0, "email": user.1 } });
        self.event(source, event_id, event_type, crm_org, &data)
    }

    /// CRM Plus was downgraded to its free plan.
    pub(super) fn downgraded(
        &self,
        source: &'static str,
        event_id: &str,
        crm_org: &str,
    ) -> Webhook {
        let plan = json!({ "product": "crmplus", "from": "crmplus", "to": "free" });
        self.event(source, event_id, "plan.downgraded", crm_org, &json!({ "plan": plan }))
    }

    fn event(
        &self,
        source: &'static str,
        event_id: &str,
        event_type: &str,
        crm_org: &str,
        data: &Value,
    ) -> Webhook {
        let event = json!({
            "event_id": event_id,
            "event_type": event_type,
            "event_time": self.clock.now().to_rfc3339(),
            "organization_id": crm_org,
            "data": data,
        });
        let secret = match source {
            "crmplus" => signature::decode_standard_secret(CRMPLUS_SECRET).unwrap_or_default(),
            _ => DELUGE_SECRET.as_bytes().to_vec(),
        };
        let body = event.to_string().into_bytes();
        Webhook { source, id: event_id.to_owned(), body, secret }
    }

    /// The same webhook from somebody who does not know the secret.
    pub(super) fn forged(webhook: &Webhook) -> Webhook {
        Webhook { secret: b"not the secret of this source".to_vec(), ..webhook.clone() }
    }

    /// Posts a webhook; answers status and body.
    pub(super) async fn post(&self, webhook: &Webhook) -> anyhow::Result<(u16, Value)> {
        let scheme = match webhook.source {
            "crmplus" => Scheme::Standard,
            _ => Scheme::Raw {
                header: "X-Bridge-Signature".to_owned(),
                prefix: String::new(),
                encoding: Encoding::Base64,
                hash: Hash::Sha256,
            },
        };
        let key = SigningKey {
            id: "demo".to_owned(),
            secret: Secret::new(webhook.secret.clone()),
            not_before: None,
            not_after: None,
        };
        let now = self.clock.now();
        let headers = signature::sign(&scheme, &key, &webhook.id, None, JSON, &webhook.body, now)?;
        let mut request = self
            .http
            .post(format!("{}/{}", self.webhooks, webhook.source))
            .header("content-type", JSON)
            .body(webhook.body.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
    }

    /// Opens a page as a browser would; answers status and text.
    pub(super) async fn open(&self, url: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.http.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends a page's form; answers where it leads.
    pub(super) async fn submit(&self, url: &str, form: &'static str) -> anyhow::Result<String> {
        let request = self.http.post(url).header("content-type", FORM).body(form);
        let answer = request.send().await?;
        let status = answer.status();
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.with_context(|| format!("{url}: {status} leads nowhere"))?;
        Ok(location.to_owned())
    }

    /// The link on a line of its own in the letter that one organization sent to somebody.
    pub(super) async fn join_page(&self, email: &str, sender: &str) -> anyhow::Result<String> {
        let boxes = self.sandbox("/mailboxes").await?;
        let mails = boxes["mailboxes"].as_array().into_iter().flatten();
        let mails = mails.filter(|mailbox| mailbox["address"] == email);
        let mut texts = mails
            .flat_map(|mailbox| mailbox["mails"].as_array().into_iter().flatten())
            .filter(|mail| mail["from"] == OURS)
            .filter(|mail| mail["subject"].as_str().is_some_and(|line| line.contains(sender)))
            .filter_map(|mail| mail["text"].as_str());
        let link = texts
            .find_map(|text| text.lines().map(str::trim).find(|line| line.starts_with(&self.join)));
        link.map(str::to_owned).with_context(|| format!("no letter of {sender} to {email}"))
    }

    /// Reads from the admin API.
    pub(super) async fn admin(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.admin)).bearer_auth(ADMIN_TOKEN);
        read(request).await.with_context(|| format!("admin API {path}"))
    }

    /// Asks the admin API to do something.
    pub(super) async fn admin_post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("{}{path}", self.admin))
            .bearer_auth(ADMIN_TOKEN)
            .body(body.to_string());
        read(request).await.with_context(|| format!("admin API {path}"))
    }

    /// Everybody whom the ledger has in a mapped channel of an organization: address, and what the
    /// admin API says of their place there.
    pub(super) async fn guests(&self, organization: &str) -> anyhow::Result<Vec<(String, Value)>> {
        let path = format!("/memberships?limit=200&organization={organization}");
        let listed = self.admin(&path).await?;
        let mut guests = Vec::new();
        for row in listed["items"].as_array().into_iter().flatten() {
            let id = row["id"].as_str().unwrap_or_default();
            let one = self.admin(&format!("/memberships/{id}")).await?;
            let email = one["email"].as_str().unwrap_or_default();
            let channels = one["channels"].as_array().into_iter().flatten();
            guests.extend(channels.map(|guest| (email.to_owned(), guest.clone())));
        }
        Ok(guests)
    }

    /// Reads from the sandbox's own pages.
    pub(super) async fn sandbox(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.sandbox));
        read(request).await.with_context(|| format!("sandbox {path}"))
    }

    /// Acts in the sandbox.
    pub(super) async fn act(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.sandbox));
        let request = request.header("content-type", JSON).body(body.to_string());
        read(request).await.with_context(|| format!("sandbox {path}"))
    }

    /// Changes something that the sandbox has.
    pub(super) async fn change(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.patch(format!("{}{path}", self.sandbox));
        let request = request.header("content-type", JSON).body(body.to_string());
        read(request).await.with_context(|| format!("sandbox {path}"))
    }
}

async fn read(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).context("the answer is not JSON")
}
