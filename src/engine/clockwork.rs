//! The invitation clock at work: reminders, expiry, and what lasts too long (R9, G3, G4).
//!
//! Nobody is reminded while a conflict or a changed home waits for an operator, and nothing falls due in
//! a quarantined organization before a run has read it again. Deliberately absent: calls. Whatever goes out goes through
//! the outbox.

use std::fmt::Write as _;
use std::time::Duration;

use super::tell::named;
use super::{Engine, Host, Step};
use crate::domain::letter::Notice;
use crate::domain::membership::{Membership, State};
use crate::domain::{MembershipId, OrgId, Timestamp};
use crate::logic::invitation::{self, Due};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause};
use crate::store::{StoreError, Tx, ledger, orgs};

/// People looked at in one transaction.
const PEOPLE_PER_TRANSACTION: usize = 200;

/// People named in one notice; the rest is a number.
const NAMED_MAX: usize = 20;

/// Whose state lasts too long within this time goes into the notice of the first: people who were
/// invited one after another are one notice an hour, not one each.
const TOGETHER: Duration = Duration::from_hours(1);

/// People of one notice, and so of one transaction. Each is one small change.
const OVERDUE_MAX: usize = 5_000;

/// What the clock of one organization asks for.
enum Agenda {
    /// Nothing before this time.
    Nothing(Option<Timestamp>),
    /// Something of each of these, and whose state lasts too long.
    Due { ids: Vec<MembershipId>, overdue: Vec<MembershipId> },
}

impl Engine {
    /// Does what is due of invitations.
    pub(super) async fn tick_invitations(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let (id, now) = (organization.clone(), self.now());
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let observe = host.portal.is_none();
        let engine = self.clone();
        let agenda = self.inner.store.read(move |tx| engine.agenda(tx, &id, observe, now)).await?;
        let (ids, overdue) = match agenda {
            Agenda::Nothing(next) => return Ok(Step::Idle(next)),
            Agenda::Due { ids, overdue } => (ids, overdue),
        };
        for some in overdue.chunks(OVERDUE_MAX) {
            let (engine, organization, some) = (self.clone(), organization.clone(), some.to_vec());
            self.inner
                .store
                .write("overdue", move |tx| {
                    let Some(host) = engine.host(&organization) else { return Ok(()) };
                    engine.note_overdue(tx, host, &some, now)
                })
                .await?;
        }
        for some in ids.chunks(PEOPLE_PER_TRANSACTION) {
            let (engine, organization, some) = (self.clone(), organization.clone(), some.to_vec());
            self.inner
                .store
                .write("invitation clock", move |tx| {
                    let Some(host) = engine.host(&organization) else { return Ok(()) };
                    for id in some {
                        let Some(row) = ledger::get(tx, id)? else { continue };
                        engine.tick_one(tx, host, row, now)?;
                    }
                    Ok(())
                })
                .await?;
        }
        self.wake_outbox(host.id());
        Ok(Step::Worked)
    }

    /// Whose turn it is. Nobody's while the organization is left alone, and until a run has seen who has
    /// joined meanwhile (G12).
    fn agenda(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        observe: bool,
        now: Timestamp,
    ) -> Result<Agenda, StoreError> {
        if orgs::clock_waits(tx, organization)? {
            return Ok(Agenda::Nothing(None));
        }
        let (mut next, mut ids) = (None, Vec::new());
        let (mut overdue, mut is_overdue) = (Vec::new(), false);
        for row in ledger::on_the_clock(tx, organization)? {
            if let Some(at) = self.overdue_by(&row, observe, now + TOGETHER) {
                overdue.push(row.id);
                is_overdue |= at <= now;
            }
            match self.next_of(tx, &row, observe, now)? {
                Some((at, _)) if at <= now => ids.push(row.id),
                other => next = next.into_iter().chain(other.map(|(at, _)| at)).min(),
            }
        }
        if !is_overdue {
            overdue.clear();
        }
        let is_nothing = ids.is_empty() && overdue.is_empty();
        Ok(if is_nothing { Agenda::Nothing(next) } else { Agenda::Due { ids, overdue } })
    }

