//! What happens to people in a channel: invited, joined, declined, gone, dropped, added by a guest.
//!
//! Shared by Cliq's member calls and by people's acts. Deliberately absent: HTTP and the journal.

use super::channel::{Case, Channel, Entrance, Invitation, Participant, code};
use super::entries::{ChannelStatus, Level, Role, Status};
use super::membership;
use super::state::{Class, Home, Message, Organization, Realm};
use crate::domain::Timestamp;

/// Why something is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// The product forbids it: the rule, and a sentence.
    Forbidden(&'static str, &'static str),
    /// It makes no sense as things are.
    Senseless(&'static str),
}

use Hindrance::{Forbidden, Senseless};

/// Where a guest acts from (conflict C1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Host,
    Home,
}

/// The channel of a name, and the rest of its organization beside it.
pub(super) fn by_name<'a>(org: &'a mut Organization, name: &str) -> Option<&'a mut Channel> {
    org.channels.iter_mut().find(|channel| channel.unique_name == name)
}

/// Sends an invitation, or sends it again: a mail always, a word of Taz where there is a Cliq and
/// it allows (R41, R48, R50, R53, Z20). Answers whether it is the first.
pub(super) fn invite(
    channel: &mut Channel,
    realm: &mut Realm,
    organization: &str,
    by: &str,
    person: &str,
    now: Timestamp,
) -> bool {
    membership::mail_channel_invite(realm, person, organization, &channel.name, now);
    taz(realm, person, &channel.name, now);
    let mails = channel.invited.get(person).map_or(0, |invitation| invitation.mails);
    let invitation = Invitation { by: by.to_owned(), at: now, mails: mails + 1 };
    channel.invited.insert(person.to_owned(), invitation);
    mails == 0
}

/// Zoho's own notifier tells those who have Cliq (R50); it cannot reach others (R53).
fn taz(realm: &mut Realm, person: &str, channel: &str, now: Timestamp) {
    let Some(who) = realm.people.get(person) else { return };
    if realm.case(who) != Case::CliqUser {
        return;
    }
    let organization = match &who.home {
        Home::Organization(id) => id.clone(),
        Home::Elsewhere | Home::Nowhere => "elsewhere".to_owned(),
    };
    let message = Message {
        organization,
        bot: Some("taz".to_owned()),
        to: Some(who.email.clone()),
        channel: None,
        text: format!("You are invited to the external channel #{channel}"),
        card: None,
        buttons: None,
        at: now.to_rfc3339(),
    };
    realm.post(message);
}

/// Why the person cannot accept, if so (R53–R56, Z20).
pub(super) fn obstacle(channel: &Channel, realm: &Realm, person: &str) -> Option<Hindrance> {
    let case = realm.people.get(person).map(|who| realm.case(who));
    match case {
        None | Some(Case::NoAccount) => {
            return Some(Forbidden("R53", "Somebody without a Zoho account signs up first."));
        }
        Some(Case::PolicyOff) => {
            let why = "The person's own organization does not allow external collaboration.";
            return Some(Forbidden("Z20", why));
        }
        Some(Case::CliqUser | Case::NoCliq) => {}
    }
    if channel.status == ChannelStatus::Archived {
        return Some(Senseless("The channel is archived."));
    }
    channel.overflows(1).then_some(Forbidden("Z19", "The channel is full."))
}

/// The invited person joins (R42, R49, R51, R52, R56).
pub(super) fn accept(
    channel: &mut Channel,
    realm: &mut Realm,
    person: &str,
) -> Result<(), Hindrance> {
    let by = channel.invited.get(person).map(|invitation| invitation.by.clone());
    let by = by.ok_or(Senseless("There is no open invitation to that channel."))?;
    if let Some(hindrance) = obstacle(channel, realm, person) {
        return Err(hindrance);
    }
    channel.invited.remove(person);
    channel.members.insert(person.to_owned(), Participant { role: Role::Member, by });
    // A Zoho user without Cliq gets an organization on the way (Z20).
    realm.sign_up(person);
    Ok(())
}

