//! What the guard holds, and letting exactly that go (design section 11, "Guard").

use std::time::Duration;

use cliqbridge::domain::OrgId;
use cliqbridge::engine::Desk;
use serde_json::{Value, json};

use super::support::channels::{BO, EXT, mapped};
use super::support::harness::rows;
use super::support::plans::{lines, partners};
use super::support::{Bridge, Setup};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const IT: &str = "it@bridge.example";

/// Twelve have joined Birch and six of them left CRM a day ago: the guard holds the run.
async fn six_of_twelve(bridge: &Bridge) -> (Vec<String>, Value) {
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    let run = bridge.gone_from_birch(&ids[..6]).await;
    assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("guard")), "{run}");
    (people, run)
}

fn id_and_checksum(run: &Value) -> (String, String) {
    let text = |key: &str| run[key].as_str().unwrap().to_owned();
    (text("run_id"), text("checksum"))
}

async fn state(bridge: &Bridge, email: &str) -> Value {
    bridge.membership("birch", email).await["state"].clone()
}

fn history(bridge: &Bridge) -> Vec<String> {
    let store = bridge.folder.path().join("bridge.db");
    let store = rusqlite::Connection::open(store).unwrap();
    let mut rows = store.prepare("SELECT event || ' ' || actor FROM audit ORDER BY id").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn i28_a_tripped_guard_stops_no_add_in_either_direction() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    for id in &ids[..6] {
        bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    }
    bridge.run_birch().await;
    bridge.clock.advance(DAY);
    // Removals trip the guard: who is new, and who comes by a webhook, is added all the same.
    bridge.add("birch", BO).await;
    let dry = bridge.plan().await;
    assert_eq!(lines(&dry["actions"]), [("add_external".to_owned(), BO.to_owned())]);
    assert_eq!((lines(&dry["held"]).len(), &dry["guard"]["removals_held"]), (6, &json!(true)));
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["checksum"]), (&json!("held"), &dry["checksum"]));
    assert_eq!(state(&bridge, BO).await, "invited");
    bridge.added("birch", "eve@partner.example").await;
    bridge.settle().await;
    assert_eq!(state(&bridge, "eve@partner.example").await, "invited");
    assert_eq!(bridge.portal_did("restrict").await, 0);
    bridge.finish().await;

    // And the other way round: too many invitations hold no removal.
    let bridge = Setup::demo().with("guard", "max_invites = 3").start().await;
    let ids = bridge.joined_in_birch(&partners(3)).await;
    bridge.delete(&format!("/organizations/birch/crm-users/{}", ids[0])).await;
    bridge.run_birch().await;
    bridge.clock.advance(DAY + HOUR);
    for number in 10..14 {
        bridge.add("birch", &format!("p{number}@partner.example")).await;
    }
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("invitations")), "{run}");
    assert_eq!(
        (bridge.portal_did("restrict").await, bridge.portal_did("add_external").await),
        (1, 3)
    );
    bridge.approved(&run).await;
    assert_eq!(bridge.portal_did("add_external").await, 7, "the cap was opened for these four");
    bridge.finish().await;
}

#[tokio::test]
async fn a_held_plan_is_approved_by_its_checksum_and_carried_out_once() {
    let bridge = Setup::demo().start().await;
    let (people, run) = six_of_twelve(&bridge).await;
    let (id, checksum) = id_and_checksum(&run);
    let wrong = bridge.approve(&id, &"0".repeat(64)).await;
    assert_eq!((wrong.status, &wrong.body["checksum"]), (409, &json!(checksum)), "{wrong:?}");
    assert_eq!(wrong.headers["content-type"], "application/problem+json");
    assert_eq!(bridge.approve("run-99", &checksum).await.status, 404);
    let done = bridge.approve("run-1", &checksum).await;
    assert!(done.body["detail"].as_str().unwrap().contains("only a held run"), "{done:?}");
    assert_eq!(bridge.portal_did("restrict").await, 0);

    let approved = bridge.approve(&id, &checksum).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    assert_eq!((&approved.body["run_id"], &approved.body["changes"]), (&json!(id), &json!(6)));
    bridge.settle().await;
    assert_eq!(bridge.portal_did("restrict").await, 6);
    for (number, email) in people.iter().enumerate() {
        let expected = if number < 6 { "removal_staged" } else { "joined" };
        assert_eq!(state(&bridge, email).await, expected, "{email}");
    }
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!(
        (&run["state"], &run["approved_by"]),
        (&json!("done"), &json!("bootstrap")),
        "{run}"
    );
    assert_eq!((&run["counts"]["done"]["restrict"], &run["held"]), (&json!(6), &json!([])));
    assert!(history(&bridge).contains(&"run_approved bootstrap".to_owned()));
    let twice = bridge.approve(&id, &checksum).await;
    assert!(twice.body["detail"].as_str().unwrap().contains("already approved"), "{twice:?}");
    assert_eq!((twice.status, &bridge.plan().await["actions"]), (409, &json!([])));
    bridge.finish().await;
}

