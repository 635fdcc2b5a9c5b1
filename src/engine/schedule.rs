//! What the schedules ask for: reconciliation, the plan poll, the digest.

use super::{Engine, Step};
use crate::domain::OrgId;
use crate::store::StoreError;

impl Engine {
    /// Takes one step.
    pub(super) async fn tick_schedule(&self, organization: &OrgId) -> Result<Step, StoreError> {
        let Some(host) = self.host(organization) else { return Ok(Step::Idle(None)) };
        Ok(Step::Idle(self.keep_watch(host).await?))
    }
}
