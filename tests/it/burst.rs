//! Many at once cost one listing; few cost single reads.

use std::time::Duration;

use super::support::Setup;

#[tokio::test]
async fn thirty_people_within_a_second_cost_one_crm_page_and_three_cliq_passes() {
    let bridge = Setup::demo().start().await;
    let mut people = Vec::new();
    for number in 0..30 {
        people.push(bridge.add("birch", &format!("p{number}@partner.example")).await);
    }
    for id in &people {
        bridge.announce("birch", id).await;
        // The desk is awake between them and holds itself back.
        bridge.work().await;
        bridge.clock.advance(Duration::from_millis(30));
    }
    bridge.settle().await;

    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.users.list"), 1);
    assert_eq!(journal.calls("birch", "cliq.users.list"), 3);
    assert_eq!(journal.calls("birch", "crm.users.get"), 0);
    assert_eq!(journal.calls("birch", "cliq.users.get"), 0);
    assert_eq!(journal.of("write", "portal").len(), 30);
    assert_eq!(journal.of("mail", "smtp").len(), 30);
    bridge.finish().await;
}

#[tokio::test]
async fn two_hints_are_read_singly() {
    let bridge = Setup::demo().start().await;
    for email in ["bo@partner.example", "ada@acme.example"] {
        bridge.added("birch", email).await;
    }
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.users.get"), 2);
    assert_eq!(journal.calls("birch", "crm.users.list"), 0);
    // Bo has no account: searched by address, then among the pending. Ada has: asked by her id.
    assert_eq!(journal.calls("birch", "cliq.users.list"), 2);
    assert_eq!(journal.calls("birch", "cliq.users.get"), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn a_stream_that_never_pauses_is_served_after_two_seconds() {
    let bridge = Setup::demo().start().await;
    let began = bridge.now();
    for number in 0..20 {
        bridge.added("birch", &format!("p{number}@partner.example")).await;
        bridge.work().await;
        bridge.clock.advance(Duration::from_millis(200));
    }
    let first = bridge.journal().await.times("birch", "crm.users.list");
    assert!(first[0].since(began) <= Duration::from_millis(2200), "{first:?}");
    bridge.settle().await;
    assert_eq!(bridge.journal().await.of("write", "portal").len(), 20);
    bridge.finish().await;
}
