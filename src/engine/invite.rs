//! What an invited person is sent: the first letter and the bot notice, and reminders.
//!
//! Deliberately absent: when, which is the planner's and the invitation clock's; and the words.

use super::{Engine, Host};
use crate::domain::letter::{Invitation, Kind};
use crate::domain::membership::Membership;
use crate::domain::{Lane, Operation, Timestamp};
use crate::logic::invitation::after_quiet;
use crate::store::outbox::{self, Cause, NewAction, Queued, Wish};
use crate::store::{StoreError, Tx, ledger};

impl Engine {
    /// Queues the first letter and the bot notice of an invitation, once per generation (R9). The
    /// letter goes at once, the notice not in quiet hours.
    pub(super) fn invite(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &mut Membership,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if row.sends > 0 {
            return Ok(());
        }
        row.sends += 1;
        ledger::put(tx, row)?;
        self.put_link(tx, row, Kind::First, now)?;
        let invitation = self.invitation(tx, host, row, Kind::First, now)?;
        let mut operations = Vec::new();
        if self.inner.settings.send_invitations {
            operations.push((Operation::Letter(invitation.clone()), now));
        }
        if !self.bots_for(tx, row)?.is_empty() {
            let at = after_quiet(now, &row.time_zone, &self.inner.settings.timing);
            operations.push((Operation::BotNotice(invitation), at));
        }
        for (operation, not_before) in operations {
            let new = NewAction {
                organization: host.id(),
                membership: Some(row),
                operation,
                reason: "Invited: the person is told once.",
                cause,
                wish: Wish::Planned,
                not_before,
            };
            let letter = new.operation.lane() == Lane::Letter;
            if let (true, Queued::AlreadyWaiting(_)) = (letter, outbox::put(tx, &new, now)?) {
                // One of an earlier start is on its way. The next look queues this one.
                row.sends = 0;
                ledger::put(tx, row)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Queues a reminder: by bot to whom a bot may reach, which falls back on a letter, else as a
    /// letter. False if the letter before it has not gone yet.
    pub(super) fn remind(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &mut Membership,
        number: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let by_bot = !self.bots_for(tx, row)?.is_empty();
        let silent = !by_bot && !self.inner.settings.send_invitations;
        if silent || outbox::waits(tx, row.id, Lane::Letter)? {
            return Ok(false);
        }
        let sends = row.sends;
        row.sends += 1;
        let kind = Kind::Reminder { number };
        self.put_link(tx, row, kind, now)?;
        let invitation = self.invitation(tx, host, row, kind, now)?;
        let operation =
            if by_bot { Operation::BotNotice(invitation) } else { Operation::Letter(invitation) };
        let new = NewAction {
            organization: host.id(),
            membership: Some(row),
            operation,
            reason: "No answer yet: the person is reminded.",
            cause: Cause::default(),
            wish: Wish::Planned,
            not_before: after_quiet(now, &row.time_zone, &self.inner.settings.timing),
        };
        if let Queued::AlreadyWaiting(_) = outbox::put(tx, &new, now)? {
            row.sends = sends;
            return Ok(false);
        }
        Ok(true)
    }

    /// The facts of the person's invitation as of now. Its `join_url` is where joining leads on to;
    /// what is sent points to our page instead.
    pub(super) fn invitation(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &Membership,
        kind: Kind,
        now: Timestamp,
    ) -> Result<Invitation, StoreError> {
        let invited_at = row.invited_at.unwrap_or(now);
        let full_name = format!("{} {}", row.first_name, row.last_name);
        Ok(Invitation {
            first_name: row.first_name.clone(),
            full_name: full_name.trim().to_owned(),
            email: row.email.as_str().to_owned(),
            organization: host.settings.name.clone(),
            invited_by: row.invited_by.clone(),
            join_url: row.join_url.clone().unwrap_or_else(|| host.join_url.clone()),
            invited_at: invited_at.to_rfc3339(),
            expires_at: (invited_at + self.inner.settings.timing.expire_after).to_rfc3339(),
            language: row.language.clone(),
            time_zone: row.time_zone.clone(),
            kind,
            has_account: row.zuid.is_some(),
            channels: self.open_channels(tx, row)?,
            thread: (kind != Kind::First).then(|| self.letter_key(row, 1)),
            unsubscribe: None,
        })
    }

    /// The Message-ID of a send: equal over retries.
    pub(super) fn letter_key(&self, row: &Membership, send: u32) -> String {
        let (id, generation) = (row.id.to_string(), row.generation.to_string());
        self.message_key(&["invitation", &id, &generation, &send.to_string()])
    }
}
