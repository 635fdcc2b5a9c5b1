//! The CRM watch: registered once, renewed in time, believed for its token, and worth a look.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::harness::{Answer, rows};
use super::support::traces::ADMIN;
use super::support::{Bridge, Setup};

const BO: &str = "bo@partner.example";
const DEE: &str = "dee@partner.example";
const SECRET: &str = "secret-of-the-watch-source";

const MINUTE: Duration = Duration::from_mins(1);
const QUARTER: Duration = Duration::from_mins(15);
const HOUR: Duration = Duration::from_hours(1);

/// Birch watches these events; reconciliation is out of the way.
fn watching(events: &str) -> Setup {
    let source = "name = \"crmwatch\"\nscheme = \"token\"\n\
                  secrets = [{ id = \"a\", file = \"secrets/crmwatch\" }]";
    Setup::demo()
        .reachable()
        .source(source, &[("crmwatch", SECRET)])
        .with("schedule", "reconcile = \"0 0 5 1 1 *\"")
        .with("birch", &format!("watch = {{ source = \"crmwatch\", events = [{events}] }}"))
}

impl Bridge {
    /// The channels that the sandbox's CRM of an organization has.
    async fn channels(&self, organization: &str) -> Vec<Value> {
        let state = self.sandbox("/state").await;
        let org = rows(&state["organizations"]).find(|org| org["id"] == organization).unwrap();
        rows(&org["watch"]).cloned().collect()
    }

    /// The CRM tells of records; answers what the bridge said to each channel.
    async fn fire(&self, module: &str, ids: &[&str], operation: &str) -> Vec<u64> {
        let event = json!({ "module": module, "ids": ids, "operation": operation });
        let sent = self.act("/organizations/birch/watch/fire", &event).await;
        rows(&sent["sent"]).map(|sent| sent["status"].as_u64().unwrap()).collect()
    }

    /// A notification as the CRM posts it; `echo` is channel and token.
    async fn notify(&self, echo: (&str, &str), headers: &[(&str, &str)]) -> Answer {
        let body = json!({
            "server_time": self.now().millis(), "query_params": {}, "module": "Users",
            "resource_uri": "u", "ids": ["778120000000433"], "affected_fields": [],
            "operation": "update", "channel_id": echo.0, "token": echo.1,
        });
        self.post("crmwatch", headers, body.to_string().as_bytes()).await
    }

    /// The body of the newest delivery.
    async fn last_body(&self) -> Value {
        let list = self.admin("/deliveries?limit=1").await.body;
        let id = list["items"][0]["delivery_id"].as_str().unwrap().to_owned();
        let body = &self.admin(&format!("/deliveries/{id}")).await.body["body"];
        body.as_str().map_or_else(|| body.clone(), |text| serde_json::from_str(text).unwrap())
    }
}

