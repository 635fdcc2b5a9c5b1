//! Licences: recorded and not fought, given by the policy list alone, within the seats there are.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::people::{address, crowd};
use super::support::traces::ADMIN as IT;
use super::support::{Bridge, Setup};

const LIST: &str = "assign_licence = { profile = [\"Partner\"] }";

/// Runs with a day and a bit between them.
async fn runs(bridge: &Bridge, organization: &str, count: usize) {
    for _ in 0..count {
        bridge.clock.advance(Duration::from_hours(25));
        bridge.run_over(organization).await;
    }
}

/// External users of Acme with a paid licence, by the sandbox's word.
async fn paid(bridge: &Bridge) -> Vec<String> {
    let rows = bridge.cliq_rows("acme").await;
    let holds = |row: &&Value| row["class"] == "external" && row["licence"] == "paid";
    let mut emails: Vec<_> =
        rows.iter().filter(holds).map(|row| row["email"].as_str().unwrap().to_owned()).collect();
    emails.sort();
    emails
}

async fn downgraded(bridge: &Bridge) {
    bridge.paid_type("acme", "free").await;
    bridge.plan_event("acme", "plan.downgraded").await;
}

#[tokio::test]
async fn r16_r17_two_hundred_flips_are_recorded_and_not_fought() {
    let setup = Setup::demo().people(crowd("acme", 200, "paid"));
    let bridge = setup.start().await;
    bridge.adopted("acme").await;
    bridge.poll("acme").await;
    let before = bridge.journal().await.effects().len();
    downgraded(&bridge).await;
    assert!(paid(&bridge).await.is_empty(), "Zoho's own doing");
    runs(&bridge, "acme", 3).await;
    assert_eq!(bridge.journal().await.effects().len(), before);
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("one notice, not 200: {told:?}") };
    assert!(notice.text().contains("Zoho itself makes external users free users"));
    for number in [0, 7, 199] {
        assert_eq!(bridge.steps("acme", &address(number), "licence_changed").await, 1);
    }
    let mut changed = 0;
    for number in 0..200 {
        changed +=
            usize::from(bridge.membership("acme", &address(number)).await["licence"] == "free");
    }
    assert_eq!(changed, 200);
    let status = bridge.organization("acme").await;
    assert_eq!(
        (&status["access"], &status["licences"]["external_free"]),
        (&json!("free_by_zoho"), &json!(200))
    );
    assert_eq!(bridge.cliq_rows("acme").await.len(), 202, "nobody was removed");
    bridge.finish().await;
}

#[tokio::test]
async fn r17_whoever_joins_after_the_downgrade_starts_free_and_that_is_no_news() {
    let bridge = Setup::demo().people(crowd("acme", 2, "paid")).start().await;
    bridge.run_over("acme").await;
    downgraded(&bridge).await;
    bridge.clock.advance(Duration::from_mins(1));
    bridge.added("acme", "late@partner.example").await;
    bridge.settle().await;
    bridge.by_hand("acme", "late@partner.example", "accept").await;
    runs(&bridge, "acme", 2).await;
    assert_eq!(bridge.membership("acme", "late@partner.example").await["licence"], "free");
    assert_eq!(bridge.steps("acme", "late@partner.example", "licence_changed").await, 0);
    bridge.finish().await;
}

#[tokio::test]
async fn g7_when_crm_plus_is_upgraded_again_no_licence_changes_and_it_is_one_notice() {
    let bridge = Setup::demo().people(crowd("acme", 5, "paid")).start().await;
    bridge.adopted("acme").await;
    downgraded(&bridge).await;
    runs(&bridge, "acme", 2).await;
    let before = (bridge.mails(IT).await.len(), bridge.journal().await.effects().len());
    bridge.paid_type("acme", "crmplus").await;
    bridge.plan_event("acme", "plan.upgraded").await;
    runs(&bridge, "acme", 3).await;
    let after = (bridge.mails(IT).await.len(), bridge.journal().await.effects().len());
    assert_eq!(after, (before.0 + 1, before.1));
    assert!(paid(&bridge).await.is_empty(), "as Zoho left them");
    bridge.finish().await;
}

