//! What is read right before a portal call: both keys of a removal or restriction, and whether somebody
//! who waited long to be added is still to be (I31, R29).
//!
//! Deliberately absent: the call, and booking what comes of it.

use std::time::Duration;

use super::deliver::Effect;
use super::quarantine::Freeze;
use super::{Engine, Host};
use crate::domain::budget::Group;
use crate::domain::membership::{Membership, State};
use crate::domain::{Action, Class, CliqUser, Email, Failure, PortalVerb};
use crate::logic::plan::classify;
use crate::store::StoreError;
use crate::zoho::CallError;

/// How old an add may be when its turn comes and CRM still be believed: a webhook would have told of a
/// change by then. One that waited longer, behind a pause, a lock or retries, is looked at there again.
const CRM_BELIEVED_FOR: Duration = Duration::from_mins(5);

/// The same of Cliq, which sends no webhook when somebody becomes one of the organization's own. Cliq lets
/// sixteen single reads a minute through and the portal sixty adds, so that what only waits for its turn is
/// not to be looked at again: three thousand six hundred adds go in this time.
const CLIQ_BELIEVED_FOR: Duration = Duration::from_hours(1);

/// What is read before a call; where one of these is locked, the row waits outside its claim.
const READ_BEFORE: [Group; 3] = [Group::Crm, Group::UsersGet, Group::UsersList];

impl Engine {
    /// What has to be read before the call: both keys of a removal or restriction, and whether
    /// somebody who waited long to be added is still to be. Answers the address that Cliq shows, or why
    /// the call is not made; `None` when nothing had to be read.
    pub(super) async fn look_before(
        &self,
        host: &Host,
        action: &Action,
        verb: PortalVerb,
        row: &Membership,
    ) -> Result<Option<Result<Option<Email>, &'static str>>, CallError> {
        let age = self.now().since(action.created_at);
        match verb {
            // What CRM said last may be a tombstone by now, or one rename behind; the person to be
            // taken out is the one that Cliq shows (I17).
            PortalVerb::RemoveExternal | PortalVerb::Restrict => {
                unless_locked(host)?;
                let cliq = self.second_key(host, row, action.guarded).await?;
                Ok(Some(cliq.map(|cliq| cliq.email)))
            }
            PortalVerb::AddExternal if age > CRM_BELIEVED_FOR => {
                unless_locked(host)?;
                let outdated = outdated(host, row, age > CLIQ_BELIEVED_FOR).await?;
                Ok(Some(outdated.map_or(Ok(None), Err)))
            }
            _ => Ok(None),
        }
    }

    /// Reading took its time: somebody may have released the person or paused meanwhile.
    pub(super) async fn overtaken(
        &self,
        action: &Action,
        verb: PortalVerb,
    ) -> Result<Option<Effect>, StoreError> {
        let row = self.undisputed(action.membership).await?;
        let still = row.is_some_and(|row| match verb {
            PortalVerb::AddExternal => row.state == State::Wanted,
            _ => row.is_owned(),
        });
        if !still {
            return Ok(Some(Effect::Needless("the membership is not the bridge's any more")));
        }
        let held = self.held_back(&action.organization, vec![action.id]).await?;
        Ok(held.then_some(Effect::HeldBack))
    }

    /// What had to be read before the call could not be. What is said of everybody freezes the
    /// organization, and then the row waits as it was (G12).
    pub(super) async fn unread(
        &self,
        host: &Host,
        action: &Action,
        error: &CallError,
    ) -> Result<Result<Effect, Failure>, StoreError> {
        if let Some(freeze) = Freeze::of_call(error) {
            self.quarantine(host, &freeze).await?;
            if self.held_back(&action.organization, vec![action.id]).await? {
                return Ok(Ok(Effect::HeldBack));
            }
        }
        Ok(Err(error.failure_of_one(self.now())))
    }

    /// The second of two keys, at the moment of the write: the ledger says that the membership is
    /// ours, and a fresh read has to say External (R29, design decision 4): that row, or why not.
    async fn second_key(
        &self,
        host: &Host,
        row: &Membership,
        guarded: bool,
    ) -> Result<Result<CliqUser, &'static str>, CallError> {
        if guarded {
            let user = host.crm.user(&row.crm_user_id).await?;
            if user.is_some_and(|user| host.policy.may_mean(&user)) {
                return Ok(Err("CRM lists the person as active, and the scope may mean them"));
            }
        }
        let mut found = None;
        if let Some(id) = &row.cliq_id {
            found = host.cliq.user(id.as_str()).await?;
        }
        if found.is_none() {
            // An invitation that is still open may be found by its address only.
            let addresses = [&row.email, row.invited_as.as_ref().unwrap_or(&row.email)];
            let mut same = host.cliq.search_any(&addresses).await?;
            found = if same.len() == 1 { same.pop() } else { None };
        }
        let Some(cliq) = found else { return Ok(Err("Cliq does not show the person any more")) };
        Ok(match classify(&host.policy, &cliq) {
            Class::External => Ok(cliq),
            Class::Internal => Err("not external: Cliq shows one of the organization's own"),
            Class::Unknown => Err("not external: Cliq does not tell whose person this is"),
        })
    }
}

/// Why an add that waited is not to be made any more, if so. Somebody who is external already may have
/// become that by this very add, whose answer was lost: only the portal can tell.
async fn outdated(
    host: &Host,
    row: &Membership,
    asks_cliq: bool,
) -> Result<Option<&'static str>, CallError> {
    let user = host.crm.user(&row.crm_user_id).await?;
    let Some(user) = user.filter(|user| host.policy.means(user)) else {
        let why = "it waited, and CRM does not list the person as active and meant any more";
        return Ok(Some(why));
    };
    if user.email.as_ref() != Some(&row.email) {
        return Ok(Some("it waited, and CRM shows another address of the person by now"));
    }
    if !asks_cliq {
        return Ok(None);
    }
    let shown = match user.zuid.as_ref().or(row.zuid.as_ref()) {
        Some(zuid) => host.cliq.user(zuid.as_str()).await?.into_iter().collect(),
        None => host.cliq.search(&row.email).await?,
    };
    let at_home = shown.iter().any(|user| classify(&host.policy, user) == Class::Internal);
    Ok(at_home.then_some("it waited, and the person is one of the organization's own by now"))
}

/// A lock may outlive the claim of a row, which another worker would take up then.
fn unless_locked(host: &Host) -> Result<(), CallError> {
    let locks = host.account.gate().locks();
    match locks.into_iter().find(|(group, _)| READ_BEFORE.contains(group)) {
        Some((group, until)) => {
            let detail = format!("{} is locked", group.as_str());
            Err(CallError::Throttled { call: "the read before the call", until, detail })
        }
        None => Ok(()),
    }
}
