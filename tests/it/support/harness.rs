//! One bridge and one sandbox in this process. Loops do not run: [`Bridge::settle`] takes the
//! production steps and moves the clock to what is due next.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cliqbridge::app::{self, Loops, Running};
use cliqbridge::clock::Clock;
use cliqbridge::config::{self, Source};
use cliqbridge::domain::Timestamp;
use cliqbridge::domain::scheme::SigningKey;
use cliqbridge::engine::{Desk, Step};
use cliqbridge::logic::signature;
use cliqbridge::sandbox::{self, Options, Sandbox, Urls};
use http::header::HeaderMap;
use serde_json::{Value, json};

use super::clock::SteppedClock;
use super::setup::{ADMIN_TOKEN, OURS, Setup};
use super::traces::{Journal, Mail};

/// Where the clock stands when a test begins.
const START: &str = "2026-11-24T08:00:00Z";

/// Simulated time within which everything has to come to rest.
const SETTLE_MAX: Duration = Duration::from_hours(2);

/// Steps of one settling; more is a desk that turns in circles.
const STEPS_MAX: usize = 20_000;

/// Looks that may pass until the sandbox holds a call; each is a real answer over HTTP.
const LOOKS_MAX: u32 = 5_000;

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

pub struct Bridge {
    pub clock: Arc<SteppedClock>,
    pub http: reqwest::Client,
    pub file: PathBuf,
    pub folder: tempfile::TempDir,
    running: Option<Running>,
    sandbox: Option<Sandbox>,
    pub urls: Urls,
    sources: Vec<Source>,
    events: AtomicU32,
    ended: bool,
}

impl Bridge {
    pub async fn start(setup: &Setup) -> Self {
        let clock = Arc::new(SteppedClock::new(START));
        let loopback = ([127, 0, 0, 1], 0).into();
        let options = Options { listen: loopback, smtp: loopback, world: setup.sandbox_world() };
        let sandbox = sandbox::start(options, clock.clone()).await.unwrap();
        let urls = sandbox.urls();
        let folder = tempfile::tempdir().unwrap();
        let file = setup.write(folder.path(), &urls);
        let config = config::load(&file, None).unwrap_or_else(|problems| panic!("{problems}"));
        let sources = config.sources.clone();
        let started = app::start_within(config, clock.clone(), Loops::ByHand, setup.patience);
        let running = started.await.unwrap();
        Self {
            clock,
            http: app::client::client().unwrap(),
            file,
            folder,
            running: Some(running),
            sandbox: Some(sandbox),
            urls,
            sources,
            events: AtomicU32::new(0),
            ended: false,
        }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the bridge runs")
    }

    /// Where the public door listens.
    pub fn public(&self) -> &str {
        &self.running().public
    }

