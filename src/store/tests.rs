//! The store on real files: what a crash, a repeat and a second worker may find.

use std::time::Duration;

use tempfile::TempDir;

use super::hints::{self, Claim, Postponed};
use super::inbox::{self, NewDelivery, Stored};
use super::lock::StoreLock;
use super::outbox::{self, Cause, Desk, End, NewAction, Queued, Wish};
use super::{Store, StoreError, Tx, boots, channels, ledger, manners, orgs, plans, runs, told};
use crate::domain::budget::Group;
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::run::{RunState, Trigger};
use crate::domain::{
    BootId, CrmUserId, DeliveryStatus, Email, HintKind, Lane, Licence, MembershipId, Operation,
    OrgId, PortalVerb, Secret, Timestamp,
};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const ME: BootId = BootId(1);
const NEXT: BootId = BootId(2);

struct Rig {
    folder: TempDir,
    store: Store,
}

impl Rig {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("test.db")).unwrap();
        Self { folder, store }
    }

    async fn write<T, F>(&self, f: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&super::Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.store.write("test", f).await.unwrap()
    }
}

fn acme() -> OrgId {
    OrgId::from("acme")
}

fn delivery(key: u8) -> NewDelivery {
    NewDelivery {
        source: "crmplus".into(),
        key_id: "a".into(),
        dedupe: [key; 16],
        event_id: Some(format!("evt-{key}")),
        event_type: "user.added".into(),
        organization: Some(acme()),
        status: DeliveryStatus::Accepted,
        detail: None,
        body: b"{}".to_vec(),
    }
}

fn membership() -> Membership {
    Membership {
        id: MembershipId(0),
        organization: acme(),
        crm_user_id: CrmUserId::from("7"),
        zuid: None,
        cliq_id: None,
        email: Email::parse("bo@partner.example").unwrap(),
        invited_as: None,
        first_name: "B\u{f6} \u{1f389}".into(),
        last_name: "Nordin".into(),
        invited_by: String::new(),
        language: String::new(),
        time_zone: "Europe/Stockholm".into(),
        state: State::Wanted,
        origin: Origin::Expected,
        external: false,
        generation: 1,
        sends: 0,
        since: NOW,
        invited_at: None,
        join_url: None,
        suspected_at: None,
        absent_since: Some(NOW),
        seen: true,
        unseen_since: None,
        reminded: 1,
        overdue_told: true,
        licence: Some(Licence::Paid),
        licence_given: true,
        restricted_by_bridge: false,
        parked: None,
    }
}

fn portal<'a>(organization: &'a OrgId, row: &'a Membership, verb: PortalVerb) -> NewAction<'a> {
    NewAction {
        organization,
        membership: Some(row),
        operation: Operation::Portal(verb),
        reason: "because",
        cause: Cause::default(),
        wish: Wish::Planned,
        not_before: NOW,
    }
}

#[tokio::test]
async fn a_failed_closure_undoes_itself_and_nobody_else() {
    let rig = Rig::new();
    let good = rig.store.write("good", |tx| inbox::store(tx, &delivery(1), NOW));
    let bad = rig.store.write("bad", |tx| {
        inbox::store(tx, &delivery(2), NOW)?;
        Err::<(), _>(StoreError::Unreadable("test"))
    });
    let panics = rig.store.write("panics", |tx| {
        inbox::store(tx, &delivery(3), NOW)?;
        assert_eq!(inbox::tally(tx)?.accepted, -1, "on purpose");
        Ok(())
    });
    let (good, bad, panics) = tokio::join!(good, bad, panics);
    assert!(good.is_ok());
    assert!(matches!(bad, Err(StoreError::Unreadable(_))));
    assert!(matches!(panics, Err(StoreError::Gone)));
    let left = rig.store.read(|tx| inbox::list(tx, &inbox::Filter::default(), 10)).await.unwrap();
    assert_eq!(left.len(), 1);
    rig.store.ping().await.unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_reopen_and_a_repeat_is_known() {
    let Rig { folder, store } = Rig::new();
    let first = store.write("test", |tx| inbox::store(tx, &delivery(1), NOW)).await.unwrap();
    let Stored::New(id) = first else { panic!("{first:?}") };
    drop(store);
    let store = Store::open(&folder.path().join("test.db")).unwrap();
    let again = store.write("test", |tx| inbox::store(tx, &delivery(1), NOW)).await.unwrap();
    assert_eq!(again, Stored::Duplicate(id));
    let tally = store.read(inbox::tally).await.unwrap();
    assert_eq!((tally.accepted, tally.duplicate), (1, 1));
}

#[tokio::test]
async fn a_newer_store_and_a_store_in_use_are_refused() {
    let Rig { folder, store } = Rig::new();
    let path = folder.path().join("test.db");
    store.close().await;
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 99, .. })));
    let held = StoreLock::take(&path).unwrap();
    assert!(matches!(StoreLock::take(&path), Err(StoreError::InUse(_))));
    drop(held);
    assert!(StoreLock::take(&path).is_ok());
}