#[tokio::test]
async fn whoever_was_added_meanwhile_changes_no_approval_and_a_newcomer_does() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    for id in &ids[..6] {
        bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    }
    bridge.run_birch().await;
    bridge.clock.advance(DAY);
    bridge.add("birch", BO).await;
    // The run adds Bo, whom its plan had too; that is what happened to it meanwhile.
    let run = bridge.run_birch().await;
    let (id, checksum) = id_and_checksum(&run);
    let late = bridge.add("birch", "late@partner.example").await;
    let refused = bridge.approve(&id, &checksum).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body["changed"].as_str().unwrap().contains("1 line came"), "{refused:?}");
    assert_eq!(refused.body["approved"], json!(checksum));
    assert_ne!(refused.body["checksum"], json!(checksum));
    bridge.announce("birch", &late).await;
    bridge.settle().await;
    bridge.approved(&run).await;
    assert_eq!(bridge.portal_did("restrict").await, 6);
    bridge.finish().await;
}

#[tokio::test]
async fn a_changed_plan_is_refused_also_when_nothing_is_left_of_it() {
    let bridge = Setup::demo().start().await;
    let (people, run) = six_of_twelve(&bridge).await;
    let (id, checksum) = id_and_checksum(&run);
    // All are back: the plan is empty.
    for email in &people[..6] {
        bridge.add("birch", email).await;
    }
    let before = bridge.journal().await.effects().len();
    let refused = bridge.approve(&id, &checksum).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body["changed"].as_str().unwrap().contains("nothing is left to do"),
        "{refused:?}"
    );
    bridge.settle().await;
    assert_eq!(bridge.journal().await.effects().len(), before);
    // Nobody reads, nobody is touched.
    let fault = json!({ "kind": "status", "status": 503 });
    bridge.fault("crm.users.list", json!({ "organization": "birch", "times": 3 }), fault).await;
    let unread = bridge.approve(&id, &checksum).await;
    assert_eq!(unread.status, 502, "{unread:?}");
    bridge.run_birch().await;
    assert_eq!(bridge.portal_did("restrict").await, 0);
    bridge.finish().await;
}

#[tokio::test]
async fn the_newest_held_plan_replaces_the_older_and_an_old_one_expires() {
    let bridge = Setup::demo().start().await;
    let (_, first) = six_of_twelve(&bridge).await;
    let second = bridge.run_birch().await;
    let (old, _) = id_and_checksum(&first);
    let refused = bridge.approve(&old, "another plan").await;
    assert_eq!((refused.status, &refused.body["newer_run_id"]), (409, &second["run_id"]));
    let shown = bridge.admin(&format!("/runs/{old}")).await.body;
    assert_eq!(shown["replaced_by"], second["run_id"]);
    bridge.clock.advance(DAY + HOUR);
    let (id, checksum) = id_and_checksum(&second);
    let late = bridge.approve(&id, &checksum).await;
    assert!(late.body["detail"].as_str().unwrap().contains("plan again"), "{late:?}");
    assert_eq!((late.status, bridge.portal_did("restrict").await), (409, 0));
    bridge.finish().await;
}

#[tokio::test]
async fn a_trip_is_told_once_and_the_notice_names_the_command() {
    let bridge = Setup::demo().start().await;
    let (_, run) = six_of_twelve(&bridge).await;
    for _ in 0..4 {
        bridge.clock.advance(DAY);
        bridge.run_birch().await;
    }
    let told = async || {
        let mails = bridge.mails(IT).await;
        mails
            .into_iter()
            .filter(|mail| mail.subject().contains("Removals of birch"))
            .collect::<Vec<_>>()
    };
    let mails = told().await;
    assert_eq!(mails.len(), 1, "once, not every run and not every day");
    let (id, checksum) = id_and_checksum(&run);
    let command = format!("cliqbridge approve {id} --checksum {checksum}");
    assert!(mails[0].text().replace('\n', " ").contains(&command), "{}", mails[0].text());
    // One more leaver is another plan.
    let seventh = bridge.membership("birch", "p6@partner.example").await["crm_user_id"].clone();
    bridge.gone_from_birch(&[seventh.as_str().unwrap().to_owned()]).await;
    assert_eq!(told().await.len(), 2);
    bridge.finish().await;
}

