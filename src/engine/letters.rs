//! Letters: rendered from what the row holds, so that a retried letter is byte-equal.

use std::time::Duration;

use super::Engine;
use super::deliver::Effect;
use crate::domain::letter::{Invitation, Letter, Notice};
use crate::domain::membership::State;
use crate::domain::{Action, Email, Failure, Membership, OrgId, Timestamp};
use crate::logic::letter;
use crate::store::{StoreError, Tx, joins, ledger, outbox};

/// The span of `mail.per_hour`.
const HOUR: Duration = Duration::from_hours(1);

/// Why nothing is sent to an address that unsubscribed.
pub(super) const UNSUBSCRIBED: &str = "the person asked for no more letters";

/// How long what may not be sent to somebody in conflict is kept before it is looked at again.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// When to look again while every letter that counts is on its way; its end rings before that.
const ON_THE_WAY: Duration = Duration::from_mins(1);

impl Engine {
    /// Until when no more letters may go, if `mail.per_hour` is used up.
    pub(super) async fn letters_full_until(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let boot = self.inner.boot;
        let (sent, oldest) = self
            .inner
            .store
            .read(move |tx| outbox::letters_since(tx, now - HOUR, now, boot))
            .await?;
        if sent < self.inner.settings.letters_per_hour {
            return Ok(None);
        }
        Ok(Some(oldest.map_or(now + ON_THE_WAY, |at| at + HOUR + Duration::from_millis(1))))
    }

    /// Whether nobody is to write to the address: somebody there asked for no more letters, or the
    /// organization's `scope.exclude` names it, approved or not (design section 11, "Letters").
    pub(super) fn is_silenced(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        email: &Email,
    ) -> Result<bool, StoreError> {
        let excluded = self.host(organization).is_some_and(|host| host.policy.exclude.names(email));
        Ok(excluded || joins::is_suppressed(tx, email)?)
    }

    /// The same, outside of a transaction.
    pub(super) async fn is_suppressed(
        &self,
        organization: &OrgId,
        email: &Email,
    ) -> Result<bool, StoreError> {
        let (engine, organization, email) = (self.clone(), organization.clone(), email.clone());
        self.inner.store.read(move |tx| engine.is_silenced(tx, &organization, &email)).await
    }

    /// Why nothing is sent to the person now: a conflict, or a home that waits for an operator. The
    /// letter is kept, and looked at again; that costs no attempt.
    pub(super) async fn not_now(&self, row: &Membership) -> Result<Option<Failure>, StoreError> {
        let (engine, row) = (self.clone(), row.clone());
        let dispute = self.inner.store.read(move |tx| engine.dispute(tx, &row)).await?;
        let until = self.now() + KEPT_FOR;
        Ok(dispute.map(|detail| Failure::Throttled { until, detail }))
    }

    /// Sends an invitation letter, if the person is still invited.
    pub(super) async fn send_letter(
        &self,
        action: &Action,
        invitation: &Invitation,
    ) -> Result<Result<Effect, Failure>, StoreError> {
        let Some(id) = action.membership else {
            return Ok(Ok(Effect::Needless("the membership is gone")));
        };
        let row = self.inner.store.read(move |tx| ledger::get(tx, id)).await?;
        let Some(row) = row.filter(|row| row.state == State::Invited) else {
            return Ok(Ok(Effect::Needless("the person is not waiting for it any more")));
        };
        if Timestamp::parse(&invitation.expires_at).is_some_and(|end| end <= self.now()) {
            return Ok(Ok(Effect::Needless("the invitation has run out")));
        }
        let Ok(to) = Email::parse(&invitation.email) else {
            return Ok(Ok(Effect::Needless("the address is not one")));
        };
        if self.is_suppressed(&row.organization, &to).await? {
            return Ok(Ok(Effect::Needless(UNSUBSCRIBED)));
        }
        if let Some(later) = self.not_now(&row).await? {
            return Ok(Err(later));
        }
        let key = self.letter_key(&row, invitation.kind.send());
        let invitation = self.with_link(invitation, &row);
        Ok(match letter::invitation(&invitation, &to, &key, action.created_at) {
            Ok(letter) => self.post(&letter).await,
            Err(error) => Err(Failure::transient(error.to_string())),
        })
    }

    /// Sends a notice to one administrator.
    pub(super) async fn send_notice(
        &self,
        action: &Action,
        to: &Email,
        notice: &Notice,
    ) -> Result<Effect, Failure> {
        let name = self
            .host(&action.organization)
            .map_or("cliqbridge", |host| host.settings.name.as_str());
        let key = self.message_key(&["notice", &action.id.to_string()]);
        let letter = letter::notice(notice, name, to, &key, action.created_at)
            .map_err(|error| Failure::transient(error.to_string()))?;
        self.post(&letter).await
    }

    async fn post(&self, letter: &Letter) -> Result<Effect, Failure> {
        self.inner.mailer.send(letter).await.map_err(|error| error.failure())?;
        Ok(Effect::Told("the mail server took it"))
    }

    pub(super) fn message_key(&self, parts: &[&str]) -> String {
        let mut key = self.keyed("message-id", parts);
        key.truncate(32);
        key
    }
}