    /// Where the admin door listens.
    pub fn admin_address(&self) -> &str {
        &self.running().admin
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // ---- time ---------------------------------------------------------------------------------

    /// One step of a desk; whatever it waits for in memory comes at once.
    pub async fn step(&self, desk: &Desk) -> Step {
        let mut step = pin!(self.running().engine.step(desk));
        loop {
            tokio::select! {
                biased;
                done = &mut step => return done.unwrap(),
                until = self.clock.next_wait() => self.clock.advance_to(until),
            }
        }
    }

    /// Steps these desks until none has anything due now; tells when the next thing is due.
    async fn work_at(&self, desks: &[Desk]) -> Option<Timestamp> {
        let mut steps = 0;
        loop {
            let mut worked = false;
            let mut next: Option<Timestamp> = None;
            for desk in desks {
                loop {
                    steps += 1;
                    assert!(steps < STEPS_MAX, "{desk:?} turns in circles");
                    match self.step(desk).await {
                        Step::Worked => worked = true,
                        Step::Idle(at) => {
                            next = next.into_iter().chain(at).min();
                            break;
                        }
                    }
                }
            }
            if !worked {
                return next;
            }
        }
    }

    /// The desks that work off what came in; what the clock alone brings is [`Self::live_for`]'s.
    fn desks(&self) -> Vec<Desk> {
        let timed = |desk: &Desk| matches!(desk, Desk::Clock(_) | Desk::Schedule(_));
        self.running().engine.desks().into_iter().filter(|desk| !timed(desk)).collect()
    }

    /// Works off everything that is due now; tells when the next thing is due.
    pub async fn work(&self) -> Option<Timestamp> {
        self.work_at(&self.desks()).await
    }

    /// Works until nothing is left, moving the clock to whatever is due next.
    pub async fn settle(&self) {
        let until = self.now() + SETTLE_MAX;
        let mut rounds = 0;
        while let Some(due) = self.work().await {
            rounds += 1;
            if due > until || rounds > STEPS_MAX {
                let status = self.admin("/status").await;
                panic!("not at rest after {SETTLE_MAX:?}, next due {due}: {}", status.body);
            }
            self.clock.advance_to(due);
        }
    }

    /// Works off what falls due within this time, and lets it pass.
    pub async fn settle_for(&self, time: Duration) {
        let desks = self.desks();
        self.pass(&desks, time).await;
    }

    /// Lets this time pass with everything at work: the invitation clock and the schedules too.
    pub async fn live_for(&self, time: Duration) {
        let desks = self.running().engine.desks();
        self.pass(&desks, time).await;
    }

    /// As [`Self::live_for`], without the schedules: no reconciliation but those asked for.
    pub async fn wait_for(&self, time: Duration) {
        let mut desks = self.running().engine.desks();
        desks.retain(|desk| !matches!(desk, Desk::Schedule(_)));
        self.pass(&desks, time).await;
    }

    async fn pass(&self, desks: &[Desk], time: Duration) {
        let until = self.now() + time;
        while let Some(due) = self.work_at(desks).await.filter(|due| *due <= until) {
            self.clock.advance_to(due);
        }
        self.clock.advance_to(until);
    }

    // ---- webhooks -----------------------------------------------------------------------------

    pub fn source(&self, name: &str) -> &Source {
        self.sources.iter().find(|source| source.name == name).expect("a configured source")
    }

    /// A user event of an organization of the demo world, with an id of its own.
    pub fn event(&self, kind: &str, organization: &str, user: &str) -> Value {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        json!({
            "event_id": format!("evt-{number}"),
            "event_type": kind,
            "event_time": self.now().to_rfc3339(),
            "organization_id": match organization {
                "acme" => "60001234",
                "birch" => "60005678",
                "cedar" => "60009012",
                other => other,
            },
            "data": { "user": { "id": user, "email": "stale@payload.example" } },
        })
    }

    /// Signs with the source's first secret and posts.
    pub async fn webhook(&self, source: &str, event: &Value) -> Answer {
        let key = self.source(source).secrets[0].clone();
        self.signed(source, &key, self.now(), event.to_string().as_bytes()).await
    }

    /// Signs with this key, as at this time, and posts.
    pub async fn signed(&self, to: &str, key: &SigningKey, at: Timestamp, body: &[u8]) -> Answer {
        const JSON: &str = "application/json";
        let id = format!("msg-{}", self.events.fetch_add(1, Ordering::Relaxed));
        let scheme = &self.source(to).scheme;
        let headers = signature::sign(scheme, key, &id, None, JSON, body, at).unwrap();
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.post(to, &headers, body).await
    }

    /// Posts as it is, as JSON unless the headers say otherwise.
    pub async fn post(&self, source: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = self
            .http
            .post(format!("http://{}/webhooks/{source}", self.public()))
            .body(body.to_vec());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Says by webhook that a CRM user was added; it must be accepted.
    pub async fn announce(&self, organization: &str, user: &str) {
        let event = self.event("user.added", organization, user);
        let answer = self.webhook("crmplus", &event).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("accepted")),
            "{answer:?}"
        );
    }

    // ---- the sandbox's people -----------------------------------------------------------------

