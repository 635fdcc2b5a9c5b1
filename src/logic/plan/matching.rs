//! Which Cliq row is the CRM user (design section 11, "Identity"): the zuid; else the id that the
//! ledger remembers; else the address, if exactly one row has it; else an open invitation to the
//! address that was invited (G2).

use std::collections::BTreeSet;

use super::Matched;
use crate::domain::{
    CliqUser, CrmUser, CrmUserId, Directory, Membership, Presence, Roster, Standing, Zuid,
};

/// Finds the user's row among those that were read.
pub fn matching<'a>(
    user: &CrmUser,
    known: Option<&Membership>,
    directory: &'a Directory,
) -> Matched<'a> {
    let remembered = known.and_then(|row| row.cliq_id.as_ref());
    if let Some(row) = user.zuid.as_ref().and_then(|zuid| directory.by_zuid(zuid)) {
        // Two different rows at once, one by account and one from memory: somebody must look. Nearly
        // always it is the same, and memory need not be searched for.
        let other = remembered.filter(|id| **id != row.id).and_then(|id| directory.get(id));
        return if other.is_some() { Matched::Conflict } else { Matched::One(row) };
    }
    if let Some(row) = remembered.and_then(|id| directory.get(id)) {
        return unless_another_account(user, row);
    }
    let Some(email) = &user.email else { return Matched::Nobody };
    match directory.by_email(email).as_slice() {
        [] => known.map_or(Matched::Nobody, |known| invitation_of(known, directory)),
        [row] => unless_another_account(user, row),
        _ => Matched::Conflict,
    }
}

/// By what [`matching`] or [`of_ledger`] has found the row, in words.
pub fn found_by(
    user: Option<&CrmUser>,
    known: Option<&Membership>,
    row: &CliqUser,
) -> &'static str {
    let is = |zuid: Option<&Zuid>| {
        zuid.is_some_and(|zuid| row.zuid.as_ref() == Some(zuid) || row.id.as_str() == zuid.as_str())
    };
    let email = user.map_or(known.map(|known| &known.email), |user| user.email.as_ref());
    if is(user.and_then(|user| user.zuid.as_ref())) {
        "the zuid"
    } else if known.and_then(|known| known.cliq_id.as_ref()) == Some(&row.id) {
        "the Cliq id that the ledger remembers"
    } else if user.is_none() && is(known.and_then(|known| known.zuid.as_ref())) {
        "the zuid that the ledger remembers"
    } else if email.is_some() && email == row.email.as_ref() {
        "the address"
    } else {
        "the address that was invited"
    }
}

/// Finds the Cliq row of a person whom CRM does not have any more, by what the ledger remembers.
pub fn of_ledger<'a>(known: &Membership, directory: &'a Directory) -> Matched<'a> {
    let remembered = known.cliq_id.as_ref().and_then(|id| directory.get(id));
    let by_zuid = known.zuid.as_ref().and_then(|zuid| directory.by_zuid(zuid));
    match (remembered, by_zuid) {
        (Some(one), Some(other)) if one.id != other.id => return Matched::Conflict,
        (Some(row), _) | (None, Some(row)) => return Matched::One(row),
        (None, None) => {}
    }
    match directory.by_email(&known.email).as_slice() {
        [row] if known.zuid.is_none() || row.zuid.is_none() => Matched::One(row),
        [] => invitation_of(known, directory),
        // The address has another account now, which is somebody else's.
        [_] => Matched::Nobody,
        _ => Matched::Conflict,
    }
}

/// The open invitation of somebody who was renamed before Cliq was ever read: without an account,
/// nothing but the address that was invited says whose it is (G2, G17).
fn invitation_of<'a>(known: &Membership, directory: &'a Directory) -> Matched<'a> {
    let Some(address) = &known.invited_as else { return Matched::Nobody };
    match directory.by_email(address).as_slice() {
        [row] if row.presence == Presence::Pending => match (&known.zuid, &row.zuid) {
            (Some(ours), Some(theirs)) if ours != theirs => Matched::Nobody,
            _ => Matched::One(row),
        },
        _ => Matched::Nobody,
    }
}

/// Whether somebody in CRM who is not positively gone still stands for this row: then nobody may
/// take it away (design section 11, "Identity").
pub fn is_claimed(roster: &Roster, row: &CliqUser) -> bool {
    let stays = |user: &CrmUser| !matches!(user.standing, Standing::NotActive(_));
    let has = |account: &str| roster.by_account(account).any(stays);
    has(row.id.as_str())
        || row.zuid.as_ref().is_some_and(|zuid| has(zuid.as_str()))
        || row.email.as_ref().is_some_and(|email| roster.by_email(email).any(stays))
}

fn unless_another_account<'a>(user: &CrmUser, row: &'a CliqUser) -> Matched<'a> {
    match (&user.zuid, &row.zuid) {
        (Some(ours), Some(theirs)) if ours != theirs => Matched::Conflict,
        _ => Matched::One(row),
    }
}

/// Active CRM users who share an account or an address with another active one: a conflict for
/// each of them, with no write for any (G9).
pub fn doubles(roster: &Roster) -> BTreeSet<CrmUserId> {
    let mut ids = BTreeSet::new();
    for group in roster.namesakes() {
        let active = || group.iter().filter(|user| user.standing == Standing::Active);
        if active().count() > 1 {
            ids.extend(active().map(|user| user.id.clone()));
        }
    }
    ids
}
