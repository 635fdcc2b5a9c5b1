//! The invitation clock at work: reminders, expiry, and what lasts too long (R9, G3, G4).
//!
//! Deliberately absent: calls. Whatever goes out goes through the outbox.

use std::fmt::Write as _;

use super::tell::named;
use super::{Engine, Host, Step};
use crate::domain::letter::Notice;
use crate::domain::membership::{Membership, State};
use crate::domain::{Lane, OrgId, Timestamp};
use crate::logic::invitation::{self, Due};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause};
use crate::store::{StoreError, Tx, ledger};

/// People looked at in one transaction.
const PEOPLE_PER_TRANSACTION: usize = 200;

/// People named in one notice; the rest is a number.
const NAMED_MAX: usize = 20;

impl Engine {
    /// Does what is due of invitations.
    pub(super) async fn tick_invitations(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let (id, now) = (organization.clone(), self.now());
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        let observe = host.portal.is_none();
        let open = self.inner.store.read(move |tx| ledger::on_the_clock(tx, &id)).await?;
        let timing = &self.inner.settings.timing;
        let due = |row: &Membership| invitation::next(row, timing, observe).map(|(at, _)| at);
        let next = open.iter().filter_map(due).min();
        if next.is_none_or(|at| at > now) {
            return Ok(Step::Idle(next));
        }
        let ids: Vec<_> = open
            .iter()
            .filter(|row| due(row).is_some_and(|at| at <= now))
            .map(|row| row.id)
            .collect();
        for some in ids.chunks(PEOPLE_PER_TRANSACTION) {
            let (engine, organization, some) = (self.clone(), organization.clone(), some.to_vec());
            self.inner
                .store
                .write("invitation clock", move |tx| {
                    let Some(host) = engine.host(&organization) else { return Ok(()) };
                    let mut overdue = Vec::new();
                    for id in some {
                        let Some(row) = ledger::get(tx, id)? else { continue };
                        engine.tick_one(tx, host, row, &mut overdue, now)?;
                    }
                    engine.tell_overdue(tx, host, &overdue, now)
                })
                .await?;
        }
        self.wake_outbox(host.id());
        Ok(Step::Worked)
    }

    /// Whatever of one membership is due, until nothing is.
    fn tick_one(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        mut row: Membership,
        overdue: &mut Vec<Membership>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let timing = &self.inner.settings.timing;
        while let Some((at, due)) = invitation::next(&row, timing, host.portal.is_none())
            && at <= now
        {
            match due {
                Due::Overdue => {
                    row.overdue_told = true;
                    overdue.push(row.clone());
                }
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
        for lane in [Lane::Letter, Lane::Notice] {
            outbox::withdraw(tx, row.id, lane, self.inner.boot, why, now)?;
        }
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
        let mut body = format!("For more than {hours} hours:\n");
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
