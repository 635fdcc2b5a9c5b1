//! Messages by bot, to a channel, to a person; and a bot's subscribers (contract section 2.3).
//!
//! Deliberately absent: handlers, calls, editing and deleting messages.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::entries::Status;
use super::paging::{self, Paging};
use super::router::{Outcome, text};
use super::state::{Message, Organization, Realm};
use super::wire::{Family, Reply, Request, Violation};
use super::{cards, cliq_channels, cliq_users};
use crate::domain::Timestamp;

/// Most rows of a page of subscribers; the contract prints no bound, so Cliq's usual one.
const PAGE_MAX: usize = 100;

fn denied(code: &str) -> Outcome {
    Outcome::refused(Family::Cliq.error(400, code, "The message could not be sent."), code)
}

/// What a message body may hold besides the keys of its own call.
const CONTENT: [&str; 5] = ["text", "sync_message", "card", "slides", "buttons"];

fn content(request: &Request, own: &[&str]) -> Result<Map<String, Value>, Violation> {
    let keys: Vec<&str> = CONTENT.iter().chain(own).copied().collect();
    let body = request.json(&keys)?;
    cards::check(&body)?;
    Ok(body)
}

fn is_sync(body: &Map<String, Value>) -> bool {
    body.get("sync_message").and_then(Value::as_bool).unwrap_or(false)
}

/// The id of a new message, URL-escaped as Cliq does it.
fn message_id(realm: &mut Realm, now: Timestamp) -> String {
    format!("{}%20{:013}", now.millis(), realm.next())
}

fn post(
    org: &Organization,
    body: &Map<String, Value>,
    bot: Option<&str>,
    now: Timestamp,
) -> Message {
    Message {
        organization: org.entry.id.clone(),
        bot: bot.map(str::to_owned),
        to: None,
        channel: None,
        text: text(body, "text").unwrap_or_default().to_owned(),
        card: body.get("card").cloned(),
        buttons: body.get("buttons").cloned(),
        at: now.to_rfc3339(),
    }
}

/// `POST /api/v2/bots/{bot}/message`: reaches subscribers only.
pub(super) fn message(
    org: &Organization,
    realm: &mut Realm,
    request: &Request,
    bot: &str,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let body = content(request, &["userids", "broadcast"])?;
    let Some(subscribers) = org.bots.get(bot) else { return Ok(denied("bot_not_found")) };
    let broadcast = body.get("broadcast").and_then(Value::as_bool).unwrap_or(false);
    let wanted = match (body.get("userids"), broadcast) {
        (None, true) => None,
        (Some(Value::String(ids)), false) => Some(ids),
        _ => {
            let message = "userids must be a text of ids, or broadcast true";
            return Err(Violation::bad("invalid_parameter", message));
        }
    };
    let named: Option<BTreeSet<String>> = wanted.map(|ids| {
        let ids = ids.split(',').map(str::trim);
        ids.filter_map(|id| cliq_users::find(org, realm, id)).map(|row| row.id.clone()).collect()
    });
    let recipients: Vec<(String, String)> = org
        .cliq
        .iter()
        .filter(|row| row.status == Status::Active && subscribers.contains(&row.person))
        .filter(|row| named.as_ref().is_none_or(|ids| ids.contains(&row.id)))
        .filter_map(|row| Some((row.id.clone(), realm.people.get(&row.person)?.email.clone())))
        .collect();
    if recipients.is_empty() {
        return Ok(denied("botmessage_no_valid_users"));
    }
    let mut details = Map::new();
    for (id, email) in &recipients {
        let message = Message { to: Some(email.clone()), ..post(org, &body, Some(bot), now) };
        realm.post(message);
        let message_id = message_id(realm, now);
        details.insert(
            id.clone(),
            json!({"chat_id": format!("CT_{id}_{}-B2", org.entry.cliq_org), "message_id": message_id}),
        );
    }
    let reply = if is_sync(&body) {
        let ids: Vec<&String> = recipients.iter().map(|(id, _)| id).collect();
        Reply::json(200, &json!({"user_ids": ids, "message_details": details}))
    } else {
        Reply::empty(204)
    };
    let emails: Vec<&str> = recipients.iter().map(|(_, email)| email.as_str()).collect();
    Ok(Outcome::write(reply).detail(format!("to {}", emails.join(", "))))
}

