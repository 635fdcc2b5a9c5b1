//! What the public door lets in, and how it refuses the rest.

use std::time::Duration;

use cliqbridge::domain::Secret;
use cliqbridge::domain::scheme::SigningKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::harness::answer;
use super::support::traces::ADMIN;
use super::support::{Answer, Bridge, Setup};

const CY: &str = "778120000000433";

fn key(secret: &str) -> SigningKey {
    let secret = Secret::new(secret.as_bytes().to_vec());
    SigningKey { id: "x".to_owned(), secret, not_before: None, not_after: None }
}

/// A refusal: its status, its form, and nothing of ours in it.
fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["detail"].is_string() && answer.body["title"].is_string(), "{answer:?}");
}

/// Signs these bytes for the crmplus source and posts them.
async fn signed(bridge: &Bridge, body: &[u8]) -> Answer {
    let key = bridge.source("crmplus").secrets[0].clone();
    bridge.signed("crmplus", &key, bridge.now(), body).await
}

#[tokio::test]
async fn an_unknown_source_is_404() {
    let bridge = Setup::demo().start().await;
    let event = bridge.event("user.added", "birch", CY).to_string();
    refused(&bridge.post("nobody", &[], event.as_bytes()).await, 404);
    bridge.finish().await;
}

#[tokio::test]
async fn every_bad_signature_hears_the_same_401() {
    let bridge = Setup::demo().start().await;
    let event = bridge.event("user.added", "birch", CY).to_string();
    let body = event.as_bytes();
    let (right, now) = (bridge.source("crmplus").secrets[0].clone(), bridge.now());
    let stamp = now.seconds().to_string();
    let malformed =
        [("webhook-id", "m"), ("webhook-timestamp", stamp.as_str()), ("webhook-signature", "v9,§")];
    let stale = now - Duration::from_mins(6);
    let answers = [
        bridge.post("crmplus", &[], body).await,
        bridge.post("crmplus", &malformed[..2], body).await,
        bridge.post("crmplus", &malformed, body).await,
        bridge.signed("crmplus", &right, stale, body).await,
        bridge.signed("crmplus", &right, now + Duration::from_mins(6), body).await,
        bridge.signed("crmplus", &key("another secret entirely"), now, body).await,
        bridge.post("deluge", &[], body).await,
        bridge.post("deluge", &[("X-Bridge-Signature", "AAAA")], body).await,
        bridge.signed("deluge", &key("another secret entirely"), now, body).await,
    ];
    for one in &answers {
        refused(one, 401);
        assert_eq!(one.text, answers[0].text);
    }
    let status = bridge.admin("/status").await.body;
    assert_eq!(status["deliveries"]["rejected"], 9);
    assert_eq!(status["deliveries"]["accepted"], 0);
    bridge.finish().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_when_its_length_is_announced() {
    let bridge = Setup::demo().with("server", "body_limit = \"4 KiB\"").start().await;
    refused(&bridge.post("crmplus", &[], &vec![b' '; 4097]).await, 413);
    refused(&bridge.post("crmplus", &[], &vec![b' '; 4096]).await, 401);
    bridge.finish().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_when_it_comes_in_chunks() {
    let bridge = Setup::demo().with("server", "body_limit = \"4 KiB\"").start().await;
    let mut stream = TcpStream::connect(bridge.public()).await.unwrap();
    let head = "POST /webhooks/crmplus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    bridge.finish().await;
}

#[tokio::test]
async fn signed_nonsense_is_400() {
    let bridge = Setup::demo().start().await;
    let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let inside = format!("{{\"event_type\":\"user.added\",\"data\":{nested}}}");
    let no_user = json!({ "event_type": "user.added", "data": {} }).to_string();
    let path = json!({ "event_type": "user.added", "data": { "user": { "id": "../1" } } });
    for body in
        ["{\"event_type\":", "", "[]", "\"text\"", &nested, &inside, &no_user, &path.to_string()]
    {
        refused(&signed(&bridge, body.as_bytes()).await, 400);
    }
    refused(&signed(&bridge, b"{\"event_type\":\"user.added\xff\"}").await, 400);
    bridge.finish().await;
}

#[tokio::test]
async fn another_content_type_is_415() {
    let bridge = Setup::demo().start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "image/png"] {
        refused(&bridge.post("crmplus", &[("content-type", content_type)], b"{}").await, 415);
    }
    // Billing sends forms; there the signature is what is missing.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    refused(&bridge.post("billing", &form, b"a=b").await, 401);
    bridge.finish().await;
}

#[tokio::test]
async fn an_unknown_event_type_is_kept_and_ignored() {
    let bridge = Setup::demo().start().await;
    let answer = bridge.webhook("crmplus", &bridge.event("deal.won", "birch", CY)).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ignored")));
    bridge.settle().await;
    assert!(bridge.journal().await.0.is_empty(), "nobody was asked anything");
    let id = answer.body["delivery_id"].as_str().unwrap();
    let delivery = bridge.admin(&format!("/deliveries/{id}")).await.body;
    assert_eq!(delivery["event_type"], "deal.won");
    assert!(delivery["body"].as_str().unwrap().contains("stale@payload.example"));
    bridge.finish().await;
}

#[tokio::test]
async fn an_organization_that_is_not_configured_is_ignored() {
    let bridge = Setup::demo().start().await;
    let answer = bridge.webhook("crmplus", &bridge.event("user.added", "60009999", CY)).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ignored")));
    bridge.settle().await;
    assert_eq!(bridge.mails(ADMIN).await.len(), 1, "something may be missed");
    bridge.finish().await;
}

#[tokio::test]
async fn a_source_speaks_only_for_its_own_organizations() {
    let table = "name = \"narrow\"\nscheme = \"raw\"\nheader = \"X-N\"\norganizations = [\"acme\"]\n\
                 encoding = \"hex\"\nsecrets = [{ id = \"a\", file = \"secrets/narrow\" }]";
    let setup = Setup::demo().source(table, &[("narrow", "secret-of-the-narrow-source")]);
    let bridge = setup.start().await;
    let foreign = bridge.webhook("narrow", &bridge.event("user.updated", "birch", CY)).await;
    assert_eq!(foreign.body["status"], "ignored");
    let own = bridge.webhook("narrow", &bridge.event("user.updated", "acme", "1")).await;
    assert_eq!(own.body["status"], "accepted");
    bridge.settle().await;
    bridge.finish().await;
}

#[tokio::test]
async fn other_methods_and_admin_paths_find_no_door() {
    let bridge = Setup::demo().start().await;
    let public = format!("http://{}", bridge.public());
    refused(&answer(bridge.http.get(format!("{public}/webhooks/crmplus"))).await, 405);
    for path in ["/api/v1/status", "/api/v1/resync", "/metrics", "/console", "/", "/webhooks/"] {
        refused(&answer(bridge.http.get(format!("{public}{path}"))).await, 404);
    }
    let webhook = format!("http://{}/webhooks/crmplus", bridge.admin_address());
    refused(&answer(bridge.http.post(webhook)).await, 404);
    bridge.finish().await;
}

#[tokio::test]
async fn a_full_queue_is_503_with_a_time_to_come_back() {
    let bridge = Setup::demo().with("server", "queue_limit = 3").start().await;
    for user in ["1", "2", "3"] {
        bridge.announce("acme", user).await;
    }
    let event = bridge.event("user.added", "acme", "4");
    let full = bridge.webhook("crmplus", &event).await;
    refused(&full, 503);
    assert!(full.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let ready = answer(bridge.http.get(format!("http://{}/readyz", bridge.public()))).await;
    refused(&ready, 503);
    let alive = answer(bridge.http.get(format!("http://{}/healthz", bridge.public()))).await;
    assert_eq!(alive.status, 200);

    bridge.settle().await;
    let again = bridge.webhook("crmplus", &event).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("accepted")), "nothing is lost");
    bridge.settle().await;
    bridge.finish().await;
}

