//! What an administrator sees of channels and of one person's place in them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::places::mapped;
use crate::domain::channel::{ChannelFacts, Guest};
use crate::domain::{MembershipId, Timestamp};
use crate::engine::{Engine, Host};
use crate::logic::channels::remedy;
use crate::store::{StoreError, Tx, channels, guests, ledger};

/// One mapped channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    /// The organization's configured id.
    pub organization: String,
    /// The channel's unique name.
    pub channel: String,
    /// Whether the configuration maps it; one that it maps no more is shown while people are in it.
    pub mapped: bool,
    /// The level that Cliq shows; absent before the first look.
    pub level: Option<&'static str>,
    /// The display name.
    pub name: Option<String>,
    /// What stands in the way of everybody, with its remedy.
    pub problem: Option<String>,
    /// Roles for which 'Add participants' is on: whoever has one of them may bring in others (R57 to
    /// R59).
    pub add_participants: Vec<String>,
    /// Whether the OAuth user may bring people in; absent when Cliq does not say.
    pub may_add: Option<bool>,
    /// How many people are in it.
    pub participants: Option<u32>,
    /// When Cliq was last asked, RFC 3339.
    pub read_at: Option<String>,
    /// Guests by state.
    pub guests: BTreeMap<String, i64>,
    /// Members whom others added (R57, R58): reported, never touched.
    pub added_by_others: Vec<StrangerView>,
}

/// Somebody in a channel by others' hand.
#[derive(Clone, Debug, Serialize)]
pub struct StrangerView {
    /// The id that the channel shows.
    pub cliq_id: String,
    /// The address, if Cliq shows one.
    pub email: Option<String>,
    /// When a member list first showed them, RFC 3339.
    pub since: String,
}

/// One person's place in one channel.
#[derive(Clone, Debug, Serialize)]
pub struct GuestView {
    /// The channel's unique name.
    pub channel: String,
    /// Where it stands.
    pub state: &'static str,
    /// Since when, RFC 3339.
    pub since: String,
    /// The address that was invited (R44).
    pub invited_as: Option<String>,
    /// Invitations sent, ever (R48).
    pub sends: u32,
    /// Why the person is not invited or taken out, with its remedy.
    pub parked: Option<String>,
}

impl Engine {
    /// Every mapped channel, and those with guests that are mapped no more, in a stable order.
    pub async fn channel_views(
        &self,
        organization: Option<String>,
    ) -> Result<Vec<ChannelView>, StoreError> {
        let engine = self.clone();
        self.inner
            .store
            .read(move |tx| {
                let mut views = Vec::new();
                let named = |host: &&Host| {
                    organization.as_ref().is_none_or(|name| host.id().as_str() == name)
                };
                for host in engine.inner.hosts.values().filter(named) {
                    views.extend(Self::views_of(tx, host)?);
                }
                Ok(views)
            })
            .await
    }

    fn views_of(tx: &Tx<'_>, host: &Host) -> Result<Vec<ChannelView>, StoreError> {
        let mut states: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for mapped in &host.settings.channels {
            states.entry(mapped.channel.clone()).or_default();
        }
        for (channel, state, count) in guests::tally(tx, host.id())? {
            states.entry(channel).or_default().insert(state, count);
        }
        let mut views = Vec::new();
        for (channel, guests) in states {
            let spot = Self::spot(tx, host, &channel, false)?;
            let facts = spot.facts();
            let strangers = channels::strangers(tx, host.id(), &channel)?;
            views.push(ChannelView {
                organization: host.id().to_string(),
                mapped: mapped(host, &channel).is_some(),
                level: facts.map(|facts| facts.level.as_str()),
                name: facts.map(|facts| facts.name.clone()),
                problem: spot.hindrance().map(remedy),
                add_participants: facts
                    .map(|facts: &ChannelFacts| facts.add_participants.clone())
                    .unwrap_or_default(),
                may_add: facts.and_then(|facts| facts.may_add),
                participants: facts.and_then(|facts| facts.participants),
                read_at: spot.read_at().map(Timestamp::to_rfc3339),
                guests,
                added_by_others: strangers
                    .into_iter()
                    .map(|stranger| StrangerView {
                        cliq_id: stranger.id.to_string(),
                        email: stranger.email.map(|email| email.as_str().to_owned()),
                        since: stranger.first_at.to_rfc3339(),
                    })
                    .collect(),
                channel,
            });
        }
        Ok(views)
    }

    /// The channels of one membership.
    pub async fn guest_views(&self, id: MembershipId) -> Result<Vec<GuestView>, StoreError> {
        self.inner
            .store
            .read(move |tx| {
                let Some(row) = ledger::get(tx, id)? else { return Ok(Vec::new()) };
                let found = guests::of_person(tx, &row.organization, &row.crm_user_id, Some(id))?;
                Ok(found.into_iter().map(view).collect())
            })
            .await
    }
}

fn view(guest: Guest) -> GuestView {
    GuestView {
        channel: guest.channel,
        state: guest.state.as_str(),
        since: guest.since.to_rfc3339(),
        invited_as: guest.invited_as.map(|email| email.as_str().to_owned()),
        sends: guest.sends,
        parked: guest.parked.as_deref().map(remedy),
    }
}
