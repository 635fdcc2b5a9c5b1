//! The portal function: the operator's own door into CRM Plus, the only way to add an external
//! member (R8; design sections 8 "Portal function" and 11 "Portal").
//!
//! Deliberately absent: OAuth, which the function does not use, and the limit of four calls in
//! parallel, which is the caller's. The key is in no error and no log.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::error::CallError;
use super::gate::{Gate, Permit};
use super::transport::{Http, Reply};
use super::wire::{clean_code, malformed, text};
use crate::clock::Clock;
use crate::domain::budget::Group;
use crate::domain::{CrmUserId, Email, PortalVerb, Secret};

const CALL: &str = "POST portal function";

/// Longest join address that is believed; longer ones break mail clients and Cliq's buttons.
const JOIN_URL_MAX: usize = 2_048;

/// Longest part of a refusal's message that is kept, characters: a sentence or two.
const SAID_MAX: usize = 200;

/// One call of the function.
#[derive(Clone, Debug)]
pub struct PortalCall {
    /// What to do.
    pub operation: PortalVerb,
    /// The CRM organization's id (`organizations.crm_org`).
    pub organization_id: String,
    /// Whom.
    pub crm_user_id: CrmUserId,
    /// The person's address.
    pub email: Email,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Equal over retries of one action, new for every action.
    pub idempotency_key: String,
}

/// What the function did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It made the change.
    Now {
        /// Where the person joins, if it said so; http or https.
        join_url: Option<Url>,
    },
    /// Nothing was to be done.
    AlreadySo {
        /// Where the person joins, if it said so; http or https.
        join_url: Option<Url>,
    },
}

/// Where the function is, and how it knows us. No `Debug`: an operator's URL may hold the key.
#[derive(Clone)]
pub struct Door {
    /// `portal.url`
    pub url: Url,
    /// `portal.key`
    pub key: Secret,
    /// `portal.header`; `None` sends the key as Zoho's `auth_type=apikey&zapikey=`.
    pub header: Option<String>,
}

/// Calls one organization's portal function.
#[derive(Clone)]
pub struct Client {
    http: Http,
    door: Door,
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with the organization's own gate, `portal:{organization}`.
    pub fn new(http: Http, door: Door, gate: Arc<Gate>, clock: Arc<dyn Clock>) -> Self {
        Self { http, door, gate, clock }
    }

    /// The budget that permits for [`Self::apply`] come from.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Asks the function for one change. Safe to repeat with the same idempotency key.
    ///
    /// # Errors
    /// [`CallError::Refused`] with the function's code, for good; [`CallError::Throttled`] for
    /// `rate_limited`; [`CallError::Unauthorized`] when the key or the address is not accepted, so
    /// that rows wait for the operator instead of dying, with the gate locked meanwhile;
    /// [`CallError::Transient`] for anything that is not an answer.
    pub async fn apply(&self, permit: Permit, call: &PortalCall) -> Result<Applied, CallError> {
        debug_assert_eq!(permit.group(), Group::Portal);
        let reply = self.http.send(CALL, self.request(call)?).await?;
        let status = reply.status.as_u16();
        let detail = match reply.status {
            StatusCode::TOO_MANY_REQUESTS => "HTTP 429".to_owned(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let detail = format!("HTTP {status}: the portal key is not accepted");
                return Err(self.shut(&permit, &reply, detail).await);
            }
            StatusCode::NOT_FOUND => {
                let detail = "HTTP 404: no function answers at portal.url".to_owned();
                return Err(self.shut(&permit, &reply, detail).await);
            }
            _ if reply.status.is_success() || reply.status.is_client_error() => {
                match read(&reply)? {
                    Answer::Applied(applied) => return Ok(applied),
                    Answer::Busy => return Err(transient("busy", &reply)),
                    Answer::Refused(code, said) => {
                        let said = said.map(|said| self.shown(&said, call));
                        return Err(CallError::Refused { call: CALL, code, status, said });
                    }
                    Answer::RateLimited => "rate_limited".to_owned(),
                }
            }
            _ => return Err(transient(&format!("HTTP {status}"), &reply)),
        };
        Err(self.lock(&permit, &reply, detail).await)
    }

