//! `memberships`: lists them, and acts on one, several, or all that a filter finds.
//!
//! A person at a terminal is asked before a filter is acted on; a script has said what it means.
//! Deliberately absent: which act is allowed when; the daemon says so, for a dry run too.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::admin::{Daemon, Door};
use super::list::{self, text};
use super::{Outcome, asks_here, confirmed, print, say};
use crate::domain::Verb;
use crate::domain::membership::Origin;

/// Columns of the list, and the keys they show.
const COLUMNS: &list::Columns = &[
    ("ID", "id"),
    ("ORGANIZATION", "organization"),
    ("EMAIL", "email"),
    ("STATE", "state"),
    ("ORIGIN", "origin"),
    ("LICENCE", "licence"),
    ("SINCE", "since"),
];

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each switch of the command line")]
pub(super) struct MembershipsOptions {
    #[command(flatten)]
    door: Door,
    /// What to do with them; without it they are listed.
    #[arg(value_enum)]
    verb: Option<VerbName>,
    /// Whom, by membership id (`mem-12`).
    #[arg(value_name = "ID", conflicts_with_all = ["organization", "state", "q"])]
    ids: Vec<String>,
    /// Only this organization.
    #[arg(long)]
    organization: Option<String>,
    /// Everybody of the organization; `adopt`: everybody who was there before the bridge.
    #[arg(long, requires_all = ["verb", "organization"], conflicts_with_all = ["state", "q"])]
    all: bool,
    /// Only this state, such as `joined`.
    #[arg(long)]
    state: Option<String>,
    /// Only who has this in the address, the name or the CRM id.
    #[arg(long)]
    q: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long, requires = "verb")]
    dry_run: bool,
    /// Leave out the question on a terminal; whom it concerns is still said by a filter or `--all`.
    #[arg(long, requires = "verb")]
    yes: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum VerbName {
    /// Invite again, also who declined or let it expire.
    Resend,
    /// Block access, reversibly.
    Restrict,
    /// Lift what the bridge or an operator restricted.
    Restore,
    /// Give a paid Cliq licence.
    AssignLicence,
    /// Take the paid licence back; the person stays an external user.
    RevokeLicence,
    /// Take over who was there before the bridge.
    Adopt,
    /// Stop owning: nothing is planned against the person any more.
    Release,
}

impl VerbName {
    fn verb(self) -> Verb {
        match self {
            Self::Resend => Verb::Resend,
            Self::Restrict => Verb::Restrict,
            Self::Restore => Verb::Restore,
            Self::AssignLicence => Verb::AssignLicence,
            Self::RevokeLicence => Verb::RevokeLicence,
            Self::Adopt => Verb::Adopt,
            Self::Release => Verb::Release,
        }
    }
}

/// What came of one command.
struct Line {
    id: String,
    email: Option<String>,
    good: bool,
    said: String,
    action: Option<String>,
}

pub(super) async fn run(options: &MembershipsOptions) -> anyhow::Result<Outcome> {
    let daemon = match options.door.open() {
        Ok(daemon) => daemon,
        Err(unusable) => return unusable.outcome(),
    };
    let Some(verb) = options.verb.map(VerbName::verb) else {
        return show(options, &daemon).await;
    };
    let people = if options.ids.is_empty() {
        match meant(options, &daemon, verb).await? {
            Ok(people) => people,
            Err(outcome) => return Ok(outcome),
        }
    } else {
        options.ids.iter().map(|id| (id.clone(), None)).collect()
    };
    let mut lines = Vec::new();
    for (id, email) in people {
        let line = act(&daemon, verb, &id, email, options.dry_run).await?;
        if !options.json {
            print(&spoken(&line));
        }
        lines.push(line);
    }
    let failed = lines.iter().filter(|line| !line.good).count();
    if options.json {
        print(&document(verb, options.dry_run, &lines).to_string());
    } else if lines.is_empty() {
        say("nobody matches");
    }
    Ok(if failed == 0 { Outcome::Good } else { Outcome::Failed })
}

