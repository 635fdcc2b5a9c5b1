//! Member lists in runs: read before anything is planned, so that who joined, left or came by
//! others' hand is known (R42, R57).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::places::mapped;
use crate::domain::channel::{GuestState, Members};
use crate::domain::{CliqId, CrmUserId, Email, OrgId};
use crate::engine::facts::{ReadError, Sides};
use crate::engine::{Engine, Host};
use crate::logic::channels::{UNREADABLE, strangers};
use crate::store::runs::Run;
use crate::store::{StoreError, Tx, channels, guests, ledger, orgs};
use crate::zoho::{CallError, Priority};

/// How long what was read of a channel is good enough, while it has a problem or somebody waits: what
/// was in the way may be gone.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The trigger word of a run that an operator asked for.
const BY_HAND: &str = "manual";

/// Complete member lists by channel, as far as they were read; written once.
#[derive(Debug, Default)]
pub(in crate::engine) struct MemberLists(OnceLock<BTreeMap<String, Read>>);

/// One list.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) members: Members,
    /// It has fewer people than the channel itself says: nobody's absence from it counts.
    pub(super) short: bool,
}

impl MemberLists {
    /// Keeps the lists. A second one of the same look would say the same.
    pub(super) fn set(&self, lists: BTreeMap<String, Read>) {
        let _ = self.0.set(lists);
    }

    /// The list of one channel, if it was read.
    pub(in crate::engine) fn of(&self, channel: &str) -> Option<&Members> {
        self.0.get().and_then(|lists| lists.get(channel)).map(|read| &read.members)
    }

    /// Whether somebody's absence from the list says nothing.
    pub(in crate::engine) fn is_short(&self, channel: &str) -> bool {
        self.0.get().and_then(|lists| lists.get(channel)).is_some_and(|read| read.short)
    }

    /// The lists by which everybody in the channel is known.
    fn whole(&self) -> impl Iterator<Item = (&String, &Members)> {
        let lists = self.0.get().into_iter().flatten();
        lists.filter(|(_, read)| !read.short).map(|(channel, read)| (channel, &read.members))
    }
}

impl Engine {
    /// Reads the member list of every mapped channel that Cliq is known to show: one call each.
    /// Channels that nobody looked for yet are listed before that.
    pub(in crate::engine) async fn read_members(
        &self,
        host: &Host,
        run: &Run,
        sides: &Sides,
    ) -> Result<(), ReadError> {
        if host.settings.channels.is_empty() {
            return Ok(());
        }
        if self.must_list(host, run).await? {
            match self.resolve_channels(host).await? {
                Ok(()) => {}
                Err(error) if error.is_refusal() => self.note_shut(host, &error).await?,
                Err(error) => return Err(error.into()),
            }
        }
        let names: Vec<String> =
            host.settings.channels.iter().map(|mapped| mapped.channel.clone()).collect();
        self.read_lists(host, sides, &names).await
    }

    /// The same for one person: only channels in which the person is, or that are meant for them.
    pub(in crate::engine) async fn read_members_of(
        &self,
        host: &Host,
        sides: &Sides,
        user: &CrmUserId,
    ) -> Result<(), ReadError> {
        let (organization, id) = (host.id().clone(), user.clone());
        let known = self
            .inner
            .store
            .read(move |tx| {
                let row = ledger::by_user(tx, &organization, &id)?;
                guests::of_person(tx, &organization, &id, row.map(|row| row.id))
            })
            .await?;
        let meant =
            host.settings.channels.iter().filter(|mapped| {
                sides.roster.get(user).is_some_and(|user| mapped.when.matches(user))
            });
        let names: BTreeSet<String> = meant
            .map(|mapped| mapped.channel.clone())
            .chain(known.into_iter().map(|guest| guest.channel))
            .collect();
        let names: Vec<String> = names.into_iter().collect();
        self.read_lists(host, sides, &names).await
    }

