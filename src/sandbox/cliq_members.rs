//! Who is in a channel: reading, adding and removing (contract section 2.2).
//!
//! Deliberately absent: a result for each person of a call, since Cliq gives none; and any answer
//! that tells an invited person from one who joined, beyond the members' list (R41, R42).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::channel::{Entrance, Participant, code};
use super::cliq_channels::unknown_channel;
use super::entries::Role;
use super::router::Outcome;
use super::state::{Organization, Realm};
use super::wire::{Family, Reply, Request, Violation};
use super::{cliq_users, guests};
use crate::domain::Timestamp;

/// Most people of one call.
const PEOPLE_MAX: usize = 100;

/// `GET /api/v2/channels/{id}/members`: those who joined.
pub(super) fn members(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let Some(channel) = org.channel(id) else { return Ok(Outcome::read(unknown_channel())) };
    if channel.role(&org.admin).is_none() {
        return Ok(refused(code::NOT_A_MEMBER));
    }
    let members: Vec<Value> = channel
        .members
        .iter()
        .filter_map(|(key, member)| Some((key, member, realm.people.get(key)?)))
        .map(|(key, member, person)| {
            json!({
                "user_id": org.row(key).map(|row| &row.id).or(person.zuid.as_ref()),
                "email_id": person.email,
                "name": person.name(),
                "user_role": member.role.as_str(),
            })
        })
        .collect();
    Ok(Outcome::read(Reply::json(200, &json!({"members": members}))))
}

/// Whether a text is one address, as far as Cliq looks: several in one are none (R44).
fn is_one_address(text: &str) -> bool {
    let apart = |char: char| char.is_whitespace() || matches!(char, ',' | ';');
    text.matches('@').count() == 1 && !text.trim().contains(apart)
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
    if !(1..=PEOPLE_MAX).contains(&(ids.len() + emails.len())) {
        return Err(Violation::bad("invalid_parameter", "a call names 1 to 100 people"));
    }
    if let Some(email) = emails.iter().find(|email| !is_one_address(email)) {
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

/// Why a call about the channel is refused, with Zoho's code.
fn refused(code: &str) -> Outcome {
    let message = "The members of the channel could not be changed.";
    Outcome::refused(Family::Cliq.error(400, code, message), code)
}

/// `POST /api/v2/channels/{id}/members`: all or nobody, and no per-person result.
pub(super) fn add(
    org: &mut Organization,
    realm: &mut Realm,
    request: &Request,
    id: &str,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    let people = named(org, realm, request, &["user_ids", "email_ids"])?;
    let Some(channel) = org.channel(id) else {
        return Ok(Outcome::refused(unknown_channel(), "channel_not_exists"));
    };
    if let Err(code) = channel.may_add(&org.admin, org.row(&org.admin)) {
        return Ok(refused(code));
    }
    let Some(people) = people else { return Ok(refused(code::NOT_ADDED)) };
    let mut newcomers = BTreeMap::new();
    for person in &people {
        match org.entrance(realm, channel, person) {
            Entrance::Closed(code) => return Ok(refused(code)),
            entrance if !channel.members.contains_key(person) => {
                newcomers.insert(person.clone(), entrance);
            }
            _ => {}
        }
    }
    if channel.overflows(newcomers.len()) {
        return Ok(refused(code::FULL));
    }
    Ok(let_in(org, realm, id, &people, newcomers, now))
}

/// Adds or invites each of them once; nobody is refused any more.
fn let_in(
    org: &mut Organization,
    realm: &mut Realm,
    id: &str,
    people: &[String],
    mut newcomers: BTreeMap<String, Entrance>,
    now: Timestamp,
) -> Outcome {
    let Organization { channels, entry, admin, .. } = org;
    let Some(channel) = channels.iter_mut().find(|channel| channel.id == id) else {
        return Outcome::refused(unknown_channel(), "channel_not_exists");
    };
    let mut detail = Vec::new();
    for person in people {
        detail.push(match newcomers.remove(person) {
            None => format!("already {person}"),
            Some(Entrance::Direct) => {
                let member = Participant { role: Role::Member, by: admin.clone() };
                channel.members.insert(person.clone(), member);
                format!("added {person}")
            }
            Some(_) if guests::invite(channel, realm, &entry.name, admin, person, now) => {
                format!("invited {person}")
            }
            Some(_) => format!("invited again {person}"),
        });
    }
    let outcome = if detail.iter().all(|line| line.starts_with("already")) {
        Outcome::read(Reply::empty(204))
    } else {
        Outcome::write(Reply::empty(204))
    };
    outcome.detail(detail.join(", "))
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
    match channel.role(&org.admin) {
        None => return Ok(refused(code::NOT_A_MEMBER)),
        Some(Role::Member) => return Ok(refused(code::NO_PERMISSION)),
        Some(Role::SuperAdmin | Role::Admin | Role::Moderator) => {}
    }
    let mut detail = Vec::new();
    for person in people {
        if channel.members.remove(&person).is_some() {
            detail.push(format!("removed {person}"));
        } else if channel.invited.remove(&person).is_some() {
            detail.push(format!("cancelled {person}"));
        }
    }
    if detail.is_empty() {
        return Ok(Outcome::read(Reply::empty(204)).detail("nobody was there"));
    }
    Ok(Outcome::write(Reply::empty(204)).detail(detail.join(", ")))
}
