//! What one transaction or one run may do to people: invite, take away, note as gone.
//!
//! Deliberately absent: the rules, which are `logic::guard`'s; here they meet what is in the store.

use std::collections::BTreeSet;

use super::outlook::Closed;
use super::{Engine, Host};
use crate::domain::letter::Notice;
use crate::domain::plan::Hold;
use crate::domain::policy::Limits;
use crate::domain::{CrmUserId, MembershipId, OrgId, Timestamp};
use crate::logic::guard::{Trip, check};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, ledger, removals, told};

/// Matters that administrators are told of once for each trip, by hints and runs alike: whose removal
/// is held (CRM ids), …
pub(super) const HELD_REMOVALS: &str = "held removals";

/// … that invitations are, …
pub(super) const HELD_INVITATIONS: &str = "held invitations";

/// … and that too many people are missing from Cliq.
pub(super) const HELD_VANISHING: &str = "held vanishing";

/// What is noted of the latter two: how many it is changes by the minute.
pub(super) const HELD: &str = "held";

/// People named in one notice; the rest is a number.
const NAMED_MAX: usize = 20;

/// The removal guard of one organization, as it stands in this transaction.
pub(super) struct Guard {
    limits: Limits,
    organization: OrgId,
    from: Timestamp,
    /// Read when first asked: most transactions take nothing away from anybody.
    known: Option<Known>,
    /// No API takes anybody out here: who is told to the administrators counts.
    by_hand: bool,
    /// Set when a whole run would trip it: then nobody new passes, whatever fits.
    closed: Option<Trip>,
    /// An operator approved what is asked for next.
    open: bool,
    held: BTreeSet<MembershipId>,
    trip: Option<Trip>,
}

/// What one transaction may do to people: each of the three is counted over the guard's window.
pub(super) struct Bounds {
    /// Invitations.
    pub(super) invitations: Allowance,
    /// What takes access away.
    pub(super) removals: Guard,
    /// People taken for gone, because two complete listings did not show them.
    pub(super) vanishing: Allowance,
    /// What only an administrator can do, a line each.
    pub(super) by_hand: Vec<String>,
    /// What nobody has approved yet: the first run, or what the configuration means for people now.
    pub(super) unapproved: Option<Hold>,
    open: bool,
}

impl Bounds {
    /// Lets everything pass, because an operator approved it; or no more. In memory alone: nothing
    /// is left open by a crash.
    pub(super) fn open(&mut self, open: bool) {
        self.open = open;
        self.invitations.open = open;
        self.removals.open = open;
        self.vanishing.open = open;
    }

    /// What holds a webhook or a run over one person back, as it holds whole runs; `None` for whom an
    /// operator approved.
    pub(super) fn hold(&self) -> Option<&Hold> {
        self.unapproved.as_ref().filter(|_| !self.open)
    }

    /// Closes what a look at the whole run found to be too much.
    pub(super) fn close(&mut self, closed: Closed) {
        if closed.invitations {
            self.invitations.left = 0;
        }
        if closed.vanishing {
            self.vanishing.left = 0;
        }
        self.removals.closed = closed.removals.or(self.removals.closed);
    }

    /// How many were held back so far, of each kind.
    pub(super) fn held(&self) -> [usize; 3] {
        [self.invitations.held(), self.removals.held().len(), self.vanishing.held()]
    }

    /// Why the last person was held back, if one was.
    pub(super) fn held_since(&self, before: [usize; 3]) -> Option<String> {
        let [invitations, removals, vanishing] = self.held();
        let why = if invitations > before[0] {
            "guard.max_invites would be passed within the window".to_owned()
        } else if removals > before[1] {
            self.removals.trip.map(Trip::sentence).unwrap_or_default()
        } else if vanishing > before[2] {
            "more people are missing from Cliq than guard.max_removals allows".to_owned()
        } else {
            return None;
        };
        Some(why)
    }
}

/// How many more people something may happen to within the window.
pub(super) struct Allowance {
    left: usize,
    held: usize,
    open: bool,
}

