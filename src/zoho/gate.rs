//! Call budgets at work: nothing is sent to Zoho without a [`Permit`] from a [`Gate`].
//!
//! One gate per credential (the portal has its own per organization), shared by all clients of it.
//! A permit is recorded in the store before it is handed out, so that an unclean stop forgets no
//! call. Deliberately absent: any reaction to answers; `account` and `portal` decide about locks.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::error::CallError;
use crate::clock::Clock;
use crate::domain::budget::{Budget, Group, Limit};
use crate::domain::{Secret, Timestamp};

/// How long an outbox row waits when its permit could not be recorded: the store is in trouble,
/// and the row must neither spin nor be forgotten.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// A change of token or budget state, for the store to keep.
#[derive(Clone, Debug)]
pub enum Record {
    /// A call is about to be sent. Groups without a limit are not recorded.
    Call {
        /// Whose budget.
        credential: String,
        /// Which group.
        group: Group,
        /// When.
        at: Timestamp,
    },
    /// The vendor locked a group.
    Lock {
        /// Whose budget.
        credential: String,
        /// Which group.
        group: Group,
        /// Until when.
        until: Timestamp,
    },
    /// A new access token.
    Token {
        /// Whose token.
        credential: String,
        /// The token.
        access_token: Secret,
        /// When it runs out.
        expires_at: Timestamp,
    },
    /// A token refresh is about to be sent; it counts on [`Group::Token`].
    Refresh {
        /// Whose token.
        credential: String,
        /// When.
        at: Timestamp,
    },
}

/// The store could not keep a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(pub String);

/// Keeps a record durably; awaited before the call it announces is sent.
pub type Recorder =
    Arc<dyn Fn(Record) -> BoxFuture<'static, Result<(), RecordError>> + Send + Sync>;

/// What the store kept for one credential.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Recent calls and locks, by group.
    pub budgets: Vec<(Group, Budget)>,
    /// The last access token and when it runs out.
    pub token: Option<(Secret, Timestamp)>,
}

/// Who goes first where several wait for one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A single read for a hint.
    Webhook,
    /// A page of a run; yields to waiting webhook reads.
    Run,
}

/// The right to send one call. It is consumed by the call and cannot be copied.
#[derive(Debug)]
#[must_use = "a permit is already counted as a call"]
pub struct Permit {
    group: Group,
}

impl Permit {
    /// The group the call was counted on.
    pub fn group(&self) -> Group {
        self.group
    }
}

/// No permit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The earliest instant at which asking again makes sense.
    pub until: Timestamp,
}

/// The budgets of one credential.
pub struct Gate {
    credential: String,
    scale: u32,
    per_minute: BTreeMap<Group, u32>,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    state: Mutex<State>,
    /// Rings when the last waiting webhook read of a group has gone through.
    webhooks_gone: Notify,
}

#[derive(Default)]
struct State {
    budgets: BTreeMap<Group, Budget>,
    webhooks_waiting: BTreeMap<Group, usize>,
    /// One fair queue per group and priority: only its head watches the clock.
    queues: BTreeMap<(Group, Priority), Arc<tokio::sync::Mutex<()>>>,
}

enum Attempt {
    Taken(Timestamp),
    WaitUntil(Timestamp),
    WebhooksFirst,
}

impl Gate {
    /// A gate for `credential`. `scale` multiplies every limit but that of token refreshes, which
    /// Zoho's account server counts by itself; `per_minute` replaces limits and is taken as
    /// written (design section 11, "Portal").
    pub fn new(
        credential: impl Into<String>,
        scale: u32,
        per_minute: BTreeMap<Group, u32>,
        remembered: Vec<(Group, Budget)>,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State { budgets: remembered.into_iter().collect(), ..State::default() };
        Self {
            credential: credential.into(),
            scale,
            per_minute,
            clock,
            recorder,
            state: Mutex::new(state),
            webhooks_gone: Notify::new(),
        }
    }

    /// Waits in memory, also through a lock, until one call of `group` is allowed.
    ///
    /// # Errors
    /// [`CallError::Unrecorded`] when the store could not keep the call.
    pub async fn take(&self, group: Group, priority: Priority) -> Result<Permit, CallError> {
        let waiting = (priority == Priority::Webhook).then(|| Waiting::enter(self, group));
        let queue = self.state().queues.entry((group, priority)).or_default().clone();
        let turn = queue.lock().await;
        let at = loop {
            let mut webhooks_gone = pin!(self.webhooks_gone.notified());
            webhooks_gone.as_mut().enable();
            match self.attempt(group, priority) {
                Attempt::Taken(at) => break at,
                Attempt::WaitUntil(until) => self.clock.wait_until(until).await,
                Attempt::WebhooksFirst => webhooks_gone.await,
            }
        };
        drop(turn);
        drop(waiting);
        self.permit(group, at).await.map_err(|error| CallError::Unrecorded(error.0))
    }

