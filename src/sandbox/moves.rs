//! A person's account changes: another home, another address (G2, G6, G11).
//!
//! Deliberately absent: a second account. Wherever a person is at home, the old home's row is gone
//! (R1).

use serde::Deserialize;
use serde_json::json;

use super::acts::{Done, Impossible, body, touch};
use super::build::cliq_row;
use super::entries::Status;
use super::journal::{Entry, Kind};
use super::state::{Class, Home, State, made_up};
use super::wire::{Reply, Request};
use super::world::ELSEWHERE;
use crate::domain::Timestamp;

fn person(state: &State, email: &str) -> Result<String, Impossible> {
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    state.realm.find(email).ok_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    to: String,
}

/// `POST /sandbox/people/{email}/move`: the account goes to another organization, or to one that the
/// sandbox does not model. What the person has joined externally stays.
pub(super) fn relocate(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let Move { to } = body(request)?;
    let key = person(state, email)?;
    let new = state.organizations.get(&to);
    if new.is_none() && to != ELSEWHERE {
        return Err(Impossible::new(404, format!("There is no organization {to}.")));
    }
    let (home, zoid, organization_id) = match new {
        Some(new) => {
            (Home::Organization(to.clone()), new.entry.zoid.clone(), new.entry.cliq_org.clone())
        }
        None => (
            Home::Elsewhere,
            made_up("8", &format!("zoid {key}")),
            made_up("9", &format!("organization {key}")),
        ),
    };
    state.realm.sign_up(&key);
    if let Some(person) = state.realm.people.get_mut(&key) {
        (person.home, person.zoid, person.organization_id) = (home, zoid, organization_id);
    }
    for organization in state.organizations.values_mut() {
        organization.cliq.retain(|row| row.person != key || row.class == Class::External);
    }
    if let Some(organization) = state.organizations.get_mut(&to) {
        if let Some(row) = organization.row_mut(&key) {
            (row.class, row.status, row.joined) = (Class::Internal, Status::Active, true);
        } else {
            let row = cliq_row(organization, &state.realm, &key, Status::Active, now);
            organization.cliq.push(row);
        }
    }
    touch(state, &key, now);
    state.journal.record(Entry::new(Kind::Act, "act.person.move", now).about(email));
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    email: String,
}

/// `POST /sandbox/people/{email}/rename`: the account has another address, in every organization.
pub(super) fn rename(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let Rename { email: new } = body(request)?;
    let key = person(state, email)?;
    if state.realm.find(&new).is_some_and(|other| other != key) {
        return Err(Impossible::new(409, format!("{new} belongs to somebody else.")));
    }
    if let Some(person) = state.realm.people.get_mut(&key) {
        person.email = new.trim().to_owned();
    }
    for row in state.organizations.values_mut().flat_map(|org| org.crm.values_mut()) {
        if row.person == key {
            row.email = new.trim().to_owned();
        }
    }
    touch(state, &key, now);
    state.journal.record(Entry::new(Kind::Act, "act.person.rename", now).about(email));
    Ok(Reply::json(200, &json!({ "email": new })))
}
