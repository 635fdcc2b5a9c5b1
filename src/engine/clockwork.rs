//! The invitation clock: reminders, expiry, and what lasts too long (R9, G3, G4).

use super::{Engine, Step};
use crate::domain::OrgId;
use crate::store::StoreError;

impl Engine {
    /// Takes one step.
    #[expect(clippy::unused_async, reason = "nothing to do yet")]
    pub(super) async fn tick_invitations(&self, _organization: &OrgId) -> Result<Step, StoreError> {
        Ok(Step::Idle(None))
    }
}