    /// One call of `group` now, or when to ask again: for outbox rows, whose permit is taken
    /// before the row is claimed.
    ///
    /// # Errors
    /// [`Wait`].
    pub async fn try_take(&self, group: Group) -> Result<Permit, Wait> {
        match self.attempt(group, Priority::Webhook) {
            Attempt::Taken(at) => self.permit(group, at).await.map_err(|error| {
                tracing::warn!(group = group.as_str(), %error, "a call could not be recorded");
                Wait { until: at + RECORD_RETRY }
            }),
            Attempt::WaitUntil(until) => Err(Wait { until }),
            Attempt::WebhooksFirst => Err(Wait { until: self.clock.now() + RECORD_RETRY }),
        }
    }

    /// When a call of `group` may be had, without taking one; a time that has come means now.
    pub fn free_at(&self, group: Group) -> Timestamp {
        let now = self.clock.now();
        let limit = self.limit(group);
        let mut state = self.state();
        state.budgets.entry(group).or_default().ready(&limit, now).err().unwrap_or(now)
    }

    /// Parks `group` until `until`, in memory and in the store.
    pub async fn lock(&self, group: Group, until: Timestamp) {
        self.state().budgets.entry(group).or_default().lock(until);
        self.record(Record::Lock { credential: self.credential.clone(), group, until }).await;
    }

    /// The groups that are locked now, and until when.
    pub fn locks(&self) -> Vec<(Group, Timestamp)> {
        let now = self.clock.now();
        let state = self.state();
        let locked = |(group, budget): (&Group, &Budget)| Some((*group, budget.locked_until(now)?));
        state.budgets.iter().filter_map(locked).collect()
    }

    /// The limit of a group on this credential.
    pub fn limit(&self, group: Group) -> Limit {
        let limit = group.limit();
        let calls = match (self.per_minute.get(&group), group) {
            (Some(calls), _) => Some(*calls),
            (None, Group::Token) => limit.calls,
            (None, _) => limit.calls.map(|calls| calls.saturating_mul(self.scale)),
        };
        Limit { calls, ..limit }
    }

    /// The credential whose budgets these are.
    pub(super) fn credential(&self) -> &str {
        &self.credential
    }

    /// Keeps a record that announces no call; a failure costs only memory over a restart.
    pub(super) async fn record(&self, record: Record) {
        if let Err(error) = (self.recorder)(record).await {
            tracing::warn!(%error, "call state could not be recorded");
        }
    }

    fn attempt(&self, group: Group, priority: Priority) -> Attempt {
        let now = self.clock.now();
        let limit = self.limit(group);
        let mut state = self.state();
        let webhooks = state.webhooks_waiting.get(&group).copied().unwrap_or(0);
        if priority == Priority::Run && webhooks > 0 {
            return Attempt::WebhooksFirst;
        }
        match state.budgets.entry(group).or_default().take(&limit, now) {
            Ok(()) => Attempt::Taken(now),
            Err(until) => Attempt::WaitUntil(until),
        }
    }

    async fn permit(&self, group: Group, at: Timestamp) -> Result<Permit, RecordError> {
        let credential = self.credential.clone();
        if group == Group::Token {
            (self.recorder)(Record::Refresh { credential, at }).await?;
        } else if self.limit(group).calls.is_some() {
            (self.recorder)(Record::Call { credential, group, at }).await?;
        }
        Ok(Permit { group })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a webhook read as waiting for as long as it lives, also when its future is dropped.
struct Waiting<'a> {
    gate: &'a Gate,
    group: Group,
}

impl<'a> Waiting<'a> {
    fn enter(gate: &'a Gate, group: Group) -> Self {
        *gate.state().webhooks_waiting.entry(group).or_default() += 1;
        Self { gate, group }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        let left = state.webhooks_waiting.entry(self.group).or_default();
        *left = left.saturating_sub(1);
        let none_left = *left == 0;
        drop(state);
        if none_left {
            self.gate.webhooks_gone.notify_waiters();
        }
    }
}
