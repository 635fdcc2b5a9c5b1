//! An operator's commands for single memberships: checked against the ledger, written down with the
//! operator as actor, and carried out by the same desks as everything else.
//!
//! Deliberately absent: a verb that removes. And the second key: that Cliq shows the person as
//! external is asked at the moment of the write.

use super::licences::pool_is_used_up;
use super::subscription::Refused;
use super::{Desk, Engine, Host};
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::{
    ActionId, HintKind, Lane, MembershipId, Operation, OrgId, PortalVerb, Timestamp, Verb,
};
use crate::logic::plan::renew;
use crate::logic::verbs::{self, Ruling};
use crate::store::audit::{self, Command, Entry};
use crate::store::outbox::{self, Cause, NewAction, Queued, Wish};
use crate::store::{StoreError, Tx, hints, ledger};

/// Steps that tell whose a restriction is: the newest of them stands.
const RESTRICTIONS: &[&str] = &["restricted", "restored", "seen_joined"];

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// A change outside is queued.
    Queued(ActionId),
    /// The membership is as it was asked for.
    Settled(Box<Membership>),
}

impl Engine {
    /// Carries out the command of whoever `by` names, or with `dry_run` only says what would come of
    /// it.
    ///
    /// # Errors
    /// [`Refused::Missing`] and [`Refused::Forbidden`], with what to do instead.
    pub async fn order(
        &self,
        id: MembershipId,
        verb: Verb,
        dry_run: bool,
        by: &str,
    ) -> Result<Ordered, Refused> {
        let (engine, by) = (self.clone(), by.to_owned());
        let (organization, done) = self
            .inner
            .store
            .write("order", move |tx| engine.order_in(tx, id, verb, dry_run, &by))
            .await?
            .ok_or(Refused::Missing("membership"))?;
        self.wake(&Desk::Hints(organization.clone()));
        self.wake_outbox(&organization);
        done.map_err(Refused::Forbidden)
    }

    #[expect(clippy::type_complexity, reason = "missing, refused with a sentence, or done")]
    fn order_in(
        &self,
        tx: &Tx<'_>,
        id: MembershipId,
        verb: Verb,
        dry_run: bool,
        by: &str,
    ) -> Result<Option<(OrgId, Result<Ordered, String>)>, StoreError> {
        let Some(row) = ledger::get(tx, id)? else { return Ok(None) };
        let organization = row.organization.clone();
        let Some(host) = self.host(&organization) else {
            let why = format!("{organization} is not in the configuration any more.");
            return Ok(Some((organization, Err(why))));
        };
        let newest = audit::newest_of(tx, id, RESTRICTIONS)?;
        let by_us = newest.is_some_and(|(_, event)| event == "restricted");
        let done = match verbs::rule(verb, &host.policy, &row, by_us) {
            Ruling::Forbidden(why) => Err(why),
            Ruling::AlreadySo => {
                if !dry_run {
                    let (order, why) = (Order { row: &row, verb, by }, "It was so already.");
                    order.note(tx, verb.as_str(), why, None, None, self.now())?;
                }
                Ok(Ordered::Settled(Box::new(row)))
            }
            Ruling::Go => match self.hindrance(tx, host, &row, verb)? {
                Some(why) => Err(why),
                None if dry_run => Ok(Ordered::Settled(Box::new(row))),
                None => Ok(self.obey(tx, host, &Order { row: &row, verb, by })?),
            },
        };
        Ok(Some((organization, done)))
    }

    /// What stands in the way of a command that is allowed as such.
    fn hindrance(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &Membership,
        verb: Verb,
    ) -> Result<Option<String>, StoreError> {
        let outside = !matches!(verb, Verb::Adopt | Verb::Release);
        if outside && let Some(why) = self.dispute(tx, row)? {
            return Ok(Some(why));
        }
        shortage(tx, host, verb)
    }

    fn obey(&self, tx: &Tx<'_>, host: &Host, order: &Order<'_>) -> Result<Ordered, StoreError> {
        let (now, row) = (self.now(), order.row);
        match order.verb {
            Verb::Resend => self.begin_again(tx, order, now),
            Verb::Adopt => settled(tx, order, |row| row.origin = Origin::Adopted, now),
            Verb::Release => {
                let why = "the bridge does not own the membership any more";
                let boot = self.inner.boot;
                for lane in [Lane::Access, Lane::Licence] {
                    outbox::withdraw(tx, row.id, lane, boot, why, now)?;
                }
                outbox::withdraw_letters(tx, row.id, boot, why, now)?;
                outbox::close_refused(tx, row.id, why, now)?;
                let released = |row: &mut Membership| {
                    row.origin = Origin::Present;
                    row.parked = None;
                };
                settled(tx, order, released, now)
            }
            Verb::Restrict if row.state == State::Restricted => {
                settled(tx, order, |row| row.restricted_by_bridge = false, now)
            }
            Verb::Restrict => queue(tx, host, order, PortalVerb::Restrict, now),
            Verb::Restore => queue(tx, host, order, PortalVerb::Restore, now),
            Verb::AssignLicence => queue(tx, host, order, PortalVerb::AssignLicence, now),
            Verb::RevokeLicence => queue(tx, host, order, PortalVerb::RevokeLicence, now),
        }
    }

