//! Webhooks signed by programs that share no code with the bridge: the `standardwebhooks` package
//! from `PyPI`, and `openssl`. Each is believed as it is, and not when anything in it is changed.
//!
//! Where python3, its package or openssl cannot be had, a test says so and passes; under CI it
//! fails.

#![expect(clippy::print_stdout, reason = "what was not tested is said")]

use std::path::{Path, PathBuf};
use std::process::Command;

use cliqbridge::app::client::client;

use crate::daemon::child::Program;
use crate::daemon::post::{added, post};
use crate::daemon::zoho::Zoho;
use crate::daemon::{BILLING_SECRET, BIRCH, Home, RAW_SECRET, STANDARD_SECRET, lane};

const PACKAGE: &str = "standardwebhooks==1.1.0";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/standard_webhooks.py");
const BILLING_HEADER: &str = "X-Zoho-Webhook-Signature";
const OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkgaGFz";

type Headers = Vec<(String, String)>;

/// What a command prints; otherwise why it did not.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A python that has the package; made once per target folder.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-venv-{PACKAGE}"));
    let python = folder.join("bin/python");
    let has_package = || output(Command::new(&python).args(["-c", "import standardwebhooks"]));
    if has_package().is_err() {
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
        output(Command::new(&python).args(install))?;
        has_package()?;
    }
    Ok(python)
}

/// What cannot be had is said; under CI it is a failure.
fn available<T>(tool: Result<T, String>) -> Option<T> {
    match tool {
        Ok(tool) => Some(tool),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "not available: {why}");
            println!("NOT TESTED, the tool cannot be had: {why}");
            None
        }
    }
}

/// HMAC-SHA256 by openssl, in hex or base64.
fn openssl(secret: &str, text: &str, form: &str) -> Result<String, String> {
    let digest = "printf %s \"$1\" | openssl dgst -sha256 -hmac \"$0\"";
    let script = match form {
        "base64" => format!("{digest} -binary | openssl base64 -A"),
        _ => format!("{digest} -hex"),
    };
    let printed = output(Command::new("sh").args(["-c", &script, secret, text]))?;
    // `SHA2-256(stdin)= 0123…`: the label differs between versions.
    let word = printed.rsplit(' ').next().unwrap_or_default().to_owned();
    if word.is_empty() { Err("openssl printed nothing".to_owned()) } else { Ok(word) }
}

struct Stage {
    zoho: Zoho,
    home: Home,
    _daemon: Program,
    http: reqwest::Client,
}

impl Stage {
    async fn open() -> Self {
        let zoho = Zoho::start().await;
        let home = Home::new(&zoho, "5s");
        let daemon = home.serve().await;
        Self { zoho, home, _daemon: daemon, http: client().unwrap() }
    }

    async fn post(&self, path: &str, headers: &Headers, body: &str) -> (u16, String) {
        let body = body.as_bytes().to_vec();
        let (status, answer) = post(&self.http, &self.home, path, headers, body).await.unwrap();
        (status, answer["status"].as_str().unwrap_or_default().to_owned())
    }

    async fn believes(&self, path: &str, headers: &Headers, body: &str) {
        let answer = self.post(path, headers, body).await;
        assert_eq!(answer, (200, "accepted".to_owned()), "{path} {headers:?}");
    }

    async fn refuses(&self, what: &str, path: &str, headers: &Headers, body: &str) {
        let (status, _) = self.post(path, headers, body).await;
        assert_eq!(status, 401, "{what}: {path} {headers:?}");
    }

    /// The same with the body, the signature and the headers changed, one at a time.
    async fn refuses_what_is_changed(&self, path: &str, headers: &Headers, body: &str) {
        self.refuses("body", path, headers, &body.replacen("user", "User", 1)).await;
        self.refuses("a space more", path, headers, &format!("{body} ")).await;
        for index in 0..headers.len() {
            let mut changed = headers.clone();
            let value = &mut changed[index].1;
            let last = value.pop().unwrap();
            // Base64 may ignore bits of its last letters; the sixth from the end counts.
            let at = value.len().saturating_sub(6);
            let other = if value[at..].starts_with('1') { "2" } else { "1" };
            value.replace_range(at..=at, other);
            value.push(last);
            self.refuses("a letter of a header", path, &changed, body).await;
            changed.remove(index);
            self.refuses("a header less", path, &changed, body).await;
            changed.push((headers[index].0.clone(), String::new()));
            self.refuses("an empty header", path, &changed, body).await;
        }
    }
}

fn header(name: &str, value: String) -> Headers {
    vec![(name.to_owned(), value)]
}

