//! The operator's file: read once, every mistake reported at once with its line, then plain data.
//!
//! Deliberately absent: behaviour. Nothing here opens a socket or a database.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::DeTable;

mod address;
mod doubts;
#[cfg(test)]
mod forbidden;
mod keys;
mod leaf;
mod mail;
mod organizations;
mod problem;
mod reader;
mod scope;
mod secrets;
pub mod sections;
mod server;
mod sources;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod times;
mod units;
mod watch;
mod zoho;

pub use problem::{Problem, Problems};
pub use sections::*;
pub use units::duration;

use reader::{Document, Section};

/// Largest configuration file, bytes; a thousand organizations take less than half of it.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Reads and checks a configuration file. `credentials` is systemd's `$CREDENTIALS_DIRECTORY`,
/// which `{ credential = "name" }` refers to.
///
/// # Errors
/// Every mistake in it at once, in the order of the file (design section 11, "Config errors"); one
/// without a line when the file cannot be read.
pub fn load(file: &Path, credentials: Option<&Path>) -> Result<Config, Problems> {
    let text = read(file).map_err(|why| {
        let message = format!("cannot be read: {why}");
        let problem = Problem { line: 0, column: 0, key: String::new(), value: None, message };
        Problems { file: file.to_owned(), problems: vec![problem] }
    })?;
    parse(&text, file, credentials)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(io::Error::other("larger than 4 MiB; is this the right file?"));
    }
    Ok(text)
}

/// Checks the text of a configuration file. `file` is where it is or would be: it appears in
/// problems, and relative paths start from its folder.
///
/// # Errors
/// Every mistake at once, in the order of the file.
pub fn parse(text: &str, file: &Path, credentials: Option<&Path>) -> Result<Config, Problems> {
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let document = Document::new(text, base, credentials.map(Path::to_owned));
    let (table, errors) = DeTable::parse_recoverable(text);
    let config = match syntax::report(&document, &errors) {
        syntax::Damage::None => read_config(&document, table.get_ref()),
        syntax::Damage::Values(lines) => {
            // The rest is whole, so its mistakes are real; those of the damaged lines are echoes.
            let rest = Document::new(text, document.base.clone(), document.credentials.clone());
            read_config(&rest, table.get_ref());
            document.adopt(rest, |problem| !lines.contains(&problem.line));
            None
        }
        syntax::Damage::Structure => None,
    };
    if config.is_none() && document.count() == 0 {
        let message = "a value is missing that the checker cannot name; please report this";
        document.note(0, "", None, message.to_owned());
    }
    let problems = document.into_problems();
    config
        .filter(|_| problems.is_empty())
        .ok_or_else(|| Problems { file: file.to_owned(), problems })
}

/// Reads every section before asking whether all are right.
fn read_config<'a>(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Option<Config> {
    let root = Section::open(document, "", table, 0, keys::ROOT);
    let server = server::read_server(&root.section("server", keys::SERVER));
    let store = server::read_store(&root.section("store", keys::STORE));
    let admin = server::read_admin(&root.section("admin", keys::ADMIN));
    let organizations = organizations::read_organizations(&root);
    let sources = sources::read_sources(&root, &organizations.ids);
    watch::check_watches(&root);
    let guard = times::read_guard(&root.section("guard", keys::GUARD));
    let invitations = times::read_invitations(&root.section("invitations", keys::INVITATIONS));
    let schedule = times::read_schedule(&root.section("schedule", keys::SCHEDULE));
    let mail = mail::read_mail(&root.section("mail", keys::MAIL));
    let budgets = root.section("budgets", keys::BUDGETS);
    let budget_scale = server::read_scale(&budgets, organizations.all_loopback);
    Some(Config {
        server: server?,
        store,
        admin: admin?,
        sources,
        organizations: organizations.all,
        invitations,
        schedule: schedule?,
        guard,
        mail: mail?,
        budget_scale,
    })
}
