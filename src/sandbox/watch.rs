//! CRM's notification channels: subscribing, renewing, listing, ending, and what they would tell
//! (contract section 3.3).
//!
//! Deliberately absent: conditions and affected fields; the bridge asks for neither. Sending is
//! the courier's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::acts::{Done, Impossible, body, organization};
use super::courier::{self, Notice};
use super::journal::{Entry, Kind};
use super::router::{Outcome, text};
use super::state::{Organization, State, made_up};
use super::wire::{Reply, Request, Violation, only};
use crate::domain::Timestamp;

/// Longest token that is echoed (contract section 3.3).
const TOKEN_MAX: usize = 50;
/// Furthest expiry that is granted; beyond it, or without one, a channel gets [`DEFAULT_LIFE`].
const LIFE_MAX: Duration = Duration::from_hours(24);
/// How long a channel lives that asked for no time, or for too much.
const DEFAULT_LIFE: Duration = Duration::from_hours(1);
/// Channels that one call may name.
const ITEMS_MAX: usize = 100;
/// The keys of one channel in a body.
const KEYS: [&str; 9] = [
    "channel_id",
    "events",
    "channel_expiry",
    "token",
    "notify_url",
    "return_affected_field_values",
    "notify_on_related_action",
    "notification_condition",
    "_delete_events",
];

/// The channels of one organization, by id.
pub(super) type Channels = BTreeMap<String, WatchChannel>;

/// A subscription to events of the CRM.
#[derive(Clone, Debug)]
pub(super) struct WatchChannel {
    /// `Module.operation`, as given.
    pub(super) events: Vec<String>,
    token: Option<String>,
    pub(super) notify_url: Url,
    pub(super) expires: Timestamp,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    /// The word in a callback.
    fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The word in a subscription.
    fn event(self) -> &'static str {
        match self {
            Self::Insert => "create",
            Self::Update => "edit",
            Self::Delete => "delete",
        }
    }
}

impl WatchChannel {
    fn hears(&self, module: &str, operation: Operation) -> bool {
        self.events.iter().filter_map(|event| event.split_once('.')).any(|(of, what)| {
            of.eq_ignore_ascii_case(module) && (what == "all" || what == operation.event())
        })
    }

    fn modules(&self) -> Vec<&str> {
        let mut modules: Vec<&str> =
            self.events.iter().filter_map(|event| Some(event.split_once('.')?.0)).collect();
        modules.dedup();
        modules
    }
}

/// How a body's channels meet those that there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// POST: all keys; an id that is known is subscribed anew.
    Subscribe,
    /// PUT: all keys, of a known channel.
    Replace,
    /// PATCH: only what changes, of a known channel.
    Change,
}

/// What is wrong with one channel of a body, in CRM's words.
struct Fault(&'static str, &'static str, &'static str);

fn invalid(key: &'static str, why: &'static str) -> Fault {
    Fault("INVALID_DATA", key, why)
}

/// `POST`, `PUT` and `PATCH /crm/v8/actions/watch`: each channel has a result of its own.
pub(super) fn subscribe(
    org: &mut Organization,
    url: &str,
    request: &Request,
    mode: Mode,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let body = request.json(&["watch"])?;
    let items = body.get("watch").and_then(Value::as_array);
    let items = items.filter(|items| (1..=ITEMS_MAX).contains(&items.len()));
    let items = items.ok_or_else(|| Violation::bad("INVALID_DATA", "watch must be a list"))?;
    let mut results = Vec::new();
    let mut done = Vec::new();
    for item in items {
        let object = item.as_object();
        let object = object.ok_or_else(|| Violation::bad("INVALID_DATA", "watch holds objects"))?;
        only(object.keys().map(String::as_str), &KEYS)?;
        results.push(match channel(&org.watch, object, mode, now) {
            Ok((id, channel)) => {
                let result = success(url, &id, &channel);
                done.push(id.clone());
                org.watch.insert(id, channel);
                result
            }
            Err(Fault(code, key, message)) => json!({
                "code": code, "details": {"api_name": key}, "message": message, "status": "error",
            }),
        });
    }
    let status = match mode {
        _ if done.len() < items.len() => 202,
        Mode::Subscribe => 201,
        Mode::Replace | Mode::Change => 200,
    };
    let reply = Reply::json(status, &json!({"watch": results}));
    Ok(if done.is_empty() {
        Outcome::refused(reply, &json!(results).to_string())
    } else {
        Outcome::write(reply).detail(done.join(", "))
    })
}

/// The channel that an item of a body makes of the one that there may be.
fn channel(
    known: &Channels,
    item: &Map<String, Value>,
    mode: Mode,
    now: Timestamp,
) -> Result<(String, WatchChannel), Fault> {
    let id = match item.get("channel_id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(invalid("channel_id", "a channel needs an id")),
    };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("channel_id", "a channel's id is a number"));
    }
    let live = known.get(&id).filter(|channel| channel.expires > now);
    let before = match (mode, live) {
        (Mode::Subscribe, _) => None,
        (_, None) => return Err(Fault("NOT_SUBSCRIBED", "channel_id", "there is no such channel")),
        (_, known) => known.filter(|_| mode == Mode::Change),
    };
    let events = item.get("events").map(read_events).transpose()?;
    let fewer = item.get("_delete_events") == Some(&Value::Bool(true));
    let events = match (before, events) {
        (None, None) => return Err(invalid("events", "a channel needs events")),
        (Some(before), None) => before.events.clone(),
        (Some(before), Some(named)) if fewer => {
            before.events.iter().filter(|event| !named.contains(event)).cloned().collect()
        }
        (_, Some(events)) => events,
    };
    let token = match item.get("token") {
        None | Some(Value::Null) => before.and_then(|before| before.token.clone()),
        Some(Value::String(token)) if token.chars().count() <= TOKEN_MAX => Some(token.clone()),
        Some(_) => return Err(invalid("token", "a token is a text of at most 50 characters")),
    };
    let notify_url = match (item.get("notify_url"), before) {
        (None, Some(before)) => before.notify_url.clone(),
        (given, _) => given
            .and_then(Value::as_str)
            .and_then(|text| Url::parse(text).ok())
            .filter(courier::is_loopback)
            .ok_or(invalid("notify_url", "the sandbox posts to http on the loopback only"))?,
    };
    let expires = match item.get("channel_expiry") {
        None => before.map_or(now + DEFAULT_LIFE, |before| before.expires),
        given => granted(given.and_then(Value::as_str), now)?,
    };
    Ok((id, WatchChannel { events, token, notify_url, expires }))
}