    /// The CRM Plus administrator adds a user; answers the CRM id.
    pub async fn add(&self, organization: &str, email: &str) -> String {
        self.add_with(organization, json!({ "email": email })).await
    }

    pub async fn add_with(&self, organization: &str, user: Value) -> String {
        let done = self.act(&format!("/organizations/{organization}/crm-users"), &user).await;
        done["id"].as_str().expect("the sandbox gives an id").to_owned()
    }

    /// Adds and announces; the usual beginning.
    pub async fn added(&self, organization: &str, email: &str) -> String {
        let id = self.add(organization, email).await;
        self.announce(organization, &id).await;
        id
    }

    /// Acts in the sandbox by POST; must succeed.
    pub async fn act(&self, path: &str, body: &Value) -> Value {
        self.sandbox_call(reqwest::Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        self.sandbox_call(reqwest::Method::PATCH, path, body).await
    }

    /// Looks at something of the sandbox that may be refused.
    pub async fn look(&self, path: &str) -> Answer {
        answer(self.http.get(format!("{}/sandbox{path}", self.urls.url))).await
    }

    async fn sandbox_call(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/sandbox{path}", self.urls.url);
        let request = self.http.request(method, url).header("content-type", "application/json");
        let answer = answer(request.body(body.to_string())).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer.body
    }

    /// The next matching call goes wrong like this; `more` holds `organization`, `times`, `skip`.
    pub async fn fault(&self, call: &str, mut more: Value, fault: Value) {
        more["call"] = call.into();
        more["fault"] = fault;
        self.act("/faults", &more).await;
    }

    pub async fn delete(&self, path: &str) {
        self.sandbox_call(reqwest::Method::DELETE, path, &Value::Null).await;
    }

    /// Ends when the sandbox holds a call.
    pub async fn held(&self) {
        for _ in 0..LOOKS_MAX {
            if self.sandbox("/faults").await["held"] == 1 {
                return;
            }
        }
        panic!("no call was held");
    }

    pub async fn clear_faults(&self) {
        self.delete("/faults").await;
    }

    // ---- looking ------------------------------------------------------------------------------

    pub async fn sandbox(&self, path: &str) -> Value {
        let answer = answer(self.http.get(format!("{}/sandbox{path}", self.urls.url))).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    pub async fn journal(&self) -> Journal {
        Journal(self.sandbox("/journal").await["entries"].as_array().unwrap().clone())
    }

    /// Our own mails in this box; Zoho's are left out.
    pub async fn mails(&self, address: &str) -> Vec<Mail> {
        let all = self.sandbox("/mailboxes").await;
        let mailbox = rows(&all["mailboxes"]).find(|mailbox| mailbox["address"] == address);
        let mails = mailbox.iter().flat_map(|mailbox| rows(&mailbox["mails"]));
        mails.filter(|mail| mail["from"] == OURS).cloned().map(Mail).collect()
    }

    /// The row that the sandbox's Cliq shows of an address.
    pub async fn cliq_row(&self, organization: &str, email: &str) -> Option<Value> {
        let state = self.sandbox("/state").await;
        let org = rows(&state["organizations"]).find(|org| org["id"] == organization)?;
        rows(&org["cliq_users"]).find(|row| row["email"] == email).cloned()
    }

    /// Reads below `/api/v1` with the token.
    pub async fn admin(&self, path: &str) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.admin_address());
        answer(self.http.get(url).bearer_auth(ADMIN_TOKEN)).await
    }

