//! Licences of external users: observed and recorded, never fought; given by the policy list alone
//! (R16 to R19, G13).
//!
//! Deliberately absent: the commands for single people; `verbs` has those.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::Sides;
use super::tell::named;
use super::{Engine, Host};
use crate::config::CliqList;
use crate::domain::access::CliqPlan;
use crate::domain::letter::Notice;
use crate::domain::{
    Action, CrmUserId, Lane, Licence, Membership, MembershipId, Operation, OrgId, PortalVerb,
    Presence, Subscription, Timestamp,
};
use crate::logic::licences::{self, Hand, Look, Observed};
use crate::store::audit::{self, Entry};
use crate::store::ledger::{self, Filter};
use crate::store::outbox::{self, Cause, End, InMotion, NewAction, Wish};
use crate::store::plans::{self, Plans};
use crate::store::{StoreError, Tx, runs, told};

/// Changes written in one transaction: bounds how long a webhook waits behind them.
const CHANGES_PER_TRANSACTION: usize = 200;

/// People named in a notice; the rest is a number.
const NAMED_MAX: usize = 10;

/// The portal's code for "no seat is left" (contract, "Portal function").
const NO_LICENCE: &str = "no_licence";

/// Why somebody is given a licence by the policy list.
pub(super) const LISTED: &str = "On the list assign_licence, and a seat is free.";

/// Who would be given a licence now, and who goes without one.
#[derive(Debug, Default)]
pub(super) struct Seating {
    /// Those who get one, in order.
    pub(super) given: Vec<Membership>,
    /// Those for whom no seat is left.
    pub(super) without: Vec<Membership>,
}

impl Engine {
    /// Whether complete listings of the organization look at licences: on a paid Cliq plan, after a
    /// downgrade or for a policy list.
    pub(super) async fn looks_at_licences(&self, host: &Host) -> Result<bool, StoreError> {
        if host.policy.cliq_plan != CliqPlan::Paid {
            return Ok(false);
        }
        if host.settings.assign_licence.is_some() {
            return Ok(true);
        }
        let id = host.id().clone();
        let plans = self.inner.store.read(move |tx| plans::of(tx, &id)).await?;
        Ok(plans.subscription == Subscription::Downgraded)
    }

    /// Writes down what a complete listing says about licences, person by person. The notice about
    /// the downgrade has announced what Zoho does then, so nothing is told here (R16: once).
    pub(super) async fn note_licences(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
        cause: Cause,
    ) -> Result<(), StoreError> {
        let Some(paid) = &sides.paid else { return Ok(()) };
        let used = u32::try_from(paid.ids.len()).unwrap_or(u32::MAX);
        let (engine, organization, all) = (self.clone(), host.id().clone(), Arc::clone(sides));
        let observed = self
            .inner
            .store
            .write("note seats", move |tx| {
                plans::note_seats(tx, &organization, used)?;
                let host = engine.host(&organization);
                host.map_or(Ok(Vec::new()), |host| look_at_all(tx, host, &all))
            })
            .await?;
        for some in observed.chunks(CHANGES_PER_TRANSACTION) {
            let (organization, some, now) = (host.id().clone(), some.to_vec(), self.now());
            self.inner
                .store
                .write("note licences", move |tx| {
                    some.iter().try_for_each(|(id, one)| {
                        book_observed(tx, &organization, *id, *one, cause, now)
                    })
                })
                .await?;
        }
        Ok(())
    }

    /// Queues the licences that the policy list asks for, as far as there are seats. Answers who
    /// goes without one.
    pub(super) async fn assign_licences(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
        cause: Cause,
    ) -> Result<Vec<Membership>, StoreError> {
        if sides.paid.is_none() || host.settings.assign_licence.is_none() {
            return Ok(Vec::new());
        }
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (sides, boot) = (Arc::clone(sides), self.inner.boot);
        self.inner
            .store
            .write("assign licences", move |tx| {
                if let Some(run) = cause.run
                    && !runs::is_held(tx, run, boot)?
                {
                    return Err(StoreError::Superseded(run));
                }
                let Some(host) = engine.host(&organization) else { return Ok(Vec::new()) };
                Ok(engine.seat(tx, host, &sides, None, cause, now)?.without)
            })
            .await
    }

    /// The same in a transaction, of these people alone if they are named. Answers who was given one.
    pub(super) fn seat(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        sides: &Sides,
        only: Option<&BTreeSet<CrmUserId>>,
        cause: Cause,
        now: Timestamp,
    ) -> Result<Seating, StoreError> {
        let mut seating = seating(tx, host, sides)?;
        seating.given.retain(|row| only.is_none_or(|only| only.contains(&row.crm_user_id)));
        let mut given = Vec::with_capacity(seating.given.len());
        for row in seating.given {
            if self.dispute(tx, &row)?.is_some() {
                continue;
            }
            let new = NewAction {
                organization: host.id(),
                membership: Some(&row),
                operation: Operation::Portal(PortalVerb::AssignLicence),
                reason: LISTED,
                cause,
                wish: Wish::Planned,
                not_before: now,
            };
            outbox::put(tx, &new, now)?;
            given.push(row);
        }
        self.tell_unseated(tx, host, &seating.without, now)?;
        Ok(Seating { given, without: seating.without })
    }

