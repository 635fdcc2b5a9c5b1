//! From a world file to the live model.
//!
//! Deliberately absent: checks; `World::parse` has made them.

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::Tokens;
use super::capabilities::TAG;
use super::channel::{Channel, Participant};
use super::entries::{
    CliqUserEntry, Collaboration, CrmUserEntry, Licence, Marker, OrganizationEntry, PersonEntry,
    Status, TeamEntry,
};
use super::faults::Faults;
use super::journal::Journal;
use super::licences;
use super::limits::Limits;
use super::portal::Answers;
use super::state::{
    Class, CliqRow, CrmRow, Home, Organization, Person, Realm, State, Team, made_up,
};
use super::world::{ELSEWHERE, World, admin_of, key_of};
use crate::domain::Timestamp;

/// The model at the start.
pub(super) fn state(world: World, url: &str, now: Timestamp) -> State {
    let World { organizations, people, crm_users, cliq_users, subscribers, declines, .. } = world;
    let mut realm = Realm::new(url.to_owned());
    let mut built = BTreeMap::new();
    for entry in &organizations {
        settle_person(&mut realm, &admin_person(entry), &organizations);
    }
    for entry in &people {
        settle_person(&mut realm, entry, &organizations);
    }
    let closed = organizations.iter().filter(|entry| !entry.external_collaboration);
    realm.closed = closed.map(|entry| entry.id.clone()).collect();
    for entry in organizations {
        let organization = organization(entry, &realm, now);
        built.insert(organization.entry.id.clone(), organization);
    }
    for organization in built.values_mut() {
        crm_row(organization, &mut realm, &crm_admin(organization), now);
    }
    for entry in &crm_users {
        if let Some(organization) = built.get_mut(&entry.organization) {
            let id = crm_row(organization, &mut realm, entry, now);
            // People who are there from the start are not "added".
            if let Some(row) = organization.crm.get_mut(&id) {
                row.propagated = true;
            }
        }
    }
    let mut seated = seated(&built);
    for entry in cliq_users {
        let Some(organization) = built.get_mut(&entry.organization) else { continue };
        let fresh = seated.insert((entry.organization.clone(), realm.meet(&entry.email)));
        cliq_user(organization, &mut realm, &entry, fresh, now);
    }
    for organization in built.values_mut() {
        seat(organization, &realm);
        licences::fit(organization, true);
    }
    for entry in declines {
        if let Some(organization) = built.get_mut(&entry.organization) {
            let person = realm.meet(&entry.email);
            organization.declined.insert(person.clone());
            organization.declines.insert(person, entry.times);
        }
    }
    for entry in subscribers {
        let organization = built.get_mut(&entry.organization);
        if let Some(bot) = organization.and_then(|org| org.bots.get_mut(&entry.bot)) {
            bot.insert(realm.meet(&entry.email));
        }
    }
    State {
        organizations: built,
        realm,
        journal: Journal::default(),
        faults: Faults::default(),
        notices: Vec::new(),
    }
}

/// The CRM row of the OAuth user, the only one that the world file does not name.
fn crm_admin(organization: &Organization) -> CrmUserEntry {
    CrmUserEntry {
        organization: organization.entry.id.clone(),
        id: None,
        email: organization.admin.clone(),
        status: "active".to_owned(),
        confirm: true,
        profile: Some("Administrator".to_owned()),
        role: Some("CEO".to_owned()),
        person: None,
        created_by: None,
        category: "regular_user".to_owned(),
    }
}

/// Who has a Cliq row where: a search of all rows for each would take long for thousands.
fn seated(built: &BTreeMap<String, Organization>) -> BTreeSet<(String, String)> {
    let rows = built.iter().flat_map(|(id, organization)| {
        organization.cliq.iter().map(|row| (id.clone(), row.person.clone()))
    });
    rows.collect()
}

/// A Cliq row that the world names: an external one that is `fresh`, or more about an internal one.
fn cliq_user(
    organization: &mut Organization,
    realm: &mut Realm,
    entry: &CliqUserEntry,
    fresh: bool,
    now: Timestamp,
) {
    let person = realm.meet(&entry.email);
    if fresh {
        let row = cliq_row(organization, realm, &person, entry.status, now);
        organization.cliq.push(row);
    }
    let row = if fresh { organization.cliq.last_mut() } else { organization.row_mut(&person) };
    if let Some(row) = row {
        let licence = entry.licence.map(|licence| licence == Licence::Paid);
        row.paid_licence = licence.unwrap_or(row.paid_licence);
        row.marker = entry.marker;
    }
}

/// Puts the people that the world names into the channels.
fn seat(organization: &mut Organization, realm: &Realm) {
    let Organization { channels, entry, admin, .. } = organization;
    for channel in channels {
        let named = entry.channels.iter().find(|named| named.id == channel.id);
        for member in named.map(|named| named.members.as_slice()).unwrap_or_default() {
            let (email, role) = member.parts();
            if let Some(person) = realm.find(email) {
                channel.members.insert(person, Participant { role, by: admin.clone() });
            }
        }
    }
}

fn admin_person(entry: &OrganizationEntry) -> PersonEntry {
    PersonEntry {
        email: admin_of(&entry.id),
        first_name: "Admin".to_owned(),
        last_name: entry.name.clone(),
        zuid: Some(made_up("6", &format!("admin {}", entry.id))),
        home: Some(if entry.admin_external { ELSEWHERE } else { &entry.id }.to_owned()),
        language: None,
        time_zone: None,
        other_data_centre: false,
        collaboration: Collaboration::On,
    }
}

