//! What happens to a person beyond any one organization: an account, another address, a policy of
//! the home.
//!
//! Deliberately absent: memberships; those are in `acts` and `membership`.

use serde::Deserialize;
use serde_json::json;

use super::acts::{Done, Impossible, body, touch};
use super::entries::Collaboration;
use super::journal::{Entry, Kind};
use super::state::State;
use super::wire::{Reply, Request};
use crate::domain::Timestamp;

/// A person makes a Zoho account.
pub(super) fn sign_up(state: &mut State, email: &str, now: Timestamp) -> Reply {
    let person = state.realm.meet(email);
    state.realm.sign_up(&person);
    touch(state, &person, now);
    state.journal.record(Entry::new(Kind::Act, "act.person.sign_up", now).about(email));
    let zuid = state.realm.people.get(&person).and_then(|who| who.zuid.clone());
    Reply::json(200, &json!({"zuid": zuid}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonPatch {
    collaboration: Option<Collaboration>,
    other_data_centre: Option<bool>,
}

/// `PATCH /sandbox/people/{email}`: the home's policy or its data centre (Z20, G15).
pub(super) fn patch(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let patch: PersonPatch = body(request)?;
    let key = state.realm.find(email);
    let person = key.and_then(|key| state.realm.people.get_mut(&key));
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    let person = person.ok_or_else(unknown)?;
    person.collaboration = patch.collaboration.unwrap_or(person.collaboration);
    person.other_data_centre = patch.other_data_centre.unwrap_or(person.other_data_centre);
    state.journal.record(Entry::new(Kind::Act, "act.person.change", now).about(email));
    Ok(Reply::empty(204))
}