fn read_events(value: &Value) -> Result<Vec<String>, Fault> {
    let wrong = || invalid("events", "events are a list of Module.create, edit, delete or all");
    let known = |event: &&str| {
        let parts = event.split_once('.');
        parts.is_some_and(|(module, what)| {
            !module.is_empty() && matches!(what, "create" | "edit" | "delete" | "all")
        })
    };
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    list.iter()
        .map(|event| event.as_str().filter(known).map(str::to_owned).ok_or_else(wrong))
        .collect()
}

/// The expiry that a channel gets: as asked, or an hour when it is too far off.
fn granted(asked: Option<&str>, now: Timestamp) -> Result<Timestamp, Fault> {
    let wrong = || invalid("channel_expiry", "an expiry is an ISO 8601 time in the future");
    let asked = asked.and_then(Timestamp::parse).filter(|at| *at > now).ok_or_else(wrong)?;
    Ok(if asked > now + LIFE_MAX { now + DEFAULT_LIFE } else { asked })
}

/// As CRM prints times: seconds, and an offset with a colon.
fn time(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn resource(url: &str, module: &str) -> Value {
    json!({
        "resource_uri": format!("{url}/crm/v8/{module}"),
        "resource_id": made_up("55402300001", module),
        "resource_name": module,
    })
}

fn success(url: &str, id: &str, channel: &WatchChannel) -> Value {
    let event = |module: &&str| {
        let mut event = resource(url, module);
        event["channel_expiry"] = json!(time(channel.expires));
        event["channel_id"] = json!(id);
        event
    };
    let events: Vec<Value> = channel.modules().iter().map(event).collect();
    json!({
        "code": "SUCCESS",
        "status": "success",
        "message": "Successfully subscribed for actions-watch of the given module",
        "details": {"events": events},
    })
}

/// `GET /crm/v8/actions/watch`: the live channels; 204 without any.
pub(super) fn list(
    org: &Organization,
    url: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&["channel_id", "module", "page", "per_page"])?;
    let page = request.number("page", 1, usize::MAX)?;
    let per_page = request.number("per_page", ITEMS_MAX, 200)?;
    let wanted = |id: &String, channel: &WatchChannel| {
        let of_module = |module| channel.modules().contains(&module);
        channel.expires > now
            && request.query("channel_id").is_none_or(|wanted| wanted == id)
            && request.query("module").is_none_or(of_module)
    };
    let live: Vec<_> = org.watch.iter().filter(|(id, channel)| wanted(id, channel)).collect();
    let offset = (page - 1).saturating_mul(per_page);
    let shown: Vec<Value> = live
        .iter()
        .skip(offset)
        .take(per_page)
        .map(|(id, channel)| {
            let mut shown = resource(url, channel.modules().first().copied().unwrap_or_default());
            shown["channel_id"] = json!(id);
            shown["channel_expiry"] = json!(time(channel.expires));
            shown["events"] = json!(channel.events);
            shown["notify_url"] = json!(channel.notify_url.as_str());
            shown["token"] = json!(channel.token);
            shown["notify_on_related_action"] = json!(false);
            shown
        })
        .collect();
    if shown.is_empty() {
        return Ok(Outcome::read(Reply::empty(204)));
    }
    let more = live.len() > offset + shown.len();
    let info =
        json!({"per_page": per_page, "count": shown.len(), "page": page, "more_records": more});
    Ok(Outcome::read(Reply::json(200, &json!({"watch": shown, "info": info}))))
}

