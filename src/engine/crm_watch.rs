//! The CRM watch of an organization: registered where the configuration asks for one, renewed well
//! inside its expiry, and known again by its token when it speaks (contract section 3.3).
//!
//! Deliberately absent: trust. A notification says where to look; a watch that lapses or that the
//! CRM refuses costs only time, since the scheduled reconciliation finds what it would have told.

use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{Desk, Engine, Host};
use crate::config::Watch;
use crate::domain::budget::Group;
use crate::domain::letter::Notice;
use crate::domain::run::{RunState, Trigger};
use crate::domain::{Failure, OrgId, Timestamp};
use crate::logic::event::Echo;
use crate::store::outbox::Cause;
use crate::store::watches::{self, Kept};
use crate::store::{StoreError, orgs, pauses, runs};
use crate::zoho::Wait;
use crate::zoho::watch::{Channel, Verb};

/// How long a watch is asked for: a little less than the day that older CRM versions grant at most;
/// what asks for too much gets one hour (contract section 3.3).
const ASKED: Duration = Duration::from_hours(23);

/// What stands when the CRM does not say: the hour that it grants to whom it grants least.
const UNTOLD: Duration = Duration::from_hours(1);

/// Least time between two renewals, however short the CRM's answer or wrong its clock.
const RENEW_MIN: Duration = Duration::from_mins(5);

/// Time until a failed call is tried again; half of the shortest grant still holds two tries.
const RETRY: Duration = Duration::from_mins(15);

/// Least time between two listings that notifications of record modules ask for: a busy module
/// tells of a change every second.
const LISTING_EVERY: Duration = Duration::from_mins(5);

/// Characters of the token: the CRM takes at most 50 (contract section 3.3); in hex, 200 bits.
const TOKEN_CHARS: usize = 50;

/// Channel numbers have 15 digits, like the CRM's own.
const CHANNEL_BASE: u64 = 100_000_000_000_000;

/// What was asked of the CRM: as long as this is equal, a renewal is enough.
struct Terms {
    channel: String,
    token: String,
    notify_url: String,
    words: String,
}

impl Engine {
    /// Does what is due for the organization's watch: registers it, renews it, begins the listing
    /// that a notification asked for. Answers when to come back; `None` without a watch.
    ///
    /// # Errors
    /// Only the store's; what the CRM refuses is written down and told.
    pub(super) async fn keep_watch(&self, host: &Host) -> Result<Option<Timestamp>, StoreError> {
        let Some(watch) = &host.settings.watch else { return Ok(None) };
        let id = host.id().clone();
        let (kept, quarantined, paused) = self
            .inner
            .store
            .read(move |tx| {
                let quarantined = orgs::state(tx, &id)?.quarantined.is_some();
                Ok((watches::get(tx, &id)?, quarantined, pauses::holds(tx, &id)?))
            })
            .await?;
        if quarantined || paused {
            // Nothing is answered there until a read is, or nothing is to be written.
            return Ok(Some(self.now() + RETRY));
        }
        let listing = self.serve_listing(host.id(), &kept).await?;
        let (now, terms) = (self.now(), self.terms(host, watch));
        let is_equal = kept.terms.as_ref().is_none_or(|known| *known == terms.words);
        // Nothing is ever put off for longer than a watch is asked for: what lies farther ahead was noted
        // before the clock was set back.
        let kept_at = kept.next_at.filter(|at| at.since(now) <= ASKED);
        let due = kept_at.filter(|_| is_equal || kept.failing).unwrap_or(now);
        let next = if due > now { due } else { self.ask_for(host, watch, &terms, &kept).await? };
        Ok(listing.into_iter().chain([next]).min())
    }

    /// Registers or renews; answers when it is due again.
    async fn ask_for(
        &self,
        host: &Host,
        watch: &Watch,
        terms: &Terms,
        kept: &Kept,
    ) -> Result<Timestamp, StoreError> {
        let asked = self.now() + ASKED;
        let channel = Channel {
            id: &terms.channel,
            events: &watch.events,
            expires_at: asked,
            token: &terms.token,
            notify_url: &terms.notify_url,
        };
        let stands = kept.expires_at.is_some_and(|until| until > self.now());
        let answer = self.ask_both(host, stands, &channel).await;
        let (id, now) = (host.id().clone(), self.now());
        match answer {
            Ok(granted) => {
                let until = granted.unwrap_or(now + UNTOLD).min(asked);
                let next = now + (until.since(now) / 2).max(RENEW_MIN);
                tracing::info!(organization = %id, %until, %next, "the CRM watch stands");
                let words = terms.words.clone();
                self.inner
                    .store
                    .write("watch", move |tx| watches::stands(tx, &id, &words, until, next))
                    .await?;
                Ok(next)
            }
            Err(Failure::Throttled { until, .. }) => Ok(until.max(now)),
            Err(failure) => {
                tracing::warn!(organization = %id, error = %failure, "the CRM watch failed");
                // A blip while the watch stands is no news: there are hours left to mend it.
                let blip = stands && matches!(failure, Failure::Transient { .. });
                self.note_failure(host, failure, !blip && !kept.told).await
            }
        }
    }

