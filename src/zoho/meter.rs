//! What reading costs: calls made beside calls needed, for one run at a time.
//!
//! A run reads through clients of an account with a meter of its own, so that nobody else's calls
//! are counted. Deliberately absent: token refreshes, which serve all traffic of a credential, and
//! limits, which are the `gate`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls of one reader so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Requests that were sent: retries, repeated listings and those that were throttled included.
    pub used: u32,
    /// The fewest that could have told the same: full pages, each read once.
    pub needed: u32,
}

/// Counts calls. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    used: AtomicU32,
    needed: AtomicU32,
}

impl Meter {
    /// The counts so far.
    pub fn calls(&self) -> Calls {
        Calls {
            used: self.0.used.load(Ordering::Relaxed),
            needed: self.0.needed.load(Ordering::Relaxed),
        }
    }

    /// A request is about to be sent.
    pub(super) fn use_one(&self) {
        self.0.used.fetch_add(1, Ordering::Relaxed);
    }

    /// So many calls cannot be done without.
    pub(super) fn need(&self, calls: usize) {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.0.needed.fetch_add(calls, Ordering::Relaxed);
    }

    /// A listing of so many rows is finished, with at most `per_page` on a page; one that is empty
    /// needs a call too.
    pub(super) fn need_pages(&self, rows: usize, per_page: usize) {
        self.need(rows.div_ceil(per_page).max(1));
    }
}
