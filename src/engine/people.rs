//! One person over all organizations: where they are at home, and what contradicts (R3, G6, G9).
//!
//! Hosts stay independent (R39): a conflict is looked at again in the other organization by a hint,
//! never by a call from here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::apply::Look;
use super::facts::Sides;
use super::{Desk, Engine, Host, pairs};
use crate::domain::letter::Notice;
use crate::domain::{
    Accepted, Class, CliqUser, CrmUser, CrmUserId, Email, HintKind, Home, Membership, OrgId,
    Presence, Timestamp, Who, Zuid,
};
use crate::logic::home::{self, Shown};
use crate::logic::plan::{Verdict, classify};
use crate::store::people::{self, Conflict, Internal, Rival};
use crate::store::{StoreError, Tx, hints};

/// Rows of an organization's own people written in one transaction.
const INTERNALS_PER_TRANSACTION: usize = 1_000;

/// Conflicts told one by one within a day; of further ones the administrators hear once that there
/// are more, and where they are listed.
const TOLD_ONE_BY_ONE: u32 = 5;

/// What is known of a person's home, and against it.
pub(super) struct Sight {
    /// Whom.
    pub(super) who: Who,
    /// What shows.
    pub(super) shown: Shown,
    /// What was accepted before, while that organization is configured.
    accepted: Option<Accepted>,
    /// It is remembered under the address, and the account is known by now.
    provisional: bool,
    /// Where the person is at home, whatever contradicts in single organizations.
    pub(super) home: Home,
    rivals: Vec<Rival>,
    /// Organizations whose own people include another account with the address.
    namesakes: BTreeSet<OrgId>,
    /// Other CRM users of the organization that was looked at who are the same person.
    pub(super) same_here: Vec<pairs::Rival>,
}

impl Sight {
    /// What the planner goes by in the organization that was looked at.
    pub(super) fn verdict(&self) -> Home {
        if self.home.forbids_writes() {
            return self.home.clone();
        }
        if let Some(rival) = self.rivals.first() {
            return rival.home();
        }
        match self.namesakes.first() {
            Some(other) => Home::TwoPersons(other.clone()),
            None => self.home.clone(),
        }
    }

    /// The dispute about the home itself, one for the person.
    fn dispute(&self) -> Option<Conflict> {
        let other = match &self.home {
            Home::Claimed(all) => all.iter().map(OrgId::as_str).collect::<Vec<_>>().join(" "),
            Home::Changed { from, to } => format!("{from} > {to}"),
            _ => return None,
        };
        let (kind, one) = (self.home.word().to_owned(), self.who.key().to_owned());
        Some(Conflict { kind, one, other })
    }
}

/// The organization's own people, as a complete listing shows them.
pub(super) fn internals_of(host: &Host, sides: &Sides) -> Vec<Internal> {
    // A deactivated account, or one not taken up, is nobody's home.
    let internal = |row: &&CliqUser| {
        classify(&host.policy, row) == Class::Internal
            && matches!(row.presence, Presence::Active | Presence::Unknown)
    };
    let listed = sides.directory.iter().filter(internal).map(|row| Internal {
        cliq_id: row.id.clone(),
        zuid: row.zuid.clone(),
        email: row.email.clone(),
    });
    listed.collect()
}

impl Engine {
    /// Notes who is internal, from a complete listing, and has people looked at again whose home
    /// that touches.
    pub(super) async fn note_internals(
        &self,
        host: &Host,
        sides: &Arc<Sides>,
    ) -> Result<(), StoreError> {
        let (engine, id, sides) = (self.clone(), host.id().clone(), Arc::clone(sides));
        let difference = self
            .inner
            .store
            .read(move |tx| {
                let Some(host) = engine.host(&id) else { return Ok(people::Difference::default()) };
                people::compare(tx, &id, internals_of(host, &sides))
            })
            .await?;
        for put in difference.put.chunks(INTERNALS_PER_TRANSACTION) {
            self.write_internals(host.id(), put.to_vec(), Vec::new()).await?;
        }
        for gone in difference.gone.chunks(INTERNALS_PER_TRANSACTION) {
            self.write_internals(host.id(), Vec::new(), gone.to_vec()).await?;
        }
        Ok(())
    }

