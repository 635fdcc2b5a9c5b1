//! A run that reads while what follows from a webhook is being carried out, in every order of their
//! store transactions (I31).

use super::{ACTIVE, ADDED, Before, Case, Change, INVITED, JOINED, News, PENDING, play_all};

/// The same of an effect, which has two transactions.
const ORDERS_OF_EFFECT_MIN: usize = 5;

/// Plays a case in which what follows from the webhook is carried out while a run reads.
#[expect(clippy::print_stdout, reason = "the number of orders is what the test is about")]
async fn in_every_order_of_its_effect(case: &'static Case) -> usize {
    let served = play_all(case, News::Served).await;
    println!("{:?}, then {:?}: {served} orders with its effect", case.before, case.change);
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_run_that_reads_while_a_newcomer_is_added_invites_them_once() {
    static CASE: Case = Case {
        before: Before::Nobody,
        change: Change::Added,
        ledger: INVITED,
        cliq: PENDING,
        effects: ADDED,
    };
    assert!(in_every_order_of_its_effect(&CASE).await >= ORDERS_OF_EFFECT_MIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_run_that_reads_while_somebody_is_restricted_restricts_them_once() {
    static CASE: Case = Case {
        before: Before::Joined,
        change: Change::Deactivated,
        ledger: &[r#""restricted" "p0@partner.example""#],
        cliq: r#""inactive""#,
        effects: &["restrict: done"],
    };
    assert!(in_every_order_of_its_effect(&CASE).await >= ORDERS_OF_EFFECT_MIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_run_that_reads_while_somebody_is_restored_restores_them_once() {
    static CASE: Case = Case {
        before: Before::Blocked,
        change: Change::Activated,
        ledger: JOINED,
        cliq: ACTIVE,
        effects: &["restore: done"],
    };
    assert!(in_every_order_of_its_effect(&CASE).await >= ORDERS_OF_EFFECT_MIN);
}
