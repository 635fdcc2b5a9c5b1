//! What a join link leads to, and what comes of an answer (design section 11, "Order and letters").
//!
//! Deliberately absent: the token. Whoever has it holds the invitation, so it goes no further than
//! the door that takes it.

use super::letter::Invitation;

/// What somebody with a join link may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinView {
    /// The invitation waits for an answer.
    Open(Box<OpenInvitation>),
    /// It was answered, or Zoho lets nobody invite this person again.
    Resolved,
    /// It ran out.
    Expired,
    /// It was withdrawn, or a newer one took its place.
    Revoked,
    /// No such link was ever given out.
    Unknown,
}

/// An invitation that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvitation {
    /// Its facts. `join_url` is where joining leads on to, not the page.
    pub invitation: Invitation,
}

/// What the person answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// Leads on; whether the person joined is seen in Cliq alone (R11).
    Join,
    /// Ends the invitation (G3).
    Decline,
    /// Leaves the invitation open, and wants no more letters about any (RFC 8058).
    Unsubscribe,
}

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinOutcome {
    /// Where the person goes on to join.
    Go(String),
    /// The person has declined, now or before.
    Declined {
        /// The language tag of the invitation; may be empty.
        language: String,
    },
    /// No more letters go to the address.
    Unsubscribed,
    /// The invitation does not wait for an answer (any more).
    Gone(JoinView),
}
