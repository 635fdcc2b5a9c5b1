//! How long planning takes and how much memory it needs: 100,000 and 1,000,000 users in CRM and in
//! Cliq, of whom one in a hundred is new, one in a hundred gone, and two in a hundred are blocked.
//!
//! `cargo bench` times it, and prints the peak of allocated memory and how both grow. Timed is what
//! the core does: both sides from rows as a listing hands them over to what is looked up in them, and
//! everybody's decision. As in a run, both sides are in memory and the ledger's rows come a few at a
//! time; making those is not timed. Deliberately absent: JSON, the store, the network, and any
//! threshold, which would depend on the machine.

#![expect(clippy::print_stdout, reason = "a benchmark's way to report")]
#![expect(clippy::unwrap_used, reason = "a benchmark's way to fail")]

use std::alloc::System;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cap::Cap;
use cliqbridge::domain::membership::{Membership, Origin, State};
use cliqbridge::domain::policy::{ExternalWhen, Matcher, Policy};
use cliqbridge::domain::shared::Pool;
use cliqbridge::domain::{
    Access, CliqId, CliqPlan, CliqUser, CrmUser, CrmUserId, Directory, Email, Home, MembershipId,
    OrgId, Presence, Roster, Standing, Timestamp, Zuid,
};
use cliqbridge::logic::plan::{Facts, Matched, doubles, is_claimed, matching, of_ledger, plan_one};
use criterion::{Criterion, Throughput};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const MIB: f64 = 1024.0 * 1024.0;

const SIZES: [u32; 2] = [100_000, 1_000_000];

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);

/// Rows that are at hand at once, as a page of CRM is.
const PAGE: u32 = 200;

/// Each of these happens to one in a hundred.
const NEW: u32 = 7;
const GONE: u32 = 11;
const BLOCKED: [u32; 2] = [3, 53];

fn policy() -> Policy {
    Policy {
        organization: OrgId::from("acme"),
        cliq_org: "631836344".into(),
        zoid: Some("54107592".into()),
        external_when: BTreeSet::from([ExternalWhen::OrganizationId, ExternalWhen::Zoid]),
        external_user_types: BTreeSet::new(),
        internal_domains: BTreeSet::from(["acme.example".to_owned()]),
        include: None,
        exclude: Matcher::default(),
        mirror_unconfirmed: false,
        portal_adds: true,
        cliq_plan: CliqPlan::Paid,
        restrict_on_free_downgrade: false,
        grace: DAY,
        remove_after: DAY * 7,
        expire_after: DAY * 7,
        readd_cooldown: DAY,
    }
}

/// An address that is not in the order of the numbers.
fn address(number: u32) -> Email {
    let mixed = number.wrapping_mul(2_654_435_761);
    Email::parse(&format!("{mixed:08x}.user{number}@partner.example")).unwrap()
}

fn crm_id(number: u32) -> CrmUserId {
    CrmUserId::new(format!("5540230{number:08}"))
}

fn zuid(number: u32) -> String {
    format!("90{number:08}")
}

fn crm_user(number: u32, pool: &mut Pool) -> CrmUser {
    let mut shared = |text: &str| Some(pool.share(text));
    let blocked = BLOCKED.contains(&(number % 100));
    CrmUser {
        id: crm_id(number),
        zuid: Some(Zuid::new(zuid(number))),
        email: Some(address(number)),
        first_name: "Person".into(),
        last_name: format!("Number {number}"),
        standing: if blocked { Standing::NotActive("disabled".into()) } else { Standing::Active },
        confirmed: Some(true),
        category: shared("regular_user"),
        profile: shared("Partner"),
        role: shared("Member"),
        created_by: shared("Cy Acme"),
        time_zone: shared("Europe/Berlin"),
        language: shared("en_US"),
        modified_at: Some(NOW),
    }
}

fn cliq_user(number: u32, pool: &mut Pool) -> CliqUser {
    let mut shared = |text: &str| Some(pool.share(text));
    CliqUser {
        id: CliqId::new(zuid(number)),
        zuid: Some(Zuid::new(zuid(number))),
        email: Some(address(number)),
        zoid: shared("90000001"),
        organization_id: shared("90000002"),
        user_type: shared("1"),
        presence: Presence::Active,
    }
}

