//! What time brings: CRM Plus carrying additions over to Cliq, and invitations that lapse.
//!
//! Runs before every request is answered. Deliberately absent: what anybody does on purpose.

use std::time::Duration;

use super::journal::{Entry, Kind};
use super::membership;
use super::state::{CliqRow, Organization, Realm, State};
use crate::domain::Timestamp;

impl State {
    /// Lets happen what is due by now.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let State { organizations, realm, journal, .. } = self;
        for (id, org) in organizations {
            let mut happened = lapse(org, now);
            happened.extend(propagate(org, realm, now));
            happened.extend(lapse_in_channels(org, now));
            for (call, person, detail) in happened {
                let email = realm.people.get(&person).map_or(person.as_str(), |who| &who.email);
                let entry = Entry::new(Kind::Act, call, now).of(id).about(email);
                journal.record(Entry { detail, ..entry });
            }
        }
    }
}

/// The word in the journal, the person's key, a detail.
type Happened = (&'static str, String, Option<String>);

/// CRM Plus makes external users of those added, after its delay (conflict C6).
fn propagate(org: &mut Organization, realm: &mut Realm, now: Timestamp) -> Vec<Happened> {
    if !org.entry.propagate {
        return Vec::new();
    }
    let delay = Duration::from_secs(org.entry.propagate_after_s);
    let elsewhere =
        |person: &String| realm.people.get(person).is_some_and(|person| person.other_data_centre);
    let due: Vec<(String, String, String)> = org
        .crm
        .values()
        .filter(|row| row.status == "active" && row.confirm && !row.deleted && !row.propagated)
        .filter(|row| row.created_at + delay <= now && !elsewhere(&row.person))
        .map(|row| (row.id.clone(), row.person.clone(), row.email.clone()))
        .collect();
    let mut happened = Vec::new();
    for (id, person, email) in due {
        let absent = org.row(&person).is_none();
        // Without a licence the person waits for one (G13).
        if absent && !org.has_crm_licence() {
            continue;
        }
        if let Some(row) = org.crm.get_mut(&id) {
            row.propagated = true;
        }
        if absent && !org.is_blocked(&person) {
            membership::invite(org, realm, (&person, &email), now);
            happened.push(("crmplus.propagated", person, None));
        }
    }
    happened
}

/// Invitations to the organization lapse: the pending row vanishes (Z1, G4).
fn lapse(org: &mut Organization, now: Timestamp) -> Vec<Happened> {
    let over = |row: &&CliqRow| org.lapses(row).is_some_and(|at| at <= now);
    let lapsed: Vec<String> = org.cliq.iter().filter(over).map(|row| row.person.clone()).collect();
    if !lapsed.is_empty() {
        org.cliq.retain(|row| !lapsed.contains(&row.person));
    }
    lapsed.into_iter().map(|person| ("crmplus.invitation.lapsed", person, None)).collect()
}

/// Invitations to channels lapse (R55).
fn lapse_in_channels(org: &mut Organization, now: Timestamp) -> Vec<Happened> {
    let days = org.entry.channel_invitation_days;
    let mut lapsed = Vec::new();
    for channel in &mut org.channels {
        let name = &channel.unique_name;
        channel.invited.retain(|person, invitation| {
            let live = invitation.expires(days).is_none_or(|at| at > now);
            if !live {
                let detail = Some(format!("#{name}"));
                lapsed.push(("cliq.channel_invitation.lapsed", person.clone(), detail));
            }
            live
        });
    }
    lapsed
}
