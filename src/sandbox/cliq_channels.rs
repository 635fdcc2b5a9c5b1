//! Cliq's channels and their members (contract section 2.2).
//!
//! Deliberately absent: making and changing channels. An invited person of another organization
//! is not a member until they join (R41, R42), and there is no call that shows invitations.

use serde_json::{Value, json};

use super::membership;
use super::paging::{self, Paging};
use super::router::Outcome;
use super::state::{Channel, Class, Home, Message, Organization, Realm};
use super::wire::{Family, Reply, Request, Violation};
use super::world::{Level, Status};
use super::{cliq_users, state::CliqRow};
use crate::domain::Timestamp;

/// Most rows of a page, and most people of one membership call.
const PAGE_MAX: usize = 100;
/// Documented filters of the channel list that the sandbox does not model.
const UNMODELLED: [&str; 8] = [
    "pinned",
    "modified_before",
    "modified_after",
    "created_before",
    "created_after",
    "team_ids",
    "order_by",
    "sync_token",
];

/// `GET /api/v2/channels`.
pub(super) fn list(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    paging: Paging,
) -> Result<Outcome, Violation> {
    if let Some(key) = UNMODELLED.iter().find(|key| request.query(key).is_some()) {
        let message = format!("{key} is documented, but the sandbox does not model it");
        return Err(Violation::bad("not_modelled", message));
    }
    let keys = ["name", "status", "level", "joined", "channel_ids"];
    let paged: Vec<&str> = keys.iter().copied().chain(["limit", "next_token"]).collect();
    request.allow_query(&paged)?;
    let limit = request.number("limit", PAGE_MAX, PAGE_MAX)?;
    let ids: Option<Vec<&str>> = request.query("channel_ids").map(|ids| ids.split(',').collect());
    let alive = request.query("status").is_none_or(|status| status == "created");
    let rows: Vec<&Channel> = org
        .channels
        .iter()
        .filter(|_| alive)
        .filter(|channel| request.query("name").is_none_or(|name| channel.name.contains(name)))
        .filter(|channel| request.query("level").is_none_or(|at| channel.level.as_str() == at))
        .filter(|channel| request.query("joined").is_none_or(|is| joined(org, channel, is)))
        .filter(|channel| ids.as_ref().is_none_or(|ids| ids.contains(&channel.id.as_str())))
        .collect();
    let filter: Vec<&str> = keys.iter().map(|key| request.query(key).unwrap_or("-")).collect();
    let filter = format!("channels {}", filter.join(" "));
    let offset = paging::read(request.query("next_token"), &filter)?;
    let has_more = rows.len() > offset + limit;
    let next = if has_more { paging::mint(offset + limit, &filter) } else { String::new() };
    let channels: Vec<Value> = paging::cut(&rows, offset, limit, paging)
        .into_iter()
        .map(|channel| shape(org, realm, channel))
        .collect();
    let body =
        json!({"channels": channels, "has_more": has_more, "next_token": next, "sync_token": ""});
    Ok(Outcome::read(Reply::json(200, &body)))
}

fn joined(org: &Organization, channel: &Channel, wanted: &str) -> bool {
    channel.members.contains(&org.admin) == (wanted == "true")
}

/// `GET /api/v2/channels/{id}`.
pub(super) fn get(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    Ok(Outcome::read(match org.channel(id) {
        Some(channel) => Reply::json(200, &shape(org, realm, channel)),
        None => unknown_channel(),
    }))
}

/// The error for a channel that is not there (contract section 2.6: a 400).
pub(super) fn unknown_channel() -> Reply {
    Family::Cliq.error(400, "channel_not_exists", "The channel does not exist.")
}

fn shape(org: &Organization, realm: &Realm, channel: &Channel) -> Value {
    let admin = realm.people.get(&org.admin);
    json!({
        "name": format!("#{}", channel.name),
        "chat_id": format!("CT_{}", channel.id),
        "description": "",
        "image_url": "",
        "level": channel.level.as_str(),
        "invite_only": false,
        "status": "created",
        "channel_id": channel.id,
        "organization_id": org.entry.cliq_org,
        "creator_id": admin.and_then(|admin| admin.zuid.as_ref()),
        "creator_name": admin.map(|admin| &admin.first_name),
        "creation_time": "2026-01-05T09:00:00+00:00",
        "last_modified_time": "2026-01-05T09:00:00+00:00",
        "current_user_role": "super_admin",
        "participant_count": channel.members.len(),
        "admin_permission": {},
        "moderator_permission": {},
        "member_permission": {},
        "unique_name": channel.unique_name,
        "teams": {},
        "joined": channel.members.contains(&org.admin),
        "pinned": false,
        "total_message_count": "0",
        "unread_message_count": 0,
        "unread_time": "",
    })
}

/// `GET /api/v2/channels/{id}/members`: those who joined.
pub(super) fn members(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let Some(channel) = org.channel(id) else { return Ok(Outcome::read(unknown_channel())) };
    let members: Vec<Value> = channel
        .members
        .iter()
        .filter_map(|key| realm.people.get(key).map(|person| (key, person)))
        .map(|(key, person)| {
            json!({
                "user_id": org.row(key).map(|row| &row.id).or(person.zuid.as_ref()),
                "email_id": person.email,
                "name": person.name(),
                "user_role": if *key == org.admin { "super_admin" } else { "member" },
            })
        })
        .collect();
    Ok(Outcome::read(Reply::json(200, &json!({"members": members}))))
}

