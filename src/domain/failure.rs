//! What can go wrong with a call to the outside, in the one form that decides what happens next.
//!
//! Each adapter has its own error type and maps it to this once, at its edge.

use super::time::Timestamp;

/// A failed call, classified by status and vendor code, never by text (design decision 10).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// May work later: connection, time-out, 5xx, a busy answer, a malformed answer.
    #[error("{detail}")]
    Transient {
        /// What happened, for the log and the operator.
        detail: String,
        /// The vendor's own wish, when it gave one.
        retry_after: Option<std::time::Duration>,
    },
    /// The endpoint is throttled or locked. Costs no attempt.
    #[error("throttled until {until}: {detail}")]
    Throttled {
        /// When the endpoint may be called again.
        until: Timestamp,
        /// What the vendor said.
        detail: String,
    },
    /// Our credentials or rights are not accepted (401 after a refresh, 403).
    #[error("not authorized: {detail}")]
    Unauthorized {
        /// What the vendor said.
        detail: String,
    },
    /// The vendor refused this one request for good, with a code.
    #[error("refused ({code}): {detail}")]
    Refused {
        /// The vendor's code.
        code: String,
        /// What it said.
        detail: String,
    },
}

impl Failure {
    /// A transient failure without a wish for when to come back.
    pub fn transient(detail: impl Into<String>) -> Self {
        Self::Transient { detail: detail.into(), retry_after: None }
    }

    /// A short stable word for metrics, logs and the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Refused { .. } => "refused",
        }
    }
}

/// What to do with a row after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again at this time; `counts` says whether it was a failed attempt.
    RetryAt {
        /// When.
        at: Timestamp,
        /// Whether the attempt counts towards giving up.
        counts: bool,
    },
    /// Leave it until an operator acts; the cause is the vendor's code.
    Park {
        /// The vendor's code.
        code: String,
    },
    /// Too many failures: dead, with a notice to the admins.
    GiveUp,
}
