//! Bot messages: to invitees who use Cliq already, and to the administrators' channel.
//!
//! A bot reaches only its subscribers, and whether an external user may subscribe is not
//! documented; so a notice is an extra, and the letter goes in any case (contract section 2.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::deliver::Effect;
use super::letters::UNSUBSCRIBED;
use super::{Engine, Host};
use crate::domain::budget::Group;
use crate::domain::letter::{Invitation, Notice};
use crate::domain::membership::State;
use crate::domain::{Action, CliqId, Email, Failure, Timestamp};
use crate::logic::letter;
use crate::store::{StoreError, ledger};
use crate::zoho::messages::Subscriber;
use crate::zoho::{Permit, Priority, Wait};

/// How long a list of subscribers is gone by. A burst of invitations reads it once.
const SUBSCRIBERS_FRESH: Duration = Duration::from_mins(2);

/// Longest reading of one list: longer means that it waits for a lock, and the notice can wait
/// outside.
const SUBSCRIBERS_READ_MAX: Duration = Duration::from_secs(45);

/// Subscribers of each bot, as last read; one lock each, so that no bot waits for another's.
#[derive(Default)]
pub(super) struct Subscribers(std::sync::Mutex<HashMap<BotName, Arc<KnownSubscribers>>>);

type KnownSubscribers = Mutex<Option<(Timestamp, Vec<Subscriber>)>>;

impl Subscribers {
    fn of(&self, bot: BotName) -> Arc<KnownSubscribers> {
        match self.0.lock() {
            Ok(mut known) => Arc::clone(known.entry(bot).or_default()),
            Err(_) => Arc::default(),
        }
    }
}

/// Organization and unique name of a bot.
type BotName = (String, String);

impl Engine {
    /// Sends an invitation as a bot notice, by the first bot that the person subscribes to.
    pub(super) async fn send_bot_notice(
        &self,
        action: &Action,
        invitation: &Invitation,
    ) -> Result<Result<Effect, Failure>, StoreError> {
        let (Some(id), Ok(email)) = (action.membership, Email::parse(&invitation.email)) else {
            return Ok(Ok(Effect::Needless("the membership is gone")));
        };
        let row = self.inner.store.read(move |tx| ledger::get(tx, id)).await?;
        let Some(row) = row.filter(|row| row.state == State::Invited) else {
            return Ok(Ok(Effect::Needless("the person is not waiting for it any more")));
        };
        if self.is_suppressed(&row.organization, &email).await? {
            return Ok(Ok(Effect::Needless(UNSUBSCRIBED)));
        }
        if let Some(later) = self.not_now(&row).await? {
            return Ok(Err(later));
        }
        let zuid = row.zuid.as_ref().map(ToString::to_string);
        let (engine, known) = (self.clone(), row.clone());
        let by = self.inner.store.read(move |tx| engine.bots_for(tx, &known)).await?;
        let hosts = by.iter().filter_map(|id| self.host(id));
        for (host, bot) in hosts.filter_map(|host| Some((host, host.settings.bot.as_deref()?))) {
            let subscriber = match self.subscriber(host, bot, zuid.as_deref(), &email).await {
                Ok(found) => found,
                // A bot that may not be asked cannot help; the next one may.
                Err(Failure::Unauthorized { .. } | Failure::Refused { .. }) => continue,
                Err(failure) => return Ok(Err(failure)),
            };
            let Some(subscriber) = subscriber else { continue };
            // Reading the subscribers took its time.
            if self.held_back(&action.organization, vec![action.id]).await? {
                return Ok(Ok(Effect::HeldBack));
            }
            let permit = match self.permit(host).await {
                Ok(permit) => permit,
                Err(failure) => return Ok(Err(failure)),
            };
            let message = match letter::bot_message(&self.with_link(invitation, &row)) {
                Ok(message) => message,
                Err(error) => return Ok(Err(Failure::transient(error.to_string()))),
            };
            let sent = host.cliq.bot_message(permit, bot, &[subscriber], &message).await;
            match sent.map_err(|error| error.failure(self.now())) {
                Ok(()) => return Ok(Ok(Effect::Told("the bot told them"))),
                // Not a subscriber after all, or a bot that may not post: the next one may.
                Err(failure @ (Failure::Refused { .. } | Failure::Unauthorized { .. })) => {
                    tracing::warn!(organization = %host.id(), bot, error = %failure, "no notice");
                }
                Err(Failure::Transient { .. }) if action.failures > 0 => {
                    return Ok(Ok(Effect::Told(
                        "whether the bot told them is not known: the letter has to do",
                    )));
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok(Effect::Unreached))
    }

    /// Posts a notice in the organization's admin channel.
    pub(super) async fn post_to_admins(
        &self,
        action: &Action,
        notice: &Notice,
    ) -> Result<Effect, Failure> {
        let settings = self.host(&action.organization).map(|host| (host, &host.settings));
        let Some((host, settings)) = settings else {
            return Ok(Effect::Needless("the organization is not configured any more"));
        };
        let (Some(bot), Some(channel)) = (&settings.bot, &settings.admin_channel) else {
            return Ok(Effect::Needless("no bot or admin channel is configured any more"));
        };
        let permit = self.permit(host).await?;
        let text = format!("*{}*\n{}", notice.title, notice.body);
        host.cliq
            .channel_post(permit, channel, bot, &text)
            .await
            .map_err(|error| error.failure(self.now()))?;
        Ok(Effect::Told("posted"))
    }

    async fn permit(&self, host: &Host) -> Result<Permit, Failure> {
        host.account.gate().try_take(Group::Messages).await.map_err(|Wait { until }| {
            Failure::Throttled { until, detail: "the message budget is used up".to_owned() }
        })
    }

    async fn subscriber(
        &self,
        host: &Host,
        bot: &str,
        zuid: Option<&str>,
        email: &Email,
    ) -> Result<Option<CliqId>, Failure> {
        let known = self.inner.subscribers.of((host.id().to_string(), bot.to_owned()));
        // Held over the read: a burst waits for one listing instead of making one each.
        let mut known = known.lock().await;
        let now = self.now();
        let fresh = |known: &(Timestamp, Vec<Subscriber>)| now.since(known.0) < SUBSCRIBERS_FRESH;
        if !known.as_ref().is_some_and(fresh) {
            unless_locked(host)?;
            let read = host.cliq.subscribers(bot, Priority::Webhook);
            let list = tokio::time::timeout(SUBSCRIBERS_READ_MAX, read)
                .await
                .map_err(|_| Failure::transient("the list of subscribers took too long"))?
                .map_err(|error| error.failure(now))?;
            *known = Some((now, list));
        }
        let found = known.as_ref().and_then(|(_, list)| {
            list.iter().find(|subscriber| {
                subscriber.email.as_ref() == Some(email)
                    || zuid.is_some_and(|zuid| subscriber.id.as_str() == zuid)
            })
        });
        Ok(found.map(|subscriber| subscriber.id.clone()))
    }
}

/// Another organization's lock is not waited for at this one's desk (R39).
fn unless_locked(host: &Host) -> Result<(), Failure> {
    let locks = host.account.gate().locks();
    match locks.into_iter().find(|(group, _)| *group == Group::Subscribers) {
        Some((_, until)) => {
            let detail = "the list of subscribers is locked".to_owned();
            Err(Failure::Throttled { until, detail })
        }
        None => Ok(()),
    }
}
