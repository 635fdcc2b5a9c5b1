//! What people do in channels by hand: join, decline, leave, bring in others; and what an
//! administrator changes about a channel.
//!
//! Deliberately absent: the rules; `channel` and `guests` hold them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::acts::{Done, Impossible, body, forbid, organization};
use super::channel::{Channel, Participant};
use super::entries::{AddParticipant, AdminRole, ChannelStatus, Level};
use super::guests::{self, Added, Context, Hindrance};
use super::journal::{Entry, Kind};
use super::state::{Organization, Realm, State};
use super::wire::{Reply, Request};
use crate::domain::Timestamp;

fn no_channel(name: &str) -> Impossible {
    Impossible::new(404, format!("There is no channel {name}."))
}

/// Says in HTTP what hinders; what the product forbids goes to the journal as refused.
pub(super) fn hindered(state: &mut State, entry: Entry, hindrance: Hindrance) -> Impossible {
    match hindrance {
        Hindrance::Forbidden(rule, why) => forbid(&mut state.journal, entry, rule, why),
        Hindrance::Senseless(why) => Impossible::new(409, why),
    }
}

/// By which way the invited person joined; both end the same (R51, R52).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Path {
    Dialog,
    Menu,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    path: Option<Path>,
}

/// `POST …/channels/{name}/{accept|decline|leave}/{email}`.
pub(super) fn person(
    state: &mut State,
    org: &str,
    (name, act, email): (&str, &str, &str),
    request: &Request,
    now: Timestamp,
) -> Done {
    let path = if request.body.is_empty() { None } else { body::<Answer>(request)?.path };
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    let key = state.realm.find(email).ok_or_else(unknown)?;
    organization(state, org)?;
    let State { organizations, realm, .. } = state;
    let channel = organizations.get_mut(org).and_then(|org| guests::by_name(org, name));
    let channel = channel.ok_or_else(|| no_channel(name))?;
    let (call, done) = match act {
        "accept" => ("act.channel.accept", guests::accept(channel, realm, &key)),
        "decline" => ("act.channel.decline", guests::decline(channel, &key)),
        "leave" => ("act.channel.leave", guests::leave(channel, &key)),
        other => return Err(Impossible::new(404, format!("There is no act {other:?}."))),
    };
    let way = match path {
        None => "",
        Some(Path::Dialog) => " by the dialog",
        Some(Path::Menu) => " by the menu",
    };
    let entry = Entry::new(Kind::Act, call, now).of(org).about(email);
    let entry = entry.saying(format!("#{name}{way}"));
    match done {
        Ok(()) => state.journal.record(entry),
        Err(hindrance) => return Err(hindered(state, entry, hindrance)),
    }
    Ok(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestAdd {
    by: String,
    email: String,
    context: Option<ContextWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ContextWord {
    Host,
    Home,
}

impl From<ContextWord> for Context {
    fn from(word: ContextWord) -> Self {
        match word {
            ContextWord::Host => Self::Host,
            ContextWord::Home => Self::Home,
        }
    }
}

/// `POST …/channels/{name}/guest-add` (R57–R59, conflict C1).
pub(super) fn guest_add(
    state: &mut State,
    org: &str,
    name: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let wish: GuestAdd = body(request)?;
    if !wish.email.contains('@') {
        return Err(Impossible::new(400, "email must be an address."));
    }
    organization(state, org)?;
    let unknown = || Impossible::new(404, format!("There is nobody with the address {}.", wish.by));
    let by = state.realm.find(&wish.by).ok_or_else(unknown)?;
    let State { organizations, realm, .. } = state;
    let named = |host: &&mut Organization| host.channels.iter().any(|at| at.unique_name == name);
    let host = organizations.get_mut(org).filter(named).ok_or_else(|| no_channel(name))?;
    let person = realm.meet(&wish.email);
    let context = wish.context.map_or(Context::Home, Context::from);
    let done = guests::guest_add(host, realm, name, (&by, context), &person, now);
    let entry = Entry::new(Kind::Act, "act.channel.guest_add", now).of(org).about(&wish.email);
    let (word, happened) = match done {
        Ok(Added::Member) => ("member", "added"),
        Ok(Added::Invited) => ("invited", "invited"),
        Err(hindrance) => {
            let entry = entry.saying(format!("#{name} by {}", wish.by));
            return Err(hindered(state, entry, hindrance));
        }
    };
    state.journal.record(entry.saying(format!("{happened} to #{name} by {}", wish.by)));
    Ok(Reply::json(200, &json!({"result": word})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelPatch {
    level: Option<Level>,
    add_participant: Option<AddParticipant>,
    status: Option<ChannelStatus>,
    admin_role: Option<AdminRole>,
}

/// `PATCH …/channels/{name}`: a new level puts out whom it does not hold (R28).
pub(super) fn patch(
    state: &mut State,
    org: &str,
    name: &str,
    request: &Request,
    now: Timestamp,
) -> Done {
    let patch: ChannelPatch = body(request)?;
    let host = organization(state, org)?;
    let quota_reached = has_no_room(host);
    let admin = host.admin.clone();
    let channel = guests::by_name(host, name).ok_or_else(|| no_channel(name))?;
    if patch.level == Some(Level::External) && channel.level != Level::External && quota_reached {
        let entry = Entry::new(Kind::Act, "act.channel.change", now).of(org).about(name);
        return Err(forbid(&mut state.journal, entry, "Z19", NO_ROOM));
    }
    channel.level = patch.level.unwrap_or(channel.level);
    channel.add_participant = patch.add_participant.unwrap_or(channel.add_participant);
    channel.status = patch.status.unwrap_or(channel.status);
    if let Some(seat) = patch.admin_role {
        channel.members.remove(&admin);
        if let Some(role) = seat.role() {
            channel.members.insert(admin.clone(), Participant { role, by: admin });
        }
    }
    let dropped = guests::drop_unfit(host, name);
    let entry = Entry::new(Kind::Act, "act.channel.change", now).of(org).about(name);
    state.journal.record(entry);
    for person in dropped {
        let email = state.realm.people.get(&person).map_or(person.as_str(), |who| &who.email);
        let entry = Entry::new(Kind::Act, "cliq.channel.dropped", now).of(org).about(email);
        state.journal.record(entry.saying(format!("#{name}")));
    }
    Ok(Reply::empty(204))
}

/// What the refusal of one more external channel says.
pub(super) const NO_ROOM: &str = "The Cliq plan allows no further external channel.";

/// Whether the plan allows no further external channel (Z19).
pub(super) fn has_no_room(org: &Organization) -> bool {
    let (channels, quota) = org.external_channels();
    quota.is_some_and(|quota| channels >= quota)
}

/// `GET /sandbox/channel-invitations?email=`: what stands under "Channels you can join" (R55).
pub(super) fn open_invitations(state: &State, email: Option<&str>) -> Value {
    let wanted = email.map(|email| state.realm.find(email));
    let mut listed = Vec::new();
    for org in state.organizations.values() {
        for channel in &org.channels {
            let invited = channel.invited.keys();
            for person in
                invited.filter(|key| wanted.as_ref().is_none_or(|w| w.as_ref() == Some(*key)))
            {
                listed.push(open_invitation(org, &state.realm, channel, person));
            }
        }
    }
    json!({ "invitations": listed })
}

/// One invitation, and whether it can be accepted now (Z20).
pub(super) fn open_invitation(
    org: &Organization,
    realm: &Realm,
    channel: &Channel,
    person: &str,
) -> Value {
    let invitation = channel.invited.get(person);
    let expires = invitation.and_then(|open| open.expires(org.entry.channel_invitation_days));
    let who = realm.people.get(person);
    let by = invitation.and_then(|open| realm.people.get(&open.by));
    let why = guests::obstacle(channel, realm, person).map(|hindrance| match hindrance {
        Hindrance::Forbidden(_, why) | Hindrance::Senseless(why) => why,
    });
    json!({
        "email": who.map(|who| &who.email),
        "organization": org.entry.id,
        "organization_name": org.entry.name,
        "channel": channel.unique_name,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "invited_by": by.map(|by| &by.email),
        "invited_at": invitation.map(|open| open.at.to_rfc3339()),
        "expires_at": expires.map(Timestamp::to_rfc3339),
        "mails": invitation.map(|open| open.mails),
        "case": who.map(|who| realm.case(who).as_str()),
        "can_accept": why.is_none(),
        "why_not": why,
    })
}
