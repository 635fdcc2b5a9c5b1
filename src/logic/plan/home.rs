//! What a conflict about the home leaves of a decision: what was observed, and no step (R3, G6, G9).

use super::{Decision, Verdict};
use crate::domain::Home;

/// Takes every step out while somebody has to say who the person is or where they are at home. What
/// Cliq shows is still booked, so that nothing has to be learnt anew when the conflict ends.
pub(super) fn hold(home: &Home, decision: Decision) -> Decision {
    if !home.forbids_writes() {
        return decision;
    }
    let verdict = Verdict::Home(home.clone());
    Decision { steps: Vec::new(), guarded: false, verdict, ..decision }
}
