//! What administrators are told: by mail, and in the admin channel where one is set.
//!
//! A lasting state is told when it begins and again only when it has ended meanwhile; what happens to
//! many people one after another is told at once and then together. What was told is in
//! `store::told`. Deliberately absent: the words, and what is worth a word.

use std::time::Duration;

use super::Engine;
use crate::domain::letter::Notice;
use crate::domain::{Membership, Operation, OrgId, Timestamp};
use crate::store::outbox::{self, Cause, NewAction, Wish};
use crate::store::{StoreError, Tx, told};

/// After one notice of a kind, how long further ones of it are gathered into one.
const TOGETHER: Duration = Duration::from_hours(1);

impl Engine {
    /// Queues a notice to the administrators.
    pub(super) fn tell_admins(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        notice: &Notice,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.tell_later(tx, organization, notice, cause, (now, now))
    }

    /// Tells of a lasting state, unless just this was told of the matter last. [`told::end`] ends it.
    pub(super) fn tell_once(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        (matter, state): (&str, &str),
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !told::note(tx, organization, matter, state)? {
            return Ok(());
        }
        self.tell_admins(tx, organization, notice, Cause::default(), now)
    }

    /// Tells of something that may happen to many, one after another: the first at once, those of the
    /// next hour together at its end, by `more`. Two hundred in a row are two mails.
    pub(super) fn tell_each(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        matter: &str,
        (notice, more): (&Notice, &Notice),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // The newest notice of the matter: gone already, or waiting until then.
        let newest = told::last(tx, organization, matter)?.and_then(|at| at.parse().ok());
        let (notice, at) = match newest.map(Timestamp) {
            // One that is farther ahead was told before the clock was set back.
            Some(at) if at > now && at <= now + TOGETHER => return Ok(()),
            Some(at) if at <= now && at + TOGETHER > now => (more, at + TOGETHER),
            _ => (notice, now),
        };
        told::note(tx, organization, matter, &at.millis().to_string())?;
        self.tell_later(tx, organization, notice, Cause::default(), (now, at))
    }

    fn tell_later(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        notice: &Notice,
        cause: Cause,
        (now, not_before): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let mails = self
            .inner
            .settings
            .admins
            .iter()
            .map(|admin| Operation::AdminMail(admin.clone(), notice.clone()));
        let post = self
            .host(organization)
            .filter(|host| host.settings.bot.is_some() && host.settings.admin_channel.is_some())
            .map(|_| Operation::AdminPost(notice.clone()));
        for operation in mails.chain(post) {
            let new = NewAction {
                organization,
                membership: None,
                operation,
                reason: &notice.title,
                cause,
                wish: Wish::Planned,
                not_before,
            };
            outbox::put(tx, &new, now)?;
        }
        Ok(())
    }
}

/// Who it is, as administrators know people: name, address, and the ids to look them up by.
pub(super) fn named(row: &Membership) -> String {
    let name = format!("{} {}", row.first_name, row.last_name);
    let who = match name.trim() {
        "" => row.email.as_str().to_owned(),
        name => format!("{name} <{}>", row.email.as_str()),
    };
    format!("{who} (CRM user {}, {})", row.crm_user_id, row.id)
}
