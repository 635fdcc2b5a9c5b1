//! CRM's notification channels, with a receiver that listens on the loopback.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Bench;

const WATCH: &str = "/crm/v8/actions/watch";

/// Answers every request with 200; path and JSON body of each come out of the channel.
async fn receiver() -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?k=v", listener.local_addr().unwrap());
    let (came, inbox) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let body = loop {
                let mut part = [0_u8; 4096];
                let read = stream.read(&mut part).await.unwrap();
                text.push_str(std::str::from_utf8(&part[..read]).unwrap());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
                if let Some(Ok(body)) = body {
                    break body;
                }
            };
            let target = text.split(' ').nth(1).unwrap().to_owned();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            came.send((target, body)).unwrap();
        }
    });
    (url, inbox)
}

impl Bench {
    async fn watch(&self, method: Method, token: &str, item: Value) -> (u16, Value) {
        let request = self.request(method, WATCH).header("content-type", "application/json");
        let (status, mut body) =
            self.ask(request.bearer_auth(token).body(json!({"watch": [item]}).to_string())).await;
        (status, body.pointer_mut("/watch/0").map(Value::take).unwrap_or_default())
    }

    async fn fire(&self, body: Value) -> Value {
        let (status, mut body) =
            self.ask(self.post("/sandbox/organizations/acme/watch/fire", &body)).await;
        assert_eq!(status, 200, "{body}");
        body["sent"].take()
    }

    async fn live(&self, token: &str) -> Value {
        self.get(WATCH, token).await.1["watch"].take()
    }
}

fn item(url: &str, expiry: Option<&str>) -> Value {
    let mut item = json!({
        "channel_id": "1000000068001", "events": ["Users.all"], "token": "echo", "notify_url": url,
    });
    if let Some(expiry) = expiry {
        item["channel_expiry"] = json!(expiry);
    }
    item
}

#[tokio::test]
async fn z11_a_change_of_a_crm_user_is_posted_with_ids_only() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let (url, mut inbox) = receiver().await;
    let (status, result) = bench.watch(Method::POST, &token, item(&url, None)).await;
    assert_eq!((status, &result["code"]), (201, &json!("SUCCESS")));
    let event = &result["details"]["events"][0];
    assert_eq!(
        (&event["resource_name"], &event["channel_expiry"]),
        (&json!("Users"), &json!("2027-01-15T09:00:00+00:00"))
    );
    let id = bench.add_crm_user("acme", "bo@partner.example").await;
    let (target, body) = inbox.try_recv().unwrap();
    assert_eq!(target, "/hook?k=v");
    assert_eq!(
        body,
        json!({
            "server_time": 1_800_000_000_000_i64, "query_params": {"k": "v"}, "module": "Users",
            "resource_uri": format!("{}/crm/v8/Users", bench.url), "ids": [id],
            "affected_fields": [], "operation": "insert", "channel_id": "1000000068001",
            "token": "echo",
        })
    );
    let journal = bench.look("journal").await;
    let told = journal["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&told["call"], &told["status"], &told["subject"]),
        (&json!("crm.watch.notify"), &json!(200), &json!("1000000068001"))
    );
    let path = format!("/sandbox/organizations/acme/crm-users/{id}");
    bench.ask(bench.request(Method::PATCH, &path).body(r#"{"status":"disabled"}"#)).await;
    bench.ask(bench.request(Method::DELETE, &path)).await;
    assert_eq!(inbox.try_recv().unwrap().1["operation"], "update");
    assert_eq!(inbox.try_recv().unwrap().1["operation"], "delete");
    bench.add_crm_user("birch", "bo@partner.example").await;
    assert!(inbox.try_recv().is_err(), "organizations are apart");
    assert_eq!(bench.counts().await["writes"], 1);
}

#[tokio::test]
async fn a_channel_lives_an_hour_unless_it_asked_well() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let url = "http://127.0.0.1:9/hook";
    let expiry = async |asked| {
        let (_, result) = bench.watch(Method::POST, &token, item(url, asked)).await;
        result["details"]["events"][0]["channel_expiry"].clone()
    };
    // It is 2027-01-15T08:00:00Z.
    assert_eq!(expiry(None).await, "2027-01-15T09:00:00+00:00");
    assert_eq!(expiry(Some("2027-01-16T09:00:00+01:00")).await, "2027-01-16T08:00:00+00:00");
    assert_eq!(expiry(Some("2027-01-16T08:00:01+00:00")).await, "2027-01-15T09:00:00+00:00");
    assert_eq!(expiry(Some("2027-01-15T07:00:00+00:00")).await, Value::Null, "it is past");
    let renewal = json!({"channel_id": "1000000068001", "channel_expiry": "2027-01-15T20:00:00Z"});
    assert_eq!(bench.watch(Method::PATCH, &token, renewal.clone()).await.0, 200);
    assert_eq!(bench.live(&token).await[0]["channel_expiry"], "2027-01-15T20:00:00+00:00");
    assert_eq!(
        bench.watch(Method::PUT, &token, renewal.clone()).await.0,
        202,
        "PUT wants all keys"
    );
    bench.clock.advance(Duration::from_hours(12));
    assert_eq!(bench.get(WATCH, &token).await.0, 401, "the token has expired too");
    let token = bench.token("acme").await;
    assert_eq!(bench.get(WATCH, &token).await.0, 204);
    let (status, gone) = bench.watch(Method::PATCH, &token, renewal).await;
    assert_eq!((status, &gone["code"]), (202, &json!("NOT_SUBSCRIBED")));
}

