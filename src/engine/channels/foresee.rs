//! What a run is about to do to one person's channels: the decisions of `settle`, not written.

use super::settle::has_left;
use crate::domain::channel::{Guest, GuestState, Way};
use crate::domain::plan::Deed;
use crate::domain::{GuestId, Membership};
use crate::engine::Engine;
use crate::engine::apply::Look;
use crate::logic::channels::ChannelStep;
use crate::logic::plan::Verdict;
use crate::store::{StoreError, Tx, outbox};

/// One change of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Foreseen {
    /// What is done.
    pub(in crate::engine) deed: Deed,
    /// In which channel.
    pub(in crate::engine) channel: String,
    /// Why.
    pub(in crate::engine) reason: String,
    /// The state that the person has in the channel.
    pub(in crate::engine) before: Option<String>,
    /// The state that follows.
    pub(in crate::engine) after: GuestState,
    /// It mails somebody an invitation.
    pub(in crate::engine) invites: bool,
    /// The same waits in the outbox already.
    pub(in crate::engine) under_way: bool,
}

impl Engine {
    /// What `settle_guests` would do with the person as the membership would stand.
    pub(in crate::engine) fn foresee_guests(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        row: Option<&Membership>,
        verdict: &Verdict,
    ) -> Result<Vec<Foreseen>, StoreError> {
        let mut all = Vec::new();
        for planned in self.plan_guests(tx, look, row, verdict)? {
            let before = planned.before.as_ref();
            let guest = before.map_or(GuestId(0), |guest| guest.id);
            let of = |deed: Deed, after: GuestState, invites: bool| -> Result<_, StoreError> {
                Ok(Foreseen {
                    deed,
                    channel: planned.channel.clone(),
                    reason: planned.decision.verdict.sentence(),
                    before: before.and_then(shown),
                    after,
                    invites,
                    under_way: outbox::waits_for_guest(tx, guest, deed.as_str())?,
                })
            };
            if has_left(before, &planned.decision) {
                all.push(of(Deed::NoteGoneFromChannel, GuestState::Left, false)?);
            }
            match planned.decision.step {
                Some(ChannelStep::Add(Way::Invitation)) => {
                    all.push(of(Deed::ChannelAdd, GuestState::Invited, !planned.silent)?);
                }
                Some(ChannelStep::Add(Way::Direct)) => {
                    all.push(of(Deed::ChannelAdd, GuestState::Joined, false)?);
                }
                // Nobody is taken out whom the guard cannot count.
                Some(ChannelStep::Remove) if row.is_some() => {
                    all.push(of(Deed::ChannelRemove, GuestState::Removed, false)?);
                }
                Some(ChannelStep::Remove) | None => {}
            }
        }
        Ok(all)
    }
}

/// The state as a plan shows it. Whoever is only wanted is not there yet, so that a row of an earlier
/// look makes no difference.
fn shown(guest: &Guest) -> Option<String> {
    (guest.state != GuestState::Wanted).then(|| guest.state.as_str().to_owned())
}
