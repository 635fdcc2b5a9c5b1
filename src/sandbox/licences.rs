//! Plans and pools: who has a paid Cliq seat, how many there are, and what a change of plan does.
//!
//! Deliberately absent: taking a person out; losing a licence never does that (R19).

use super::acts::{Done, Impossible, forbid, organization};
use super::entries::CliqPlan;
use super::journal::{Entry, Kind};
use super::state::{Class, CliqRow, Organization, State};
use super::wire::Reply;
use crate::domain::Timestamp;

/// There is no licence to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoLicence;

impl Organization {
    /// Paid Cliq seats in use; an external user with a paid licence takes one (R18).
    pub(super) fn seats_used(&self) -> usize {
        self.cliq.iter().filter(|row| row.paid_licence).count()
    }

    fn has_seat(&self) -> bool {
        self.entry.paid_licences.is_none_or(|pool| self.seats_used() < pool)
    }

    /// The licence that a new Cliq row starts with: paid on the paid plan while there are seats,
    /// except for external users of a downgraded organization (R17).
    pub(super) fn first_licence(&self, class: Class) -> bool {
        let downgraded = class == Class::External && self.is_downgraded();
        self.entry.cliq_plan == CliqPlan::Paid && !downgraded && self.has_seat()
    }

    /// CRM Plus licences taken by external users, whether they joined or not.
    pub(super) fn crm_licences_used(&self) -> usize {
        self.cliq.iter().filter(|row| row.class == Class::External).count()
    }

    /// Whether CRM Plus can add one more external user (G13).
    pub(super) fn has_crm_licence(&self) -> bool {
        self.entry.crm_licences.is_none_or(|pool| self.crm_licences_used() < pool)
    }
}

/// Gives a paid licence (R18); `Some(false)` when the person had one, `None` without a row.
pub(super) fn assign(org: &mut Organization, person: &str) -> Result<Option<bool>, NoLicence> {
    let free = org.entry.cliq_plan == CliqPlan::Paid && org.has_seat();
    let Some(row) = org.row_mut(person) else { return Ok(None) };
    if row.paid_licence {
        return Ok(Some(false));
    }
    if !free {
        return Err(NoLicence);
    }
    row.paid_licence = true;
    Ok(Some(true))
}

/// Takes a paid licence; the person stays (R19).
pub(super) fn revoke(org: &mut Organization, person: &str) -> Option<bool> {
    let row = org.row_mut(person)?;
    let had = row.paid_licence;
    row.paid_licence = false;
    Some(had)
}

/// Takes licences until the pool is not overdrawn: the latest external users first. Internal users
/// lose theirs only at the start of a world, administrators never (Z16).
pub(super) fn fit(org: &mut Organization, at_start: bool) {
    let Some(pool) = org.entry.paid_licences else { return };
    let admin = org.admin.clone();
    let is_paid = org.entry.cliq_plan == CliqPlan::Paid && pool > 0;
    if let Some(row) = org.row_mut(&admin).filter(|row| at_start && row.class == Class::Internal) {
        row.paid_licence = is_paid;
    }
    let mut surplus = org.seats_used().saturating_sub(pool);
    let classes: &[Class] =
        if at_start { &[Class::External, Class::Internal] } else { &[Class::External] };
    for class in classes {
        let holds = |row: &&mut CliqRow| row.paid_licence && row.class == *class;
        let rows = org.cliq.iter_mut().rev().filter(holds).filter(|row| row.person != admin);
        for row in rows.take(surplus) {
            row.paid_licence = false;
            surplus -= 1;
        }
    }
}

/// Nobody is paid on the free plan. On the paid one internal users are, as far as seats go;
/// external users wait for an administrator (R18, G7, G8).
pub(super) fn switch_plan(org: &mut Organization, plan: CliqPlan) {
    if org.entry.cliq_plan == plan {
        return;
    }
    org.entry.cliq_plan = plan;
    let mut seats = org.entry.paid_licences.unwrap_or(usize::MAX);
    for row in &mut org.cliq {
        row.paid_licence = plan == CliqPlan::Paid && row.class == Class::Internal && seats > 0;
        seats -= usize::from(row.paid_licence);
    }
}

/// An administrator gives or takes a licence by hand, as with any user (R18, R19).
pub(super) fn by_hand(
    state: &mut State,
    org: &str,
    (email, paid): (&str, bool),
    now: Timestamp,
) -> Done {
    let unknown = || Impossible::new(404, format!("There is nobody with the address {email}."));
    let person = state.realm.find(email).ok_or_else(unknown)?;
    let host = organization(state, org)?;
    let call = if paid { "act.member.assign_licence" } else { "act.member.revoke_licence" };
    let done = if paid { assign(host, &person) } else { Ok(revoke(host, &person)) };
    let entry = Entry::new(Kind::Act, call, now).of(org).about(email);
    match done {
        Ok(Some(_)) => state.journal.record(entry),
        Ok(None) => return Err(Impossible::new(409, format!("{email} is not in that Cliq."))),
        Err(NoLicence) => {
            return Err(forbid(&mut state.journal, entry, "R18", "There is no licence left."));
        }
    }
    Ok(Reply::empty(204))
}
