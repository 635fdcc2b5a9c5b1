//! Join links: made for letters, looked up for the page, and answered (R10, R11, G3).
//!
//! A token is HMAC-SHA256 under the store's key over (membership, generation, send), so a retried
//! letter carries the same link while the store holds only the token's hash (design section 11,
//! "Order and letters"). Looking changes nothing: mail scanners open every link. Deliberately
//! absent: taking a step at Zoho; joining is the person's own act there.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Engine;
use crate::domain::letter::{Invitation, Kind};
use crate::domain::{
    JoinAnswer, JoinOutcome, JoinView, Membership, OpenInvitation, State, Timestamp,
};
use crate::store::audit::{self, Entry};
use crate::store::joins::{self, JoinLink};
use crate::store::outbox::{self, Cause};
use crate::store::{StoreError, Tx, ledger};

impl Engine {
    /// What the holder of a token may see. Changes nothing.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn join_view(&self, token: &str) -> Result<JoinView, StoreError> {
        let (engine, token, now) = (self.clone(), token.to_owned(), self.now());
        self.inner.store.read(move |tx| Ok(engine.look_up(tx, &token, now)?.0)).await
    }

    /// Takes the answer of the holder of a token. Joining leads on and is noted nowhere; declining
    /// ends the invitation. Both may be repeated.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn join(&self, token: &str, answer: JoinAnswer) -> Result<JoinOutcome, StoreError> {
        match answer {
            JoinAnswer::Join => Ok(match self.join_view(token).await? {
                JoinView::Open(open) => JoinOutcome::Go(open.invitation.join_url),
                gone => JoinOutcome::Gone(gone),
            }),
            JoinAnswer::Decline => {
                let (engine, token, now) = (self.clone(), token.to_owned(), self.now());
                self.inner.store.write("decline", move |tx| engine.decline(tx, &token, now)).await
            }
            JoinAnswer::Unsubscribe => {
                let (engine, token, now) = (self.clone(), token.to_owned(), self.now());
                let work = move |tx: &Tx<'_>| engine.unsubscribe(tx, &token, now);
                self.inner.store.write("unsubscribe", work).await
            }
        }
    }

    /// Remembers the link of a letter or notice, so that it can be looked up.
    pub(super) fn put_link(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let link = link(row, kind);
        joins::put(tx, &hash(&self.token(link)), link, now)
    }

    /// The invitation as it is sent: with our page as the place to join. The link is made only now,
    /// so that no row holds a token.
    pub(super) fn with_link(&self, invitation: &Invitation, row: &Membership) -> Invitation {
        let page = format!("join/{}", self.token(link(row, invitation.kind)));
        let url = self.inner.settings.public_url.join(&page).ok().map(String::from);
        Invitation {
            join_url: url.clone().unwrap_or_else(|| invitation.join_url.clone()),
            unsubscribe: url,
            ..invitation.clone()
        }
    }

    fn decline(&self, tx: &Tx<'_>, token: &str, now: Timestamp) -> Result<JoinOutcome, StoreError> {
        let (view, row) = self.look_up(tx, token, now)?;
        let declined = |row: Membership| JoinOutcome::Declined { language: row.language };
        match (view, row) {
            (JoinView::Open(_), Some(before)) => {
                let mut row = before.clone();
                (row.state, row.since, row.overdue_told) = (State::Declined, now, false);
                // Not one that a listing missed: that would be undone when it is shown again.
                row.unseen_since = None;
                ledger::put(tx, &row)?;
                let reason = "Declined on the page of the invitation.";
                outbox::withdraw_letters(tx, row.id, self.inner.boot, reason, now)?;
                let entry = Entry {
                    organization: &row.organization,
                    membership: Some(row.id),
                    actor: "invitee",
                    event: "declined",
                    reason,
                    before: Some(audit::facts(&before)),
                    after: Some(audit::facts(&row)),
                    cause: Cause::default(),
                    action: None,
                };
                audit::record(tx, &entry, now)?;
                if let Some(host) = self.host(&row.organization) {
                    self.settle_remembered(tx, host, &row, Cause::default(), now)?;
                }
                Ok(declined(row))
            }
            (JoinView::Resolved, Some(row)) if row.state == State::Declined => Ok(declined(row)),
            (view, _) => Ok(JoinOutcome::Gone(view)),
        }
    }

    /// No letter, reminder or notice goes to the address any more; the invitation stands.
    fn unsubscribe(
        &self,
        tx: &Tx<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<JoinOutcome, StoreError> {
        let (view, row) = self.look_up(tx, token, now)?;
        let Some(row) = row else { return Ok(JoinOutcome::Gone(view)) };
        if joins::suppress(tx, &row.email, now)? {
            let reason =
                "Unsubscribed by the link of a letter: no more of them go to this address.";
            outbox::withdraw_letters(tx, row.id, self.inner.boot, reason, now)?;
            let entry = Entry {
                organization: &row.organization,
                membership: Some(row.id),
                actor: "invitee",
                event: "unsubscribed",
                reason,
                before: None,
                after: None,
                cause: Cause::default(),
                action: None,
            };
            audit::record(tx, &entry, now)?;
        }
        Ok(JoinOutcome::Unsubscribed)
    }

    fn look_up(
        &self,
        tx: &Tx<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<(JoinView, Option<Membership>), StoreError> {
        let unknown = Ok((JoinView::Unknown, None));
        let Some(link) = joins::find(tx, &hash(token))? else { return unknown };
        if !bool::from(self.token(link).as_bytes().ct_eq(token.as_bytes())) {
            return unknown;
        }
        let Some(row) = ledger::get(tx, link.membership)? else { return unknown };
        Ok((self.view(tx, link, &row, now)?, Some(row)))
    }

    fn view(
        &self,
        tx: &Tx<'_>,
        link: JoinLink,
        row: &Membership,
        now: Timestamp,
    ) -> Result<JoinView, StoreError> {
        let Some(host) = self.host(&row.organization) else { return Ok(JoinView::Revoked) };
        if link.generation != row.generation {
            return Ok(JoinView::Revoked);
        }
        Ok(match row.state {
            State::Wanted | State::RemovalStaged | State::Removed | State::Left => {
                JoinView::Revoked
            }
            State::Joined | State::Restricted | State::Declined | State::Blocked => {
                JoinView::Resolved
            }
            State::Expired => JoinView::Expired,
            State::Invited if self.has_run_out(row, now) => JoinView::Expired,
            State::Invited => {
                let invitation = self.invitation(tx, host, row, Kind::First, now)?;
                JoinView::Open(Box::new(OpenInvitation { invitation }))
            }
        })
    }

    fn has_run_out(&self, row: &Membership, now: Timestamp) -> bool {
        let expire_after = self.inner.settings.timing.expire_after;
        row.invited_at.is_some_and(|invited_at| invited_at + expire_after <= now)
    }

    /// In hex: mail programs that make a link of plain text lose no sign at its end.
    fn token(&self, link: JoinLink) -> String {
        let JoinLink { membership, generation, send } = link;
        let parts = [membership.to_string(), generation.to_string(), send.to_string()];
        self.keyed("join", &parts.each_ref().map(String::as_str))
    }
}

fn link(row: &Membership, kind: Kind) -> JoinLink {
    JoinLink { membership: row.id, generation: row.generation, send: kind.send() }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
