//! What the schedules ask for: reconciliation, the plan poll, the digest, the CRM watch, and the
//! pruning of the store.
//!
//! Each organization has its own ticks, so that one that hangs delays no other. A tick missed while
//! the daemon was down runs once; one that comes while its last run still reads, or has something to do
//! at once, is skipped and counted; a schedule that never ran does not fire at start. Only the plan is
//! read once at the first start: what is seen first is what a downgrade is told by. Deliberately absent: cron's
//! arithmetic and the delays, which are `logic::schedule`; the invitation clock, which knows of each
//! invitation when it is due.

use std::time::Duration;

use super::{Asked, Engine, Host, Step, flap};
use crate::domain::run::Trigger;
use crate::domain::{Failure, OrgId, Timestamp};
use crate::logic::schedule::{self, Delay, Due};
use crate::store::{StoreError, Tx, plans, prune, runs, ticks};

/// The stored word of the reconciliation.
pub(super) const RECONCILE: &str = "reconcile";

/// When a reading of the plan that was asked for and failed is tried again.
const PLAN_AGAIN: Duration = Duration::from_mins(15);

/// Whose jobs of the whole store are.
const EVERYBODY: &str = "";

/// A job with a schedule of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Reconcile,
    PollPlan,
    Digest,
    Prune,
}

impl Job {
    /// Those that each organization has.
    const OF_ORGANIZATIONS: [Self; 3] = [Self::PollPlan, Self::Reconcile, Self::Digest];

    /// The word stored.
    fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => RECONCILE,
            Self::PollPlan => "poll_plan",
            Self::Digest => "digest",
            Self::Prune => "prune",
        }
    }
}

impl Engine {
    /// Does the organization's next due job, if one is.
    pub(super) async fn tick_schedule(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let (has_read, plan_due) = self.read_plan_if_asked(host).await?;
        if has_read {
            return Ok(Step::Worked);
        }
        let mut next = self.keep_watch(host).await?.into_iter().chain(plan_due).min();
        for job in Job::OF_ORGANIZATIONS {
            let Some(due) = self.due(organization.as_str(), job).await? else { continue };
            if due.at <= self.now() {
                self.carry_out(host, job, due).await?;
                return Ok(Step::Worked);
            }
            next = next.into_iter().chain([due.at]).min();
        }
        Ok(Step::Idle(next))
    }

    /// Reads the plan once at an organization's first start, and when an event asks for it, until there
    /// is an answer: what was asked for is evidence that comes only once. True if it has read; else when to.
    async fn read_plan_if_asked(
        &self,
        host: &Host,
    ) -> Result<(bool, Option<Timestamp>), StoreError> {
        let (id, now) = (host.id().clone(), self.now());
        let asked = self.inner.store.read(move |tx| plans::reading_asked(tx, &id)).await?;
        let Some(asked) = asked else { return Ok((false, None)) };
        // What lies farther ahead was put off before the clock was set back.
        if asked > now && asked <= now + PLAN_AGAIN {
            return Ok((false, Some(asked)));
        }
        // What is refused goes on being refused: the schedule asks again, as before.
        let passes = |failure: &Failure| {
            matches!(failure, Failure::Transient { .. } | Failure::Throttled { .. })
        };
        let failed = self.poll_plan(host).await?.err();
        let again = failed.filter(passes).map(|_| self.now() + PLAN_AGAIN);
        let id = host.id().clone();
        let note = move |tx: &Tx<'_>| plans::had_its_reading(tx, &id, asked, again);
        self.inner.store.write("read plan", note).await?;
        Ok((true, None))
    }

    /// Forgets what is older than `store.keep_days`, if it is time to. Answers when it is the next
    /// time; `None` is never.
    ///
    /// # Errors
    /// The store's.
    pub async fn tick_prune(&self) -> Result<Step, StoreError> {
        let next = self.due(EVERYBODY, Job::Prune).await?;
        let Some(due) = next.filter(|due| due.at <= self.now()) else {
            return Ok(Step::Idle(next.map(|due| due.at)));
        };
        let (now, settings) = (self.now(), &self.inner.settings);
        let older_than = now - settings.keep;
        // What a limit counts must outlive its window, however short the memory is.
        let counted = now - settings.keep.max(settings.limits.window).max(flap::WINDOW);
        let prune = move |tx: &Tx<'_>| prune::chunk(tx, older_than, counted);
        while self.inner.store.write("prune", prune).await? {}
        self.ticked(EVERYBODY, Job::Prune, due.served(self.now()), false).await?;
        Ok(Step::Worked)
    }

    /// When the job is due: the first of its ticks that has not had its turn.
    async fn due(&self, organization: &str, job: Job) -> Result<Option<Due>, StoreError> {
        let settings = &self.inner.settings.schedule;
        let times = match job {
            Job::Reconcile => Some(&settings.reconcile),
            Job::PollPlan => Some(&settings.poll_plan),
            Job::Digest => settings.digest.as_ref(),
            Job::Prune => Some(&settings.prune),
        };
        let Some(times) = times else { return Ok(None) };
        let (id, now) = (organization.to_owned(), self.now());
        let known = self.inner.store.read(move |tx| ticks::last(tx, &id, job.as_str())).await?;
        let served = known.filter(|last| *last <= now);
        if served.is_none() {
            // A schedule that never ran does not fire at start: it counts from now on. So does one that
            // ran under a clock that was set back since, which must not silence it until it has caught up.
            self.ticked(organization, job, now, false).await?;
        }
        let last = served.unwrap_or(now);
        let delay = Delay::of(organization, job.as_str(), settings.jitter);
        Ok(schedule::due(times, settings.time_zone, delay, last))
    }

    async fn carry_out(&self, host: &Host, job: Job, due: Due) -> Result<(), StoreError> {
        let skipped = match job {
            Job::Reconcile => !self.reconcile(host.id()).await?,
            Job::PollPlan => {
                // A failed read says nothing about the plan; the next tick asks again.
                let _ = self.poll_plan(host).await?;
                false
            }
            Job::Digest => {
                self.digest(host).await?;
                false
            }
            // Nobody's own.
            Job::Prune => return Ok(()),
        };
        // Ticks that came while it was carried out are skipped too.
        self.ticked(host.id().as_str(), job, due.served(self.now()), skipped).await
    }

    /// Notes up to when the job's ticks have had their turn.
    async fn ticked(
        &self,
        organization: &str,
        job: Job,
        served: Timestamp,
        skipped: bool,
    ) -> Result<(), StoreError> {
        let id = organization.to_owned();
        self.inner
            .store
            .write("tick", move |tx| ticks::note(tx, &id, job.as_str(), served, skipped))
            .await
    }

    /// Opens a run over the organization, unless one is going on. False if one is.
    pub(super) async fn reconcile(&self, organization: &OrgId) -> Result<bool, StoreError> {
        let (id, now) = (organization.clone(), self.now());
        if self.inner.store.read(move |tx| runs::is_busy(tx, &id, now)).await? {
            return Ok(false);
        }
        let asked = Asked { organization: Some(organization.to_string()), ..Asked::default() };
        match self.resync(asked, Trigger::Schedule).await {
            Ok(_) => Ok(true),
            Err(super::BadRequest::Store(error)) => Err(error),
            Err(error @ super::BadRequest::UnknownOrganization(_)) => {
                tracing::error!(%error, "a schedule without its organization");
                Ok(false)
            }
        }
    }
}
