//! Member lists for a dry run: the same reads as a run's, and nothing written.
//!
//! What is learnt of the channels themselves goes into the shadows that the rehearsal plans from.

use std::collections::{BTreeMap, BTreeSet};

use super::places::{facts, level};
use super::runs::Read;
use crate::domain::channel::{ChannelFacts, GuestState, Level, Members};
use crate::domain::{CrmUserId, OrgId, Timestamp};
use crate::engine::facts::{ReadError, Sides};
use crate::engine::{Engine, Host};
use crate::logic::channels::UNREADABLE;
use crate::store::{StoreError, Tx, channels, guests, ledger};
use crate::zoho::Priority;

/// What a dry run learnt of the channels.
#[derive(Debug, Default)]
pub(in crate::engine) struct Preview {
    found: Vec<(String, Option<ChannelFacts>)>,
    unreadable: BTreeSet<String>,
}

impl Preview {
    /// Writes it where it is seen by the rehearsal alone.
    pub(in crate::engine) fn rehearse(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // As in a run that an operator asked for.
        channels::forgive(tx, organization)?;
        for (channel, facts) in &self.found {
            channels::note(tx, organization, channel, facts.as_ref(), now)?;
        }
        for channel in &self.unreadable {
            channels::refuse(tx, organization, channel, UNREADABLE)?;
        }
        Ok(())
    }

    fn id(&self, channel: &str) -> Option<String> {
        let found = self.found.iter().rev().find(|(name, _)| name == channel);
        found.and_then(|(_, facts)| facts.as_ref()).map(|facts| facts.id.clone())
    }
}

impl Engine {
    /// Reads the channels and their members for everybody, or for one person.
    pub(in crate::engine) async fn preview_members(
        &self,
        host: &Host,
        sides: &Sides,
        user: Option<&CrmUserId>,
    ) -> Result<Preview, ReadError> {
        let mut preview = Preview::default();
        let names = self.previewed(host, sides, user).await?;
        if names.is_empty() {
            return Ok(preview);
        }
        if user.is_none() && self.has_news(host.id(), &names).await? {
            self.preview_list(host, &mut preview).await?;
        }
        let mut lists = BTreeMap::new();
        for name in &names {
            let id = match preview.id(name) {
                Some(id) => Some(id),
                None => self.channel_id(host.id(), name).await?,
            };
            let Some(id) = id else { continue };
            match host.cliq.members(&id, Priority::Run).await {
                Ok(members) => {
                    let short =
                        self.preview_channel(host, &mut preview, name, &id, members.as_ref());
                    let short = short.await?;
                    lists.extend(members.map(|members| (name.clone(), Read { members, short })));
                }
                Err(error) if error.is_refusal() => {
                    preview.unreadable.insert(name.clone());
                }
                Err(error) => return Err(error.into()),
            }
        }
        sides.members.set(lists);
        Ok(preview)
    }

    /// The channels that matter: all that are mapped, or those of one person.
    async fn previewed(
        &self,
        host: &Host,
        sides: &Sides,
        user: Option<&CrmUserId>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mapped = &host.settings.channels;
        let Some(user) = user.cloned() else {
            let names = mapped.iter().map(|mapped| mapped.channel.clone());
            return Ok(names.chain(self.tombstones(host).await?).collect());
        };
        let row = sides.roster.get(&user);
        let meant = mapped.iter().filter(|mapped| row.is_some_and(|row| mapped.when.matches(row)));
        let mut names: BTreeSet<String> = meant.map(|mapped| mapped.channel.clone()).collect();
        let organization = host.id().clone();
        let known = self.inner.store.read(move |tx| {
            let row = ledger::by_user(tx, &organization, &user)?;
            guests::of_person(tx, &organization, &user, row.map(|row| row.id))
        });
        names.extend(known.await?.into_iter().map(|guest| guest.channel));
        Ok(names)
    }

    /// Whether a run by hand would list the channels.
    async fn has_news(
        &self,
        organization: &OrgId,
        names: &BTreeSet<String>,
    ) -> Result<bool, StoreError> {
        let (organization, names) = (organization.clone(), names.clone());
        self.inner
            .store
            .read(move |tx| {
                for name in &names {
                    match channels::get(tx, &organization, name)? {
                        Some(known) if known.problem.is_none() => {}
                        _ => return Ok(true),
                    }
                }
                Ok(false)
            })
            .await
    }

    async fn preview_list(&self, host: &Host, preview: &mut Preview) -> Result<(), ReadError> {
        let listed = match host.cliq.channels(Priority::Webhook).await {
            Ok(listed) => listed,
            Err(error) if error.is_refusal() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let external = listed.iter().filter(|channel| level(channel) == Level::External).count();
        let external = u32::try_from(external).unwrap_or(u32::MAX);
        for mapped in &host.settings.channels {
            let row = listed.iter().find(|row| row.unique_name.as_ref() == Some(&mapped.channel));
            let found = row.map(|row| facts(row, Some(external), self.now()));
            preview.found.push((mapped.channel.clone(), found));
        }
        Ok(())
    }

    /// Looks at the channel itself where a run by hand would: somebody vanished from it, it is gone, or
    /// what is known of it is a while old. Whether
    /// the list is shorter than the channel says.
    async fn preview_channel(
        &self,
        host: &Host,
        preview: &mut Preview,
        channel: &str,
        id: &str,
        members: Option<&Members>,
    ) -> Result<bool, ReadError> {
        let (organization, name) = (host.id().clone(), channel.to_owned());
        let known = self.inner.store.read(move |tx| guests::of_channel(tx, &organization, &name));
        let gone = |id: &crate::domain::CliqId| members.is_none_or(|all| all.get(id).is_none());
        let vanished = known.await?.iter().any(|guest| {
            guest.state == GuestState::Joined && guest.cliq_id.as_ref().is_none_or(gone)
        });
        if members.is_some() && !vanished && !self.is_old(host, channel, true).await? {
            return Ok(false);
        }
        let row = match host.cliq.channel(id).await {
            Ok(row) => row,
            Err(error) if error.is_refusal() => {
                preview.unreadable.insert(channel.to_owned());
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        let found = row.map(|row| facts(&row, None, self.now()));
        let said = found.as_ref().and_then(|facts| facts.participants);
        preview.found.push((channel.to_owned(), found));
        Ok(said.zip(members).is_some_and(|(said, members)| members.count() < said))
    }
}
