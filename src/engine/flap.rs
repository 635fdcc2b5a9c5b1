//! Who goes and comes in turns: taken out by the bridge and wanted again, over and over (I5).
//!
//! The next add is held until an operator resyncs or resends the person, or the window has passed.
//! Deliberately absent: restrictions that come and go with a deactivation; they are undone as they
//! were done and bring nobody a mail.

use std::time::Duration;

use super::Engine;
use super::apply::{Look, invites};
use crate::domain::letter::Notice;
use crate::domain::membership::{Membership, State};
use crate::logic::plan::{Decision, Verdict};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, ledger, removals, told};

/// Removals of one person within the window after which nobody believes the next coming.
const TAKEN_OUT_MAX: u32 = 2;

/// How far back removals are counted: longer than two rounds of grace, removal and cooldown.
pub(super) const WINDOW: Duration = Duration::from_hours(30 * 24);

/// Takes the add out of a decision for somebody who was taken out too often; the person stays as
/// before. An operator who asks for this very person is believed.
pub(super) fn hold_flapping(
    tx: &Tx<'_>,
    look: &Look<'_>,
    known: Option<&Membership>,
    decision: &mut Decision,
) -> Result<(), StoreError> {
    let Some(known) = known.filter(|row| is_out(row) && !look.rearm) else { return Ok(()) };
    if !decision.steps.iter().copied().any(invites)
        || removals::times_taken_out(tx, known.id, look.now - WINDOW)? < TAKEN_OUT_MAX
    {
        return Ok(());
    }
    decision.steps.clear();
    // Nothing but who it is comes from the new row.
    let seen = decision.ledger.take().map(|row| Membership {
        crm_user_id: row.crm_user_id,
        zuid: row.zuid,
        email: row.email,
        suspected_at: None,
        absent_since: None,
        ..known.clone()
    });
    decision.ledger = seen.filter(|seen| seen != known);
    decision.verdict = Verdict::Flapping;
    Ok(())
}

impl Engine {
    /// Says it once for each removal that went before.
    pub(super) fn tell_flapping(&self, tx: &Tx<'_>, look: &Look<'_>) -> Result<(), StoreError> {
        let organization = look.host.id();
        let Some(row) = ledger::by_user(tx, organization, look.user)? else { return Ok(()) };
        let about = row.since.millis().to_string();
        if !told::note(tx, organization, &format!("flapping {}", row.id), &about)? {
            return Ok(());
        }
        tracing::warn!(%organization, membership = %row.id, "goes and comes in turns: held");
        let notice = Notice {
            title: format!("{} of {organization} goes and comes in turns", row.id),
            body: format!(
                "The bridge took this person out {TAKEN_OUT_MAX} times within {} days because CRM did \
                 not list them, and now CRM lists them again. They are not invited again by \
                 themselves. Find out what adds and deletes CRM user {}; then resync the person.",
                WINDOW.as_secs() / 86_400,
                look.user
            ),
        };
        self.tell_admins(tx, organization, &notice, Cause::default(), look.now)
    }
}

fn is_out(row: &Membership) -> bool {
    matches!(row.state, State::Removed | State::RemovalStaged)
}
