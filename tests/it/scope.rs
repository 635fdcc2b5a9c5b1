//! A changed scope: plan-only until somebody approves it (I10, I11).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::channels::{BO, EXT, mapped};
use super::support::harness::rows;
use super::support::people::crowd;
use super::support::plans::{lines, partners};
use super::support::{Bridge, Setup};

const DAY: Duration = Duration::from_hours(24);
const IT: &str = "it@bridge.example";
const NARROW: &str = "scope = { include = { profile = [\"Partner\"] } }";

/// Restarts with this line of the configuration replaced.
async fn edited(bridge: &mut Bridge, before: &str, after: &str) {
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    assert!(text.contains(before), "{before}");
    std::fs::write(&bridge.file, text.replace(before, after)).unwrap();
    bridge.restart().await;
}

async fn told(bridge: &Bridge) -> usize {
    let mails = bridge.mails(IT).await;
    mails.iter().filter(|mail| mail.subject().contains("The scope of")).count()
}

#[tokio::test]
async fn i10_an_edited_filter_removes_nobody_until_the_plan_is_approved() {
    let setup = Setup::demo().with("birch", "scope = { include = { profile = [\"Standard\"] } }");
    let mut bridge = setup.start().await;
    let people = partners(4);
    let ids = bridge.joined_in_birch(&people).await;
    edited(&mut bridge, "scope = { include = { profile = [\"Standard\"] } }", NARROW).await;
    bridge.work().await;
    assert_eq!(told(&bridge).await, 1);
    let partner = json!({ "email": BO, "profile": "Partner" });
    bridge.add_with("birch", partner).await;
    let before = bridge.journal().await.effects().len();
    for _ in 0..3 {
        let run = bridge.run_birch().await;
        assert_eq!((&run["state"], &run["hold"]), (&json!("held"), &json!("scope")), "{run}");
        let reason = rows(&run["held"]).next().unwrap()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("scope changed"), "{run}");
        bridge.clock.advance(DAY);
    }
    assert_eq!(bridge.journal().await.effects().len(), before);
    // A webhook takes nothing away meanwhile, and brings nobody in; nor does a run over one person.
    let path = format!("/organizations/birch/crm-users/{}", ids[0]);
    bridge.patch(&path, &json!({ "status": "disabled" })).await;
    bridge.webhook("crmplus", &bridge.event("user.deactivated", "birch", &ids[0])).await;
    let eve = json!({ "email": "eve@partner.example", "profile": "Partner" });
    let eve = bridge.add_with("birch", eve).await;
    bridge.announce("birch", &eve).await;
    bridge.settle().await;
    let one = bridge.resync(json!({ "organization": "birch", "user": eve })).await;
    bridge.announce("birch", &eve).await;
    bridge.settle().await;
    let one = bridge.admin(&format!("/runs/{one}")).await.body;
    assert_eq!((&one["state"], &one["hold"]), (&json!("held"), &json!("scope")), "{one}");
    assert_eq!(
        (bridge.portal_did("restrict").await, bridge.portal_did("add_external").await),
        (0, 4)
    );
    bridge.restart().await;
    bridge.work().await;
    assert_eq!(told(&bridge).await, 1, "once");
    // What is approved is what the plan says, and from then on runs apply: whom the scope does not
    // mean any more is restricted, and taken out later.
    let dry = bridge.plan().await;
    assert_eq!(lines(&dry["actions"]), []);
    let leaving =
        |plan: &Value| lines(&plan["held"]).iter().filter(|(verb, _)| verb == "restrict").count();
    assert_eq!(leaving(&dry), 4, "{dry}");
    let run = bridge.run_birch().await;
    assert_eq!(run["checksum"], dry["checksum"]);
    bridge.approved(&run).await;
    assert_eq!(
        (bridge.portal_did("restrict").await, bridge.portal_did("add_external").await),
        (4, 6)
    );
    assert_eq!(bridge.run_birch().await["state"], "done");
    assert_eq!(bridge.portal_did("remove_external").await, 0);
    bridge.clock.advance(DAY * 8);
    let late = bridge.run_birch().await;
    assert_eq!((&late["state"], &late["hold"]), (&json!("held"), &json!("guard")), "{late}");
    bridge.approved(&late).await;
    // Deactivated is not deleted: the fourth stays restricted.
    assert_eq!(bridge.portal_did("remove_external").await, 3);
    bridge.finish().await;
}

