//! What external users and administrators try, and what the product refuses them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, World, emails};

/// The demo's world; Birch has policies, integrations, a team and channels, Ada is external there,
/// Bo was invited.
fn world() -> World {
    let birch = r#"
mfa = true
policies = ["no downloads"]
allowed_ips = ["192.0.2.7"]
integrations = [{ name = "Desk", associated = true }, { name = "Payroll" }]
teams = [{ id = "1", name = "Design", members = ["cy@birch.example"] }]
channels = [
  { id = "T1", unique_name = "ext", name = "Ext", level = "external" },
  { id = "P1", unique_name = "in", name = "In", level = "private", members = ["ada@acme.example"] },
]
"#;
    let rows = r#"
[[cliq_users]]
organization = "birch"
email = "ada@acme.example"
status = "active"

[[cliq_users]]
organization = "birch"
email = "bo@partner.example"
status = "pending"
"#;
    let head = "id            = \"birch\"\n";
    let demo = include_str!("../../../config/sandbox/demo.toml");
    let toml = demo.replacen(head, &format!("{head}{birch}\n"), 1);
    let toml = toml.replace("cliq_plan     = \"free\"", "cliq_plan = \"paid\"");
    World::parse(&format!("{toml}{rows}")).unwrap()
}

impl Bench {
    async fn try_in_birch(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/sandbox/organizations/birch/{path}");
        self.ask(self.request(method, &path).body(body.to_string())).await
    }

    /// The rule that forbids it, or `null`.
    async fn rule(&self, path: &str, body: Value) -> Value {
        let (status, mut body) = self.try_in_birch(Method::POST, path, body).await;
        assert_eq!(status == 403, !body["rule"].is_null(), "{path}: {status} {body}");
        assert!(status < 300 || status == 403, "{path}: {status} {body}");
        body["rule"].take()
    }

    async fn can(&self, email: &str) -> Value {
        self.look(&format!("organizations/birch/members/{email}/capabilities")).await
    }

    async fn home_of(&self, email: &str, home: &str) {
        let path = format!("/sandbox/people/{email}");
        let body = json!({"home": home}).to_string();
        assert_eq!(self.ask(self.request(Method::PATCH, &path).body(body)).await.0, 204);
    }
}

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";
const CY: &str = "cy@birch.example";

#[tokio::test]
async fn r7_r25_r27_r31_administrators_are_refused() {
    let bench = Bench::with(world()).await;
    assert_eq!(bench.rule("admin-panel/users", json!({"email": BO})).await, "R7");
    assert_eq!(bench.rule("users-and-profiles", json!({"email": BO})).await, "R31");
    let member = |email: &str, act: &str| format!("members/{email}/{act}");
    let role = json!({"role": "Admin"});
    assert_eq!(bench.rule(&member(ADA, "role"), role.clone()).await, "R25");
    assert_eq!(bench.rule(&member(CY, "role"), role).await, Value::Null);
    let team = json!({"team": "Design"});
    assert_eq!(bench.rule(&member(ADA, "team"), team.clone()).await, "R27");
    assert_eq!(bench.rule(&member(CY, "team"), team).await, Value::Null);
    let counts = bench.counts().await;
    assert_eq!((&counts["refusals"], &counts["violations"]), (&json!(4), &json!(0)));
    let journal = bench.look("journal").await;
    let first = &journal["entries"][0];
    assert_eq!(
        (&first["kind"], &first["call"], &first["subject"]),
        (&json!("refused"), &json!("act.admin_panel.add"), &json!(BO))
    );
}

#[tokio::test]
async fn r1_nobody_gets_a_second_account() {
    let bench = Bench::with(world()).await;
    let add = |email: &str| json!({"email": email, "internal": true});
    assert_eq!(bench.rule("admin-panel/users", add(ADA)).await, "R1");
    assert_eq!(bench.can(ADA).await["class"], "external");
    assert_eq!(bench.rule("admin-panel/users", add("new@birch.example")).await, Value::Null);
    assert_eq!(bench.can("new@birch.example").await["class"], "internal");
}

#[tokio::test]
async fn r32_each_field_is_taken_or_refused_by_itself() {
    let bench = Bench::with(world()).await;
    let fields = json!({"department": "Sales", "display_name": "Ada L."});
    let edit = async |email: &str| {
        bench.try_in_birch(Method::PATCH, &format!("members/{email}"), fields.clone()).await.1
    };
    assert_eq!(edit(ADA).await, json!({"updated": ["display_name"], "refused": ["department"]}));
    assert_eq!(edit(CY).await["refused"], json!([]));
    let unknown = json!({"shoe_size": "41"});
    let path = format!("members/{ADA}");
    assert_eq!(bench.try_in_birch(Method::PATCH, &path, unknown).await.0, 400);
    let rows = bench.look("state").await["organizations"][1]["cliq_users"].take();
    let ada = rows.as_array().unwrap().iter().find(|row| row["email"] == ADA).unwrap();
    assert_eq!(ada["profile"], json!({"display_name": "Ada L."}));
}

