//! The way to the SMTP server: which encryption, which port, who signs in.
//!
//! Deliberately absent: opportunistic encryption. It is required, or the server is this machine.

use std::net::IpAddr;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use url::{Host, Url};

use super::{MailError, answer, unavailable};
use crate::config;

/// Port of a mail server on this machine that takes letters for relaying.
const LOCAL_PORT: u16 = 25;

/// Port for submission with STARTTLS (RFC 6409).
const SUBMISSION_PORT: u16 = 587;

/// Port for submission over TLS (RFC 8314).
const SUBMISSIONS_PORT: u16 = 465;

/// Everything that is needed to open a connection.
pub(super) struct Route {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Nothing, to this machine only.
    None,
    /// STARTTLS, required.
    StartTls,
    /// TLS from the first byte.
    Implicit,
}

impl Route {
    pub(super) fn new(mail: &config::Mail) -> Result<Self, MailError> {
        let host = host(&mail.smtp).ok_or_else(|| setup("mail.smtp names no host"))?;
        let protection = protection(mail.smtp.scheme(), &host)
            .ok_or_else(|| setup("mail.smtp must begin with smtps:// or smtp://"))?;
        let (tls, port) = match protection {
            Protection::None => (Tls::None, LOCAL_PORT),
            Protection::StartTls => (Tls::Required(tls(&host)?), SUBMISSION_PORT),
            Protection::Implicit => (Tls::Wrapper(tls(&host)?), SUBMISSIONS_PORT),
        };
        let port = mail.smtp.port().unwrap_or(port);
        Ok(Self { host, port, tls, credentials: credentials(mail)? })
    }

    /// Connects, protects the connection and signs in. Not bounded in time: the caller does that.
    pub(super) async fn dial(&self) -> Result<AsyncSmtpConnection, MailError> {
        let hello = ClientId::default();
        let wrapper = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, None, &hello, wrapper, None)
                .await
                .map_err(|error| unavailable(&answer(&error)))?;
        if let Tls::Required(parameters) = &self.tls {
            let secured = connection.starttls(parameters.clone(), &hello).await;
            secured.map_err(|error| unavailable(&answer(&error)))?;
        }
        if let Some(credentials) = &self.credentials {
            let signed_in = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            signed_in.map_err(|error| {
                let rejected = error.is_permanent() || error.is_client();
                let answer = answer(&error);
                if rejected { MailError::SignIn(answer) } else { MailError::Unavailable(answer) }
            })?;
        }
        Ok(connection)
    }
}

/// The host without the brackets of IPv6. The `url` crate does not parse addresses in URLs of
/// schemes that are foreign to browsers, so a name may be an IPv4 address.
fn host(smtp: &Url) -> Option<String> {
    match smtp.host()? {
        Host::Domain(name) => Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty()),
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// The protection that a scheme and host ask for; `None` for a scheme that is not SMTP.
pub(super) fn protection(scheme: &str, host: &str) -> Option<Protection> {
    let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match scheme {
        "smtps" => Some(Protection::Implicit),
        "smtp" if local => Some(Protection::None),
        "smtp" => Some(Protection::StartTls),
        _ => None,
    }
}

fn tls(host: &str) -> Result<TlsParameters, MailError> {
    TlsParameters::new(host.to_owned()).map_err(|error| {
        MailError::Setup(format!(
            "no certificate authorities to check the SMTP server against; install the package \
             ca-certificates ({error})"
        ))
    })
}

fn credentials(mail: &config::Mail) -> Result<Option<Credentials>, MailError> {
    match (&mail.user, &mail.password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => {
            let password =
                password.expose_text().ok_or_else(|| setup("mail.password is not UTF-8 text"))?;
            Ok(Some(Credentials::new(user.clone(), password.to_owned())))
        }
        _ => Err(setup("mail.user and mail.password come together or not at all")),
    }
}

fn setup(what: &str) -> MailError {
    MailError::Setup(what.to_owned())
}
