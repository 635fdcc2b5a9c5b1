//! Mapped channels: who is invited, added, taken out, in batches (R41 to R59).

use super::{Engine, Step};
use crate::domain::OrgId;
use crate::store::StoreError;

impl Engine {
    /// Takes one step.
    #[expect(clippy::unused_async, reason = "nothing to do yet")]
    pub(super) async fn channels(&self, _organization: &OrgId) -> Result<Step, StoreError> {
        Ok(Step::Idle(None))
    }
}