#[tokio::test]
async fn z11_a_watch_is_registered_once_and_renewed_long_before_it_lapses() {
    let mut bridge = watching("\"Users.all\"").start().await;
    bridge.live_for(HOUR).await;
    let channels = bridge.channels("birch").await;
    let [channel] = &channels[..] else { panic!("{channels:?}") };
    assert_eq!(channel["events"], json!(["Users.all"]));
    assert_eq!(channel["notify_url"], format!("http://{}/webhooks/crmwatch", bridge.public()));
    assert_eq!(channel["expires_at"], "2026-11-25T07:00:00.000Z", "23 hours");
    assert!(bridge.channels("acme").await.is_empty(), "only where the configuration says so");

    bridge.restart().await;
    bridge.live_for(HOUR).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "crm.watch.add").len(), 1);
    assert!(journal.of("write", "crm.watch.replace").is_empty(), "a restart keeps it");

    bridge.live_for(Duration::from_hours(46)).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "crm.watch.add").len(), 1);
    let half = Duration::from_mins(23 * 30);
    let renewals = journal.times("birch", "crm.watch.replace");
    let added = journal.times("birch", "crm.watch.add")[0];
    let expected: Vec<_> = (1..=4).map(|number| added + half * number).collect();
    assert_eq!(renewals, expected);
    assert_eq!(bridge.channels("birch").await[0]["channel_id"], channel["channel_id"]);
    assert_eq!(bridge.fire("Users", &["778120000000433"], "update").await, [200]);
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn g14_a_notification_is_a_hint_and_its_payload_is_not_believed() {
    let bridge = watching("\"Users.all\"").start().await;
    bridge.live_for(MINUTE).await;
    // The sandbox tells by itself that a user came; nobody else does.
    let bo = bridge.add("birch", BO).await;
    bridge.settle().await;
    assert_eq!(bridge.cliq_row("birch", BO).await.unwrap()["class"], "external");
    assert_eq!(bridge.mails(BO).await.len(), 1);

    let before = bridge.journal().await.effects().len();
    let cy = "778120000000433";
    for (ids, operation) in [([bo.as_str(), cy], "delete"), ([bo.as_str(), cy], "insert")] {
        assert_eq!(bridge.fire("Users", &ids, operation).await, [200]);
        bridge.settle().await;
    }
    assert_eq!(bridge.fire("Users", &["no-such-user"], "delete").await, [200]);
    bridge.settle().await;
    assert_eq!(bridge.journal().await.effects().len(), before, "nothing of it was true");
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn g14_a_repeated_notification_is_a_duplicate() {
    let bridge = watching("\"Users.all\"").start().await;
    bridge.live_for(MINUTE).await;
    bridge.add("birch", BO).await;
    let token = bridge.last_body().await["token"].as_str().unwrap().to_owned();
    let channel = bridge.channels("birch").await[0]["channel_id"].as_str().unwrap().to_owned();
    for expected in ["accepted", "duplicate", "duplicate"] {
        let answer = bridge.notify((&channel, &token), &[]).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!(expected)));
    }
    bridge.clock.advance(Duration::from_millis(1));
    let answer = bridge.notify((&channel, &token), &[]).await;
    assert_eq!(answer.body["status"], "accepted", "another server_time is another event");
    bridge.settle().await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "portal").len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn only_the_channels_own_token_proves_a_notification() {
    let acme = "watch = { source = \"crmwatch\", events = [\"Users.all\"] }";
    let bridge = watching("\"Users.all\"").with("acme", acme).start().await;
    bridge.live_for(MINUTE).await;
    bridge.add("birch", BO).await;
    let token = bridge.last_body().await["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 50);
    let channel = bridge.channels("birch").await[0]["channel_id"].as_str().unwrap().to_owned();
    let other = bridge.channels("acme").await[0]["channel_id"].as_str().unwrap().to_owned();
    assert_ne!(channel, other);
    let secret: &[(&str, &str)] = &[("X-Bridge-Token", SECRET)];
    let longer = format!("{token}0");
    let mut refused = 0;
    for echo in [
        (channel.as_str(), ""),
        (&channel, "wrong"),
        (&channel, &token[..49]),
        (&channel, &longer),
        (&other, &token),
        ("1", &token),
        (&channel, SECRET),
    ] {
        for headers in [&[], secret] {
            let answer = bridge.notify(echo, headers).await;
            assert_eq!(answer.status, 401, "{echo:?} {headers:?}");
            assert!(!answer.text.contains("token"), "{}", answer.text);
            refused += 1;
        }
    }
    let status = bridge.admin("/status").await.body;
    assert_eq!(status["deliveries"]["rejected"], refused);
    assert_eq!(bridge.notify((&channel, &token), &[]).await.status, 200);
    // The source's own senders are believed as before, and the watch's token is none of theirs.
    let own = bridge.event("user.updated", "birch", "778120000000433").to_string();
    assert_eq!(bridge.post("crmwatch", secret, own.as_bytes()).await.status, 200);
    let watch: &[(&str, &str)] = &[("X-Bridge-Token", &token)];
    assert_eq!(bridge.post("crmwatch", watch, own.as_bytes()).await.status, 401);
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_record_of_another_module_is_worth_one_listing_in_five_minutes() {
    let bridge = watching("\"Contacts.all\"").start().await;
    bridge.live_for(MINUTE).await;
    bridge.add("birch", BO).await;
    let listings = async || bridge.journal().await.calls("birch", "crm.users.list");
    assert_eq!(listings().await, 0);
    assert_eq!(bridge.fire("Contacts", &["4100", "4101"], "update").await, [200]);
    bridge.live_for(MINUTE).await;
    assert_eq!(listings().await, 1);
    assert_eq!(bridge.membership("birch", BO).await["state"], "invited");

    bridge.add("birch", DEE).await;
    for number in 0..20 {
        bridge.clock.advance(Duration::from_millis(1));
        bridge.fire("Contacts", &[&number.to_string()], "insert").await;
        bridge.live_for(Duration::from_secs(1)).await;
    }
    assert_eq!(listings().await, 1, "too soon");
    bridge.live_for(5 * MINUTE).await;
    assert_eq!(listings().await, 2, "once for all of them");
    assert_eq!(bridge.mails(DEE).await.len(), 1);
    bridge.live_for(QUARTER).await;
    assert_eq!(listings().await, 2);
    bridge.finish().await;
}

#[tokio::test]
async fn a_crm_that_refuses_is_told_once_and_asked_again() {
    let bridge = watching("\"Users.all\"").start().await;
    let error = json!({ "code": "INVALID_DATA", "status": "error", "message": "m", "details": {} });
    let fault = json!({ "kind": "status", "status": 202, "body": { "watch": [error] } });
    for call in ["crm.watch.add", "crm.watch.replace"] {
        bridge.fault(call, json!({ "times": null }), fault.clone()).await;
    }
    bridge.live_for(HOUR).await;
    assert_eq!(bridge.journal().await.of("fault", "crm.watch.add").len(), 5, "every 15 minutes");
    let told = bridge.mails(ADMIN).await;
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told.subject(), "[cliqbridge] Birch Studio: The CRM does not take the watch");
    assert!(told.text().contains("organizations.watch.events"), "{}", told.text());
    assert_eq!(bridge.organization("birch").await["quarantined"], Value::Null);
    bridge.clear_faults().await;
    bridge.live_for(QUARTER).await;
    assert_eq!(bridge.channels("birch").await.len(), 1);
    bridge.finish().await;
}

#[tokio::test]
async fn what_the_crm_grants_counts_and_what_it_forgot_is_registered_anew() {
    let bridge = watching("\"Users.all\"").start().await;
    let success = json!({ "code": "SUCCESS", "status": "success", "message": "m", "details": {
        "events": [{ "channel_expiry": "2026-11-24T09:00:00+00:00" }] } });
    let fault = json!({ "kind": "status", "status": 201, "body": { "watch": [success] } });
    bridge.fault("crm.watch.add", json!({}), fault).await;
    bridge.live_for(29 * MINUTE).await;
    assert!(bridge.channels("birch").await.is_empty(), "the CRM only said so");
    bridge.live_for(MINUTE).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("refused", "crm.watch.replace").len(), 1, "half of the hour is over");
    assert_eq!(journal.of("write", "crm.watch.add").len(), 1);
    assert_eq!(bridge.channels("birch").await.len(), 1);
    assert!(bridge.mails(ADMIN).await.is_empty());
    bridge.finish().await;
}