    /// Whether the organization's channels have to be listed first: one of the mapped ones is new,
    /// or what was in the way may be gone, because an operator asks or some time has passed.
    async fn must_list(&self, host: &Host, run: &Run) -> Result<bool, StoreError> {
        let by_hand = run.trigger == BY_HAND;
        let organization = host.id().clone();
        if by_hand {
            let organization = organization.clone();
            self.inner
                .store
                .write("forgive channels", move |tx| channels::forgive(tx, &organization))
                .await?;
        }
        let names: Vec<String> =
            host.settings.channels.iter().map(|mapped| mapped.channel.clone()).collect();
        let now = self.now();
        self.inner
            .store
            .read(move |tx| {
                for name in &names {
                    let Some(known) = channels::get(tx, &organization, name)? else {
                        return Ok(true);
                    };
                    let old = by_hand || now.since(known.read_at) >= LOOK_AGAIN;
                    if old && known.problem.is_some() {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await
    }

    async fn read_lists(
        &self,
        host: &Host,
        sides: &Sides,
        names: &[String],
    ) -> Result<(), ReadError> {
        let mut lists = BTreeMap::new();
        for name in names {
            let Some(id) = self.channel_id(host.id(), name).await? else { continue };
            let members = match host.cliq.members(&id, Priority::Run).await {
                Ok(members) => members,
                Err(error) if error.is_refusal() => {
                    self.note_readable(host, name, Some(&error)).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let vanished = match &members {
                // Gone, or taken from the OAuth user: the channel's problem, not the run's.
                None => true,
                // Cliq puts people out of a channel whose level changes (R28).
                Some(members) => self.somebody_vanished(host, name, members).await?,
            };
            let mut short = false;
            let unreadable = self.is_unreadable(host.id(), name).await?;
            if vanished || unreadable || self.is_old(host, name).await? {
                match self.look_at_channel(host, name, &id).await? {
                    Ok(()) => {
                        if let Some(members) = &members {
                            short = self.is_short(host.id(), name, members).await?;
                        }
                    }
                    Err(error) if error.is_refusal() => {
                        self.note_readable(host, name, Some(&error)).await?;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if unreadable {
                self.note_readable(host, name, None).await?;
            }
            lists.extend(members.map(|members| (name.clone(), Read { members, short })));
        }
        sides.members.set(lists);
        Ok(())
    }

    pub(super) async fn channel_id(
        &self,
        organization: &OrgId,
        channel: &str,
    ) -> Result<Option<String>, StoreError> {
        let (organization, channel) = (organization.clone(), channel.to_owned());
        let known =
            self.inner.store.read(move |tx| channels::get(tx, &organization, &channel)).await?;
        Ok(known.and_then(|known| known.facts).map(|facts| facts.id))
    }

    /// Whether the channel could not be read the last time.
    pub(super) async fn is_unreadable(
        &self,
        organization: &OrgId,
        channel: &str,
    ) -> Result<bool, StoreError> {
        let (organization, channel) = (organization.clone(), channel.to_owned());
        let known =
            self.inner.store.read(move |tx| channels::get(tx, &organization, &channel)).await?;
        Ok(known.and_then(|known| known.refused).as_deref() == Some(UNREADABLE))
    }

    /// Whether a list has fewer people than the channel, which was looked at right now, says.
    pub(super) async fn is_short(
        &self,
        organization: &OrgId,
        channel: &str,
        members: &Members,
    ) -> Result<bool, StoreError> {
        let (id, name) = (organization.clone(), channel.to_owned());
        let known = self.inner.store.read(move |tx| channels::get(tx, &id, &name)).await?;
        let said = known.and_then(|known| known.facts).and_then(|facts| facts.participants);
        Ok(said.is_some_and(|said| members.count() < said))
    }

    /// Whether people wait for the channel, and what stands in its way was read a while ago.
    async fn is_old(&self, host: &Host, channel: &str) -> Result<bool, StoreError> {
        let (organization, channel, now) = (host.id().clone(), channel.to_owned(), self.now());
        self.inner
            .store
            .read(move |tx| {
                let Some(known) = channels::get(tx, &organization, &channel)? else {
                    return Ok(false);
                };
                let waits = guests::awaited(tx, &organization)?.contains(&channel);
                Ok(waits && now.since(known.read_at) >= LOOK_AGAIN)
            })
            .await
    }

    async fn note_shut(&self, host: &Host, error: &CallError) -> Result<(), StoreError> {
        tracing::warn!(organization = %host.id(), %error, "the channels were not listed");
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let text = error.to_string();
        self.inner
            .store
            .write("channels shut", move |tx| engine.tell_shut(tx, &organization, &text, now))
            .await
    }

    async fn somebody_vanished(
        &self,
        host: &Host,
        channel: &str,
        members: &Members,
    ) -> Result<bool, StoreError> {
        let (organization, channel) = (host.id().clone(), channel.to_owned());
        let known = self
            .inner
            .store
            .read(move |tx| guests::of_channel(tx, &organization, &channel))
            .await?;
        Ok(known.iter().any(|guest| {
            guest.state == GuestState::Joined
                && guest.cliq_id.as_ref().is_none_or(|id| members.get(id).is_none())
        }))
    }

    /// After everybody was planned: how many are in each channel, and who is in it by others' hand
    /// (R57, R58).
    pub(in crate::engine) async fn note_members(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
    ) -> Result<(), StoreError> {
        if sides.members.whole().next().is_none() {
            return Ok(());
        }
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let sides = Arc::clone(sides);
        self.inner
            .store
            .write("note members", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                for (channel, members) in sides.members.whole() {
                    channels::note_participants(tx, &organization, channel, members.count())?;
                    let seen = others(tx, host, &sides, channel, members)?;
                    channels::note_strangers(tx, &organization, channel, &seen, now)?;
                    if mapped(host, channel).is_some() {
                        engine.note_problem(tx, host, channel, now)?;
                    }
                }
                Ok(())
            })
            .await
    }
}

fn others(
    tx: &Tx<'_>,
    host: &Host,
    sides: &Sides,
    channel: &str,
    members: &Members,
) -> Result<Vec<(CliqId, Option<Email>)>, StoreError> {
    let known = guests::of_channel(tx, host.id(), channel)?;
    let own = orgs::own_zuid(tx, host.id())?.map(CliqId::new);
    let found = strangers(&host.policy, members, &known, &sides.directory, own.as_ref());
    Ok(found.into_iter().map(|stranger| (stranger.id, stranger.email)).collect())
}