    /// Renews what stands, registers what does not; where the CRM knows better, the other way.
    async fn ask_both(
        &self,
        host: &Host,
        stands: bool,
        channel: &Channel<'_>,
    ) -> Result<Option<Timestamp>, Failure> {
        let mut verbs = [Verb::Register, Verb::Renew];
        if stands {
            verbs.reverse();
        }
        let [first, second] = verbs;
        match self.ask_once(host, first, channel).await {
            // An answer may have been lost, or a channel forgotten. If that was not it, the first
            // refusal is the telling one.
            Err(refused @ Failure::Refused { .. }) => {
                match self.ask_once(host, second, channel).await {
                    Err(Failure::Refused { .. }) => Err(refused),
                    other => other,
                }
            }
            other => other,
        }
    }

    async fn ask_once(
        &self,
        host: &Host,
        verb: Verb,
        channel: &Channel<'_>,
    ) -> Result<Option<Timestamp>, Failure> {
        let permit = host.account.gate().try_take(Group::Crm).await.map_err(|Wait { until }| {
            Failure::Throttled { until, detail: "the CRM budget is used up".to_owned() }
        })?;
        let answer = host.crm.watch(permit, verb, channel).await;
        answer.map_err(|error| error.failure(self.now()))
    }

    async fn note_failure(
        &self,
        host: &Host,
        failure: Failure,
        tell: bool,
    ) -> Result<Timestamp, StoreError> {
        let (engine, id, now) = (self.clone(), host.id().clone(), self.now());
        let next = now + RETRY;
        let notice = tell.then(|| Notice {
            title: "The CRM does not take the watch".to_owned(),
            body: format!(
                "{failure}\n{}\nIt is tried again every 15 minutes. Nothing is lost: the scheduled \
                 reconciliation finds what the watch would have told sooner.",
                advice(&failure)
            ),
        });
        self.inner
            .store
            .write("watch failed", move |tx| {
                watches::failed(tx, &id, next, tell)?;
                let cause = Cause { delivery: None, run: None };
                match &notice {
                    Some(notice) => engine.tell_admins(tx, &id, notice, cause, now),
                    None => Ok(()),
                }
            })
            .await?;
        if tell {
            self.wake_outbox(host.id());
        }
        Ok(next)
    }

    /// Begins the listing that a notification asked for, not more often than every
    /// [`LISTING_EVERY`]. Answers when to come back for one.
    async fn serve_listing(
        &self,
        organization: &OrgId,
        kept: &Kept,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (id, now) = (organization.clone(), self.now());
        let Some(asked) = kept.asked_at else { return Ok(None) };
        let due = kept.listed_at.map_or(asked, |last| asked.max(last + LISTING_EVERY));
        if due > now {
            return Ok(Some(due));
        }
        let still = self
            .inner
            .store
            .write("watch listing", move |tx| {
                let (run, _) = runs::open(tx, &id, None, Trigger::Schedule, now)?;
                // One that reads already may have passed what the notification is about.
                let state = runs::get(tx, run)?.map(|run| run.state);
                let still = state == Some(RunState::Reading);
                watches::listing(tx, &id, now, still)?;
                Ok(still)
            })
            .await?;
        self.wake(&Desk::Runs(organization.clone()));
        Ok(Some(if still { now + LISTING_EVERY } else { now }))
    }

    fn terms(&self, host: &Host, watch: &Watch) -> Terms {
        let url = &self.inner.settings.public_url;
        let notify_url =
            format!("{}/webhooks/{}", url.as_str().trim_end_matches('/'), watch.source);
        Terms {
            channel: self.watch_channel(host),
            token: self.watch_token(host, watch),
            words: format!("{notify_url} {}", watch.events.join(" ")),
            notify_url,
        }
    }

    /// The organization's channel: another store takes another, so that two bridges at one CRM do
    /// not take each other's.
    fn watch_channel(&self, host: &Host) -> String {
        const DIGITS: usize = 15;
        let keyed = self.keyed("crm watch channel", &[host.id().as_str()]);
        let number = keyed.get(..DIGITS).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        (CHANNEL_BASE + number.unwrap_or_default() % (9 * CHANNEL_BASE)).to_string()
    }

    /// The token that the organization's notifications echo: random to everybody without the
    /// store's key, and no secret of the operator.
    fn watch_token(&self, host: &Host, watch: &Watch) -> String {
        let mut token = self.keyed("crm watch token", &[host.id().as_str(), &watch.source]);
        token.truncate(TOKEN_CHARS);
        token
    }

    /// The organization whose watch posts to `source` by this channel.
    pub(super) fn watched_by(&self, source: &str, channel: &str) -> Option<&Host> {
        self.inner.hosts.values().find(|host| {
            host.settings.watch.as_ref().is_some_and(|watch| watch.source == source)
                && self.watch_channel(host) == channel
        })
    }

    /// Whether a notification that came to `source` echoes the token of its channel. Compared in
    /// constant time.
    pub fn knows_echo(&self, source: &str, echo: &Echo) -> bool {
        let expected = self.watched_by(source, &echo.channel).and_then(|host| {
            let watch = host.settings.watch.as_ref()?;
            Some(self.watch_token(host, watch))
        });
        expected.is_some_and(|token| {
            !token.is_empty() && bool::from(token.as_bytes().ct_eq(echo.token.as_bytes()))
        })
    }
}

/// What an administrator can do about it.
fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unauthorized { .. } => {
            "The refresh token needs the scope ZohoCRM.notifications.ALL: make a new one with it, \
             or remove `organizations.watch`."
        }
        Failure::Refused { .. } => {
            "Check `organizations.watch.events`: not every CRM can watch `Users`; a record module \
             such as \"Contacts.all\" works everywhere. And check that `server.public_url` is what \
             Zoho can reach."
        }
        _ => "Check that the CRM can be reached from here.",
    }
}
