//! Cliq's channels: the listing and the single read (contract section 2.2).
//!
//! Deliberately absent: making and changing channels, and any call that shows invitations.

use serde_json::{Value, json};

use super::channel::Channel;
use super::entries::Role;
use super::paging::{self, Paging};
use super::router::Outcome;
use super::state::{Organization, Realm};
use super::wire::{Family, Reply, Request, Violation};

/// Most rows of a page.
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
    let rows: Vec<&Channel> = org
        .channels
        .iter()
        .filter(|channel| request.query("status").is_none_or(|at| channel.status.as_str() == at))
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
    channel.members.contains_key(&org.admin) == (wanted == "true")
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

/// What a role may do in the channel (R59, contract section 2.2).
fn permission(channel: &Channel, role: Role) -> Value {
    json!({"add_participant": channel.add_participant.is_on(role), "send_message": true})
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
        "status": channel.status.as_str(),
        "channel_id": channel.id,
        "organization_id": org.entry.cliq_org,
        "creator_id": admin.and_then(|admin| admin.zuid.as_ref()),
        "creator_name": admin.map(|admin| &admin.first_name),
        "creation_time": "2026-01-05T09:00:00+00:00",
        "last_modified_time": "2026-01-05T09:00:00+00:00",
        "current_user_role": channel.role(&org.admin).map_or("", Role::as_str),
        "participant_count": channel.members.len(),
        "admin_permission": permission(channel, Role::Admin),
        "moderator_permission": permission(channel, Role::Moderator),
        "member_permission": permission(channel, Role::Member),
        "unique_name": channel.unique_name,
        "teams": {},
        "joined": channel.members.contains_key(&org.admin),
        "pinned": false,
        "total_message_count": "0",
        "unread_message_count": 0,
        "unread_time": "",
    })
}
