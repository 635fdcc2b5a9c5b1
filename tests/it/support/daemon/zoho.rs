//! The simulated Zoho as tests use it: over its control API, in this process or in another.
//!
//! Deliberately absent: limits of calls. These tests are about processes, and real minutes would
//! pass.

use std::net::SocketAddr;
use std::sync::Arc;

use cliqbridge::app::client::client;
use cliqbridge::clock::SystemClock;
use cliqbridge::sandbox::{self, Options, Sandbox, World};
use reqwest::Method;
use serde_json::{Value, json};

use super::child::Program;
use super::until;

/// The address the bridge writes from.
pub const OURS: &str = "access@bridge.example";

/// The world of the demo, without call limits.
pub fn world() -> String {
    let text = include_str!("../../../../config/sandbox/demo.toml");
    text.replace("bots          =", "limits        = false\nbots          =")
}

/// A running sandbox.
pub struct Zoho {
    urls: Value,
    http: reqwest::Client,
    _within: Option<Sandbox>,
    pub process: Option<Program>,
}

impl Zoho {
    /// In this process: it survives the daemons.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more tables in its world.
    pub async fn start_with(tables: &str) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let world = World::parse(&(world() + tables)).unwrap();
        let options = Options { listen: loopback, smtp: loopback, world };
        let sandbox = sandbox::start(options, Arc::new(SystemClock)).await.unwrap();
        let urls = serde_json::to_value(sandbox.urls()).unwrap();
        Self { urls, http: client().unwrap(), _within: Some(sandbox), process: None }
    }

    /// `cliqbridge sandbox` as a child, found by the line that it prints.
    pub async fn spawn(world: &str) -> Self {
        let program = Program::spawn(&["sandbox", "--world", world], &[]);
        let urls = serde_json::from_str(&program.prints("{").await).unwrap();
        Self { urls, http: client().unwrap(), _within: None, process: Some(program) }
    }

    /// One of the URLs that the sandbox names.
    pub fn url(&self, name: &str) -> &str {
        self.urls[name].as_str().unwrap()
    }

    /// The portal function of an organization.
    pub fn portal(&self, organization: &str) -> &str {
        self.urls["portal_urls"][organization].as_str().unwrap()
    }

    /// Calls the sandbox's own door.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/sandbox{path}", self.url("url"));
        let mut request = self.http.request(method, url);
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await
    }

    /// A CRM Plus administrator adds a user; answers the CRM id.
    pub async fn add(&self, organization: &str, email: &str) -> String {
        let path = format!("/organizations/{organization}/crm-users");
        let answer = self.call(Method::POST, &path, &json!({ "email": email })).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The next call of this name meets this fault.
    pub async fn fault(&self, call: &str, kind: &str) {
        let rule = json!({ "call": call, "fault": { "kind": kind } });
        self.call(Method::POST, "/faults", &rule).await;
    }

    /// Waits until this many calls are held.
    pub async fn held(&self, count: u64) {
        until("calls are held", async || {
            (self.get("/faults").await["held"] == count).then_some(())
        })
        .await;
    }

    /// Lets held calls go on.
    pub async fn release(&self) {
        self.call(Method::POST, "/release", &Value::Null).await;
    }

    /// The journal's entries of this call.
    pub async fn entries(&self, call: &str) -> Vec<Value> {
        let journal = self.get("/journal").await;
        let entries = journal["entries"].as_array().unwrap();
        entries.iter().filter(|entry| entry["call"] == call).cloned().collect()
    }

    /// How many calls broke the contract.
    pub async fn violations(&self) -> u64 {
        self.get("/journal").await["counts"]["violations"].as_u64().unwrap()
    }

    /// The bridge's own letters to this address.
    pub async fn letters(&self, to: &str) -> Vec<Value> {
        let boxes = self.get("/mailboxes").await;
        let boxes = boxes["mailboxes"].as_array().unwrap();
        let mails = boxes.iter().filter(|one| one["address"] == to);
        let mails = mails.flat_map(|one| one["mails"].as_array().unwrap());
        mails.filter(|mail| mail["from"] == OURS).cloned().collect()
    }

    /// External rows of an organization's Cliq as (address, status), sorted.
    pub async fn externals(&self, organization: &str) -> Vec<(String, String)> {
        let state = self.get("/state").await;
        let organizations = state["organizations"].as_array().unwrap();
        let one = organizations.iter().find(|one| one["id"] == organization).unwrap();
        let rows = one["cliq_users"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut rows: Vec<_> = rows
            .iter()
            .filter(|row| row["class"] == "external")
            .map(|row| (text(&row["email"]), text(&row["status"])))
            .collect();
        rows.sort();
        rows
    }
}
