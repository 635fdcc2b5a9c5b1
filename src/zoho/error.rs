//! What can go wrong with a call to Zoho, and its one mapping onto [`Failure`].
//!
//! Classified by HTTP status and vendor code, never by text (design decision 10). No variant can
//! hold a URL, a query, a token or a vendor's free text: calls are named by fixed labels such as
//! `GET /users/{id}`. What the operator's own portal function says of a refusal is kept, for the operator.

use std::time::Duration;

use crate::domain::{Failure, Timestamp};

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No usable answer: connection, time-out, cut body, 5xx, HTML, a redirect, an answer that is
    /// not of the documented form. The call may or may not have had its effect.
    #[error("{call}: {detail}")]
    Transient {
        /// Which call.
        call: &'static str,
        /// What happened.
        detail: String,
        /// The vendor's wish, 1 s to 1 h.
        retry_after: Option<Duration>,
    },
    /// A listing broke one of the rules that prove it complete. Nothing may follow from it.
    #[error("{call}: the listing is not complete: {detail}")]
    Incomplete {
        /// Which call.
        call: &'static str,
        /// Which rule.
        detail: String,
    },
    /// The endpoint group is throttled; it is locked in the gate until then.
    #[error("{call}: {detail}; throttled until {until}")]
    Throttled {
        /// Which call.
        call: &'static str,
        /// When it may be called again.
        until: Timestamp,
        /// What was answered.
        detail: String,
    },
    /// Our credentials are not accepted, also after a token refresh, or lack the scope.
    #[error("{call}: not authorized: {detail}")]
    Unauthorized {
        /// Which call.
        call: &'static str,
        /// What was answered, and what to do about it where that is known.
        detail: String,
    },
    /// Our rights do not reach this call: another token of the same grant would not either, and other
    /// calls may be allowed.
    #[error("{call}: not allowed: {detail}")]
    Forbidden {
        /// Which call.
        call: &'static str,
        /// What was answered.
        detail: String,
    },
    /// The vendor refused this request for good.
    #[error("{call}: refused with {code} (HTTP {status})")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The vendor's code, or `http_<status>` when it gave none.
        code: String,
        /// HTTP status; 200 is possible (contract section 6, habit 1).
        status: u16,
        /// The operator's own portal function in its own words, bounded and on one line; no vendor's.
        said: Option<String>,
    },
    /// The call was not sent because the store could not record it first.
    #[error("not sent: the call could not be recorded: {0}")]
    Unrecorded(String),
}

impl CallError {
    /// A refusal in no words but the code.
    pub(super) fn refused(call: &'static str, code: String, status: u16) -> Self {
        Self::Refused { call, code, status, said: None }
    }

    /// A transient error without a wish for when to come back.
    pub(super) fn transient(call: &'static str, detail: impl Into<String>) -> Self {
        Self::Transient { call, detail: detail.into(), retry_after: None }
    }

    /// A listing rule was broken.
    pub(super) fn incomplete(call: &'static str, detail: impl Into<String>) -> Self {
        Self::Incomplete { call, detail: detail.into() }
    }

    /// The form that decides what happens next; `now` keeps a throttle from ending in the past.
    pub fn failure(&self, now: Timestamp) -> Failure {
        match self {
            Self::Transient { retry_after, .. } => {
                Failure::Transient { detail: self.to_string(), retry_after: *retry_after }
            }
            Self::Incomplete { .. } | Self::Unrecorded(_) => Failure::transient(self.to_string()),
            Self::Throttled { call, until, detail } => {
                Failure::Throttled { until: (*until).max(now), detail: format!("{call}: {detail}") }
            }
            Self::Unauthorized { call, detail } | Self::Forbidden { call, detail } => {
                Failure::Unauthorized { detail: format!("{call}: {detail}") }
            }
            Self::Refused { call, code, status, said } => {
                let said = said.as_ref().map_or(String::new(), |said| format!(": {said}"));
                let detail = format!("{call}: HTTP {status}{said}");
                Failure::Refused { code: code.clone(), detail }
            }
        }
    }

    /// The same of a read of one person. Nobody can refuse a read for good: what is not answered about
    /// somebody today may be tomorrow, and says nothing about the organization.
    pub fn failure_of_one(&self, now: Timestamp) -> Failure {
        match self {
            Self::Refused { .. } | Self::Forbidden { .. } => Failure::transient(self.to_string()),
            _ => self.failure(now),
        }
    }

    /// Whether just this is refused; anything else may pass by itself.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unauthorized { .. } | Self::Forbidden { .. })
    }
}
