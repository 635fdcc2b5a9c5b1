//! An operator's commands for single memberships, as the sandbox saw them.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::people::{address, crowd};
use super::support::{Answer, Bridge, Setup};

const BO: &str = "bo@partner.example";

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

/// Ten whole runs, a day and a bit apart.
async fn ten_runs(bridge: &Bridge, organization: &str) {
    for _ in 0..10 {
        bridge.clock.advance(Duration::from_hours(25));
        bridge.run_over(organization).await;
    }
}

/// People whom the bridge owns in Birch.
async fn birch(count: usize) -> Bridge {
    let bridge = Setup::demo().people(crowd("birch", count, "free")).start().await;
    bridge.adopted("birch").await;
    bridge
}

async fn status(bridge: &Bridge, email: &str) -> String {
    bridge.cliq_row("birch", email).await.unwrap()["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn r15_an_operators_restriction_is_undone_by_the_operator_alone() {
    let bridge = birch(2).await;
    let answer = bridge.order("birch", &address(0), "restrict").await;
    assert_eq!(answer.status, 202);
    assert!(answer.body["action_id"].as_str().unwrap().starts_with("act-"), "{answer:?}");
    bridge.settle().await;
    ten_runs(&bridge, "birch").await;
    assert_eq!(
        (status(&bridge, &address(0)).await, status(&bridge, &address(1)).await),
        ("inactive".into(), "active".into())
    );
    let journal = bridge.journal().await;
    assert_eq!((journal.portal_writes("restrict"), journal.portal_writes("restore")), (1, 0));
    assert_eq!(bridge.steps("birch", &address(0), "restrict_asked").await, 1);

    assert_eq!(bridge.order("birch", &address(0), "restore").await.status, 202);
    bridge.settle().await;
    ten_runs(&bridge, "birch").await;
    assert_eq!(status(&bridge, &address(0)).await, "active");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn r15_what_an_administrator_restricted_is_neither_restored_nor_restricted_again() {
    let bridge = birch(3).await;
    for number in 0..3 {
        bridge.by_hand("birch", &address(number), "restrict").await;
    }
    ten_runs(&bridge, "birch").await;
    for number in 0..3 {
        assert_eq!(status(&bridge, &address(number)).await, "inactive");
        let answer = bridge.order("birch", &address(number), "restore").await;
        assert_eq!(answer.status, 409);
        assert!(detail(&answer).contains("An administrator restricted"), "{answer:?}");
        assert_eq!(bridge.order("birch", &address(number), "restrict").await.status, 200, "is so");
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn r29_an_operator_cannot_restrict_one_who_is_internal_by_now() {
    let bridge = birch(1).await;
    let id = bridge.membership("birch", &address(0)).await["cliq_id"].clone();
    let fault = json!({ "kind": "status", "status": 200, "body": { "data": {
        "id": id, "email_id": address(0), "organization_id": "745120981", "status": "active",
    } } });
    assert_eq!(bridge.order("birch", &address(0), "restrict").await.status, 202);
    // What Cliq shows at the moment of the write decides.
    bridge.fault("cliq.users.get", json!({ "times": 1 }), fault).await;
    bridge.settle().await;
    assert_eq!(status(&bridge, &address(0)).await, "active");
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn g3_only_an_operators_resend_invites_again_and_each_is_one_mail() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    ten_runs(&bridge, "birch").await;
    assert_eq!(bridge.mails(BO).await.len(), 1);
    let answer = bridge.order("birch", BO, "resend").await;
    assert_eq!((answer.status, &answer.body["generation"]), (200, &json!(2)));
    bridge.settle().await;
    ten_runs(&bridge, "birch").await;
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["state"], &row["sends"]), (&json!("invited"), &json!(1)));
    let mails = bridge.mails(BO).await;
    assert_eq!(mails.len(), 2, "a fresh letter for the pending invitation");
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));
    assert_eq!(bridge.journal().await.portal_writes("add_external"), 1, "Cliq still shows it");
    bridge.finish().await;
}

#[tokio::test]
async fn g3_declined_is_silent_until_a_resend() {
    let bridge = Setup::demo().start().await;
    let id = bridge.added("birch", BO).await;
    bridge.settle().await;
    // Only whom Cliq has shown can vanish from it.
    bridge.run_over("birch").await;
    bridge.by_hand("birch", BO, "decline").await;
    for _ in 0..50 {
        bridge.clock.advance(Duration::from_hours(25));
        bridge.run_over("birch").await;
    }
    assert_eq!(bridge.membership("birch", BO).await["state"], "declined");
    assert_eq!(
        (bridge.mails(BO).await.len(), bridge.journal().await.calls("birch", "portal")),
        (1, 1)
    );

    // The operator asks again, before and after CRM Plus would let the person be asked.
    bridge.order("birch", BO, "resend").await;
    bridge.settle().await;
    let refused = bridge.membership("birch", BO).await;
    assert_eq!((&refused["state"], bridge.mails(BO).await.len()), (&json!("declined"), 1));
    bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    bridge.add("birch", BO).await;
    bridge.run_over("birch").await;
    assert_eq!(bridge.membership("birch", BO).await["state"], "declined", "sticky over a new id");
    assert_eq!(bridge.order("birch", BO, "resend").await.status, 200);
    bridge.settle().await;
    let row = bridge.membership("birch", BO).await;
    assert_eq!((&row["state"], bridge.mails(BO).await.len()), (&json!("invited"), 2));
    bridge.finish().await;
}

