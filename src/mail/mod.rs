//! Letters to an SMTP server: one pool of connections, every step bounded in time, every failure
//! sorted into what can work later and what cannot.
//!
//! The pool is our own and not lettre's: lettre bounds only the TCP connect, and a send that is
//! given up half-way goes back into its pool, where the next letter would read the late answer as
//! its own. Here a connection is parked only after a complete, successful dialogue.
//!
//! Deliberately absent: retries, `mail.per_hour` and the text of letters. No TLS provider is
//! installed for the process: lettre takes the installed one, else ring.

mod message;
mod route;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::Extension;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config;
use crate::domain::{Failure, Letter};

pub use message::message;
use route::Route;

/// Most connections at once, and most kept open; small relays allow ten or so per client.
const POOL_MAX: usize = 4;

/// Longest time from the TCP connect to the end of sign-in.
const DIAL_MAX: Duration = Duration::from_secs(20);

/// Longest dialogue of one letter: what RFC 5321 section 4.5.3.2.6 grants a server after the final
/// dot. Giving up earlier would send a letter again that a slow relay has taken.
pub const SEND_MAX: Duration = Duration::from_mins(10);

/// Longest wait for a sign of life from a parked connection before a new one is made.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// Longest piece of a server's answer kept, in characters.
const ANSWER_MAX_CHARS: usize = 300;

/// Replies that are about us and not about the letter: sign-in needed, too weak, wrong, or without
/// encryption (RFC 4954 section 6).
const SIGN_IN_CODES: [u16; 4] = [530, 534, 535, 538];

/// Why a letter was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The mailer cannot be built from the configuration and this machine.
    #[error("mail is not set up: {0}")]
    Setup(String),
    /// The letter cannot be written as a message, now or later.
    #[error("the letter cannot be written: {0}")]
    Unwritable(String),
    /// An address with letters outside ASCII before the `@`, and a server without SMTPUTF8.
    #[error(
        "the address has letters outside ASCII before the @, which this SMTP server does not take \
         (no SMTPUTF8, RFC 6531)"
    )]
    NeedsSmtpUtf8,
    /// The server does not accept our sign-in.
    #[error("the SMTP server does not accept our sign-in: {0}")]
    SignIn(String),
    /// The server refused this letter for good, with a 5xx reply.
    #[error("the SMTP server refused the letter ({code}): {answer}")]
    Refused {
        /// The reply code.
        code: u16,
        /// What the server said.
        answer: String,
    },
    /// No connection, no answer in time, or a 4xx reply.
    #[error("the SMTP server is not available: {0}")]
    Unavailable(String),
}

impl MailError {
    /// What it means for the letter: a 5xx is a refusal with the code `smtp_5xx`, a rejected
    /// sign-in concerns us and not the letter, everything about the connection may pass.
    pub fn failure(&self) -> Failure {
        let detail = self.to_string();
        match self {
            Self::Unavailable(_) => Failure::transient(detail),
            Self::SignIn(_) => Failure::Unauthorized { detail },
            Self::Refused { code, .. } => Failure::Refused { code: format!("smtp_{code}"), detail },
            Self::NeedsSmtpUtf8 => Failure::Refused { code: "needs_smtputf8".to_owned(), detail },
            Self::Unwritable(_) => Failure::Refused { code: "unwritable".to_owned(), detail },
            Self::Setup(_) => Failure::Refused { code: "mail_setup".to_owned(), detail },
        }
    }
}

/// How long each step may take; fields so that tests need not wait.
#[derive(Clone, Copy, Debug)]
struct Limits {
    dial: Duration,
    send: Duration,
    probe: Duration,
}

const LIMITS: Limits = Limits { dial: DIAL_MAX, send: SEND_MAX, probe: PROBE_MAX };

/// Sends letters through the server of `[mail]`, at most four at a time.
pub struct Mailer {
    mail: config::Mail,
    route: Route,
    limits: Limits,
    parked: Mutex<Vec<AsyncSmtpConnection>>,
    permits: Semaphore,
}

