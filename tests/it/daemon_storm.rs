//! Thirty webhooks, six senders that never give up, and a daemon that is killed and started again
//! at moments drawn from a seed, requests in flight included.
//!
//! `CLIQBRIDGE_STORM_SEED=<number>` repeats the draws of a run that failed; how the system
//! schedules the processes cannot be repeated.

#![expect(clippy::print_stdout, reason = "the draws of a run that failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cliqbridge::app::client::client;
use cliqbridge::clock::{Clock as _, SystemClock};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::watch;

use crate::daemon::child::Program;
use crate::daemon::post::{Webhook, added};
use crate::daemon::zoho::Zoho;
use crate::daemon::{ACME, BIRCH, Home, PATIENCE, lane, until};

const PEOPLE: usize = 30;
const SENDERS: usize = 6;
/// How often each webhook is posted; all but the first are duplicates.
const POSTS: usize = 4;
/// Kills while webhooks come in, and while the work is done.
const KILLS: (usize, usize) = (5, 4);

/// About how long a start takes on an idle machine, milliseconds.
const STARTUP_MS: u64 = 60;

/// `SplitMix64`, enough to draw moments.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % end
    }
}

fn seed() -> u64 {
    let told = std::env::var_os("CLIQBRIDGE_STORM_SEED").and_then(|text| text.into_string().ok());
    let told = told.map(|text| text.parse().unwrap());
    told.unwrap_or_else(|| SystemClock.now().millis().unsigned_abs())
}

fn person(number: usize) -> String {
    format!("person{number}@partner.example")
}

/// What the senders share: the next webhook, how many answers came, what was acknowledged.
struct Senders {
    home: Home,
    webhooks: Vec<Webhook>,
    next: AtomicUsize,
    answers: watch::Sender<u64>,
}

impl Senders {
    /// Takes webhooks and posts each until it is acknowledged, then again as careless senders do.
    async fn send(&self) -> Vec<String> {
        let http = client().unwrap();
        let mut acknowledged = Vec::new();
        while let Some(webhook) = self.webhooks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            for _ in 0..POSTS {
                until("a webhook is acknowledged", async || {
                    let (status, answer) = webhook.try_post(&http, &self.home).await.ok()?;
                    assert!(status == 200 || status == 503, "{status} {answer}");
                    self.answers.send_modify(|answers| *answers += 1);
                    (status == 200).then_some(())
                })
                .await;
            }
            acknowledged.push(webhook.event_id.clone());
        }
        acknowledged
    }
}

/// Ends the daemon: mostly at once, now and then in order.
async fn end(daemon: Program, draw: &mut Draw) {
    if draw.below(4) > 0 {
        return daemon.kill();
    }
    daemon.signal("TERM");
    let ended = daemon.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

/// Starts the daemon again; half of the time a first start is killed before it is through.
async fn again(home: &Home, draw: &mut Draw) -> Program {
    if draw.below(2) == 0 {
        let stillborn = home.start(&[], &[]);
        let moment = Duration::from_millis(draw.below(STARTUP_MS));
        let ready = tokio::time::timeout(moment, stillborn.says("listening")).await.is_ok();
        println!("killed {moment:?} after its start; ready: {ready}");
        stillborn.kill();
    }
    home.serve().await
}

/// Kills and restarts while webhooks come in; answers the daemon that is left.
async fn fire(senders: &Senders, mut daemon: Program, draw: &mut Draw) -> Program {
    for kill in 0..KILLS.0 {
        let mut answers = senders.answers.subscribe();
        let goal = (*answers.borrow() + draw.below(PEOPLE as u64)).min((POSTS * PEOPLE) as u64);
        let goal = tokio::time::timeout(PATIENCE, answers.wait_for(|answers| *answers >= goal));
        let answers = *goal.await.unwrap().unwrap();
        println!("kill {kill} after {answers} answers");
        end(daemon, draw).await;
        daemon = again(&senders.home, draw).await;
    }
    daemon
}

/// Sends all webhooks under fire; answers what was acknowledged.
async fn storm(senders: &Senders, zoho: &Zoho, draw: &mut Draw) -> (BTreeSet<String>, Program) {
    let daemon = senders.home.serve().await;
    until("both organizations have a token", async || {
        (zoho.entries("oauth.token").await.len() >= 2).then_some(())
    })
    .await;
    let sending = join_all((0..SENDERS).map(|_| senders.send()));
    let (acknowledged, mut daemon) = tokio::join!(sending, fire(senders, daemon, draw));
    for kill in 0..KILLS.1 {
        let goal = zoho.entries("portal").await.len() as u64 + draw.below(8);
        let calls = until("the portal is called", async || {
            let calls = zoho.entries("portal").await.len() as u64;
            let done = zoho.externals("birch").await.len() + zoho.externals("acme").await.len();
            (calls >= goal || done >= PEOPLE).then_some(calls)
        })
        .await;
        println!("kill {kill} after {calls} portal calls");
        end(daemon, draw).await;
        daemon = again(&senders.home, draw).await;
    }
    senders.home.settle().await;
    (acknowledged.into_iter().flatten().collect(), daemon)
}

/// Every portal operation used one key, and had one effect.
fn one_key_each(calls: &[Value]) {
    let mut by_person: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
    for call in calls.iter().filter(|call| call["kind"] == "write" || call["kind"] == "read") {
        let (keys, effects) = by_person.entry(call["subject"].as_str().unwrap()).or_default();
        keys.insert(call["idempotency_key"].as_str().unwrap());
        *effects += usize::from(call["kind"] == "write");
    }
    assert_eq!(by_person.len(), PEOPLE);
    for (person, (keys, effects)) in by_person {
        assert_eq!((keys.len(), effects), (1, 1), "{person}: {keys:?}");
    }
}

#[tokio::test]
async fn thirty_webhooks_and_a_daemon_that_is_killed_again_and_again() {
    let _lane = lane().await;
    let seed = seed();
    println!("CLIQBRIDGE_STORM_SEED={seed}");
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let mut webhooks = Vec::new();
    for number in 0..PEOPLE {
        let (organization, crm_org) = [("acme", ACME), ("birch", BIRCH)][number % 2];
        let source = ["crmplus", "deluge"][number % 3 % 2];
        let id = zoho.add(organization, &person(number)).await;
        webhooks.push(added(source, &format!("evt-{number}"), crm_org, &id));
    }
    let (next, answers) = (AtomicUsize::new(0), watch::Sender::new(0));
    let senders = Senders { home, webhooks, next, answers };
    let (acknowledged, _daemon) = storm(&senders, &zoho, &mut Draw(seed)).await;
    assert_eq!(acknowledged.len(), PEOPLE);

    let listed = senders.home.admin("/deliveries?limit=200").await;
    let mut stored: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["event_id"].as_str().unwrap())
        .collect();
    stored.sort_unstable();
    assert_eq!(stored, acknowledged.iter().map(String::as_str).collect::<Vec<_>>());

    let mut shown = zoho.externals("acme").await;
    shown.extend(zoho.externals("birch").await);
    shown.sort();
    let mut wanted: Vec<_> =
        (0..PEOPLE).map(|number| (person(number), "pending".to_owned())).collect();
    wanted.sort();
    assert_eq!(shown, wanted, "each person is one pending external row");
    one_key_each(&zoho.entries("portal").await);
    for number in 0..PEOPLE {
        let letters = zoho.letters(&person(number)).await;
        let ids: BTreeSet<_> = letters.iter().map(|mail| mail["message_id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "{}: {ids:?}", person(number));
    }
    assert_eq!(zoho.violations().await, 0);
}
