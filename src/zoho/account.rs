//! One credential at work: a permit, a token, a call, and what its answer leads to.
//!
//! Deliberately absent: knowledge of any endpoint; the clients build the requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::answer::{Verdict, denial, judge};
use super::error::CallError;
use super::gate::{Gate, Permit, Priority, Recorder, Remembered};
use super::meter::{Calls, Meter};
use super::token::Tokens;
use super::transport::Http;
use crate::clock::Clock;
use crate::config;
use crate::domain::Secret;
use crate::domain::budget::Group;

/// How often one page of a listing is tried before the listing fails (design section 11).
const PAGE_TRIES: u32 = 3;

/// Pause before a page's second try; doubled for the third.
const PAGE_BACKOFF: Duration = Duration::from_secs(1);

/// One request, named by a label that holds no id, address or query.
pub(super) struct Ask {
    pub(super) call: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Value>,
}

impl Ask {
    pub(super) fn get(call: &'static str, url: Url) -> Self {
        Self { call, method: Method::GET, url, body: None }
    }

    pub(super) fn post(call: &'static str, url: Url, body: Value) -> Self {
        Self { call, method: Method::POST, url, body: Some(body) }
    }
}

/// A Zoho credential: its connection, token and call budgets, shared by every client of it.
pub struct Account {
    http: Http,
    gate: Arc<Gate>,
    tokens: Arc<Tokens>,
    auth_scheme: String,
    clock: Arc<dyn Clock>,
    meter: Meter,
    patient: bool,
}

impl Account {
    /// An account for one `[zoho]` section. `scale` is `[budgets] scale`; `remembered` is what the
    /// store kept for `zoho.credential`.
    pub fn new(
        http: Http,
        zoho: &config::Zoho,
        scale: u32,
        remembered: Remembered,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let gate = Arc::new(Gate::new(
            zoho.credential.clone(),
            scale,
            BTreeMap::new(),
            remembered.budgets,
            recorder,
            clock.clone(),
        ));
        let tokens = Tokens::new(http.clone(), zoho, gate.clone(), remembered.token, clock.clone());
        Self {
            http,
            gate,
            tokens: Arc::new(tokens),
            auth_scheme: zoho.auth_scheme.clone(),
            clock,
            meter: Meter::default(),
            patient: false,
        }
    }

    /// The same account, whose calls are counted on `meter`: connection, token and budgets are
    /// shared.
    #[must_use]
    pub fn metered(&self, meter: &Meter) -> Self {
        Self {
            http: self.http.clone(),
            gate: Arc::clone(&self.gate),
            tokens: Arc::clone(&self.tokens),
            auth_scheme: self.auth_scheme.clone(),
            clock: Arc::clone(&self.clock),
            meter: meter.clone(),
            patient: self.patient,
        }
    }

    /// The same account for a run, whose single reads wait and are tried again as pages of a listing
    /// are. Whoever reads for a webhook has the next webhook to serve meanwhile.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// The calls that were made through this account.
    pub fn calls(&self) -> Calls {
        self.meter.calls()
    }

    /// What counts them.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The credential's budgets.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Makes sure that there is an access token, asking for one if need be.
    ///
    /// # Errors
    /// As of a call that needed the token.
    pub async fn sign_in(&self) -> Result<(), CallError> {
        self.tokens.access(None).await.map(|_| ())
    }

    /// Sends a request once; a rejected token is refreshed and the request sent once more.
    ///
    /// # Errors
    /// Every variant of [`CallError`] but [`CallError::Incomplete`].
    pub(super) async fn call(&self, permit: Permit, ask: &Ask) -> Result<Option<Value>, CallError> {
        let call = ask.call;
        let group = permit.group();
        let token = self.tokens.access(None).await?;
        let detail = match self.once(permit, ask, &token).await? {
            Sent::Good(body) => {
                self.tokens.note(group, true);
                return Ok(body);
            }
            Sent::Rejected(detail) => detail,
        };
        if !self.tokens.refresh_may_help(group) {
            return Err(CallError::Unauthorized { call, detail });
        }
        let token = self.tokens.access(Some(&token)).await.map_err(|error| match error {
            // Waiting for a refresh, to be refused again, would go on for ever (I9).
            CallError::Throttled { until, .. } => {
                let detail = format!("{detail}, and no token refresh is left until {until}");
                CallError::Unauthorized { call, detail }
            }
            other => other,
        })?;
        let permit = self.gate.try_take(group).await.map_err(|wait| {
            let detail = "no call is left to repeat it with a fresh token".to_owned();
            CallError::Throttled { call, until: wait.until, detail }
        })?;
        match self.once(permit, ask, &token).await? {
            Sent::Good(body) => {
                self.tokens.note(group, true);
                Ok(body)
            }
            Sent::Rejected(detail) => {
                self.tokens.note(group, false);
                let detail = format!("{detail}, also with a fresh token");
                Err(CallError::Unauthorized { call, detail })
            }
        }
    }

