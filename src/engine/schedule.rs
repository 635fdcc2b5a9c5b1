//! What the schedules ask for: reconciliation, the plan poll, the digest, the CRM watch.
//!
//! Each organization has its own ticks, so that one that hangs delays no other. A tick missed while
//! the daemon was down runs once; one that comes while its last run still goes is skipped and
//! counted; a schedule that never ran does not fire at start. Deliberately absent: cron's
//! arithmetic, which is `logic::schedule`.

use super::{Asked, Engine, Host, Step};
use crate::domain::run::Trigger;
use crate::domain::{OrgId, Timestamp};
use crate::logic::schedule;
use crate::store::{StoreError, runs, ticks};

/// A job with a schedule of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Reconcile,
    PollPlan,
    Digest,
}

impl Job {
    const ALL: [Self; 3] = [Self::PollPlan, Self::Reconcile, Self::Digest];

    /// The word stored.
    fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::PollPlan => "poll_plan",
            Self::Digest => "digest",
        }
    }
}

impl Engine {
    /// Does the organization's next due job, if one is.
    pub(super) async fn tick_schedule(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let mut next: Option<Timestamp> = self.keep_watch(host).await?;
        for job in Job::ALL {
            let Some(at) = self.due(organization, job).await? else { continue };
            if at <= self.now() {
                self.carry_out(host, job).await?;
                return Ok(Step::Worked);
            }
            next = next.into_iter().chain([at]).min();
        }
        Ok(Step::Idle(next))
    }

    /// When the job is due: the first of its times after it last ran.
    async fn due(&self, organization: &OrgId, job: Job) -> Result<Option<Timestamp>, StoreError> {
        let settings = &self.inner.settings.schedule;
        let times = match job {
            Job::Reconcile => Some(&settings.reconcile),
            Job::PollPlan => Some(&settings.poll_plan),
            Job::Digest => settings.digest.as_ref(),
        };
        let Some(times) = times else { return Ok(None) };
        let (id, now) = (organization.clone(), self.now());
        let last = self
            .inner
            .store
            .write("tick", move |tx| ticks::last(tx, id.as_str(), job.as_str(), now))
            .await?;
        // A clock that was set back must not silence the schedule until it has caught up.
        Ok(schedule::next(times, settings.time_zone, last.min(now)))
    }

    async fn carry_out(&self, host: &Host, job: Job) -> Result<(), StoreError> {
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
        };
        let (id, now) = (host.id().clone(), self.now());
        self.inner
            .store
            .write("tick", move |tx| ticks::note(tx, id.as_str(), job.as_str(), now, skipped))
            .await
    }

    /// Opens a run over the organization, unless one is going on. False if one is.
    pub(super) async fn reconcile(&self, organization: &OrgId) -> Result<bool, StoreError> {
        let id = organization.clone();
        if self.inner.store.read(move |tx| runs::is_open(tx, &id)).await? {
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