#[tokio::test]
async fn i29_one_organization_does_not_take_what_another_gave() {
    let channels = mapped(&["ext"]);
    let setup = Setup::demo().with("acme", &channels).world("acme", EXT);
    let bridge = setup.start().await;
    // Bo is in both; Birch's administrator deletes him there, and nobody does in Acme.
    bridge.add("acme", BO).await;
    bridge.resync(json!({ "organization": "acme" })).await;
    let ids = bridge.joined_in_birch(&[BO.to_owned()]).await;
    bridge.gone_from_birch(&ids).await;
    bridge.resync(json!({})).await;
    bridge.settle().await;
    assert_eq!(state(&bridge, BO).await, "removal_staged");
    let acme = bridge.membership("acme", BO).await;
    assert_eq!(acme["state"], "invited");
    let journal = bridge.journal().await;
    let taken = journal.of("write", "portal");
    let taken = taken.iter().filter(|entry| entry["detail"] != "add_external: done");
    let where_from: Vec<&Value> = taken.map(|entry| &entry["organization"]).collect();
    assert_eq!(where_from, ["birch"]);
    assert_eq!(bridge.plan_of(json!({ "organization": "acme" })).await["actions"], json!([]));
    bridge.finish().await;
}

#[tokio::test]
async fn i6_half_a_list_with_a_200_holds_the_run_and_takes_nobody() {
    let bridge = Setup::demo().start().await;
    let people = partners(12);
    let ids = bridge.joined_in_birch(&people).await;
    // CRM answers 200 with half of its people, and says that this is all, for two days.
    let rest: Vec<Value> = ids[6..]
        .iter()
        .zip(&people[6..])
        .map(|(id, email)| {
            json!({ "id": id, "email": email, "first_name": "P", "last_name": "P",
                    "status": "active", "confirm": true, "category": "regular_user" })
        })
        .collect();
    let half = json!({ "kind": "status", "status": 200, "body": {
        "users": rest, "info": { "per_page": 200, "count": 6, "page": 1, "more_records": false },
    }});
    let mut last = Value::Null;
    for _ in 0..3 {
        bridge.fault("crm.users.list", json!({ "organization": "birch" }), half.clone()).await;
        last = bridge.run_birch().await;
        bridge.clock.advance(DAY);
    }
    assert_eq!((&last["state"], rows(&last["held"]).count()), (&json!("held"), 6), "{last}");
    assert_eq!(bridge.portal_did("restrict").await, 0);
    // Whole again, the plan is empty, and what was held cannot be approved any more.
    let (id, checksum) = id_and_checksum(&last);
    assert_eq!(bridge.approve(&id, &checksum).await.status, 409);
    assert_eq!(bridge.run_birch().await["state"], "done");
    for email in &people {
        assert_eq!(state(&bridge, email).await, "joined");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn i7_an_empty_source_plans_nothing_and_removes_nobody() {
    let bridge = Setup::demo().start().await;
    let people = partners(3);
    bridge.joined_in_birch(&people).await;
    let nobody = [
        json!({ "kind": "status", "status": 204 }),
        json!({ "kind": "status", "status": 200, "body": { "users": [],
            "info": { "per_page": 200, "count": 0, "page": 1, "more_records": false } } }),
    ];
    for fault in nobody {
        for _ in 0..2 {
            let more = json!({ "organization": "birch", "times": 3 });
            bridge.fault("crm.users.list", more, fault.clone()).await;
            let run = bridge.run_birch().await;
            assert_eq!(
                (&run["state"], &run["checksum"]),
                (&json!("failed"), &Value::Null),
                "{run}"
            );
            let asked = json!({ "organization": "birch", "dry_run": true });
            assert_eq!(bridge.admin_post("/resync", &asked).await.status, 502);
            bridge.clear_faults().await;
            bridge.clock.advance(DAY * 2);
        }
    }
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 3, "the adds and nothing else");
    assert_eq!(bridge.run_birch().await["state"], "done");
    for email in &people {
        assert_eq!(state(&bridge, email).await, "joined");
    }
    bridge.finish().await;
}

#[tokio::test]
async fn a_first_run_is_approved_by_the_same_command_and_then_runs_apply() {
    let bridge = Setup::demo().with("birch", "first_run = \"plan\"").start().await;
    for email in partners(2) {
        bridge.add("birch", &email).await;
    }
    let run = bridge.run_birch().await;
    assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("first_run")), "{run}");
    assert_eq!(run["checksum"], bridge.plan().await["checksum"]);
    assert_eq!(lines(&bridge.plan().await["actions"]), []);
    bridge.approved(&run).await;
    assert_eq!(bridge.portal_did("add_external").await, 2);
    let again = bridge.plan().await;
    assert_eq!((&again["actions"], &again["held"]), (&json!([]), &json!([])));
    bridge.add("birch", BO).await;
    assert_eq!(bridge.run_birch().await["state"], "done", "runs apply from now on");
    assert_eq!(bridge.portal_did("add_external").await, 3);
    bridge.finish().await;
}

