//! `approve`: shows the plan of a held run and asks on a terminal, or takes its checksum.
//!
//! In every way exactly one plan is approved: the one named, or the one that was shown here.
//! Deliberately absent: whether it may go; the daemon plans again and says so.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use super::admin::Door;
use super::plan::{Form, of_run, open, rows, shown, text};
use super::{Outcome, asks_here, confirmed, print, say};
use crate::logic::markdown::plain;

#[derive(Args)]
pub(super) struct ApproveOptions {
    #[command(flatten)]
    door: Door,
    /// The held run, such as `run-7`.
    #[arg(value_name = "RUN")]
    run: String,
    /// The checksum of the plan that was looked at; without it the plan is shown and asked about, which
    /// takes a terminal.
    #[arg(long, value_name = "SHA256")]
    checksum: Option<String>,
    /// Approve the run's plan without asking.
    #[arg(long, conflicts_with = "checksum")]
    yes: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &ApproveOptions) -> anyhow::Result<Outcome> {
    let is_said = options.checksum.is_some() || options.yes;
    if !is_said && !asks_here() {
        say(
            "error: nobody can be asked here, because input or output is not a terminal. Look at the \
             plan (cliqbridge plan) and add --checksum SUM, or add --yes to approve it unseen",
        );
        return Ok(Outcome::BadConfig);
    }
    let daemon = match open(&options.door)? {
        Ok(daemon) => daemon,
        Err(outcome) => return Ok(outcome),
    };
    let checksum = if let Some(checksum) = &options.checksum {
        checksum.clone()
    } else {
        let plan = of_run(&daemon, &options.run).await?;
        if !plan.good {
            return Ok(refused(&plan.body, &plan.detail(), options.json));
        }
        if !options.json {
            print(shown(&plan.body, Form::Columns).trim_end());
        }
        if !is_said && !confirmed(&format!("approve {}", options.run))? {
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
