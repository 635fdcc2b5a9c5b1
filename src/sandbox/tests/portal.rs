//! The only door, what people do behind it, channels and bots.

use std::time::Duration;

use serde_json::json;

use super::{Bench, World, emails};

#[tokio::test]
async fn r8_the_portal_makes_a_pending_external_user_and_zoho_mails() {
    let bench = Bench::new().await;
    let token = bench.token("birch").await;
    let id = bench.add_crm_user("birch", "ada@acme.example").await;
    let (_, done) = bench.ask(bench.portal("add_external", &id, "ada@acme.example", "k1")).await;
    assert_eq!(done["status"], "done");
    let (_, pending) =
        bench.get("/api/v2/users?status=pending&search=ADA&fields=all", &token).await;
    let row = &pending["data"][0];
    assert_eq!((&row["organization_id"], &row["zoid"]), (&json!("631836344"), &json!("54107592")));
    assert_eq!(row["status"], "pending");
    assert!(!emails(&bench.get("/api/v2/users", &token).await.1).contains(&"ada@acme.example"));
    // The same key again: the same answer, no second effect.
    let (_, again) = bench.ask(bench.portal("add_external", &id, "ada@acme.example", "k1")).await;
    assert_eq!(again, done);
    let (_, other) = bench.ask(bench.portal("add_external", &id, "ada@acme.example", "k2")).await;
    assert_eq!(other["status"], "already");
    let journal = bench.look("journal").await;
    let last = journal["entries"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["detail"], &last["idempotency_key"]), (&json!("second key"), &json!("k2")));
    assert_eq!(journal["counts"]["writes"], 1);
    assert!(!journal.to_string().contains("fake-birch-portal-key"), "keys are redacted");
    let mailboxes = bench.look("mailboxes").await;
    assert_eq!(mailboxes["mailboxes"][0]["mails"].as_array().unwrap().len(), 1);
    assert_eq!(mailboxes["mailboxes"][0]["mails"][0]["from"], "noreply@zoho.sandbox.example");
    assert_eq!(journal["counts"]["mails"], 0, "Zoho's own mail is not ours");
}

#[tokio::test]
async fn r42_only_the_person_joins_and_gets_an_account_on_the_way() {
    let bench = Bench::new().await;
    let token = bench.token("birch").await;
    let id = bench.add_crm_user("birch", "bo@partner.example").await;
    let (_, done) = bench.ask(bench.portal("add_external", &id, "bo@partner.example", "k1")).await;
    let (_, before) = bench.get("/api/v2/users/bo@partner.example", &token).await;
    assert_eq!(before["data"]["zuid"], json!(null));
    let page = bench.client.get(done["join_url"].as_str().unwrap()).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("limited access"));
    assert_eq!(bench.act("organizations/birch/members/bo@partner.example/accept").await, 204);
    let (_, after) = bench.get("/api/v2/users/bo@partner.example", &token).await;
    assert_eq!(
        (&after["data"]["status"], &after["data"]["id"]),
        (&json!("active"), &before["data"]["id"])
    );
    let (_, crm) = bench.get(&format!("/crm/v8/users/{id}"), &token).await;
    assert_eq!(crm["users"][0]["zuid"], after["data"]["zuid"]);
    assert!(after["data"]["zuid"].is_string());
}

#[tokio::test]
async fn the_portal_refuses_and_takes_back() {
    let bench = Bench::new().await;
    let ask = |operation: &str, id: &str, email: &str, key: &str| {
        bench.ask(bench.portal(operation, id, email, key))
    };
    let cy = ask("add_external", "778120000000433", "cy@birch.example", "a").await.1;
    assert_eq!(cy["code"], "already_internal");
    let nobody = ask("add_external", "1", "nobody@x.example", "b").await.1;
    assert_eq!(nobody["code"], "unknown_user");
    let id = bench.add_crm_user("birch", "bo@partner.example").await;
    let bo = "bo@partner.example";
    assert_eq!(ask("add_external", &id, bo, "c").await.1["status"], "done");
    // An open invitation is no access that could be blocked: whoever accepts it is in.
    assert_eq!(ask("restrict", &id, bo, "d").await.1["status"], "done");
    assert_eq!(bench.act("organizations/birch/members/bo@partner.example/accept").await, 204);
    assert_eq!(ask("restrict", &id, bo, "d2").await.1["status"], "done");
    assert_eq!(ask("restrict", &id, bo, "e").await.1["status"], "already");
    assert_eq!(ask("restore", &id, bo, "f").await.1["status"], "done");
    assert_eq!(ask("assign_licence", &id, bo, "g").await.1["code"], "no_licence");
    assert_eq!(ask("remove_external", &id, bo, "h").await.1["status"], "done");
    assert_eq!(ask("add_external", &id, bo, "i").await.1["status"], "done");
    assert_eq!(bench.act("organizations/birch/members/bo@partner.example/decline").await, 204);
    assert_eq!(ask("add_external", &id, bo, "j").await.1["code"], "declined");
    assert_eq!(ask("teleport", &id, bo, "k").await.0, 400);
    let other = bench.portal("restrict", &id, "else@x.example", "c");
    assert_eq!(bench.ask(other).await.1["code"], "key_reused");
    let wrong = bench.post("/portal/birch?auth_type=apikey&zapikey=wrong", &json!({}));
    assert_eq!(bench.ask(wrong).await.0, 401);
    let counts = bench.counts().await;
    assert_eq!((&counts["writes"], &counts["violations"]), (&json!(6), &json!(2)));
}