#[tokio::test]
async fn the_key_is_made_once() {
    let rig = Rig::new();
    let first = rig.write(|tx| boots::key(tx, &Secret::new("one"))).await;
    let second = rig.write(|tx| boots::key(tx, &Secret::new("two"))).await;
    assert_eq!(first.expose(), second.expose());
}

#[tokio::test]
async fn g14_a_webhook_that_comes_while_its_person_is_looked_at_is_looked_at_again() {
    let rig = Rig::new();
    let user = CrmUserId::from("7");
    let later = NOW + hints::BURST_QUIET;
    let taken = rig
        .write(move |tx| {
            hints::put(tx, &acme(), &user, HintKind::Present, None, NOW)?;
            assert!(
                matches!(hints::claim(tx, &acme(), ME, NOW)?, Claim::Idle(Some(at)) if at == later)
            );
            hints::claim(tx, &acme(), ME, later)
        })
        .await;
    let Claim::Taken(taken) = taken else { panic!("{taken:?}") };
    let hint = taken.first().cloned().unwrap();
    let again = rig
        .write(move |tx| {
            hints::put(tx, &acme(), &hint.crm_user_id, HintKind::Present, None, later)?;
            hints::settle(tx, &acme(), &hint, later)?;
            hints::claim(tx, &acme(), ME, later + hints::BURST_QUIET)
        })
        .await;
    let Claim::Taken(again) = again else { panic!("{again:?}") };
    assert_eq!(again.len(), 1);
    let hint = again.first().cloned().unwrap();
    let rest = rig
        .write(move |tx| {
            hints::settle(tx, &acme(), &hint, later)?;
            hints::open(tx)
        })
        .await;
    assert_eq!(rest, (0, 0));
}

