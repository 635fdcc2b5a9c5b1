//! The mailer against a small SMTP server on a real socket, which answers as a test tells it to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lettre::transport::smtp::client::{Tls, TlsParameters};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::route::{Protection, protection};
use super::{MailError, Mailer};
use crate::config::{self, Mailbox};
use crate::domain::{Email, Failure, Letter, Secret, Timestamp};

/// What the server says where tests differ.
#[derive(Clone, Copy)]
struct Script {
    greeting: &'static str,
    ehlo: &'static str,
    auth: &'static str,
    rcpt: &'static str,
}

const FRIENDLY: Script = Script {
    greeting: "220 test",
    ehlo: "250-test\r\n250 8BITMIME",
    auth: "235 ok",
    rcpt: "250 ok",
};

/// What came in, one entry a line; `connected` for each connection.
type Seen = Arc<Mutex<Vec<String>>>;

pub(super) fn mail(smtp: &str) -> config::Mail {
    let mailbox =
        |name: &str, email| Mailbox { name: name.to_owned(), email: Email::parse(email).unwrap() };
    config::Mail {
        smtp: smtp.parse().unwrap(),
        user: None,
        password: None,
        from: mailbox("Acme Access", "access@acme.example"),
        reply_to: Some(mailbox("", "it@acme.example")),
        admins: Vec::new(),
        per_hour: 500,
    }
}

pub(super) fn letter() -> Letter {
    Letter {
        to: Email::parse("ada@birch.example").unwrap(),
        to_name: "Ada Lovelace".to_owned(),
        subject: "Join Acme".to_owned(),
        text: "Café https://x.example/join?t=1\n".to_owned(),
        html: "<p>Café</p>\n".to_owned(),
        message_key: "inv-mem-1-g1-1".to_owned(),
        date: Timestamp::parse("2026-11-24T07:30:00Z").unwrap(),
        unsubscribe: None,
        in_reply_to: None,
    }
}

async fn server(script: Script) -> (config::Mail, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            log.lock().unwrap().push("connected".to_owned());
            tokio::spawn(serve(stream, script, Arc::clone(&log)));
        }
    });
    (mail(&url), seen)
}

