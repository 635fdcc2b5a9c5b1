//! From hints to intentions: read the people fresh, plan, and queue, in one transaction each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::apply::Look;
use super::facts::{ReadError, Sides, listing_is_cheaper};
use super::quarantine::FailedRead;
use super::{Engine, Host, Step};
use crate::domain::letter::Notice;
use crate::domain::policy::OrgState;
use crate::domain::{
    CrmUser, Disposition, HintKind, MembershipId, OrgId, Standing, State, Timestamp,
};
use crate::logic::plan::Verdict;
use crate::logic::retry::{Attempts, disposition};
use crate::store::hints::{self, Claim, ClaimedHint, Postponed};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, ledger, looks, orgs};
use crate::zoho::Priority;

/// How long to wait for a row that an event announced: the CRM lags its own events (design section
/// 11, "Evidence and reads"), and in `observe` mode Cliq follows the portal by itself within
/// minutes. After these looks reconciliation takes over.
const LOOK_AGAIN: [Duration; 3] =
    [Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(10)];

/// Most pages, of both sides, of a listing that hints may wait for: half a minute of Cliq's budget.
const INLINE_PAGES_MAX: u32 = 12;

/// Refusals in a row, over a minute or two, after which administrators are told of the one person who
/// cannot be read: what Zoho refuses once by mistake is nobody's business.
const REFUSALS_TOLD: u32 = 5;

/// People planned in one transaction: bounds how long a webhook waits behind a burst.
const PEOPLE_PER_TRANSACTION: usize = 200;

impl Engine {
    /// Serves the organization's due hints.
    pub(super) async fn resolve(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let (now, boot, id) = (self.now(), self.inner.boot, organization.clone());
        let claim = self
            .inner
            .store
            .write("claim hints", move |tx| {
                if let Some(at) = orgs::probe_at(tx, &id, now)?.filter(|at| *at > now) {
                    return Ok((Claim::Idle(Some(at)), None));
                }
                Ok((hints::claim(tx, &id, boot, now)?, Some(orgs::state(tx, &id)?)))
            })
            .await?;
        let (mut hints, state) = match claim {
            (Claim::Taken(hints), Some(state)) => (hints, state),
            (Claim::Idle(next), _) => return Ok(Step::Idle(next)),
            (Claim::Taken(_), None) => return Ok(Step::Idle(None)),
        };
        let is_probe = state.quarantined.as_ref().is_some_and(|frozen| frozen.wants_listing);
        if is_probe || listing_is_cheaper(hints.len(), state.crm_pages, state.cliq_pages) {
            tracing::debug!(%organization, hints = hints.len(), "one listing serves all due hints");
            self.serve_by_listing(host, &hints).await?;
            return Ok(Step::Worked);
        }
        let (mut left, mut wants_run) = (Vec::new(), false);
        // A revocation and an add in one push are often one person under two ids (Z14, I32): the
        // listing that the first needs tells who the second is.
        hints.sort_by_key(|hint| hint.kind != HintKind::Leaving);
        for hint in &hints {
            if !left.is_empty() {
                left.push(hint.clone());
                continue;
            }
            match self.look_at(host, &hint.crm_user_id).await {
                Ok(sides) => {
                    self.note_good_read(host, false).await?;
                    let gone = is_gone(hint, &sides) && self.is_known(host, hint).await?;
                    if gone && !is_large(&state) {
                        left.push(hint.clone());
                    } else {
                        self.settle_hints(host, std::slice::from_ref(hint), &sides).await?;
                        wants_run |= gone;
                    }
                }
                Err(error) => {
                    self.postpone_all(host, std::slice::from_ref(hint), error).await?;
                }
            }
        }
        if wants_run {
            self.reconcile(organization).await?;
        }
        if !left.is_empty() {
            self.serve_by_listing(host, &left).await?;
        }
        Ok(Step::Worked)
    }

    /// Whether the ledger has anything that could be taken back from the hinted user.
    async fn is_known(&self, host: &Host, hint: &ClaimedHint) -> Result<bool, StoreError> {
        let (organization, user) = (host.id().clone(), hint.crm_user_id.clone());
        let known =
            self.inner.store.read(move |tx| ledger::by_user(tx, &organization, &user)).await?;
        Ok(known.is_some_and(|row| row.state != State::Removed && row.state != State::Wanted))
    }

