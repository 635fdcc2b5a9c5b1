//! The shipped world with every corner of the rules: it parses, serves, and has the corners.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Bench, World};

const RULES: &str = include_str!("../../../config/sandbox/rules.toml");

fn find<'a>(rows: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = rows.as_array().unwrap().iter().find(|row| row[key] == value);
    found.unwrap_or_else(|| panic!("no {value} in {rows}"))
}

#[tokio::test]
async fn the_world_of_rules_has_every_corner() {
    let bench = Bench::with(World::parse(RULES).unwrap()).await;
    let state = bench.look("state").await;
    let acme = find(&state["organizations"], "id", "acme");
    assert_eq!(acme["licences"]["pool"], 6);
    assert!(acme["licences"]["used"].as_u64() <= Some(6), "{}", acme["licences"]);
    assert_eq!(acme["external_channels"], json!({"count": 6, "quota": 30}));
    assert_eq!(acme["blocked"], json!(["rex@partner.example"]));
    let mut levels: BTreeMap<&str, u32> = BTreeMap::new();
    for channel in acme["channels"].as_array().unwrap() {
        *levels.entry(channel["level"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(
        levels.keys().copied().collect::<Vec<_>>(),
        ["external", "organization", "private", "team"]
    );
    let shared: Vec<&Value> = acme["crm_users"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["email"] == "shared@fir.example")
        .map(|row| &row["zuid"])
        .collect();
    assert_eq!(shared, [&json!("163316008"), &json!("163316009")], "G9");
    let dune = find(&state["organizations"], "id", "dune");
    assert_eq!(find(&dune["cliq_users"], "email", "admin@dune.example")["class"], "external");
    let birch = find(&state["organizations"], "id", "birch");
    assert_eq!(birch["external_channels"], json!({"count": 1, "quota": 0}));
    let cases: Vec<&str> = ["dee@elm.example", "oz@palm.example", "bo@partner.example"].to_vec();
    let token = bench.token("acme").await;
    let add = bench.post(
        "/api/v2/channels/T4000000000001/members",
        &json!({"email_ids": cases.iter().chain(&["eli@elm.example"]).collect::<Vec<_>>()}),
    );
    assert_eq!(bench.ask(add.bearer_auth(&token)).await.0, 204);
    let open = bench.look("channel-invitations").await["invitations"].take();
    let mut seen: Vec<&str> =
        open.as_array().unwrap().iter().map(|row| row["case"].as_str().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["cliq_user", "no_account", "no_cliq", "policy_off"], "Z20");
    let page = bench.client.get(format!("{}/sandbox", bench.url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("Cedar &amp; Sons") && page.contains("#extsupport"), "{page}");
}

#[tokio::test]
async fn the_crm_lists_by_type() {
    let bench = Bench::with(World::parse(RULES).unwrap()).await;
    let token = bench.token("acme").await;
    let listed = async |kind: &str| -> Vec<String> {
        let (_, body) = bench.get(&format!("/crm/v8/users?type={kind}"), &token).await;
        let rows = body["users"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect()
    };
    let admin = "admin@acme.example";
    for kind in ["CurrentUser", "AdminUsers", "ActiveConfirmedAdmins"] {
        assert_eq!(listed(kind).await, [admin], "{kind}");
    }
    assert_eq!(listed("DeactiveUsers").await, ["tia@partner.example"]);
    assert_eq!(listed("NotConfirmedUsers").await, ["sam@partner.example"]);
    assert_eq!(listed("DeletedUsers").await, Vec::<String>::new());
    let all = listed("AllUsers").await.len();
    assert_eq!(listed("ActiveUsers").await.len(), all - 1);
    assert_eq!(listed("ConfirmedUsers").await.len(), all - 1);
    assert_eq!(listed("ActiveConfirmedUsers").await.len(), all - 2);
    let tia = bench
        .request(reqwest::Method::DELETE, "/sandbox/organizations/acme/crm-users/554023000000717");
    bench.ask(tia).await;
    assert_eq!(listed("DeletedUsers").await, ["tia@partner.example"]);
    assert_eq!(listed("AllUsers").await.len(), all - 1);
}

#[test]
fn r27_a_world_with_an_external_user_in_a_team_is_refused() {
    let team = r#"members = ["ada@acme.example"] },"#;
    assert!(RULES.contains(team));
    let wrong = RULES.replacen(team, r#"members = ["dee@elm.example"] },"#, 1);
    let error = World::parse(&wrong).unwrap_err().to_string();
    assert!(error.contains("R27") && error.contains("dee@elm.example"), "{error}");
}
