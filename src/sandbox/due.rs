//! What time brings: CRM Plus carrying additions over to Cliq, and invitations that lapse.
//!
//! Runs before every request is answered. Deliberately absent: what anybody does on purpose.

use std::time::Duration;

use super::journal::{Entry, Kind};
use super::membership;
use super::state::{Organization, Realm, State};
use crate::domain::Timestamp;

impl State {
    /// Lets happen what is due by now.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let State { organizations, realm, journal, .. } = self;
        for (id, org) in organizations {
            let mut happened = propagate(org, realm, now);
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
    let mut due = Vec::new();
    for row in org.crm.values_mut() {
        let ready = row.status == "active" && row.confirm && !row.deleted;
        if ready && !row.propagated && row.created_at + delay <= now {
            row.propagated = true;
            due.push(row.person.clone());
        }
    }
    due.retain(|person| org.row(person).is_none());
    for person in &due {
        membership::invite(org, realm, person, now);
    }
    due.into_iter().map(|person| ("crmplus.propagated", person, None)).collect()
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