    pub async fn admin_post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.admin_address());
        answer(self.http.post(url).bearer_auth(ADMIN_TOKEN).body(body.to_string())).await
    }

    /// Resyncs and answers the `run_id`.
    pub async fn resync(&self, body: Value) -> String {
        let answer = self.admin_post("/resync", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["run_id"].as_str().unwrap().to_owned()
    }

    /// The membership as the admin API shows it.
    pub async fn membership(&self, organization: &str, email: &str) -> Value {
        let path = format!("/memberships?organization={organization}&limit=200");
        let list = self.admin(&path).await.body;
        let row = rows(&list["items"]).find(|row| row["email"] == email);
        row.unwrap_or_else(|| panic!("no {email} in {list}")).clone()
    }

    /// Entries of one organization in the status.
    pub async fn organization(&self, id: &str) -> Value {
        let status = self.admin("/status").await.body;
        rows(&status["organizations"]).find(|row| row["organization"] == id).unwrap().clone()
    }

    // ---- ends ---------------------------------------------------------------------------------

    /// Ends the bridge in order and starts it again on the same file and store.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts the bridge again after [`Self::stop`].
    pub async fn start_again(&mut self) {
        let config = config::load(&self.file, None).unwrap();
        self.running = Some(app::start(config, self.clock.clone(), Loops::ByHand).await.unwrap());
    }

    /// Ends the bridge; what the test then does to its files is its own affair.
    pub async fn stop(&mut self) {
        self.running.take().expect("the bridge runs").stop().await;
    }

    /// Demands that nothing is left over: no hint, no waiting action, no run, no violation, and a
    /// ledger that says what the sandbox's Cliq shows.
    pub async fn finish(mut self) {
        let status = self.admin("/status").await.body;
        let queue = &status["queue"];
        for open in [&queue["hints"], &queue["actions"]["waiting"], &queue["runs"]] {
            assert_eq!(open, 0, "left over: {queue}");
        }
        let (ledger, mut shown) = (self.ledger().await, self.shown().await);
        // A "no" on our page and the end of an invitation are ours; Zoho keeps its own books.
        shown.retain(|(organization, email, state)| {
            let over = ["declined", "expired"];
            let is = |row: &&(String, String, String)| (&row.0, &row.1) == (organization, email);
            let known = ledger.iter().find(is).map(|row| row.2.as_str());
            state != "invited" || known.is_none_or(|known| !over.contains(&known))
        });
        let in_cliq = ["invited", "joined", "restricted"];
        let ledger: Vec<_> =
            ledger.into_iter().filter(|row| in_cliq.contains(&row.2.as_str())).collect();
        assert_eq!(ledger, shown, "the ledger and Cliq (organization, email, state)");
        self.end().await;
    }

    /// Ends a test that leaves something open on purpose.
    pub async fn finish_with_leftovers(mut self, _why: &str) {
        self.end().await;
    }

    async fn end(&mut self) {
        let journal = self.journal().await;
        let broken: Vec<_> = journal.0.iter().filter(|e| e["kind"] == "violation").collect();
        assert!(broken.is_empty(), "the contract was broken: {broken:#?}");
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.stop().await;
        }
        self.ended = true;
    }

    async fn ledger(&self) -> Vec<(String, String, String)> {
        let list = self.admin("/memberships?limit=200").await.body;
        assert!(list["next_cursor"].is_null(), "more than a page");
        let mut rows: Vec<_> = rows(&list["items"])
            .filter(|row| row["external"] == true)
            .map(|row| (text(row, "organization"), text(row, "email"), text(row, "state")))
            .map(|row| match row.2.as_str() {
                "removal_staged" => (row.0, row.1, "restricted".to_owned()),
                _ => row,
            })
            .collect();
        rows.sort();
        rows
    }

    async fn shown(&self) -> Vec<(String, String, String)> {
        let state = self.sandbox("/state").await;
        let mut shown = Vec::new();
        for organization in rows(&state["organizations"]) {
            for row in rows(&organization["cliq_users"]).filter(|row| row["class"] == "external") {
                let state = match row["status"].as_str() {
                    Some("active") => "joined",
                    Some("pending") => "invited",
                    _ => "restricted",
                };
                shown.push((text(organization, "id"), text(row, "email"), state.to_owned()));
            }
        }
        shown.sort();
        shown
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        assert!(self.ended || std::thread::panicking(), "the test did not call finish()");
    }
}

/// The rows of a JSON list.
pub fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// Sends a request and reads its answer to the end.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Answer { status, headers, text, body }
}
