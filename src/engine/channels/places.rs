//! The mapped channels themselves: which there are, what Cliq shows of each, what stands in the way
//! of everybody, and telling the administrators once.

use crate::config::Channel as Mapped;
use crate::domain::channel::{ChannelFacts, Level};
use crate::domain::letter::Notice;
use crate::domain::{OrgId, Timestamp};
use crate::engine::{Engine, Host};
use crate::logic::channels::{Place, Terms, UNREADABLE, hindrance, remedy, room};
use crate::store::channels::{self, Known};
use crate::store::{StoreError, Tx, guests, told};
use crate::zoho::channels::Channel;
use crate::zoho::{CallError, Priority};

/// A matter that administrators are told of once: the channels cannot be listed.
const SHUT: &str = "channels";

/// The word of a channel that is in use (contract section 2.2).
const IN_USE: &str = "created";

/// A channel as the store knows it, with what follows for everybody.
#[derive(Default)]
pub(super) struct Spot {
    known: Option<Known>,
    hindrance: Option<String>,
    room: Option<u32>,
}

impl Spot {
    pub(super) fn place(&self) -> Place<'_> {
        Place { facts: self.facts(), hindrance: self.hindrance.as_deref(), room: self.room }
    }

    pub(super) fn facts(&self) -> Option<&ChannelFacts> {
        self.known.as_ref().and_then(|known| known.facts.as_ref())
    }

    pub(super) fn read_at(&self) -> Option<Timestamp> {
        self.known.as_ref().map(|known| known.read_at)
    }

    pub(super) fn hindrance(&self) -> Option<&str> {
        self.hindrance.as_deref()
    }

    /// Whether a refusal of everybody is old enough to be tried again, and nobody got in since.
    pub(super) fn is_on_trial(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.on_trial)
    }
}

/// The mapping of a channel, if it is mapped.
pub(super) fn mapped<'a>(host: &'a Host, channel: &str) -> Option<&'a Mapped> {
    host.settings.channels.iter().find(|mapped| mapped.channel == channel)
}

impl Engine {
    /// The channel as the store knows it; its room only where somebody waits for that.
    pub(super) fn spot(
        tx: &Tx<'_>,
        host: &Host,
        channel: &str,
        with_room: bool,
    ) -> Result<Spot, StoreError> {
        let known = channels::get(tx, host.id(), channel)?;
        let facts = known.as_ref().and_then(|known| known.facts.as_ref());
        let found = known.as_ref().map(|known| known.facts.is_some());
        let refused = known.as_ref().and_then(|known| known.refused.as_deref());
        let terms = Terms { plan: host.policy.cliq_plan, licences: host.settings.cliq_licences };
        let hindrance = hindrance(facts, found, refused, terms);
        let open = if with_room { Some(guests::open(tx, host.id(), channel)?) } else { None };
        let room = open.and_then(|open| room(facts, open));
        Ok(Spot { known, hindrance, room })
    }