    /// What the function said, as it may stand in a log: one bounded line without address and key.
    fn shown(&self, said: &str, call: &PortalCall) -> String {
        let mut said = said.replace(call.email.as_str(), &call.email.masked());
        if let Some(key) = self.door.key.expose_text() {
            said = said.replace(key, "…");
        }
        let words: Vec<&str> = said
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|w| !w.is_empty())
            .collect();
        words.join(" ").chars().take(SAID_MAX).collect()
    }

    /// The door itself does not open: parked like a throttle, but somebody has to mend it.
    async fn shut(&self, permit: &Permit, reply: &Reply, detail: String) -> CallError {
        self.lock(permit, reply, detail.clone()).await;
        CallError::Unauthorized { call: CALL, detail }
    }

    async fn lock(&self, permit: &Permit, reply: &Reply, detail: String) -> CallError {
        let lock = reply.retry_after.unwrap_or(self.gate.limit(permit.group()).lock);
        let until = self.clock.now() + lock;
        self.gate.lock(permit.group(), until).await;
        tracing::warn!(call = CALL, detail, %until, "the portal is parked");
        CallError::Throttled { call: CALL, until, detail }
    }

    fn request(&self, call: &PortalCall) -> Result<reqwest::RequestBuilder, CallError> {
        let body = json!({
            "operation": call.operation.as_str(),
            "organization_id": call.organization_id,
            "crm_user_id": call.crm_user_id.as_str(),
            "email": call.email.as_str(),
            "first_name": call.first_name,
            "last_name": call.last_name,
            "idempotency_key": call.idempotency_key,
        });
        let unusable = |what: &str| CallError::Unauthorized {
            call: CALL,
            detail: format!("{what} cannot be sent in a header or an address"),
        };
        let key = self.door.key.expose_text().ok_or_else(|| unusable("portal.key"))?;
        let mut url = self.door.url.clone();
        let mut header = None;
        if let Some(name) = &self.door.header {
            let name = HeaderName::try_from(name).map_err(|_| unusable("portal.header"))?;
            let mut value = HeaderValue::try_from(key).map_err(|_| unusable("portal.key"))?;
            value.set_sensitive(true);
            header = Some((name, value));
        } else {
            url.query_pairs_mut().append_pair("auth_type", "apikey").append_pair("zapikey", key);
        }
        let mut request = self.http.client().post(url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        Ok(request.header(CONTENT_TYPE, "application/json").body(body.to_string()))
    }
}

enum Answer {
    Applied(Applied),
    /// With the code, and the message if there is one.
    Refused(String, Option<String>),
    RateLimited,
    Busy,
}

/// Reads the function's own answer, plain or wrapped by Zoho.
fn read(reply: &Reply) -> Result<Answer, CallError> {
    let whole: Value = serde_json::from_slice(&reply.body)
        .map_err(|_| malformed(CALL, "a body that is not JSON"))?;
    let body = unwrap(&whole).ok_or_else(|| malformed(CALL, "an unreadable details.output"))?;
    let status = text(&body, &["status"]).unwrap_or_default();
    let join_url = text(&body, &["join_url"]).and_then(|url| join_url(&url));
    let code = text(&body, &["code"]).map(|code| clean_code(&code));
    match (status.as_str(), code.as_deref()) {
        ("done", _) => Ok(Answer::Applied(Applied::Now { join_url })),
        ("already", _) => Ok(Answer::Applied(Applied::AlreadySo { join_url })),
        ("refused", Some("rate_limited")) | ("rate_limited", _) => Ok(Answer::RateLimited),
        ("refused", Some("busy")) | ("busy", _) => Ok(Answer::Busy),
        ("refused", Some(code)) => Ok(Answer::Refused(code.to_owned(), text(&body, &["message"]))),
        _ => {
            let status = reply.status.as_u16();
            let what = format!("HTTP {status} without done, already, or refused and a code");
            Err(malformed(CALL, &what))
        }
    }
}

/// The function's answer inside Zoho's wrapping: `details.output`, a JSON text or an object.
fn unwrap(whole: &Value) -> Option<Value> {
    match whole.get("details").and_then(|details| details.get("output")) {
        Some(Value::String(inner)) => serde_json::from_str(inner).ok(),
        Some(inner) => Some(inner.clone()),
        None => Some(whole.clone()),
    }
}

fn join_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= JOIN_URL_MAX)?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn transient(detail: &str, reply: &Reply) -> CallError {
    let detail = detail.to_owned();
    CallError::Transient { call: CALL, detail, retry_after: reply.retry_after }
}
