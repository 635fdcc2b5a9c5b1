//! What an operator can ask for one membership (design section 8).

use super::words::words;

/// A command for one membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Invite again, as a new generation: also who declined or let it expire (G3).
    Resend,
    /// Block access, reversibly (R15).
    Restrict,
    /// Lift what the bridge or an operator restricted.
    Restore,
    /// Give a paid Cliq licence (R18).
    AssignLicence,
    /// Take the paid licence back; the person stays an external user (R19).
    RevokeLicence,
    /// Take over a membership that was there before the bridge.
    Adopt,
    /// Stop owning it: nothing is planned against the person any more.
    Release,
}

words!(Verb {
    Resend = "resend",
    Restrict = "restrict",
    Restore = "restore",
    AssignLicence = "assign-licence",
    RevokeLicence = "revoke-licence",
    Adopt = "adopt",
    Release = "release",
});
