//! Where things are: web addresses, listening addresses, e-mail addresses and domains.
//!
//! Deliberately absent: resolving or connecting; `doctor` does that.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeValue;
use url::{Host, Url};

use super::leaf;
use super::sections::{Listen, Mailbox};
use crate::domain::Email;
use crate::domain::email::canonical_domain;

/// Where mail submission without and with implicit TLS listens (RFC 5321, RFC 8314).
const SMTP_PORT: u16 = 25;
const SMTPS_PORT: u16 = 465;

/// Whether the host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An https address; plain http for loopback only (design section 8).
pub(super) fn web_url(value: &DeValue<'_>) -> Result<Url, String> {
    let text = leaf::text(value)?;
    let url = Url::parse(&text)
        .map_err(|why| format!("not a URL ({why}); write one such as \"https://host.example/\""))?;
    let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !secure {
        return Err(
            "must begin with https://; http:// is accepted for localhost, 127.0.0.0/8 and \
                    [::1] only"
                .to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not hold a fragment (#…)".to_owned());
    }
    Ok(url)
}

/// An address that paths are added to: no query either.
pub(super) fn base_url(value: &DeValue<'_>) -> Result<Url, String> {
    let url = web_url(value)?;
    if url.query().is_some() {
        return Err("must not hold a query (?…); write scheme, host and port only".to_owned());
    }
    Ok(url)
}

/// The portal function's address: its key must not stand in it, since addresses are logged.
pub(super) fn function_url(value: &DeValue<'_>) -> Result<Url, String> {
    let url = web_url(value)?;
    if url.query_pairs().any(|(name, _)| name == "zapikey" || name == "auth_type") {
        return Err("must not hold auth_type or zapikey; move the key into a file and name it in \
                    key = { file = \"…\" }"
            .to_owned());
    }
    Ok(url)
}

/// `smtp://host[:port]` or `smtps://host[:port]`; the port is filled in.
pub(super) fn smtp_url(value: &DeValue<'_>) -> Result<Url, String> {
    let wrong = || "must be smtp://HOST[:PORT] or smtps://HOST[:PORT] (implicit TLS)".to_owned();
    let mut url = Url::parse(&leaf::text(value)?).map_err(|_| wrong())?;
    let default_port = match url.scheme() {
        "smtp" => SMTP_PORT,
        "smtps" => SMTPS_PORT,
        _ => return Err(wrong()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "must not hold a user or password; write user = \"…\" and password = { file = \
                    \"…\" }"
                .to_owned(),
        );
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !bare || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    if url.port().is_none() {
        url.set_port(Some(default_port)).map_err(|()| wrong())?;
    }
    Ok(url)
}

/// `ADDRESS:PORT` or `unix:/absolute/path`.
pub(super) fn listen(value: &DeValue<'_>) -> Result<Listen, String> {
    let text = leaf::text(value)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        return if path.is_absolute() {
            Ok(Listen::Unix(path))
        } else {
            Err("the path of a Unix socket must be absolute: \"unix:/run/…\"".to_owned())
        };
    }
    text.parse().map(Listen::Tcp).map_err(|_| {
        "must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\", or \
         \"unix:/path\""
            .to_owned()
    })
}

/// Whether binding the second address would fail because of the first.
pub(super) fn collide(a: &Listen, b: &Listen) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    match (a, b) {
        (Listen::Tcp(a), Listen::Tcp(b)) => {
            same_port(*a, *b) && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
        }
        (Listen::Unix(a), Listen::Unix(b)) => a == b,
        _ => false,
    }
}

/// Port 0 asks the system for a free one, so it never collides.
fn same_port(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port()
}

/// One e-mail address.
pub(super) fn email(value: &DeValue<'_>) -> Result<Email, String> {
    parse_email(&leaf::text(value)?)
}

fn parse_email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|why| format!("{why}; write one such as \"ada@acme.example\""))
}

/// `Name <address>` or an address alone.
pub(super) fn mailbox(value: &DeValue<'_>) -> Result<Mailbox, String> {
    let text = leaf::text(value)?;
    let Some((name, address)) = text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<'))
    else {
        return Ok(Mailbox { name: String::new(), email: parse_email(&text)? });
    };
    let name = name.trim().trim_matches('"').trim();
    if name.contains(['<', '>', '"']) {
        return Err("write \"Name <address>\" with one address".to_owned());
    }
    Ok(Mailbox { name: name.to_owned(), email: parse_email(address)? })
}

/// A domain in its canonical form.
pub(super) fn domain(value: &DeValue<'_>) -> Result<String, String> {
    let wrong = || {
        "not a domain; write one such as \"acme.example\", without @ or *; subdomains are listed \
         one by one"
            .to_owned()
    };
    let text = leaf::text(value)?;
    canonical_domain(&text).filter(|domain| domain.contains('.')).ok_or_else(wrong)
}
