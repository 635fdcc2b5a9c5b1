//! What can happen to an external member: invited, joined, declined, restricted, removed.
//!
//! Shared by the portal, by people's acts and by CRM Plus itself. Deliberately absent: who may
//! ask for it; every caller checks that.

use super::build::cliq_row;
use super::entries::Status;
use super::mailbox::Mail;
use super::state::{Class, Organization, Realm};
use super::wire::encoded;
use crate::domain::Timestamp;

/// The address that Zoho's own mails come from.
const ZOHO_FROM: &str = "noreply@zoho.sandbox.example";

/// Where the person accepts the invitation (R10).
pub(super) fn join_url(organization: &Organization, realm: &Realm, person: &str) -> String {
    let email = realm.people.get(person).map_or(person, |person| person.email.as_str());
    format!("{}/sandbox/join/{}/{}", realm.url, encoded(&organization.entry.id), encoded(email))
}

/// Makes the person a pending external user; Zoho mails an invitation (R8, R9). Without an account,
/// the address that CRM shows is all there is of a person: that one is invited.
pub(super) fn invite(
    organization: &mut Organization,
    realm: &mut Realm,
    (person, email): (&str, &str),
    now: Timestamp,
) {
    if let Some(who) = realm.people.get_mut(person).filter(|who| who.zuid.is_none()) {
        email.trim().clone_into(&mut who.email);
    }
    let row = cliq_row(organization, realm, person, Status::Pending, now);
    organization.cliq.push(row);
    let url = join_url(organization, realm, person);
    let name = &organization.entry.name;
    let subject = format!("{name} invites you to Zoho Cliq");
    let text = format!(
        "You were added to {name}. You can join the organization as an external user with \
         limited access:\n\n{url}\n"
    );
    mail(realm, person, subject, text, now);
}

/// Zoho's own invitation to an external channel (R48, R53).
pub(super) fn mail_channel_invite(
    realm: &mut Realm,
    person: &str,
    organization: &str,
    channel: &str,
    now: Timestamp,
) {
    let has_account = realm.people.get(person).is_some_and(|person| person.zuid.is_some());
    let act = if has_account { "Join" } else { "Sign up for Cliq" };
    let subject = format!("Invitation to the channel #{channel}");
    let text = format!("{organization} invites you to the external channel #{channel}.\n\n{act}\n");
    mail(realm, person, subject, text, now);
}

fn mail(realm: &mut Realm, person: &str, subject: String, text: String, now: Timestamp) {
    let number = realm.next();
    let to = realm.people.get(person).map_or(person, |person| person.email.as_str()).to_owned();
    realm.receive(Mail::from_zoho(ZOHO_FROM, &to, subject, text, number, now));
}

/// Why an act is not possible, in a sentence.
pub(super) type Refusal = String;

/// The person joins; somebody without a Zoho account signs up on the way (R11, R42).
pub(super) fn accept(
    organization: &mut Organization,
    realm: &mut Realm,
    person: &str,
) -> Result<(), Refusal> {
    let row = organization.row_mut(person).filter(|row| row.status == Status::Pending);
    let row = row.ok_or("There is no pending invitation.")?;
    row.status = Status::Active;
    row.joined = true;
    realm.sign_up(person);
    Ok(())
}

/// The person says no: the pending row vanishes, and the portal remembers (G3, Z5).
pub(super) fn decline(organization: &mut Organization, person: &str) -> Result<(), Refusal> {
    let pending = |row: &&super::state::CliqRow| row.status == Status::Pending;
    organization.row(person).filter(pending).ok_or("There is no pending invitation.")?;
    organization.cliq.retain(|row| row.person != person);
    organization.declined.insert(person.to_owned());
    *organization.declines.entry(person.to_owned()).or_default() += 1;
    Ok(())
}

/// Blocks access, reversibly (R15); `false` when it was blocked already. An open invitation has no
/// access that could be blocked: it stays open, and no page of Zoho's says that it does not.
pub(super) fn restrict(organization: &mut Organization, person: &str) -> Option<bool> {
    let row = organization.row_mut(person)?;
    let changed = row.status != Status::Inactive;
    if row.status == Status::Active {
        row.status = Status::Inactive;
    }
    Some(changed)
}

/// Undoes a restriction; `false` when there was none.
pub(super) fn activate(organization: &mut Organization, person: &str) -> Option<bool> {
    let row = organization.row_mut(person)?;
    if row.status != Status::Inactive {
        return Some(false);
    }
    row.status = if row.joined { Status::Active } else { Status::Pending };
    Some(true)
}

/// Takes an external row out, with its channels and subscriptions; `false` when there is none.
pub(super) fn remove(organization: &mut Organization, person: &str) -> bool {
    let external = organization.row(person).is_some_and(|row| row.class == Class::External);
    if external {
        take_out(organization, person);
    }
    external
}

/// Takes out whatever row there is, with channels, teams and subscriptions.
pub(super) fn take_out(organization: &mut Organization, person: &str) {
    organization.cliq.retain(|row| row.person != person);
    for subscribers in organization.bots.values_mut() {
        subscribers.remove(person);
    }
    for channel in &mut organization.channels {
        channel.members.remove(person);
    }
    for team in &mut organization.teams {
        team.members.remove(person);
    }
}

/// A paid organization was downgraded: its external users become free users (R16, R17).
pub(super) fn downgrade(organization: &mut Organization) {
    for row in organization.cliq.iter_mut().filter(|row| row.class == Class::External) {
        row.paid_licence = false;
    }
}