const ROTATING: &str = "name = \"rotating\"\nscheme = \"raw\"\nheader = \"X-R\"\nencoding = \"hex\"\n\
    secrets = [{ id = \"old\", file = \"secrets/old\", not_after = \"2026-11-24T09:00:00Z\" },\n\
               { id = \"new\", file = \"secrets/new\" }]";

#[tokio::test]
async fn old_and_new_secret_hold_together_until_the_old_one_ends() {
    let secrets = [("old", "the-old-secret-of-the-source"), ("new", "the-new-secret-of-it-all")];
    let bridge = Setup::demo().source(ROTATING, &secrets).start().await;
    let post = async |secret: &str| {
        let event = bridge.event("nothing.much", "birch", CY).to_string();
        bridge.signed("rotating", &key(secret), bridge.now(), event.as_bytes()).await
    };
    for (secret, id) in [(secrets[0].1, "old"), (secrets[1].1, "new")] {
        let answer = post(secret).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let path = format!("/deliveries/{}", answer.body["delivery_id"].as_str().unwrap());
        assert_eq!(bridge.admin(&path).await.body["key_id"], id);
    }
    bridge.clock.advance(Duration::from_mins(61));
    refused(&post(secrets[0].1).await, 401);
    assert_eq!(post(secrets[1].1).await.status, 200);
    bridge.finish().await;
}

#[tokio::test]
async fn an_old_event_is_401_where_the_scheme_signs_no_time() {
    let bridge = Setup::demo().start().await;
    let mut event = bridge.event("user.updated", "birch", CY);
    for (time, status) in [
        ("2026-11-23T07:59:59Z", 401),
        ("2026-11-25T08:00:01Z", 401),
        ("2026-11-23T10:00:01+0200", 200),
    ] {
        event["event_time"] = time.into();
        assert_eq!(bridge.webhook("deluge", &event).await.status, status, "{time}");
    }
    event["event_time"] = Value::Null;
    assert_eq!(bridge.webhook("deluge", &event).await.status, 200, "no time is not too old");
    bridge.settle().await;
    bridge.finish().await;
}
