//! A sender of signed webhooks.
//!
//! Deliberately absent: signatures of other programs; `daemon_interop` has those.

use cliqbridge::app::client::client;
use cliqbridge::clock::{Clock as _, SystemClock};
use cliqbridge::domain::Secret;
use cliqbridge::domain::scheme::{Encoding, Hash, Scheme, SigningKey};
use cliqbridge::logic::signature;
use serde_json::{Value, json};

use super::{Home, RAW_SECRET, STANDARD_SECRET};

pub const JSON: &str = "application/json";

/// A webhook, not signed yet.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub source: &'static str,
    pub event_id: String,
    pub body: Vec<u8>,
}

/// `user.added`, as the CRM side sends it.
pub fn added(source: &'static str, event_id: &str, crm_org: &str, crm_id: &str) -> Webhook {
    let event = json!({
        "event_id": event_id,
        "event_type": "user.added",
        "event_time": SystemClock.now().to_rfc3339(),
        "organization_id": crm_org,
        "data": { "user": { "id": crm_id, "email": "not@believed.example" } },
    });
    Webhook { source, event_id: event_id.to_owned(), body: event.to_string().into_bytes() }
}

impl Webhook {
    /// The headers that prove it.
    pub fn headers(&self) -> Vec<(String, String)> {
        let (scheme, secret) = if self.source == "crmplus" {
            (Scheme::Standard, signature::decode_standard_secret(STANDARD_SECRET).unwrap())
        } else {
            let header = "X-Bridge-Signature".to_owned();
            let (encoding, hash) = (Encoding::Base64, Hash::Sha256);
            let scheme = Scheme::Raw { header, prefix: String::new(), encoding, hash };
            (scheme, RAW_SECRET.as_bytes().to_vec())
        };
        let (not_before, not_after) = (None, None);
        let key =
            SigningKey { id: "t".to_owned(), secret: Secret::new(secret), not_before, not_after };
        let now = SystemClock.now();
        signature::sign(&scheme, &key, &self.event_id, None, JSON, &self.body, now).unwrap()
    }

    /// Posts it to a daemon that runs; answers the status word.
    pub async fn post(&self, home: &Home) -> String {
        let (status, answer) = self.try_post(&client().unwrap(), home).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer["status"].as_str().unwrap().to_owned()
    }

    /// Posts it to a daemon that may be gone.
    pub async fn try_post(
        &self,
        http: &reqwest::Client,
        home: &Home,
    ) -> Result<(u16, Value), reqwest::Error> {
        let path = format!("/webhooks/{}", self.source);
        post(http, home, &path, &self.headers(), self.body.clone()).await
    }
}

/// Posts any body with any headers to the public door.
pub async fn post(
    http: &reqwest::Client,
    home: &Home,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<(u16, Value), reqwest::Error> {
    let url = format!("http://{}{path}", home.public);
    let mut request = http.post(url).header("content-type", JSON).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
}
