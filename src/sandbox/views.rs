//! The whole state as JSON, for tests and for the curious.
//!
//! Deliberately absent: credentials.

use serde_json::{Map, Value, json};

use super::channel::Channel;
use super::state::{Class, CliqRow, CrmRow, Organization, Realm, State};
use super::{capabilities, channel_acts};
use crate::domain::Timestamp;

/// `GET /sandbox/state`.
pub(super) fn state(state: &State) -> Value {
    let organizations: Vec<Value> =
        state.organizations.values().map(|org| organization(org, &state.realm)).collect();
    let people: Vec<Value> = state
        .realm
        .people
        .values()
        .map(|person| {
            json!({
                "email": person.email,
                "name": person.name(),
                "zuid": person.zuid,
                "home": capabilities::home(&person.home),
                "collaboration": person.collaboration,
                "other_data_centre": person.other_data_centre,
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
    let cliq: Vec<Value> = org.cliq.iter().map(|row| cliq_user(org, row, realm)).collect();
    let channels: Vec<Value> =
        org.channels.iter().map(|entry| channel(org, realm, entry)).collect();
    let (external_channels, quota) = org.external_channels();
    let bots: Map<String, Value> =
        org.bots.iter().map(|(bot, keys)| (bot.clone(), json!(emails(keys)))).collect();
    let watch: Vec<Value> = org
        .watch
        .iter()
        .map(|(id, channel)| {
            let mut url = channel.notify_url.clone();
            // Operators put secrets there.
            url.set_query(None);
            json!({
                "channel_id": id,
                "events": channel.events,
                "notify_url": url.as_str(),
                "expires_at": channel.expires.to_rfc3339(),
            })
        })
        .collect();
    let teams: Vec<Value> = org
        .teams
        .iter()
        .map(|team| json!({"id": team.id, "name": team.name, "members": emails(&team.members)}))
        .collect();
    let declines: Map<String, Value> =
        org.declines.iter().filter_map(|(key, times)| Some((email(key)?, json!(times)))).collect();
    let blocked: Vec<String> =
        org.declines.keys().filter(|key| org.is_blocked(key)).filter_map(email).collect();
    json!({
        "id": org.entry.id,
        "name": org.entry.name,
        "cliq_plan": org.entry.cliq_plan,
        "paid_type": org.entry.paid_type,
        "external_collaboration": !realm.keeps_to_itself(&org.entry.id),
        "external_channels": {"count": external_channels, "quota": quota},
        "licences": {"pool": org.entry.paid_licences, "used": org.seats_used()},
        "crm_licences": {"pool": org.entry.crm_licences, "used": org.crm_licences_used()},
        "users_license_purchased": org.entry.users_license_purchased,
        "downgraded": org.is_downgraded(),
        "invitation_days": org.entry.invitation_days,
        "channel_invitation_days": org.entry.channel_invitation_days,
        "crm_users": crm,
        "cliq_users": cliq,
        "channels": channels,
        "teams": teams,
        "integrations": org.entry.integrations,
        "mfa": org.entry.mfa,
        "policies": org.entry.policies,
        "allowed_ips": org.entry.allowed_ips,
        "watch": watch,
        "bots": bots,
        "declined": emails(&org.declined),
        "declines": declines,
        "blocked": blocked,
    })
}

fn channel(org: &Organization, realm: &Realm, channel: &Channel) -> Value {
    let email = |key: &String| realm.people.get(key).map(|person| person.email.clone());
    let participants: Vec<Value> = channel
        .members
        .iter()
        .map(|(key, member)| {
            json!({
                "email": email(key),
                "role": member.role,
                "class": org.row(key).map(|row| row.class),
                "added_by": email(&member.by),
            })
        })
        .collect();
    let invitations: Vec<Value> = channel
        .invited
        .keys()
        .map(|key| channel_acts::open_invitation(org, realm, channel, key))
        .collect();
    json!({
        "id": channel.id,
        "unique_name": channel.unique_name,
        "name": channel.name,
        "level": channel.level.as_str(),
        "status": channel.status,
        "admin_role": channel.role(&org.admin),
        "add_participant": channel.add_participant,
        "members": channel.members.keys().filter_map(email).collect::<Vec<String>>(),
        "participants": participants,
        "invited": channel.invited.keys().filter_map(email).collect::<Vec<String>>(),
        "invitations": invitations,
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

fn cliq_user(org: &Organization, row: &CliqRow, realm: &Realm) -> Value {
    let person = realm.people.get(&row.person);
    json!({
        "id": row.id,
        "zuid": person.and_then(|person| person.zuid.as_ref()),
        "email": person.map(|person| &person.email),
        "status": row.status.as_str(),
        "class": row.class,
        "licence": if row.paid_licence { "paid" } else { "free" },
        "tag": (row.class == Class::External).then_some(capabilities::TAG),
        "role": row.role,
        "marker": row.marker,
        "profile": row.profile,
        "joined": row.joined,
        "invited_at": row.invited_at.to_rfc3339(),
        "expires_at": org.lapses(row).map(Timestamp::to_rfc3339),
    })
}
