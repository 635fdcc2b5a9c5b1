//! Plans, pools and licences; invitations that lapse, and people who decline too often.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, World, emails};

/// The demo's world with more lines in Birch's table and more tables at the end.
fn world(birch: &str, tables: &str) -> World {
    let head = "id            = \"birch\"\n";
    let demo = include_str!("../../../config/sandbox/demo.toml");
    let toml = demo.replacen(head, &format!("{head}{birch}\n"), 1);
    World::parse(&format!("{toml}\n{tables}")).unwrap()
}

fn paid(birch: &str) -> World {
    let demo = include_str!("../../../config/sandbox/demo.toml");
    let (head, plan) = ("id            = \"birch\"\n", "cliq_plan     = \"free\"");
    let toml = demo.replacen(head, &format!("{head}{birch}\n"), 1);
    World::parse(&toml.replace(plan, "cliq_plan = \"paid\"")).unwrap()
}

impl Bench {
    async fn change(&self, organization: &str, body: Value) -> u16 {
        let path = format!("/sandbox/organizations/{organization}");
        self.ask(self.request(Method::PATCH, &path).body(body.to_string())).await.0
    }

    async fn birch(&self) -> Value {
        self.look("state").await["organizations"][1].take()
    }

    /// Adds a CRM user to Birch and asks the portal for an external user.
    async fn joins(&self, email: &str) -> String {
        let id = self.add_crm_user("birch", email).await;
        let key = format!("add {id}");
        let (_, done) = self.ask(self.portal("add_external", &id, email, &key)).await;
        assert_eq!(done["status"], "done", "{done}");
        id
    }

    async fn word(&self, operation: &str, id: &str, email: &str, key: &str) -> Value {
        let (_, mut answer) = self.ask(self.portal(operation, id, email, key)).await;
        if answer["code"].is_null() { answer["status"].take() } else { answer["code"].take() }
    }
}

#[tokio::test]
async fn r18_r19_an_external_user_takes_a_seat_while_there_is_one() {
    let bench = Bench::with(paid("paid_licences = 3")).await;
    let token = bench.token("birch").await;
    let (ada, bo) = ("ada@acme.example", "bo@partner.example");
    let first = bench.joins(ada).await;
    let second = bench.joins(bo).await;
    let listed = async |plan: &str| {
        let path = format!("/api/v2/users?status=pending&plan_type={plan}");
        bench.get(&path, &token).await.1
    };
    assert_eq!(emails(&listed("paid").await), [ada]);
    assert_eq!(emails(&listed("free").await), [bo], "the two internal users have the others");
    assert_eq!(bench.birch().await["licences"], json!({"pool": 3, "used": 3}));
    assert_eq!(bench.word("assign_licence", &second, bo, "a").await, "no_licence");
    let by_hand = |email: &str, act: &str| format!("organizations/birch/members/{email}/{act}");
    assert_eq!(bench.act(&by_hand(bo, "assign-licence")).await, 403);
    assert_eq!(bench.word("revoke_licence", &first, ada, "b").await, "done");
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 4, "nobody went");
    assert_eq!(bench.act(&by_hand(bo, "assign-licence")).await, 204);
    assert_eq!(bench.word("assign_licence", &second, bo, "c").await, "already");
    assert_eq!(bench.change("birch", json!({"paid_licences": 4})).await, 204);
    assert_eq!(bench.word("assign_licence", &first, ada, "d").await, "done");
    assert_eq!(bench.change("birch", json!({"paid_licences": 2})).await, 204);
    assert!(emails(&listed("paid").await).is_empty(), "external users lose theirs first");
    let (_, own) = bench.get("/api/v2/users?plan_type=paid", &token).await;
    assert_eq!(emails(&own).len(), 2);
    assert_eq!(bench.act(&by_hand("cy@birch.example", "revoke-licence")).await, 204);
    assert_eq!(bench.act(&by_hand("nobody@x.example", "revoke-licence")).await, 404);
}

#[tokio::test]
async fn z16_administrators_are_served_first() {
    let bench = Bench::with(paid("paid_licences = 1")).await;
    let token = bench.token("birch").await;
    let (_, own) = bench.get("/api/v2/users?plan_type=paid", &token).await;
    assert_eq!(emails(&own), ["admin@birch.example"]);
}

