//! Debian's Chromium, driven by its own driver over plain `WebDriver` (W3C): one browser for each
//! test, with a profile of its own.
//!
//! Where there is no browser the tests that need one say so and pass, but never with `CI` set.
//! Deliberately absent: waiting by the clock; the driver waits for the page.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cliqbridge::app::client::client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use url::Url;

/// Longest command; a browser that starts on a busy machine takes the most of it.
const PATIENCE: Duration = Duration::from_mins(3);

/// Looks that may pass until a click has led on; each is a real answer of the driver.
const LOOKS_MAX: u32 = 5_000;

/// Browsers at once: each wants a core, and hundreds of megabytes.
static SEATS: Semaphore = Semaphore::const_new(2);

/// A page is told that it is this wide and high unless a test says otherwise, CSS pixels.
const WINDOW: (u32, u32) = (1_000, 900);

/// The key under which `WebDriver` hands out an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The characters that `WebDriver` reads as keys.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

const FLAGS: [&str; 12] = [
    "--headless=new",
    // Tests run as root in containers, where Chromium's own sandbox cannot be set up.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // Grey edges of letters: pictures look the same everywhere, and are smaller.
    "--disable-lcd-text",
    // The browser ends with its driver, also when that is killed.
    "--remote-debugging-pipe",
];

/// A browser with one window.
pub struct Browser {
    _driver: Driver,
    http: reqwest::Client,
    session: String,
    profile: TempDir,
    _seat: SemaphorePermit<'static>,
}

impl Browser {
    /// A browser; `None`, in words, where there is none.
    pub async fn start() -> Option<Self> {
        Self::with(&json!({})).await
    }

    /// One that runs no script of any page.
    pub async fn without_scripts() -> Option<Self> {
        Self::with(&json!({ "profile.managed_default_content_settings.javascript": 2 })).await
    }

