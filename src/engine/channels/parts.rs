//! What the parts of a refused call have come to, so that a refusal of everybody is told from one of
//! a few people before each of them was tried.
//!
//! Deliberately absent: the parts themselves, which are in the store. This is forgotten with the
//! process; that costs one more call.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::batch::Call;
use crate::domain::{GuestId, OrgId};

/// An organization and one of its channels.
type Place = (OrgId, String);

/// The last person of each channel who was refused alone after a refusal of several, with the code.
#[derive(Default)]
pub(in crate::engine) struct Parts(Mutex<BTreeMap<Place, (String, GuestId)>>);

impl Parts {
    /// Notes that one person was refused alone. Answers who was refused so before, with the same code
    /// and nobody accepted since.
    pub(super) fn refused(
        &self,
        organization: &OrgId,
        call: &Call,
        code: &str,
        guest: GuestId,
    ) -> Option<GuestId> {
        if !call.parted {
            return None;
        }
        let place = (organization.clone(), call.channel.clone());
        let before = self.0.lock().ok()?.insert(place, (code.to_owned(), guest))?;
        (before.0 == code && before.1 != guest).then_some(before.1)
    }

    /// Forgets it: somebody was accepted, or another call begins.
    pub(super) fn forget(&self, organization: &OrgId, call: &Call) {
        if let Ok(mut known) = self.0.lock() {
            known.remove(&(organization.clone(), call.channel.clone()));
        }
    }
}