    async fn write_internals(
        &self,
        organization: &OrgId,
        put: Vec<Internal>,
        gone: Vec<Internal>,
    ) -> Result<(), StoreError> {
        let (engine, organization, now) = (self.clone(), organization.clone(), self.now());
        self.inner
            .store
            .write("note internals", move |tx| {
                people::note_internals(tx, &organization, &put, &gone)?;
                for (row, stays) in
                    put.iter().map(|row| (row, true)).chain(gone.iter().map(|row| (row, false)))
                {
                    // Without an address reconciliation finds it out.
                    let Some(email) = row.email.clone() else { continue };
                    let who = Who { zuid: row.zuid.clone(), email };
                    let before = people::accepted(tx, &who)?;
                    let touches = before.is_some_and(|(before, _)| {
                        before.seen && (before.home == organization) != stays
                    });
                    if touches {
                        engine.look_elsewhere(tx, &who, Some(&organization), now)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Has the person's memberships looked at again, but for those of one organization.
    pub(super) fn look_elsewhere(
        &self,
        tx: &Tx<'_>,
        who: &Who,
        but: Option<&OrgId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (organization, user) in people::live_memberships(tx, who)? {
            if Some(&organization) != but {
                self.look_again_at(tx, &organization, &user, now)?;
            }
        }
        Ok(())
    }

    fn look_again_at(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        user: &CrmUserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.host(organization).is_none() {
            return Ok(());
        }
        hints::put(tx, organization, user, HintKind::Present, None, now)?;
        // The desk claims through the same writer, so it comes after this transaction.
        self.wake(&Desk::Hints(organization.clone()));
        Ok(())
    }

    /// What shows of a CRM user's home; of one whom CRM does not show, by what the ledger remembers.
    pub(super) fn sight_of(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        user: Option<&CrmUser>,
        known: Option<&Membership>,
    ) -> Result<Option<Sight>, StoreError> {
        let email = user.and_then(|user| user.email.as_ref());
        let Some(email) = email.or(known.map(|row| &row.email)) else { return Ok(None) };
        let zuid = user.and_then(|user| user.zuid.as_ref());
        let zuid = zuid.or(known.and_then(|row| row.zuid.as_ref()));
        self.sight(tx, Some(organization), zuid, email).map(Some)
    }

    /// What shows of a person's home, seen from one organization or from none.
    pub(super) fn sight(
        &self,
        tx: &Tx<'_>,
        from: Option<&OrgId>,
        zuid: Option<&Zuid>,
        email: &Email,
    ) -> Result<Sight, StoreError> {
        let configured = |id: &OrgId| self.host(id).is_some();
        let who = people::identify(tx, zuid, email)?;
        let (mut accounts, mut namesakes) = people::accounts(tx, &who)?;
        accounts.retain(configured);
        namesakes.retain(|id| configured(id) && Some(id) != from);
        let hosts = self.inner.hosts.values();
        let domains = hosts.filter(|host| host.is_home_of(email)).map(|host| host.id().clone());
        let shown = Shown { accounts, domains: domains.collect() };
        let before = people::accepted(tx, &who)?.filter(|(before, _)| configured(&before.home));
        let provisional = before.as_ref().is_some_and(|(_, provisional)| *provisional);
        let accepted = before.map(|(before, _)| before);
        let mut rivals = match (from, zuid) {
            (Some(from), Some(zuid)) => people::rivals(tx, from, zuid, email)?,
            _ => Vec::new(),
        };
        rivals.retain(|rival| configured(&rival.organization));
        let home = home::home(&shown, accepted.as_ref());
        let same_here = Vec::new();
        Ok(Sight { who, shown, accepted, provisional, home, rivals, namesakes, same_here })
    }

    /// Why nothing may be written for the person of a membership now, if so (R3, G6, G9).
    pub(super) fn dispute(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
    ) -> Result<Option<String>, StoreError> {
        let sight = self.sight(tx, Some(&row.organization), row.zuid.as_ref(), &row.email)?;
        let home = sight.verdict();
        if home.forbids_writes() {
            return Ok(Some(home::sentence(&home)));
        }
        let me = people::party(&row.organization, &row.crm_user_id);
        let inside = people::conflicts(tx, &[&me])?;
        Ok(inside.keys().find_map(pairs::sentence))
    }

    /// Whether nothing may be written for the person, if there is a membership.
    pub(super) fn is_disputed(
        &self,
        tx: &Tx<'_>,
        row: Option<&Membership>,
    ) -> Result<bool, StoreError> {
        Ok(match row {
            Some(row) => self.dispute(tx, row)?.is_some(),
            None => false,
        })
    }

    /// Remembers the home, and what contradicts: told once each, until the facts agree again.
    pub(super) fn note_sight(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        sight: &Sight,
        row: Option<&Membership>,
        verdict: &Verdict,
    ) -> Result<(), StoreError> {
        let learnt = home::learnt(&sight.shown, &sight.home, sight.accepted.as_ref());
        if let Some(home) = learnt
            && (home != sight.accepted || sight.provisional)
        {
            people::accept(tx, &sight.who, home.as_ref(), look.now)?;
        }
        let me = people::party(look.host.id(), look.user);
        let dispute = sight.dispute().map(|conflict| (conflict, sight.home.clone()));
        let pairs = self.pairs(tx, &me, row)?;
        let inside = pairs::found(look, sight, verdict);
        let known = people::conflicts(tx, &[&me, sight.who.key()])?;
        for over in known.keys() {
            let goes_on = pairs.iter().chain(&dispute).any(|(conflict, _)| conflict == over)
                || inside.iter().any(|found| found.conflict == *over);
            if !goes_on {
                people::end_conflict(tx, over)?;
                self.look_at_the_other(tx, over, &me, sight, look)?;
                // Reminders were kept back.
                self.wake(&Desk::Clock(look.host.id().clone()));
            }
        }
        for found in &inside {
            self.note_inside(tx, look, sight, found, known.get(&found.conflict).copied())?;
        }
        if !matches!(verdict, Verdict::Home(_)) {
            return Ok(());
        }
        for (conflict, home) in pairs.iter().chain(&dispute) {
            let told = known.get(conflict);
            if told == Some(&true) {
                continue;
            }
            // One side may only have been read too long ago: the other is looked at before anybody
            // is troubled.
            let other = people::of_party(&conflict.other).is_some();
            let tell = told.is_some() || !other;
            people::note_conflict(tx, conflict, tell, look.now)?;
            if told.is_none() {
                self.look_at_the_other(tx, conflict, &me, sight, look)?;
            }
            if tell {
                self.tell_home(tx, look, sight, home)?;
            }
        }
        Ok(())
    }

    /// Remembers a conflict inside the organization. One that a single look saw may be of a row that
    /// was read too long ago: the other one is looked at before anybody is troubled.
    fn note_inside(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        sight: &Sight,
        found: &pairs::Found,
        told: Option<bool>,
    ) -> Result<(), StoreError> {
        if told == Some(true) {
            return Ok(());
        }
        let (conflict, shared) = (&found.conflict, found.shared.as_deref());
        let tell = told.is_some() || found.sure;
        people::note_pair(tx, conflict, shared, tell, look.now)?;
        if told.is_none() {
            let me = people::party(look.host.id(), look.user);
            self.look_at_the_other(tx, conflict, &me, sight, look)?;
        }
        if !tell {
            return Ok(());
        }
        let (organization, user) = (look.host.id(), look.user);
        tracing::warn!(%organization, crm_user = %user, kind = conflict.kind, "nothing is written");
        let notice = pairs::notice(tx, look, conflict)?;
        self.tell_conflict(tx, look, &notice)
    }

    /// What contradicts between two live rows of the ledger, one for each pair. Both sides see the
    /// same, so that no conflict is ended by one and begun by the other for ever.
    fn pairs(
        &self,
        tx: &Tx<'_>,
        me: &str,
        row: Option<&Membership>,
    ) -> Result<Vec<(Conflict, Home)>, StoreError> {
        let Some(row) = row.filter(|row| row.is_live()) else { return Ok(Vec::new()) };
        let sight = self.sight(tx, Some(&row.organization), row.zuid.as_ref(), &row.email)?;
        let mut pairs = Vec::new();
        for rival in &sight.rivals {
            let other = people::party(&rival.organization, &rival.crm_user_id);
            let (one, other) =
                if me < other.as_str() { (me.to_owned(), other) } else { (other, me.to_owned()) };
            let home = rival.home();
            pairs.push((Conflict { kind: home.word().to_owned(), one, other }, home));
        }
        for other in &sight.namesakes {
            let home = Home::TwoPersons(other.clone());
            let (one, other) = (me.to_owned(), other.to_string());
            pairs.push((Conflict { kind: home.word().to_owned(), one, other }, home));
        }
        Ok(pairs)
    }

    /// A conflict has begun or ended: whoever else it is about is looked at again.
    fn look_at_the_other(
        &self,
        tx: &Tx<'_>,
        conflict: &Conflict,
        me: &str,
        sight: &Sight,
        look: &Look<'_>,
    ) -> Result<(), StoreError> {
        if conflict.one == sight.who.key() {
            return self.look_elsewhere(tx, &sight.who, Some(look.host.id()), look.now);
        }
        let other = if conflict.one == me { &conflict.other } else { &conflict.one };
        match people::of_party(other) {
            Some((organization, user)) => self.look_again_at(tx, &organization, &user, look.now),
            None => Ok(()),
        }
    }

    fn tell_home(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        sight: &Sight,
        home: &Home,
    ) -> Result<(), StoreError> {
        let (organization, user, who) = (look.host.id(), look.user, sight.who.email.masked());
        tracing::warn!(%organization, crm_user = %user, kind = home.word(), "nothing is written");
        let title = match home {
            Home::Claimed(_) => format!("Two organizations claim to be the home of {who}"),
            Home::Changed { from, to } => format!("The home of {who} changed from {from} to {to}"),
            Home::TwoPersons(other) => {
                format!("{who} is two persons in {organization} and {other}")
            }
            Home::TwoAddresses(other) => {
                format!("{who} has another address in {other} than in {organization}")
            }
            Home::Elsewhere | Home::At(_) => return Ok(()),
        };
        let body = format!(
            "{}\nCRM user {user} of {organization}. `cliqbridge people {}` shows every \
             organization of the person.",
            home::sentence(home),
            sight.who.zuid.as_ref().map_or(user.as_str(), Zuid::as_str),
        );
        self.tell_conflict(tx, look, &Notice { title, body })
    }

    /// Tells of one conflict; of many, that there are more.
    fn tell_conflict(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        const DAY: std::time::Duration = std::time::Duration::from_hours(24);
        let organization = look.host.id();
        // This one is counted already.
        match people::told_since(tx, look.now - DAY)?.checked_sub(TOLD_ONE_BY_ONE) {
            None | Some(0) => self.tell_admins(tx, organization, notice, look.cause, look.now),
            Some(1) => {
                let notice = Notice {
                    title: format!("More people of {organization} are in conflict"),
                    body: "Nothing is done for any of them. `GET /api/v1/conflicts` lists them; \
                           `cliqbridge people PERSON` shows one."
                        .to_owned(),
                };
                self.tell_admins(tx, organization, &notice, look.cause, look.now)
            }
            Some(_) => Ok(()),
        }
    }
}