    /// Says who goes without a licence: again only when there are more of them.
    fn tell_unseated(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        without: &[Membership],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const WHAT: &str = "without_licence";
        let organization = host.id();
        let before = told::last(tx, organization, WHAT)?;
        let before = before.and_then(|count| count.parse().ok()).unwrap_or(0);
        told::note(tx, organization, WHAT, &without.len().to_string())?;
        if without.len() <= before {
            return Ok(());
        }
        let named: Vec<String> = without.iter().take(NAMED_MAX).map(named).collect();
        let more = if without.len() > NAMED_MAX { ", …" } else { "" };
        let seats = host.settings.cliq_licences.map_or_else(
            || "The portal says that no seat is left.".to_owned(),
            |pool| format!("All {pool} seats of `cliq_licences` are in use."),
        );
        let notice = Notice {
            title: format!("No licence is left for {} people of {organization}", without.len()),
            body: format!(
                "{seats} On the list assign_licence and without one: {}{more}. They keep what a \
                 free user has, and nothing is tried again until a seat is free. Buy seats and \
                 raise `cliq_licences`, or take one back: cliqbridge memberships revoke-licence.",
                named.join(", ")
            ),
        };
        self.tell_admins(tx, organization, &notice, Cause::default(), now)
    }

    /// A licence was refused. A shortage ends what was planned for want of a seat; anything else
    /// waits for an operator. Access is another lane and goes on.
    pub(super) fn end_refused_licence<'a>(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        code: &'a str,
        text: &'a str,
        now: Timestamp,
    ) -> Result<End<'a>, StoreError> {
        let (organization, boot) = (&action.organization, self.inner.boot);
        let reason = format!("The portal refused: {}", super::remedy(code));
        let entry = Entry {
            organization,
            membership: action.membership,
            actor: if action.by_operator { "operator" } else { "bridge" },
            event: "licence_refused",
            reason: &reason,
            before: None,
            after: None,
            cause: outbox::cause(tx, action.id)?,
            action: Some(action.id),
        };
        audit::record(tx, &entry, now)?;
        if code != NO_LICENCE || action.operation != Operation::Portal(PortalVerb::AssignLicence) {
            return Ok(End::Parked(code, text));
        }
        let configured = self.host(organization).and_then(|host| host.settings.cliq_licences);
        plans::learn_seats(tx, organization, configured)?;
        outbox::withdraw_licences(tx, organization, boot, "no seat is left", now)?;
        let wait = End::Superseded("no seat is left");
        Ok(if action.by_operator { End::Parked(code, text) } else { wait })
    }

    /// Somebody cannot be added because no licence is free: told, since nothing is tried again by
    /// itself (G13).
    pub(super) fn tell_no_licence(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        code: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let add = Operation::Portal(PortalVerb::AddExternal);
        if code != NO_LICENCE || action.operation != add {
            return Ok(());
        }
        let organization = &action.organization;
        let row = action.membership.map(|id| ledger::get(tx, id)).transpose()?.flatten();
        let who = row.as_ref().map(named).unwrap_or_default();
        let notice = |title: String, who: &str| Notice {
            title,
            body: format!(
                "{who}\nWhoever the portal refuses to add for want of a licence is parked, and nothing is \
                 tried again by itself. Free or buy licences (CRM Plus, Admin panel, \
                 Subscription), then resync each of them. Who waits: cliqbridge memberships \
                 --organization {organization} --state wanted"
            ),
        };
        let one = notice(format!("No CRM Plus licence is free in {organization}"), &who);
        let title = format!("Still no CRM Plus licence is free in {organization}");
        let more = notice(title, "For more people than were named before.");
        self.tell_each(tx, organization, NO_LICENCE, (&one, &more), now)
    }
}

/// Books a licence that the portal has changed.
pub(super) fn book_licence(
    tx: &Tx<'_>,
    organization: &OrgId,
    verb: PortalVerb,
    row: &mut Membership,
) -> Result<(), StoreError> {
    let (licence, seats) = match verb {
        PortalVerb::AssignLicence => (Licence::Paid, 1),
        PortalVerb::RevokeLicence => (Licence::Free, -1),
        _ => return Ok(()),
    };
    if row.licence != Some(licence) {
        plans::change_seats(tx, organization, seats)?;
    }
    if verb == PortalVerb::AssignLicence {
        plans::forget_learnt_seats(tx, organization)?;
    }
    row.licence = Some(licence);
    row.licence_given = true;
    Ok(())
}