    /// Serves the hints by one complete listing.
    async fn serve_by_listing(&self, host: &Host, hints: &[ClaimedHint]) -> Result<(), StoreError> {
        match self.list(host, Priority::Webhook).await {
            Ok(sides) => {
                self.note_listing(host, &sides).await?;
                self.settle_hints(host, hints, &sides).await?;
                self.note_licences(host, &sides, Cause::default()).await
            }
            Err(error) => self.postpone_all(host, hints, error).await,
        }
    }

    /// A complete listing of both sides is news about the organization itself.
    pub(super) async fn note_listing(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
    ) -> Result<(), StoreError> {
        self.note_internals(host, sides).await?;
        let (id, now, sides) = (host.id().clone(), self.now(), Arc::clone(sides));
        self.inner
            .store
            .write("note listing", move |tx| {
                let pages = sides.directory.pages();
                orgs::note_snapshot(tx, &id, &sides.roster, pages, sides.begun_at, now)
            })
            .await?;
        self.note_good_read(host, true).await
    }

    async fn settle_hints(
        &self,
        host: &Host,
        hints: &[ClaimedHint],
        sides: &Arc<Sides>,
    ) -> Result<(), StoreError> {
        for some in hints.chunks(PEOPLE_PER_TRANSACTION) {
            let (some, sides) = (some.to_vec(), Arc::clone(sides));
            let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
            self.inner
                .store
                .write("resolve", move |tx| {
                    let Some(host) = engine.host(&organization) else { return Ok(()) };
                    let mut bounds = engine.bounds(tx, &organization, now)?;
                    let leavers = engine.leavers(tx, host, &some, &sides)?;
                    bounds.removals.close_over(tx, &leavers)?;
                    for hint in &some {
                        looks::note(tx, &organization, &hint.crm_user_id, sides.begun_at)?;
                        let mut absent = sides.roster.get(&hint.crm_user_id).is_none();
                        // A row that its own event announced is not missed before its time.
                        if !absent || hint.kind == HintKind::Leaving {
                            let look = Look {
                                host,
                                user: &hint.crm_user_id,
                                sides: &sides,
                                cause: Cause { delivery: hint.delivery, run: None },
                                rearm: false,
                                now,
                            };
                            let verdict = engine.settle_person(tx, &look, &mut bounds)?;
                            // Nor is one that CRM Plus itself is about to show in Cliq (C6).
                            absent |= verdict == Verdict::WaitsForPortal;
                        }
                        match look_again(hint, absent) {
                            Some(after) => hints::postpone(
                                tx,
                                &organization,
                                hint,
                                now + after,
                                Postponed::Absent,
                            )?,
                            None => hints::settle(tx, &organization, hint, now)?,
                        }
                    }
                    engine.tell_bounds(tx, host, &bounds, now)?;
                    Ok(())
                })
                .await?;
        }
        self.wake_outbox(host.id());
        Ok(())
    }

    /// Whose access these hints are about to take, so that what is too much is held as a whole.
    /// Usually nobody's: then nothing is decided twice.
    fn leavers(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        hints: &[ClaimedHint],
        sides: &Sides,
    ) -> Result<BTreeSet<MembershipId>, StoreError> {
        let meant = |hint: &&ClaimedHint| {
            let user = sides.roster.get(&hint.crm_user_id);
            user.is_some_and(|user| host.policy.means(user))
        };
        let mut leavers = BTreeSet::new();
        for hint in hints.iter().filter(|hint| !meant(hint)) {
            let (user, now) = (&hint.crm_user_id, self.now());
            let cause = Cause::default();
            let look = Look { host, user, sides, cause, rearm: false, now };
            let (known, decision, _) = self.decide(tx, &look)?;
            leavers.extend(known.filter(|_| decision.guarded).map(|row| row.id));
        }
        Ok(leavers)
    }

