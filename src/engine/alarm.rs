//! "No good run since": an alarm for what fails in silence (I15).
//!
//! It hangs on a desk that asks nobody outside, so that nothing which keeps a run from its end can
//! keep the alarm too. Deliberately absent: when it is due, which is `logic::alarm`'s.

use std::time::Duration;

use super::{Engine, Host, Step};
use crate::domain::letter::Notice;
use crate::domain::{OrgId, Timestamp};
use crate::logic::alarm::{self, GoodRun};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, boots, orgs, told};

/// What administrators are told about, by its name in the store.
const MATTER: &str = "no good run";

/// When the clock was first seen to be behind what was noted, by its name in the store.
const BEHIND: &str = "clock set back";

/// How long the clock has to run on before what is known of people is measured by it: one that is wrong
/// only until the time server has answered must not end a single grace.
const BEHIND_FOR: Duration = Duration::from_hours(1);

/// The runs of one organization, as an alarm sees them.
pub(super) struct Silence {
    /// The last good one.
    pub(super) last: Option<GoodRun>,
    /// Since when there was none: that, or since the organization is known.
    since: Timestamp,
    /// Whether that lies ahead: the clock was set back since.
    is_ahead: bool,
    /// When it becomes an alarm; `None` where no run is ever due.
    at: Option<Timestamp>,
}

impl Silence {
    /// Whether it is one.
    pub(super) fn is_alarm(&self, now: Timestamp) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

impl Engine {
    /// Does what is due by the clock alone.
    pub(super) async fn tick_clock(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let alarm = self.watch_runs(host).await?;
        let alarm = alarm.into_iter().chain(self.heed_people(host).await?).min();
        Ok(match self.tick_invitations(organization).await? {
            Step::Worked => Step::Worked,
            Step::Idle(next) => Step::Idle(next.into_iter().chain(alarm).min()),
        })
    }

    /// Measures what is known of people by a clock that was set back, once it has run on for a while.
    /// Answers when that will be.
    async fn heed_people(&self, host: &Host) -> Result<Option<Timestamp>, StoreError> {
        let (id, now) = (host.id().clone(), self.now());
        let seen = self.inner.store.read(move |tx| told::last(tx, &id, BEHIND)).await?;
        let Some(seen) = seen.and_then(|at| at.parse().ok()).map(Timestamp) else {
            return Ok(None);
        };
        let at = seen + BEHIND_FOR;
        if at > now {
            return Ok(Some(at));
        }
        let id = host.id().clone();
        let heed = move |tx: &Tx<'_>| {
            orgs::heed_clock_of_people(tx, &id, now)?;
            told::end(tx, &id, BEHIND)
        };
        self.inner.store.write("clock set back", heed).await?;
        Ok(None)
    }

    /// Raises the alarm when it is due, once per silence. Answers when it will be.
    async fn watch_runs(&self, host: &Host) -> Result<Option<Timestamp>, StoreError> {
        let (engine, id, now) = (self.clone(), host.id().clone(), self.now());
        let mut silence = self.inner.store.read(move |tx| engine.silence(tx, &id)).await?;
        if silence.is_ahead {
            let (engine, id) = (self.clone(), host.id().clone());
            let heed = move |tx: &Tx<'_>| {
                orgs::heed_clock(tx, &id, now)?;
                told::note(tx, &id, BEHIND, &now.millis().to_string())?;
                engine.silence(tx, &id)
            };
            silence = self.inner.store.write("clock set back", heed).await?;
        }
        if !silence.is_alarm(now) {
            return Ok(silence.at);
        }
        let (engine, id) = (self.clone(), host.id().clone());
        let about = silence.since.millis().to_string();
        let asked = about.clone();
        let known = self.inner.store.read(move |tx| told::last(tx, &id, MATTER)).await?;
        if known.is_some_and(|known| known == asked) {
            return Ok(None);
        }
        let organization = host.id().clone();
        let since = silence.since.to_rfc3339();
        tracing::warn!(%organization, since, "no good run since");
        let notice = Notice {
            title: format!("No good run of {organization} since {since}"),
            body: "No reconciliation has come to its plan since then: each has failed, hangs, or never \
                   began. Whatever webhooks lose stays lost meanwhile. Look at the last runs (`GET \
                   /api/v1/runs`, or the log) for the cause, and resync the organization."
                .to_owned(),
        };
        self.inner
            .store
            .write("no good run", move |tx| {
                if told::note(tx, &organization, MATTER, &about)? {
                    engine.tell_admins(tx, &organization, &notice, Cause::default(), now)?;
                }
                Ok(())
            })
            .await?;
        self.wake_outbox(host.id());
        Ok(None)
    }

    /// How long there was no good run of the organization.
    pub(super) fn silence(&self, tx: &Tx<'_>, id: &OrgId) -> Result<Silence, StoreError> {
        let settings = &self.inner.settings.schedule;
        let now = self.now();
        let last = orgs::good_run(tx, id)?.map(|(at, took)| GoodRun { at, took });
        let known_at = orgs::known_at(tx, id)?.unwrap_or(now);
        let since = last.map_or(known_at, |run| run.at);
        let due = alarm::due(&settings.reconcile, settings.time_zone, last, known_at);
        let at = match due {
            Some(due) => {
                let start = boots::first_between(tx, due.counts_starts_from(), now)?;
                Some(due.after(start))
            }
            None => None,
        };
        Ok(Silence { last, since, is_ahead: since > now, at })
    }
}