impl Mailer {
    /// Prepares the way to the server; nothing is sent yet. `smtps://` is TLS from the first byte,
    /// `smtp://` is plain to this machine and STARTTLS, required, to any other.
    ///
    /// # Errors
    /// [`MailError::Setup`] if the address of the server is of no use, user and password do not
    /// come together, or the machine has no certificate authorities to check the server against.
    pub fn new(mail: &config::Mail) -> Result<Self, MailError> {
        Self::within(mail, SEND_MAX)
    }

    /// The same with another time for a letter's dialogue than ten minutes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(mail: &config::Mail, patience: Duration) -> Result<Self, MailError> {
        Ok(Self {
            route: Route::new(mail)?,
            mail: mail.clone(),
            limits: Limits { send: patience, ..LIMITS },
            parked: Mutex::new(Vec::new()),
            permits: Semaphore::new(POOL_MAX),
        })
    }

    /// Hands one letter over. `Ok` means that the server has taken responsibility for it. Dropping
    /// the future drops its connection; the server may have accepted the letter all the same.
    ///
    /// # Errors
    /// See [`MailError::failure`] for which are worth another try.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let message = message(&self.mail, letter)?;
        let _permit = self.permits.acquire().await.map_err(|_| unavailable("stopped"))?;
        let mut connection = self.connection().await?;
        let addresses = [&self.mail.from.email, &letter.to];
        let utf8 = addresses.iter().any(|address| !address.as_str().is_ascii());
        if utf8 && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            self.park(connection);
            return Err(MailError::NeedsSmtpUtf8);
        }
        let formatted = message.formatted();
        match timeout(self.limits.send, connection.send(message.envelope(), &formatted)).await {
            Ok(Ok(_accepted)) => {
                self.park(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(sorted(&error, letter)),
            Err(_) => Err(no_answer(self.limits.send)),
        }
    }

    /// Makes a new connection, signs in and says goodbye: what `doctor` asks for. Sends no letter.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    pub async fn reachable(&self) -> Result<(), MailError> {
        let mut connection = self.dial().await?;
        // The greeting and the sign-in are the answer; a server that hangs up first is still there.
        let _ = timeout(self.limits.probe, connection.quit()).await;
        Ok(())
    }

    /// A parked connection that still answers, else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        while let Some(mut connection) = self.unpark() {
            if timeout(self.limits.probe, connection.test_connected()).await == Ok(true) {
                return Ok(connection);
            }
        }
        self.dial().await
    }

    async fn dial(&self) -> Result<AsyncSmtpConnection, MailError> {
        timeout(self.limits.dial, self.route.dial())
            .await
            .unwrap_or_else(|_| Err(no_answer(self.limits.dial)))
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn unpark(&self) -> Option<AsyncSmtpConnection> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Sorts what lettre reports of the dialogue of one letter.
fn sorted(error: &smtp::Error, letter: &Letter) -> MailError {
    // Servers like to quote the address; logs show it masked only.
    let answer = answer(error).replace(letter.to.as_str(), &letter.to.masked());
    match reply_code(error) {
        Some(code) if SIGN_IN_CODES.contains(&code) => MailError::SignIn(answer),
        Some(code) if error.is_permanent() => MailError::Refused { code, answer },
        _ => MailError::Unavailable(answer),
    }
}

fn reply_code(error: &smtp::Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// What the server or the network said, on one line and not too long.
fn answer(error: &smtp::Error) -> String {
    let line: Vec<String> = error
        .to_string()
        .split_whitespace()
        .map(|word| word.replace(char::is_control, ""))
        .collect();
    line.join(" ").chars().take(ANSWER_MAX_CHARS).collect()
}

fn unavailable(what: &str) -> MailError {
    MailError::Unavailable(what.to_owned())
}

fn no_answer(within: Duration) -> MailError {
    MailError::Unavailable(format!("no answer within {within:?}"))
}