/// `DELETE /crm/v8/actions/watch?channel_ids=1,2`.
pub(super) fn end(
    org: &mut Organization,
    url: &str,
    request: &Request,
) -> Result<Outcome, Violation> {
    request.allow_query(&["channel_ids"])?;
    let ids = request.query("channel_ids").filter(|ids| !ids.is_empty());
    let ids = ids.ok_or_else(|| Violation::bad("REQUIRED_PARAM_MISSING", "channel_ids"))?;
    let mut ended = Vec::new();
    let results: Vec<Value> = ids
        .split(',')
        .map(|id| match org.watch.remove(id) {
            Some(_) => {
                ended.push(id);
                json!({
                    "code": "SUCCESS",
                    "details": {"resource_uri": format!("{url}/crm/v8/actions/watch"), "channel_id": id},
                    "message": "Successfully un-subscribed from the given channel",
                    "status": "success",
                })
            }
            None => json!({
                "code": "NOT_SUBSCRIBED",
                "details": {"channel_id": id},
                "message": "there is no such channel",
                "status": "error",
            }),
        })
        .collect();
    let reply = Reply::json(200, &json!({"watch": results}));
    Ok(if ended.is_empty() {
        Outcome::refused(reply, "NOT_SUBSCRIBED")
    } else {
        Outcome::write(reply).detail(ended.join(", "))
    })
}

/// Which channel a call is about, for the journal.
pub(super) fn subject(request: &Request) -> Option<String> {
    if let Some(ids) = request.query("channel_ids") {
        return Some(ids.to_owned());
    }
    let body = request.object()?;
    let item = body.get("watch")?.as_array()?.first()?.as_object()?;
    text(item, "channel_id").map(str::to_owned)
}

/// Something that happened to records of the CRM.
struct Event<'a> {
    module: &'a str,
    ids: &'a [String],
    operation: Operation,
}

/// What the live channels of an organization are told: ids only, and the token's echo.
fn notices(
    org: &Organization,
    url: &str,
    event: &Event<'_>,
    only: Option<&str>,
    now: Timestamp,
) -> Vec<Notice> {
    let Event { module, ids, operation } = *event;
    let hears = |id: &String, channel: &WatchChannel| match only {
        Some(only) => only == id,
        None => channel.hears(module, operation),
    };
    let live = org.watch.iter().filter(|(_, channel)| channel.expires > now);
    live.filter(|(id, channel)| hears(id, channel))
        .map(|(id, channel)| {
            let query: BTreeMap<_, _> = channel.notify_url.query_pairs().into_owned().collect();
            Notice {
                organization: org.entry.id.clone(),
                channel: id.clone(),
                url: channel.notify_url.clone(),
                what: format!("{module}.{} {}", operation.as_str(), ids.join(",")),
                body: json!({
                    "server_time": now.millis(),
                    "query_params": query,
                    "module": module,
                    "resource_uri": format!("{url}/crm/v8/{module}"),
                    "ids": ids,
                    "affected_fields": [],
                    "operation": operation.as_str(),
                    "channel_id": id,
                    "token": channel.token,
                }),
            }
        })
        .collect()
}

impl State {
    /// A CRM user changed: channels that listen to `Users` will be told.
    pub(super) fn crm_user_changed(
        &mut self,
        org: &str,
        id: &str,
        operation: Operation,
        now: Timestamp,
    ) {
        let Some(organization) = self.organizations.get(org) else { return };
        let event = Event { module: "Users", ids: &[id.to_owned()], operation };
        let told = notices(organization, &self.realm.url, &event, None, now);
        self.notices.extend(told);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fire {
    module: String,
    ids: Vec<String>,
    operation: Operation,
    channel_id: Option<String>,
}

/// `POST …/watch/fire`: the live channels that listen are told; with `channel_id` that one alone,
/// whatever it listens to. The answer is put together once the notices are delivered.
pub(super) fn fire(state: &mut State, org: &str, request: &Request, now: Timestamp) -> Done {
    let fire: Fire = body(request)?;
    if fire.ids.is_empty() {
        return Err(Impossible::new(400, "ids must name at least one record."));
    }
    organization(state, org)?;
    let State { organizations, realm, .. } = state;
    let host = organizations.get(org);
    let event = Event { module: &fire.module, ids: &fire.ids, operation: fire.operation };
    let only = fire.channel_id.as_deref();
    let told = host.map(|host| notices(host, &realm.url, &event, only, now)).unwrap_or_default();
    state.notices.extend(told);
    state.journal.record(Entry::new(Kind::Act, "act.watch.fire", now).of(org).about(&fire.module));
    Ok(Reply::empty(204))
}
