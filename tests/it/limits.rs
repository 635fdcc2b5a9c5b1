//! What an external user cannot do, as Cliq refuses it, as the API says it, and as the bridge never
//! tries it (R6, R7, R20 to R38).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::harness::rows;
use super::support::{Answer, Bridge, Journal, Setup};

const ADA: &str = "ada@acme.example";
const BO: &str = "bo@partner.example";

/// The calls that the bridge makes, all of them. There is none that adds to an organization, sets a
/// role, a team, a profile field or a configuration.
const CALLS: [&str; 15] = [
    "oauth.token",
    "crm.users.list",
    "crm.users.get",
    "crm.org",
    "cliq.users.list",
    "cliq.users.get",
    "cliq.channels.list",
    "cliq.channels.get",
    "cliq.members.get",
    "cliq.members.add",
    "cliq.members.remove",
    "cliq.channel.message",
    "cliq.bots.message",
    "cliq.bots.subscribers",
    "portal",
];

/// Calls over HTTP that are none of these.
fn others(journal: &Journal) -> Vec<&Value> {
    let called = journal
        .0
        .iter()
        .filter(|e| !["act", "mail", "refused"].contains(&e["kind"].as_str().unwrap()));
    called.filter(|e| !CALLS.contains(&e["call"].as_str().unwrap())).collect()
}

/// Bo and Ada, joined in Birch, whose Cliq demands MFA, policies and addresses of its own people.
async fn joined() -> Bridge {
    let policies = "mfa = true\npolicies = [\"no downloads\"]\nallowed_ips = [\"192.0.2.7\"]\n\
                    integrations = [{ name = \"Zoho Desk\", associated = true }, { name = \"Payroll\" }]\n\
                    teams = [{ id = \"1\", name = \"Sales\", members = [] }]";
    let bridge = Setup::demo().world("birch", policies).start().await;
    for email in [ADA, BO] {
        bridge.added("birch", email).await;
    }
    bridge.settle().await;
    for email in [ADA, BO] {
        act(&bridge, &format!("members/{email}/accept"), &Value::Null).await;
    }
    resynced(&bridge).await;
    bridge
}

async fn resynced(bridge: &Bridge) -> Value {
    let id = bridge.resync(json!({ "organization": "birch" })).await;
    bridge.settle().await;
    bridge.admin(&format!("/runs/{id}")).await.body
}

/// What somebody does by hand in Birch.
async fn act(bridge: &Bridge, path: &str, body: &Value) -> Value {
    bridge.act(&format!("/organizations/birch/{path}"), body).await
}

/// What somebody tries there, which the product refuses by this rule.
async fn refused(bridge: &Bridge, path: &str, body: &Value, rule: &str) {
    let answer: Answer = bridge.try_act(&format!("/organizations/birch/{path}"), body).await;
    assert_eq!((answer.status, &answer.body["rule"]), (403, &json!(rule)), "{path}: {answer:?}");
}

async fn capabilities(bridge: &Bridge, email: &str) -> Value {
    bridge.sandbox(&format!("/organizations/birch/members/{email}/capabilities")).await
}

async fn limits(bridge: &Bridge) -> BTreeMap<String, Value> {
    let body = bridge.admin("/limits").await.body;
    let all = rows(&body["items"]).chain(rows(&body["surface_only"]));
    all.map(|limit| (limit["rule"].as_str().unwrap().to_owned(), limit.clone())).collect()
}

/// Nothing was written since, and the next run has nothing to do.
async fn settled(bridge: Bridge, before: usize) {
    let run = resynced(&bridge).await;
    assert_eq!((&run["counts"]["changed"], &run["counts"]["invitations"]), (&json!(0), &json!(0)));
    let journal = bridge.journal().await;
    assert_eq!(journal.effects().len(), before);
    assert_eq!(others(&journal), Vec::<&Value>::new());
    bridge.finish().await;
}

#[tokio::test]
async fn r7_r31_nobody_is_added_in_a_panel_neither_by_hand_nor_by_the_bridge() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let newcomer = json!({ "email": "newcomer@partner.example" });
    refused(&bridge, "admin-panel/users", &newcomer, "R7").await;
    refused(&bridge, "users-and-profiles", &newcomer, "R31").await;
    assert_eq!(bridge.cliq_row("birch", "newcomer@partner.example").await, None);
    settled(bridge, before).await;
}

#[tokio::test]
async fn r1_whoever_has_a_home_gets_no_second_account() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let ada = json!({ "email": ADA, "internal": true });
    refused(&bridge, "admin-panel/users", &ada, "R1").await;
    settled(bridge, before).await;
}