#[tokio::test]
async fn r18_a_pool_of_ten_is_filled_once_in_a_stable_order() {
    // Acme's two internal users have the other two of twelve seats.
    let setup = Setup::demo().with("acme", LIST).with("acme", "cliq_licences = 12");
    let setup = setup.world("acme", "paid_licences = 12").people(crowd("acme", 12, "free"));
    let bridge = setup.start().await;
    let run = bridge.run_over("acme").await;
    assert_eq!(run["counts"]["verdicts"]["no_licence"], 2, "{run}");
    let given = paid(&bridge).await;
    let writes = bridge.journal().await.portal_writes("assign_licence");
    assert_eq!((given.len(), writes), (10, 10));
    let mut oldest = Vec::new();
    for number in 0..12 {
        let row = bridge.membership("acme", &address(number)).await;
        let id: u32 = row["id"].as_str().unwrap()[4..].parse().unwrap();
        oldest.push((id, address(number)));
    }
    oldest.sort();
    let mut oldest: Vec<_> = oldest.into_iter().take(10).map(|(_, email)| email).collect();
    oldest.sort();
    assert_eq!(given, oldest, "in the order of the ledger");

    let before = bridge.journal().await.calls("acme", "portal");
    runs(&bridge, "acme", 10).await;
    assert_eq!(bridge.journal().await.calls("acme", "portal"), before, "nothing is tried again");
    assert_eq!(paid(&bridge).await, given, "and nothing flaps");
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("one notice: {told:?}") };
    assert!(notice.subject().contains("No licence is left for 2 people"), "{}", notice.subject());
    bridge.finish().await;
}

#[tokio::test]
async fn r18_without_a_configured_pool_the_portal_says_when_it_is_empty() {
    let setup = Setup::demo().with("acme", LIST).world("acme", "paid_licences = 5");
    let bridge = setup.people(crowd("acme", 8, "free")).start().await;
    bridge.run_over("acme").await;
    assert_eq!(paid(&bridge).await.len(), 3);
    let calls = bridge.journal().await.calls("acme", "portal");
    runs(&bridge, "acme", 10).await;
    assert_eq!(bridge.journal().await.calls("acme", "portal"), calls, "no retry loop");
    assert_eq!(bridge.mails(IT).await.len(), 1);
    // An administrator frees a seat: that much is learnt from the listing.
    bridge.by_hand("acme", "ada@acme.example", "revoke-licence").await;
    runs(&bridge, "acme", 2).await;
    assert_eq!(paid(&bridge).await.len(), 4);
    assert_eq!(bridge.mails(IT).await.len(), 1, "fewer go without: no news");
    bridge.finish().await;
}

