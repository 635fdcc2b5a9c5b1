//! External channels: who comes in how, who lets others in, and what lapses.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, World};

/// Acme, on the paid plan, with a channel of each kind; Dan and Eve share a home elsewhere.
fn world(more: &str) -> World {
    let channels = r#"
external_collaboration = true
channels = [
  { id = "T1", unique_name = "ext", name = "Ext", level = "external" },
  { id = "T2", unique_name = "open", name = "Open", level = "external",
    add_participant = { member = true }, members = ["dan@oak.example"] },
  { id = "T3", unique_name = "mine", name = "Mine", level = "external", admin_role = "member" },
  { id = "T4", unique_name = "theirs", name = "Theirs", level = "external", admin_role = "none" },
  { id = "T5", unique_name = "old", name = "Old", level = "external", status = "archived" },
  { id = "O1", unique_name = "org", name = "Org", level = "organization" },
]
"#;
    let people = r#"
[[people]]
email = "dan@oak.example"
first_name = "Dan"
last_name = "Oak"
zuid = "163315701"
home = "elsewhere"

[[people]]
email = "eve@oak.example"
first_name = "Eve"
last_name = "Oak"
zuid = "163315702"
home = "elsewhere"

[[people]]
email = "fay@ash.example"
first_name = "Fay"
last_name = "Ash"
zuid = "163315703"
home = "elsewhere"
collaboration = "off"

[[people]]
email = "gus@ash.example"
first_name = "Gus"
last_name = "Ash"
zuid = "163315704"
"#;
    let head = "id            = \"acme\"\n";
    let demo = include_str!("../../../config/sandbox/demo.toml");
    let toml = demo.replacen(head, &format!("{head}{channels}{more}\n"), 1);
    World::parse(&format!("{toml}{people}")).unwrap()
}

impl Bench {
    async fn channel_add(&self, token: &str, channel: &str, emails: &[&str]) -> (u16, Value) {
        let path = format!("/api/v2/channels/{channel}/members");
        self.ask(self.post(&path, &json!({"email_ids": emails})).bearer_auth(token)).await
    }

    /// What the person can join.
    async fn joinable(&self, email: &str) -> Value {
        self.look(&format!("channel-invitations?email={email}")).await["invitations"].take()
    }

    async fn channel_act(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(self.post(&format!("/sandbox/organizations/acme/channels/{path}"), &body)).await
    }

    async fn change_channel(&self, name: &str, body: Value) -> u16 {
        let path = format!("/sandbox/organizations/acme/channels/{name}");
        self.ask(self.request(Method::PATCH, &path).body(body.to_string())).await.0
    }

    async fn members(&self, name: &str) -> Vec<String> {
        let state = self.look("state").await;
        let channels = state["organizations"][0]["channels"].as_array().unwrap();
        let channel = channels.iter().find(|channel| channel["unique_name"] == name).unwrap();
        serde_json::from_value(channel["members"].clone()).unwrap()
    }

    async fn zoho_mails(&self, email: &str) -> usize {
        let boxes = self.look("mailboxes").await["mailboxes"].take();
        let mut boxes = boxes.as_array().unwrap().iter();
        boxes
            .find(|one| one["address"] == email)
            .map_or(0, |one| one["mails"].as_array().unwrap().len())
    }

    async fn last_entry(&self) -> Value {
        self.look("journal").await["entries"].as_array().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn r41_r43_guests_are_invited_and_own_people_come_in_directly() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    let both = ["dan@oak.example", "ada@acme.example"];
    assert_eq!(bench.channel_add(&token, "T1", &both).await.0, 204);
    assert_eq!(bench.members("ext").await, ["ada@acme.example", "admin@acme.example"]);
    let open = bench.joinable("DAN@oak.example").await;
    assert_eq!((&open[0]["channel"], &open[0]["can_accept"]), (&json!("ext"), &json!(true)));
    assert_eq!(open[0]["expires_at"], "2027-02-14T08:00:00.000Z");
    let again = bench.channel_add(&token, "T1", &["Dan@Oak.example"]).await;
    assert_eq!((again.0, bench.zoho_mails("dan@oak.example").await), (204, 2));
    assert!(bench.last_entry().await["detail"].as_str().unwrap().contains("invited again"));
    let several = bench.channel_add(&token, "T1", &["a@x.example, b@x.example"]).await;
    assert_eq!((several.0, &several.1["code"]), (400, &json!("invalid_parameter")), "R44");
}

#[tokio::test]
async fn r51_r52_both_ways_of_joining_end_the_same() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    let both = ["dan@oak.example", "eve@oak.example"];
    bench.channel_add(&token, "T1", &both).await;
    let by = |path: &str| json!({"path": path});
    assert_eq!(bench.channel_act("ext/accept/dan@oak.example", by("dialog")).await.0, 204);
    assert_eq!(bench.channel_act("ext/accept/eve@oak.example", by("menu")).await.0, 204);
    assert_eq!(bench.channel_act("ext/accept/eve@oak.example", by("door")).await.0, 400);
    assert_eq!(bench.members("ext").await, ["admin@acme.example", both[0], both[1]]);
    let (_, members) = bench.get("/api/v2/channels/T1/members", &token).await;
    assert_eq!(members["members"][1]["user_role"], members["members"][2]["user_role"]);
    assert_eq!(bench.channel_act("ext/leave/dan@oak.example", json!({})).await.0, 204);
    assert_eq!(bench.channel_act("ext/leave/dan@oak.example", json!({})).await.0, 409);
    assert_eq!(bench.members("ext").await, ["admin@acme.example", both[1]]);
    bench.channel_add(&token, "T1", &[both[0]]).await;
    assert_eq!(bench.act("organizations/acme/channels/ext/decline/dan@oak.example").await, 204);
    assert_eq!(bench.joinable(both[0]).await, json!([]));
}