    /// A failed read says nothing about anybody: the hints wait, and never die.
    async fn postpone_all(
        &self,
        host: &Host,
        hints: &[ClaimedHint],
        error: ReadError,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let FailedRead { failure, is_frozen: frozen, is_refused } =
            self.book_failed_read(host, error).await?;
        tracing::warn!(
            organization = %host.id(), hints = hints.len(), error = %failure, "a read failed"
        );
        let (engine, organization, hints) = (self.clone(), host.id().clone(), hints.to_vec());
        self.inner
            .store
            .write("postpone hints", move |tx| {
                let text = failure.to_string();
                for (row, hint) in (0_i64..).zip(&hints) {
                    let (at, counts) =
                        match disposition(hint.failures, &failure, now, row, Attempts::Forever) {
                            Disposition::RetryAt { at, counts } => (at, counts),
                            // Nobody can refuse a read for good: the next one may be allowed.
                            Disposition::Park { .. } | Disposition::GiveUp => {
                                (now + LOOK_AGAIN[2], true)
                            }
                        };
                    // In quarantine the probe's time is the organization's, not the hint's.
                    let at = if frozen { now } else { at };
                    let outcome = if counts && !frozen {
                        Postponed::Failed(&text)
                    } else {
                        Postponed::NotCounted(&text)
                    };
                    hints::postpone(tx, &organization, hint, at, outcome)?;
                    if is_refused && hint.failures + 1 == REFUSALS_TOLD {
                        engine.tell_refused_read(tx, &organization, hint, &text, now)?;
                    }
                }
                Ok(())
            })
            .await?;
        self.wake_outbox(host.id());
        Ok(())
    }

    /// Somebody whom the bridge may not ask about: the others go on, and that person waits unseen.
    fn tell_refused_read(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        hint: &ClaimedHint,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notice = Notice {
            title: format!("Somebody of {organization} cannot be looked at"),
            body: format!(
                "CRM user {}: {error}\nNothing is done for this person until the question is answered; \
                 everybody else goes on. It is asked again every quarter of an hour, and a \
                 reconciliation, which lists everybody, serves the person as well. Check that the \
                 OAuth user may see this person in Cliq.",
                hint.crm_user_id
            ),
        };
        let more = Notice {
            title: format!("More people of {organization} cannot be looked at"),
            body: "The last hour brought more than one whose reads Zoho refuses; the log and \
                   `cliqbridge explain PERSON` name each. A refusal of many is the OAuth user's, not \
                   theirs: check its scopes and its role in Cliq and in CRM."
                .to_owned(),
        };
        self.tell_each(tx, organization, "refused reads", (&notice, &more), now)
    }
}

/// Whether a listing would keep the organization's other hints waiting for minutes: then a run does
/// it, at its own desk.
fn is_large(state: &OrgState) -> bool {
    state.crm_pages.unwrap_or(0) + state.cliq_pages.unwrap_or(0) > INLINE_PAGES_MAX
}

/// Whether a user who is said to be leaving is gone from CRM, which takes a complete listing to
/// act on: the person may be back under a new id (Z14), and silence of one read says nothing.
fn is_gone(hint: &ClaimedHint, sides: &Sides) -> bool {
    hint.kind == HintKind::Leaving && sides.roster.get(&hint.crm_user_id).is_none_or(is_deleted)
}

/// Whether CRM shows the row as a deleted one.
pub(super) fn is_deleted(user: &CrmUser) -> bool {
    matches!(&user.standing, Standing::NotActive(word) if word.eq_ignore_ascii_case("deleted"))
}

/// When to look for an announced row again, if it is worth it.
fn look_again(hint: &ClaimedHint, absent: bool) -> Option<Duration> {
    if !absent || hint.kind == HintKind::Leaving {
        return None;
    }
    LOOK_AGAIN.get(usize::try_from(hint.looks).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LOOK_AGAIN, look_again};
    use crate::domain::{CrmUserId, HintKind};
    use crate::store::hints::ClaimedHint;

    #[test]
    fn an_announced_row_is_looked_for_three_more_times() {
        let mut hint = ClaimedHint {
            crm_user_id: CrmUserId::from("1"),
            kind: HintKind::Present,
            version: 1,
            failures: 0,
            looks: 0,
            delivery: None,
        };
        let mut waits = Vec::new();
        while let Some(wait) = look_again(&hint, true) {
            waits.push(wait);
            hint.looks += 1;
        }
        assert_eq!(waits, LOOK_AGAIN);
        assert_eq!(look_again(&hint, false), None);
        hint = ClaimedHint { kind: HintKind::Leaving, looks: 0, ..hint };
        assert_eq!(look_again(&hint, true), None::<Duration>);
    }
}