#[tokio::test]
async fn r21_r23_r34_logins_are_bound_and_visible_for_internal_users_only() {
    let bench = Bench::with(world()).await;
    let login = async |email: &str, ip: &str, mfa: bool| {
        let body = json!({"organization": "birch", "ip": ip, "mfa": mfa});
        bench.ask(bench.post(&format!("/sandbox/people/{email}/login"), &body)).await.1
    };
    assert_eq!(login(CY, "192.0.2.7", false).await["rule"], "R21");
    assert_eq!(login(CY, "192.0.2.8", true).await["rule"], "R23");
    assert_eq!(login(CY, "192.0.2.7", true).await["allowed"], true);
    assert_eq!(login(ADA, "198.51.100.1", false).await["allowed"], true);
    assert_eq!(login(BO, "192.0.2.7", true).await["rule"], "R5");
    let activity = async |email: &str| {
        let path = format!("members/{email}/login-activity");
        bench.try_in_birch(Method::GET, &path, Value::Null).await
    };
    let (status, own) = activity(CY).await;
    assert_eq!((status, own["logins"].as_array().unwrap().len()), (200, 1));
    let (status, theirs) = activity(ADA).await;
    assert_eq!((status, &theirs["rule"]), (403, &json!("R34")));
    assert_eq!(bench.counts().await["refusals"], 4);
}

#[tokio::test]
async fn r5_r28_r35_r37_external_users_reach_nobody_outside() {
    let bench = Bench::with(world()).await;
    let chat = |email: &str| json!({"email": email});
    assert_eq!(bench.rule(&format!("members/{ADA}/chats"), chat(CY)).await, Value::Null);
    assert_eq!(bench.rule(&format!("members/{BO}/chats"), chat(CY)).await, "R5");
    let third = "x@third.example";
    assert_eq!(bench.rule(&format!("members/{ADA}/chats"), chat(third)).await, "R37");
    assert_eq!(bench.rule(&format!("members/{CY}/chats"), chat(third)).await, Value::Null);
    let contacts = format!("members/{ADA}/external-contacts");
    assert_eq!(bench.rule(&contacts, chat(third)).await, "R35");
    let at_home = json!({"email": third, "context": "home"});
    assert_eq!(bench.rule(&contacts, at_home.clone()).await, Value::Null, "C1");
    assert_eq!(bench.rule(&format!("members/{BO}/chats"), at_home).await, "Z20");
    let channel = |by: &str, level: &str| json!({"by": by, "unique_name": format!("{level}new"), "level": level});
    assert_eq!(bench.rule("channels", channel(ADA, "team")).await, "R28");
    assert_eq!(bench.rule("channels", channel(ADA, "external")).await, "R37");
    assert_eq!(bench.rule("channels", channel(ADA, "private")).await, Value::Null, "R33");
    assert_eq!(bench.rule("channels", channel(BO, "private")).await, "R5");
    assert_eq!(bench.rule("channels", channel(CY, "external")).await, Value::Null);
    let post = |by: &str| json!({"by": by, "text": "hello"});
    assert_eq!(bench.rule("channels/in/posts", post(ADA)).await, Value::Null);
    assert_eq!(bench.rule("channels/in/posts", post(BO)).await, "R5");
}

