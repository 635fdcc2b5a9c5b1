//! The whole state as JSON, for tests and for the curious.
//!
//! Deliberately absent: credentials.

use serde_json::{Value, json};

use super::state::{CliqRow, CrmRow, Home, Organization, Realm, State};

/// `GET /sandbox/state`.
pub(super) fn state(state: &State) -> Value {
    let organizations: Vec<Value> =
        state.organizations.values().map(|org| organization(org, &state.realm)).collect();
    let people: Vec<Value> = state
        .realm
        .people
        .values()
        .map(|person| {
            let home = match &person.home {
                Home::Organization(id) => Some(id.as_str()),
                Home::Elsewhere => Some("elsewhere"),
                Home::Nowhere => None,
            };
            json!({
                "email": person.email,
                "name": person.name(),
                "zuid": person.zuid,
                "home": home,
            })
        })
        .collect();
    json!({"organizations": organizations, "people": people})
}

fn organization(org: &Organization, realm: &Realm) -> Value {
    let email = |key: &String| realm.people.get(key).map(|person| person.email.clone());
    let emails = |keys: &std::collections::BTreeSet<String>| -> Vec<String> {
        keys.iter().filter_map(email).collect()
    };
    let crm: Vec<Value> = org.crm.values().map(|row| crm_user(row, realm)).collect();
    let cliq: Vec<Value> = org.cliq.iter().map(|row| cliq_user(row, realm)).collect();
    let channels: Vec<Value> = org
        .channels
        .iter()
        .map(|channel| {
            json!({
                "id": channel.id,
                "unique_name": channel.unique_name,
                "level": channel.level.as_str(),
                "members": emails(&channel.members),
                "invited": emails(&channel.invited),
            })
        })
        .collect();
    let bots: serde_json::Map<String, Value> =
        org.bots.iter().map(|(bot, keys)| (bot.clone(), json!(emails(keys)))).collect();
    json!({
        "id": org.entry.id,
        "name": org.entry.name,
        "cliq_plan": org.entry.cliq_plan,
        "paid_type": org.entry.paid_type,
        "crm_users": crm,
        "cliq_users": cliq,
        "channels": channels,
        "bots": bots,
        "declined": emails(&org.declined),
    })
}

fn crm_user(row: &CrmRow, realm: &Realm) -> Value {
    json!({
        "id": row.id,
        "zuid": realm.people.get(&row.person).and_then(|person| person.zuid.as_ref()),
        "email": row.email,
        "status": row.status,
        "confirm": row.confirm,
        "profile": row.profile,
        "role": row.role,
        "deleted": row.deleted,
    })
}

fn cliq_user(row: &CliqRow, realm: &Realm) -> Value {
    let person = realm.people.get(&row.person);
    json!({
        "id": row.id,
        "zuid": person.and_then(|person| person.zuid.as_ref()),
        "email": person.map(|person| &person.email),
        "status": row.status.as_str(),
        "class": row.class,
        "licence": if row.paid_licence { "paid" } else { "free" },
    })
}