#[tokio::test]
async fn r53_r56_signing_up_does_not_join_and_the_invitation_stays() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    bench.channel_add(&token, "T1", &["bo@partner.example"]).await;
    assert_eq!(bench.look("bots").await, json!([]), "Taz cannot reach him");
    let accept = "organizations/acme/channels/ext/accept/bo@partner.example";
    assert_eq!(bench.act(accept).await, 403);
    let refused = bench.last_entry().await;
    assert_eq!(
        (&refused["kind"], &refused["call"]),
        (&json!("refused"), &json!("act.channel.accept"))
    );
    assert!(refused["detail"].as_str().unwrap().starts_with("R53"), "{refused}");
    assert_eq!(bench.joinable("bo@partner.example").await[0]["case"], "no_account");
    bench.act("people/bo@partner.example/sign-up").await;
    assert_eq!(bench.members("ext").await, ["admin@acme.example"]);
    assert_eq!(bench.joinable("bo@partner.example").await[0]["can_accept"], true);
    assert_eq!((bench.act(accept).await, bench.act(accept).await), (204, 409));
    assert_eq!(bench.zoho_mails("bo@partner.example").await, 1);
}

#[tokio::test]
async fn r55_an_invitation_that_lapsed_is_not_listed() {
    let bench = Bench::with(world("channel_invitation_days = 10")).await;
    let token = bench.token("acme").await;
    bench.channel_add(&token, "T1", &["dan@oak.example"]).await;
    bench.clock.advance(Duration::from_hours(10 * 24) - Duration::from_secs(1));
    assert_eq!(bench.joinable("dan@oak.example").await.as_array().unwrap().len(), 1);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.joinable("dan@oak.example").await, json!([]));
    assert_eq!(bench.act("organizations/acme/channels/ext/accept/dan@oak.example").await, 409);
    let lapsed = bench.last_entry().await;
    let seen = (&lapsed["call"], &lapsed["subject"], &lapsed["detail"]);
    assert_eq!(
        seen,
        (&json!("cliq.channel_invitation.lapsed"), &json!("dan@oak.example"), &json!("#ext"))
    );
}