#[tokio::test]
async fn r20_r38_the_page_says_what_external_users_cannot_do() {
    let bench = Bench::with(world()).await;
    let ada = bench.can(ADA).await;
    assert_eq!(
        (&ada["class"], &ada["tag"], &ada["home"]),
        (&json!("external"), &json!("External User"), &json!("acme"))
    );
    for (verb, rule) in [
        ("remote_work", "R26"),
        ("join_team", "R27"),
        ("create_team_channel", "R28"),
        ("add_external_contact", "R35"),
        ("add_to_external_channel", "R36"),
        ("start_chat_with_third_org", "R37"),
    ] {
        assert_eq!(ada["verbs"][verb], json!({"allowed": false, "rule": rule}));
    }
    assert_eq!(ada["verbs"]["chat"]["allowed"], true);
    assert_eq!(ada["verbs"]["switch_organization"]["allowed"], true);
    for part in ["mfa", "policies", "allowed_ips"] {
        assert_eq!(ada["configurations"][part]["applies"], false);
    }
    let powers = &ada["administrator"];
    assert_eq!(powers["change_role"], json!({"allowed": false, "rule": "R25"}));
    assert_eq!(powers["view_sessions"], json!({"allowed": false, "rule": "R34"}));
    assert_eq!(powers["restrict"], json!({"allowed": true, "rule": "R15"}));
    assert_eq!(
        (&powers["edit_fields"]["department"], &powers["edit_fields"]["display_name"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(ada["visible_to_administrators"], json!(["profile", "channels"]), "R33");
    assert_eq!(ada["integrations"], json!(["Desk"]), "R30");
    let cy = bench.can(CY).await;
    assert_eq!((&cy["tag"], &cy["integrations"]), (&Value::Null, &json!(["Desk", "Payroll"])));
    assert_eq!(cy["verbs"]["join_team"]["allowed"], true);
    let bo = bench.can(BO).await;
    assert_eq!(bo["verbs"]["chat"], json!({"allowed": false, "rule": "R5"}));
    assert_eq!(bo["integrations"], json!([]));
    let gone = json!({"integrations": [{"name": "Desk"}]});
    assert_eq!(bench.try_in_birch(Method::PATCH, "", gone).await.0, 204);
    assert_eq!(bench.can(ADA).await["integrations"], json!([]));
}

#[tokio::test]
async fn c1_a_guest_has_verbs_at_home_only() {
    let bench = Bench::with(world()).await;
    let token = bench.token("birch").await;
    let add = bench.post("/api/v2/channels/T1/members", &json!({"email_ids": [ADA]}));
    assert_eq!(bench.ask(add.bearer_auth(&token)).await.0, 204);
    assert_eq!(bench.act(&format!("organizations/birch/channels/ext/accept/{ADA}")).await, 204);
    let open = json!({"add_participant": {"member": true}});
    bench.try_in_birch(Method::PATCH, "channels/ext", open).await;
    let ada = bench.can(ADA).await;
    assert_eq!(ada["verbs"]["add_to_external_channel"]["allowed"], false);
    assert_eq!(ada["at_home"]["add_to_external_channel"]["ext"]["allowed"], true);
    assert_eq!(bench.act(&format!("organizations/birch/members/{ADA}/remove")).await, 204);
    assert_eq!(bench.can(ADA).await["class"], Value::Null);
}

#[tokio::test]
async fn r39_r40_the_switcher_lists_the_home_and_what_was_joined() {
    let bench = Bench::with(world()).await;
    let listed = async |email: &str| {
        let switcher = bench.look(&format!("people/{email}/switcher")).await;
        let rows = switcher["organizations"].as_array().unwrap().clone();
        rows.iter().map(|row| format!("{} {}", row["organization"], row["relation"])).collect()
    };
    let ada: Vec<String> = listed(ADA).await;
    assert_eq!(ada, ["\"acme\" \"home\"", "\"birch\" \"external\""]);
    let bo: Vec<String> = listed(BO).await;
    assert!(bo.is_empty(), "pending hosts are not in it");
    bench.act(&format!("organizations/birch/members/{BO}/accept")).await;
    let bo: Vec<String> = listed(BO).await;
    assert_eq!(bo, ["\"elsewhere\" \"home\"", "\"birch\" \"external\""]);
}

#[tokio::test]
async fn r29_r6_a_row_can_hide_its_class() {
    let bench = Bench::with(world()).await;
    let token = bench.token("birch").await;
    let shown = async || {
        let (_, mut row) = bench.get(&format!("/api/v2/users/{ADA}"), &token).await;
        row["data"].take()
    };
    assert_eq!(shown().await["organization_id"], "631836344");
    let marker = format!("members/{ADA}/marker");
    bench.rule(&marker, json!({"marker": "hidden"})).await;
    let row = shown().await;
    for field in ["organization_id", "zoid", "user_type"] {
        assert!(row.get(field).is_none(), "{row}");
    }
    bench.rule(&marker, json!({"marker": "internal"})).await;
    assert_eq!(shown().await["organization_id"], "745120981");
    assert_eq!(bench.can(ADA).await["class"], "external", "it is a lie");
}

#[tokio::test]
async fn g6_g11_the_home_moves() {
    let bench = Bench::with(world()).await;
    bench.home_of(ADA, "birch").await;
    let ada = bench.can(ADA).await;
    assert_eq!((&ada["class"], &ada["home"]), (&json!("internal"), &json!("birch")));
    let acme = bench.token("acme").await;
    assert_eq!(emails(&bench.get("/api/v2/users", &acme).await.1), ["admin@acme.example"]);
    bench.home_of(CY, "none").await;
    let cy = bench.can(CY).await;
    assert_eq!((&cy["class"], &cy["home"]), (&Value::Null, &Value::Null));
    let team = &bench.look("state").await["organizations"][1]["teams"][0];
    assert_eq!(team["members"], json!([]), "and with it the team");
}

#[tokio::test]
async fn g2_an_address_changes_in_cliq_and_the_crm() {
    let bench = Bench::with(world()).await;
    let path = format!("/sandbox/people/{ADA}");
    let to = |email: &str| json!({"email": email}).to_string();
    let taken = bench.request(Method::PATCH, &path).body(to(CY));
    assert_eq!(bench.ask(taken).await.0, 409);
    let moved = bench.request(Method::PATCH, &path).body(to("ada.l@acme.example"));
    assert_eq!(bench.ask(moved).await.0, 204);
    let acme = bench.token("acme").await;
    let (_, crm) = bench.get("/crm/v8/users/554023000000691", &acme).await;
    assert_eq!(crm["users"][0]["email"], "ada.l@acme.example");
    let (_, row) = bench.get("/api/v2/users/163315760", &acme).await;
    assert_eq!(row["data"]["email_id"], "ada.l@acme.example");
    assert_eq!(bench.can("ada.l@acme.example").await["class"], "external");
}
