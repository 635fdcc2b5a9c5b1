//! `explain`: why one person stands where they stand, step by step, organization by organization.
//!
//! Deliberately absent: knowing why; the daemon does, and writes nothing for it.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::Value;

use super::admin::Door;
use super::plan::{open, rows, text};
use super::{Outcome, list, print, say};
use crate::logic::markdown::plain;

#[derive(Args)]
pub(super) struct ExplainOptions {
    #[command(flatten)]
    door: Door,
    /// Whom: CRM id, zuid or address.
    #[arg(value_name = "PERSON")]
    person: String,
    /// Only in this organization; in all of them unless told.
    #[arg(long)]
    organization: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &ExplainOptions) -> anyhow::Result<Outcome> {
    let daemon = match open(&options.door)? {
        Ok(daemon) => daemon,
        Err(outcome) => return Ok(outcome),
    };
    if std::io::stderr().is_terminal() {
        say("reading what CRM and Cliq show …");
    }
    let filter = list::filter(&[("organization", &options.organization)]);
    let answer = daemon.study(&["explain", &options.person], &filter).await?;
    if options.json {
        print(&answer.body.to_string());
    } else if answer.good {
        for line in lines(&answer.body) {
            print(&line);
        }
    } else {
        say(&format!("error: {}", answer.detail()));
    }
    Ok(if answer.good { Outcome::Good } else { Outcome::Failed })
}

/// The explanation, in lines. Names are others' text: they stay in their place.
fn lines(told: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for one in rows(told, "organizations") {
        let whom = [text(one, "crm_user_id"), text(one, "membership")];
        let whom: Vec<&str> = whom.into_iter().filter(|id| !id.is_empty()).collect();
        let whom = if whom.is_empty() { String::new() } else { format!(" ({})", whom.join(", ")) };
        lines.push(format!("{}{whom}", plain(text(one, "organization"))));
        lines.extend(rows(one, "steps").map(|step| {
            let mark = if step["ok"] == true { ' ' } else { '!' };
            format!("{mark} {:<7} {}", text(step, "step"), plain(text(step, "text")))
        }));
        lines.extend(rows(one, "history").map(|step| {
            let (at, event) = (text(step, "at"), text(step, "event"));
            format!("  history {at} {}: {}", plain(event), plain(text(step, "reason")))
        }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lines;

    #[test]
    fn steps_stand_in_order_and_whatever_stands_in_the_way_is_marked() {
        let told = json!({ "person": "bo@partner.example", "organizations": [{
            "organization": "birch", "crm_user_id": "7", "membership": null,
            "steps": [{ "step": "import", "ok": true, "text": "CRM shows Bo\u{1b}[2J." },
                      { "step": "scope", "ok": false, "text": "Out: because." }],
            "history": [{ "at": "2026-11-24T08:00:00Z", "event": "add", "reason": "New." }],
        }] });
        assert_eq!(
            lines(&told),
            [
                "birch (7)",
                "  import  CRM shows Bo [2J.",
                "! scope   Out: because.",
                "  history 2026-11-24T08:00:00Z add: New.",
            ]
        );
    }
}