    /// Sends a single read, waiting for its permit. In a run it is tried as a page is.
    pub(super) async fn read(
        &self,
        group: Group,
        priority: Priority,
        ask: &Ask,
    ) -> Result<Option<Value>, CallError> {
        self.meter.need(1);
        if self.patient {
            return self.read_page(group, priority, ask).await;
        }
        self.attempt(group, priority, ask).await
    }

    /// Reads one page of a listing: throttles are waited out, transient failures tried three times.
    /// How many pages a listing needs is known when it is finished; the caller says it.
    pub(super) async fn read_page(
        &self,
        group: Group,
        priority: Priority,
        ask: &Ask,
    ) -> Result<Option<Value>, CallError> {
        let mut tries = 1;
        loop {
            let error = match self.attempt(group, priority, ask).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            match &error {
                CallError::Throttled { until, .. } => self.clock.wait_until(*until).await,
                CallError::Transient { retry_after, .. } if tries < PAGE_TRIES => {
                    let pause = PAGE_BACKOFF * 2_u32.pow(tries - 1);
                    let pause = retry_after.map_or(pause, |wish| wish.max(pause));
                    tracing::debug!(%error, tries, "a page is read again");
                    self.clock.wait_until(self.clock.now() + pause).await;
                    tries += 1;
                }
                _ => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        group: Group,
        priority: Priority,
        ask: &Ask,
    ) -> Result<Option<Value>, CallError> {
        let permit = self.gate.take(group, priority).await?;
        self.call(permit, ask).await
    }

    async fn once(&self, permit: Permit, ask: &Ask, token: &Secret) -> Result<Sent, CallError> {
        let call = ask.call;
        let mut request = self
            .http
            .client()
            .request(ask.method.clone(), ask.url.clone())
            .header(AUTHORIZATION, self.authorization(call, token)?);
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.meter.use_one();
        let reply = self.http.send(call, request).await?;
        match judge(&reply) {
            // "No rows" is 204; a read that says 200 and nothing has lost its answer.
            Verdict::Good(None)
                if ask.method == Method::GET && reply.status != StatusCode::NO_CONTENT =>
            {
                Err(CallError::transient(call, "an empty answer where JSON is expected"))
            }
            Verdict::Good(body) => Ok(Sent::Good(body)),
            Verdict::Rejected(detail) => Ok(Sent::Rejected(detail)),
            Verdict::Throttled(detail) => {
                let group = permit.group();
                let lock = reply.retry_after.unwrap_or(self.gate.limit(group).lock);
                let until = self.clock.now() + lock;
                self.gate.lock(group, until).await;
                tracing::warn!(call, group = group.as_str(), %until, "throttled");
                Err(CallError::Throttled { call, until, detail })
            }
            Verdict::Unscoped(detail) => Err(CallError::Unauthorized { call, detail }),
            Verdict::Forbidden(detail) => match denial(&reply) {
                // Rights differ by channel (R59): that says nothing about our credentials.
                Some(code) if permit.group() == Group::MembersWrite => {
                    Err(CallError::refused(call, code, reply.status.as_u16()))
                }
                _ => Err(CallError::Forbidden { call, detail }),
            },
            Verdict::Transient(detail) => {
                Err(CallError::Transient { call, detail, retry_after: reply.retry_after })
            }
            Verdict::Refused(code) => Err(CallError::refused(call, code, reply.status.as_u16())),
        }
    }

    fn authorization(&self, call: &'static str, token: &Secret) -> Result<HeaderValue, CallError> {
        let text = token.expose_text().unwrap_or_default();
        let mut value = HeaderValue::try_from(format!("{} {text}", self.auth_scheme))
            .map_err(|_| CallError::transient(call, "an access token that no header can carry"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

enum Sent {
    Good(Option<Value>),
    Rejected(String),
}