    /// A new generation: the planner takes it from here, whether Cliq still shows an invitation or
    /// the person has to be added again.
    fn begin_again(
        &self,
        tx: &Tx<'_>,
        order: &Order<'_>,
        now: Timestamp,
    ) -> Result<Ordered, StoreError> {
        let row = order.row;
        outbox::withdraw_letters(tx, row.id, self.inner.boot, "invited anew", now)?;
        hints::put(tx, &row.organization, &row.crm_user_id, HintKind::Present, None, now)?;
        let anew = |row: &mut Membership| {
            row.state = State::Wanted;
            row.since = now;
            renew(row);
        };
        settled(tx, order, anew, now)
    }

    /// Takes over everybody in the organization who was there before the bridge. Answers how many.
    ///
    /// # Errors
    /// [`Refused::Missing`] for an unknown organization.
    pub async fn adopt_all(&self, organization: &str, by: &str) -> Result<u32, Refused> {
        let id = self.named_host(organization)?.id().clone();
        let (now, by) = (self.now(), by.to_owned());
        let adopted = self
            .inner
            .store
            .write("adopt all", move |tx| {
                let mut adopted = 0;
                for row in ledger::of_origin(tx, &id, Origin::Present)? {
                    let one = Order { row: &row, verb: Verb::Adopt, by: &by };
                    settled(tx, &one, |row| row.origin = Origin::Adopted, now)?;
                    adopted += 1;
                }
                let reason = format!("{adopted} memberships of {id} were taken over.");
                let command = Command::by(&by, "adopted_all", &reason);
                Command { organization: Some(&id), ..command }.record(tx, now)?;
                Ok(adopted)
            })
            .await?;
        Ok(adopted)
    }
}

/// Why a licence cannot be given now, if so.
fn shortage(tx: &Tx<'_>, host: &Host, verb: Verb) -> Result<Option<String>, StoreError> {
    if verb == Verb::AssignLicence { pool_is_used_up(tx, host) } else { Ok(None) }
}

/// A command for one membership, and who gave it.
struct Order<'a> {
    row: &'a Membership,
    verb: Verb,
    by: &'a str,
}

/// Changes the ledger alone.
fn settled(
    tx: &Tx<'_>,
    order: &Order<'_>,
    change: impl FnOnce(&mut Membership),
    now: Timestamp,
) -> Result<Ordered, StoreError> {
    let mut row = order.row.clone();
    change(&mut row);
    ledger::put(tx, &row)?;
    let reason = match order.verb {
        Verb::Resend => "An operator asked for a fresh invitation.",
        Verb::Adopt => "An operator took the membership over.",
        Verb::Release => "An operator gave the membership out of the bridge's hands.",
        _ => "An operator restricts the person: no plan lifts it.",
    };
    let change = Some((audit::facts(order.row), audit::facts(&row)));
    order.note(tx, order.verb.as_str(), reason, change, None, now)?;
    Ok(Ordered::Settled(Box::new(row)))
}

/// Queues a call of the portal.
fn queue(
    tx: &Tx<'_>,
    host: &Host,
    order: &Order<'_>,
    operation: PortalVerb,
    now: Timestamp,
) -> Result<Ordered, StoreError> {
    let reason = format!("An operator asked for it: {}.", order.verb);
    let new = NewAction {
        organization: host.id(),
        membership: Some(order.row),
        operation: Operation::Portal(operation),
        reason: &reason,
        cause: Cause::default(),
        wish: Wish::Operator,
        not_before: now,
    };
    let (Queued::New(id) | Queued::AlreadyWaiting(id)) = outbox::put(tx, &new, now)?;
    let event = format!("{}_asked", operation.as_str());
    order.note(tx, &event, &reason, None, Some(id), now)?;
    Ok(Ordered::Queued(id))
}

impl Order<'_> {
    fn note(
        &self,
        tx: &Tx<'_>,
        event: &str,
        reason: &str,
        change: Option<(serde_json::Value, serde_json::Value)>,
        action: Option<ActionId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (before, after) = change.unzip();
        let entry = Entry {
            organization: &self.row.organization,
            membership: Some(self.row.id),
            actor: self.by,
            event,
            reason,
            before,
            after,
            cause: Cause::default(),
            action,
        };
        audit::record(tx, &entry, now)
    }
}