#[tokio::test]
async fn r20_r21_r22_r23_who_is_outside_the_hosts_policies_is_listed_and_nothing_is_pushed() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    // Cy, Birch's own, is bound; Bo and Ada are not.
    let login = async |email: &str, ip: &str, mfa: bool| {
        let wish = json!({ "organization": "birch", "ip": ip, "mfa": mfa });
        bridge.act(&format!("/people/{email}/login"), &wish).await
    };
    assert_eq!(login("cy@birch.example", "192.0.2.7", false).await["rule"], "R21");
    assert_eq!(login("cy@birch.example", "198.51.100.1", true).await["rule"], "R23");
    for email in [ADA, BO] {
        assert_eq!(login(email, "198.51.100.1", false).await["allowed"], true);
        let can = capabilities(&bridge, email).await;
        assert_eq!(can["configurations"]["policies"]["applies"], false);
    }
    let list = bridge.admin("/compliance?organization=birch").await.body;
    let listed: Vec<&Value> = rows(&list["items"]).map(|row| &row["email"]).collect();
    assert_eq!(listed, [ADA, BO]);
    let rules: Vec<&Value> =
        rows(&list["items"][0]["not_applicable"]).map(|rule| &rule["rule"]).collect();
    assert_eq!(rules, ["R20", "R21", "R22", "R23"]);
    // In pages, and by organization.
    let first = bridge.admin("/compliance?limit=1").await.body;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = bridge.admin(&format!("/compliance?limit=1&cursor={cursor}")).await.body;
    assert_eq!((&second["items"][0]["email"], &second["next_cursor"]), (&json!(BO), &Value::Null));
    assert_eq!(bridge.admin("/compliance?organization=acme").await.body["items"], json!([]));
    assert_eq!(bridge.admin("/compliance?organization=oak").await.status, 404);
    // The host's configuration changes: no write for anybody outside it.
    bridge.patch("/organizations/birch", &json!({ "mfa": false, "policies": [] })).await;
    assert!(limits(&bridge).await["R21"]["text"].as_str().unwrap().contains("Surface only"));
    settled(bridge, before).await;
}

#[tokio::test]
async fn r24_r25_a_role_in_crm_is_no_role_in_cliq() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let role = capabilities(&bridge, BO).await["role"].clone();
    refused(&bridge, &format!("members/{BO}/role"), &json!({ "role": "Admin" }), "R25").await;
    let id = bridge.membership("birch", BO).await["crm_user_id"].clone();
    let path = format!("/organizations/birch/crm-users/{}", id.as_str().unwrap());
    bridge.patch(&path, &json!({ "role": "Sales Head", "profile": "Administrator" })).await;
    bridge.webhook("crmplus", &bridge.event("user.updated", "birch", id.as_str().unwrap())).await;
    bridge.settle().await;
    assert_eq!(capabilities(&bridge, BO).await["role"], role);
    assert_eq!(limits(&bridge).await["R24"]["kind"], "surface_only");
    settled(bridge, before).await;
}

#[tokio::test]
async fn r26_r30_r37_what_they_do_not_see_or_reach_is_told() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let can = capabilities(&bridge, BO).await;
    assert_eq!(can["verbs"]["remote_work"]["allowed"], false);
    assert_eq!(can["integrations"], json!(["Zoho Desk"]), "the associated one only");
    assert_eq!(can["verbs"]["start_chat_with_third_org"]["allowed"], false);
    let limits = limits(&bridge).await;
    assert_eq!(
        (&limits["R26"]["kind"], &limits["R37"]["kind"]),
        (&json!("cannot"), &json!("cannot"))
    );
    assert_eq!(limits["R30"]["kind"], "surface_only");
    // The association goes: the bridge has nothing to do with it.
    let integrations = json!([{ "name": "Zoho Desk", "associated": false }]);
    bridge.patch("/organizations/birch", &json!({ "integrations": integrations })).await;
    assert_eq!(capabilities(&bridge, BO).await["integrations"], json!([]));
    settled(bridge, before).await;
}

#[tokio::test]
async fn r27_r28_no_team_and_no_team_channel() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    refused(&bridge, &format!("members/{BO}/team"), &json!({ "team": "Sales" }), "R27").await;
    let channel = json!({ "by": BO, "unique_name": "ours", "level": "team" });
    refused(&bridge, "channels", &channel, "R28").await;
    let limits = limits(&bridge).await;
    assert!(limits["R27"]["text"].as_str().unwrap().contains("never mapped"), "{limits:?}");
    settled(bridge, before).await;
}

