//! What people and administrators try by hand, and what the product refuses them: a person in the
//! wrong panel, a role, a team, a field, a contact, a chat, a channel.
//!
//! Deliberately absent: the table of what is refused to whom; `capabilities` holds it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::acts::{Done, Impossible, body, forbid, organization};
use super::capabilities::{self as can, Standing, Verb};
use super::channel::{Case, Channel, Participant};
use super::channel_acts::{ContextWord, NO_ROOM, has_no_room, hindered};
use super::entries::{AddParticipant, ChannelStatus, Level, Marker, Role};
use super::guests;
use super::journal::{Entry, Kind};
use super::people;
use super::state::{Class, Home, Message, State, made_up};
use super::wire::{Reply, Request};
use crate::domain::Timestamp;

fn unknown(email: &str) -> Impossible {
    Impossible::new(404, format!("There is nobody with the address {email}."))
}

/// The person's key and standing.
fn who(state: &mut State, org: &str, email: &str) -> Result<(String, Standing), Impossible> {
    let person = state.realm.find(email).ok_or_else(|| unknown(email))?;
    let host = organization(state, org)?;
    Ok((person.clone(), can::standing(host, &person)))
}

/// The key and class of somebody who has a row.
fn row_of(state: &mut State, org: &str, email: &str) -> Result<(String, Class), Impossible> {
    let (person, _) = who(state, org, email)?;
    let row = organization(state, org)?.row(&person).map(|row| row.class);
    let class = row.ok_or_else(|| Impossible::new(409, format!("{email} is not in that Cliq.")))?;
    Ok((person, class))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PanelUser {
    email: String,
    /// Internal users are added here; external ones cannot be.
    #[serde(default)]
    internal: bool,
}

/// `POST …/admin-panel/users` and `POST …/users-and-profiles`: internal users only (R7, R31), and
/// nobody who has a home (R1).
pub(super) fn add_in_panel(
    state: &mut State,
    org: &str,
    (call, verb): (&'static str, &Verb),
    request: &Request,
    now: Timestamp,
) -> Done {
    let wish: PanelUser = body(request)?;
    organization(state, org)?;
    let entry = Entry::new(Kind::Act, call, now).of(org).about(&wish.email);
    if let Err(hindrance) = verb.check_on(wish.internal) {
        return Err(hindered(state, entry, hindrance));
    }
    let person = state.realm.meet(&wish.email);
    if state.realm.people.get(&person).is_some_and(|who| who.home != Home::Nowhere) {
        let why = "That person has a Cliq account already, and nobody can have two.";
        return Err(forbid(&mut state.journal, entry, "R1", why));
    }
    people::move_home(state, &person, Home::Organization(org.to_owned()), now);
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: String,
}

/// `POST …/members/{email}/role` (R24, R25).
pub(super) fn set_role(
    state: &mut State,
    org: &str,
    email: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let NewRole { role } = body(request)?;
    let (person, class) = row_of(state, org, email)?;
    let entry = Entry::new(Kind::Act, "act.member.role", now).of(org).about(email);
    if let Err(hindrance) = can::CHANGE_ROLE.check_on(class == Class::Internal) {
        return Err(hindered(state, entry, hindrance));
    }
    if let Some(row) = organization(state, org)?.row_mut(&person) {
        row.role = role;
    }
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTeam {
    team: String,
}

/// `POST …/members/{email}/team` (R27).
pub(super) fn add_to_team(
    state: &mut State,
    org: &str,
    email: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let NewTeam { team } = body(request)?;
    let (person, class) = row_of(state, org, email)?;
    let entry = Entry::new(Kind::Act, "act.team.add", now).of(org).about(email);
    let entry = entry.saying(&team);
    if let Err(hindrance) = can::ADD_TO_TEAM.check_on(class == Class::Internal) {
        return Err(hindered(state, entry, hindrance));
    }
    let mut teams = organization(state, org)?.teams.iter_mut();
    let found = teams.find(|known| known.id == team || known.name == team);
    let missing = || Impossible::new(404, format!("There is no team {team}."));
    found.ok_or_else(missing)?.members.insert(person);
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

/// `PATCH …/members/{email}`: profile fields, each taken or refused by itself (R32).
pub(super) fn edit_fields(
    state: &mut State,
    org: &str,
    email: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let fields: Map<String, Value> = body(request)?;
    let (person, class) = row_of(state, org, email)?;
    let (mut updated, mut refused) = (Vec::new(), Vec::new());
    for (field, value) in fields {
        let known = can::FIELDS.iter().find(|(name, _)| *name == field);
        let missing = || Impossible::new(400, format!("There is no field {field}."));
        let (_, open) = known.ok_or_else(missing)?;
        let text = value.as_str().map(str::to_owned);
        let text = text.ok_or_else(|| Impossible::new(400, format!("{field} must be a text.")))?;
        if class == Class::External && !open {
            refused.push(field);
        } else {
            updated.push((field, text));
        }
    }
    let entry = |what: &str| {
        Entry::new(Kind::Act, "act.member.fields", now).of(org).about(email).saying(what)
    };
    let names: Vec<String> = updated.iter().map(|(field, _)| field.clone()).collect();
    if let Some(row) = organization(state, org)?.row_mut(&person) {
        row.profile.extend(updated);
    }
    if !names.is_empty() {
        state.journal.record(entry(&names.join(", ")));
    }
    if !refused.is_empty() {
        let why = "These fields of an external user cannot be changed.";
        // Told to the journal; the answer says it field by field.
        let _ = forbid(&mut state.journal, entry(&refused.join(", ")), "R32", why);
    }
    Ok(Reply::json(200, &json!({"updated": names, "refused": refused})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMarker {
    marker: Marker,
}

/// `POST …/members/{email}/marker`: what the API shows of the row's class (R6, R29).
pub(super) fn set_marker(
    state: &mut State,
    org: &str,
    email: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let NewMarker { marker } = body(request)?;
    let (person, _) = row_of(state, org, email)?;
    if let Some(row) = organization(state, org)?.row_mut(&person) {
        row.marker = marker;
    }
    let entry = Entry::new(Kind::Act, "cliq.row.marker", now).of(org).about(email);
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

/// `GET …/members/{email}/login-activity`: of internal users only (R34).
pub(super) fn login_activity(state: &mut State, org: &str, email: &str, now: Timestamp) -> Done {
    let (person, class) = row_of(state, org, email)?;
    if let Err(hindrance) = can::VIEW_LOGINS.check_on(class == Class::Internal) {
        let entry = Entry::new(Kind::Act, "act.member.login_activity", now).of(org).about(email);
        return Err(hindered(state, entry, hindrance));
    }
    let row = organization(state, org)?.row(&person);
    Ok(Reply::json(200, &json!({"logins": row.map(|row| &row.logins)})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reach {
    /// The other person.
    email: String,
    context: Option<ContextWord>,
}

/// `POST …/members/{email}/{external-contacts|chats}`: in the host within its walls (R5, R35, R37),
/// at home as the home allows (conflict C1, Z20).
pub(super) fn reach(
    state: &mut State,
    org: &str,
    (email, is_chat): (&str, bool),
    request: &Request,
    now: Timestamp,
) -> Done {
    let wish: Reach = body(request)?;
    let (person, standing) = who(state, org, email)?;
    let other = state.realm.meet(&wish.email);
    let call = if is_chat { "act.member.chat" } else { "act.member.external_contact" };
    let entry = Entry::new(Kind::Act, call, now).of(org).about(email);
    let entry = entry.saying(format!("with {}", wish.email));
    if matches!(wish.context, Some(ContextWord::Home)) {
        let case = state.realm.people.get(&person).map(|who| state.realm.case(who));
        if case != Some(Case::CliqUser) {
            let why = "The person has no home that allows external collaboration.";
            return Err(forbid(&mut state.journal, entry, "Z20", why));
        }
    } else {
        let host = organization(state, org)?;
        let inside = matches!(can::standing(host, &other), Standing::Internal | Standing::Joined);
        let verb = match (is_chat, inside) {
            (true, true) => can::CHAT,
            (true, false) => can::REACH_OUT,
            (false, _) => can::ADD_CONTACT,
        };
        if let Err(hindrance) = verb.check(standing) {
            return Err(hindered(state, entry, hindrance));
        }
    }
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    by: String,
    text: String,
}

/// `POST …/channels/{name}/posts`: by those who are in the channel (R5).
pub(super) fn post(
    state: &mut State,
    org: &str,
    name: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let wish: Post = body(request)?;
    let (person, standing) = who(state, org, &wish.by)?;
    let host = organization(state, org)?;
    let missing = || Impossible::new(404, format!("There is no channel {name}."));
    let channel = guests::by_name(host, name).ok_or_else(missing)?;
    let inside = channel.members.contains_key(&person);
    let barred = standing == Standing::Outside && channel.level != Level::External;
    let entry = Entry::new(Kind::Act, "act.channel.post", now).of(org).about(&wish.by);
    let entry = entry.saying(format!("#{name}"));
    if !inside || barred {
        let why = "Only people who have joined can post there.";
        return Err(forbid(&mut state.journal, entry, "R5", why));
    }
    state.realm.post(Message {
        organization: org.to_owned(),
        bot: None,
        to: None,
        channel: Some(name.to_owned()),
        text: wish.text,
        card: None,
        buttons: None,
        at: now.to_rfc3339(),
    });
    state.journal.record(entry);
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewChannel {
    by: String,
    unique_name: String,
    name: Option<String>,
    level: Level,
}

/// `POST …/channels`: a person makes a channel (R28, R33, R37, Z19).
pub(super) fn create_channel(
    state: &mut State,
    org: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let wish: NewChannel = body(request)?;
    let (person, standing) = who(state, org, &wish.by)?;
    let entry = Entry::new(Kind::Act, "act.channel.create", now).of(org).about(&wish.by);
    let entry = entry.saying(format!("#{}", wish.unique_name));
    let verb = match wish.level {
        Level::Team => can::CREATE_TEAM_CHANNEL,
        Level::External => can::CREATE_EXTERNAL_CHANNEL,
        Level::Organization | Level::Private => can::CREATE_CHANNEL,
    };
    if let Err(hindrance) = verb.check(standing) {
        return Err(hindered(state, entry, hindrance));
    }
    let host = organization(state, org)?;
    if guests::by_name(host, &wish.unique_name).is_some() {
        return Err(Impossible::new(409, "There is such a channel already."));
    }
    if wish.level == Level::External && has_no_room(host) {
        return Err(forbid(&mut state.journal, entry, "Z19", NO_ROOM));
    }
    let id = made_up("T", &format!("{org} {}", wish.unique_name));
    let creator = Participant { role: Role::SuperAdmin, by: person.clone() };
    host.channels.push(Channel {
        id: id.clone(),
        name: wish.name.unwrap_or_else(|| wish.unique_name.clone()),
        unique_name: wish.unique_name,
        level: wish.level,
        status: ChannelStatus::Created,
        add_participant: AddParticipant::default(),
        members: [(person, creator)].into(),
        invited: [].into(),
    });
    state.journal.record(entry);
    Ok(Reply::json(201, &json!({"channel_id": id})))
}
