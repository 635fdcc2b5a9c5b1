//! Who we are ourselves: an external user of the organization may bring nobody in (R36).

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::domain::{Class, OrgId};
use crate::engine::{Engine, Host};
use crate::logic::channels::EXTERNAL_INVITER;
use crate::logic::plan::classify;
use crate::store::{StoreError, channels, orgs};
use crate::zoho::CallError;

/// Organizations whose own user was looked at and may invite. Forgotten with the process, so that
/// another refresh token is looked at again.
#[derive(Default)]
pub(in crate::engine) struct Inviters(Mutex<BTreeSet<OrgId>>);

impl Inviters {
    fn has(&self, organization: &OrgId) -> bool {
        self.0.lock().is_ok_and(|known| known.contains(organization))
    }

    fn note(&self, organization: &OrgId) {
        if let Ok(mut known) = self.0.lock() {
            known.insert(organization.clone());
        }
    }
}

impl Engine {
    /// Looks at our own user before the first channel write of an organization. False if it may not
    /// bring anybody in; every mapped channel then says so. Where CRM or Cliq do not tell, the calls
    /// themselves will.
    pub(super) async fn may_invite(&self, host: &Host) -> Result<bool, StoreError> {
        if self.inner.inviters.has(host.id()) {
            return Ok(true);
        }
        match self.own_class(host).await? {
            Ok(Some(Class::External)) => {}
            Ok(_) => {
                self.inner.inviters.note(host.id());
                return Ok(true);
            }
            Err(error) => {
                tracing::warn!(organization = %host.id(), %error, "our own user was not read");
                return Ok(true);
            }
        }
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .write("external inviter", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                for mapped in &host.settings.channels {
                    channels::refuse(tx, &organization, &mapped.channel, EXTERNAL_INVITER)?;
                    engine.note_problem(tx, host, &mapped.channel, now)?;
                }
                Ok(())
            })
            .await?;
        Ok(false)
    }

    /// Asks CRM who we are: never from the store, which may remember another refresh token's user.
    async fn own_class(&self, host: &Host) -> Result<Result<Option<Class>, CallError>, StoreError> {
        let zuid = match host.crm.current_user().await {
            Ok(user) => user.and_then(|user| user.zuid),
            Err(error) => return Ok(Err(error)),
        };
        let (organization, own) = (host.id().clone(), zuid.clone());
        self.inner
            .store
            .write("own user", move |tx| orgs::set_own_zuid(tx, &organization, own.as_ref()))
            .await?;
        let Some(zuid) = zuid else { return Ok(Ok(None)) };
        let row = host.cliq.user(zuid.as_str()).await;
        Ok(row.map(|row| row.map(|row| classify(&host.policy, &row))))
    }
}
