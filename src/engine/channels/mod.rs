//! Mapped channels: who is invited, added, taken out, in batches (R41 to R59).
//!
//! `settle` plans in the transactions of others, `foresee` without writing, `runs` and (for a dry run)
//! `preview` read member lists, `places` knows the channels themselves, `batch`, `key` and `book` carry
//! out what was planned, `unread` lets wait what cannot be read. Deliberately absent: the rules, which
//! are `logic::channels`'.

mod batch;
mod book;
mod foresee;
mod inviter;
mod key;
mod parts;
mod places;
mod preview;
mod replan;
mod runs;
mod settle;
mod unread;
mod view;

use std::time::Duration;

pub(super) use inviter::Inviters;
pub(super) use parts::Parts;
pub(super) use preview::Preview;
pub(super) use runs::MemberLists;
pub use view::{ChannelView, GuestView};

use super::{Desk, Engine, Step};
use crate::domain::budget::Group;
use crate::domain::{OrgId, Timestamp};
use crate::store::{StoreError, guests, orgs, outbox};
use crate::zoho::CallError;

/// How long a batch waits when what has to be read before it could not be read.
const READ_AGAIN: Duration = Duration::from_mins(1);

/// The same when our credentials are not accepted.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// The same when Cliq or CRM refuses the read.
const REFUSED_AGAIN: Duration = Duration::from_mins(15);

/// When to read again after this error.
fn again(error: &CallError, now: Timestamp) -> Timestamp {
    match error {
        CallError::Throttled { until, .. } => (*until).max(now),
        CallError::Unauthorized { .. } | CallError::Forbidden { .. } => now + ASK_AGAIN,
        CallError::Refused { .. } => now + REFUSED_AGAIN,
        CallError::Transient { .. } | CallError::Incomplete { .. } | CallError::Unrecorded(_) => {
            now + READ_AGAIN
        }
    }
}

impl Engine {
    /// Takes one step, and rings for what it may have written: notices, and whatever waited behind a
    /// channel row.
    pub(super) async fn channels(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let step = self.one_batch(organization).await?;
        if matches!(step, Step::Worked) {
            self.wake(&Desk::Access(organization.clone()));
            self.wake(&Desk::Notices(organization.clone()));
            self.wake(&Desk::Letters);
        }
        Ok(step)
    }

    /// Looks for channels that somebody waits for and nobody has looked at, else carries out one batch
    /// of one channel.
    async fn one_batch(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let (id, boot, now) = (organization.clone(), self.inner.boot, self.now());
        let (is_frozen, awaited, due) = self
            .inner
            .store
            .read(move |tx| {
                let awaited = guests::awaited(tx, &id)?;
                let is_frozen = orgs::state(tx, &id)?.quarantined.is_some();
                Ok((is_frozen, awaited, outbox::next_batch_due(tx, &id, boot, now)?))
            })
            .await?;
        if is_frozen {
            // In quarantine: hints and runs are the probe, and a good read rings for this desk.
            return Ok(Step::Idle(None));
        }
        if self.is_unknown(host, &awaited).await? {
            return Ok(match self.resolve_channels(host).await? {
                Ok(()) => Step::Worked,
                Err(error) => {
                    tracing::warn!(%organization, %error, "the channels could not be listed");
                    Step::Idle(Some(again(&error, now)))
                }
            });
        }
        match due {
            Some(at) if at <= now => {}
            later => return Ok(Step::Idle(later)),
        }
        // Nothing is read for a batch that may not be sent yet.
        let free = host.account.gate().free_at(Group::MembersWrite);
        if free > now {
            return Ok(Step::Idle(Some(free)));
        }
        self.carry_out_batch(host).await
    }
}