/// Membership ids, and addresses where they are known.
type People = Vec<(String, Option<String>)>;

/// Everybody whom the filter means, once that is clear and agreed to.
async fn meant(
    options: &MembershipsOptions,
    daemon: &Daemon,
    verb: Verb,
) -> anyhow::Result<Result<People, Outcome>> {
    let Some(organization) = &options.organization else {
        say("error: name memberships (mem-12), or whom of one: --organization X --state joined");
        return Ok(Err(Outcome::BadConfig));
    };
    // A filter that a script left empty narrows nothing.
    let says =
        |filter: &Option<String>| filter.as_ref().is_some_and(|text| !text.trim().is_empty());
    let narrowed = says(&options.state) || says(&options.q);
    if !(narrowed || options.all || options.dry_run) {
        say(&format!(
            "error: {verb} for everybody of {organization} takes --all, for some --state"
        ));
        return Ok(Err(Outcome::BadConfig));
    }
    // Whoever is the bridge's already needs no adoption.
    let taken =
        |row: &Value| verb == Verb::Adopt && !narrowed && row["origin"] != Origin::Present.as_str();
    let rows = find(options, daemon).await?;
    let named = |row: &Value| Some((row["id"].as_str()?.to_owned(), text(row, "email")));
    let people: People = rows.iter().filter(|row| !taken(row)).filter_map(named).collect();
    let asks = asks_here() && !(options.yes || options.dry_run || people.is_empty());
    if asks && !confirmed(&format!("{verb} for {} of {organization}", people.len()))? {
        say("nothing was done");
        return Ok(Err(Outcome::Failed));
    }
    Ok(Ok(people))
}

async fn act(
    daemon: &Daemon,
    verb: Verb,
    id: &str,
    email: Option<String>,
    dry_run: bool,
) -> anyhow::Result<Line> {
    let query: &[(&str, &str)] = if dry_run { &[("dry_run", "true")] } else { &[] };
    let answer = daemon.post(&["memberships", id, verb.as_str()], query).await?;
    let action = text(&answer.body, "action_id");
    let said = match (&action, answer.good, dry_run) {
        (_, false, _) => answer.detail(),
        (_, true, true) => format!("{verb}: would be done"),
        (Some(action), true, false) => format!("{verb}: queued as {action}"),
        (None, true, false) => {
            format!("{verb}: done, now {}", text(&answer.body, "state").unwrap_or_default())
        }
    };
    let email = email.or_else(|| text(&answer.body, "email"));
    Ok(Line { id: id.to_owned(), email, good: answer.good, said, action })
}

fn spoken(line: &Line) -> String {
    let who = line.email.as_ref().map_or(String::new(), |email| format!(" {email}"));
    let failed = if line.good { "" } else { "FAILED: " };
    format!("{}{who}: {failed}{}", line.id, line.said)
}

fn document(verb: Verb, dry_run: bool, lines: &[Line]) -> Value {
    let results: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "id": line.id, "email": line.email, "ok": line.good, "detail": line.said,
                "action_id": line.action,
            })
        })
        .collect();
    let failed = lines.iter().filter(|line| !line.good).count();
    json!({
        "verb": verb.as_str(), "dry_run": dry_run, "results": results,
        "ok": lines.len() - failed, "failed": failed,
    })
}

async fn show(options: &MembershipsOptions, daemon: &Daemon) -> anyhow::Result<Outcome> {
    let rows = find(options, daemon).await?;
    if options.json {
        print(&json!({ "items": rows }).to_string());
        return Ok(Outcome::Good);
    }
    list::rows(COLUMNS, &rows);
    Ok(Outcome::Good)
}

/// Every membership that the filter finds, over all pages.
async fn find(options: &MembershipsOptions, daemon: &Daemon) -> anyhow::Result<Vec<Value>> {
    let filter = list::filter(&[
        ("organization", &options.organization),
        ("state", &options.state),
        ("q", &options.q),
    ]);
    list::every(daemon, "memberships", &filter, None).await
}