/// The people that a membership call names; makes acquaintance with unknown addresses.
fn named(
    org: &Organization,
    realm: &mut Realm,
    request: &Request,
    keys: &[&str],
) -> Result<Option<Vec<String>>, Violation> {
    request.allow_query(&[])?;
    let body = request.json(keys)?;
    let texts = |key: &str| -> Result<Vec<String>, Violation> {
        let Some(value) = body.get(key) else { return Ok(Vec::new()) };
        let bad = || Violation::bad("invalid_parameter", format!("{key} must be a list of texts"));
        let list = value.as_array().ok_or_else(bad)?;
        list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(bad)).collect()
    };
    let (ids, emails) = (texts("user_ids")?, texts("email_ids")?);
    if !(1..=PAGE_MAX).contains(&(ids.len() + emails.len())) {
        return Err(Violation::bad("invalid_parameter", "a call names 1 to 100 people"));
    }
    if let Some(email) = emails.iter().find(|email| !email.contains('@')) {
        return Err(Violation::bad("invalid_parameter", format!("{email:?} is no address")));
    }
    let mut people: Vec<String> = emails.iter().map(|email| realm.meet(email)).collect();
    for id in ids {
        let row = cliq_users::find(org, realm, &id).map(|row| row.person.clone());
        let by_zuid = || {
            let mut all = realm.people.iter();
            all.find(|(_, who)| who.zuid.as_ref() == Some(&id)).map(|(key, _)| key.clone())
        };
        match row.or_else(by_zuid) {
            Some(person) => people.push(person),
            None => return Ok(None),
        }
    }
    Ok(Some(people))
}

enum Entrance {
    Direct,
    Invitation,
    /// Refused, with Zoho's code.
    Closed(&'static str),
}

/// How a person gets into a channel (R27, R28, R41, R43, conflict C2).
fn entrance(channel: &Channel, row: Option<&CliqRow>) -> Entrance {
    let active = row.is_some_and(|row| row.status == Status::Active);
    match (channel.level, row.map(|row| row.class)) {
        (_, Some(Class::Internal)) if active => Entrance::Direct,
        (Level::External, _) => Entrance::Invitation,
        (Level::Team, _) => Entrance::Closed("member_add_failed"),
        (_, Some(Class::External)) if active => Entrance::Direct,
        _ => Entrance::Closed("chat_with_other_org_disabled"),
    }
}

/// `POST /api/v2/channels/{id}/members`: all or nobody, and no per-person result.
pub(super) fn add(
    org: &mut Organization,
    realm: &mut Realm,
    request: &Request,
    id: &str,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    let refused = |code: &str| {
        Outcome::refused(Family::Cliq.error(400, code, "The member could not be added."), code)
    };
    let Some(people) = named(org, realm, request, &["user_ids", "email_ids"])? else {
        return Ok(refused("member_add_failed"));
    };
    let Some(channel) = org.channel(id) else {
        return Ok(Outcome::refused(unknown_channel(), "channel_not_exists"));
    };
    for person in &people {
        if let Entrance::Closed(code) = entrance(channel, org.row(person)) {
            return Ok(refused(code));
        }
    }
    let mut detail = Vec::new();
    let Organization { channels, cliq, entry, .. } = org;
    let Some(channel) = channels.iter_mut().find(|channel| channel.id == id) else {
        return Ok(Outcome::refused(unknown_channel(), "channel_not_exists"));
    };
    for person in people {
        if channel.members.contains(&person) {
            detail.push(format!("already {person}"));
            continue;
        }
        let row = cliq.iter().find(|row| row.person == person);
        if let Entrance::Direct = entrance(channel, row) {
            detail.push(format!("added {person}"));
            channel.members.insert(person);
            continue;
        }
        let word = if channel.invited.contains(&person) { "invited again" } else { "invited" };
        detail.push(format!("{word} {person}"));
        membership::mail_channel_invite(realm, &person, &entry.name, &channel.name, now);
        taz(realm, &person, &channel.name, now);
        channel.invited.insert(person);
    }
    let outcome = if detail.iter().all(|line| line.starts_with("already")) {
        Outcome::read(Reply::empty(204))
    } else {
        Outcome::write(Reply::empty(204))
    };
    Ok(outcome.detail(detail.join(", ")))
}

/// Zoho's own notifier tells those who have Cliq (R50); it cannot reach others (R53).
fn taz(realm: &mut Realm, person: &str, channel: &str, now: Timestamp) {
    let Some(who) = realm.people.get(person) else { return };
    let organization = match &who.home {
        Home::Organization(id) => id.clone(),
        Home::Elsewhere => "elsewhere".to_owned(),
        Home::Nowhere => return,
    };
    let message = Message {
        organization,
        bot: Some("taz".to_owned()),
        to: Some(who.email.clone()),
        channel: None,
        text: format!("You are invited to the external channel #{channel}"),
        card: None,
        buttons: None,
        at: now.to_rfc3339(),
    };
    realm.post(message);
}

/// `DELETE /api/v2/channels/{id}/members`: takes members out and cancels invitations.
pub(super) fn remove(
    org: &mut Organization,
    realm: &mut Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    let people = named(org, realm, request, &["user_ids", "email_ids", "silent"])?;
    let channel = org.channels.iter_mut().find(|channel| channel.id == id);
    let (Some(people), Some(channel)) = (people, channel) else {
        return Ok(Outcome::refused(unknown_channel(), "no such channel or person"));
    };
    let mut detail = Vec::new();
    for person in people {
        if channel.members.remove(&person) {
            detail.push(format!("removed {person}"));
        } else if channel.invited.remove(&person) {
            detail.push(format!("cancelled {person}"));
        }
    }
    if detail.is_empty() {
        return Ok(Outcome::read(Reply::empty(204)).detail("nobody was there"));
    }
    Ok(Outcome::write(Reply::empty(204)).detail(detail.join(", ")))
}
