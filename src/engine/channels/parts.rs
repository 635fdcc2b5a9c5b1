//! What the parts of a refused call have come to, so that a refusal of everybody is told from one of
//! a few people: only when each of them was refused alone, and nobody got in.
//!
//! Deliberately absent: the parts themselves, which are in the store. This is forgotten with the
//! process; then each is parked with their own cause, and nothing is said of everybody.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::domain::{GuestId, OrgId};

/// An organization and one of its channels.
type Place = (OrgId, String);

/// The refused calls that are being taken apart, one for each channel.
#[derive(Default)]
pub(in crate::engine) struct Parts(Mutex<BTreeMap<Place, Tried>>);

/// What has become of the people of one refused call so far.
#[derive(Default)]
struct Tried {
    /// Who was refused alone, with the code.
    refused: Vec<(String, GuestId)>,
    /// Somebody fared otherwise.
    mixed: bool,
}

impl Parts {
    fn with<T>(&self, place: &Place, change: impl FnOnce(&mut Tried) -> T) -> Option<T> {
        self.0.lock().ok()?.get_mut(place).map(change)
    }

    /// A call for several was refused, and no part of an earlier one is left.
    pub(super) fn begin(&self, organization: &OrgId, channel: &str) {
        if let Ok(mut all) = self.0.lock() {
            all.insert((organization.clone(), channel.to_owned()), Tried::default());
        }
    }

    /// One person was refused alone.
    pub(super) fn alone(&self, organization: &OrgId, channel: &str, code: &str, guest: GuestId) {
        let place = (organization.clone(), channel.to_owned());
        self.with(&place, |tried| tried.refused.push((code.to_owned(), guest)));
    }

    /// Somebody got in, or may have.
    pub(super) fn mixed(&self, organization: &OrgId, channel: &str) {
        let place = (organization.clone(), channel.to_owned());
        self.with(&place, |tried| tried.mixed = true);
    }

    /// No part is left. Answers who was refused, if that was everybody, with the same code.
    pub(super) fn end(&self, organization: &OrgId, channel: &str) -> Option<Vec<GuestId>> {
        let place = (organization.clone(), channel.to_owned());
        let tried = self.0.lock().ok()?.remove(&place)?;
        let (first, _) = tried.refused.first()?;
        let alike = tried.refused.iter().all(|(code, _)| code == first);
        let all = !tried.mixed && alike && tried.refused.len() > 1;
        all.then(|| tried.refused.into_iter().map(|(_, guest)| guest).collect())
    }
}
