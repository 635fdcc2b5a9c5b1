//! Conflicts inside one organization: two of its CRM users who are one person, or one whose address
//! Cliq shows with another account (G9).
//!
//! A listing shows both of a pair, a single look one of them; so what the two share is kept with the
//! conflict, and a look at either knows the other by it. Deliberately absent: conflicts between
//! organizations, which are `people`'s, and the verdict, which is `logic::plan`'s.

use super::Host;
use super::apply::{Look, Relation, relation, sames};
use super::people::Sight;
use super::tell::named;
use crate::domain::letter::Notice;
use crate::domain::membership::Membership;
use crate::domain::{CliqId, CrmUser, CrmUserId, Email, Standing, Zuid};
use crate::logic::plan::Verdict;
use crate::store::people::{self, Conflict};
use crate::store::{StoreError, Tx, ledger};

/// Two CRM users of one organization, one person.
const PAIR: &str = "two_crm_users";

/// One CRM user, whose address or account is another's in Cliq or was another's before.
const ACCOUNT: &str = "another_account";

/// Another CRM user of the organization who is the same person.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    user: CrmUserId,
    /// The account, address or Cliq row that both have.
    shared: String,
    /// Both stand in one complete listing. Else the other one was read some time ago.
    listed: bool,
}

/// A conflict as it is to be noted.
pub(super) struct Found {
    pub(super) conflict: Conflict,
    pub(super) shared: Option<String>,
    /// Sure enough to be told at once.
    pub(super) sure: bool,
}

/// Who else is this person, and whose membership the person takes over.
pub(super) fn others(
    tx: &Tx<'_>,
    look: &Look<'_>,
    user: &CrmUser,
    known: Option<&Membership>,
) -> Result<(Vec<Rival>, Option<Membership>), StoreError> {
    let (host, sides) = (look.host, look.sides);
    let mut rivals = Vec::new();
    if sides.doubles.contains(&user.id) {
        rivals = listed(look, user);
    }
    let mut predecessor = None;
    for other in sames(tx, host, sides, user, known)? {
        match relation(sides, &other) {
            Relation::Rival => {
                let shared = shared(user, &other);
                rivals.push(Rival { user: other.crm_user_id, shared, listed: false });
            }
            Relation::Predecessor => predecessor = predecessor.or(Some(other)),
        }
    }
    if !sides.complete {
        rivals.extend(remembered(tx, host, user, known)?);
    }
    Ok((rivals, predecessor))
}

fn listed(look: &Look<'_>, user: &CrmUser) -> Vec<Rival> {
    let has = |other: &&CrmUser| other.id != user.id && other.standing == Standing::Active;
    let roster = &look.sides.roster;
    let account = user.zuid.as_ref().map(Zuid::as_str);
    let by_account = account.into_iter().flat_map(|zuid| roster.by_account(zuid));
    let by_email = user.email.as_ref().into_iter().flat_map(|email| roster.by_email(email));
    let others = by_account.chain(by_email).filter(has);
    let rival = |other: &CrmUser| {
        let same = account.filter(|_| other.zuid == user.zuid);
        let address = user.email.as_ref().map(Email::as_str);
        let shared = same.or(address).unwrap_or_default().to_owned();
        Rival { user: other.id.clone(), shared, listed: true }
    };
    others.map(rival).collect()
}

