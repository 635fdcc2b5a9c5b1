//! What one transaction or one run may do to people: invite, take away, note as gone.
//!
//! Deliberately absent: the rules, which are `logic::guard`'s; here they meet what is in the store.

use std::collections::BTreeSet;

use super::{Engine, Host};
use crate::domain::letter::Notice;
use crate::domain::policy::Limits;
use crate::domain::{MembershipId, OrgId, Timestamp};
use crate::logic::guard::{Trip, check};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, removals};

/// The removal guard of one organization, as it stands in this transaction.
pub(super) struct Guard {
    limits: Limits,
    organization: OrgId,
    from: Timestamp,
    /// Read when first asked: most transactions take nothing away from anybody.
    known: Option<Known>,
    /// Set when a whole run would trip it: then nobody new passes, whatever fits.
    closed: Option<Trip>,
    held: BTreeSet<MembershipId>,
    trip: Option<Trip>,
}

struct Known {
    counted: BTreeSet<MembershipId>,
    owned: BTreeSet<MembershipId>,
}

impl Engine {
    /// The guard as of `now`.
    pub(super) fn guard(&self, organization: &OrgId, now: Timestamp) -> Guard {
        Guard {
            limits: self.inner.settings.limits,
            organization: organization.clone(),
            from: now - self.inner.settings.limits.window,
            known: None,
            closed: None,
            held: BTreeSet::new(),
            trip: None,
        }
    }

    /// Says, once a day, that removals are held back.
    pub(super) fn tell_guard(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        guard: &Guard,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(trip) = guard.trip.filter(|_| !guard.held.is_empty()) else { return Ok(()) };
        let notice = Notice {
            title: format!("Removals of {} are held back", host.id()),
            body: format!(
                "{}. Nobody of them was touched; invitations go on. If these people are to go, \
                 raise `guard.max_removals` or `guard.max_percent` and resync the organization; if \
                 not, check `scope` and the CRM.",
                trip.sentence()
            ),
        };
        self.tell_admins(tx, host.id(), &notice, Cause::default(), now)
    }
}

impl Guard {
    /// Whether access may be taken from this person now. Counts the person if so.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn admits(&mut self, tx: &Tx<'_>, person: MembershipId) -> Result<bool, StoreError> {
        let closed = self.closed;
        let limits = self.limits;
        let known = self.known(tx)?;
        if known.counted.contains(&person) {
            return Ok(true);
        }
        let verdict = match closed {
            Some(trip) => Err(trip),
            None => check(&limits, known.counted.len() + 1, known.of()),
        };
        match verdict {
            Ok(()) => {
                known.counted.insert(person);
                Ok(true)
            }
            Err(trip) => {
                self.held.insert(person);
                self.trip = Some(trip);
                Ok(false)
            }
        }
    }

    /// Closes the guard for a run that would take access from all of these people, if that is too
    /// much as a whole.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn close_over(
        &mut self,
        tx: &Tx<'_>,
        people: &BTreeSet<MembershipId>,
    ) -> Result<Option<Trip>, StoreError> {
        let limits = self.limits;
        let known = self.known(tx)?;
        let fresh = people.difference(&known.counted).count();
        let verdict = check(&limits, known.counted.len() + fresh, known.of());
        self.closed = verdict.err().filter(|_| fresh > 0);
        Ok(self.closed)
    }

    /// Closes the guard as an earlier look at the whole run decided.
    pub(super) fn close(&mut self, trip: Option<Trip>) {
        self.closed = trip;
    }

    /// Who was held back.
    pub(super) fn held(&self) -> &BTreeSet<MembershipId> {
        &self.held
    }

    fn known(&mut self, tx: &Tx<'_>) -> Result<&mut Known, StoreError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => Known {
                counted: removals::counted(tx, &self.organization, self.from)?,
                owned: removals::owned(tx, &self.organization)?,
            },
        };
        Ok(self.known.insert(known))
    }
}

impl Known {
    /// How many were ours when the window began: those who are, and those who went within it.
    fn of(&self) -> usize {
        self.owned.union(&self.counted).count()
    }
}