#[tokio::test]
async fn a_resend_has_its_states() {
    let bridge = birch(1).await;
    let answer = bridge.order("birch", &address(0), "resend").await;
    assert_eq!(answer.status, 409);
    assert!(detail(&answer).contains("has joined"), "{answer:?}");
    bridge.finish().await;
}

#[tokio::test]
async fn observe_mode_says_where_it_is_done_instead() {
    let setup = Setup::demo().observe("birch").people(crowd("birch", 1, "free"));
    let bridge = setup.start().await;
    bridge.adopted("birch").await;
    let answer = bridge.order("birch", &address(0), "restrict").await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        detail(&answer),
        "There is no removal verb in observe mode: restrict in CRM Plus, Admin panel, Users."
    );
    for verb in ["restore", "assign-licence", "revoke-licence"] {
        assert_eq!(bridge.order("birch", &address(0), verb).await.status, 409, "{verb}");
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_was_there_before_the_bridge_is_adopted_before_anything_else() {
    let bridge = Setup::demo().people(crowd("birch", 3, "free")).start().await;
    bridge.run_over("birch").await;
    let answer = bridge.order("birch", &address(0), "restrict").await;
    assert_eq!(answer.status, 409);
    assert!(detail(&answer).contains("adopt it first"), "{answer:?}");
    let answer = bridge.order("birch", &address(0), "adopt").await;
    assert_eq!((answer.status, &answer.body["origin"]), (200, &json!("adopted")));
    assert_eq!(bridge.order("birch", &address(0), "adopt").await.status, 200, "is so already");
    assert_eq!(bridge.order("birch", &address(0), "restrict").await.status, 202);
    bridge.settle().await;
    assert_eq!(status(&bridge, &address(0)).await, "inactive");
    let body = json!({ "organization": "birch" });
    let all = bridge.admin_post("/memberships/adopt", &body).await;
    assert_eq!(all.body["adopted"], 2);
    let steps = bridge.admin("/audit?actor=bootstrap&limit=200").await.body;
    let of = |event: &str| rows(&steps["items"]).filter(|step| step["event"] == event).count();
    assert_eq!((of("adopted_all"), of("adopt")), (1, 4), "each names who ordered it: {steps}");
    assert_eq!(bridge.admin_post("/memberships/adopt", &body).await.body["adopted"], 0);
    let answer = bridge.order("birch", &address(1), "release").await;
    assert_eq!((answer.status, &answer.body["origin"]), (200, &json!("present")));
    assert_eq!(bridge.order("birch", &address(1), "restrict").await.status, 409);
    let nowhere = bridge.admin_post("/memberships/adopt", &json!({ "organization": "oak" })).await;
    assert_eq!(nowhere.status, 404);
    bridge.finish().await;
}

#[tokio::test]
async fn a_dry_run_asks_the_same_rules_and_does_nothing() {
    let bridge = birch(1).await;
    let row = bridge.membership("birch", &address(0)).await;
    let id = row["id"].as_str().unwrap().to_owned();
    let dry = async |verb: &str| {
        bridge.admin_post(&format!("/memberships/{id}/{verb}?dry_run=true"), &Value::Null).await
    };
    for (verb, code) in [("restrict", 200), ("release", 200), ("resend", 409), ("restore", 200)] {
        assert_eq!(dry(verb).await.status, code, "{verb}");
    }
    bridge.settle().await;
    assert_eq!(bridge.membership("birch", &address(0)).await, row);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 0);
    bridge.finish().await;
}

#[tokio::test]
async fn r18_a_command_for_a_licence_stays_within_the_configured_pool() {
    let setup =
        Setup::demo().with("acme", "cliq_licences = 3\nassign_licence = { role = [\"None\"] }");
    let bridge = setup.people(crowd("acme", 2, "free")).start().await;
    bridge.adopted("acme").await;
    assert_eq!(bridge.order("acme", &address(0), "assign-licence").await.status, 202);
    let second = bridge.order("acme", &address(1), "assign-licence").await;
    assert_eq!(second.status, 409);
    assert!(detail(&second).contains("3 of the 3 seats"), "{second:?}");
    bridge.settle().await;
    assert_eq!(bridge.membership("acme", &address(0)).await["licence"], "paid");
    assert_eq!(bridge.order("acme", &address(0), "revoke-licence").await.status, 202);
    bridge.settle().await;
    assert_eq!(
        bridge.order("acme", &address(1), "assign-licence").await.status,
        202,
        "one is free"
    );
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(
        (journal.portal_writes("assign_licence"), journal.portal_writes("revoke_licence")),
        (2, 1)
    );
    bridge.finish().await;
}

#[tokio::test]
async fn r18_a_free_cliq_plan_has_no_licences_to_give() {
    let bridge = birch(1).await;
    let answer = bridge.order("birch", &address(0), "assign-licence").await;
    assert_eq!(answer.status, 409);
    assert!(detail(&answer).contains("free plan"), "{answer:?}");
    bridge.finish().await;
}

#[tokio::test]
async fn unknown_ones_are_not_found() {
    let bridge = birch(1).await;
    for path in
        ["/memberships/mem-999/restrict", "/memberships/x/restrict", "/memberships/mem-1/remove"]
    {
        assert_eq!(bridge.admin_post(path, &Value::Null).await.status, 404, "{path}");
    }
    let odd = bridge.admin_post("/memberships/mem-1/restrict?force=true", &Value::Null).await;
    assert_eq!(odd.status, 400);
    bridge.finish().await;
}
