//! Runs: a manual resync or a scheduled reconciliation, and what it came to.

use std::fmt;

/// Who started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `POST /api/v1/resync`.
    Manual,
    /// The `schedule.reconcile` tick.
    Schedule,
}

/// How far a run has come (design section 11, "Runs and notices").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Waiting for its turn.
    Queued,
    /// Listing both sides.
    Reading,
    /// Its actions are in the outbox.
    Applying,
    /// Every action was carried out.
    Done,
    /// Finished, but something is parked or dead.
    Degraded,
    /// Something waits for approval.
    Held,
    /// A read failed; nothing was planned from it.
    Failed,
    /// Given up by an operator or a restart.
    Cancelled,
}

impl Trigger {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
        }
    }
}

impl RunState {
    /// All of them, in the order of a run's life.
    pub const ALL: [RunState; 8] = [
        RunState::Queued,
        RunState::Reading,
        RunState::Applying,
        RunState::Done,
        RunState::Degraded,
        RunState::Held,
        RunState::Failed,
        RunState::Cancelled,
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reading => "reading",
            Self::Applying => "applying",
            Self::Done => "done",
            Self::Degraded => "degraded",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will happen to the run by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Reading | Self::Applying)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
