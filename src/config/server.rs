//! Reads `[server]`, `[store]`, `[admin]` and `[budgets]`.
//!
//! Deliberately absent: opening anything that they name.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{base_url, collide, listen};
use super::leaf;
use super::reader::Section;
use super::secrets;
use super::sections::{Admin, Listen, Server, Store};

const LISTEN_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);
const ADMIN_LISTEN_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 8081);

/// Bytes. Zoho's bodies are a few KiB; what is refused is read on only up to 8 MiB.
const BODY_LIMIT_DEFAULT: usize = 256 * 1024;
const BODY_LIMIT_MIN: usize = 1024;
const BODY_LIMIT_MAX: usize = 8 * 1024 * 1024;

/// Rows waiting; some hours of work at the budgets' pace, and a few hundred MiB of store.
const QUEUE_LIMIT_DEFAULT: u32 = 100_000;
const QUEUE_LIMIT_MAX: u32 = 100_000_000;

/// systemd kills after 90 s unless told otherwise; a stop must be through well before.
const DRAIN_DEFAULT: Duration = Duration::from_secs(20);
const DRAIN_MAX: Duration = Duration::from_hours(1);

/// Days. Ninety cover a quarter's audit; ten years are the longest anyone must keep.
const KEEP_DAYS_DEFAULT: u32 = 90;
const KEEP_DAYS_MAX: u32 = 3650;

/// Enough for any load test; more would overflow no sooner, but means a slip.
const SCALE_MAX: u32 = 10_000;

/// `[server]`
pub(super) fn read_server(section: &Section<'_>) -> Option<Server> {
    let main = section.or("listen", Listen::Tcp(LISTEN_DEFAULT.into()), listen);
    let admin = section.or("admin_listen", Listen::Tcp(ADMIN_LISTEN_DEFAULT.into()), listen);
    if collide(&main, &admin) {
        let key = if section.has("admin_listen") { "admin_listen" } else { "listen" };
        section.fail_at(key, "listen and admin_listen must differ; give one of them another port");
    }
    let body_limit = leaf::size(BODY_LIMIT_MIN..=BODY_LIMIT_MAX, "from \"1 KiB\" to \"8 MiB\"");
    let body_limit = section.or("body_limit", BODY_LIMIT_DEFAULT, body_limit);
    let queue_limit =
        section.or("queue_limit", QUEUE_LIMIT_DEFAULT, leaf::number(1..=QUEUE_LIMIT_MAX));
    let drain = leaf::duration(Duration::ZERO..=DRAIN_MAX);
    let drain = section.or("drain", DRAIN_DEFAULT, drain);
    let public_url = section.required("public_url", "\"https://bridge.example.org\"", base_url)?;
    Some(Server { listen: main, admin_listen: admin, public_url, body_limit, queue_limit, drain })
}

/// `[store]`; `path` is relative to the configuration file.
pub(super) fn read_store(section: &Section<'_>) -> Store {
    let path = section.or("path", "cliqbridge.db".to_owned(), leaf::text);
    Store {
        path: section.document.base.join(PathBuf::from(path)),
        keep_days: section.or("keep_days", KEEP_DAYS_DEFAULT, leaf::number(1..=KEEP_DAYS_MAX)),
    }
}

/// `[admin]`
pub(super) fn read_admin(section: &Section<'_>) -> Option<Admin> {
    let bootstrap_token = secrets::required(section, "bootstrap_token")?.into_token()?;
    Some(Admin { bootstrap_token })
}

/// `[budgets]`: a scale other than 1 would break Zoho's limits, so it is for the sandbox only.
/// `all_loopback` is `None` while some address is wrong and the question cannot be answered.
pub(super) fn read_scale(section: &Section<'_>, all_loopback: Option<bool>) -> u32 {
    let scale = section.or("scale", 1, leaf::number(1..=SCALE_MAX));
    if scale != 1 && all_loopback == Some(false) {
        section.fail_at(
            "scale",
            "budgets are scaled only while every Zoho and portal address is loopback (the \
             sandbox); remove the key",
        );
    }
    scale
}
