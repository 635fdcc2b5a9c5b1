//! Call limits and lock periods of Cliq, per organization and endpoint (contract 2.1–2.3).
//!
//! Deliberately absent: the client's own budgets; those must stay below what is written here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::router::Call;
use crate::domain::Timestamp;

/// The window that the documented "requests per minute" are counted in.
const WINDOW: Duration = Duration::from_mins(1);

/// A documented limit: calls in 60 seconds, and minutes of lock after a breach.
fn limit(call: Call) -> Option<(usize, u64)> {
    match call {
        Call::CliqUsersAdd => Some((5, 10)),
        Call::CliqUsersList => Some((30, 10)),
        Call::CliqUsersGet => Some((20, 10)),
        Call::CliqChannelsList | Call::CliqChannelsGet => Some((30, 5)),
        Call::CliqMembersGet => Some((100, 5)),
        Call::CliqMembersAdd | Call::CliqMembersRemove => Some((10, 5)),
        Call::CliqBuddiesMessage | Call::CliqChannelMessage | Call::CliqBotsMessage => {
            Some((50, 10))
        }
        Call::CliqBotsSubscribers => Some((100, 10)),
        Call::OauthToken
        | Call::CrmUsersList
        | Call::CrmUsersGet
        | Call::CrmOrg
        | Call::CrmWatchList
        | Call::CrmWatchAdd
        | Call::CrmWatchReplace
        | Call::CrmWatchChange
        | Call::CrmWatchRemove
        | Call::Portal => None,
    }
}

#[derive(Debug, Default)]
struct Endpoint {
    calls: VecDeque<Timestamp>,
    locked_until: Option<Timestamp>,
}

/// The calls of one organization's OAuth user.
#[derive(Debug, Default)]
pub(super) struct Limits {
    endpoints: BTreeMap<Call, Endpoint>,
}

impl Limits {
    /// Counts a call; `Err` says why it is throttled.
    pub(super) fn admit(&mut self, call: Call, now: Timestamp) -> Result<(), String> {
        let Some((most, minutes)) = limit(call) else { return Ok(()) };
        let endpoint = self.endpoints.entry(call).or_default();
        if let Some(until) = endpoint.locked_until.filter(|until| *until > now) {
            return Err(format!("locked until {until}"));
        }
        while endpoint.calls.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            endpoint.calls.pop_front();
        }
        if endpoint.calls.len() >= most {
            endpoint.calls.clear();
            endpoint.locked_until = Some(now + Duration::from_mins(minutes));
            return Err(format!("more than {most} calls in 60 s: locked for {minutes} min"));
        }
        endpoint.calls.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Limits, Timestamp};

    #[test]
    fn a_breach_locks_and_the_lock_ends() {
        let mut limits = Limits::default();
        let at = Timestamp::from_seconds;
        for second in 0..10 {
            assert_eq!(limits.admit(Call::CliqMembersAdd, at(second)), Ok(()));
        }
        assert!(limits.admit(Call::CliqMembersAdd, at(59)).is_err());
        assert!(limits.admit(Call::CliqMembersAdd, at(60)).is_err(), "the lock outlasts a minute");
        assert_eq!(limits.admit(Call::CliqMembersRemove, at(60)), Ok(()), "endpoints are apart");
        assert_eq!(limits.admit(Call::CliqMembersAdd, at(359)), Ok(()));
    }
}
