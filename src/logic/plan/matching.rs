//! Which Cliq row is the CRM user (design section 11, "Identity"): the zuid; else the id that the
//! ledger remembers; else the address, if exactly one row has it.

use std::collections::{BTreeMap, BTreeSet};

use super::Matched;
use crate::domain::{CliqUser, CrmUser, CrmUserId, Directory, Membership, Roster, Standing};

/// Finds the user's row among those that were read.
pub fn matching<'a>(
    user: &CrmUser,
    known: Option<&Membership>,
    directory: &'a Directory,
) -> Matched<'a> {
    let remembered = known.and_then(|row| row.cliq_id.as_ref()).and_then(|id| directory.get(id));
    if let Some(row) = user.zuid.as_ref().and_then(|zuid| directory.by_zuid(zuid)) {
        // Two different rows at once, one by account and one from memory: somebody must look.
        return match remembered {
            Some(other) if other.id != row.id => Matched::Conflict,
            _ => Matched::One(row),
        };
    }
    if let Some(row) = remembered {
        return unless_another_account(user, row);
    }
    let Some(email) = &user.email else { return Matched::Nobody };
    match directory.by_email(email).as_slice() {
        [] => Matched::Nobody,
        [row] => unless_another_account(user, row),
        _ => Matched::Conflict,
    }
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
    let mut by_person: BTreeMap<&str, Vec<&CrmUserId>> = BTreeMap::new();
    for user in roster.iter().filter(|user| user.standing == Standing::Active) {
        if let Some(zuid) = &user.zuid {
            by_person.entry(zuid.as_str()).or_default().push(&user.id);
        }
        if let Some(email) = &user.email {
            by_person.entry(email.as_str()).or_default().push(&user.id);
        }
    }
    by_person.into_values().filter(|ids| ids.len() > 1).flatten().cloned().collect()
}
