//! Bot messages: to invitees who use Cliq already, and to the administrators' channel.
//!
//! A bot reaches only its subscribers, and whether an external user may subscribe is not
//! documented; so a notice is an extra, and the letter goes in any case (contract section 2.3).

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;

use super::deliver::Effect;
use super::{Engine, Host};
use crate::domain::budget::Group;
use crate::domain::letter::{Invitation, Notice};
use crate::domain::membership::State;
use crate::domain::{Action, CliqId, Email, Failure, Timestamp};
use crate::logic::letter;
use crate::store::{StoreError, ledger};
use crate::zoho::messages::Subscriber;
use crate::zoho::{CallError, Permit, Priority, Wait};

/// How long a list of subscribers is gone by. A burst of invitations reads it once.
const SUBSCRIBERS_FRESH: Duration = Duration::from_mins(2);

/// What Cliq answers when none of the recipients can be reached by the bot.
const NOT_A_SUBSCRIBER: [&str; 3] =
    ["botmessage_no_valid_users", "bot_message_forbidden", "bot_unauthorized_message_access"];

/// Subscribers of each bot, as last read.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<HashMap<BotName, (Timestamp, Vec<Subscriber>)>>);

/// Organization and unique name of a bot.
type BotName = (String, String);

impl Engine {
    /// Sends an invitation as a bot notice, by the first bot that the person subscribes to.
    pub(super) async fn send_bot_notice(
        &self,
        action: &Action,
        invitation: &Invitation,
    ) -> Result<Result<Effect, Failure>, StoreError> {
        let (Some(id), Some(host), Ok(email)) =
            (action.membership, self.host(&action.organization), Email::parse(&invitation.email))
        else {
            return Ok(Ok(Effect::Needless("the membership is gone")));
        };
        let row = self.inner.store.read(move |tx| ledger::get(tx, id)).await?;
        let Some(row) = row.filter(|row| row.state == State::Invited) else {
            return Ok(Ok(Effect::Needless("the person is not waiting for it any more")));
        };
        let zuid = row.zuid.map(|zuid| zuid.to_string());
        for (host, bot) in self.bots_for(host, &email) {
            let subscriber = match self.subscriber(host, bot, zuid.as_deref(), &email).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(error.failure(self.now()))),
            };
            let Some(subscriber) = subscriber else { continue };
            let permit = match self.permit(host).await {
                Ok(permit) => permit,
                Err(failure) => return Ok(Err(failure)),
            };
            let message = letter::bot_message(invitation);
            match host.cliq.bot_message(permit, bot, &[subscriber], &message).await {
                Ok(()) => return Ok(Ok(Effect::Told("the bot told them"))),
                Err(CallError::Refused { code, .. })
                    if NOT_A_SUBSCRIBER.contains(&code.as_str()) => {}
                Err(error) => return Ok(Err(error.failure(self.now()))),
            }
        }
        Ok(Ok(Effect::Told("not a subscriber of a bot: the letter has to do")))
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
    ) -> Result<Option<CliqId>, CallError> {
        // Held over the read: a burst waits for one listing instead of making one each.
        let mut known = self.inner.subscribers.0.lock().await;
        let key = (host.id().to_string(), bot.to_owned());
        let now = self.now();
        let fresh = known.get(&key).is_some_and(|(at, _)| now.since(*at) < SUBSCRIBERS_FRESH);
        if !fresh {
            let list = host.cliq.subscribers(bot, Priority::Webhook).await?;
            known.insert(key.clone(), (now, list));
        }
        let found = known.get(&key).and_then(|(_, list)| {
            list.iter().find(|subscriber| {
                subscriber.email.as_ref() == Some(email)
                    || zuid.is_some_and(|zuid| subscriber.id.as_str() == zuid)
            })
        });
        Ok(found.map(|subscriber| subscriber.id.clone()))
    }
}
