//! What an invited person is sent: the first letter and the bot notice, and reminders.
//!
//! Deliberately absent: when, which is the planner's and the invitation clock's; and the words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Engine, Host};
use crate::domain::letter::{Invitation, Kind};
use crate::domain::membership::Membership;
use crate::domain::{Operation, Timestamp};
use crate::logic::invitation::after_quiet;
use crate::store::joins::JoinLink;
use crate::store::outbox::{self, Cause, NewAction, Queued, Wish};
use crate::store::{StoreError, Tx, joins, ledger};

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
        let invitation = self.invitation(tx, host, row, Kind::First, now)?;
        let mut operations = Vec::new();
        if self.inner.settings.send_invitations {
            operations.push((Operation::Letter(invitation.clone()), now));
        }
        if self.has_a_bot_for(host, &row.email) {
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
            outbox::put(tx, &new, now)?;
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
        let sends = row.sends;
        row.sends += 1;
        let invitation = self.invitation(tx, host, row, Kind::Reminder { number }, now)?;
        let by_bot = self.has_a_bot_for(host, &row.email);
        let operation =
            if by_bot { Operation::BotNotice(invitation) } else { Operation::Letter(invitation) };
        let new = NewAction {
            organization: host.id(),
            membership: Some(row),
            operation,
            reason: "No answer yet: the person is reminded.",
            cause: Cause::default(),
            wish: Wish::Planned,
            not_before: now,
        };
        if let Queued::AlreadyWaiting(_) = outbox::put(tx, &new, now)? {
            row.sends = sends;
            return Ok(false);
        }
        Ok(true)
    }

    /// The facts of the person's invitation as of now; its join link is new with each send.
    fn invitation(
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
            join_url: self.join_link(tx, row, now)?,
            invited_at: invited_at.to_rfc3339(),
            expires_at: (invited_at + self.inner.settings.timing.expire_after).to_rfc3339(),
            language: row.language.clone(),
            time_zone: row.time_zone.clone(),
            kind,
            has_account: row.zuid.is_some(),
            channels: Vec::new(),
            thread: (kind != Kind::First).then(|| self.letter_key(row, 1)),
            unsubscribe: None,
        })
    }

    /// The address of the person's join page for the current send. The token comes out the same
    /// when the letter is made again; only its hash is kept (design section 11).
    fn join_link(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let parts = [row.id.to_string(), row.generation.to_string(), row.sends.to_string()];
        let token =
            URL_SAFE_NO_PAD.encode(self.keyed_bytes("join", &parts.each_ref().map(|p| p.as_str())));
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let link = JoinLink { membership: row.id, generation: row.generation, send: row.sends };
        joins::put(tx, &hash, link, now)?;
        Ok(format!(
            "{}/join/{token}",
            self.inner.settings.public_url.as_str().trim_end_matches('/')
        ))
    }

    /// The Message-ID of a send: equal over retries.
    pub(super) fn letter_key(&self, row: &Membership, send: u32) -> String {
        let (id, generation) = (row.id.to_string(), row.generation.to_string());
        self.message_key(&["invitation", &id, &generation, &send.to_string()])
    }
}
