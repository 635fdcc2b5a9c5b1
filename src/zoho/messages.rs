//! Messages in Cliq: from a bot to its subscribers, in a channel, to a colleague (contract
//! section 2.3). Unknown keys are an error there, so only documented ones are sent.
//!
//! Deliberately absent: wording and limits of texts and buttons, which `logic` renders.

use serde_json::{Value, json};

use super::account::Ask;
use super::cliq::Client;
use super::error::CallError;
use super::gate::{Permit, Priority};
use super::listing::{Listing, Silence};
use super::wire::{address, text};
use crate::domain::budget::Group;
use crate::domain::letter::{BotMessage, Button};
use crate::domain::{CliqId, Email};

const SUBSCRIBERS: &str = "GET /api/v2/bots/{bot}/subscribers";
const BOT: &str = "POST /api/v2/bots/{bot}/message";
const CHANNEL: &str = "POST /api/v2/channelsbyname/{name}/message";
const BUDDY: &str = "POST /api/v2/buddies/{person}/message";

/// Code of a bot message that reached nobody.
const NO_VALID_USERS: &str = "botmessage_no_valid_users";

/// Someone who has subscribed to a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Cliq's id of the person.
    pub id: CliqId,
    /// Address, when it is one.
    pub email: Option<Email>,
}

impl Client {
    /// Everybody who has subscribed to `bot`. Cliq tells only the bot's creator and administrators.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn subscribers(
        &self,
        bot: &str,
        priority: Priority,
    ) -> Result<Vec<Subscriber>, CallError> {
        let listing = Listing {
            call: SUBSCRIBERS,
            group: Group::Subscribers,
            priority,
            base: &self.base,
            path: &["api", "v2", "bots", bot, "subscribers"],
            query: &[],
            rows: &["data"],
            ids: &["user_id", "id"],
            silence: Silence::End,
        };
        Ok(listing.read(&self.account, |row| read_subscriber(&row)).await?.rows)
    }

    /// Sends a message from `bot` to people who have subscribed to it.
    ///
    /// # Errors
    /// See [`CallError`]; [`CallError::Refused`] `botmessage_no_valid_users` also when Cliq answers
    /// success and names nobody.
    pub async fn bot_message(
        &self,
        permit: Permit,
        bot: &str,
        people: &[CliqId],
        message: &BotMessage,
    ) -> Result<(), CallError> {
        debug_assert_eq!(permit.group(), Group::Messages);
        let ids: Vec<&str> = people.iter().map(CliqId::as_str).collect();
        let mut body =
            json!({ "text": message.text, "userids": ids.join(","), "sync_message": true });
        if let Some(title) = &message.title {
            body["card"] = json!({ "title": title, "theme": "modern-inline" });
        }
        if let Some(button) = &message.button {
            body["buttons"] = json!([write_button(button)]);
        }
        let url = address(BOT, &self.base, &["api", "v2", "bots", bot, "message"], &[])?;
        let answer = self.account.call(permit, &Ask::post(BOT, url, body)).await?;
        let reached = answer.as_ref().and_then(|body| body.get("user_ids")?.as_array());
        if reached.is_some_and(Vec::is_empty) {
            let code = NO_VALID_USERS.to_owned();
            return Err(CallError::refused(BOT, code, 200));
        }
        Ok(())
    }

    /// Posts in the channel with this unique name, as `bot`, which must be a participant of it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn channel_post(
        &self,
        permit: Permit,
        unique_name: &str,
        bot: &str,
        text: &str,
    ) -> Result<(), CallError> {
        let path = ["api", "v2", "channelsbyname", unique_name, "message"];
        let url = address(CHANNEL, &self.base, &path, &[("bot_unique_name", bot)])?;
        self.post_text(permit, Ask::post(CHANNEL, url, json!({ "text": text }))).await
    }

    /// Writes to a colleague, by address or zuid, as the OAuth user. Works only inside the
    /// organization or between mutual contacts.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn buddy_message(
        &self,
        permit: Permit,
        person: &str,
        text: &str,
    ) -> Result<(), CallError> {
        let path = ["api", "v2", "buddies", person, "message"];
        let url = address(BUDDY, &self.base, &path, &[])?;
        self.post_text(permit, Ask::post(BUDDY, url, json!({ "text": text }))).await
    }

    async fn post_text(&self, permit: Permit, ask: Ask) -> Result<(), CallError> {
        debug_assert_eq!(permit.group(), Group::Messages);
        self.account.call(permit, &ask).await.map(|_| ())
    }
}

fn write_button(button: &Button) -> Value {
    json!({
        "label": button.label,
        "hint": button.hint,
        "type": "+",
        "key": button.key,
        "action": { "type": "open.url", "data": { "web": button.url } },
    })
}

fn read_subscriber(row: &Value) -> Option<Subscriber> {
    Some(Subscriber {
        id: CliqId::new(text(row, &["user_id", "id"])?),
        email: text(row, &["email_id"]).and_then(|email| Email::parse(&email).ok()),
    })
}