#[tokio::test]
async fn a_lost_answer_and_a_blip_cost_a_quarter_of_an_hour_each() {
    let bridge = watching("\"Users.all\"").start().await;
    bridge.fault("crm.watch.add", json!({}), json!({ "kind": "apply_then_drop" })).await;
    bridge.fault("crm.watch.replace", json!({}), json!({ "kind": "drop" })).await;
    bridge.live_for(QUARTER + MINUTE).await;
    let journal = bridge.journal().await;
    assert_eq!(journal.of("write", "crm.watch.add").len(), 2, "the same channel, said twice");
    let told = bridge.mails(ADMIN).await.len();
    bridge.live_for(Duration::from_hours(13)).await;
    assert_eq!(bridge.journal().await.of("write", "crm.watch.replace").len(), 1);
    assert_eq!(bridge.channels("birch").await.len(), 1);
    assert_eq!(bridge.mails(ADMIN).await.len(), told, "a blip while it stands is no news");
    bridge.finish().await;
}

#[tokio::test]
async fn a_watch_is_neither_registered_nor_renewed_while_its_organization_is_paused() {
    let bridge = watching("\"Users.all\"").start().await;
    let birch = json!({ "organization": "birch" });
    let written = async || {
        let journal = bridge.journal().await;
        let count = |call: &str| journal.of("write", call).len();
        (count("crm.watch.add"), count("crm.watch.replace"))
    };
    bridge.admin_post("/pause", &birch).await;
    bridge.live_for(HOUR).await;
    assert_eq!(written().await, (0, 0), "not registered");
    bridge.admin_post("/resume", &birch).await;
    bridge.live_for(QUARTER).await;
    assert_eq!(written().await, (1, 0));
    bridge.admin_post("/pause", &birch).await;
    bridge.live_for(Duration::from_hours(20)).await;
    assert_eq!(written().await, (1, 0), "not renewed");
    bridge.admin_post("/resume", &birch).await;
    bridge.live_for(QUARTER).await;
    assert_eq!(written().await, (1, 1));
    bridge.finish().await;
}
