//! What happens to a person beyond any one organization: an account, another address, a policy of
//! the home.
//!
//! Deliberately absent: memberships; those are in `acts` and `membership`.

use serde::Deserialize;
use serde_json::json;

use super::acts::{Done, Impossible, body, touch};
use super::build;
use super::entries::Collaboration;
use super::entries::Status;
use super::journal::{Entry, Kind};
use super::state::{Class, Home, State, made_up};
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
    /// An organization of this sandbox, `elsewhere`, or `none`: the account is gone.
    home: Option<String>,
}

/// `PATCH /sandbox/people/{email}`: the home, its policy or its data centre (G6, G11, Z20, G15).
pub(super) fn patch(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let patch: PersonPatch = body(request)?;
    let key = state.realm.find(email);
    if let (Some(home), Some(key)) = (&patch.home, &key) {
        move_home(state, key, home, now)?;
    }
    let person = key.and_then(|key| state.realm.people.get_mut(&key));
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    let person = person.ok_or_else(unknown)?;
    person.collaboration = patch.collaboration.unwrap_or(person.collaboration);
    person.other_data_centre = patch.other_data_centre.unwrap_or(person.other_data_centre);
    state.journal.record(Entry::new(Kind::Act, "act.person.change", now).about(email));
    Ok(Reply::empty(204))
}

/// The person's one account moves, or is gone: the old home loses its internal row, and the new
/// one gets it, in place of an external one (R1, G6, G11).
fn move_home(state: &mut State, key: &str, to: &str, now: Timestamp) -> Result<(), Impossible> {
    let home = match to {
        "elsewhere" => Home::Elsewhere,
        "none" => Home::Nowhere,
        id if state.organizations.contains_key(id) => Home::Organization(id.to_owned()),
        id => return Err(Impossible::new(404, format!("There is no organization {id}."))),
    };
    let State { organizations, realm, .. } = state;
    if home != Home::Nowhere {
        realm.sign_up(key);
    }
    let account = match &home {
        Home::Organization(id) => {
            organizations.get(id).map(|org| (org.entry.zoid.clone(), org.entry.cliq_org.clone()))
        }
        _ => None,
    };
    if let Some(person) = realm.people.get_mut(key) {
        person.home = home.clone();
        (person.zoid, person.organization_id) = account.unwrap_or_else(|| {
            (made_up("8", &format!("zoid {key}")), made_up("9", &format!("organization {key}")))
        });
    }
    for organization in organizations.values_mut() {
        let here = home == Home::Organization(organization.entry.id.clone());
        let was = organization.row(key).map(|row| row.class);
        if here || was == Some(Class::Internal) {
            organization.cliq.retain(|row| row.person != key);
        }
        if here {
            let row = build::cliq_row(organization, realm, key, Status::Active, now);
            organization.cliq.push(row);
        }
    }
    Ok(())
}
