//! The audit of an operator's resync: who asked for which run.
//!
//! Deliberately absent: what schedules ask for; that is not worth a step.

use super::resync::Asked;
use crate::domain::{OrgId, RunId, Timestamp};
use crate::store::audit::Command;
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx};

impl Asked {
    /// Writes an operator's wish down. Whom it is about stays out: the run names the person for as
    /// long as it is kept.
    pub(super) fn note(
        &self,
        tx: &Tx<'_>,
        organization: Option<&OrgId>,
        run: RunId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(by) = &self.by else { return Ok(()) };
        let whom = if self.user.is_some() { "one person of " } else { "" };
        let what = organization.map_or("everything", OrgId::as_str);
        let reason = format!("A resync of {whom}{what} was asked for.");
        let command = Command {
            organization,
            cause: Cause { delivery: None, run: Some(run) },
            ..Command::by(by, "resync_asked", &reason)
        };
        command.record(tx, now)
    }
}
