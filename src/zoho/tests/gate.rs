//! Permits: counted before they are given, waited for through locks, webhook reads first.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::super::{CallError, Gate, Priority, Record, RecordError, Recorder, Wait};
use super::{START, gate, is_pending, recorder};
use crate::clock::{Clock, ManualClock};
use crate::domain::budget::{Budget, Group};

fn manual() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START))
}

#[tokio::test]
async fn the_limit_holds_and_a_waiter_goes_on_when_the_window_has_passed() {
    let clock = manual();
    let (gate, mut records) = gate(BTreeMap::new(), clock.clone());
    for _ in 0..8 {
        drop(gate.take(Group::MembersWrite, Priority::Webhook).await.unwrap());
        assert!(
            matches!(records.try_recv(), Ok(Record::Call { .. })),
            "recorded before it is sent"
        );
    }
    let mut ninth = pin!(gate.take(Group::MembersWrite, Priority::Webhook));
    assert!(is_pending(ninth.as_mut()).await);
    let Err(Wait { until }) = gate.try_take(Group::MembersWrite).await else { panic!() };
    assert_eq!(until.since(START).as_secs(), 60);
    clock.advance_to(START + Duration::from_mins(1));
    assert!(is_pending(ninth.as_mut()).await, "a call one whole window old still counts");
    clock.advance(Duration::from_millis(1));
    assert!(ninth.await.is_ok());
}

#[tokio::test]
async fn a_lock_is_waited_out_in_memory_and_shown() {
    let clock = manual();
    let (gate, mut records) = gate(BTreeMap::new(), clock.clone());
    let until = clock.now() + Duration::from_mins(10);
    gate.lock(Group::UsersGet, until).await;
    assert!(matches!(records.try_recv(), Ok(Record::Lock { group: Group::UsersGet, .. })));
    assert_eq!(gate.locks(), [(Group::UsersGet, until)]);
    let mut read = pin!(gate.take(Group::UsersGet, Priority::Run));
    assert!(is_pending(read.as_mut()).await);
    assert!(gate.try_take(Group::UsersList).await.is_ok(), "other groups go on");
    clock.advance_to(until);
    assert!(read.await.is_ok());
    assert_eq!(gate.locks(), []);
}

#[tokio::test]
async fn run_pages_yield_to_waiting_webhook_reads() {
    let clock = manual();
    let (gate, _records) = gate(BTreeMap::from([(Group::UsersList, 1)]), clock.clone());
    drop(gate.take(Group::UsersList, Priority::Run).await.unwrap());
    let mut run = pin!(gate.take(Group::UsersList, Priority::Run));
    assert!(is_pending(run.as_mut()).await);
    let mut webhook = Box::pin(gate.take(Group::UsersList, Priority::Webhook));
    assert!(is_pending(webhook.as_mut()).await);
    clock.advance(Duration::from_secs(61));
    assert!(is_pending(run.as_mut()).await, "the run came first, and still waits");
    assert!(webhook.as_mut().await.is_ok());
    assert!(is_pending(run.as_mut()).await);
    clock.advance(Duration::from_secs(61));
    assert!(run.await.is_ok());
}

#[tokio::test]
async fn a_webhook_read_that_is_given_up_holds_nobody_back() {
    let clock = manual();
    let (gate, _records) = gate(BTreeMap::from([(Group::UsersList, 1)]), clock.clone());
    drop(gate.take(Group::UsersList, Priority::Run).await.unwrap());
    let mut webhook = Box::pin(gate.take(Group::UsersList, Priority::Webhook));
    assert!(is_pending(webhook.as_mut()).await);
    let mut run = pin!(gate.take(Group::UsersList, Priority::Run));
    assert!(is_pending(run.as_mut()).await);
    drop(webhook);
    clock.advance(Duration::from_secs(61));
    assert!(run.await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let refuse: Recorder =
        Arc::new(|_| Box::pin(std::future::ready(Err(RecordError("disk full".into())))));
    let gate = Gate::new("cred", 1, BTreeMap::new(), Vec::new(), refuse, manual());
    let taken = gate.take(Group::Messages, Priority::Webhook).await;
    assert!(matches!(taken, Err(CallError::Unrecorded(_))));
    assert!(gate.try_take(Group::Messages).await.is_err());
}

#[tokio::test]
async fn scale_multiplies_but_not_refreshes_and_overrides_are_taken_as_written() {
    let (recorder, _records) = recorder();
    let per_minute = BTreeMap::from([(Group::Portal, 7)]);
    let gate = Gate::new("cred", 100, per_minute, Vec::new(), recorder, manual());
    assert_eq!(gate.limit(Group::UsersList).calls, Some(2_400));
    assert_eq!(gate.limit(Group::Token).calls, Some(8));
    assert_eq!(gate.limit(Group::Portal).calls, Some(7));
    assert_eq!(gate.limit(Group::Crm).calls, None);
}

#[tokio::test]
async fn remembered_calls_and_locks_count() {
    let until = START + Duration::from_secs(90);
    let remembered = vec![
        (Group::MembersWrite, Budget::restored(vec![START; 8], None)),
        (Group::Messages, Budget::restored(Vec::new(), Some(until))),
    ];
    let (recorder, _records) = recorder();
    let gate = Gate::new("cred", 1, BTreeMap::new(), remembered, recorder, manual());
    assert!(gate.try_take(Group::MembersWrite).await.is_err());
    assert_eq!(gate.try_take(Group::Messages).await.err(), Some(Wait { until }));
}
