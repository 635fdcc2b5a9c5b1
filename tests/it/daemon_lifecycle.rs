//! Living under systemd: ready, watchdog, stopping, and the signals.
//!
//! Deliberately absent: systemd itself; the test listens on the socket that it would.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixDatagram, UnixStream};

use crate::daemon::child::Program;
use crate::daemon::post::{JSON, added};
use crate::daemon::zoho::Zoho;
use crate::daemon::{ADMIN_TOKEN, BIRCH, Home, PATIENCE, lane};

/// The socket that systemd would give.
struct Notices {
    socket: UnixDatagram,
    path: String,
}

impl Notices {
    fn listen(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    /// Reads what has come already.
    fn waiting(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        while let Ok(length) = self.socket.try_recv(&mut buffer) {
            seen.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        seen
    }

    /// Reads lines until this one has come; answers all that were seen.
    async fn until(&self, wanted: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut buffer = [0; 4096];
        let reading = async {
            while !seen.contains(wanted) {
                let length = self.socket.recv(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]);
                seen.extend(text.lines().map(str::to_owned));
            }
        };
        assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "no {wanted}: {seen:?}");
        seen
    }
}

async fn stage(drain: &str) -> (Zoho, Home) {
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, drain);
    (zoho, home)
}

/// A daemon whose portal call is held, so that it cannot drain.
async fn hanging(drain: &str) -> (Zoho, Home, Program) {
    let (zoho, home) = stage(drain).await;
    zoho.fault("portal", "hold").await;
    let ada = zoho.add("birch", "ada@acme.example").await;
    let daemon = home.serve().await;
    assert_eq!(added("crmplus", "evt-ada", BIRCH, &ada).post(&home).await, "accepted");
    zoho.held(1).await;
    (zoho, home, daemon)
}

#[tokio::test]
async fn systemd_is_told_ready_watchdog_and_stopping() {
    let _lane = lane().await;
    let (_zoho, home) = stage("5s").await;
    let notices = Notices::listen(&home);
    let environment = [("NOTIFY_SOCKET", notices.path.as_str()), ("WATCHDOG_USEC", "900000")];
    let daemon = home.start(&[], &environment);
    let first = notices.until("READY=1").await;
    assert!(!first.contains("STOPPING=1"), "{first:?}");
    assert!(TcpStream::connect(&home.public).await.is_ok(), "ready means that it answers");
    notices.until("WATCHDOG=1").await;
    notices.until("WATCHDOG=1").await;
    daemon.signal("TERM");
    notices.until("STOPPING=1").await;
    assert_eq!(daemon.ended().await.code, Some(0));
}

#[tokio::test]
async fn sigterm_and_sigint_end_a_call_that_hangs_within_the_drain() {
    for signal in ["TERM", "INT"] {
        let _lane = lane().await;
        let (zoho, home, daemon) = hanging("1s").await;
        let told = Instant::now();
        daemon.signal(signal);
        let ended = daemon.ended().await;
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.err);
        assert!(ended.err.contains("work in flight did not end in time"), "{}", ended.err);
        assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
        zoho.release().await;
        let _daemon = home.serve().await;
        home.settle().await;
        assert_eq!(zoho.letters("ada@acme.example").await.len(), 1, "taken up at the next start");
    }
}

#[tokio::test]
async fn a_signal_during_the_start_leaves_nothing_half_done() {
    let _lane = lane().await;
    let (_zoho, home) = stage("5s").await;
    for moment in [0, 5, 10, 15, 20, 30, 40, 60, 80] {
        let daemon = home.start(&[], &[]);
        let ready = daemon.says("\"message\":\"listening\"");
        let _ = tokio::time::timeout(Duration::from_millis(moment), ready).await;
        daemon.signal("TERM");
        let ended = daemon.ended().await;
        // No status: the signal came before the program could listen for it.
        assert!(matches!(ended.code, Some(0) | None), "{moment} ms: {ended:?}");
    }
    let daemon = home.serve().await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let _lane = lane().await;
    let (_zoho, _home, daemon) = hanging("1h").await;
    daemon.signal("TERM");
    daemon.says("stopping").await;
    daemon.signal("TERM");
    let ended = daemon.ended().await;
    assert_eq!(ended.code, Some(143), "{}", ended.err);
}