/// A `user.added` with an id of its own.
async fn event(stage: &Stage, source: &'static str, id: &str) -> String {
    let crm_id = stage.zoho.add("birch", &format!("{id}@partner.example")).await;
    String::from_utf8(added(source, id, BIRCH, &crm_id).body).unwrap()
}

#[tokio::test]
async fn standardwebhooks_from_pypi() {
    let Some(python) = available(python()) else { return };
    let _lane = lane().await;
    let stage = Stage::open().await;
    let sign = |secret: &str, id: &str, body: &str| {
        let printed = output(Command::new(&python).args([SCRIPT, secret, id, body])).unwrap();
        let headers: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&printed).unwrap();
        headers.into_iter().collect::<Headers>()
    };
    let path = "/webhooks/crmplus";
    let body = event(&stage, "crmplus", "evt-python").await;
    let headers = sign(STANDARD_SECRET, "msg_python", &body);
    stage.refuses_what_is_changed(path, &headers, &body).await;
    stage.refuses("another secret", path, &sign(OTHER_SECRET, "msg_python", &body), &body).await;
    stage.believes(path, &headers, &body).await;
    assert_eq!(stage.post(path, &headers, &body).await.1, "duplicate");

    // Two signatures, as during a change of secrets.
    let body = event(&stage, "crmplus", "evt-umlaut-ü").await;
    let mut headers = sign(OTHER_SECRET, "msg_two", &body);
    let ours = sign(STANDARD_SECRET, "msg_two", &body);
    let find = |headers: &Headers, name: &str| {
        headers.iter().position(|(header, _)| header == name).unwrap()
    };
    let at = find(&headers, "webhook-signature");
    headers[at].1 = format!("{} {}", headers[at].1, ours[find(&ours, "webhook-signature")].1);
    let at = find(&headers, "webhook-timestamp");
    headers[at].1.clone_from(&ours[find(&ours, "webhook-timestamp")].1);
    stage.believes(path, &headers, &body).await;
    stage.home.settle().await;
    assert_eq!(stage.zoho.externals("birch").await.len(), 2);
}

#[tokio::test]
async fn openssl_for_the_raw_scheme() {
    if available(openssl("k", "t", "base64")).is_none() {
        return;
    }
    let _lane = lane().await;
    let stage = Stage::open().await;
    let path = "/webhooks/deluge";
    let body = event(&stage, "deluge", "evt-openssl").await;
    let sign = |secret| header("X-Bridge-Signature", openssl(secret, &body, "base64").unwrap());
    stage.refuses_what_is_changed(path, &sign(RAW_SECRET), &body).await;
    stage.refuses("another secret", path, &sign(OTHER_SECRET), &body).await;
    let hex = header("X-Bridge-Signature", openssl(RAW_SECRET, &body, "hex").unwrap());
    stage.refuses("hex where base64 is configured", path, &hex, &body).await;
    stage.believes(path, &sign(RAW_SECRET), &body).await;
    stage.home.settle().await;
    assert_eq!(stage.zoho.externals("birch").await.len(), 1);
}

#[tokio::test]
async fn openssl_for_zoho_billing_with_and_without_a_query() {
    if available(openssl("k", "t", "hex")).is_none() {
        return;
    }
    let _lane = lane().await;
    let stage = Stage::open().await;
    let body = |id: &str| {
        format!(
            r#"{{"event_id":"{id}","event_type":"subscription_upgraded","data":{{"subscription":{{"subscription_id":"90343","status":"live","customer":{{"customer_id":"77"}},"note":"user"}}}}}}"#
        )
    };
    let sign = |secret: &str, text: &str, form| {
        header(BILLING_HEADER, openssl(secret, text, form).unwrap())
    };
    let path = "/webhooks/billing";
    for form in ["hex", "base64"] {
        let body = body(form);
        let headers = sign(BILLING_SECRET, &body, form);
        stage.refuses_what_is_changed(path, &headers, &body).await;
        stage.refuses("another secret", path, &sign("another0secret", &body, form), &body).await;
        stage.refuses("a query", &format!("{path}?a=b"), &headers, &body).await;
        stage.believes(path, &headers, &body).await;
    }
    // The contract's example, section 4: pairs sorted by key, nothing between, then the JSON.
    let body = body("5675");
    let text = format!("namebasicsubscription_id90343{body}");
    let headers = sign(BILLING_SECRET, &text, "hex");
    let query = format!("{path}?subscription_id=90343&name=basic");
    stage.refuses_what_is_changed(&query, &headers, &body).await;
    for wrong in ["subscription_id=90343", "subscription_id=90344&name=basic", ""] {
        stage.refuses("another query", &format!("{path}?{wrong}"), &headers, &body).await;
    }
    stage.believes(&query, &headers, &body).await;
}
