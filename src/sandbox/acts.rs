//! What people and administrators do by hand, and what no call of the bridge can: join, decline,
//! add somebody in CRM Plus, subscribe to a bot.
//!
//! Deliberately absent: limits and faults; these acts always work, or say why not.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::entries::{CrmUserEntry, Status};
use super::journal::{Entry, Journal, Kind};
use super::state::{Class, Organization, State};
use super::watch::Operation;
use super::wire::{Reply, Request};
use super::{build, membership};
use crate::domain::Timestamp;

/// An act that is not possible: an HTTP status, a sentence, and the rule that forbids it.
pub(super) struct Impossible {
    pub(super) status: u16,
    pub(super) why: String,
    pub(super) rule: Option<&'static str>,
}

impl Impossible {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), rule: None }
    }
}

/// What the product forbids: HTTP 403 with the rule, and a refusal in the journal.
pub(super) fn forbid(
    journal: &mut Journal,
    mut entry: Entry,
    rule: &'static str,
    why: &str,
) -> Impossible {
    entry.kind = Kind::Refused;
    entry.status = 403;
    let what = entry.detail.take().map(|detail| format!(" ({detail})")).unwrap_or_default();
    entry.detail = Some(format!("{rule}: {why}{what}"));
    journal.record(entry);
    Impossible { status: 403, why: why.to_owned(), rule: Some(rule) }
}

pub(super) type Done = Result<Reply, Impossible>;

/// The request's JSON body; unknown keys are refused.
pub(super) fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Impossible> {
    serde_json::from_slice(&request.body)
        .map_err(|error| Impossible::new(400, format!("The body cannot be read: {error}.")))
}

pub(super) fn organization<'a>(
    state: &'a mut State,
    id: &str,
) -> Result<&'a mut Organization, Impossible> {
    let missing = || Impossible::new(404, format!("There is no organization {id}."));
    state.organizations.get_mut(id).ok_or_else(missing)
}

