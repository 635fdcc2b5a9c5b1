//! A run that reads while what follows from a webhook is being carried out, in every order of their
//! store transactions (I31).

use super::{ACTIVATED, Case, DEACTIVATED, NEWCOMER, News, play_all};

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
    assert!(in_every_order_of_its_effect(&NEWCOMER).await >= ORDERS_OF_EFFECT_MIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_run_that_reads_while_somebody_is_restricted_restricts_them_once() {
    assert!(in_every_order_of_its_effect(&DEACTIVATED).await >= ORDERS_OF_EFFECT_MIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i31_a_run_that_reads_while_somebody_is_restored_restores_them_once() {
    assert!(in_every_order_of_its_effect(&ACTIVATED).await >= ORDERS_OF_EFFECT_MIN);
}
