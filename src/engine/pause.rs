//! Pausing: nothing more is written outside, in one organization or in all, until somebody resumes.
//!
//! The claims of the outbox ask the store, so a pause stands before the next single write and over
//! restarts. Deliberately absent: stopping what only reads. Webhooks are taken in, hints looked at,
//! runs read and planned; what they want done waits in the outbox.

use serde::Serialize;

use super::subscription::Refused;
use super::{Desk, Engine};
use crate::domain::{ActionId, OrgId, Timestamp};
use crate::store::audit::Command;
use crate::store::outbox;
use crate::store::pauses::{self, Pause};
use crate::store::{StoreError, Tx, orgs};

/// A pause as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PauseView {
    /// The organization; absent for a pause of everything.
    pub organization: Option<String>,
    /// RFC 3339.
    pub since: String,
    /// Who asked for it.
    pub by: String,
}

/// What stands after a pause or a resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// Every pause that stands.
    pub paused: Vec<PauseView>,
    /// Calls that were on their way when it was asked for; they end by themselves.
    pub in_flight: i64,
}

pub(super) fn view(pause: &Pause) -> PauseView {
    PauseView {
        organization: pause.organization.as_ref().map(ToString::to_string),
        since: pause.since.to_rfc3339(),
        by: pause.by.clone(),
    }
}

impl Engine {
    /// Lets nothing more be written in the organization, or anywhere.
    ///
    /// # Errors
    /// [`Refused::Missing`] for an unknown organization.
    pub async fn pause(&self, organization: Option<&str>, by: &str) -> Result<Paused, Refused> {
        let organization = self.scope(organization)?;
        let (boot, now, by) = (self.inner.boot, self.now(), by.to_owned());
        let paused = self
            .inner
            .store
            .write("pause", move |tx| {
                let new = Pause { organization, since: now, by };
                let begun = pauses::begin(tx, &new)?;
                let what = if begun { "paused" } else { "paused already" };
                note(tx, &new, "paused", what, now)?;
                let all = pauses::all(tx)?;
                let in_flight = outbox::in_flight(tx, boot)?;
                Ok(Paused { paused: all.iter().map(view).collect(), in_flight })
            })
            .await?;
        tracing::warn!(paused = ?paused.paused, "nothing more is written there");
        Ok(paused)
    }

    /// Ends the pause of the organization, or every pause.
    ///
    /// # Errors
    /// [`Refused::Missing`] for an unknown organization; [`Refused::Forbidden`] for one alone while
    /// everything is paused.
    pub async fn resume(&self, organization: Option<&str>, by: &str) -> Result<Paused, Refused> {
        let organization = self.scope(organization)?;
        let (boot, now, by) = (self.inner.boot, self.now(), by.to_owned());
        let resumed = self
            .inner
            .store
            .write("resume", move |tx| {
                let everywhere = pauses::all(tx)?.iter().any(|pause| pause.organization.is_none());
                if everywhere && organization.is_some() {
                    return Ok(None);
                }
                let ended = pauses::end(tx, organization.as_ref())?;
                let what = if ended { "resumed" } else { "resumed, though nothing was paused" };
                note(tx, &Pause { organization, since: now, by }, "resumed", what, now)?;
                let all = pauses::all(tx)?;
                let in_flight = outbox::in_flight(tx, boot)?;
                Ok(Some(Paused { paused: all.iter().map(view).collect(), in_flight }))
            })
            .await?;
        let Some(resumed) = resumed else {
            let why = "everything is paused: resume without an organization, then pause those that \
                       are to stay so";
            return Err(Refused::Forbidden(why.to_owned()));
        };
        tracing::warn!(paused = ?resumed.paused, "writing goes on");
        for organization in self.inner.hosts.keys() {
            self.wake_outbox(organization);
        }
        self.wake(&Desk::Letters);
        Ok(resumed)
    }

    fn scope(&self, organization: Option<&str>) -> Result<Option<OrgId>, Refused> {
        organization.map(|name| Ok(self.named_host(name)?.id().clone())).transpose()
    }

    /// Whether the claimed rows may not go after all: somebody paused, or the organization was
    /// quarantined, while what comes before the call was read. Then they are put back as they were.
    pub(super) async fn held_back(
        &self,
        organization: &OrgId,
        rows: Vec<ActionId>,
    ) -> Result<bool, StoreError> {
        let id = organization.clone();
        let holds = move |tx: &Tx<'_>| Ok(pauses::holds(tx, &id)? || orgs::is_frozen(tx, &id)?);
        if !self.inner.store.read(holds).await? {
            return Ok(false);
        }
        let (boot, now) = (self.inner.boot, self.now());
        self.inner
            .store
            .write("put back", move |tx| outbox::put_back(tx, &rows, boot, now))
            .await?;
        Ok(true)
    }
}

fn note(
    tx: &Tx<'_>,
    pause: &Pause,
    event: &str,
    what: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let subject = pause.organization.as_ref().map_or("Everything", OrgId::as_str);
    let reason = format!("{subject} was {what}.");
    let command = Command {
        organization: pause.organization.as_ref(),
        ..Command::by(&pause.by, event, &reason)
    };
    command.record(tx, now)
}
