//! Carries CRM's notices to where they were asked for: one HTTP/1.1 POST each, on the loopback.
//!
//! Deliberately absent: TLS, retries and connections that are kept; a sandbox posts next door.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::Shared;
use super::journal::{Entry, Kind};

/// Time for one notice, so that a receiver that hangs does not hang the act that caused it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; its first line says all that matters.
const ANSWER_MAX: u64 = 64 * 1024;
/// The port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// Something to post.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) organization: String,
    /// Id of the notification channel.
    pub(super) channel: String,
    pub(super) url: Url,
    /// Event and ids, for the journal.
    pub(super) what: String,
    pub(super) body: Value,
}

/// Where a URL leads on the loopback.
fn loopback(url: &Url) -> Option<IpAddr> {
    let ip = match url.host()? {
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip),
        Host::Domain("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Host::Domain(_) => return None,
    };
    (url.scheme() == "http" && ip.is_loopback()).then_some(ip)
}

/// Whether the courier would go there.
pub(super) fn is_loopback(url: &Url) -> bool {
    loopback(url).is_some()
}

/// Delivers in order; each result goes to the journal, and back with the channel's id. Status 0
/// means that there was no answer.
pub(super) async fn deliver(shared: &Shared, notices: Vec<Notice>) -> Vec<Value> {
    let mut sent = Vec::new();
    for notice in notices {
        let answer = timeout(PATIENCE, post(&notice)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (mut state, now) = shared.settled();
        let entry = Entry::new(Kind::Act, "crm.watch.notify", now);
        let mut entry = entry.of(&notice.organization).about(&notice.channel).saying(&notice.what);
        "POST".clone_into(&mut entry.method);
        notice.url.path().clone_into(&mut entry.path);
        match answer {
            Ok(status) => entry.status = status,
            Err(error) => entry.detail = Some(format!("{}: {error}", notice.what)),
        }
        sent.push(json!({"channel_id": notice.channel, "status": entry.status}));
        state.journal.record(entry);
    }
    sent
}

async fn post(notice: &Notice) -> io::Result<u16> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let ip = loopback(&notice.url).ok_or_else(|| wrong("not on the loopback"))?;
    let port = notice.url.port().unwrap_or(HTTP_PORT);
    let mut stream = TcpStream::connect((ip, port)).await?;
    let target = match notice.url.query() {
        Some(query) => format!("{}?{query}", notice.url.path()),
        None => notice.url.path().to_owned(),
    };
    let body = notice.body.to_string();
    let request = format!(
        "POST {target} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: zoho-sandbox\r\n\
         content-type: application/json;charset=UTF-8\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}",
        host = notice.url.host_str().unwrap_or_default(),
        length = body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| wrong("the answer is not HTTP"))
}
