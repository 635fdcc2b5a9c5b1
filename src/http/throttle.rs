//! How often one client, and everybody together, may ask: each a bucket that fills steadily, kept
//! as the one instant at which it is full again.
//!
//! Deliberately absent: defence against guessing, which 256 bits of token are; this keeps a flood
//! off the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;

use super::listen::Peer;
use crate::domain::Timestamp;

/// A bucket of `burst` requests that gets one back every `every`.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// One client. Behind one address may sit a whole company, and a scanner that opens all its mail.
const CLIENT: Rate = Rate { burst: 60, every: Duration::from_secs(1) };

/// Everybody together: far below what the store reads, far above what people do.
const ALL: Rate = Rate { burst: 1_000, every: Duration::from_millis(10) };

/// Most clients remembered; each is some 50 bytes. Above it only `ALL` holds for new ones.
const CLIENTS_MAX: usize = 20_000;

/// Whom requests are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// An IPv4 address, or the /64 of an IPv6 address, which is what one household gets.
    Address(IpAddr),
    /// This machine: a proxy that names nobody, or somebody at the machine itself.
    Local,
}

impl Client {
    /// The peer; or, when the peer is a proxy on this machine, whom it names last in
    /// `X-Forwarded-For`. What stands before that, anybody may have written.
    pub(super) fn of(peer: Peer, headers: &HeaderMap) -> Self {
        match peer.0.map(|address| address.to_canonical()) {
            Some(address) if !address.is_loopback() => Self::address(address),
            _ => named_last(headers).map_or(Self::Local, Self::address),
        }
    }

    /// The peer itself, whomever it names.
    pub(super) fn at(peer: Peer) -> Self {
        peer.0.map_or(Self::Local, Self::address)
    }

    fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
            four @ IpAddr::V4(_) => four,
        })
    }
}

fn named_last(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next()?.trim().parse().ok()
}

/// The buckets.
#[derive(Default)]
pub(super) struct Throttle {
    buckets: Mutex<Buckets>,
    warned: AtomicBool,
}

#[derive(Default)]
struct Buckets {
    all: Timestamp,
    clients: HashMap<Client, Timestamp>,
}

impl Throttle {
    /// Says once that readers cannot be told apart.
    fn warn_of_the_proxy(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "join pages are asked for from this machine without X-Forwarded-For: readers behind \
                 that proxy are throttled all together only. Let the proxy add the header"
            );
        }
    }

    /// Counts a request; or says after how long to ask again.
    pub(super) fn admit(&self, client: Client, now: Timestamp) -> Result<(), Duration> {
        // A poisoned lock guards nothing but instants.
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if client == Client::Local {
            // Everybody behind a proxy that names nobody: one reader must not use up what is another's.
            self.warn_of_the_proxy();
            buckets.all = ALL.take(buckets.all, now)?;
            return Ok(());
        }
        let own = buckets.clients.get(&client).copied().unwrap_or_default();
        let own = CLIENT.take(own, now)?;
        buckets.all = ALL.take(buckets.all, now)?;
        if buckets.clients.len() >= CLIENTS_MAX {
            buckets.clients.retain(|_, full_at| *full_at > now);
        }
        if buckets.clients.len() < CLIENTS_MAX || buckets.clients.contains_key(&client) {
            buckets.clients.insert(client, own);
        }
        Ok(())
    }
}

impl Rate {
    /// When a bucket that is full at `full_at` will be full after one more request.
    fn take(self, full_at: Timestamp, now: Timestamp) -> Result<Timestamp, Duration> {
        // A clock that was set back must not shut the door for as long.
        let full_at = full_at.clamp(now, now + self.every * self.burst) + self.every;
        let over = full_at.since(now).saturating_sub(self.every * self.burst);
        if over.is_zero() { Ok(full_at) } else { Err(over) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderMap;

    use super::{ALL, CLIENT, CLIENTS_MAX, Client, Throttle};
    use crate::domain::Timestamp;
    use crate::http::listen::Peer;

    const NOW: Timestamp = Timestamp(1_795_505_400_000);

    fn client(peer: &str, forwarded: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        Client::of(Peer(peer.parse().ok()), &headers)
    }

    fn address(text: &str) -> Client {
        Client::Address(text.parse().unwrap())
    }

    #[test]
    fn a_client_gets_its_burst_and_then_its_pace() {
        let throttle = Throttle::default();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..CLIENT.burst {
            assert_eq!(throttle.admit(one, NOW), Ok(()));
        }
        assert_eq!(throttle.admit(one, NOW), Err(CLIENT.every));
        assert_eq!(throttle.admit(other, NOW), Ok(()));
        assert_eq!(throttle.admit(one, NOW + CLIENT.every), Ok(()));
        assert!(throttle.admit(one, NOW + CLIENT.every).is_err());
        let later = NOW + CLIENT.every * CLIENT.burst * 2;
        for _ in 0..CLIENT.burst {
            assert_eq!(throttle.admit(one, later), Ok(()));
        }
    }

    #[test]
    fn all_together_have_a_bound_and_who_is_refused_costs_the_others_nothing() {
        let throttle = Throttle::default();
        let from = |n: u32| Client::Address(std::net::Ipv4Addr::from(n).into());
        let one = from(u32::MAX);
        for _ in 0..ALL.burst * 2 {
            let _ = throttle.admit(one, NOW);
        }
        for n in 0..ALL.burst - CLIENT.burst {
            assert_eq!(throttle.admit(from(n), NOW), Ok(()), "{n}");
        }
        assert_eq!(throttle.admit(from(ALL.burst), NOW), Err(ALL.every));
    }

    #[test]
    fn readers_behind_a_proxy_that_names_nobody_share_no_small_bucket() {
        let throttle = Throttle::default();
        for n in 0..ALL.burst {
            assert_eq!(throttle.admit(Client::Local, NOW), Ok(()), "{n}");
        }
        assert_eq!(throttle.admit(Client::Local, NOW), Err(ALL.every), "all together are bounded");
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_are_forgotten() {
        let throttle = Throttle::default();
        let mut now = NOW;
        for n in 0..u32::try_from(CLIENTS_MAX).unwrap() * 2 {
            now = now + Duration::from_millis(10);
            assert_eq!(
                throttle.admit(Client::Address(std::net::Ipv4Addr::from(n).into()), now),
                Ok(())
            );
        }
        assert!(throttle.buckets.lock().unwrap().clients.len() <= CLIENTS_MAX);
    }

    #[test]
    fn only_a_proxy_on_this_machine_is_believed_about_the_client() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), address("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["203.0.113.9, 198.51.100.7"]), address("198.51.100.7"));
        assert_eq!(client("::1", &["203.0.113.9", "198.51.100.7"]), address("198.51.100.7"));
        assert_eq!(client("unix", &["198.51.100.7"]), address("198.51.100.7"));
        assert_eq!(client("127.0.0.1", &[]), Client::Local);
        assert_eq!(client("127.0.0.1", &["unknown"]), Client::Local);
        assert_eq!(client("::ffff:192.0.2.1", &[]), address("192.0.2.1"));
        assert_eq!(client("2001:db8:1:2:3:4:5:6", &[]), address("2001:db8:1:2::"));
    }
}