    async fn with(prefs: &Value) -> Option<Self> {
        let (Some(driver), Some(browser)) = (program("chromedriver"), program("chromium")) else {
            no_browser();
            return None;
        };
        let seat = SEATS.acquire().await.unwrap();
        let mut driver = Driver::start(&driver);
        let port = driver.port().await;
        let profile = tempfile::tempdir().unwrap();
        let http = client().unwrap();
        let mut this = Self { _driver: driver, http, session: String::new(), profile, _seat: seat };
        let data = format!("--user-data-dir={}", this.profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str(), "--lang=en-US"]).collect();
        let options = json!({ "binary": browser, "args": flags, "prefs": prefs });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "timeouts": { "pageLoad": 60_000, "script": 60_000 },
        } } });
        this.session = format!("http://127.0.0.1:{port}/session");
        let started = this.command("", &wanted).await;
        this.session = format!("{}/{}", this.session, started["sessionId"].as_str().unwrap());
        this.resize(WINDOW.0, WINDOW.1).await;
        Some(this)
    }

    /// A command by POST; a failed one fails the test.
    async fn command(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session)).body(body.to_string());
        value(path, request).await
    }

    async fn ask(&self, path: &str) -> Value {
        value(path, self.http.get(format!("{}{path}", self.session))).await
    }

    /// Opens an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url })).await;
    }

    /// Opens a document that no server has.
    pub async fn open_text(&self, html: &str) {
        let file = self.profile.path().join("page.html");
        std::fs::write(&file, html).unwrap();
        self.open(Url::from_file_path(file).unwrap().as_str()).await;
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.command("/refresh", &json!({})).await;
    }

    /// Where the browser is.
    pub async fn url(&self) -> String {
        self.ask("/url").await.as_str().unwrap().to_owned()
    }

    /// The title of the document.
    pub async fn title(&self) -> String {
        self.ask("/title").await.as_str().unwrap().to_owned()
    }

    /// The text that a person sees in the first element of this selector.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.element(selector).await;
        self.ask(&format!("/element/{element}/text")).await.as_str().unwrap().to_owned()
    }

    /// Clicks the first element of this selector, which must be in sight, and waits for the page
    /// that it leads to.
    pub async fn follow(&self, selector: &str) {
        let before = self.document().await;
        let element = self.element(selector).await;
        self.command(&format!("/element/{element}/click"), &json!({})).await;
        self.arrive(before).await;
    }

    /// Presses a key that leads to another page, and waits for that.
    pub async fn follow_key(&self, key: &str) {
        let before = self.document().await;
        self.press(key).await;
        self.arrive(before).await;
    }

    /// The name of the document: the driver puts it into the names of elements. None while pages
    /// change.
    async fn document(&self) -> Option<String> {
        let root = json!({ "using": "css selector", "value": "html" });
        let request = self.http.post(format!("{}/element", self.session)).body(root.to_string());
        let root = tried(request).await.ok()?[ELEMENT].as_str()?.to_owned();
        Some(root.rsplit_once(".e.")?.0.to_owned())
    }

    /// Ends when the browser has left the document. The driver comes back from a click before it
    /// knows whether that leads anywhere; later commands wait for what is loading.
    async fn arrive(&self, before: Option<String>) {
        for _ in 0..LOOKS_MAX {
            let now = self.document().await;
            if now.is_some() && now != before {
                return;
            }
        }
        panic!("nothing came after {}", self.url().await);
    }

    async fn element(&self, selector: &str) -> String {
        let using = json!({ "using": "css selector", "value": selector });
        self.command("/element", &using).await[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Presses and lets go of a key.
    pub async fn press(&self, key: &str) {
        let strokes =
            json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": strokes }]);
        self.command("/actions", &json!({ "actions": actions })).await;
    }

    /// What the script returns.
    pub async fn script(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// What the script hands to its last argument, a function.
    pub async fn script_that_calls(&self, script: &str) -> Value {
        self.command("/execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// The page is this wide and high, CSS pixels, on a screen without a mouse's scroll bars.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The person prefers `light` or `dark`.
    pub async fn prefers(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
        // Colours that are still on their way are no colours of the page.
        self.script("document.getAnimations().forEach(moving => moving.finish())").await;
    }

    /// The page from its top as PNG, also what is not in sight; at most so many CSS pixels high.
    pub async fn picture(&self, height_max: u32) -> Vec<u8> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        let height = size["height"].as_f64().unwrap().min(height_max.into());
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", wanted).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.command("/goog/cdp/execute", &json!({ "cmd": command, "params": params })).await
    }

    /// Ends the browser.
    pub async fn quit(self) {
        value("quit", self.http.delete(&self.session)).await;
    }
}

/// The driver's process; killed when the test ends, and the browser with it.
struct Driver(Child);

impl Driver {
    fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// The port that it says it listens on.
    async fn port(&mut self) -> u16 {
        let out = BufReader::new(self.0.stdout.take().unwrap());
        let (found, port) = oneshot::channel();
        thread::spawn(move || {
            let mut found = Some(found);
            // Read to the end, so that the driver never waits for somebody to read.
            for line in out.lines().map_while(Result::ok) {
                let port = line
                    .rsplit_once("successfully on port ")
                    .map(|(_, port)| port.trim_end_matches('.'));
                if let (Some(port), Some(sender)) = (port, found.take_if(|_| port.is_some())) {
                    let _ = sender.send(port.parse().unwrap());
                }
            }
        });
        tokio::time::timeout(PATIENCE, port).await.expect("in time").expect("the driver starts")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The `value` of an answer; an error fails the test with what the driver says.
async fn value(what: &str, request: reqwest::RequestBuilder) -> Value {
    tried(request).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The `value` of an answer, or what the driver says instead.
async fn tried(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let response = request.timeout(PATIENCE).send().await.map_err(|error| error.to_string())?;
    let (status, text) = (response.status(), response.text().await.unwrap());
    if !status.is_success() {
        return Err(format!("{status} {text}"));
    }
    Ok(serde_json::from_str::<Value>(&text).unwrap()["value"].take())
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output learns what was not tested"
)]
fn no_browser() {
    let what = "chromium and chromedriver are not both installed (Debian: apt-get install chromium \
                chromium-driver)";
    assert!(std::env::var_os("CI").is_none(), "{what}; in CI the browser tests never skip");
    eprintln!("skipped: {what}");
}