/// `POST /api/v2/channelsbyname/{unique}/message`, as the OAuth user or as a bot.
pub(super) fn channel(
    org: &Organization,
    realm: &mut Realm,
    request: &Request,
    unique_name: &str,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&["bot_unique_name"])?;
    let body = content(request, &["reply_to"])?;
    let bot = request.query("bot_unique_name");
    if bot.is_some_and(|bot| !org.bots.contains_key(bot)) {
        return Ok(denied("bot_not_found"));
    }
    let mut channels = org.channels.iter();
    let Some(channel) = channels.find(|channel| channel.unique_name == unique_name) else {
        return Ok(Outcome::refused(cliq_channels::unknown_channel(), "channel_not_exists"));
    };
    let message =
        Message { channel: Some(channel.unique_name.clone()), ..post(org, &body, bot, now) };
    realm.post(message);
    let message_id = message_id(realm, now);
    let reply = match (bot, is_sync(&body)) {
        // Posted as a bot, Cliq gives no id even when asked.
        (Some(_), true) => Reply::json(200, &json!({"Response Code": "204 No response"})),
        (None, true) => Reply::json(200, &json!({"message_id": message_id})),
        (_, false) => Reply::empty(204),
    };
    Ok(Outcome::write(reply))
}

/// `POST /api/v2/buddies/{e-mail or zuid}/message`: as the OAuth user, to people of this Cliq.
pub(super) fn buddy(
    org: &Organization,
    realm: &mut Realm,
    request: &Request,
    id: &str,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let body = content(request, &[])?;
    let row = cliq_users::find(org, realm, id).filter(|row| row.status == Status::Active);
    let email = row.and_then(|row| realm.people.get(&row.person)).map(|who| who.email.clone());
    let Some(email) = email else { return Ok(denied("user_not_exists")) };
    realm.post(Message { to: Some(email), ..post(org, &body, None, now) });
    let message_id = message_id(realm, now);
    let reply = if is_sync(&body) {
        Reply::json(200, &json!({"message_id": message_id}))
    } else {
        Reply::empty(204)
    };
    Ok(Outcome::write(reply))
}

/// `GET /api/v2/bots/{bot}/subscribers`.
pub(super) fn subscribers(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    bot: &str,
    paging: Paging,
) -> Result<Outcome, Violation> {
    request.allow_query(&["limit", "next_token"])?;
    let limit = request.number("limit", PAGE_MAX, PAGE_MAX)?;
    let Some(subscribers) = org.bots.get(bot) else { return Ok(denied("bot_not_found")) };
    let filter = format!("subscribers {bot}");
    let offset = paging::read(request.query("next_token"), &filter)?;
    let rows: Vec<_> = org.cliq.iter().filter(|row| subscribers.contains(&row.person)).collect();
    let data: Vec<Value> = paging::cut(&rows, offset, limit, paging)
        .into_iter()
        .filter_map(|row| realm.people.get(&row.person).map(|person| (row, person)))
        .map(|(row, who)| json!({"email_id": who.email, "user_id": row.id, "name": who.name()}))
        .collect();
    let mut body = json!({
        "url": request.shown,
        "type": "bot_subscriber",
        "sync_token": "",
        "data": data,
    });
    if rows.len() > offset + limit {
        body["next_token"] = Value::String(paging::mint(offset + limit, &filter));
        body["has_more"] = Value::Bool(true);
    }
    Ok(Outcome::read(Reply::json(200, &body)))
}