#[tokio::test]
async fn g14_an_answer_lost_after_the_effect_is_one_write() {
    let bench = Bench::new().await;
    let id = bench.add_crm_user("birch", "ada@acme.example").await;
    bench.fault(json!({"call": "portal", "fault": {"kind": "apply_then_drop"}})).await;
    let lost = bench.portal("add_external", &id, "ada@acme.example", "k").send().await;
    assert!(lost.is_err());
    let (_, retry) = bench.ask(bench.portal("add_external", &id, "ada@acme.example", "k")).await;
    assert_eq!(retry["status"], "done");
    let counts = bench.counts().await;
    let seen = [&counts["writes"], &counts["faults"], &counts["retries"]];
    assert_eq!(seen, [&json!(1), &json!(1), &json!(1)]);
}

#[tokio::test]
async fn c6_crm_plus_propagates_by_itself_when_the_world_says_so() {
    let toml = include_str!("../../../config/sandbox/demo.toml").replace(
        "portal_key    = \"fake-birch-portal-key\"",
        "portal_key = \"fake-birch-portal-key\"\npropagate = true\npropagate_after_s = 30\n\
         wrap_portal = true\nchannels = [{ id = \"T1\", unique_name = \"ext\", name = \"Ext\", \
         level = \"external\" }, { id = \"P1\", unique_name = \"in\", name = \"In\", \
         level = \"private\" }]",
    );
    let toml = toml.replace("cliq_plan     = \"free\"", "cliq_plan = \"paid\"");
    let bench = Bench::with(World::parse(&toml).unwrap()).await;
    let token = bench.token("birch").await;
    let id = bench.add_crm_user("birch", "ada@acme.example").await;
    let pending = "/api/v2/users?status=pending";
    assert!(emails(&bench.get(pending, &token).await.1).is_empty());
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(emails(&bench.get(pending, &token).await.1), ["ada@acme.example"]);
    let (_, add) = bench.ask(bench.portal("add_external", &id, "ada@acme.example", "k")).await;
    let output = add["details"]["output"].as_str().unwrap();
    assert!(output.contains(r#""status":"already""#), "{output}");
    assert_eq!(bench.counts().await["writes"], 0);

    // R41, R43: own people come in directly, others are invited, and a pending one nowhere else.
    let add = |channel: &str, email: &str| {
        let path = format!("/api/v2/channels/{channel}/members");
        bench.ask(bench.post(&path, &json!({"email_ids": [email]})).bearer_auth(&token))
    };
    assert_eq!(add("T1", "ada@acme.example").await.0, 204);
    assert_eq!(add("T1", "cy@birch.example").await.0, 204);
    assert_eq!(add("P1", "ada@acme.example").await.1["code"], "chat_with_other_org_disabled");
    let (_, members) = bench.get("/api/v2/channels/T1/members", &token).await;
    let listed = members.to_string();
    assert!(listed.contains("cy@birch.example") && !listed.contains("ada@"), "{listed}");
    assert_eq!(bench.look("bots").await[0]["bot"], "taz");
    let (_, channels) = bench.get("/api/v2/channels?limit=1&level=external", &token).await;
    assert_eq!(
        (&channels["channels"][0]["channel_id"], &channels["has_more"]),
        (&json!("T1"), &json!(false))
    );
}

#[tokio::test]
async fn bots_reach_subscribers_only() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let (_, list) = bench.get("/api/v2/bots/bridge/subscribers?limit=100", &token).await;
    assert_eq!(list["data"][0]["email_id"], "ada@acme.example");
    let send = |body: serde_json::Value| {
        bench.ask(bench.post("/api/v2/bots/bridge/message", &body).bearer_auth(&token))
    };
    let (status, answer) =
        send(json!({"text": "hi", "userids": "163315760", "sync_message": true})).await;
    assert_eq!((status, &answer["user_ids"]), (200, &json!(["163315760"])));
    let (status, body) = send(json!({"text": "hi", "userids": "1"})).await;
    assert_eq!((status, &body["code"]), (400, &json!("botmessage_no_valid_users")));
    let post = bench.post(
        "/api/v2/channelsbyname/bridgeadmins/message?bot_unique_name=bridge",
        &json!({"text": "a notice"}),
    );
    assert_eq!(bench.ask(post.bearer_auth(&token)).await.0, 204);
    let bots = bench.look("bots").await;
    assert_eq!(
        (&bots[0]["to"], &bots[1]["channel"]),
        (&json!("ada@acme.example"), &json!("bridgeadmins"))
    );
    assert_eq!(bench.counts().await["writes"], 2);
}

#[tokio::test]
async fn r17_a_downgrade_makes_external_users_free_and_touches_nobody_else() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let id = bench.add_crm_user("acme", "cy@birch.example").await;
    let body = json!({
        "operation": "add_external", "organization_id": "60001234", "crm_user_id": id,
        "email": "cy@birch.example", "first_name": "Cy", "last_name": "Birch",
        "idempotency_key": "k",
    });
    let post = bench.post("/portal/acme", &body).header("x-portal-key", "fake-acme-portal-key");
    assert_eq!(bench.ask(post).await.1["status"], "done");
    let paid = "/api/v2/users?status=pending&plan_type=paid";
    assert_eq!(emails(&bench.get(paid, &token).await.1), ["cy@birch.example"]);
    let patch = bench.request(reqwest::Method::PATCH, "/sandbox/organizations/acme");
    bench.ask(patch.body(r#"{"paid_type":"free"}"#)).await;
    assert!(emails(&bench.get(paid, &token).await.1).is_empty());
    let (_, own) = bench.get("/api/v2/users?plan_type=paid", &token).await;
    assert_eq!(emails(&own).len(), 2, "internal users keep theirs");
    assert_eq!(
        bench.get("/crm/v8/org", &token).await.1["org"][0]["license_details"]["paid"],
        false
    );
}
