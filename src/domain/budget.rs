//! Call budgets: how often an endpoint group may be called, as a sliding log of instants.
//!
//! Zoho counts calls a minute per user and endpoint and then locks the endpoint for 5 to 30
//! minutes (contract sections 2 and 8). The bridge never uses more than 80 % of the documented
//! limit in any window. Pure values: `zoho` holds them while running, `store` keeps them over
//! restarts.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Timestamp;

/// Longest lock: what a `Retry-After` may ask for. Zoho's own locks are 30 minutes at most.
const LOCK_MAX: Duration = Duration::from_hours(1);

/// The endpoint groups that share one limit (contract section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// CRM reads. Zoho limits credits a day and concurrency, not calls a minute.
    Crm,
    /// `GET /users` of Cliq.
    UsersList,
    /// `GET /users/{id}` of Cliq.
    UsersGet,
    /// `GET /channels` and `GET /channels/{id}`.
    Channels,
    /// `GET /channels/{id}/members`.
    MembersGet,
    /// `POST` and `DELETE` of channel members.
    MembersWrite,
    /// `GET /bots/{bot}/subscribers`.
    Subscribers,
    /// Every message post.
    Messages,
    /// The operator's portal function (`portal.per_minute`).
    Portal,
    /// Token refreshes: at most 8 in any 10 minutes.
    Token,
}

/// The limit of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Calls allowed in any window; `None` is unlimited.
    pub calls: Option<u32>,
    /// Length of the window.
    pub window: Duration,
    /// How long the vendor locks the group after a breach, when it does not say.
    pub lock: Duration,
}

impl Group {
    /// Every group.
    pub const ALL: [Group; 10] = [
        Group::Crm,
        Group::UsersList,
        Group::UsersGet,
        Group::Channels,
        Group::MembersGet,
        Group::MembersWrite,
        Group::Subscribers,
        Group::Messages,
        Group::Portal,
        Group::Token,
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Crm => "crm",
            Group::UsersList => "users.list",
            Group::UsersGet => "users.get",
            Group::Channels => "channels",
            Group::MembersGet => "members.get",
            Group::MembersWrite => "members.write",
            Group::Subscribers => "bot.subscribers",
            Group::Messages => "messages",
            Group::Portal => "portal",
            Group::Token => "token",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == word)
    }

    /// 80 % of the documented limit, rounded down, and the documented lock (contract sections
    /// 2.1 to 2.3 and 8; design section 11 "Budgets" and "Portal").
    pub fn limit(self) -> Limit {
        let minute = Duration::from_mins(1);
        let (calls, window, lock_minutes) = match self {
            Group::Crm => (None, minute, 1),
            Group::UsersList => (Some(24), minute, 10),
            Group::UsersGet => (Some(16), minute, 10),
            Group::Channels => (Some(24), minute, 5),
            Group::MembersGet => (Some(80), minute, 5),
            Group::MembersWrite => (Some(8), minute, 5),
            Group::Subscribers => (Some(80), minute, 10),
            Group::Messages => (Some(40), minute, 10),
            Group::Portal => (Some(60), minute, 5),
            Group::Token => (Some(8), Duration::from_mins(10), 15),
        };
        Limit { calls, window, lock: Duration::from_mins(lock_minutes) }
    }
}

/// The recent calls of one group on one credential, and its lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    calls: VecDeque<Timestamp>,
    locked_until: Option<Timestamp>,
}

impl Budget {
    /// From what the store remembered.
    pub fn restored(mut calls: Vec<Timestamp>, locked_until: Option<Timestamp>) -> Self {
        calls.sort_unstable();
        Self { calls: calls.into(), locked_until }
    }

    /// Takes one call at `now`.
    ///
    /// # Errors
    /// The earliest instant at which a call may be allowed.
    pub fn take(&mut self, limit: &Limit, now: Timestamp) -> Result<(), Timestamp> {
        self.ready(limit, now)?;
        if limit.calls.is_some() {
            self.calls.push_back(now);
        }
        Ok(())
    }

    /// Whether a call is allowed at `now`, without taking it.
    ///
    /// # Errors
    /// The earliest instant at which a call may be allowed.
    pub fn ready(&mut self, limit: &Limit, now: Timestamp) -> Result<(), Timestamp> {
        // A lock or a call "in the future" was written under a clock that has been set back since:
        // it counts as if it were of now, so that nobody waits for the old time to come again.
        if let Some(until) = self.locked_until.map(|until| until.min(now + LOCK_MAX)) {
            self.locked_until = Some(until);
            if now < until {
                return Err(until);
            }
            self.locked_until = None;
        }
        let Some(calls) = limit.calls else { return Ok(()) };
        for call in self.calls.iter_mut().rev().take_while(|call| **call > now) {
            *call = now;
        }
        // A call exactly one window old still counts, so that no closed window holds too many.
        while self.calls.front().is_some_and(|first| *first + limit.window < now) {
            self.calls.pop_front();
        }
        if self.calls.len() < usize::try_from(calls).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let first = self.calls.front().copied().unwrap_or(now);
        Err(first + limit.window + Duration::from_millis(1))
    }

    /// Locks the group until `until`, if that is later than what is known.
    pub fn lock(&mut self, until: Timestamp) {
        self.locked_until = Some(self.locked_until.map_or(until, |known| known.max(until)));
    }

    /// Until when the group is locked, if it is.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Budget, Group, Limit, Timestamp};

    #[test]
    fn never_more_than_the_limit_in_any_window() {
        let limit =
            Limit { calls: Some(3), window: Duration::from_mins(1), lock: Duration::from_mins(5) };
        let mut budget = Budget::default();
        let mut taken = Vec::new();
        let mut now = Timestamp(0);
        while now.millis() < 600_000 {
            if budget.take(&limit, now).is_ok() {
                taken.push(now);
            }
            now = now + Duration::from_millis(700);
        }
        for (index, start) in taken.iter().enumerate() {
            let inside = taken[index..].iter().filter(|t| t.since(*start) <= limit.window).count();
            assert!(inside <= 3, "{inside} calls within a window of {start}");
        }
        assert!(taken.len() >= 27, "the budget is used: {}", taken.len());
    }

    #[test]
    fn a_lock_stands_until_its_end() {
        let limit = Group::Messages.limit();
        let mut budget = Budget::default();
        budget.lock(Timestamp(5_000));
        budget.lock(Timestamp(3_000));
        assert_eq!(budget.take(&limit, Timestamp(4_999)), Err(Timestamp(5_000)));
        assert_eq!(budget.take(&limit, Timestamp(5_000)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_costs_one_window_at_most() {
        let limit = Group::MembersWrite.limit();
        let mut budget = Budget::default();
        for _ in 0..8 {
            assert_eq!(budget.take(&limit, Timestamp(3_600_000)), Ok(()));
        }
        assert_eq!(budget.take(&limit, Timestamp(0)), Err(Timestamp(60_001)));
        assert_eq!(budget.take(&limit, Timestamp(60_001)), Ok(()));
        budget.lock(Timestamp(i64::MAX));
        assert_eq!(budget.take(&limit, Timestamp(60_001)), Err(Timestamp(3_660_001)));
    }

    #[test]
    fn words_read_back() {
        for group in Group::ALL {
            assert_eq!(Group::from_word(group.as_str()), Some(group));
        }
    }
}