fn shared(user: &CrmUser, other: &Membership) -> String {
    let account = user.zuid.as_ref().filter(|zuid| other.zuid.as_ref() == Some(zuid));
    if let Some(account) = account {
        return account.to_string();
    }
    let addresses = [Some(&other.email), other.invited_as.as_ref()];
    if let Some(address) =
        addresses.into_iter().flatten().find(|one| user.email.as_ref() == Some(one))
    {
        return address.as_str().to_owned();
    }
    other.cliq_id.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The pairs that were seen before and that this one still has its part of.
fn remembered(
    tx: &Tx<'_>,
    host: &Host,
    user: &CrmUser,
    known: Option<&Membership>,
) -> Result<Vec<Rival>, StoreError> {
    let me = people::party(host.id(), &user.id);
    let has = |shared: &str| {
        let now = [user.zuid.as_ref().map(Zuid::as_str), user.email.as_ref().map(Email::as_str)];
        let before = known.map(|row| {
            [
                row.zuid.as_ref().map(Zuid::as_str),
                row.cliq_id.as_ref().map(CliqId::as_str),
                row.invited_as.as_ref().map(Email::as_str),
            ]
        });
        now.into_iter().chain(before.into_iter().flatten()).flatten().any(|one| one == shared)
    };
    let mut rivals = Vec::new();
    for (conflict, shared) in people::pairs(tx, &me)? {
        let other = if conflict.one == me { &conflict.other } else { &conflict.one };
        let Some((_, user)) = people::of_party(other).filter(|_| has(&shared)) else { continue };
        rivals.push(Rival { user, shared, listed: false });
    }
    Ok(rivals)
}

/// The conflicts that a decision saw inside the organization.
pub(super) fn found(look: &Look<'_>, sight: &Sight, verdict: &Verdict) -> Vec<Found> {
    if *verdict != Verdict::Conflict {
        return Vec::new();
    }
    let organization = look.host.id();
    let me = people::party(organization, look.user);
    let mut all: Vec<Found> = Vec::new();
    for rival in &sight.same_here {
        let other = people::party(organization, &rival.user);
        let (one, other) = if me < other { (me.clone(), other) } else { (other, me.clone()) };
        let conflict = Conflict { kind: PAIR.to_owned(), one, other };
        if let Some(found) = all.iter_mut().find(|found| found.conflict == conflict) {
            found.sure |= rival.listed;
        } else {
            let shared = Some(rival.shared.clone());
            all.push(Found { conflict, shared, sure: rival.listed });
        }
    }
    if all.is_empty() {
        let other = format!("<{}>", sight.who.email.as_str());
        let conflict = Conflict { kind: ACCOUNT.to_owned(), one: me, other };
        all.push(Found { conflict, shared: None, sure: true });
    }
    all
}

/// What such a conflict says, in a sentence.
pub(super) fn sentence(conflict: &Conflict) -> Option<String> {
    let Conflict { kind, one, other } = conflict;
    match kind.as_str() {
        PAIR => Some(format!(
            "CRM users {one} and {other} are one person: they share an account or an address. \
             Nothing is done for either until one of them is gone or differs"
        )),
        ACCOUNT => Some(format!(
            "Cliq shows the address {other} with another account than CRM user {one} has, or more \
             than once. Nothing is done until they agree"
        )),
        _ => None,
    }
}

/// What administrators are told of it: who the two are, as far as it is known.
pub(super) fn notice(
    tx: &Tx<'_>,
    look: &Look<'_>,
    conflict: &Conflict,
) -> Result<Notice, StoreError> {
    let mut body = sentence(conflict).unwrap_or_default();
    body.push_str(":\n");
    for party in [&conflict.one, &conflict.other] {
        let Some((organization, user)) = people::of_party(party) else { continue };
        let listed = look.sides.roster.get(&user).map(|user| {
            let address = user.email.as_ref().map_or("no address", |email| email.as_str());
            let name = format!("{} {}", user.first_name, user.last_name);
            format!("{} <{address}> (CRM user {})", name.trim(), user.id)
        });
        let known = ledger::by_user(tx, &organization, &user)?;
        let who = listed.or_else(|| known.as_ref().map(named));
        body.push_str(&who.unwrap_or_else(|| format!("CRM user {user}")));
        body.push('\n');
    }
    body.push_str("Mend it in CRM Plus (Admin panel, Users); then resync the organization.");
    let organization = look.host.id();
    let title = if conflict.kind == PAIR {
        format!(
            "Two CRM users of {organization} are one person: {} and {}",
            conflict.one, conflict.other
        )
    } else {
        format!("{} of {organization} has another account in Cliq", conflict.one)
    };
    Ok(Notice { title, body })
}
