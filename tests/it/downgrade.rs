//! Downgrades of CRM Plus on both Cliq plans: what the sandbox saw of them, which is mostly nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::{address, crowd};
use super::support::traces::ADMIN as IT;
use super::support::{Bridge, Setup};

const DAY: Duration = Duration::from_hours(24);

/// Ten whole runs, a day and a bit apart: nothing may come back with the days.
async fn ten_runs(bridge: &Bridge, organization: &str) {
    for _ in 0..10 {
        bridge.clock.advance(DAY + Duration::from_hours(1));
        bridge.run_over(organization).await;
    }
}

/// Birch on its free plan with a crowd that the bridge owns.
async fn birch(count: usize, choice: &str) -> Bridge {
    let choice = format!("on_free_downgrade = \"{choice}\"");
    let setup = Setup::demo().with("birch", &choice).people(crowd("birch", count, "free"));
    let bridge = setup.start().await;
    bridge.poll("birch").await;
    bridge.adopted("birch").await;
    bridge
}

/// Downgraded, as CRM and a webhook say.
async fn downgraded(bridge: &Bridge, organization: &str) {
    bridge.paid_type(organization, "free").await;
    bridge.plan_event(organization, "plan.downgraded").await;
}

async fn restricted(bridge: &Bridge) -> usize {
    let rows = bridge.cliq_rows("birch").await;
    rows.iter().filter(|row| row["status"] == "inactive").count()
}

#[tokio::test]
async fn c5_r13_r14_a_downgrade_of_the_free_plan_is_one_notice_and_no_write() {
    let bridge = birch(200, "retain").await;
    let before = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    downgraded(&bridge, "birch").await;
    for _ in 0..3 {
        bridge.poll("birch").await;
        bridge.run_over("birch").await;
    }
    ten_runs(&bridge, "birch").await;
    let after = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    assert_eq!(before, after);
    let told = bridge.mails(IT).await;
    let [notice] = told.as_slice() else { panic!("one notice: {told:?}") };
    assert!(notice.text().contains("everybody keeps access"), "{}", notice.text());
    let status = bridge.organization("birch").await;
    assert_eq!(status["badge"], "downgraded, access retained");
    assert_eq!(
        (&status["access"], &status["subscription"]),
        (&json!("retained"), &json!("downgraded"))
    );
    bridge.finish().await;
}

#[tokio::test]
async fn r13_a_source_that_lists_nobody_after_the_downgrade_is_an_alarm() {
    let bridge = birch(20, "retain").await;
    downgraded(&bridge, "birch").await;
    let before = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    let empty = json!({ "kind": "status", "status": 204 });
    bridge.fault("crm.users.list", json!({ "times": null }), empty).await;
    for _ in 0..3 {
        assert_eq!(bridge.run_over("birch").await["state"], "failed");
        bridge.clock.advance(Duration::from_hours(30));
    }
    let after = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    assert_eq!(before, after);
    assert!(bridge.mails(IT).await.iter().any(|mail| mail.subject().contains("looks empty")));
    bridge.finish().await;
}

