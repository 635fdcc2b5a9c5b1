//! Who guesses at tokens is not listened to for a while: so many wrong ones from one peer in a
//! minute, and that peer's wrong ones are not looked at. A right token is let in at any time.
//!
//! Deliberately absent: whom a proxy names. Whoever guesses could name anybody, so behind a proxy
//! all are one peer. And tokens that once were right: an old script is no guess.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::throttle::Client;
use crate::domain::Timestamp;

/// Wrong tokens within [`WINDOW`] that shut the door. A person who mistypes needs fewer.
const FAILURES_MAX: u32 = 10;

/// How long a wrong token counts.
const WINDOW: Duration = Duration::from_mins(1);

/// How long the door stays shut.
const SHUT_FOR: Duration = Duration::from_mins(1);

/// Most peers remembered; each is some 60 bytes. Above it new ones are not counted, which costs
/// nothing but the counting: 256 bits are not guessed in any case.
const PEERS_MAX: usize = 10_000;

/// What is known of a peer.
#[derive(Clone, Copy, Debug)]
struct Record {
    since: Timestamp,
    failures: u32,
}

impl Record {
    /// When it means nothing any more. A clock that was set back must not shut the door for as
    /// long: a record of the future is over.
    fn is_over(&self, now: Timestamp) -> bool {
        let lasts = if self.failures < FAILURES_MAX { WINDOW } else { SHUT_FOR };
        self.since > now || now.since(self.since) >= lasts
    }
}

/// The peers that presented wrong tokens of late.
#[derive(Debug, Default)]
pub(super) struct Lockout(Mutex<HashMap<Client, Record>>);

impl Lockout {
    /// Whether the peer is listened to; if not, for how much longer.
    pub(super) fn check(&self, peer: Client, now: Timestamp) -> Result<(), Duration> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shut = records.get(&peer).filter(|record| record.failures >= FAILURES_MAX);
        match shut.filter(|record| !record.is_over(now)) {
            Some(record) => Err(SHUT_FOR.saturating_sub(now.since(record.since))),
            None => Ok(()),
        }
    }

    /// Counts a wrong token. True if it shuts the door.
    pub(super) fn failed(&self, peer: Client, now: Timestamp) -> bool {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= PEERS_MAX {
            records.retain(|_, record| !record.is_over(now));
        }
        if records.len() >= PEERS_MAX && !records.contains_key(&peer) {
            return false;
        }
        let fresh = Record { since: now, failures: 0 };
        let record = records.entry(peer).or_insert(fresh);
        if record.is_over(now) {
            *record = fresh;
        }
        record.failures += 1;
        let shuts = record.failures == FAILURES_MAX;
        if shuts {
            record.since = now;
        }
        shuts
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::{FAILURES_MAX, Lockout, PEERS_MAX, SHUT_FOR, WINDOW};
    use crate::domain::Timestamp;
    use crate::http::listen::Peer;
    use crate::http::throttle::Client;

    const NOW: Timestamp = Timestamp(1_795_505_400_000);

    fn peer(number: u32) -> Client {
        Client::at(Peer(Some(IpAddr::V4(Ipv4Addr::from(number)))))
    }

    #[test]
    fn the_tenth_wrong_token_shuts_the_door_for_a_minute_to_that_peer_alone() {
        let lockout = Lockout::default();
        let (one, other, socket) = (peer(1), peer(2), Client::at(Peer(None)));
        for number in 1..FAILURES_MAX {
            assert!(!lockout.failed(one, NOW), "{number}");
            assert_eq!(lockout.check(one, NOW), Ok(()));
        }
        let later = NOW + Duration::from_secs(30);
        assert!(lockout.failed(one, later));
        assert_eq!(lockout.check(one, later), Err(SHUT_FOR));
        assert_eq!(lockout.check(one, later + SHUT_FOR / 2), Err(SHUT_FOR / 2));
        for free in [other, socket] {
            assert_eq!(lockout.check(free, later), Ok(()));
        }
        assert_eq!(lockout.check(one, later + SHUT_FOR), Ok(()));
        assert!(!lockout.failed(one, later + SHUT_FOR), "and the count begins anew");
    }

    #[test]
    fn wrong_tokens_far_apart_shut_nothing_and_neither_does_a_clock_set_back() {
        let lockout = Lockout::default();
        let mut now = NOW;
        for _ in 0..FAILURES_MAX * 3 {
            now = now + WINDOW / 5;
            assert!(!lockout.failed(peer(1), now));
        }
        for _ in 0..FAILURES_MAX {
            lockout.failed(peer(2), now);
        }
        assert!(lockout.check(peer(2), now).is_err());
        assert_eq!(lockout.check(peer(2), now - Duration::from_hours(1)), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let lockout = Lockout::default();
        for number in 0..u32::try_from(PEERS_MAX).unwrap() * 2 {
            lockout.failed(peer(number), NOW);
        }
        assert_eq!(lockout.0.lock().unwrap().len(), PEERS_MAX);
        lockout.failed(peer(u32::MAX), NOW + WINDOW);
        assert_eq!(lockout.0.lock().unwrap().len(), 1);
    }
}
