//! What the schedules ask for: reconciliation, the plan poll, the digest.

use super::{Engine, Step};
use crate::domain::OrgId;
use crate::store::StoreError;

impl Engine {
    /// Takes one step.
    #[expect(clippy::unused_async, reason = "nothing to do yet")]
    pub(super) async fn tick_schedule(&self, _organization: &OrgId) -> Result<Step, StoreError> {
        Ok(Step::Idle(None))
    }
}