/// The ledger's row as the last run left it.
fn ledger_row(number: u32) -> Option<Membership> {
    (number % 100 != NEW).then(|| Membership {
        id: MembershipId(i64::from(number)),
        organization: OrgId::from("acme"),
        crm_user_id: crm_id(number),
        zuid: Some(Zuid::new(zuid(number))),
        cliq_id: Some(CliqId::new(zuid(number))),
        email: address(number),
        invited_as: None,
        first_name: "Person".into(),
        last_name: format!("Number {number}"),
        invited_by: "Cy Acme".into(),
        language: "en_US".into(),
        time_zone: "Europe/Berlin".into(),
        state: State::Joined,
        origin: Origin::Made,
        external: true,
        generation: 1,
        sends: 1,
        since: NOW - DAY,
        invited_at: None,
        join_url: None,
        suspected_at: None,
        absent_since: None,
        seen: true,
        unseen_since: None,
        reminded: 0,
        overdue_told: false,
        licence: None,
        licence_given: false,
        restricted_by_bridge: false,
        parked: None,
    })
}

/// Rows of both sides as a listing hands them over.
struct Read {
    crm: Vec<CrmUser>,
    cliq: Vec<CliqUser>,
}

impl Read {
    fn of(users: u32) -> Self {
        let (mut pool, mut read) = (Pool::default(), Self { crm: Vec::new(), cliq: Vec::new() });
        for number in 0..users {
            if number % PAGE == 0 {
                pool = Pool::default();
            }
            if number % 100 != GONE {
                read.crm.push(crm_user(number, &mut pool));
            }
            if number % 100 != NEW {
                read.cliq.push(cliq_user(number, &mut pool));
            }
        }
        read
    }
}

/// What a plan comes to: people by verdict.
type Plan = BTreeMap<&'static str, u32>;

/// The fold of one person's plan over everybody whom CRM or the ledger knows, and how long it took.
fn plan(policy: &Policy, users: u32, read: Read) -> (Plan, Duration) {
    let began = Instant::now();
    let roster = Roster::complete(read.crm, 1).unwrap();
    let directory = Directory::complete(read.cliq, 1);
    let rivals = doubles(&roster);
    let mut took = began.elapsed();
    let mut plan = Plan::new();
    for first in (0..users).step_by(PAGE as usize) {
        let numbers = first..users.min(first + PAGE);
        let known: Vec<_> = numbers.map(|number| (crm_id(number), ledger_row(number))).collect();
        let began = Instant::now();
        for (id, known) in &known {
            let user = roster.get(id);
            let cliq = match (user, known) {
                (Some(user), known) => matching(user, known.as_ref(), &directory),
                (None, Some(known)) => of_ledger(known, &directory),
                (None, None) => Matched::Nobody,
            };
            let active = user.is_some_and(|user| user.standing == Standing::Active);
            let facts = Facts {
                crm: user,
                cliq,
                membership: known.as_ref(),
                rival: rivals.contains(id),
                claimed: matches!(cliq, Matched::One(row) if !active && is_claimed(&roster, row)),
                was_there_before: false,
                complete: true,
                home: &Home::Elsewhere,
                access: Access::Normal,
            };
            let decision = plan_one(policy, &facts, NOW);
            *plan.entry(decision.verdict.word()).or_default() += 1;
        }
        took += began.elapsed();
    }
    (plan, took)
}

/// One plan of this size: its time, and the most memory that was allocated at once since the start, so
/// that a larger one has to come after a smaller one.
fn measured(policy: &Policy, users: u32) -> (Duration, f64) {
    let before = MEMORY.allocated();
    let read = Read::of(users);
    let rows = mib(MEMORY.allocated() - before);
    let (plan, time) = plan(policy, users, read);
    let peak = mib(MEMORY.max_allocated() - before);
    println!(
        "{users} users: {:.0} ms, {peak:.0} MiB at most (rows as read {rows:.0} MiB), {plan:?}",
        time.as_secs_f64() * 1e3
    );
    (time, peak)
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / MIB
}

fn growth(policy: &Policy) {
    let [small, large] = SIZES.map(|users| measured(policy, users));
    println!(
        "ten times as many users: {:.1} times the time, {:.1} times the memory",
        large.0.as_secs_f64() / small.0.as_secs_f64(),
        large.1 / small.1
    );
}

fn main() {
    let policy = policy();
    growth(&policy);
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("plan");
    for users in SIZES {
        group.throughput(Throughput::Elements(u64::from(users)));
        group.bench_function(users.to_string(), |bencher| {
            bencher.iter_custom(|times| {
                (0..times).map(|_| plan(&policy, users, Read::of(users)).1).sum()
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
