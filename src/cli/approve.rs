//! `approve`: shows the plan of a held run and asks, or takes its checksum.
//!
//! Deliberately absent: whether it may go; the daemon plans again and says so.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::admin::Door;
use super::plan::{Form, open, rows, shown, text};
use super::{Outcome, print, say};
use crate::logic::markdown::plain;

#[derive(Args)]
pub(super) struct ApproveOptions {
    #[command(flatten)]
    door: Door,
    /// The held run, such as `run-7`.
    #[arg(value_name = "RUN")]
    run: String,
    /// The checksum of the plan that was looked at; without it the plan is shown and asked about.
    #[arg(long, value_name = "SHA256")]
    checksum: Option<String>,
    /// Approve whatever the run's plan says, without asking.
    #[arg(long, conflicts_with = "checksum")]
    yes: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &ApproveOptions) -> anyhow::Result<Outcome> {
    let asks = options.checksum.is_none() && !options.yes;
    if asks && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        say("error: without a terminal to ask on, name the plan: --checksum SHA256, or --yes");
        return Ok(Outcome::BadConfig);
    }
    let daemon = match open(&options.door)? {
        Ok(daemon) => daemon,
        Err(outcome) => return Ok(outcome),
    };
    let checksum = if let Some(checksum) = &options.checksum {
        checksum.clone()
    } else {
        let plan = daemon.get(&["runs", &options.run, "plan"], &[]).await?;
        if !plan.good {
            return Ok(refused(&plan.body, &plan.detail(), options.json));
        }
        if !options.json {
            print(shown(&plan.body, Form::Columns).trim_end());
        }
        if asks && !confirmed(&options.run)? {
            say("not approved; nothing was done");
            return Ok(Outcome::Failed);
        }
        text(&plan.body, "checksum").to_owned()
    };
    if !options.json {
        say("reading both sides again, to see that the plan is still the same …");
    }
    let body = json!({ "checksum": checksum });
    let answer = daemon.order(&["runs", &options.run, "approve"], &body).await?;
    if !answer.good {
        return Ok(refused(&answer.body, &answer.detail(), options.json));
    }
    if options.json {
        print(&answer.body.to_string());
    } else {
        let (run, changes) = (text(&answer.body, "run_id"), &answer.body["changes"]);
        print(&format!("{run} is approved: {changes} changes are under way"));
        for why in left(&answer.body) {
            say(&format!("not done: {why}"));
        }
    }
    Ok(Outcome::Good)
}

/// Why some of it was not let go, each reason once.
fn left(answer: &Value) -> BTreeSet<String> {
    rows(answer, "held").map(|row| plain(text(row, "reason"))).collect()
}

fn refused(body: &Value, detail: &str, json: bool) -> Outcome {
    if json {
        print(&body.to_string());
    } else {
        say(&format!("error: {detail}"));
    }
    Outcome::Failed
}

fn confirmed(run: &str) -> anyhow::Result<bool> {
    let mut out = anstream::stderr();
    // A terminal that went away answers nothing either.
    let _ = write!(out, "approve {run}? [y/N] ");
    let _ = out.flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the answer cannot be read")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
