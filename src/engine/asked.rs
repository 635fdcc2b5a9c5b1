//! What is asked to be resynced: the runs that are opened or joined for it, and the audit of who asked.
//!
//! Deliberately absent: carrying a run out, which is `resync`'s; an audit of what schedules ask for, which
//! is not worth a step.

use super::{Desk, Engine};
use crate::domain::run::Trigger;
use crate::domain::{OrgId, RunId, Timestamp};
use crate::store::audit::Command;
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, runs};

/// What is to be resynced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// One organization, by its configured id or its CRM id; `None` is all.
    pub organization: Option<String>,
    /// One person: CRM id, zuid or address.
    pub user: Option<String>,
    /// Who asks, for the audit; `None` is the bridge itself.
    pub by: Option<String>,
}

/// Which runs were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The run to ask for: the one, or the parent of all.
    pub run: RunId,
    /// The run of each organization.
    pub runs: Vec<(OrgId, RunId)>,
}

/// Why a resync was not begun.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// No such organization.
    #[error("organization {0:?} is not configured")]
    UnknownOrganization(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Opens the runs; they are carried out by their desks.
    pub async fn resync(&self, asked: Asked, trigger: Trigger) -> Result<Requested, BadRequest> {
        let Some(organizations) = self.organizations(asked.organization.as_deref()) else {
            return Err(BadRequest::UnknownOrganization(asked.organization.unwrap_or_default()));
        };
        let engine = self.clone();
        // Goes on when the caller goes away: an opened run has to be carried out.
        tokio::spawn(async move { engine.open_runs(asked, organizations, trigger).await })
            .await
            .unwrap_or(Err(StoreError::Gone))
            .map_err(BadRequest::Store)
    }

    /// The organization by its configured id or its CRM id, or all of them.
    pub(super) fn organizations(&self, name: Option<&str>) -> Option<Vec<OrgId>> {
        let Some(name) = name else { return Some(self.inner.hosts.keys().cloned().collect()) };
        self.named_host(name).ok().map(|host| vec![host.id().clone()])
    }

    async fn open_runs(
        &self,
        asked: Asked,
        organizations: Vec<OrgId>,
        trigger: Trigger,
    ) -> Result<Requested, StoreError> {
        let (one, now, named) = (asked.organization.is_some(), self.now(), organizations.clone());
        let requested = self
            .inner
            .store
            .write("resync", move |tx| {
                let person = asked.user.as_deref();
                let (mut opened, mut news) = (Vec::new(), false);
                for id in named {
                    let (run, new) = runs::open(tx, &id, person, trigger, now)?;
                    opened.push((id, run));
                    news |= new;
                }
                let run = match (one, opened.first()) {
                    (true, first) => first.map_or(RunId(0), |(_, run)| *run),
                    (false, _) => request(tx, &opened, news, trigger, now)?,
                };
                let organization = opened.first().map(|(id, _)| id).filter(|_| one);
                asked.note(tx, organization, run, now)?;
                Ok(Requested { run, runs: opened })
            })
            .await?;
        for organization in organizations {
            self.wake(&Desk::Runs(organization));
        }
        Ok(requested)
    }
}

impl Asked {
    /// Writes an operator's wish down. Whom it is about stays out: the run names the person for as
    /// long as it is kept.
    pub(super) fn note(
        &self,
        tx: &Tx<'_>,
        organization: Option<&OrgId>,
        run: RunId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(by) = &self.by else { return Ok(()) };
        let whom = if self.user.is_some() { "one person of " } else { "" };
        let what = organization.map_or("everything", OrgId::as_str);
        let reason = format!("A resync of {whom}{what} was asked for.");
        let command = Command {
            organization,
            cause: Cause { delivery: None, run: Some(run) },
            ..Command::by(by, "resync_asked", &reason)
        };
        command.record(tx, now)
    }
}

/// The request over these runs: the one that stands for just these, if nothing of it is new.
fn request(
    tx: &Tx<'_>,
    runs: &[(OrgId, RunId)],
    news: bool,
    trigger: Trigger,
    now: Timestamp,
) -> Result<RunId, StoreError> {
    let parts: Vec<RunId> = runs.iter().map(|(_, run)| *run).collect();
    if let (false, Some(known)) = (news, runs::request_over(tx, &parts)?) {
        return Ok(known);
    }
    let parent = runs::open_parent(tx, trigger, now)?;
    parts.iter().try_for_each(|run| runs::add_part(tx, parent, *run))?;
    Ok(parent)
}