#[tokio::test]
async fn expired_and_ended_channels_are_told_nothing() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let (url, mut inbox) = receiver().await;
    bench.watch(Method::POST, &token, item(&url, None)).await;
    let users = json!({"module": "Users", "ids": ["1", "2"], "operation": "update"});
    let sent = json!([{"channel_id": "1000000068001", "status": 200}]);
    assert_eq!(bench.fire(users.clone()).await, sent);
    assert_eq!(inbox.try_recv().unwrap().1["ids"], json!(["1", "2"]));
    let deals = json!({"module": "Deals", "ids": ["1"], "operation": "update"});
    assert_eq!(bench.fire(deals.clone()).await, json!([]), "it does not listen to those");
    let mut named = deals;
    named["channel_id"] = json!("1000000068001");
    assert_eq!(bench.fire(named).await, sent);
    bench.clock.advance(Duration::from_hours(1));
    assert_eq!(bench.fire(users.clone()).await, json!([]));
    let token = bench.token("acme").await;
    bench.watch(Method::POST, &token, item(&url, None)).await;
    let delete = format!("{WATCH}?channel_ids=1000000068001,7");
    let request = bench.request(Method::DELETE, &delete).bearer_auth(&token);
    let (status, body) = bench.ask(request).await;
    let codes = [&body["watch"][0]["code"], &body["watch"][1]["code"]];
    assert_eq!((status, codes), (200, [&json!("SUCCESS"), &json!("NOT_SUBSCRIBED")]));
    assert_eq!(bench.fire(users).await, json!([]));
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_in_the_journal() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?secret=1", free.local_addr().unwrap());
    drop(free);
    bench.watch(Method::POST, &token, item(&url, None)).await;
    let users = json!({"module": "Users", "ids": ["1"], "operation": "delete"});
    assert_eq!(bench.fire(users).await[0]["status"], 0);
    let state = bench.look("state").await;
    let shown = state["organizations"][0]["watch"][0]["notify_url"].as_str().unwrap();
    assert!(shown.ends_with("/hook"), "{shown}");
    assert!(!bench.look("journal").await.to_string().contains("secret"), "no secrets there");
}

#[tokio::test]
async fn what_a_channel_may_not_be() {
    let bench = Bench::new().await;
    let token = bench.token("acme").await;
    let good = item("http://localhost:9/hook", None);
    for (key, value) in [
        ("notify_url", json!("http://192.0.2.1/hook")),
        ("notify_url", json!("https://127.0.0.1/hook")),
        ("notify_url", json!("http://example.com/hook")),
        ("token", json!("x".repeat(51))),
        ("events", json!(["Users"])),
        ("events", json!([])),
        ("channel_id", json!("abc")),
        ("channel_expiry", json!("tomorrow")),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        let (status, result) = bench.watch(Method::POST, &token, bad).await;
        let seen = (status, &result["code"], &result["details"]["api_name"]);
        assert_eq!(seen, (202, &json!("INVALID_DATA"), &json!(key)));
    }
    assert_eq!(bench.counts().await["refusals"], 8);
    let mut unknown = good.clone();
    unknown["colour"] = json!("red");
    assert_eq!(bench.watch(Method::POST, &token, unknown).await.0, 400);
    assert_eq!(bench.counts().await["violations"], 1);
    assert_eq!(bench.watch(Method::POST, &token, good).await.0, 201);
    let both = json!({"channel_id": "1000000068001", "events": ["Users.all", "Deals.edit"]});
    assert_eq!(bench.watch(Method::PATCH, &token, both).await.0, 200);
    let less = json!({
        "channel_id": "1000000068001", "events": ["Users.all"], "_delete_events": true,
    });
    assert_eq!(bench.watch(Method::PATCH, &token, less).await.0, 200);
    assert_eq!(bench.live(&token).await[0]["events"], json!(["Deals.edit"]));
}