#[tokio::test]
async fn g8_r13_nobody_is_taken_away_while_downgraded_whatever_crm_says_of_its_users() {
    let bridge = birch(6, "retain").await;
    downgraded(&bridge, "birch").await;
    let before = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    let state = bridge.sandbox("/state").await;
    let org = rows(&state["organizations"]).find(|org| org["id"] == "birch").unwrap();
    let ids = rows(&org["crm_users"]).filter(|row| row["email"] != "cy@birch.example");
    let ids: Vec<_> = ids.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    for (number, id) in ids.iter().filter(|id| !id.is_empty()).enumerate().skip(1).take(3) {
        let path = format!("/organizations/birch/crm-users/{id}");
        match number {
            1 => bridge.delete(&path).await,
            _ => drop(bridge.patch(&path, &json!({ "status": "inactive" })).await),
        }
    }
    ten_runs(&bridge, "birch").await;
    let after = (bridge.cliq_rows("birch").await, bridge.journal().await.effects().len());
    assert_eq!(before, after);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_the_standing_choice_takes_two_agreeing_reads_and_is_undone_with_the_downgrade() {
    let bridge = birch(4, "restrict").await;
    bridge.by_hand("birch", &address(3), "restrict").await;
    bridge.run_over("birch").await;
    downgraded(&bridge, "birch").await;
    for reads in 0..2 {
        bridge.run_over("birch").await;
        assert_eq!(bridge.journal().await.portal_writes("restrict"), 0, "after {reads} reads");
        bridge.poll("birch").await;
    }
    assert_eq!(bridge.organization("birch").await["access"], "restricted");
    bridge.run_over("birch").await;
    assert_eq!(
        (bridge.journal().await.portal_writes("restrict"), restricted(&bridge).await),
        (3, 4)
    );
    assert_eq!(bridge.mails(IT).await.len(), 1);

    // An administrator lets one in again; somebody new is added in CRM meanwhile.
    bridge.by_hand("birch", &address(0), "activate").await;
    bridge.added("birch", "new@partner.example").await;
    ten_runs(&bridge, "birch").await;
    assert_eq!(
        (bridge.journal().await.portal_writes("restrict"), restricted(&bridge).await),
        (3, 3)
    );
    assert!(bridge.cliq_row("birch", "new@partner.example").await.is_none(), "not added to that");

    bridge.paid_type("birch", "crmplus").await;
    bridge.plan_event("birch", "plan.upgraded").await;
    ten_runs(&bridge, "birch").await;
    let journal = bridge.journal().await;
    assert_eq!((journal.portal_writes("restore"), journal.portal_writes("restrict")), (2, 3));
    assert_eq!(restricted(&bridge).await, 1, "what the administrator restricted stays so");
    assert_eq!(bridge.membership("birch", &address(3)).await["state"], "restricted");
    assert!(bridge.cliq_row("birch", "new@partner.example").await.is_some());
    bridge.finish().await;
}

#[tokio::test]
async fn r15_an_approval_confirms_the_downgrade_as_well() {
    let bridge = birch(3, "restrict").await;
    let approve =
        async || bridge.admin_post("/organizations/birch/approve-downgrade", &Value::Null).await;
    let early = approve().await;
    assert_eq!(early.status, 409);
    assert!(
        early.body["detail"].as_str().unwrap().contains("no downgrade to approve"),
        "{early:?}"
    );
    downgraded(&bridge, "birch").await;
    let answer = approve().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    bridge.settle().await;
    assert_eq!(
        (bridge.journal().await.portal_writes("restrict"), restricted(&bridge).await),
        (3, 3)
    );
    let run = answer.body["run_id"].as_str().unwrap();
    assert_eq!(bridge.admin(&format!("/runs/{run}")).await.body["state"], "done");
    bridge.finish().await;
}

#[tokio::test]
async fn r15_nothing_is_to_be_approved_where_a_downgrade_restricts_nobody() {
    let bridge = birch(2, "retain").await;
    downgraded(&bridge, "birch").await;
    let answer = bridge.admin_post("/organizations/birch/approve-downgrade", &Value::Null).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body["detail"].as_str().unwrap().contains("on_free_downgrade"), "{answer:?}");
    let nowhere = bridge.admin_post("/organizations/oak/approve-downgrade", &Value::Null).await;
    assert_eq!(nowhere.status, 404);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_a_big_crowd_is_restricted_without_the_guard() {
    let bridge = birch(30, "restrict").await;
    downgraded(&bridge, "birch").await;
    bridge.poll("birch").await;
    bridge.poll("birch").await;
    assert_eq!(bridge.run_over("birch").await["state"], "done");
    assert_eq!(restricted(&bridge).await, 30);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_observe_mode_asks_the_administrators_to_restrict_once() {
    let setup = Setup::demo().observe("birch").with("birch", "on_free_downgrade = \"restrict\"");
    let bridge = setup.people(crowd("birch", 3, "free")).start().await;
    bridge.poll("birch").await;
    bridge.adopted("birch").await;
    downgraded(&bridge, "birch").await;
    for _ in 0..2 {
        bridge.poll("birch").await;
    }
    ten_runs(&bridge, "birch").await;
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    let told = bridge.mails(IT).await;
    let asked: Vec<_> =
        told.iter().filter(|mail| mail.subject().contains("Restrict the external users")).collect();
    assert_eq!((told.len(), asked.len()), (2, 1), "the downgrade, and what to do");
    assert!(asked[0].text().contains("CRM Plus, Admin panel, Users"), "{}", asked[0].text());
    bridge.finish().await;
}

#[tokio::test]
async fn g8_a_change_of_the_cliq_plan_after_the_downgrade_counts_from_then_on() {
    let mut bridge = birch(3, "restrict").await;
    downgraded(&bridge, "birch").await;
    bridge.poll("birch").await;
    bridge.poll("birch").await;
    bridge.run_over("birch").await;
    assert_eq!(restricted(&bridge).await, 3);
    bridge.patch("/organizations/birch", &json!({ "cliq_plan": "paid" })).await;
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    let free = "cliq_plan        = \"free\"";
    assert!(text.contains(free));
    std::fs::write(&bridge.file, text.replace(free, "cliq_plan        = \"paid\"")).unwrap();
    bridge.restart().await;
    ten_runs(&bridge, "birch").await;
    assert_eq!(bridge.organization("birch").await["access"], "free_by_zoho");
    assert_eq!(
        bridge.journal().await.portal_writes("restore"),
        3,
        "restricted by the free plan's choice"
    );
    assert_eq!(bridge.cliq_rows("birch").await.len(), 5, "nobody was removed");
    bridge.finish().await;
}

#[tokio::test]
async fn a_contradiction_is_one_notice_and_prevails_when_read_twice() {
    let bridge = birch(2, "restrict").await;
    // A webhook alone says so; CRM goes on saying that the plan is paid for.
    bridge.plan_event("birch", "plan.downgraded").await;
    assert_eq!(bridge.mails(IT).await.len(), 1);
    assert_eq!(bridge.poll("birch").await["subscription"], "downgraded");
    let told = bridge.mails(IT).await;
    assert_eq!(told.len(), 2);
    assert!(told[1].subject().contains("say that birch is active"), "{}", told[1].subject());
    assert_eq!(bridge.poll("birch").await["subscription"], "active");
    for _ in 0..3 {
        bridge.clock.advance(DAY);
        bridge.poll("birch").await;
    }
    assert_eq!(bridge.mails(IT).await.len(), 2);
    bridge.run_over("birch").await;
    assert!(bridge.journal().await.effects().is_empty(), "nobody was restricted");
    bridge.finish().await;
}

#[tokio::test]
async fn r16_a_downgrade_that_no_webhook_tells_is_found_by_two_reads() {
    let bridge = birch(2, "retain").await;
    bridge.paid_type("birch", "free").await;
    let seen = [bridge.poll("birch").await, bridge.poll("birch").await];
    assert_eq!(
        (&seen[0]["subscription"], &seen[1]["subscription"]),
        (&json!("active"), &json!("downgraded"))
    );
    assert_eq!(seen[1]["access"], "retained");
    assert_eq!(bridge.mails(IT).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn configured_paid_types_say_what_is_active() {
    let types = "crmplus_paid_types = [\"crmplus\", \"crmplus_trial\"]";
    let bridge = Setup::demo().with("birch", types).start().await;
    bridge.paid_type("birch", "crmplus_trial").await;
    assert_eq!(bridge.poll("birch").await["subscription"], "active");
    bridge.paid_type("birch", "standard").await;
    bridge.poll("birch").await;
    assert_eq!(bridge.poll("birch").await["subscription"], "downgraded");
    bridge.finish().await;
}

#[tokio::test]
async fn licences_bought_are_shown_and_a_change_is_written_down() {
    let bridge = Setup::demo().start().await;
    let bought = async |count: u32| {
        let body = json!({ "users_license_purchased": count });
        bridge.patch("/organizations/birch", &body).await;
        bridge.poll("birch").await;
        bridge.organization("birch").await["licences"]["crm_bought"].clone()
    };
    assert_eq!((bought(25).await, bought(10).await), (json!(25), json!(10)));
    assert!(bridge.mails(IT).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn licence_details_that_may_not_be_read_say_nothing_and_name_the_scope() {
    let bridge = birch(2, "restrict").await;
    downgraded(&bridge, "birch").await;
    let scope = json!({ "code": "OAUTH_SCOPE_MISMATCH", "message": "no", "status": "error" });
    let denied = json!({ "kind": "status", "status": 401, "body": scope });
    bridge.fault("crm.org", json!({ "times": null }), denied).await;
    for _ in 0..3 {
        let answer = bridge.admin_post("/organizations/birch/poll-plan", &Value::Null).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        bridge.settle().await;
    }
    bridge.run_over("birch").await;
    assert!(bridge.journal().await.effects().is_empty(), "nothing is confirmed by silence");
    let told = bridge.mails(IT).await;
    let scope: Vec<_> = told.iter().filter(|m| m.text().contains("ZohoCRM.org.READ")).collect();
    assert_eq!((told.len(), scope.len()), (2, 1));
    assert!(bridge.organization("birch").await["quarantine"].is_null(), "users can be read");
    bridge.finish().await;
}

#[tokio::test]
async fn r16_a_plan_that_could_not_be_read_at_the_start_is_read_as_soon_as_it_can_be() {
    let yearly = "reconcile = \"0 0 3 * * *\"\npoll_plan = \"0 0 0 1 1 *\"";
    let bridge = Setup::demo().with("schedule", yearly).start().await;
    let broken = json!({ "kind": "status", "status": 503 });
    bridge.fault("crm.org", json!({ "organization": "birch", "times": 1 }), broken).await;
    bridge.live_for(std::time::Duration::from_mins(20)).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "crm.org"), 2, "again after a quarter of an hour");
    bridge.finish().await;

    // What is refused is left to the schedule.
    let bridge = Setup::demo().with("schedule", yearly).start().await;
    let denied = json!({ "kind": "status", "status": 403 });
    bridge.fault("crm.org", json!({ "organization": "birch", "times": null }), denied).await;
    bridge.live_for(std::time::Duration::from_hours(2)).await;
    assert_eq!(bridge.journal().await.calls("birch", "crm.org"), 1);
    bridge.clear_faults().await;
    bridge.finish().await;
}