/// The invited person says no.
pub(super) fn decline(channel: &mut Channel, person: &str) -> Result<(), Hindrance> {
    let invitation = channel.invited.remove(person);
    invitation.map(|_| ()).ok_or(Senseless("There is no open invitation to that channel."))
}

/// A member goes.
pub(super) fn leave(channel: &mut Channel, person: &str) -> Result<(), Hindrance> {
    let member = channel.members.remove(person);
    member.map(|_| ()).ok_or(Senseless("That person is not in the channel."))
}

/// What came of a guest's addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Member,
    Invited,
}

/// A channel guest brings in a colleague at once, or invites somebody of a third organization
/// (R57–R59), unless they act inside the host (R35–R37, conflict C1).
pub(super) fn guest_add(
    org: &mut Organization,
    realm: &mut Realm,
    name: &str,
    (by, context): (&str, Context),
    person: &str,
    now: Timestamp,
) -> Result<Added, Hindrance> {
    let inside = org.row(by).is_some_and(|row| row.class == Class::Internal);
    let channel = org.channels.iter().find(|channel| channel.unique_name == name);
    let channel = channel.ok_or(Senseless("There is no such channel."))?;
    if inside || channel.level != Level::External {
        return Err(Senseless("Only a guest of an external channel adds as a guest."));
    }
    if context == Context::Host {
        let why = "External users cannot add people to external channels.";
        return Err(Forbidden("R36", why));
    }
    let role = channel.role(by).ok_or(Senseless("The guest is not in the channel."))?;
    if channel.members.contains_key(person) {
        return Err(Senseless("The person is in the channel already."));
    }
    if channel.status == ChannelStatus::Archived {
        return Err(Senseless("The channel is archived."));
    }
    if !channel.add_participant.is_on(role) {
        return Err(Forbidden("R59", "'Add participants' is off for the guest's role."));
    }
    if let Entrance::Closed(code) = org.entrance(realm, channel, person)
        && code != code::NOT_ADDED
    {
        return Err(Forbidden("C4", "The host does not allow external collaboration."));
    }
    if channel.overflows(1) {
        return Err(Forbidden("Z19", "The channel is full."));
    }
    let colleague = realm.are_colleagues(by, person);
    let Organization { channels, entry, .. } = org;
    let channel = channels.iter_mut().find(|channel| channel.unique_name == name);
    let channel = channel.ok_or(Senseless("There is no such channel."))?;
    if colleague {
        channel.invited.remove(person);
        let member = Participant { role: Role::Member, by: by.to_owned() };
        channel.members.insert(person.to_owned(), member);
        return Ok(Added::Member);
    }
    invite(channel, realm, &entry.name, by, person, now);
    Ok(Added::Invited)
}

/// Puts out everybody that the channel's level does not hold (R28); answers their keys.
pub(super) fn drop_unfit(org: &mut Organization, name: &str) -> Vec<String> {
    let Organization { channels, cliq, .. } = org;
    let Some(channel) = channels.iter_mut().find(|channel| channel.unique_name == name) else {
        return Vec::new();
    };
    let level = channel.level;
    let fits = |person: &String| {
        let row = cliq.iter().find(|row| row.person == *person);
        match (level, row.map(|row| row.class)) {
            (Level::External, _) | (_, Some(Class::Internal)) => true,
            (Level::Team, _) | (_, None) => false,
            (_, Some(Class::External)) => row.is_some_and(|row| row.status == Status::Active),
        }
    };
    let dropped: Vec<String> =
        channel.members.keys().filter(|person| !fits(person)).cloned().collect();
    channel.members.retain(|person, _| fits(person));
    if level != Level::External {
        channel.invited.clear();
    }
    dropped
}

impl Realm {
    /// Whether two people have one home. Elsewhere, that is told by the domain of their addresses.
    fn are_colleagues(&self, left: &str, right: &str) -> bool {
        let (Some(left), Some(right)) = (self.people.get(left), self.people.get(right)) else {
            return false;
        };
        let domain = |email: &str| email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        match (&left.home, &right.home) {
            (Home::Organization(left), Home::Organization(right)) => left == right,
            (Home::Elsewhere, Home::Elsewhere) => domain(&left.email) == domain(&right.email),
            _ => false,
        }
    }
}
