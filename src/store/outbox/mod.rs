//! The outbox: intended changes outside, claimed and settled one by one.
//!
//! Lane = (membership, one of access, licence, letter, notice), or one channel guest: rows of one
//! lane go in order, lanes do not wait for each other. Claiming is postponing; a row claimed by an earlier boot is due at
//! once; completion names the boot that claimed.

mod batch;
mod counts;
mod look;
mod queue;
mod seats;
mod work;

pub use batch::{
    Batch, claim_batch, delay_batch, drop_batch, next_batch, next_batch_due, parts_wait,
    withdraw_guest,
};
pub use counts::{
    Tally, done_by_run, in_flight, letters_since, moved_since, tally, waiting, waits,
    waits_for_guest, waits_to,
};
pub use look::{Filter, Line, Retry, list, retry};
pub use queue::{close_refused, put, rearm, withdraw, withdraw_letters};
pub use seats::{InMotion, licences_in_motion, licences_stuck, withdraw_licences};
pub(in crate::store) use work::BEHIND_CHANNELS;
pub use work::{Desk, End, cause, claim, next_due, postpone, put_back, settle};

use super::{StoreError, Tx};
use crate::domain::{ActionId, DeliveryId, Membership, Operation, OrgId, RunId, Timestamp};

/// A change to queue.
#[derive(Debug)]
pub struct NewAction<'a> {
    /// The organization it acts on, or speaks for.
    pub organization: &'a OrgId,
    /// The membership it is about; `None` for administrators' notices.
    pub membership: Option<&'a Membership>,
    /// What to do.
    pub operation: Operation,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// What asked for it.
    pub cause: Cause,
    /// Who wants it: decides whether the guard counts it, and whether a plan may withdraw it.
    pub wish: Wish,
    /// Not before this time.
    pub not_before: Timestamp,
}

/// What asked for a change: for the audit, and for a run to know its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The delivery, if a webhook did.
    pub delivery: Option<DeliveryId>,
    /// The run, if a run did.
    pub run: Option<RunId>,
}

/// Who wants a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// The planner, from facts; a later plan may withdraw it.
    #[default]
    Planned,
    /// The planner, and it takes something away from the person: the removal guard counts it.
    Guarded,
    /// An operator, by name: no plan withdraws it, no guard counts it.
    Operator,
}

/// What became of a change that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// A new row waits.
    New(ActionId),
    /// The same operation waited already: that row, its id, key and attempts stay.
    AlreadyWaiting(ActionId),
}