#[tokio::test]
async fn r6_r29_without_the_marker_nobody_is_touched() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let id = bridge.membership("birch", BO).await["crm_user_id"].clone();
    for marker in ["hidden", "internal"] {
        act(&bridge, &format!("members/{BO}/marker"), &json!({ "marker": marker })).await;
        // Deactivated and deleted in CRM: every reason to restrict an external user.
        for status in ["inactive", "deleted", "active"] {
            let path = format!("/organizations/birch/crm-users/{}", id.as_str().unwrap());
            bridge.patch(&path, &json!({ "status": status })).await;
            resynced(&bridge).await;
        }
        assert_eq!(bridge.journal().await.effects().len(), before, "{marker}");
        assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["status"], "active", "{marker}");
        act(&bridge, &format!("members/{BO}/marker"), &json!({ "marker": "shown" })).await;
    }
    let person = bridge.admin(&format!("/people/{ADA}")).await.body;
    assert_eq!(person["hosts"][0]["tag"], "External User");
    assert_eq!(capabilities(&bridge, ADA).await["tag"], "External User");
    bridge
        .finish_with_leftovers("Bo was internal by Cliq's word for a while, and is released")
        .await;
}

#[tokio::test]
async fn r32_r33_r34_fields_and_logins_are_not_read_nor_written() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let fields = json!({ "department": "Sales", "display_name": "Bo" });
    let path = format!("/organizations/birch/members/{BO}");
    let answer = bridge.patch(&path, &fields).await;
    assert_eq!(answer, json!({ "updated": ["display_name"], "refused": ["department"] }));
    let can = capabilities(&bridge, BO).await;
    assert_eq!(can["visible_to_administrators"], json!(["profile", "channels"]));
    let activity = format!("/organizations/birch/members/{BO}/login-activity");
    let answer = bridge.look(&activity).await;
    assert_eq!((answer.status, &answer.body["rule"]), (403, &json!("R34")));
    let limits = limits(&bridge).await;
    assert_eq!(limits["R32"]["kind"], "surface_only");
    for rule in ["R33", "R34"] {
        assert_eq!(limits[rule]["kind"], "admin_cannot_see");
    }
    settled(bridge, before).await;
}

#[tokio::test]
async fn r35_r36_they_bring_in_nobody_from_the_host() {
    let bridge = joined().await;
    let before = bridge.journal().await.effects().len();
    let third = json!({ "email": "third@elsewhere.example" });
    refused(&bridge, &format!("members/{BO}/external-contacts"), &third, "R35").await;
    refused(&bridge, &format!("members/{BO}/chats"), &third, "R37").await;
    let can = capabilities(&bridge, BO).await;
    assert_eq!(can["verbs"]["add_to_external_channel"], json!({ "allowed": false, "rule": "R36" }));
    settled(bridge, before).await;
}

#[tokio::test]
async fn r38_an_unknown_refusal_parks_one_person_with_its_cause_and_is_not_repeated() {
    let bridge = Setup::demo().start().await;
    let refusal = json!({ "status": "refused", "code": "external_not_allowed",
                          "message": "External users cannot do that." });
    let fault = json!({ "kind": "status", "status": 200, "body": refusal });
    bridge.fault("portal", json!({}), fault).await;
    bridge.added("birch", BO).await;
    bridge.added("birch", ADA).await;
    bridge.settle().await;
    for _ in 0..10 {
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
    }
    let rows_of = bridge.admin("/memberships?organization=birch").await.body;
    let parked: Vec<&Value> =
        rows(&rows_of["items"]).filter(|row| !row["parked"].is_null()).collect();
    let [one] = parked.as_slice() else { panic!("{rows_of}") };
    assert!(one["parked"].as_str().unwrap().contains("external_not_allowed"), "{one}");
    let journal = bridge.journal().await;
    assert_eq!(journal.calls("birch", "portal"), 2, "one each, no storm");
    assert!(limits(&bridge).await["R38"]["text"].as_str().unwrap().contains("parked"));
    bridge.finish().await;
}

#[tokio::test]
async fn r20_to_r38_every_limit_is_served_once_and_what_no_api_tells_says_so() {
    let bridge = Setup::demo().start().await;
    let limits = limits(&bridge).await;
    for number in 20..=38 {
        assert!(limits.contains_key(&format!("R{number}")), "R{number}");
    }
    for rule in ["R21", "R24", "R30", "R32", "R46", "R58"] {
        assert!(limits[rule]["text"].as_str().unwrap().contains("Surface only"), "{rule}");
    }
    assert_eq!(bridge.admin("/limits?x=1").await.status, 200);
    bridge.finish().await;
}