#[tokio::test]
async fn g7_g8_a_change_of_the_cliq_plan_gives_external_users_nothing() {
    let bench = Bench::with(paid("")).await;
    let token = bench.token("birch").await;
    bench.joins("ada@acme.example").await;
    let paid = async |status: &str| {
        let path = format!("/api/v2/users?plan_type=paid&status={status}");
        emails(&bench.get(&path, &token).await.1).len()
    };
    assert_eq!((paid("active").await, paid("pending").await), (2, 1));
    bench.change("birch", json!({"paid_type": "free"})).await;
    assert_eq!((paid("active").await, paid("pending").await), (2, 0), "R17");
    bench.change("birch", json!({"paid_type": "crmplus"})).await;
    assert_eq!((paid("active").await, paid("pending").await), (2, 0), "G7");
    bench.change("birch", json!({"cliq_plan": "free"})).await;
    assert_eq!((paid("active").await, paid("pending").await), (0, 0));
    bench.change("birch", json!({"cliq_plan": "paid"})).await;
    assert_eq!((paid("active").await, paid("pending").await), (2, 0));
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn r13_r14_a_downgrade_on_the_free_plan_changes_nobody() {
    let bench = Bench::new().await;
    bench.joins("ada@acme.example").await;
    let before = bench.birch().await["cliq_users"].clone();
    bench.change("birch", json!({"paid_type": "free", "users_license_purchased": 3})).await;
    assert_eq!(bench.birch().await["cliq_users"], before);
    let token = bench.token("birch").await;
    let (_, org) = bench.get("/crm/v8/org", &token).await;
    let details = &org["org"][0]["license_details"];
    assert_eq!((&details["paid"], &details["users_license_purchased"]), (&json!(false), &json!(3)));
}

#[tokio::test]
async fn g13_crm_plus_adds_nobody_without_a_licence() {
    let bench = Bench::with(world("crm_licences = 1", "")).await;
    bench.joins("ada@acme.example").await;
    let bo = bench.add_crm_user("birch", "bo@partner.example").await;
    let add = async |key| bench.word("add_external", &bo, "bo@partner.example", key).await;
    assert_eq!(add("a").await, "no_licence");
    assert_eq!(bench.birch().await["crm_licences"], json!({"pool": 1, "used": 1}));
    bench.change("birch", json!({"crm_licences": 2})).await;
    assert_eq!(add("b").await, "done");

    // What propagates by itself waits as well.
    let bench = Bench::with(world("crm_licences = 0\npropagate = true", "")).await;
    bench.add_crm_user("birch", "bo@partner.example").await;
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 2);
    bench.change("birch", json!({"crm_licences": 1})).await;
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn z1_g4_a_pending_row_vanishes_after_its_days() {
    let bench = Bench::with(world("invitation_days = 7", "")).await;
    let (ada, bo) = ("ada@acme.example", "bo@partner.example");
    let id = bench.joins(ada).await;
    bench.joins(bo).await;
    assert_eq!(bench.act(&format!("organizations/birch/members/{bo}/accept")).await, 204);
    bench.clock.advance(Duration::from_hours(7 * 24) - Duration::from_secs(1));
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 4);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.birch().await["cliq_users"].as_array().unwrap().len(), 3, "Bo joined");
    assert_eq!(bench.act(&format!("organizations/birch/members/{ada}/accept")).await, 409);
    let journal = bench.look("journal").await;
    let lapsed = journal["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&lapsed["call"], &lapsed["subject"], &lapsed["kind"]),
        (&json!("crmplus.invitation.lapsed"), &json!(ada), &json!("act"))
    );
    assert_eq!(bench.word("add_external", &id, ada, "again").await, "done", "a fresh invitation");
}

#[tokio::test]
async fn z5_whoever_declined_too_often_is_blocked() {
    let tables = "[[declines]]\norganization = 'birch'\nemail = 'ada@acme.example'\ntimes = 2\n";
    let bench = Bench::with(world("", tables)).await;
    let ada = "ada@acme.example";
    let id = bench.add_crm_user("birch", ada).await;
    assert_eq!(bench.word("add_external", &id, ada, "a").await, "done", "added anew");
    assert_eq!(bench.act("organizations/birch/members/ada@acme.example/decline").await, 204);
    assert_eq!(bench.word("add_external", &id, ada, "b").await, "blocked");
    let path = format!("/sandbox/organizations/birch/crm-users/{id}");
    bench.ask(bench.request(Method::DELETE, &path)).await;
    let id = bench.add_crm_user("birch", ada).await;
    assert_eq!(bench.word("add_external", &id, ada, "c").await, "blocked", "even added anew");
    let birch = bench.birch().await;
    assert_eq!((&birch["blocked"], &birch["declines"]), (&json!([ada]), &json!({ada: 3})));
}

#[tokio::test]
async fn g17_a_pending_invitation_outlives_the_crm_user() {
    let bench = Bench::new().await;
    let id = bench.joins("ada@acme.example").await;
    let path = format!("/sandbox/organizations/birch/crm-users/{id}");
    assert_eq!(bench.ask(bench.request(Method::DELETE, &path)).await.0, 204);
    assert_eq!(bench.act("organizations/birch/members/ada@acme.example/accept").await, 204);
    let token = bench.token("birch").await;
    assert!(emails(&bench.get("/api/v2/users", &token).await.1).contains(&"ada@acme.example"));
    assert_eq!(bench.word("remove_external", &id, "ada@acme.example", "r").await, "done");
}
