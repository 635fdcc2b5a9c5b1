//! The sandbox from outside, over real sockets, on a clock that is moved by hand.

mod attempts;
mod channels;
mod mail;
mod plans;
mod portal;
mod rules;
mod strictness;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Options, Sandbox, World, start};
use crate::clock::ManualClock;
use crate::domain::Timestamp;

/// A running sandbox with the demo's world, and a client without retries or a pool.
struct Bench {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    client: reqwest::Client,
    url: String,
}

impl Bench {
    async fn new() -> Self {
        Self::with(World::demo().unwrap()).await
    }

    async fn with(world: World) -> Self {
        // A second installation is refused, and that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        let any = "127.0.0.1:0".parse().unwrap();
        let options = Options { listen: any, smtp: any, world };
        let sandbox = start(options, clock.clone()).await.unwrap();
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let url = sandbox.urls().url;
        Self { sandbox, clock, client, url }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Status and JSON body (`null` when there is none).
    async fn ask(&self, request: RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let auth = format!("Zoho-oauthtoken {token}");
        self.ask(self.request(Method::GET, path).header("authorization", auth)).await
    }

    async fn token(&self, organization: &str) -> String {
        let (status, body) = self.ask(self.token_request(organization)).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    fn token_request(&self, organization: &str) -> RequestBuilder {
        let (upper, lower) = (organization.to_uppercase(), organization);
        let form = format!(
            "grant_type=refresh_token&client_id=1000.FAKE{upper}CLIENT\
             &client_secret=fake-{lower}-client-secret\
             &refresh_token=1000.fake-{lower}-refresh.token"
        );
        self.request(Method::POST, "/oauth/v2/token").body(form)
    }

    async fn fault(&self, rule: Value) {
        let (status, body) = self.ask(self.post("/sandbox/faults", &rule)).await;
        assert_eq!(status, 201, "{body}");
    }

    async fn look(&self, what: &str) -> Value {
        self.ask(self.request(Method::GET, &format!("/sandbox/{what}"))).await.1
    }

    async fn counts(&self) -> Value {
        self.look("journal").await["counts"].take()
    }

    /// Adds a CRM user and returns the CRM id.
    async fn add_crm_user(&self, organization: &str, email: &str) -> String {
        let path = format!("/sandbox/organizations/{organization}/crm-users");
        let (status, body) = self.ask(self.post(&path, &json!({"email": email}))).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    async fn act(&self, path: &str) -> u16 {
        self.ask(self.request(Method::POST, &format!("/sandbox/{path}"))).await.0
    }

    fn portal(&self, operation: &str, id: &str, email: &str, key: &str) -> RequestBuilder {
        let body = json!({
            "operation": operation, "organization_id": "60005678", "crm_user_id": id,
            "email": email, "first_name": "A", "last_name": "B", "idempotency_key": key,
        });
        self.post("/portal/birch?auth_type=apikey&zapikey=fake-birch-portal-key", &body)
    }
}

/// The `email_id`s of a Cliq listing.
fn emails(body: &Value) -> Vec<&str> {
    body["data"].as_array().unwrap().iter().map(|row| row["email_id"].as_str().unwrap()).collect()
}
