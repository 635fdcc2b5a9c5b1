//! `audit`: who did what, and why, newest first; on a terminal, as JSON, or as CSV for a spreadsheet.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::admin::Door;
use super::{Outcome, list, print, print_raw};

/// Columns of the list, and the keys they show.
const COLUMNS: &list::Columns = &[
    ("AT", "at"),
    ("ORGANIZATION", "organization"),
    ("MEMBERSHIP", "membership"),
    ("EMAIL", "email"),
    ("ACTOR", "actor"),
    ("EVENT", "event"),
    ("REASON", "reason"),
];

#[derive(Args)]
pub(super) struct AuditOptions {
    #[command(flatten)]
    door: Door,
    /// Only of this organization.
    #[arg(long)]
    organization: Option<String>,
    /// Only of this membership (`mem-12`).
    #[arg(long, value_name = "ID")]
    membership: Option<String>,
    /// Only by this actor: the name of a token, `bootstrap` for the token of the configuration,
    /// `command line` for `cliqbridge token`, or `bridge` for what it does by itself.
    #[arg(long)]
    actor: Option<String>,
    /// Only since this time, such as `2026-11-24T08:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many of the newest are listed; 0 is all.
    #[arg(long, value_name = "NUMBER", default_value = "50", conflicts_with = "csv")]
    limit: usize,
    /// Print all of them as CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &AuditOptions) -> anyhow::Result<Outcome> {
    let daemon = match options.door.open() {
        Ok(daemon) => daemon,
        Err(unusable) => return unusable.outcome(),
    };
    let mut filter = list::filter(&[
        ("organization", &options.organization),
        ("membership", &options.membership),
        ("actor", &options.actor),
        ("since", &options.since),
    ]);
    if options.csv {
        filter.push(("format", "csv"));
        let mut stream = daemon.open(&["audit"], &filter).await?;
        while let Some(piece) = stream.chunk().await? {
            if !print_raw(&piece) {
                bail!("what was printed cannot be written");
            }
        }
        return Ok(Outcome::Good);
    }
    let most = (options.limit > 0).then_some(options.limit);
    let rows = list::every(&daemon, "audit", &filter, most).await?;
    if options.json {
        print(&json!({ "items": rows }).to_string());
    } else {
        list::rows(COLUMNS, &rows);
    }
    Ok(Outcome::Good)
}
