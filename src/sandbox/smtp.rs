//! The SMTP sink (RFC 5321): takes every mail, delivers none.
//!
//! Deliberately absent: TLS and authentication; it listens on the loopback only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Shared;
use super::faults::{Fault, SMTP, SmtpStage};
use super::journal::{Entry, Kind};
use super::mailbox::Mail;

/// Largest message, as announced by `SIZE`.
const MESSAGE_MAX: usize = 10 * 1024 * 1024;
/// Longest command line (RFC 5321 section 4.5.3.1.4 asks for 512; addresses may be long).
const LINE_MAX: u64 = 4096;
/// Longest piece of a message read at once.
const PIECE_MAX: u64 = 64 * 1024;

/// One transaction in the making.
#[derive(Default)]
struct Transaction {
    sender: Option<String>,
    recipients: Vec<String>,
    fault: Option<Fault>,
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
}

/// Serves one connection until it ends.
pub(super) async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let (reader, writer) = stream.into_split();
    let mut session = Session { reader: BufReader::new(reader), writer, shared };
    // A client that goes away in the middle is nothing to report.
    let _ = session.run().await;
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        let mut transaction = Transaction::default();
        self.say("220 sandbox ESMTP").await?;
        loop {
            let line = self.read_line(LINE_MAX).await?;
            if line.is_empty() {
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                return self.say("500 5.5.2 line too long").await;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    transaction = Transaction::default();
                    let text = format!(
                        "250-sandbox\r\n250-SIZE {MESSAGE_MAX}\r\n250-8BITMIME\r\n\
                         250-SMTPUTF8\r\n250 PIPELINING"
                    );
                    self.say(&text).await?;
                }
                "HELO" | "RSET" => {
                    transaction = Transaction::default();
                    self.say("250 2.0.0 OK").await?;
                }
                "MAIL" => self.mail(&line, &mut transaction).await?,
                "RCPT" => self.rcpt(&line, &mut transaction).await?,
                "DATA" => {
                    let transaction = std::mem::take(&mut transaction);
                    if !self.data(transaction).await? {
                        return Ok(());
                    }
                }
                "NOOP" => self.say("250 2.0.0 OK").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("500 5.5.1 unknown command").await?,
            }
        }
    }

    async fn mail(&mut self, line: &str, transaction: &mut Transaction) -> io::Result<()> {
        let Some(sender) = address(line, "FROM") else {
            return self.say("501 5.5.4 MAIL FROM:<address>").await;
        };
        let fault = self.shared.lock().faults.take(SMTP, None, None);
        *transaction = Transaction { sender: Some(sender), recipients: Vec::new(), fault };
        self.say("250 2.1.0 OK").await
    }

    async fn rcpt(&mut self, line: &str, transaction: &mut Transaction) -> io::Result<()> {
        let recipient = address(line, "TO").filter(|address| address.contains('@'));
        let Some(recipient) = recipient.filter(|_| transaction.sender.is_some()) else {
            return self.say("503 5.5.1 MAIL FROM:<address> and RCPT TO:<address>").await;
        };
        transaction.recipients.push(recipient);
        let Some(Fault::Reply { at: SmtpStage::Rcpt, code }) = transaction.fault else {
            return self.say("250 2.1.5 OK").await;
        };
        self.fault(transaction, code);
        *transaction = Transaction::default();
        self.say(&format!("{code} the sandbox was asked to say no")).await
    }

    /// Takes the message; `false` ends the connection.
    async fn data(&mut self, transaction: Transaction) -> io::Result<bool> {
        if transaction.recipients.is_empty() {
            self.say("503 5.5.1 no recipient").await?;
            return Ok(true);
        }
        self.say("354 go on, end with a dot").await?;
        let Some(raw) = self.read_message().await? else {
            self.say("552 5.3.4 message too large").await?;
            return Ok(true);
        };
        self.begins(&transaction);
        match &transaction.fault {
            None => {}
            Some(Fault::Reply { code, .. }) => {
                self.fault(&transaction, *code);
                self.say(&format!("{code} the sandbox was asked to say no")).await?;
                return Ok(true);
            }
            Some(Fault::Hang {}) => {
                self.fault(&transaction, 0);
                // Ends with the connection: the client closing it is the only way on.
                self.read_line(LINE_MAX).await?;
                return Ok(false);
            }
            Some(Fault::Drop {}) => {
                self.fault(&transaction, 0);
                return Ok(false);
            }
            Some(Fault::Slow { ms }) => {
                self.fault(&transaction, 0);
                let until = self.shared.clock.now() + Duration::from_millis(*ms);
                self.shared.clock.wait_until(until).await;
            }
            Some(Fault::Hold {}) => {
                let mut release = self.shared.release.subscribe();
                self.fault(&transaction, 0);
                // An error means that the sandbox is stopping.
                let _ = release.changed().await;
            }
            // Drops after the effect; other kinds are not accepted for mail.
            Some(_) => self.fault(&transaction, 0),
        }
        self.store(&transaction, &raw);
        if transaction.fault == Some(Fault::ApplyThenDrop {}) {
            return Ok(false);
        }
        self.say("250 2.0.0 taken").await?;
        Ok(true)
    }

    fn begins(&self, transaction: &Transaction) {
        let subject = transaction.recipients.join(", ");
        self.shared.lock().journal.begins(None, SMTP, Some(&subject));
    }

    fn entry(&self, kind: Kind, transaction: &Transaction, status: u16) -> Entry {
        let mut entry = Entry::new(kind, SMTP, self.shared.clock.now());
        entry.status = status;
        entry.subject = Some(transaction.recipients.join(", "));
        entry
    }

    fn fault(&self, transaction: &Transaction, status: u16) {
        let Some(fault) = &transaction.fault else { return };
        let mut entry = self.entry(Kind::Fault, transaction, status);
        entry.detail = Some(fault.name().to_owned());
        let mut state = self.shared.lock();
        state.journal.record(entry);
        if !fault.is_survivable() {
            let subject = transaction.recipients.join(", ");
            state.journal.failed(None, SMTP, Some(&subject));
        }
    }

    fn store(&self, transaction: &Transaction, raw: &[u8]) {
        let sender = transaction.sender.as_deref().unwrap_or_default();
        let mail = Mail::received(sender, &transaction.recipients, raw, self.shared.clock.now());
        let mut entry = self.entry(Kind::Mail, transaction, 250);
        entry.detail = Some(mail.subject.clone());
        entry.idempotency_key.clone_from(&mail.message_id);
        let mut state = self.shared.lock();
        for name in ["date", "from", "to", "subject", "message-id"] {
            if !mail.headers.contains_key(name) {
                let mut entry = self.entry(Kind::Violation, transaction, 250);
                entry.detail = Some(format!("a mail without {name}"));
                state.journal.record(entry);
            }
        }
        state.journal.record(entry);
        state.realm.receive(mail);
    }

    /// Reads up to the line with the dot, without dot-stuffing; `None` when it is too large.
    async fn read_message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut raw = Vec::new();
        let mut size = 0;
        let mut at_start = true;
        loop {
            let piece = self.read_line(PIECE_MAX).await?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let piece = match piece.strip_prefix(b".").filter(|_| at_start) {
                Some(b"\r\n" | b"\n") => break,
                Some(rest) => rest,
                None => &piece,
            };
            at_start = piece.ends_with(b"\n");
            size += piece.len();
            if size <= MESSAGE_MAX {
                raw.extend_from_slice(piece);
            }
        }
        Ok((size <= MESSAGE_MAX).then_some(raw))
    }

    async fn read_line(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.reader).take(max).read_until(b'\n', &mut line).await?;
        Ok(line)
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(format!("{text}\r\n").as_bytes()).await
    }
}

/// The address in `MAIL FROM:<address> …` or `RCPT TO:<address> …`.
fn address(line: &str, word: &str) -> Option<String> {
    let rest = line.get(5..)?.trim_start();
    let (name, rest) = rest.split_once(':')?;
    if !name.trim().eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, _) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    Some(address.to_owned())
}
