//! A clock moved by hand that also knows who waits for it, so that a step which waits in memory
//! (a lock, a throttled page, a slow answer) can be let go on without real time passing.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use cliqbridge::clock::{Clock, ManualClock, Waiting};
use cliqbridge::domain::Timestamp;
use tokio::sync::Notify;

/// A [`ManualClock`] with a list of those who wait.
pub struct SteppedClock {
    manual: ManualClock,
    waits: Mutex<(u64, BTreeMap<u64, Timestamp>)>,
    changed: Notify,
}

impl SteppedClock {
    pub fn new(start: &str) -> Self {
        let start = Timestamp::parse(start).expect("an RFC 3339 time");
        Self { manual: ManualClock::new(start), waits: Mutex::default(), changed: Notify::new() }
    }

    pub fn advance(&self, by: Duration) {
        self.manual.advance(by);
    }

    pub fn set_back(&self, by: Duration) {
        self.manual.set_back(by);
    }

    pub fn advance_to(&self, to: Timestamp) {
        self.manual.advance_to(to);
    }

    /// Ends when somebody waits for a time that has not come; tells the earliest such time.
    pub async fn next_wait(&self) -> Timestamp {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.now();
            let earliest =
                self.waits.lock().unwrap().1.values().copied().filter(|t| *t > now).min();
            if let Some(earliest) = earliest {
                return earliest;
            }
            changed.await;
        }
    }
}

/// Takes the wait off the list when it ends or is given up.
struct Noted<'a>(&'a SteppedClock, u64);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.waits.lock().unwrap().1.remove(&self.1);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        self.manual.now()
    }

    fn wait_until(&self, until: Timestamp) -> Waiting<'_> {
        Box::pin(async move {
            let number = {
                let mut waits = self.waits.lock().unwrap();
                waits.0 += 1;
                let number = waits.0;
                waits.1.insert(number, until);
                number
            };
            let _noted = Noted(self, number);
            self.changed.notify_waiters();
            self.manual.wait_until(until).await;
        })
    }
}