impl Allowance {
    /// This many more.
    pub(super) fn of(left: usize) -> Self {
        Self { left, held: 0, open: false }
    }

    /// Whether `wanted` more fit.
    pub(super) fn fits(&self, wanted: usize) -> bool {
        wanted <= self.left
    }

    /// How many were held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self) -> bool {
        if self.left == 0 && !self.open {
            self.held += 1;
            return false;
        }
        self.left = self.left.saturating_sub(1);
        true
    }
}

struct Known {
    counted: BTreeSet<MembershipId>,
    owned: BTreeSet<MembershipId>,
}

impl Engine {
    /// What may happen to people of the organization as of `now`.
    pub(super) fn bounds(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        now: Timestamp,
    ) -> Result<Bounds, StoreError> {
        let limits = self.inner.settings.limits;
        let from = now - limits.window;
        let less = |max: u32, used: usize| usize_of(max).saturating_sub(used);
        let invited = usize_of(ledger::invited_since(tx, organization, from)?);
        let vanished = removals::vanished(tx, organization, from)?;
        let host = self.host(organization);
        let mut removals = self.guard(organization, now);
        removals.by_hand = host.is_some_and(|host| !host.policy.portal_adds);
        if self.is_unapproved(tx, organization)? {
            removals.closed = Some(Trip::Unapproved);
        }
        let unapproved = host.map_or(Ok(None), |host| self.whole_hold(tx, host))?;
        Ok(Bounds {
            invitations: Allowance::of(less(limits.max_invites, invited)),
            removals,
            vanishing: Allowance::of(less(limits.max_removals, vanished)),
            by_hand: Vec::new(),
            unapproved,
            open: false,
        })
    }

    /// Says what is held back from webhooks and from a run over one person, once for each trip: a run
    /// that holds the same says nothing more.
    pub(super) fn tell_bounds(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.tell_guard(tx, host, &bounds.removals, now)?;
        let held = bounds.invitations.held();
        if held > 0 {
            let notice = Notice {
                title: format!("Invitations of {} are held back", host.id()),
                body: format!(
                    "{held} people are waiting because `guard.max_invites` ({}) would be passed \
                     within the guard's window. If that is meant, approve the next run over the \
                     organization (cliqbridge plan --organization {} shows it); if not, check \
                     `scope`.",
                    self.inner.settings.limits.max_invites,
                    host.id()
                ),
            };
            self.tell_once(tx, host.id(), (HELD_INVITATIONS, HELD), &notice, now)?;
        }
        self.tell_vanishing(tx, host, bounds, now)
    }

    /// Says who is missing from Cliq in numbers, and who is to be taken out by hand.
    pub(super) fn tell_vanishing(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if bounds.vanishing.held() > 0 {
            let notice = Notice {
                title: format!("People of {} are missing from Cliq", host.id()),
                body: format!(
                    "{} people more than `guard.max_removals` ({}) allows within the window are in \
                     no part of two complete listings of Cliq. They are not noted as gone: a short \
                     listing must not stick. Look into Cliq (Admin panel, Users) whether they are \
                     there.",
                    bounds.vanishing.held(),
                    self.inner.settings.limits.max_removals
                ),
            };
            self.tell_once(tx, host.id(), (HELD_VANISHING, HELD), &notice, now)?;
        }
        if bounds.by_hand.is_empty() {
            return Ok(());
        }
        let notice = by_hand(host.id(), &bounds.by_hand, now);
        self.tell_admins(tx, host.id(), &notice, Cause::default(), now)
    }

    /// The removal guard as of `now`.
    pub(super) fn guard(&self, organization: &OrgId, now: Timestamp) -> Guard {
        Guard {
            limits: self.inner.settings.limits,
            organization: organization.clone(),
            from: now - self.inner.settings.limits.window,
            known: None,
            by_hand: false,
            closed: None,
            open: false,
            held: BTreeSet::new(),
            trip: None,
        }
    }

