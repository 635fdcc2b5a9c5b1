//! Carrying out the outbox: permit, claim, call, and one transaction for everything that follows.

use super::failures::PORTAL_SHUT;
use super::licences::book_licence;
use super::tell::named;
use super::{Desk, Engine, OutboxDesk, Step};
use crate::domain::budget::Group;
use crate::domain::letter::{Kind, Notice};
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::{
    Action, Failure, HintKind, MembershipId, Operation, OrgId, PortalVerb, Timestamp,
};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause, End, NewAction, Wish};
use crate::store::{StoreError, Tx, hints, ledger, runs, told};
use crate::zoho::Permit;
use crate::zoho::portal::{Applied, PortalCall};

/// Rows ended in one transaction where there is no portal any more, so that nobody waits long behind it.
const ENDED_TOGETHER: usize = 200;

/// A claimed row and, for the portal, the permit to send it.
enum Claimed {
    Row(Box<Action>, Option<Permit>),
    Nothing(Option<Timestamp>),
}

/// What a call came to.
pub(super) enum Effect {
    /// The portal answered; where the person can join, if it said so.
    Portal { join_url: Option<String>, already: bool },
    /// A letter or a message went out, or was found needless; the note says how.
    Told(&'static str),
    /// No bot reaches the person. For a reminder a letter goes instead.
    Unreached,
    /// Not wanted any more when its turn came.
    Needless(&'static str),
    /// Somebody paused before the call; the row is back as it was.
    HeldBack,
}

impl Engine {
    /// Carries out one due row of the desk.
    pub(super) async fn deliver(&self, desk: &Desk) -> Result<Step, StoreError> {
        let (action, permit) = match self.take(desk).await? {
            Claimed::Row(action, permit) => (*action, permit),
            Claimed::Nothing(next) => return Ok(Step::Idle(next)),
        };
        tracing::debug!(
            action = %action.id, organization = %action.organization,
            operation = action.operation.name(), failures = action.failures, "carrying out"
        );
        let result = match &action.operation {
            Operation::Portal(verb) => self.call_portal(&action, *verb, permit).await?,
            Operation::Letter(invitation) => self.send_letter(&action, invitation).await?,
            Operation::AdminMail(to, notice) => self.send_notice(&action, to, notice).await,
            Operation::BotNotice(invitation) => self.send_bot_notice(&action, invitation).await?,
            Operation::AdminPost(notice) => self.post_to_admins(&action, notice).await,
            // Channel rows go in batches, at a desk of their own.
            Operation::ChannelAdd(_) | Operation::ChannelRemove(_) => {
                Ok(Effect::Needless("a channel row at the wrong desk"))
            }
        };
        match result {
            Ok(Effect::HeldBack) => {}
            Ok(effect) => self.book(action, effect).await?,
            Err(failure) => self.book_failure(action, failure).await?,
        }
        Ok(Step::Worked)
    }

    /// Claims under the desk's lock: looking, the permit and the claim belong together, so that no
    /// permit is spent on a row that another worker takes.
    async fn take(&self, desk: &Desk) -> Result<Claimed, StoreError> {
        let (Some(rows), Some(lock)) = (desk.outbox(), self.inner.claiming.get(desk)) else {
            return Ok(Claimed::Nothing(None));
        };
        let _claiming = lock.lock().await;
        let (boot, now) = (self.inner.boot, self.now());
        let peek = rows.clone();
        let due = self.inner.store.read(move |tx| outbox::next_due(tx, &peek, boot, now)).await?;
        match due {
            Some(at) if at <= now => {}
            later => return Ok(Claimed::Nothing(later)),
        }
        let mut permit = None;
        match desk {
            Desk::Letters => {
                if let Some(at) = self.letters_full_until(now).await? {
                    return Ok(Claimed::Nothing(Some(at)));
                }
            }
            Desk::Access(organization) => {
                let Some(portal) = self.host(organization).and_then(|host| host.portal.as_ref())
                else {
                    return self.end_without_portal(organization).await.map(Claimed::Nothing);
                };
                match portal.gate().try_take(Group::Portal).await {
                    Ok(taken) => permit = Some(taken),
                    Err(wait) => return Ok(Claimed::Nothing(Some(wait.until))),
                }
            }
            _ => {}
        }
        let claimed = self
            .inner
            .store
            .write("claim action", move |tx| outbox::claim(tx, &rows, boot, now))
            .await?;
        Ok(match claimed {
            Some(action) => Claimed::Row(Box::new(action), permit),
            None => Claimed::Nothing(Some(now)),
        })
    }

    /// The row, unless somebody has to say first who the person is or where they are at home.
    pub(super) async fn undisputed(
        &self,
        id: Option<MembershipId>,
    ) -> Result<Option<Membership>, StoreError> {
        let (engine, Some(id)) = (self.clone(), id) else { return Ok(None) };
        self.inner
            .store
            .read(move |tx| {
                let Some(row) = ledger::get(tx, id)? else { return Ok(None) };
                Ok(if engine.dispute(tx, &row)?.is_some() { None } else { Some(row) })
            })
            .await
    }

    /// The organization went back to `observe`: what waited for the portal is over, and the persons'
    /// history says so. Wakes the desk at once if there is more.
    async fn end_without_portal(
        &self,
        organization: &OrgId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (boot, now) = (self.inner.boot, self.now());
        let desk = OutboxDesk::Access(organization.clone());
        let next = self
            .inner
            .store
            .write("end without portal", move |tx| {
                let why =
                    "the organization is in observe mode now, in which the portal is not called";
                for _ in 0..ENDED_TOGETHER {
                    let Some(action) = outbox::claim(tx, &desk, boot, now)? else { break };
                    outbox::settle(tx, action.id, boot, End::Superseded(why), now)?;
                    note_needless(tx, &action, why, now)?;
                    look_once_more(tx, &action, now)?;
                }
                runs::finish_applied(tx, now)?;
                outbox::next_due(tx, &desk, boot, now)
            })
            .await?;
        self.wake(&Desk::Hints(organization.clone()));
        Ok(next)
    }

    async fn call_portal(
        &self,
        action: &Action,
        verb: PortalVerb,
        permit: Option<Permit>,
    ) -> Result<Result<Effect, Failure>, StoreError> {
        let host = self.host(&action.organization);
        let portal = host.and_then(|host| host.portal.as_ref());
        let membership = self.undisputed(action.membership).await?;
        let (Some(host), Some(portal), Some(permit), Some(row)) =
            (host, portal, permit, membership)
        else {
            let why = "the portal or the membership is gone, or a conflict forbids every write";
            return Ok(Ok(Effect::Needless(why)));
        };
        if verb == PortalVerb::AddExternal && row.state != State::Wanted {
            return Ok(Ok(Effect::Needless("the membership is not wanted any more")));
        }
        let mut email = row.email.clone();
        match self.look_before(host, action, verb, &row).await {
            Ok(None) => {}
            Ok(Some(Ok(address))) => {
                email = address.unwrap_or(email);
                if let Some(effect) = self.overtaken(action, verb).await? {
                    return Ok(Ok(effect));
                }
            }
            Ok(Some(Err(why))) => return Ok(Ok(Effect::Needless(why))),
            Err(error) => return self.unread(host, action, &error).await,
        }
        let call = PortalCall {
            operation: verb,
            organization_id: host.settings.crm_org.clone(),
            crm_user_id: row.crm_user_id,
            email,
            first_name: row.first_name,
            last_name: row.last_name,
            idempotency_key: action.idempotency_key.clone(),
        };
        let applied = portal.apply(permit, &call).await;
        Ok(match applied {
            Ok(Applied::Now { join_url }) => {
                Ok(Effect::Portal { join_url: join_url.map(String::from), already: false })
            }
            Ok(Applied::AlreadySo { join_url }) => {
                Ok(Effect::Portal { join_url: join_url.map(String::from), already: true })
            }
            Err(error) => Err(error.failure(self.now())),
        })
    }

    async fn book(&self, action: Action, effect: Effect) -> Result<(), StoreError> {
        let (engine, now, boot) = (self.clone(), self.now(), self.inner.boot);
        let organization = action.organization.clone();
        self.inner
            .store
            .write("book effect", move |tx| {
                let cause = outbox::cause(tx, action.id)?;
                let end = match &effect {
                    Effect::Portal { already: true, .. } => End::Without("it was so already"),
                    Effect::Portal { .. } => End::Done(""),
                    Effect::Told(note) => End::Done(note),
                    Effect::Unreached => {
                        End::Without("not a subscriber of a bot: the letter has to do")
                    }
                    Effect::Needless(why) => End::Superseded(why),
                    Effect::HeldBack => return Ok(()),
                };
                let needless = matches!(&effect, Effect::Needless(_));
                let ours = outbox::settle(tx, action.id, boot, end, now)?;
                match &effect {
                    Effect::Needless(why) => note_needless(tx, &action, why, now)?,
                    Effect::Unreached => engine.write_instead(tx, &action, cause, now)?,
                    Effect::Portal { .. } | Effect::Told(_) | Effect::HeldBack => {}
                }
                if let (Effect::Portal { join_url, .. }, Operation::Portal(verb)) =
                    (effect, &action.operation)
                {
                    engine.book_portal(tx, &action, *verb, join_url, cause, now)?;
                }
                if !ours || needless {
                    look_once_more(tx, &action, now)?;
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await?;
        self.wake_outbox(&organization);
        self.wake(&Desk::Hints(organization));
        Ok(())
    }

    /// A reminder that no bot could bring goes as a letter (design section 11, "Order and letters").
    fn write_instead(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Operation::BotNotice(invitation) = &action.operation else { return Ok(()) };
        let row = action.membership.map(|id| ledger::get(tx, id)).transpose()?.flatten();
        let (Some(row), true) = (row, invitation.kind != Kind::First) else { return Ok(()) };
        if !self.inner.settings.send_invitations {
            return Ok(());
        }
        let new = NewAction {
            organization: &action.organization,
            membership: Some(&row),
            operation: Operation::Letter(invitation.clone()),
            reason: &action.reason,
            cause,
            wish: Wish::Planned,
            not_before: now,
        };
        outbox::put(tx, &new, now).map(|_| ())
    }

    /// The portal has done it: invited, letter and notice, in the transaction that says so.
    fn book_portal(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        verb: PortalVerb,
        join_url: Option<String>,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Some(host), Some(id)) = (self.host(&action.organization), action.membership) else {
            return Ok(());
        };
        told::end(tx, host.id(), PORTAL_SHUT)?;
        let Some(before) = ledger::get(tx, id)? else { return Ok(()) };
        let mut row = before.clone();
        let event = match verb {
            PortalVerb::AddExternal => {
                row.external = true;
                row.parked = None;
                if row.origin == Origin::Expected {
                    row.origin = Origin::Made;
                }
                row.join_url = join_url.or(row.join_url);
                if row.state == State::Wanted {
                    row.state = State::Invited;
                    row.since = now;
                    row.invited_at = Some(now);
                    row.invited_as = Some(row.email.clone());
                }
                "invited"
            }
            PortalVerb::Restore => {
                // Asked for once; what Cliq shows next is what it is.
                row.restricted_by_bridge = false;
                "restored"
            }
            PortalVerb::Restrict => {
                note_restricted(action, &mut row, now);
                "restricted"
            }
            PortalVerb::RemoveExternal => {
                row.parked = None;
                if row.state != State::Removed {
                    row.state = State::Removed;
                    row.since = now;
                }
                "removed"
            }
            PortalVerb::AssignLicence | PortalVerb::RevokeLicence => {
                book_licence(tx, host.id(), verb, &mut row)?;
                verb.as_str()
            }
        };
        ledger::put(tx, &row)?;
        let entry = Entry {
            organization: host.id(),
            membership: Some(id),
            actor: if action.by_operator { "operator" } else { "bridge" },
            event,
            reason: &action.reason,
            before: Some(audit::facts(&before)),
            after: Some(audit::facts(&row)),
            cause,
            action: Some(action.id),
        };
        audit::record(tx, &entry, now)?;
        match verb {
            PortalVerb::AddExternal if row.state == State::Invited => {
                self.invite(tx, host, &mut row, cause, now)?;
                self.settle_remembered(tx, host, &row, cause, now)
            }
            PortalVerb::AddExternal if row.state == State::Removed => {
                self.tell_too_late(tx, &row, cause, now)?;
                look_once_more(tx, action, now)
            }
            PortalVerb::AddExternal => Ok(()),
            _ => look_once_more(tx, action, now),
        }
    }

    /// The person left while the call was under way (G17).
    fn tell_too_late(
        &self,
        tx: &Tx<'_>,
        row: &Membership,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (organization, id) = (&row.organization, row.id);
        let notice = Notice {
            title: format!("Added too late: {id} of {organization}"),
            body: format!(
                "{}: CRM stopped listing this person while the portal was adding them. They have \
                 an invitation that should not be accepted: remove them in CRM Plus.",
                named(row)
            ),
        };
        self.tell_admins(tx, organization, &notice, cause, now)
    }
}

/// What an operator asked for is the administrators' choice: no run undoes it (R15).
fn note_restricted(action: &Action, row: &mut Membership, now: Timestamp) {
    row.restricted_by_bridge = !action.by_operator;
    if row.state == State::RemovalStaged && !action.by_operator {
        // `remove_after` is time without access.
        row.since = now;
    }
}

/// Only a read tells what an effect really changed.
fn look_once_more(tx: &Tx<'_>, action: &Action, now: Timestamp) -> Result<(), StoreError> {
    let Some(row) = action.membership.map(|id| ledger::get(tx, id)).transpose()?.flatten() else {
        return Ok(());
    };
    hints::put(tx, &row.organization, &row.crm_user_id, HintKind::Present, None, now)
}

/// Why an access row was not carried out belongs into the person's history.
fn note_needless(
    tx: &Tx<'_>,
    action: &Action,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (Operation::Portal(verb), Some(id)) = (&action.operation, action.membership) else {
        return Ok(());
    };
    let reason = format!("{} was not carried out: {why}.", verb.as_str());
    let entry = Entry {
        organization: &action.organization,
        membership: Some(id),
        actor: "bridge",
        event: "not_done",
        reason: &reason,
        before: None,
        after: None,
        cause: outbox::cause(tx, action.id)?,
        action: Some(action.id),
    };
    audit::record(tx, &entry, now)
}

impl Engine {
    /// The organizations whose bot can reach the person: the home first, wherever that is known to be,
    /// else the inviting one.
    pub(super) fn bots_for(&self, tx: &Tx<'_>, row: &Membership) -> Result<Vec<OrgId>, StoreError> {
        let inviting = &row.organization;
        let sight = self.sight(tx, Some(inviting), row.zuid.as_ref(), &row.email)?;
        let home = sight.home.organization().filter(|home| *home != inviting);
        let has_one = |id: &&OrgId| self.host(id).is_some_and(|host| host.settings.bot.is_some());
        Ok(home.into_iter().chain([inviting]).filter(has_one).cloned().collect())
    }

    /// Wakes whoever works for the organization.
    pub fn wake_organization(&self, organization: &OrgId) {
        self.wake(&Desk::Hints(organization.clone()));
        self.wake(&Desk::Runs(organization.clone()));
        self.wake_outbox(organization);
    }
}