#[tokio::test]
async fn i10_i21_who_falls_out_of_the_scope_in_crm_leaves_and_comes_back() {
    let channels = format!("{}\n{}", mapped(&["ext"]), NARROW.replace("Partner", "Standard"));
    let bridge = Setup::demo().with("acme", &channels).world("acme", EXT).start().await;
    let (bo, cleo) =
        (bridge.add("acme", BO).await, bridge.add("acme", "cleo@partner.example").await);
    let acme = async |bridge: &Bridge| {
        bridge.resync(json!({ "organization": "acme" })).await;
        bridge.settle().await;
    };
    acme(&bridge).await;
    bridge.act(&format!("/organizations/acme/members/{BO}/accept"), &Value::Null).await;
    acme(&bridge).await;
    for id in [&bo, &cleo] {
        let path = format!("/organizations/acme/crm-users/{id}");
        bridge.patch(&path, &json!({ "profile": "Partner" })).await;
        bridge.webhook("crmplus", &bridge.event("user.updated", "acme", id)).await;
        bridge.settle().await;
        bridge.clock.advance(DAY * 2);
    }
    // Who was in is restricted, who was invited is not; neither keeps the channel.
    assert_eq!(bridge.cliq_row("acme", BO).await.unwrap()["status"], "inactive");
    assert!(bridge.cliq_row("acme", "cleo@partner.example").await.is_none());
    assert_eq!(bridge.invited("ext").await, Vec::<String>::new());
    let path = format!("/organizations/acme/crm-users/{bo}");
    bridge.patch(&path, &json!({ "profile": "Standard" })).await;
    acme(&bridge).await;
    assert_eq!(bridge.cliq_row("acme", BO).await.unwrap()["status"], "active");
    assert_eq!(bridge.mails(BO).await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i10_whoever_was_wanted_before_the_edit_is_still_added() {
    let standard = "scope = { include = { profile = [\"Standard\"] } }";
    let mut bridge = Setup::demo().with("birch", standard).start().await;
    bridge.joined_in_birch(&[]).await;
    bridge.admin_post("/pause", &json!({ "organization": "birch" })).await;
    let bo = bridge.added("birch", BO).await;
    bridge.settle().await;
    edited(&mut bridge, standard, "scope = { include = { domain = [\"partner.example\"] } }").await;
    bridge.webhook("crmplus", &bridge.event("user.updated", "birch", &bo)).await;
    bridge.settle().await;
    bridge.admin_post("/resume", &json!({ "organization": "birch" })).await;
    bridge.settle().await;
    assert_eq!((bridge.portal_did("add_external").await, bridge.mails(BO).await.len()), (1, 1));
    bridge.finish().await;
}

#[tokio::test]
async fn i10_a_channel_that_is_newly_mapped_invites_nobody_by_webhook() {
    let setup = Setup::demo().with("acme", &mapped(&[])).world("acme", EXT);
    let mut bridge = setup.start().await;
    let bo = bridge.added("acme", BO).await;
    bridge.settle().await;
    edited(&mut bridge, "channels = []", &mapped(&["ext"])).await;
    for _ in 0..2 {
        bridge.webhook("crmplus", &bridge.event("user.updated", "acme", &bo)).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.invited("ext").await, Vec::<String>::new());
    let run = bridge.resync(json!({ "organization": "acme" })).await;
    bridge.settle().await;
    let run = bridge.admin(&format!("/runs/{run}")).await.body;
    bridge.approved(&run).await;
    assert_eq!(bridge.invited("ext").await, [BO]);
    bridge.finish().await;
}

#[tokio::test]
async fn an_undone_change_needs_no_approval_and_the_order_of_tables_is_none() {
    let setup = Setup::demo().with("birch", "scope = { include = { profile = [\"Standard\"] } }");
    let mut bridge = setup.start().await;
    bridge.joined_in_birch(&partners(1)).await;
    let standard = "scope = { include = { profile = [\"Standard\"] } }";
    edited(&mut bridge, standard, NARROW).await;
    assert_eq!(bridge.run_birch().await["state"], "held");
    edited(&mut bridge, NARROW, standard).await;
    assert_eq!(bridge.run_birch().await["state"], "done");
    let (mail, same) =
        ("per_hour = 250\n", "scope = { include = { profile = [ \"Standard\", ] } }");
    edited(&mut bridge, standard, same).await;
    edited(&mut bridge, "[mail]\n", &format!("[mail]\n{mail}")).await;
    assert_eq!(bridge.run_birch().await["state"], "done");
    bridge.finish().await;
}

#[tokio::test]
async fn a_channel_that_is_mapped_no_more_loses_its_guests_by_approval_alone() {
    let channels = mapped(&["ext"]);
    let setup = Setup::demo().with("acme", &channels).world("acme", EXT);
    let mut bridge = setup.start().await;
    let bo = bridge.add("acme", BO).await;
    let acme = async |bridge: &Bridge| -> Value {
        let run = bridge.resync(json!({ "organization": "acme" })).await;
        bridge.settle().await;
        bridge.admin(&format!("/runs/{run}")).await.body
    };
    acme(&bridge).await;
    assert_eq!(bridge.invited("ext").await, [BO]);
    edited(&mut bridge, &channels, "").await;
    bridge.webhook("crmplus", &bridge.event("user.updated", "acme", &bo)).await;
    let run = acme(&bridge).await;
    assert_eq!(
        (&run["hold"], &bridge.invited("ext").await),
        (&json!("scope"), &vec![BO.to_owned()])
    );
    let plan = bridge.plan_of(json!({ "organization": "acme" })).await;
    assert_eq!(lines(&plan["held"]), [("channel_remove".to_owned(), BO.to_owned())]);
    bridge.approved(&run).await;
    assert_eq!(bridge.invited("ext").await, Vec::<String>::new());
    bridge.finish().await;
}

#[tokio::test]
async fn i11_an_empty_scope_means_nobody_and_is_refused_before_it_starts() {
    let mut bridge = Setup::demo().with("birch", NARROW).start().await;
    bridge.joined_in_birch(&[]).await;
    bridge.add("birch", BO).await;
    assert_eq!(bridge.run_birch().await["state"], "done");
    assert!(bridge.journal().await.effects().is_empty(), "nobody bound is nobody synced");
    let text = std::fs::read_to_string(&bridge.file).unwrap();
    for empty in
        ["scope = {}", "scope = { include = {} }", "scope = { include = { profile = [] } }"]
    {
        std::fs::write(&bridge.file, text.replace(NARROW, empty)).unwrap();
        let problems = cliqbridge::config::load(&bridge.file, None).unwrap_err().to_string();
        assert!(problems.contains("remove it to mirror every active user"), "{empty}: {problems}");
    }
    // Without any scope everybody is meant: that is a change, and is held.
    std::fs::write(&bridge.file, text.replace(NARROW, "")).unwrap();
    bridge.restart().await;
    let run = bridge.run_birch().await;
    assert_eq!((&run["hold"], rows(&run["held"]).count()), (&json!("scope"), 1), "{run}");
    assert!(bridge.journal().await.effects().is_empty());
    bridge.approved(&run).await;
    assert_eq!(bridge.portal_did("add_external").await, 1);
    bridge.finish().await;
}

#[tokio::test]
async fn i10_an_approval_is_bound_to_the_scope_that_was_looked_at() {
    let standard = "scope = { include = { profile = [\"Standard\"] } }";
    let other = "scope = { include = { profile = [\"Reseller\"] } }";
    let mut bridge = Setup::demo().with("birch", standard).start().await;
    bridge.joined_in_birch(&partners(2)).await;
    edited(&mut bridge, standard, NARROW).await;
    let first = bridge.run_birch().await;
    assert_eq!(first["hold"], "scope", "{first}");
    // Another edit, and nothing was planned since: nobody has looked at what it means.
    edited(&mut bridge, NARROW, other).await;
    let (id, checksum) = (first["run_id"].as_str().unwrap(), first["checksum"].as_str().unwrap());
    let refused = bridge.approve(id, checksum).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let why = refused.body["detail"].as_str().unwrap();
    assert!(why.contains("scope") && why.contains("resync"), "{why}");
    // It means the same for everybody now; and is another plan all the same.
    let second = bridge.run_birch().await;
    let of = async |run: &Value| {
        let path = format!("/runs/{}/plan", run["run_id"].as_str().unwrap());
        bridge.admin(&path).await.body
    };
    let (new, dry) = (of(&second).await, bridge.plan().await);
    assert_eq!((lines(&new["held"]), lines(&first["held"]).len()), (lines(&first["held"]), 2));
    assert_ne!(second["checksum"], first["checksum"]);
    assert_ne!((&second["scope"], &second["scope"]), (&first["scope"], &Value::Null));
    assert_eq!((&dry["checksum"], &dry["scope"]), (&second["checksum"], &second["scope"]));
    let refused = bridge.approve(id, checksum).await;
    assert_eq!((refused.status, &refused.body["newer_run_id"]), (409, &second["run_id"]));
    assert_eq!(bridge.portal_did("restrict").await, 0);
    bridge.approved(&second).await;
    assert_eq!(bridge.portal_did("restrict").await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn r18_an_approval_gives_the_licences_that_its_plan_has() {
    let before = "scope = { include = { profile = [\"Partner\"] } }\n\
                  assign_licence = { profile = [\"Reseller\"] }";
    let after = "scope = { include = { profile = [\"Partner\", \"Reseller\"] } }\n\
                 assign_licence = { profile = [\"Partner\"] }";
    let setup = Setup::demo().with("acme", before).people(crowd("acme", 3, "free"));
    let mut bridge = setup.start().await;
    bridge.adopted("acme").await;
    edited(&mut bridge, before, after).await;
    let run = bridge.run_over("acme").await;
    assert_eq!((&run["hold"], &run["counts"]["held"]), (&json!("scope"), &json!(3)), "{run}");
    let (id, checksum) = (run["run_id"].as_str().unwrap(), run["checksum"].as_str().unwrap());
    let approved = bridge.approve(id, checksum).await;
    assert_eq!((approved.status, &approved.body["changes"]), (200, &json!(3)), "{approved:?}");
    bridge.settle().await;
    assert_eq!(bridge.journal().await.portal_writes("assign_licence"), 3);
    assert_eq!(bridge.run_over("acme").await["state"], "done", "runs apply from now on");
    bridge.finish().await;
}

#[tokio::test]
async fn r9_who_joins_while_a_changed_scope_waits_for_its_approval_is_not_reminded() {
    let standard = "scope = { include = { profile = [\"Standard\"] } }";
    let mut bridge = Setup::demo().with("birch", standard).start().await;
    bridge.joined_in_birch(&[]).await;
    bridge.added("birch", BO).await;
    bridge.settle().await;
    edited(&mut bridge, standard, "scope = { include = { domain = [\"acme.example\"] } }").await;
    assert_eq!(bridge.run_birch().await["state"], "held");
    edited(
        &mut bridge,
        "scope = { include = { domain = [\"acme.example\"] } }",
        "scope = { include = { domain = [\"acme.example\", \"partner.example\"] } }",
    )
    .await;
    bridge.by_hand("birch", BO, "accept").await;
    for _ in 0..3 {
        let run = bridge.run_birch().await;
        assert_eq!(run["hold"], "scope", "{run}");
        bridge.wait_for(DAY).await;
    }
    assert_eq!((bridge.mails(BO).await.len(), bridge.state(BO).await.as_str()), (1, "joined"));
    bridge.settle().await;
    bridge.finish().await;
}
