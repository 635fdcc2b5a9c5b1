//! Member lists in runs: read before anything is planned, so that who joined, left or came by
//! others' hand is known (R42, R57).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::places::mapped;
use crate::domain::channel::{GuestState, Members};
use crate::domain::{CliqId, CrmUserId, Email, OrgId};
use crate::engine::facts::{ReadError, Sides};
use crate::engine::{Engine, Host};
use crate::logic::channels::{may_pass, strangers};
use crate::store::runs::Run;
use crate::store::{StoreError, Tx, channels, guests, ledger, orgs};
use crate::zoho::Priority;

/// The trigger word of a run that an operator asked for.
const BY_HAND: &str = "manual";

/// Complete member lists by channel, as far as they were read; written once.
#[derive(Debug, Default)]
pub(in crate::engine) struct MemberLists(OnceLock<BTreeMap<String, Members>>);

impl MemberLists {
    /// The list of one channel, if it was read.
    pub(in crate::engine) fn of(&self, channel: &str) -> Option<&Members> {
        self.0.get().and_then(|lists| lists.get(channel))
    }

    fn iter(&self) -> impl Iterator<Item = (&String, &Members)> {
        self.0.get().into_iter().flatten()
    }
}

impl Engine {
    /// Reads the member list of every mapped channel that Cliq is known to show: one call each.
    /// Channels that nobody looked for yet are listed before that. Answers how many calls it took.
    pub(in crate::engine) async fn read_members(
        &self,
        host: &Host,
        run: &Run,
        sides: &Sides,
    ) -> Result<usize, ReadError> {
        if host.settings.channels.is_empty() {
            return Ok(0);
        }
        let mut calls = 0;
        if self.must_list(host, run).await? {
            self.resolve_channels(host).await??;
            calls += 1;
        }
        let names: Vec<String> =
            host.settings.channels.iter().map(|mapped| mapped.channel.clone()).collect();
        calls += self.read_lists(host, sides, &names).await?;
        Ok(calls)
    }

    /// The same for one person: only channels in which the person is, or that are meant for them.
    pub(in crate::engine) async fn read_members_of(
        &self,
        host: &Host,
        sides: &Sides,
        user: &CrmUserId,
    ) -> Result<usize, ReadError> {
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
    /// or what was in the way may be gone and somebody waits for that, or an operator asks.
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
        self.inner
            .store
            .read(move |tx| {
                let awaited = guests::awaited(tx, &organization)?;
                for name in &names {
                    let Some(known) = channels::get(tx, &organization, name)? else {
                        return Ok(true);
                    };
                    let waits = |code: &String| may_pass(code) && awaited.contains(name);
                    if known.problem.is_some_and(|code| by_hand || waits(&code)) {
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
    ) -> Result<usize, ReadError> {
        let mut lists = BTreeMap::new();
        let mut calls = 0;
        for name in names {
            let Some(id) = self.channel_id(host.id(), name).await? else { continue };
            calls += 1;
            let Some(members) = host.cliq.members(&id, Priority::Run).await? else {
                // Gone, or taken from the OAuth user: the channel's problem, not the run's.
                self.look_at_channel(host, name, &id).await??;
                calls += 1;
                continue;
            };
            if self.somebody_vanished(host, name, &members).await? {
                // Cliq puts people out of a channel whose level changes (R28).
                self.look_at_channel(host, name, &id).await??;
                calls += 1;
            }
            lists.insert(name.clone(), members);
        }
        // Set once per look; a second list of the same look would say the same.
        let _ = sides.members.0.set(lists);
        Ok(calls)
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
                && guest.unseen_since.is_none()
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
        if sides.members.iter().next().is_none() {
            return Ok(());
        }
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let sides = Arc::clone(sides);
        self.inner
            .store
            .write("note members", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                for (channel, members) in sides.members.iter() {
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
