//! Member lists in runs: read before anything is planned, so that who joined, left or came by
//! others' hand is known (R42, R57).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::places::mapped;
use crate::domain::channel::{GuestState, Members};
use crate::domain::{CliqId, CrmUserId, Email, OrgId, Timestamp};
use crate::engine::facts::{ReadError, Sides};
use crate::engine::{Engine, Host};
use crate::logic::channels::{UNREADABLE, strangers};
use crate::logic::plan::LATE_JOIN;
use crate::store::runs::Run;
use crate::store::{StoreError, Tx, channels, guests, ledger, orgs};
use crate::zoho::{CallError, Priority};

/// How long what was read of a channel is good enough, while it has a problem or somebody waits: what
/// was in the way may be gone.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// How long what was read of a channel is good enough in any case: who may add people, and whether it
/// is archived, changes without a word (R59).
const LOOK_DAILY: Duration = Duration::from_hours(24);

/// The same in a run that an operator asked for: long enough that two runs in a row cost no more than
/// the member lists, and short for somebody who has just changed something in Cliq.
const LOOK_BY_HAND: Duration = Duration::from_mins(5);

/// How long calls for everybody that Cliq refused are not repeated.
const REFUSED_FOR: Duration = Duration::from_hours(24);

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
    /// Channels that nobody looked for yet are listed before that. So is a channel that is mapped no
    /// more, as long as somebody may still follow an invitation to it.
    pub(in crate::engine) async fn read_members(
        &self,
        host: &Host,
        run: &Run,
        sides: &Sides,
    ) -> Result<(), ReadError> {
        let mut names: Vec<String> =
            host.settings.channels.iter().map(|mapped| mapped.channel.clone()).collect();
        let late = self.tombstones(host).await?;
        names.extend(late.into_iter().filter(|name| mapped(host, name).is_none()));
        if names.is_empty() {
            return Ok(());
        }
        if self.must_list(host, run).await? {
            match self.resolve_channels(host).await? {
                Ok(()) => {}
                Err(error) if error.is_refusal() => self.note_shut(host, &error).await?,
                Err(error) => return Err(error.into()),
            }
        }
        self.read_lists(host, sides, &names, run.trigger == BY_HAND).await
    }

    /// Channels with somebody who was invited by the bridge, may join although that is taken back or
    /// ran out, and would have to be taken out then (G17).
    pub(super) async fn tombstones(&self, host: &Host) -> Result<Vec<String>, StoreError> {
        let (organization, since) = (host.id().clone(), self.now() - LATE_JOIN);
        self.inner.store.read(move |tx| guests::tombstones(tx, &organization, since)).await
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
        self.read_lists(host, sides, &names, true).await
    }

    /// Whether the organization's channels have to be listed first: one of the mapped ones is new,
    /// or what was in the way may be gone, because an operator asks or some time has passed.
    async fn must_list(&self, host: &Host, run: &Run) -> Result<bool, StoreError> {
        let by_hand = run.trigger == BY_HAND;
        let (organization, now) = (host.id().clone(), self.now());
        self.inner
            .store
            .write("forgive channels", move |tx| {
                if by_hand {
                    channels::forgive(tx, &organization)
                } else {
                    channels::try_again(tx, &organization, now - REFUSED_FOR, now)
                }
            })
            .await?;
        let organization = host.id().clone();
        let names: Vec<String> =
            host.settings.channels.iter().map(|mapped| mapped.channel.clone()).collect();
        self.inner
            .store
            .read(move |tx| {
                for name in &names {
                    let Some(known) = channels::get(tx, &organization, name)? else {
                        return Ok(true);
                    };
                    let old = by_hand || is_over(known.read_at, LOOK_AGAIN, now);
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
        by_hand: bool,
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
            if vanished || unreadable || self.is_old(host, name, by_hand).await? {
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

    /// Whether what is known of a mapped channel was read a while ago: sooner, if people wait for it
    /// or an operator asks.
    pub(super) async fn is_old(
        &self,
        host: &Host,
        channel: &str,
        by_hand: bool,
    ) -> Result<bool, StoreError> {
        if mapped(host, channel).is_none() {
            return Ok(false);
        }
        let (organization, channel, now) = (host.id().clone(), channel.to_owned(), self.now());
        self.inner
            .store
            .read(move |tx| {
                let Some(known) = channels::get(tx, &organization, &channel)? else {
                    return Ok(false);
                };
                let waits = guests::awaited(tx, &organization)?.contains(&channel);
                let good_for = match (by_hand, waits) {
                    (true, _) => LOOK_BY_HAND,
                    (false, true) => LOOK_AGAIN,
                    (false, false) => LOOK_DAILY,
                };
                Ok(is_over(known.read_at, good_for, now))
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
                let ours = sides.members.whole().filter(|(name, _)| mapped(host, name).is_some());
                for (channel, members) in ours {
                    channels::note_participants(tx, &organization, channel, members.count())?;
                    let seen = others(tx, host, &sides, channel, members)?;
                    channels::note_strangers(tx, &organization, channel, &seen, now)?;
                    engine.note_problem(tx, host, channel, now)?;
                }
                Ok(())
            })
            .await
    }
}

/// Whether what was read at `at` is good enough no more; a time ahead was noted before the clock was
/// set back.
fn is_over(at: Timestamp, good_for: Duration, now: Timestamp) -> bool {
    at > now || now.since(at) >= good_for
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
