//! The clients against a scripted server on loopback. Its JSON is written by hand from the
//! contract and shares nothing with the code under test. No test waits for the system clock.

mod channels;
mod cliq;
mod cliq_paging;
mod crm;
mod gate;
mod messages;
mod portal;
mod server;
mod token;
mod transport;
mod watch;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;

use self::server::Fake;
use super::{Account, Gate, Http, Record, RecordError, Recorder, Remembered};
use crate::clock::{Clock, ManualClock, Waiting};
use crate::config::Zoho;
use crate::domain::budget::Group;
use crate::domain::{Secret, Timestamp};

const START: Timestamp = Timestamp(1_795_507_200_000);

/// A clock that leaps to whatever it is asked to wait for, and remembers the leaps.
struct Leaping {
    clock: ManualClock,
    leaps: Mutex<Vec<Duration>>,
}

impl Leaping {
    fn new() -> Arc<Self> {
        Arc::new(Self { clock: ManualClock::new(START), leaps: Mutex::default() })
    }

    /// The waits so far, in seconds.
    fn leaps(&self) -> Vec<u64> {
        self.leaps.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn wait_until(&self, until: Timestamp) -> Waiting<'_> {
        Box::pin(async move {
            let leap = until.since(self.now());
            if !leap.is_zero() {
                self.leaps.lock().unwrap().push(leap);
                self.clock.advance_to(until);
            }
        })
    }
}

/// Keeps records in the order they came, or refuses them all.
fn recorder() -> (Recorder, mpsc::UnboundedReceiver<Record>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let recorder: Recorder = Arc::new(move |record| {
        let sent = sender.send(record).map_err(|_| RecordError("nobody keeps records".into()));
        Box::pin(std::future::ready(sent))
    });
    (recorder, receiver)
}

/// An account whose three bases are one fake server.
struct World {
    fake: Fake,
    zoho: Zoho,
    account: Arc<Account>,
    records: mpsc::UnboundedReceiver<Record>,
}

impl World {
    /// An account that remembers the token `remembered`.
    fn new(fake: Fake, clock: Arc<dyn Clock>) -> Self {
        let token = Some((Secret::new("remembered"), clock.now() + Duration::from_hours(100_000)));
        Self::with(fake, clock, Remembered { token, ..Remembered::default() })
    }

    fn with(fake: Fake, clock: Arc<dyn Clock>, remembered: Remembered) -> Self {
        let zoho = Zoho {
            accounts_url: fake.url.clone(),
            api_url: fake.url.clone(),
            cliq_url: fake.url.clone(),
            client_id: "client".into(),
            client_secret: Secret::new("hush&secret"),
            refresh_token: Secret::new("refresh+me"),
            auth_scheme: "Zoho-oauthtoken".into(),
            credential: "cred".into(),
        };
        let (recorder, records) = recorder();
        let http = Http::new(clock.clone()).unwrap();
        let account = Arc::new(Account::new(http, &zoho, 1, remembered, recorder, clock));
        Self { fake, zoho, account, records }
    }

    /// The records so far, as short words.
    fn recorded(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Ok(record) = self.records.try_recv() {
            words.push(match record {
                Record::Call { group, .. } => format!("call {}", group.as_str()),
                Record::Lock { group, until, .. } => {
                    format!("lock {} +{}", group.as_str(), until.since(START).as_secs())
                }
                Record::Token { .. } => "token".to_owned(),
                Record::Refresh { .. } => "refresh".to_owned(),
            });
        }
        words
    }
}

/// A gate of its own, for tests that need no account.
fn gate(
    per_minute: BTreeMap<Group, u32>,
    clock: Arc<dyn Clock>,
) -> (Arc<Gate>, mpsc::UnboundedReceiver<Record>) {
    let (recorder, records) = recorder();
    (Arc::new(Gate::new("cred", 1, per_minute, Vec::new(), recorder, clock)), records)
}

/// Whether a future is still waiting when it is looked at now.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