#[tokio::test]
async fn a_request_in_flight_is_answered() {
    let _lane = lane().await;
    let (zoho, home) = stage("20s").await;
    let ada = zoho.add("birch", "ada@acme.example").await;
    let daemon = home.serve().await;
    let webhook = added("crmplus", "evt-late", BIRCH, &ada);
    let mut head = format!(
        "POST /webhooks/crmplus HTTP/1.1\r\nhost: bridge\r\ncontent-type: {JSON}\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n",
        webhook.body.len()
    );
    for (name, value) in webhook.headers() {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let mut stream = TcpStream::connect(&home.public).await.unwrap();
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    daemon.signal("TERM");
    daemon.says("stopping").await;
    stream.write_all(&webhook.body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("accepted"), "{answer}");
    let ended = daemon.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);

    let _daemon = home.serve().await;
    home.settle().await;
    assert_eq!(zoho.letters("ada@acme.example").await.len(), 1, "what was acknowledged is done");
}

#[tokio::test]
async fn it_starts_and_stops_with_nothing_to_do() {
    let _lane = lane().await;
    let (_zoho, home) = stage("1h").await;
    for _ in 0..2 {
        let daemon = home.serve().await;
        daemon.signal("INT");
        let ended = daemon.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(!ended.err.contains("\"level\":\"WARN\""), "{}", ended.err);
    }
    let log = std::fs::metadata(home.store().with_extension("db-wal"));
    let left = log.map_or(0, |log| log.len());
    assert_eq!(left, 0, "a copy of the closed file alone is complete");
}

#[tokio::test]
async fn a_socket_file_that_a_kill_left_is_replaced() {
    let _lane = lane().await;
    let (_zoho, home) = stage("5s").await;
    let socket = home.path().join("admin.sock");
    let text = std::fs::read_to_string(home.config()).unwrap();
    let text = text.replace(&home.admin, &format!("unix:{}", socket.display()));
    std::fs::write(home.config(), text).unwrap();
    for _ in 0..2 {
        let daemon = home.serve().await;
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let request = format!(
            "GET /api/v1/status HTTP/1.1\r\nhost: admin\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("settled"), "{answer}");
        daemon.kill();
        assert!(socket.exists());
    }
}

#[tokio::test]
async fn a_store_that_does_not_commit_acknowledges_nothing() {
    let _lane = lane().await;
    let (zoho, home) = stage("5s").await;
    let ada = zoho.add("birch", "ada@acme.example").await;
    let notices = Notices::listen(&home);
    let environment = [("NOTIFY_SOCKET", notices.path.as_str()), ("WATCHDOG_USEC", "900000")];
    let daemon = home.serve_with(&[], &environment).await;
    notices.until("WATCHDOG=1").await;
    let webhook = added("crmplus", "evt-locked", BIRCH, &ada);
    let other = rusqlite::Connection::open(home.store()).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let http = cliqbridge::app::client::client().unwrap();
    notices.waiting();
    let (status, answer) = webhook.try_post(&http, &home).await.unwrap();
    assert_eq!(status, 503, "{answer}");
    // One may have been on its way; for seconds there was none.
    let kept_alive = notices.waiting().iter().filter(|line| *line == "WATCHDOG=1").count();
    assert!(kept_alive <= 1, "{kept_alive} times alive without a commit");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(webhook.post(&home).await, "accepted");
    home.settle().await;
    assert_eq!(zoho.letters("ada@acme.example").await.len(), 1);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code, Some(0));
}
