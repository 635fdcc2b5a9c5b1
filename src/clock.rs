//! The program's one trait: what time it is, and waiting until a time.
//!
//! Production reads the system clock; tests move a clock by hand, so no test sleeps. Nothing else
//! in the program may ask the system for the time (`clippy.toml` forbids it).

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::Timestamp;

/// A future that ends at a time of the clock that made it.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// Ends when `now()` has reached `until`, or when the clock was set back meanwhile: what was to come may
    /// be due under the new time, so the caller looks again.
    fn wait_until(&self, until: Timestamp) -> Waiting<'_>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Longest single wait: after it the wall clock is read again, so that a machine that slept or a
/// clock that was set is noticed within this time.
const WAIT_MAX: Duration = Duration::from_secs(15);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(crate::domain::time::millis(since_epoch))
    }

    fn wait_until(&self, until: Timestamp) -> Waiting<'_> {
        Box::pin(async move {
            let mut seen = self.now();
            loop {
                let now = self.now();
                let left = until.since(now);
                if left.is_zero() || now < seen {
                    return;
                }
                seen = now;
                #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
                tokio::time::sleep(left.min(WAIT_MAX)).await;
            }
        })
    }
}

/// A clock moved by hand, forward only.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    guard: Mutex<()>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: watch::Sender::new(start), guard: Mutex::new(()) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let _serialized = self.guard.lock();
        self.now.send_modify(|now| *now = *now + by);
    }

    /// Sets the clock back, as an administrator or a time server does to a clock that was ahead.
    pub fn set_back(&self, by: Duration) {
        let _serialized = self.guard.lock();
        self.now.send_modify(|now| *now = *now - by);
    }

    /// Moves the clock to `to`, if that is later than now.
    pub fn advance_to(&self, to: Timestamp) {
        let _serialized = self.guard.lock();
        self.now.send_modify(|now| *now = (*now).max(to));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn wait_until(&self, until: Timestamp) -> Waiting<'_> {
        let mut changes = self.now.subscribe();
        let mut seen = *changes.borrow();
        Box::pin(async move {
            let is_over = move |now: &Timestamp| {
                let is_back = *now < seen;
                seen = *now;
                is_back || *now >= until
            };
            // The sender lives as long as `self`, so the wait cannot fail.
            let _ = changes.wait_for(is_over).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::{Clock as _, ManualClock};
    use crate::domain::Timestamp;

    #[tokio::test]
    async fn whoever_waits_for_a_time_looks_again_when_the_clock_is_set_back() {
        let clock = ManualClock::new(Timestamp(1_000_000));
        let mut wait = clock.wait_until(Timestamp(2_000_000));
        assert_eq!((&mut wait).now_or_never(), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!((&mut wait).now_or_never(), None);
        clock.set_back(Duration::from_secs(30));
        wait.await;
    }
}