async fn serve(stream: TcpStream, script: Script, log: Seen) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(format!("{}\r\n", script.greeting).as_bytes()).await?;
    let mut in_letter = false;
    while let Some(line) = lines.next_line().await? {
        log.lock().unwrap().push(line.clone());
        let reply = match line.split(' ').next().unwrap() {
            "." if in_letter => {
                in_letter = false;
                "250 queued"
            }
            _ if in_letter => continue,
            "EHLO" => script.ehlo,
            "AUTH" => script.auth,
            "RCPT" => script.rcpt,
            "DATA" => {
                in_letter = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        write.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn count(seen: &Seen, line: &str) -> usize {
    seen.lock().unwrap().iter().filter(|found| found.starts_with(line)).count()
}

async fn failure(script: Script) -> Failure {
    let (mail, _) = server(script).await;
    Mailer::new(&mail).unwrap().send(&letter()).await.unwrap_err().failure()
}

#[tokio::test]
async fn letters_are_handed_over_on_one_connection() {
    let (mail, seen) = server(FRIENDLY).await;
    let mailer = Mailer::new(&mail).unwrap();
    mailer.send(&letter()).await.unwrap();
    mailer.send(&letter()).await.unwrap();
    assert_eq!(count(&seen, "connected"), 1);
    assert_eq!(count(&seen, "MAIL FROM:<access@acme.example>"), 2);
    assert_eq!(count(&seen, "RCPT TO:<ada@birch.example>"), 2);
    assert_eq!(count(&seen, "Message-ID: <inv-mem-1-g1-1@acme.example>"), 2);
}

#[tokio::test]
async fn a_4xx_may_pass() {
    let failure = failure(Script { rcpt: "450 greylisted", ..FRIENDLY }).await;
    assert!(matches!(&failure, Failure::Transient { detail, .. } if detail.contains("greylisted")));
}

#[tokio::test]
async fn a_5xx_is_final_and_the_address_is_masked() {
    let script = Script { rcpt: "550 <ada@birch.example>: no such user", ..FRIENDLY };
    let Failure::Refused { code, detail } = failure(script).await else {
        panic!("a 550 is a refusal");
    };
    assert_eq!(code, "smtp_550");
    assert!(detail.contains("a***@birch.example") && !detail.contains("ada@"), "{detail}");
}

#[tokio::test]
async fn a_refused_letter_does_not_spoil_the_next() {
    let (mail, seen) = server(Script { rcpt: "550 no", ..FRIENDLY }).await;
    let mailer = Mailer::new(&mail).unwrap();
    for _ in 0..2 {
        let error = mailer.send(&letter()).await.unwrap_err();
        assert!(matches!(error, MailError::Refused { code: 550, .. }), "{error}");
    }
    assert_eq!(count(&seen, "DATA"), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_not_ready_may_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = mail(&format!("smtp://{}", listener.local_addr().unwrap()));
    drop(listener);
    let mailer = Mailer::new(&closed).unwrap();
    assert_eq!(mailer.send(&letter()).await.unwrap_err().failure().kind(), "transient");
    assert!(mailer.reachable().await.is_err());

    let failure = failure(Script { greeting: "554 no service today", ..FRIENDLY }).await;
    assert_eq!(failure.kind(), "transient");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = mail(&format!("smtp://{}", listener.local_addr().unwrap()));
    let mut mailer = Mailer::new(&mail).unwrap();
    mailer.limits.dial = Duration::from_millis(20);
    let error = mailer.send(&letter()).await.unwrap_err();
    assert_eq!(error, MailError::Unavailable("no answer within 20ms".to_owned()));
}

#[tokio::test]
async fn a_letter_without_an_answer_takes_its_connection_along() {
    // An empty line is no reply, so the dialogue hangs where a late answer would come.
    let (mail, seen) = server(Script { rcpt: "250-still thinking", ..FRIENDLY }).await;
    let mut mailer = Mailer::new(&mail).unwrap();
    mailer.limits.send = Duration::from_millis(20);
    for _ in 0..2 {
        let error = mailer.send(&letter()).await.unwrap_err();
        assert_eq!(error.failure().kind(), "transient", "{error}");
    }
    assert_eq!(count(&seen, "connected"), 2);
}

#[tokio::test]
async fn a_rejected_sign_in_is_ours_and_not_the_letters() {
    let ehlo = "250-test\r\n250 AUTH PLAIN";
    let (mut mail, seen) = server(Script { ehlo, auth: "535 wrong", ..FRIENDLY }).await;
    mail.user = Some("bridge".to_owned());
    mail.password = Some(Secret::new("hunter2"));
    let error = Mailer::new(&mail).unwrap().send(&letter()).await.unwrap_err();
    assert!(matches!(error.failure(), Failure::Unauthorized { .. }), "{error}");
    assert_eq!(count(&seen, "MAIL"), 0);

    mail.password = None;
    assert!(matches!(Mailer::new(&mail), Err(MailError::Setup(_))));
}

#[tokio::test]
async fn reachable_signs_in_and_sends_nothing() {
    let (mail, seen) = server(FRIENDLY).await;
    Mailer::new(&mail).unwrap().reachable().await.unwrap();
    assert_eq!((count(&seen, "EHLO"), count(&seen, "MAIL")), (1, 0));
}

#[tokio::test]
async fn an_address_outside_ascii_needs_a_server_that_knows_how() {
    let mut letter = letter();
    letter.to = Email::parse("jos\u{e9}@birch.example").unwrap();
    let (mail, seen) = server(FRIENDLY).await;
    let error = Mailer::new(&mail).unwrap().send(&letter).await.unwrap_err();
    assert!(matches!(error.failure(), Failure::Refused { code, .. } if code == "needs_smtputf8"));
    assert!(error.to_string().contains("SMTPUTF8"), "{error}");
    assert_eq!(count(&seen, "MAIL"), 0);

    let ehlo = "250-test\r\n250-8BITMIME\r\n250 SMTPUTF8";
    let (mail, seen) = server(Script { ehlo, ..FRIENDLY }).await;
    Mailer::new(&mail).unwrap().send(&letter).await.unwrap();
    assert_eq!(count(&seen, "RCPT TO:<jos\u{e9}@birch.example>"), 1);
}

#[test]
fn only_this_machine_is_spoken_to_in_the_clear() {
    for host in ["127.0.0.1", "127.1.2.3", "::1", "localhost"] {
        assert_eq!(protection("smtp", host), Some(Protection::None), "{host}");
    }
    for host in ["mail.example.org", "10.0.0.1", "127.0.0.1.example.org", "localhost.example"] {
        assert_eq!(protection("smtp", host), Some(Protection::StartTls), "{host}");
    }
    assert_eq!(protection("smtps", "127.0.0.1"), Some(Protection::Implicit));
    assert_eq!(protection("http", "127.0.0.1"), None);
}

#[tokio::test]
async fn where_starttls_is_required_nothing_is_sent_without_it() {
    let (mail, seen) = server(FRIENDLY).await;
    let mut mailer = Mailer::new(&mail).unwrap();
    mailer.route.tls = Tls::Required(TlsParameters::new("localhost".to_owned()).unwrap());
    let error = mailer.send(&letter()).await.unwrap_err();
    assert!(error.to_string().contains("STARTTLS is not supported"), "{error}");
    assert_eq!(error.failure().kind(), "transient");
    assert_eq!(count(&seen, "MAIL"), 0);
}