fn record(state: &mut State, call: &'static str, org: &str, subject: &str, now: Timestamp) {
    state.journal.record(Entry::new(Kind::Act, call, now).of(org).about(subject));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCrmUser {
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    profile: Option<String>,
    role: Option<String>,
    id: Option<String>,
    status: Option<String>,
    confirm: Option<bool>,
}

/// The CRM Plus administrator adds a user.
pub(super) fn add_crm_user(
    state: &mut State,
    org: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let new: NewCrmUser = body(request)?;
    if !new.email.contains('@') {
        return Err(Impossible::new(400, "email must be an address."));
    }
    let person = state.realm.meet(&new.email);
    let organization = organization(state, org)?;
    if organization.crm.values().any(|row| row.person == person && !row.deleted) {
        return Err(Impossible::new(409, format!("{} is a CRM user there already.", new.email)));
    }
    if new.id.as_ref().is_some_and(|id| organization.crm.contains_key(id)) {
        return Err(Impossible::new(409, "The id is taken; ids are never used twice."));
    }
    let entry = CrmUserEntry {
        organization: org.to_owned(),
        id: new.id,
        email: new.email.clone(),
        status: new.status.unwrap_or_else(|| "active".to_owned()),
        confirm: new.confirm.unwrap_or(true),
        profile: new.profile,
        role: new.role,
        person: None,
        created_by: None,
        category: "regular_user".to_owned(),
    };
    // A new addition is a new invitation: an earlier "no" was to the earlier one.
    organization.declined.remove(&person);
    let State { organizations, realm, .. } = state;
    let Some(organization) = organizations.get_mut(org) else {
        return Err(Impossible::new(404, format!("There is no organization {org}.")));
    };
    let id = build::crm_row(organization, realm, &entry, now);
    if let Some(row) = organization.crm.get_mut(&id) {
        row.first_name = new.first_name.unwrap_or_else(|| row.first_name.clone());
        row.last_name = new.last_name.unwrap_or_else(|| row.last_name.clone());
        if let Some(who) = realm.people.get_mut(&person).filter(|who| who.last_name.is_empty()) {
            who.first_name.clone_from(&row.first_name);
            who.last_name.clone_from(&row.last_name);
        }
    }
    let zuid = realm.people.get(&person).and_then(|who| who.zuid.clone());
    state.crm_user_changed(org, &id, Operation::Insert, now);
    record(state, "act.crm_user.add", org, &new.email, now);
    Ok(Reply::json(201, &json!({"id": id, "zuid": zuid})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CrmUserPatch {
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    profile: Option<String>,
    role: Option<String>,
    status: Option<String>,
    confirm: Option<bool>,
    category: Option<String>,
}

/// The CRM Plus administrator changes a user; the person behind stays the same.
pub(super) fn patch_crm_user(
    state: &mut State,
    org: &str,
    id: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let patch: CrmUserPatch = body(request)?;
    let organization = organization(state, org)?;
    let row = organization.crm.get_mut(id).filter(|row| !row.deleted);
    let row = row.ok_or_else(|| Impossible::new(404, format!("There is no CRM user {id}.")))?;
    let set = |slot: &mut String, value: Option<String>| {
        if let Some(value) = value {
            *slot = value;
        }
    };
    set(&mut row.email, patch.email);
    set(&mut row.first_name, patch.first_name);
    set(&mut row.last_name, patch.last_name);
    set(&mut row.profile, patch.profile);
    set(&mut row.role, patch.role);
    set(&mut row.status, patch.status);
    set(&mut row.category, patch.category);
    row.confirm = patch.confirm.unwrap_or(row.confirm);
    row.modified_at = now;
    let email = row.email.clone();
    state.crm_user_changed(org, id, Operation::Update, now);
    record(state, "act.crm_user.change", org, &email, now);
    Ok(Reply::empty(204))
}

/// The CRM Plus administrator deletes a user for good (Z14).
pub(super) fn delete_crm_user(state: &mut State, org: &str, id: &str, now: Timestamp) -> Done {
    let organization = organization(state, org)?;
    let row = organization.crm.get_mut(id).filter(|row| !row.deleted);
    let row = row.ok_or_else(|| Impossible::new(404, format!("There is no CRM user {id}.")))?;
    row.deleted = true;
    "deleted".clone_into(&mut row.status);
    row.modified_at = now;
    let email = row.email.clone();
    state.crm_user_changed(org, id, Operation::Delete, now);
    record(state, "act.crm_user.delete", org, &email, now);
    Ok(Reply::empty(204))
}

/// A person accepts or declines; an administrator restricts, activates or removes.
pub(super) fn member(state: &mut State, org: &str, email: &str, act: &str, now: Timestamp) -> Done {
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    let person = state.realm.find(email).ok_or_else(unknown)?;
    organization(state, org)?;
    let State { organizations, realm, .. } = state;
    let Some(organization) = organizations.get_mut(org) else { return Err(unknown()) };
    let internal = organization.row(&person).is_some_and(|row| row.class == Class::Internal);
    let absent = || Impossible::new(409, format!("{email} has no external row there."));
    if internal {
        return Err(absent());
    }
    let call = match act {
        "accept" => {
            membership::accept(organization, realm, &person)
                .map_err(|why| Impossible::new(409, why))?;
            "act.member.accept"
        }
        "decline" => {
            membership::decline(organization, &person).map_err(|why| Impossible::new(409, why))?;
            "act.member.decline"
        }
        "restrict" => {
            membership::restrict(organization, &person).ok_or_else(absent)?;
            "act.member.restrict"
        }
        "activate" => {
            membership::activate(organization, &person).ok_or_else(absent)?;
            "act.member.activate"
        }
        "remove" if membership::remove(organization, &person) => "act.member.remove",
        "remove" => return Err(absent()),
        other => return Err(Impossible::new(404, format!("There is no act {other:?}."))),
    };
    touch(state, &person, now);
    record(state, call, org, email, now);
    Ok(Reply::empty(204))
}

/// A Zoho account may have appeared: CRM rows of the person show it, so they changed.
pub(super) fn touch(state: &mut State, person: &str, now: Timestamp) {
    let rows = state.organizations.values_mut().flat_map(|org| org.crm.values_mut());
    for row in rows.filter(|row| row.person == person) {
        row.modified_at = now;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubscriber {
    email: String,
}

/// A person subscribes to a bot.
pub(super) fn subscribe(
    state: &mut State,
    org: &str,
    bot: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let NewSubscriber { email } = body(request)?;
    let person = state.realm.find(&email);
    let organization = organization(state, org)?;
    let active =
        |person: &String| organization.row(person).is_some_and(|row| row.status == Status::Active);
    let Some(person) = person.filter(active) else {
        return Err(Impossible::new(409, format!("{email} is not active in that Cliq.")));
    };
    let missing = || Impossible::new(404, format!("There is no bot {bot}."));
    organization.bots.get_mut(bot).ok_or_else(missing)?.insert(person);
    record(state, "act.bot.subscribe", org, &email, now);
    Ok(Reply::empty(204))
}