    /// Whether one of the channels is mapped and nobody has looked for it yet.
    pub(super) async fn is_unknown(
        &self,
        host: &Host,
        awaited: &[String],
    ) -> Result<bool, StoreError> {
        let names: Vec<String> =
            awaited.iter().filter(|name| mapped(host, name).is_some()).cloned().collect();
        if names.is_empty() {
            return Ok(false);
        }
        let organization = host.id().clone();
        self.inner
            .store
            .read(move |tx| {
                for name in &names {
                    if channels::get(tx, &organization, name)?.is_none() {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await
    }

    /// Lists the organization's channels and writes down what it shows of every mapped one.
    pub(super) async fn resolve_channels(
        &self,
        host: &Host,
    ) -> Result<Result<(), CallError>, StoreError> {
        let listed = match host.cliq.channels(Priority::Webhook).await {
            Ok(listed) => listed,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.now();
        let external = listed.iter().filter(|channel| level(channel) == Level::External).count();
        let external = u32::try_from(external).unwrap_or(u32::MAX);
        let found: Vec<(String, Option<ChannelFacts>)> = host
            .settings
            .channels
            .iter()
            .map(|mapped| {
                let named =
                    |row: &&Channel| row.unique_name.as_deref() == Some(mapped.channel.as_str());
                let row = listed.iter().find(named);
                (mapped.channel.clone(), row.map(|row| facts(row, Some(external), now)))
            })
            .collect();
        self.end_shut(host).await?;
        self.note_channels(host, found).await?;
        Ok(Ok(()))
    }

    /// The listing works: when it is refused again, that is news. What is read of one channel says
    /// nothing about it.
    async fn end_shut(&self, host: &Host) -> Result<(), StoreError> {
        let organization = host.id().clone();
        let store = &self.inner.store;
        store.write("channels listed", move |tx| told::end(tx, &organization, SHUT)).await
    }

    /// Reads one channel again, by the id that a listing told.
    pub(super) async fn look_at_channel(
        &self,
        host: &Host,
        channel: &str,
        id: &str,
    ) -> Result<Result<(), CallError>, StoreError> {
        let row = match host.cliq.channel(id).await {
            Ok(row) => row,
            Err(error) => return Ok(Err(error)),
        };
        let facts = row.map(|row| facts(&row, None, self.now()));
        self.note_channels(host, vec![(channel.to_owned(), facts)]).await?;
        Ok(Ok(()))
    }

    /// Notes whether Cliq lets one channel be read: its own problem, which hinders no other.
    pub(super) async fn note_readable(
        &self,
        host: &Host,
        channel: &str,
        refused: Option<&CallError>,
    ) -> Result<(), StoreError> {
        if let Some(error) = refused {
            tracing::warn!(organization = %host.id(), channel, %error, "a channel was not read");
        }
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (channel, readable) = (channel.to_owned(), refused.is_none());
        self.inner
            .store
            .write("note readable", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                if readable {
                    channels::retract(tx, &organization, &channel, UNREADABLE)?;
                } else {
                    channels::refuse(tx, &organization, &channel, UNREADABLE)?;
                }
                engine.note_problem(tx, host, &channel, now)
            })
            .await
    }

    /// Notes that Cliq shows the channel no more.
    pub(super) async fn note_absent(&self, host: &Host, channel: &str) -> Result<(), StoreError> {
        self.note_channels(host, vec![(channel.to_owned(), None)]).await
    }

    /// Tells the administrators that the channels cannot be listed.
    pub(super) fn tell_shut(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        text: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notice = Notice {
            title: format!("Channels of {organization} cannot be read"),
            body: format!(
                "{text}\nThe OAuth user needs the scope ZohoCliq.Channels.READ. Nobody is invited \
                 to a channel or taken out of one until then; what waits is tried again every few \
                 minutes."
            ),
        };
        self.tell_once(tx, organization, (SHUT, ""), &notice, now)
    }

    async fn note_channels(
        &self,
        host: &Host,
        found: Vec<(String, Option<ChannelFacts>)>,
    ) -> Result<(), StoreError> {
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .write("note channels", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                for (channel, facts) in &found {
                    channels::note(tx, &organization, channel, facts.as_ref(), now)?;
                    engine.note_problem(tx, host, channel, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Tells the administrators of what stands in the way of a channel, once when it comes up.
    pub(super) fn note_problem(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        channel: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let spot = Self::spot(tx, host, channel, false)?;
        if spot.hindrance().is_none() && spot.is_on_trial() {
            // Tried again after a while; what was told stays until somebody gets in.
            return Ok(());
        }
        if !channels::set_problem(tx, host.id(), channel, spot.hindrance())? {
            return Ok(());
        }
        let Some(code) = spot.hindrance() else { return Ok(()) };
        let organization = host.id();
        tracing::warn!(%organization, channel, code, "a mapped channel cannot be used");
        // Looking at the channel clears it for a moment, and asking who we are finds it again.
        let notice = problem(organization, channel, code);
        self.tell_once(tx, organization, (&matter_of(channel), code), &notice, now)
    }
}

/// What administrators are told once of: something keeps everybody out of the channel. It is over when
/// somebody gets in.
pub(super) fn matter_of(channel: &str) -> String {
    format!("problem of {channel}")
}

/// What administrators are told of something that keeps people out of a channel.
pub(super) fn problem(organization: &OrgId, channel: &str, code: &str) -> Notice {
    Notice {
        title: format!("Channel {channel} of {organization}: {code}"),
        body: format!(
            "{}\nWhoever is meant for this channel waits; other channels go on.",
            remedy(code)
        ),
    }
}

pub(super) fn level(channel: &Channel) -> Level {
    channel.level.as_deref().and_then(Level::from_word).unwrap_or(Level::Unknown)
}

pub(super) fn facts(
    channel: &Channel,
    external_channels: Option<u32>,
    now: Timestamp,
) -> ChannelFacts {
    let on = channel.add_participant.iter().filter(|(_, on)| **on);
    ChannelFacts {
        id: channel.id.clone(),
        level: level(channel),
        name: channel.name.clone().unwrap_or_default(),
        alive: channel.status.as_deref().is_none_or(|status| status == IN_USE),
        add_participants: on.map(|(role, _)| role.clone()).collect(),
        may_add: channel.may_add(),
        participants: channel.participants,
        external_channels,
        read_at: now,
    }
}
