//! The SMTP sink and the mailbox pages.

use lettre::message::MultiPart;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Bench;

const MAIL: &str = "From: Acme <access@acme.example>\r\nTo: bo@partner.example\r\n\
    Subject: =?utf-8?Q?H=C3=A9?=\r\nMessage-ID: <1@acme>\r\nDate: Tue, 24 Nov 2026 07:30:00 +0000\r\n\
    \r\n..dotted <script>\r\n.\r\n";

/// Says each line after the answer to the one before; the answers, or what came before the end.
async fn talk(bench: &Bench, lines: &[&str]) -> String {
    let address = bench.sandbox.urls().smtp;
    let mut stream = TcpStream::connect(address.trim_start_matches("smtp://")).await.unwrap();
    let mut heard = String::new();
    let mut buffer = [0; 1024];
    for line in [""].iter().chain(lines) {
        stream.write_all(line.as_bytes()).await.unwrap();
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        heard.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    heard
}

const ENVELOPE: [&str; 4] = [
    "EHLO here\r\n",
    "MAIL FROM:<access@acme.example> SIZE=10\r\n",
    "RCPT TO:<bo@partner.example>\r\n",
    "DATA\r\n",
];

async fn send(bench: &Bench) -> String {
    let lines: Vec<&str> = ENVELOPE.into_iter().chain([MAIL, "QUIT\r\n"]).collect();
    talk(bench, &lines).await
}

#[tokio::test]
async fn a_mail_lands_in_its_mailbox() {
    let bench = Bench::new().await;
    let heard = send(&bench).await;
    assert!(heard.ends_with("221 2.0.0 bye\r\n"), "{heard}");
    let mailbox = &bench.look("mailboxes").await["mailboxes"][0];
    assert_eq!(mailbox["address"], "bo@partner.example");
    let mail = &mailbox["mails"][0];
    assert_eq!(mail["from"], "access@acme.example");
    assert_eq!(mail["subject"], "Hé");
    assert_eq!(mail["text"], ".dotted <script>\n");
    assert_eq!(mail["headers"]["message-id"], "<1@acme>");
    let page = bench.client.get(format!("{}/sandbox/mail/bo@partner.example", bench.url));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    let counts = bench.counts().await;
    assert_eq!((&counts["mails"], &counts["violations"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn an_independent_mailer_is_understood() {
    let bench = Bench::new().await;
    let text = "Hallå Bo,\n.\n\nhttps://bridge.example/join/a-very-long-token=\n";
    let html = format!("<p>Hallå</p>{}", "<i>ö</i>".repeat(300));
    let mail = lettre::Message::builder()
        .from("Åcme Access <access@acme.example>".parse().unwrap())
        .to("Bo Nordin <bo@partner.example>".parse().unwrap())
        .subject("Välkommen till Acme, en ganska lång ämnesrad som måste brytas – minst en gång")
        .message_id(Some("<x@acme.example>".to_owned()))
        .multipart(MultiPart::alternative_plain_html(text.to_owned(), html.clone()))
        .unwrap();
    let port = bench.sandbox.urls().smtp.rsplit(':').next().unwrap().parse().unwrap();
    let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port);
    mailer.build().send(mail).await.unwrap();
    let mailbox = bench.look("mailboxes").await["mailboxes"][0].take();
    let mail = &mailbox["mails"][0];
    assert_eq!((&mail["text"], &mail["html"]), (&json!(text), &json!(html)));
    assert!(mail["subject"].as_str().unwrap().ends_with("brytas – minst en gång"), "{mail}");
    assert_eq!(mail["from"], "access@acme.example");
    assert_eq!(bench.counts().await["violations"], 0);
}

#[tokio::test]
async fn smtp_faults_say_no_or_go_silent_after_taking() {
    let bench = Bench::new().await;
    let rule = |fault| json!({"call": "smtp", "fault": fault});
    bench.fault(rule(json!({"kind": "reply", "at": "rcpt", "code": 451}))).await;
    assert!(talk(&bench, &ENVELOPE[..3]).await.contains("\n451 "));
    bench.fault(rule(json!({"kind": "reply", "at": "data", "code": 554}))).await;
    assert!(send(&bench).await.contains("\n554 "));
    assert_eq!(bench.look("mailboxes").await, json!({"mailboxes": []}));
    bench.fault(rule(json!({"kind": "apply_then_drop"}))).await;
    assert!(send(&bench).await.ends_with("354 go on, end with a dot\r\n"));
    send(&bench).await;
    let mails = bench.look("mailboxes").await["mailboxes"][0]["mails"].take();
    assert_eq!(mails.as_array().unwrap().len(), 2, "one Message-ID, twice");
    let counts = bench.counts().await;
    let seen = [&counts["mails"], &counts["faults"], &counts["retries"]];
    assert_eq!(seen, [&json!(2), &json!(3), &json!(3)]);
}
