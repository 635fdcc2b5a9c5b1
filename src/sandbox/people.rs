//! What happens to a person beyond any one organization: an account, another address, a move of
//! the home, a policy of the home, a login.
//!
//! Deliberately absent: memberships; those are in `acts` and `membership`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::acts::{Done, Impossible, body, forbid, organization, touch};
use super::capabilities::{self, Standing};
use super::entries::{Collaboration, Status};
use super::journal::{Entry, Kind};
use super::state::{Class, Home, Login, State, made_up};
use super::watch::Operation;
use super::wire::{Reply, Request};
use super::world::{ELSEWHERE, key_of};
use super::{build, membership};
use crate::domain::Timestamp;

fn unknown(email: &str) -> Impossible {
    Impossible::new(404, format!("There is nobody with the address {email}."))
}

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
    /// The id of an organization, `elsewhere`, or `none`: the Cliq account is gone.
    home: Option<String>,
    email: Option<String>,
}

/// `PATCH /sandbox/people/{email}`: the home's policy, its data centre, the home itself (G6, G11),
/// or the account's address (G2).
pub(super) fn patch(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let patch: PersonPatch = body(request)?;
    let key = state.realm.find(email).ok_or_else(|| unknown(email))?;
    let home = match patch.home.as_deref() {
        None => None,
        Some(ELSEWHERE) => Some(Home::Elsewhere),
        Some("none") => Some(Home::Nowhere),
        Some(id) => {
            organization(state, id)?;
            Some(Home::Organization(id.to_owned()))
        }
    };
    if let Some(email) = &patch.email
        && (!email.contains('@') || state.realm.find(email).is_some_and(|other| other != key))
    {
        return Err(Impossible::new(409, format!("{email} is taken, or no address.")));
    }
    if let Some(person) = state.realm.people.get_mut(&key) {
        person.collaboration = patch.collaboration.unwrap_or(person.collaboration);
        person.other_data_centre = patch.other_data_centre.unwrap_or(person.other_data_centre);
    }
    if let Some(home) = home {
        move_home(state, &key, home, now);
    }
    if let Some(email) = patch.email {
        readdress(state, &key, &email, now);
    }
    state.journal.record(Entry::new(Kind::Act, "act.person.change", now).about(email));
    Ok(Reply::empty(204))
}

/// The account's address changes, and with it every CRM row that showed it (G2).
fn readdress(state: &mut State, key: &str, email: &str, now: Timestamp) {
    let Some(before) = state.realm.readdress(key, email) else { return };
    let before = key_of(&before);
    let mut changed = Vec::new();
    for (org, organization) in &mut state.organizations {
        let rows = organization.crm.values_mut().filter(|row| row.person == key && !row.deleted);
        for row in rows.filter(|row| key_of(&row.email) == before) {
            email.trim().clone_into(&mut row.email);
            row.modified_at = now;
            changed.push((org.clone(), row.id.clone()));
        }
    }
    for (org, id) in changed {
        state.crm_user_changed(&org, &id, Operation::Update, now);
    }
}

/// The one Cliq account moves: its old row goes with channels and teams, and where an external row
/// was it becomes internal (R1, G6, G11).
pub(super) fn move_home(state: &mut State, key: &str, home: Home, now: Timestamp) {
    relocate(state, key, home, now);
    // A Zoho account may have come with it.
    touch(state, key, now);
}

fn relocate(state: &mut State, key: &str, home: Home, now: Timestamp) {
    let State { organizations, realm, .. } = state;
    if home != Home::Nowhere {
        realm.sign_up(key);
    }
    let Some(person) = realm.people.get_mut(key) else { return };
    let before = std::mem::replace(&mut person.home, home.clone());
    if before == home {
        return;
    }
    person.zoid = made_up("8", &format!("zoid {key}"));
    person.organization_id = made_up("9", &format!("organization {key}"));
    if let Home::Organization(id) = &before
        && let Some(org) = organizations.get_mut(id)
    {
        membership::take_out(org, key);
    }
    let Home::Organization(id) = home else { return };
    let Some(org) = organizations.get_mut(&id) else { return };
    person.zoid.clone_from(&org.entry.zoid);
    person.organization_id.clone_from(&org.entry.cliq_org);
    let fresh = build::cliq_row(org, realm, key, Status::Active, now);
    match org.row_mut(key) {
        Some(row) => {
            row.class = fresh.class;
            row.status = fresh.status;
            row.joined = true;
            row.role = fresh.role;
        }
        None => org.cliq.push(fresh),
    }
}

/// `GET /sandbox/people/{email}/switcher`: the home, and the hosts that were joined (R39, R40).
pub(super) fn switcher(state: &State, email: &str) -> Done {
    let key = state.realm.find(email).ok_or_else(|| unknown(email))?;
    let who = state.realm.people.get(&key).ok_or_else(|| unknown(email))?;
    let mut listed: Vec<Value> = Vec::new();
    if who.home == Home::Elsewhere {
        listed.push(json!({"organization": ELSEWHERE, "name": null, "relation": "home"}));
    }
    for (id, org) in &state.organizations {
        let relation = match capabilities::standing(org, &key) {
            Standing::Internal => "home",
            Standing::Joined => "external",
            Standing::Outside | Standing::Guest | Standing::Stranger => continue,
        };
        listed.push(json!({"organization": id, "name": org.entry.name, "relation": relation}));
    }
    listed.sort_by_key(|row| row["relation"] != "home");
    Ok(Reply::json(
        200,
        &json!({
            "email": who.email,
            "home": capabilities::home(&who.home),
            "organizations": listed,
        }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginWish {
    organization: String,
    /// As text; compared with the list exactly.
    ip: Option<String>,
    #[serde(default)]
    mfa: bool,
}

/// `POST /sandbox/people/{email}/login`: MFA and allowed IPs bind internal users alone (R21, R23).
/// Always answered with 200; `allowed` says what came of it.
pub(super) fn login(state: &mut State, email: &str, request: &Request, now: Timestamp) -> Done {
    let wish: LoginWish = body(request)?;
    let key = state.realm.find(email).ok_or_else(|| unknown(email))?;
    let host = organization(state, &wish.organization)?;
    let ip = wish.ip.clone().unwrap_or_default();
    let allowed_ips = &host.entry.allowed_ips;
    let internal = host.row(&key).is_some_and(|row| row.class == Class::Internal);
    let refusal = match capabilities::standing(host, &key) {
        Standing::Internal if host.entry.mfa && !wish.mfa => {
            Some(("R21", "The organization demands MFA of its own users."))
        }
        Standing::Internal if !allowed_ips.is_empty() && !allowed_ips.contains(&ip) => {
            Some(("R23", "The organization allows its own users other addresses only."))
        }
        Standing::Internal | Standing::Joined => None,
        Standing::Outside | Standing::Guest | Standing::Stranger => {
            Some(("R5", "The person has not joined that organization."))
        }
    };
    let entry = Entry::new(Kind::Act, "act.person.login", now).of(&wish.organization).about(email);
    if let Some((rule, why)) = refusal {
        // The attempt is answered, and stands in the journal as refused.
        let refused = forbid(&mut state.journal, entry, rule, why);
        let body = json!({"allowed": false, "rule": refused.rule, "why": refused.why});
        return Ok(Reply::json(200, &body));
    }
    if internal && let Some(row) = host.row_mut(&key) {
        row.logins.push(Login { at: now.to_rfc3339(), ip, mfa: wish.mfa });
    }
    state.journal.record(entry);
    Ok(Reply::json(200, &json!({"allowed": true})))
}