#[tokio::test]
async fn hints_left_by_a_crash_are_due_at_once_and_a_failing_one_keeps_its_time() {
    let rig = Rig::new();
    let later = NOW + Duration::from_secs(5);
    let user = CrmUserId::from("7");
    rig.write(move |tx| {
        hints::put(tx, &acme(), &user, HintKind::Present, None, NOW)?;
        assert!(matches!(hints::claim(tx, &acme(), ME, later)?, Claim::Taken(_)));
        let Claim::Taken(taken) = hints::claim(tx, &acme(), NEXT, later)? else { panic!("idle") };
        let hint = taken.first().cloned().unwrap();
        let at = later + Duration::from_secs(10);
        hints::postpone(tx, &acme(), &hint, at, Postponed::Failed("503"))?;
        hints::put(tx, &acme(), &user, HintKind::Present, None, later)?;
        let claim = hints::claim(tx, &acme(), NEXT, later + hints::BURST_MAX)?;
        assert!(matches!(claim, Claim::Idle(Some(due)) if due == at), "{claim:?}");
        let Claim::Taken(taken) = hints::claim(tx, &acme(), NEXT, at)? else { panic!("idle") };
        assert_eq!(taken.first().map(|hint| hint.failures), Some(1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_lane_keeps_the_same_operation_and_supersedes_what_was_never_claimed() {
    let rig = Rig::new();
    rig.write(|tx| {
        let org = acme();
        let mut row = membership();
        row.id = ledger::put(tx, &row)?;
        let add = portal(&org, &row, PortalVerb::AddExternal);
        let Queued::New(first) = outbox::put(tx, &add, NOW)? else { panic!("not new") };
        assert_eq!(outbox::put(tx, &add, NOW)?, Queued::AlreadyWaiting(first));
        let restrict = portal(&org, &row, PortalVerb::Restrict);
        let Queued::New(second) = outbox::put(tx, &restrict, NOW)? else { panic!("not new") };
        let desk = Desk::Access(org.clone());
        let claimed = outbox::claim(tx, &desk, ME, NOW)?.unwrap();
        assert_eq!(claimed.id, second, "the add was superseded");
        // Claimed once: the next operation waits behind it instead of replacing it.
        let Queued::New(third) = outbox::put(tx, &add, NOW)? else { panic!("not new") };
        assert_eq!(outbox::claim(tx, &desk, ME, NOW)?, None);
        assert!(outbox::settle(tx, second, ME, End::Done(""), NOW)?);
        let next = outbox::claim(tx, &desk, ME, NOW)?.unwrap();
        assert_eq!(next.id, third);
        assert_ne!(next.idempotency_key, claimed.idempotency_key);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_row_claimed_by_a_dead_boot_is_taken_again_with_its_key_and_only_the_claimer_settles() {
    let rig = Rig::new();
    rig.write(|tx| {
        let org = acme();
        let mut row = membership();
        row.id = ledger::put(tx, &row)?;
        outbox::put(tx, &portal(&org, &row, PortalVerb::AddExternal), NOW)?;
        let desk = Desk::Access(org);
        let mine = outbox::claim(tx, &desk, ME, NOW)?.unwrap();
        assert_eq!(outbox::claim(tx, &desk, ME, NOW)?, None, "one worker at a time");
        let theirs = outbox::claim(tx, &desk, NEXT, NOW)?.unwrap();
        assert_eq!((theirs.id, &theirs.idempotency_key), (mine.id, &mine.idempotency_key));
        assert!(!outbox::settle(tx, mine.id, ME, End::Done(""), NOW)?);
        outbox::postpone(tx, &theirs, NEXT, NOW + Duration::from_secs(5), true, "503")?;
        outbox::put(tx, &portal(&acme(), &row, PortalVerb::Restrict), NOW)?;
        assert_eq!(outbox::tally(tx)?.waiting, 2, "it was tried once, so it is not superseded");
        let due = outbox::next_due(tx, &desk, NEXT, NOW)?;
        assert_eq!(due, Some(NOW + Duration::from_secs(5)));
        assert_eq!(outbox::withdraw(tx, row.id, Lane::Access, NEXT, "left", NOW)?, 2);
        assert_eq!(outbox::next_due(tx, &desk, NEXT, NOW)?, None);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_ledger_reads_back_what_was_put_and_finds_the_person_by_any_name() {
    let rig = Rig::new();
    rig.write(|tx| {
        let mut row = membership();
        row.id = ledger::put(tx, &row)?;
        assert_eq!(ledger::get(tx, row.id)?.as_ref(), Some(&row));
        row.state = State::Invited;
        row.parked = Some("no_licence".into());
        assert_eq!(ledger::put(tx, &row)?, row.id);
        for name in ["7", "BO@partner.example"] {
            assert_eq!(ledger::find(tx, Some(&acme()), name)?, [row.clone()]);
        }
        assert_eq!(ledger::find(tx, Some(&OrgId::from("birch")), "7")?, []);
        let filter = ledger::Filter { q: Some("NORD".into()), ..ledger::Filter::default() };
        assert_eq!(ledger::list(tx, &filter, 10)?.len(), 1);
        let filter = ledger::Filter { q: Some("%".into()), ..ledger::Filter::default() };
        assert_eq!(ledger::list(tx, &filter, 10)?.len(), 0, "a wildcard is only a character");
        Ok(())
    })
    .await;
}

fn noted(state: RunState) -> runs::Note {
    let (counts, held) = ("{}".to_owned(), "[]".to_owned());
    runs::Note { state, counts, held, error: None, plan: None }
}

#[tokio::test]
async fn a_rehearsal_sees_what_it_writes_and_leaves_nothing() {
    let rig = Rig::new();
    let org = acme();
    let note = move |tx: &Tx<'_>, channel: &str| channels::note(tx, &acme(), channel, None, NOW);
    rig.write(move |tx| note(tx, "before")).await;
    let seen = rig.store.rehearse(&["channels", "internals"], move |tx| {
        note(tx, "during")?;
        note(tx, "before")?;
        channels::forgive(tx, &acme())?;
        Ok(channels::all(tx, &acme())?.len())
    });
    assert_eq!(seen.await.unwrap(), 2);
    let after = rig.store.read(move |tx| Ok(channels::all(tx, &org)?.len())).await.unwrap();
    assert_eq!(after, 1);
}

#[tokio::test]
async fn a_run_ends_when_its_portal_calls_were_tried_and_begins_again_after_a_crash() {
    let rig = Rig::new();
    rig.write(|tx| {
        let org = acme();
        let (id, _) = runs::open(tx, &org, None, Trigger::Manual, NOW)?;
        let again = runs::open(tx, &org, None, Trigger::Manual, NOW)?;
        assert_eq!(again, (id, false), "joined");
        assert_eq!(runs::claim(tx, &org, ME, NOW)?.map(|run| run.id), Some(id));
        assert_eq!(runs::claim(tx, &org, NEXT, NOW)?.map(|run| run.id), Some(id));
        let mut row = membership();
        row.id = ledger::put(tx, &row)?;
        let mut add = portal(&org, &row, PortalVerb::AddExternal);
        add.cause.run = Some(id);
        outbox::put(tx, &add, NOW)?;
        runs::note(tx, id, &noted(RunState::Applying), NOW)?;
        assert_eq!(runs::finish_applied(tx, NOW)?, 0);
        let claimed = outbox::claim(tx, &Desk::Access(org), NEXT, NOW)?.unwrap();
        outbox::settle(tx, claimed.id, NEXT, End::Parked("no_licence", ""), NOW)?;
        assert_eq!(runs::finish_applied(tx, NOW)?, 1);
        assert_eq!(runs::get(tx, id)?.map(|run| run.state), Some(RunState::Degraded));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn calls_locks_and_the_token_survive() {
    let rig = Rig::new();
    rig.write(|tx| {
        for _ in 0..24 {
            manners::call(tx, "c", Group::UsersList, NOW)?;
        }
        manners::lock(tx, "c", Group::Messages, NOW + Duration::from_mins(10))?;
        manners::put_token(tx, "c", &Secret::new("t"), NOW)?;
        let mut budgets = manners::budgets(tx, "c")?;
        for (group, budget) in &mut budgets {
            assert!(budget.take(&group.limit(), NOW).is_err(), "{group:?}");
        }
        assert_eq!(budgets.len(), 2);
        let token = manners::token(tx, "c")?.map(|(token, _)| token.expose().to_vec());
        assert_eq!(token.as_deref(), Some(b"t".as_slice()));
        // A minute later the old calls are forgotten with the next one.
        manners::call(tx, "c", Group::UsersList, NOW + Duration::from_mins(3))?;
        let list = manners::budgets(tx, "c")?;
        let calls = list.into_iter().find(|(group, _)| *group == Group::UsersList);
        let mut budget = calls.map(|(_, budget)| budget).unwrap();
        let now = NOW + Duration::from_mins(3);
        let left = (0..30).filter(|_| budget.take(&Group::UsersList.limit(), now).is_ok()).count();
        assert_eq!(left, 23);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_change_of_plan_takes_an_approval_and_reads_that_said_otherwise_with_it() {
    use crate::domain::Subscription::{Active, Downgraded};
    let rig = Rig::new();
    let read = |says| plans::Reading { paid_type: Some("x"), licences: None, says, first: None };
    rig.write(move |tx| {
        let set = |state, at: u64| {
            plans::set_subscription(tx, &acme(), state, NOW + Duration::from_secs(at))
        };
        assert_eq!(plans::note_reading(tx, &acme(), &read(Active), NOW)?, 1);
        assert_eq!(plans::note_reading(tx, &acme(), &read(Active), NOW)?, 2);
        set(Downgraded, 10)?;
        assert!(plans::approve_downgrade(tx, &acme())?);
        assert_eq!(plans::of(tx, &acme())?.reads, 0, "what contradicts has to be read anew");
        assert_eq!(plans::note_reading(tx, &acme(), &read(Downgraded), NOW)?, 1);
        assert_eq!(set(Active, 5)?, None, "older than what is known");
        assert_eq!(set(Downgraded, 20)?, Some(Downgraded));
        let plans = plans::of(tx, &acme())?;
        assert_eq!((plans.reads, plans.approved), (1, true), "the same again changes nothing");
        assert_eq!(plans.since, Some(NOW + Duration::from_secs(10)));
        assert_eq!(set(Active, 15)?, None, "older than the newest evidence");
        set(Active, 30)?;
        let plans = plans::of(tx, &acme())?;
        assert_eq!((plans.subscription, plans.reads, plans.approved), (Active, 0, false));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn administrators_are_told_of_a_lasting_state_once() {
    let rig = Rig::new();
    rig.write(|tx| {
        assert!(told::note(tx, &acme(), "seats", "2")?);
        assert!(!told::note(tx, &acme(), "seats", "2")?);
        assert!(told::note(tx, &acme(), "seats", "3")?);
        assert_eq!(told::last(tx, &acme(), "seats")?.as_deref(), Some("3"));
        assert_eq!(told::last(tx, &acme(), "other")?, None);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn g12_only_a_run_after_the_quarantine_lets_the_invitation_clock_go_on() {
    let rig = Rig::new();
    rig.write(|tx| {
        let (org, of_a_listing) = (acme(), ("an empty listing", true));
        let (run, _) = runs::open(tx, &org, None, Trigger::Schedule, NOW)?;
        orgs::quarantine(tx, &org, of_a_listing, NOW, NOW)?;
        orgs::note_good_run(tx, run, NOW)?;
        assert!(orgs::clock_waits(tx, &org)?, "the run had read before");
        assert!(!orgs::good_read(tx, &org, false, NOW)?, "one person's row ends nothing");
        assert!(orgs::good_read(tx, &org, true, NOW)?);
        assert!(orgs::clock_waits(tx, &org)?, "who has joined is not noted yet");
        orgs::note_good_run(tx, run, NOW)?;
        assert!(!orgs::clock_waits(tx, &org)?);
        Ok(())
    })
    .await;
}