fn settle_person(realm: &mut Realm, entry: &PersonEntry, organizations: &[OrganizationEntry]) {
    let key = realm.meet(&entry.email);
    let home = organizations.iter().find(|org| Some(&org.id) == entry.home.as_ref());
    let Some(person) = realm.people.get_mut(&key) else { return };
    if let Some(home) = home {
        person.zoid.clone_from(&home.zoid);
        person.organization_id.clone_from(&home.cliq_org);
    }
    let home = match (home, entry.home.as_deref()) {
        (Some(home), _) => Home::Organization(home.id.clone()),
        (None, Some(ELSEWHERE)) => Home::Elsewhere,
        (None, _) => Home::Nowhere,
    };
    *person = Person {
        first_name: entry.first_name.clone(),
        last_name: entry.last_name.clone(),
        zuid: entry.zuid.clone(),
        home,
        language: entry.language.clone().unwrap_or_else(|| person.language.clone()),
        time_zone: entry.time_zone.clone().unwrap_or_else(|| person.time_zone.clone()),
        other_data_centre: entry.other_data_centre,
        collaboration: entry.collaboration,
        ..person.clone()
    };
}

fn organization(entry: OrganizationEntry, realm: &Realm, now: Timestamp) -> Organization {
    let admin = key_of(&admin_of(&entry.id));
    let mut channels: Vec<Channel> =
        entry.channels.iter().map(|channel| Channel::new(channel, &admin)).collect();
    if let Some(unique_name) = &entry.admin_channel
        && !channels.iter().any(|channel| channel.unique_name == *unique_name)
    {
        channels.push(Channel::of_administrators(&entry.id, unique_name, &admin));
    }
    let team = |team: &TeamEntry| Team {
        id: team.id.clone(),
        name: team.name.clone(),
        members: team.members.iter().filter_map(|email| realm.find(email)).collect(),
    };
    let teams = entry.teams.iter().map(team).collect();
    let mut organization = Organization {
        first_paid_type: entry.paid_type.clone(),
        admin,
        tokens: Tokens::default(),
        limits: Limits::default(),
        answers: Answers::default(),
        crm: BTreeMap::new(),
        cliq: Vec::new(),
        bots: entry.bots.iter().map(|bot| (bot.clone(), BTreeSet::new())).collect(),
        channels,
        teams,
        watch: BTreeMap::new(),
        declined: BTreeSet::new(),
        declines: BTreeMap::new(),
        entry,
    };
    let home = Home::Organization(organization.entry.id.clone());
    for (key, person) in &realm.people {
        if person.home == home || *key == organization.admin {
            let row = cliq_row(&organization, realm, key, Status::Active, now);
            organization.cliq.push(row);
        }
    }
    organization
}

/// A Cliq row of a person: internal at home, external elsewhere. Its id is the zuid when there is
/// one, else an id of its own, and it stays.
pub(super) fn cliq_row(
    organization: &Organization,
    realm: &Realm,
    person: &str,
    status: Status,
    now: Timestamp,
) -> CliqRow {
    let who = realm.people.get(person);
    let home = Home::Organization(organization.entry.id.clone());
    let class = match who {
        Some(who) if who.home == home => Class::Internal,
        _ => Class::External,
    };
    let own_id = || made_up("5", &format!("{} {person}", organization.entry.id));
    CliqRow {
        id: who.and_then(|who| who.zuid.clone()).unwrap_or_else(own_id),
        person: person.to_owned(),
        class,
        status,
        joined: status != Status::Pending,
        paid_licence: organization.first_licence(class),
        invited_at: now,
        marker: Marker::Shown,
        role: match class {
            Class::External => TAG,
            Class::Internal if person == organization.admin => "Admin",
            Class::Internal => "Member",
        }
        .to_owned(),
        profile: BTreeMap::new(),
        logins: Vec::new(),
    }
}

/// Adds a CRM row and returns its id.
pub(super) fn crm_row(
    organization: &mut Organization,
    realm: &mut Realm,
    entry: &CrmUserEntry,
    now: Timestamp,
) -> String {
    let person = realm.meet(entry.person.as_ref().unwrap_or(&entry.email));
    let number = realm.next();
    let id =
        entry.id.clone().unwrap_or_else(|| format!("{}{number:09}", organization.entry.crm_org));
    let (first_name, last_name) = realm
        .people
        .get(&person)
        .map(|who| (who.first_name.clone(), who.last_name.clone()))
        .unwrap_or_default();
    let creator = || format!("Admin {}", organization.entry.name);
    let row = CrmRow {
        id: id.clone(),
        person,
        email: entry.email.trim().to_owned(),
        first_name,
        last_name,
        status: entry.status.clone(),
        confirm: entry.confirm,
        category: entry.category.clone(),
        profile: entry.profile.clone().unwrap_or_else(|| "Standard".to_owned()),
        role: entry.role.clone().unwrap_or_else(|| "Member".to_owned()),
        created_by: entry.created_by.clone().unwrap_or_else(creator),
        created_at: now,
        modified_at: now,
        deleted: false,
        propagated: false,
    };
    organization.crm.insert(id.clone(), row);
    id
}
