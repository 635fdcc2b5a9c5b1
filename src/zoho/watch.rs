//! CRM notifications, "actions/watch": registering a channel and renewing it (contract section 3.3).
//!
//! Deliberately absent: deletion, since a channel that is not renewed lapses within a day; and the
//! notifications themselves, which `logic::event` reads.

use chrono::SecondsFormat;
use http::Method;
use serde_json::{Value, json};

use super::account::Ask;
use super::crm::Client;
use super::error::CallError;
use super::gate::Permit;
use super::wire::{address, clean_code, malformed, needed, text};
use crate::domain::Timestamp;

const REGISTER: &str = "POST /crm/v8/actions/watch";
const RENEW: &str = "PUT /crm/v8/actions/watch";

/// One channel as it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// Our own number for it, digits.
    pub id: &'a str,
    /// `Module.operation`, such as `Contacts.all`.
    pub events: &'a [String],
    /// When it is to lapse; whole seconds count.
    pub expires_at: Timestamp,
    /// What each notification echoes, at most 50 characters.
    pub token: &'a str,
    /// Where notifications go.
    pub notify_url: &'a str,
}

/// Which of the two calls; CRM refuses to renew what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `POST`: a channel that CRM does not have.
    Register,
    /// `PUT`: one that it has; everything about it is said anew.
    Renew,
}

impl Client {
    /// Registers or renews the channel. Answers when it lapses by CRM's word, the nearest time of
    /// all its events; `None` when CRM does not say.
    ///
    /// # Errors
    /// [`CallError::Refused`] also where one item of an accepted call was refused; see
    /// [`CallError`].
    pub async fn watch(
        &self,
        permit: Permit,
        verb: Verb,
        channel: &Channel<'_>,
    ) -> Result<Option<Timestamp>, CallError> {
        let (call, method) = match verb {
            Verb::Register => (REGISTER, Method::POST),
            Verb::Renew => (RENEW, Method::PUT),
        };
        let url = address(call, &self.base, &["crm", "v8", "actions", "watch"], &[])?;
        let ask = Ask { call, method, url, body: Some(body(channel)) };
        let answer = needed(call, self.account.call(permit, &ask).await?)?;
        let items = answer.get("watch").and_then(Value::as_array);
        let items = items.ok_or_else(|| malformed(call, "no list of channels"))?;
        let item = items.first().ok_or_else(|| malformed(call, "an empty list of channels"))?;
        // A refusal beside the first item; the first one's is found by the account.
        let succeeded = |item: &&Value| text(item, &["status"]).as_deref() == Some("success");
        if let Some(refused) = items.iter().find(|item| !succeeded(item)) {
            let code = text(refused, &["code"]).unwrap_or_default();
            return Err(CallError::refused(call, clean_code(&code), 200));
        }
        let events = item.pointer("/details/events").and_then(Value::as_array);
        let times = events.into_iter().flatten().filter_map(|event| {
            text(event, &["channel_expiry"]).and_then(|time| Timestamp::parse(&time))
        });
        Ok(times.min())
    }
}

/// The body as the contract prints it. Values of changed fields are not asked for: a notification
/// is worth no more than "look again".
fn body(channel: &Channel<'_>) -> Value {
    let expiry = channel.expires_at.to_utc().to_rfc3339_opts(SecondsFormat::Secs, false);
    json!({"watch": [{
        "channel_id": channel.id,
        "events": channel.events,
        "channel_expiry": expiry,
        "token": channel.token,
        "notify_url": channel.notify_url,
        "return_affected_field_values": false,
        "notify_on_related_action": false,
        "notification_condition": [],
    }]})
}