    /// Says that removals are held back, once for each trip. Whoever is held later in the same trip is
    /// written down beside those who were told of, for the run that holds them all.
    pub(super) fn tell_guard(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        guard: &Guard,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let told_at_start = |trip: &Trip| *trip == Trip::Unapproved;
        let trip = guard.trip.filter(|trip| !guard.held.is_empty() && !told_at_start(trip));
        let Some(trip) = trip else { return Ok(()) };
        let known = told::last(tx, host.id(), HELD_REMOVALS)?;
        let mut held: BTreeSet<CrmUserId> = known.as_deref().map(told_of).unwrap_or_default();
        for id in &guard.held {
            held.extend(ledger::get(tx, *id)?.map(|row| row.crm_user_id));
        }
        told::note(tx, host.id(), HELD_REMOVALS, &in_words(&held))?;
        if known.is_some() {
            return Ok(());
        }
        let notice = Notice {
            title: format!("Removals of {} are held back", host.id()),
            body: format!(
                "{}. Nobody of them was touched; invitations go on. If these people are to go, \
                 approve the next run over the organization (cliqbridge plan --organization {} \
                 shows it); if not, check `scope` and the CRM.",
                trip.sentence(),
                host.id()
            ),
        };
        self.tell_admins(tx, host.id(), &notice, Cause::default(), now)
    }
}

/// The people whom a note of [`HELD_REMOVALS`] names.
pub(super) fn told_of(note: &str) -> BTreeSet<CrmUserId> {
    note.split_whitespace().map(CrmUserId::new).collect()
}

/// Such a note.
pub(super) fn in_words(people: &BTreeSet<CrmUserId>) -> String {
    people.iter().map(CrmUserId::as_str).collect::<Vec<_>>().join(" ")
}

/// One notice for everybody whom only an administrator can take out or block.
fn by_hand(organization: &OrgId, lines: &[String], now: Timestamp) -> Notice {
    let named = lines.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    let rest = match lines.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    Notice {
        title: format!(
            "To remove or block in CRM Plus: {} of {organization}, {}",
            lines.len(),
            now.to_utc().format("%Y-%m-%d %H:%M UTC")
        ),
        body: format!(
            "CRM does not list these people as active any more, and in observe mode no API takes \
             anybody out. CRM Plus, Admin panel, Users:\n{named}{rest}\nCliq follows CRM Plus; the \
             bridge sees it with its next listing."
        ),
    }
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Guard {
    /// Whether access may be taken from this person now. Counts the person if so.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn admits(&mut self, tx: &Tx<'_>, person: MembershipId) -> Result<bool, StoreError> {
        let (closed, open, limits) = (self.closed, self.open, self.limits);
        let known = self.known(tx)?;
        if open || known.counted.contains(&person) {
            known.counted.insert(person);
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
        self.closed = self.closed.or(verdict.err().filter(|_| fresh > 0));
        Ok(self.closed.filter(|_| fresh > 0))
    }

    /// Whether the person is counted within the window already.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn counts(&mut self, tx: &Tx<'_>, person: MembershipId) -> Result<bool, StoreError> {
        Ok(self.known(tx)?.counted.contains(&person))
    }

    /// How many are counted, how many are ours, and how many of these people would be new.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn weigh(
        &mut self,
        tx: &Tx<'_>,
        people: &BTreeSet<MembershipId>,
    ) -> Result<(usize, usize, usize), StoreError> {
        let known = self.known(tx)?;
        let fresh = people.difference(&known.counted).count();
        Ok((known.counted.len(), known.of(), fresh))
    }

    /// Who was held back.
    pub(super) fn held(&self) -> &BTreeSet<MembershipId> {
        &self.held
    }

    fn counted(&self, tx: &Tx<'_>) -> Result<BTreeSet<MembershipId>, StoreError> {
        let mut counted = removals::counted(tx, &self.organization, self.from)?;
        if self.by_hand {
            counted.extend(removals::staged(tx, &self.organization, self.from)?);
        }
        Ok(counted)
    }

    fn known(&mut self, tx: &Tx<'_>) -> Result<&mut Known, StoreError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => Known {
                counted: self.counted(tx)?,
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