#[tokio::test]
async fn r18_an_administrators_revoke_and_assignment_survive_ten_runs() {
    let setup = Setup::demo().with("acme", "assign_licence = { email = [\"p0@partner.example\"] }");
    let bridge = setup.people(crowd("acme", 2, "free")).start().await;
    bridge.run_over("acme").await;
    assert_eq!(paid(&bridge).await, [address(0)]);
    bridge.by_hand("acme", &address(0), "revoke-licence").await;
    bridge.by_hand("acme", &address(1), "assign-licence").await;
    runs(&bridge, "acme", 10).await;
    assert_eq!(paid(&bridge).await, [address(1)]);
    assert_eq!(bridge.journal().await.calls("acme", "portal"), 1);
    assert_eq!(bridge.steps("acme", &address(0), "licence_changed").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn r18_whoever_a_downgrade_made_free_may_be_given_one_once_more() {
    let setup = Setup::demo().with("acme", LIST);
    let bridge = setup.people(crowd("acme", 2, "free")).start().await;
    bridge.run_over("acme").await;
    // One lost it before the downgrade, by an administrator's hand: that stays so.
    bridge.by_hand("acme", &address(1), "revoke-licence").await;
    bridge.run_over("acme").await;
    downgraded(&bridge).await;
    assert!(paid(&bridge).await.is_empty());
    runs(&bridge, "acme", 3).await;
    assert_eq!(paid(&bridge).await, [address(0)]);
    bridge.by_hand("acme", &address(0), "revoke-licence").await;
    runs(&bridge, "acme", 10).await;
    assert!(paid(&bridge).await.is_empty(), "taken since the downgrade: an administrator's choice");
    assert_eq!(bridge.journal().await.portal_writes("assign_licence"), 3);
    bridge.finish().await;
}

#[tokio::test]
async fn r19_a_revoked_licence_leaves_an_external_user_in_the_ledger() {
    let setup = Setup::demo().with("acme", LIST);
    let bridge = setup.people(crowd("acme", 1, "free")).start().await;
    bridge.adopted("acme").await;
    assert_eq!(paid(&bridge).await, [address(0)]);
    assert_eq!(bridge.order("acme", &address(0), "revoke-licence").await.status, 202);
    bridge.settle().await;
    runs(&bridge, "acme", 10).await;
    let row = bridge.cliq_row("acme", &address(0)).await.unwrap();
    assert_eq!(
        (&row["licence"], &row["class"], &row["status"]),
        (&json!("free"), &json!("external"), &json!("active"))
    );
    let row = bridge.membership("acme", &address(0)).await;
    assert_eq!((&row["state"], &row["licence"]), (&json!("joined"), &json!("free")));
    bridge.finish().await;
}

#[tokio::test]
async fn licences_are_looked_at_only_where_they_matter() {
    let bridge = Setup::demo().start().await;
    let passes = async |organization: &str| {
        let before = bridge.journal().await.calls(organization, "cliq.users.list");
        bridge.run_over(organization).await;
        bridge.journal().await.calls(organization, "cliq.users.list") - before
    };
    assert_eq!((passes("acme").await, passes("birch").await), (3, 3));
    downgraded(&bridge).await;
    assert_eq!((passes("acme").await, passes("birch").await), (4, 3));
    bridge.finish().await;
}

#[tokio::test]
async fn g13_whoever_cannot_be_added_for_want_of_a_licence_is_parked_with_one_alert() {
    let bridge = Setup::demo().world("birch", "crm_licences = 0").start().await;
    bridge.added("birch", "bo@partner.example").await;
    bridge.settle().await;
    for _ in 0..100 {
        bridge.clock.advance(Duration::from_hours(25));
        bridge.run_over("birch").await;
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "no retry loop");
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("one alert: {told:?}") };
    assert!(notice.subject().contains("No CRM Plus licence is free"), "{}", notice.subject());
    let parked = bridge.membership("birch", "bo@partner.example").await["parked"].clone();
    assert!(parked.as_str().unwrap().contains("Admin panel, Subscription"), "{parked}");

    bridge.patch("/organizations/birch", &json!({ "crm_licences": 1 })).await;
    bridge.resync(json!({ "organization": "birch", "user": "bo@partner.example" })).await;
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", "bo@partner.example").await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn r18_a_licence_list_in_observe_mode_is_refused_with_its_reason() {
    let bridge = Setup::demo().with("acme", LIST).start().await;
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    let portal = text.lines().find(|line| line.contains("/portal/acme")).unwrap();
    let observe = text.replace(portal, "portal = { mode = \"observe\" }");
    std::fs::write(&bridge.file, observe).unwrap();
    let problems = cliqbridge::config::load(&bridge.file, None).unwrap_err().to_string();
    assert!(problems.contains("assign_licence") && problems.contains("R18"), "{problems}");
    bridge.finish().await;
}