#[tokio::test]
async fn z20_a_closed_home_gets_a_mail_only_and_cannot_join() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    bench
        .channel_add(&token, "T1", &["fay@ash.example", "gus@ash.example", "cy@birch.example"])
        .await;
    let told: Vec<Value> = bench.look("bots").await.as_array().unwrap().clone();
    assert_eq!(told.len(), 1, "only Cy has a Cliq that lets Taz speak: {told:?}");
    let accept = |email: &str| format!("organizations/acme/channels/ext/accept/{email}");
    assert_eq!(bench.act(&accept("fay@ash.example")).await, 403);
    let fay = bench.request(Method::PATCH, "/sandbox/people/fay@ash.example");
    assert_eq!(bench.ask(fay.body(r#"{"collaboration":"on"}"#)).await.0, 204);
    assert_eq!(bench.act(&accept("fay@ash.example")).await, 204);
    let birch = bench.request(Method::PATCH, "/sandbox/organizations/birch");
    bench.ask(birch.body(r#"{"external_collaboration":false}"#)).await;
    assert_eq!(bench.joinable("cy@birch.example").await[0]["case"], "policy_off");
    assert_eq!(bench.act(&accept("cy@birch.example")).await, 403);
    assert_eq!(bench.joinable("gus@ash.example").await[0]["case"], "no_cliq");
    assert_eq!(bench.act(&accept("gus@ash.example")).await, 204, "an organization is made");
}

#[tokio::test]
async fn c4_the_hosts_policy_the_plan_and_the_level_close_the_door() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    let code = async |channel: &str, email: &str| {
        bench.channel_add(&token, channel, &[email]).await.1["code"].take()
    };
    let organization = async |body: &'static str| {
        let patch = bench.request(Method::PATCH, "/sandbox/organizations/acme").body(body);
        assert_eq!(bench.ask(patch).await.0, 204);
    };
    organization(r#"{"external_collaboration":false}"#).await;
    assert_eq!(code("T1", "dan@oak.example").await, "chat_with_other_org_disabled");
    assert_eq!(code("T1", "ada@acme.example").await, Value::Null, "own people still come in");
    organization(r#"{"external_collaboration":true,"cliq_plan":"free"}"#).await;
    assert_eq!(code("T1", "dan@oak.example").await, "external_channels_not_in_plan");
    organization(r#"{"cliq_plan":"paid"}"#).await;
    assert_eq!(code("O1", "dan@oak.example").await, "chat_with_other_org_disabled");
    assert_eq!(code("T5", "dan@oak.example").await, "channel_archived");
    assert_eq!(code("T1", "dan@oak.example").await, Value::Null);
    assert_eq!(bench.counts().await["refusals"], 4);
}

#[tokio::test]
async fn r59_the_callers_own_permission_counts() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    let (_, mine) = bench.get("/api/v2/channels/T3", &token).await;
    assert_eq!(mine["current_user_role"], "member");
    assert_eq!(mine["member_permission"], json!({"add_participant": false, "send_message": true}));
    assert_eq!(mine["admin_permission"]["add_participant"], true);
    let refused = bench.channel_add(&token, "T3", &["dan@oak.example"]).await;
    assert_eq!((refused.0, &refused.1["code"]), (400, &json!("operation_not_allowed")));
    assert_eq!(
        bench.change_channel("mine", json!({"add_participant": {"member": true}})).await,
        204
    );
    assert_eq!(bench.channel_add(&token, "T3", &["dan@oak.example"]).await.0, 204);
    assert_eq!(bench.change_channel("mine", json!({"admin_role": "none"})).await, 204);
    for channel in ["T3", "T4"] {
        let (status, body) = bench.channel_add(&token, channel, &["eve@oak.example"]).await;
        assert_eq!((status, &body["code"]), (400, &json!("not_a_channel_member")));
    }
    let (_, theirs) = bench.get("/api/v2/channels/T4", &token).await;
    assert_eq!((&theirs["joined"], &theirs["participant_count"]), (&json!(false), &json!(0)));
    assert_eq!(bench.get("/api/v2/channels/T4/members", &token).await.0, 400);
}

#[tokio::test]
async fn one_refused_person_refuses_the_whole_call() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    let both = ["ada@acme.example", "dan@oak.example"];
    assert_eq!(bench.channel_add(&token, "O1", &both).await.0, 400);
    assert_eq!(bench.members("org").await, ["admin@acme.example"]);
    assert_eq!(bench.channel_add(&token, "O1", &both[..1]).await.0, 204);
}

#[tokio::test]
async fn z19_a_channel_holds_five_hundred() {
    let bench = Bench::with(world("limits = false")).await;
    let token = bench.token("acme").await;
    let emails: Vec<String> = (0..100).map(|number| format!("p{number}@oak.example")).collect();
    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
    for round in 0..5 {
        let emails: Vec<String> = emails.iter().map(|email| format!("r{round}{email}")).collect();
        let fit = if round == 4 { &emails[..99] } else { &emails[..] };
        let fit: Vec<&str> = fit.iter().map(String::as_str).collect();
        assert_eq!(bench.channel_add(&token, "T1", &fit).await.0, 204);
        for email in fit {
            bench.act(&format!("people/{email}/sign-up")).await;
            let accept = format!("organizations/acme/channels/ext/accept/{email}");
            assert_eq!(bench.act(&accept).await, 204);
        }
    }
    let (status, body) = bench.channel_add(&token, "T1", &["dan@oak.example"]).await;
    assert_eq!((status, &body["code"]), (400, &json!("group_chat_participants_limit_exceeded")));
}

#[tokio::test]
async fn r57_r58_a_guest_at_home_adds_colleagues_and_invites_others() {
    let bench = Bench::with(world("")).await;
    let add = async |channel: &str, body: Value| {
        bench.channel_act(&format!("{channel}/guest-add"), body).await
    };
    let eve = json!({"by": "dan@oak.example", "email": "eve@oak.example"});
    let (status, done) = add("open", eve.clone()).await;
    assert_eq!((status, &done["result"]), (200, &json!("member")));
    assert_eq!(bench.zoho_mails("eve@oak.example").await, 0);
    let third = json!({"by": "dan@oak.example", "email": "cy@birch.example", "context": "home"});
    assert_eq!(add("open", third).await.1["result"], "invited");
    assert_eq!(bench.joinable("cy@birch.example").await[0]["invited_by"], "dan@oak.example");
    assert!(bench.members("open").await.contains(&"eve@oak.example".to_owned()));
    assert_eq!(bench.change_channel("open", json!({"add_participant": {}})).await, 204);
    let bo = json!({"by": "dan@oak.example", "email": "bo@partner.example"});
    let (status, refused) = add("open", bo.clone()).await;
    assert_eq!((status, &refused["rule"]), (403, &json!("R59")));
    assert_eq!(add("open", json!({"by": "ada@acme.example", "email": "x@y.example"})).await.0, 409);
    assert_eq!(add("ext", bo).await.0, 409, "Dan is not in that one");
}

#[tokio::test]
async fn c1_r36_a_guest_inside_the_host_adds_nobody() {
    let bench = Bench::with(world("")).await;
    let body = json!({"by": "dan@oak.example", "email": "eve@oak.example", "context": "host"});
    let (status, refused) = bench.channel_act("open/guest-add", body).await;
    assert_eq!((status, &refused["rule"]), (403, &json!("R36")));
    assert_eq!(bench.members("open").await, ["admin@acme.example", "dan@oak.example"]);
    assert_eq!(bench.last_entry().await["kind"], "refused");

    let bench = Bench::with(world("admin_external = true")).await;
    let token = bench.token("acme").await;
    let (_, row) = bench.get("/api/v2/users/admin@acme.example", &token).await;
    assert_ne!(row["data"]["organization_id"], "631836344");
    let (status, body) = bench.channel_add(&token, "T1", &["dan@oak.example"]).await;
    assert_eq!((status, &body["code"]), (400, &json!("external_user_not_allowed")));
    let (_, users) = bench.get("/crm/v8/users?type=CurrentUser", &token).await;
    assert_eq!(users["info"]["count"], 1);
    assert_eq!(users["users"][0]["zuid"], row["data"]["zuid"]);
}

#[tokio::test]
async fn r28_a_channel_that_becomes_a_teams_drops_its_external_members() {
    let bench = Bench::with(world("")).await;
    let token = bench.token("acme").await;
    bench.channel_add(&token, "T2", &["ada@acme.example", "cy@birch.example"]).await;
    assert_eq!(bench.change_channel("open", json!({"level": "team"})).await, 204);
    assert_eq!(bench.members("open").await, ["ada@acme.example", "admin@acme.example"]);
    assert_eq!(bench.joinable("cy@birch.example").await, json!([]));
    let dropped = bench.last_entry().await;
    assert_eq!(
        (&dropped["call"], &dropped["subject"]),
        (&json!("cliq.channel.dropped"), &json!("dan@oak.example"))
    );
    let (status, body) = bench.channel_add(&token, "T2", &["dan@oak.example"]).await;
    assert_eq!((status, &body["code"]), (400, &json!("member_add_failed")));
}

#[tokio::test]
async fn z19_five_external_channels_for_each_paid_licence() {
    let bench = Bench::with(world("paid_licences = 1")).await;
    let count = async || bench.look("state").await["organizations"][0]["external_channels"].take();
    assert_eq!(count().await, json!({"count": 5, "quota": 5}));
    assert_eq!(bench.change_channel("org", json!({"level": "external"})).await, 403);
    assert_eq!(bench.change_channel("open", json!({"level": "private"})).await, 204);
    assert_eq!(bench.members("open").await, ["admin@acme.example"], "Dan is in no directory");
    assert_eq!(bench.change_channel("org", json!({"level": "external"})).await, 204);
}

#[tokio::test]
async fn g15_another_data_centre_closes_the_portal_but_not_the_channel() {
    let bench = Bench::with(world("")).await;
    let id = bench.add_crm_user("birch", "dan@oak.example").await;
    let dan = bench.request(Method::PATCH, "/sandbox/people/dan@oak.example");
    bench.ask(dan.body(r#"{"other_data_centre":true}"#)).await;
    let (_, add) = bench.ask(bench.portal("add_external", &id, "dan@oak.example", "k")).await;
    assert_eq!(add["code"], "other_data_centre");
    let token = bench.token("acme").await;
    assert_eq!(bench.channel_add(&token, "T1", &["dan@oak.example"]).await.0, 204);
    assert_eq!(bench.act("organizations/acme/channels/ext/accept/dan@oak.example").await, 204);
}