#[tokio::test]
async fn an_approval_waits_for_the_run_that_reads_and_outlives_its_caller() {
    let bridge = Setup::demo().start().await;
    let (_, run) = six_of_twelve(&bridge).await;
    let (id, checksum) = id_and_checksum(&run);
    bridge
        .fault("crm.users.list", json!({ "organization": "birch" }), json!({ "kind": "hold" }))
        .await;
    {
        // The caller goes away while both sides are being read.
        let approving = std::pin::pin!(bridge.approve(&id, &checksum));
        tokio::select! {
            answer = approving => panic!("answered while a read is held: {answer:?}"),
            () = bridge.held() => {}
        }
    }
    let next = bridge.resync(json!({ "organization": "birch" })).await;
    let runs = Desk::Runs(OrgId::from("birch"));
    {
        let beside = std::pin::pin!(bridge.step(&runs));
        let listed = bridge.journal().await.calls("birch", "crm.users.list");
        tokio::select! {
            step = beside => panic!("a run beside an approval: {step:?}"),
            answer = bridge.admin("/status") => assert_eq!(answer.status, 200),
        }
        assert_eq!(bridge.journal().await.calls("birch", "crm.users.list"), listed);
    }
    bridge.act("/release", &Value::Null).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!((&run["state"], bridge.portal_did("restrict").await), (&json!("done"), 6), "{run}");
    let next = bridge.admin(&format!("/runs/{next}")).await.body;
    assert_eq!(next["state"], "done", "{next}");
    bridge.finish().await;
}

#[tokio::test]
async fn a_stop_between_approval_and_queueing_leaves_no_guard_open() {
    let mut bridge = Setup::demo().start().await;
    let (_, run) = six_of_twelve(&bridge).await;
    let (id, checksum) = id_and_checksum(&run);
    bridge
        .fault("crm.users.list", json!({ "organization": "birch" }), json!({ "kind": "hang" }))
        .await;
    {
        let approving = std::pin::pin!(bridge.approve(&id, &checksum));
        let asked =
            async { while bridge.journal().await.of("fault", "crm.users.list").is_empty() {} };
        tokio::select! {
            answer = approving => panic!("answered while a read hangs: {answer:?}"),
            () = asked => {}
        }
    }
    bridge.restart().await;
    bridge.clear_faults().await;
    let kept = bridge.admin(&format!("/runs/{id}")).await.body;
    assert_eq!((&kept["state"], &kept["approved_by"]), (&json!("held"), &Value::Null), "{kept}");
    let next = bridge.run_birch().await;
    assert_eq!((&next["state"], bridge.portal_did("restrict").await), (&json!("held"), 0));
    bridge.approved(&next).await;
    assert_eq!(bridge.portal_did("restrict").await, 6);
    bridge.finish().await;
}

#[tokio::test]
async fn a_plan_that_is_held_again_is_approved_by_the_run_that_the_notice_named() {
    let bridge = Setup::demo().start().await;
    let (_, first) = six_of_twelve(&bridge).await;
    let second = bridge.run_birch().await;
    let (old, checksum) = id_and_checksum(&first);
    assert_eq!(second["checksum"], first["checksum"]);
    let approved = bridge.approve(&old, &checksum).await;
    assert_eq!((approved.status, &approved.body["run_id"]), (200, &second["run_id"]));
    bridge.settle().await;
    assert_eq!(bridge.portal_did("restrict").await, 6);
    bridge.finish().await;
}

#[tokio::test]
async fn what_is_held_after_an_approval_is_told_anew() {
    let bridge = Setup::demo().with("guard", "max_invites = 3").start().await;
    bridge.run_birch().await;
    let told = async || {
        let mails = bridge.mails(IT).await;
        mails.iter().filter(|mail| mail.subject().contains("are held back")).count()
    };
    for (round, from) in [(1, 0), (2, 10)] {
        for number in from..from + 5 {
            bridge.add("birch", &format!("p{number}@partner.example")).await;
        }
        let run = bridge.run_birch().await;
        assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("invitations")), "{run}");
        assert_eq!(told().await, round, "{:?}", bridge.mails(IT).await);
        bridge.approved(&run).await;
    }
    bridge.finish().await;
}