/// What is to be written down of every member.
fn look_at_all(
    tx: &Tx<'_>,
    host: &Host,
    sides: &Sides,
) -> Result<Vec<(MembershipId, Observed)>, StoreError> {
    let Some(paid) = &sides.paid else { return Ok(Vec::new()) };
    let plans = plans::of(tx, host.id())?;
    let downgraded = plans.subscription == Subscription::Downgraded;
    let moving = outbox::licences_in_motion(tx, host.id(), sides.begun_at)?;
    let everybody_shown = host.settings.cliq_list == CliqList::Merged;
    let mut observed = Vec::new();
    for row in everybody(tx, host.id())? {
        let shown = row.cliq_id.as_ref().and_then(|id| sides.directory.get(id));
        let Some(shown) = shown.filter(|_| row.external && !moving.contains_key(&row.id)) else {
            continue;
        };
        // The pass over paid users is silent about whom the unfiltered one does not show.
        if shown.presence != Presence::Active && !everybody_shown {
            continue;
        }
        let licence = if paid.ids.contains(&shown.id) { Licence::Paid } else { Licence::Free };
        let was_in_before = plans.since.is_some_and(|since| row.since <= since);
        let look = Look { downgraded, was_in_before };
        if let Some(one) = licences::observe(&row, licence, look) {
            observed.push((row.id, one));
        }
    }
    Ok(observed)
}

fn everybody(tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<Membership>, StoreError> {
    let filter = Filter { organization: Some(organization.to_string()), ..Filter::default() };
    ledger::list(tx, &filter, u32::MAX)
}

fn book_observed(
    tx: &Tx<'_>,
    organization: &OrgId,
    id: MembershipId,
    observed: Observed,
    cause: Cause,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(before) = ledger::get(tx, id)? else { return Ok(()) };
    let mut row = before.clone();
    row.licence = Some(observed.licence);
    row.licence_given = observed.given;
    ledger::put(tx, &row)?;
    let reason = match observed.hand {
        None => return Ok(()),
        Some(Hand::Downgrade) => {
            "Cause: downgrade. Zoho made the person a free user; recorded, not changed back."
        }
        Some(Hand::Gave) => "A licence was given outside the bridge; it stays.",
        Some(Hand::Took) => "The licence was taken outside the bridge; it is not given again.",
    };
    let entry = Entry {
        organization,
        membership: Some(id),
        actor: "bridge",
        event: "licence_changed",
        reason,
        before: Some(audit::facts(&before)),
        after: Some(audit::facts(&row)),
        cause,
        action: None,
    };
    audit::record(tx, &entry, now)
}

/// Who is given a licence by the policy list now: computed, not written.
pub(super) fn seating(tx: &Tx<'_>, host: &Host, sides: &Sides) -> Result<Seating, StoreError> {
    let (Some(paid), Some(list)) = (&sides.paid, &host.settings.assign_licence) else {
        return Ok(Seating::default());
    };
    let moving = outbox::licences_in_motion(tx, host.id(), sides.begun_at)?;
    let stuck = outbox::licences_stuck(tx, host.id())?;
    let mut used = u32::try_from(paid.ids.len()).unwrap_or(u32::MAX);
    let mut wanted = Vec::new();
    for row in everybody(tx, host.id())? {
        let counted = row.cliq_id.as_ref().is_some_and(|id| paid.ids.contains(id));
        match moving.get(&row.id) {
            Some(InMotion::Assigned) if !counted => used = used.saturating_add(1),
            Some(_) => {}
            None if stuck.contains(&row.id) || !licences::may_be_given(&row) => {}
            None => {
                let listed = sides.roster.get(&row.crm_user_id);
                if listed.is_some_and(|person| list.matches(person)) {
                    wanted.push(row);
                }
            }
        }
    }
    let pool = host.settings.cliq_licences;
    let room = licences::room(pool, learnt(&plans::of(tx, host.id())?, pool), used);
    let (given, _) = licences::seat(wanted.iter().map(|row| row.id).collect(), room);
    let given: BTreeSet<MembershipId> = given.into_iter().collect();
    let (given, without) = wanted.into_iter().partition(|row| given.contains(&row.id));
    Ok(Seating { given, without })
}

/// The number of seats that a refusal taught, unless the operator has changed the pool since.
fn learnt(plans: &Plans, pool: Option<u32>) -> Option<u32> {
    plans.seats_learnt.filter(|(_, configured)| *configured == pool).map(|(seats, _)| seats)
}

/// Whether an operator's wish for a licence would go beyond the configured pool, as a sentence.
pub(super) fn pool_is_used_up(tx: &Tx<'_>, host: &Host) -> Result<Option<String>, StoreError> {
    let Some(pool) = host.settings.cliq_licences else { return Ok(None) };
    let waiting = outbox::licences_in_motion(tx, host.id(), Timestamp(i64::MAX))?;
    let waiting = waiting.values().filter(|motion| **motion == InMotion::Assigned).count();
    let used = plans::of(tx, host.id())?.seats_used.unwrap_or(0);
    let used = used.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
    Ok((used >= pool).then(|| {
        format!(
            "No licence is left: {used} of the {pool} seats of `cliq_licences` are in use or \
             promised. Take one back with revoke-licence, or buy seats and raise `cliq_licences`."
        )
    }))
}

/// Whether the action changes a licence and nothing else.
pub(super) fn is_licence(action: &Action) -> bool {
    action.operation.lane() == Lane::Licence
}