    /// When the state lasts too long, if that is by then.
    fn overdue_by(&self, row: &Membership, observe: bool, by: Timestamp) -> Option<Timestamp> {
        let timing = &self.inner.settings.timing;
        invitation::overdue_at(row, timing, observe).filter(|at| *at <= by)
    }

    /// What falls due of the membership next. A reminder of somebody whom nobody may write to waits,
    /// whatever else is due.
    fn next_of(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
        observe: bool,
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Due)>, StoreError> {
        let timing = &self.inner.settings.timing;
        let next = invitation::next(row, timing, observe);
        let Some((_, Due::Remind(_))) = next.filter(|(at, _)| *at <= now) else {
            return Ok(next);
        };
        let silenced = self.is_silenced(tx, &row.organization, &row.email)?;
        if self.dispute(tx, row)?.is_none() && !silenced {
            return Ok(next);
        }
        let quiet = Membership { reminded: timing.reminders, ..row.clone() };
        Ok(invitation::next(&quiet, timing, observe))
    }

    /// Whatever of one membership is due, until nothing is.
    fn tick_one(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        mut row: Membership,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let timing = &self.inner.settings.timing;
        while let Some((at, due)) = self.next_of(tx, &row, host.portal.is_none(), now)?
            && at <= now
        {
            match due {
                // Of this moment, and the next look's.
                Due::Overdue => return Ok(()),
                Due::Expire => self.expire(tx, &mut row, now)?,
                Due::Remind(number) => {
                    let number = invitation::latest_reminder(&row, timing, now).unwrap_or(number);
                    row.reminded = number;
                    self.remind(tx, host, &mut row, number, now)?;
                }
            }
            ledger::put(tx, &row)?;
        }
        Ok(())
    }

    /// The invitation has run out: what still waits to be sent is not sent any more.
    fn expire(&self, tx: &Tx<'_>, row: &mut Membership, now: Timestamp) -> Result<(), StoreError> {
        let before = audit::facts(row);
        row.state = State::Expired;
        row.since = now;
        row.overdue_told = false;
        let why = "The invitation ran out without an answer.";
        outbox::withdraw_letters(tx, row.id, self.inner.boot, why, now)?;
        let entry = Entry {
            organization: &row.organization,
            membership: Some(row.id),
            actor: "bridge",
            event: "expired",
            reason: why,
            before: Some(before),
            after: Some(audit::facts(row)),
            cause: Cause::default(),
            action: None,
        };
        audit::record(tx, &entry, now)
    }

    /// One notice for all whose state lasts too long, once per person and state.
    fn note_overdue(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        ids: &[MembershipId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut people = Vec::new();
        for id in ids {
            let Some(row) = ledger::get(tx, *id)? else { continue };
            if self.overdue_by(&row, host.portal.is_none(), now + TOGETHER).is_some() {
                let row = Membership { overdue_told: true, ..row };
                ledger::put(tx, &row)?;
                people.push(row);
            }
        }
        self.tell_overdue(tx, host, &people, now)
    }

    fn tell_overdue(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        people: &[Membership],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if people.is_empty() {
            return Ok(());
        }
        let hours = self.inner.settings.timing.overdue_after.as_secs() / 3600;
        let mut body = format!("For {hours} hours by now, or within the next hour:\n");
        for row in people.iter().take(NAMED_MAX) {
            let what = match row.state {
                State::Wanted => "is to be added in CRM Plus (Admin panel, Users)",
                _ => "is invited and has not joined",
            };
            // Writing into a string cannot fail.
            let _ = writeln!(body, "{} {what}", named(row));
        }
        if people.len() > NAMED_MAX {
            let _ = writeln!(body, "and {} more", people.len() - NAMED_MAX);
        }
        let notice = Notice {
            title: format!(
                "{} of {} wait since before {}",
                people.len(),
                host.id(),
                now.to_utc().format("%Y-%m-%d %H:%M UTC")
            ),
            body,
        };
        self.tell_admins(tx, host.id(), &notice, Cause::default(), now)
    }
}
