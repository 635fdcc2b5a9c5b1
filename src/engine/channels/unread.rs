//! Reads before a member call that did not work: who waits for them, until when, and what the
//! administrators are told, once until it works again.
//!
//! What is refused about one person is that person's alone: everybody else goes on. Deliberately
//! absent: channels that cannot be read, which is a problem of the channel and told as such.

use super::{REFUSED_AGAIN, again};
use crate::domain::letter::Notice;
use crate::domain::{ActionId, GuestId, OrgId};
use crate::engine::tell::named;
use crate::engine::{Engine, Host};
use crate::store::outbox;
use crate::store::{StoreError, Tx, guests, ledger, runs, told};
use crate::zoho::CallError;

/// Whose answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Cliq's, about the channel or its members.
    Channel,
    /// CRM's, about people.
    Crm,
    /// Cliq's, about people.
    Cliq,
}

/// A read that did not work.
pub(super) struct Unread {
    pub(super) side: Side,
    pub(super) error: CallError,
    /// At whose row of several it ended, if it was a read of one person.
    pub(super) at: Option<ActionId>,
}

impl Side {
    /// What administrators are told once of: people cannot be read there.
    pub(super) fn matter(self) -> &'static str {
        match self {
            Self::Channel => "channel read",
            Self::Crm => "people in CRM",
            Self::Cliq => "people in Cliq",
        }
    }

    fn name(self) -> &'static str {
        if self == Self::Crm { "CRM" } else { "Cliq" }
    }

    fn scope(self) -> &'static str {
        if self == Self::Crm { "ZohoCRM.users.READ" } else { "ZohoCliq.Users.READ" }
    }
}

/// Whether an error of a read of one person is about that person alone. Credentials are everybody's.
pub(super) fn is_of_one(error: &CallError) -> bool {
    error.is_refusal() && !matches!(error, CallError::Unauthorized { .. })
}

/// Whether there was no usable answer, which may be Zoho's state or this one question's.
fn is_no_answer(error: &CallError) -> bool {
    matches!(error, CallError::Transient { .. } | CallError::Incomplete { .. })
}

/// What was told of one row.
fn matter_of(action: ActionId) -> String {
    format!("read for {action}")
}

impl Engine {
    /// Lets rows wait whose facts could not be read; that is no attempt.
    pub(super) async fn delay(
        &self,
        host: &Host,
        rows: &[(ActionId, GuestId)],
        Unread { side, error, at: whose }: Unread,
    ) -> Result<(), StoreError> {
        let ids: Vec<ActionId> = rows.iter().map(|(action, _)| *action).collect();
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (at, text) = (again(&error, now), error.to_string());
        let told = error.is_refusal() && side != Side::Channel;
        // What fails of one person may fail every time: the others come back without it.
        let whose = whose.filter(|_| is_no_answer(&error));
        tracing::warn!(%organization, %error, %at, "channel rows wait for a read");
        self.inner
            .store
            .write("delay batch", move |tx| {
                if told {
                    let notice = everybody_waits(&organization, side, &text);
                    engine.tell_once(tx, &organization, (side.matter(), ""), &notice, now)?;
                }
                outbox::delay_batch(tx, &ids, at, &text)?;
                if let Some(whose) = whose {
                    outbox::delay_batch(tx, &[whose], at + REFUSED_AGAIN, &text)?;
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }

    /// Lets one row wait: its person is not to be looked at, and the others go on.
    pub(super) async fn delay_one(
        &self,
        host: &Host,
        channel: &str,
        (action, guest): (ActionId, GuestId),
        Unread { side, error, .. }: Unread,
    ) -> Result<(), StoreError> {
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (at, text, channel) = (again(&error, now), error.to_string(), channel.to_owned());
        tracing::warn!(%organization, channel, %action, %error, %at, "a channel row waits for a read");
        self.inner
            .store
            .write("delay row", move |tx| {
                if told::note(tx, &organization, &matter_of(action), "")? {
                    let who = who(tx, guest)?;
                    let (notice, more) = one_waits(&organization, &channel, side, (&who, &text));
                    let matter = format!("unread in {channel}");
                    engine.tell_each(tx, &organization, &matter, (&notice, &more), now)?;
                }
                outbox::delay_batch(tx, &[action], at, &text)?;
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await
    }

    /// Everything about these rows was read: when it is refused again, that is news.
    pub(super) fn end_unread(
        tx: &Tx<'_>,
        organization: &OrgId,
        rows: &[ActionId],
        removes: bool,
    ) -> Result<(), StoreError> {
        for action in rows {
            told::end(tx, organization, &matter_of(*action))?;
        }
        if removes {
            // Nobody is read in Cliq before they are brought in.
            told::end(tx, organization, Side::Cliq.matter())?;
        }
        Ok(())
    }
}

fn who(tx: &Tx<'_>, guest: GuestId) -> Result<String, StoreError> {
    let Some(guest) = guests::get(tx, guest)? else { return Ok("Somebody".to_owned()) };
    let row = guest.membership.map(|id| ledger::get(tx, id)).transpose()?.flatten();
    Ok(row.map_or_else(|| format!("CRM user {}", guest.crm_user_id), |row| named(&row)))
}

fn everybody_waits(organization: &OrgId, side: Side, text: &str) -> Notice {
    Notice {
        title: format!("Channels of {organization} wait: {} does not show people", side.name()),
        body: format!(
            "{text}\nThe OAuth user needs the scope {}. Nobody whom the bridge would have to look at \
             there is brought into a channel or taken out of one until then; what waits is tried \
             again every few minutes.",
            side.scope()
        ),
    }
}

/// What is told of the first, and of those of the next hour.
fn one_waits(
    organization: &OrgId,
    channel: &str,
    side: Side,
    (who, text): (&str, &str),
) -> (Notice, Notice) {
    let advice = format!(
        "Nothing is done for this person in the channel until the question is answered; everybody \
         else goes on. It is asked again every quarter of an hour. Check that the OAuth user may see \
         this person in {}.",
        side.name()
    );
    let title = format!("Somebody in channel {channel} of {organization} cannot be looked at");
    let more = Notice {
        title: format!("{title}: more people"),
        body: format!("{who}: {text}\n{advice} Further ones are in the log."),
    };
    (Notice { title, body: format!("{who}: {text}\n{advice}") }, more)
}
