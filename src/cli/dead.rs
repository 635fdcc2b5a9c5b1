//! `dead`: what was refused or given up, and trying it again.
//!
//! Deliberately absent: what is only waiting; that is tried again by itself.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::admin::Door;
use super::{Outcome, list, print, say};

/// Columns of the list, and the keys they show.
const COLUMNS: &list::Columns = &[
    ("ID", "id"),
    ("STATE", "state"),
    ("ORGANIZATION", "organization"),
    ("MEMBERSHIP", "membership"),
    ("OPERATION", "operation"),
    ("SINCE", "finished_at"),
    ("CAUSE", "cause"),
    ("REMEDY", "remedy"),
];

#[derive(Args)]
pub(super) struct DeadOptions {
    #[command(flatten)]
    door: Door,
    /// What to do; without it they are listed.
    #[arg(value_enum)]
    act: Option<Act>,
    /// Which to retry, by action id (`act-12`).
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only of this organization.
    #[arg(long)]
    organization: Option<String>,
    /// Only about this membership.
    #[arg(long, value_name = "ID")]
    membership: Option<String>,
    /// Only what was refused for this cause, such as `no_permission`.
    #[arg(long, value_name = "WORD", conflicts_with = "ids")]
    cause: Option<String>,
    /// Retry everything that the filter finds.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Act {
    /// List what was refused or given up.
    List,
    /// Try it again, now.
    Retry,
}

pub(super) async fn run(options: &DeadOptions) -> anyhow::Result<Outcome> {
    let retry = options.act == Some(Act::Retry);
    if retry == (options.ids.is_empty() && !options.all) {
        say("error: retry takes actions (act-12) or --all; a list takes neither");
        return Ok(Outcome::BadConfig);
    }
    let daemon = match options.door.open() {
        Ok(daemon) => daemon,
        Err(unusable) => return unusable.outcome(),
    };
    let mut rows = Vec::new();
    if options.ids.is_empty() {
        let mut filter = vec![("state", "parked,dead")];
        filter.extend(list::filter(&[
            ("organization", &options.organization),
            ("membership", &options.membership),
        ]));
        rows = list::every(&daemon, "actions", &filter, None).await?;
        if let Some(cause) = &options.cause {
            rows.retain(|row| row["cause"] == cause.as_str());
        }
    }
    if !retry {
        if options.json {
            print(&json!({ "items": rows }).to_string());
        } else {
            list::rows(COLUMNS, &rows);
        }
        return Ok(Outcome::Good);
    }
    let found = rows.iter().filter_map(|row| list::text(row, "id"));
    let ids: Vec<String> = options.ids.iter().cloned().chain(found).collect();
    let mut results: Vec<Value> = Vec::new();
    for id in &ids {
        let answer = daemon.post(&["actions", id, "retry"], &[]).await?;
        let said = if answer.good { "is tried again now".to_owned() } else { answer.detail() };
        if !options.json {
            let failed = if answer.good { "" } else { "FAILED: " };
            print(&format!("{id}: {failed}{said}"));
        }
        results.push(json!({ "id": id, "ok": answer.good, "detail": said }));
    }
    let failed = results.iter().filter(|result| result["ok"] == false).count();
    if options.json {
        let ok = results.len() - failed;
        print(&json!({ "results": results, "ok": ok, "failed": failed }).to_string());
    } else if results.is_empty() {
        say("nothing is dead");
    }
    Ok(if failed == 0 { Outcome::Good } else { Outcome::Failed })
}
