//! `resync`: asks for it, and follows the runs until they are over.
//!
//! Deliberately absent: carrying it out; the daemon does, whether anybody watches or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::admin::{Answer, Door};
use super::plan::{body, form, open, planned, rows, text};
use super::{Outcome, print, say};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::run::RunState;
use crate::logic::markdown::plain;

/// Between two looks at a run: short enough to feel live, and one row read per look.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct ResyncOptions {
    #[command(flatten)]
    door: Door,
    /// Only this organization; all of them unless told.
    #[arg(long)]
    organization: Option<String>,
    /// Only this person: CRM id, zuid or address.
    #[arg(long)]
    user: Option<String>,
    /// Print what would be done, as `plan` does, and do nothing.
    #[arg(long, conflicts_with = "no_wait")]
    dry_run: bool,
    /// Ask for it and return at once.
    #[arg(long)]
    no_wait: bool,
    /// Print one JSON document: the runs as they ended.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &ResyncOptions) -> anyhow::Result<Outcome> {
    let daemon = match open(&options.door)? {
        Ok(daemon) => daemon,
        Err(outcome) => return Ok(outcome),
    };
    let asked = body(options.organization.as_deref(), options.user.as_deref());
    if options.dry_run {
        return planned(&daemon, asked, options.json, form(false)).await;
    }
    let answer = daemon.order(&["resync"], &asked).await?;
    if !answer.good {
        return Ok(refused(&answer, options.json));
    }
    let id = text(&answer.body, "run_id").to_owned();
    if options.no_wait {
        print(&if options.json { answer.body.to_string() } else { format!("{id} is queued") });
        return Ok(Outcome::Good);
    }
    let (clock, mut watch) = (SystemClock, Watch::new(options.json));
    let runs = loop {
        let answer = daemon.get(&["runs", &id], &[]).await?;
        if !answer.good {
            return Ok(refused(&answer, options.json));
        }
        let runs = of_organizations(answer.body);
        watch.show(&runs);
        if runs.iter().all(is_over) {
            break runs;
        }
        clock.wait_until(clock.now() + LOOK_EVERY).await;
    };
    watch.end();
    if options.json {
        print(&json!({ "run_id": id, "runs": runs }).to_string());
    } else {
        for run in &runs {
            print(&ended(run));
        }
    }
    let good = runs.iter().all(|run| state(run) == Some(RunState::Done));
    Ok(if good { Outcome::Good } else { Outcome::Failed })
}

fn refused(answer: &Answer, json: bool) -> Outcome {
    if json {
        print(&answer.body.to_string());
    } else {
        say(&format!("error: {}", answer.detail()));
    }
    Outcome::Failed
}

/// The runs of single organizations: the run itself, or those of a request over all of them.
fn of_organizations(run: Value) -> Vec<Value> {
    match run["runs"].as_array() {
        Some(runs) if !runs.is_empty() => runs.clone(),
        _ => vec![run],
    }
}

fn state(run: &Value) -> Option<RunState> {
    RunState::from_word(text(run, "state"))
}

/// A word that this program does not know is over too: nobody would ever see its end.
fn is_over(run: &Value) -> bool {
    state(run).is_none_or(RunState::is_final)
}

/// How the run shows while it is watched: a live line each on a terminal, else a line whenever the
/// state changes.
struct Watch {
    /// `None` where nobody sees lines that change.
    live: Option<MultiProgress>,
    silent: bool,
    bars: BTreeMap<String, ProgressBar>,
    said: BTreeMap<String, String>,
}

impl Watch {
    fn new(silent: bool) -> Self {
        let live = !silent && std::io::stderr().is_terminal();
        let live = live.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { live, silent, bars: BTreeMap::new(), said: BTreeMap::new() }
    }

    fn show(&mut self, runs: &[Value]) {
        for run in runs {
            let id = text(run, "run_id").to_owned();
            let Some(live) = &self.live else {
                let now = text(run, "state");
                let known = self.said.insert(id, now.to_owned());
                if !self.silent && known.as_deref() != Some(now) && !is_over(run) {
                    say(&progress(run));
                }
                continue;
            };
            let bar = self.bars.entry(id).or_insert_with(|| {
                let bar = live.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                    bar.set_style(style);
                }
                bar
            });
            bar.set_message(progress(run));
            bar.tick();
        }
    }

    fn end(&self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}

/// A run that goes on, in a line.
fn progress(run: &Value) -> String {
    let what = match state(run) {
        Some(RunState::Queued) => "waits for its turn".to_owned(),
        Some(RunState::Reading) => "reading both sides, and planning".to_owned(),
        Some(RunState::Applying) => {
            let (done, all) = (done(run), to_do(run));
            format!("{} of {all} actions done", done.min(all))
        }
        _ => plain(text(run, "state")),
    };
    format!("{}: {what}", named(run))
}

/// A run that is over, in a line, with what to do about it.
fn ended(run: &Value) -> String {
    let (id, name) = (text(run, "run_id"), named(run));
    let held = rows(run, "held").count();
    let why = run["error"].as_str().map(plain);
    match (state(run), why) {
        (Some(RunState::Done), Some(why)) => format!("{name}: done: {why}"),
        (Some(RunState::Done), None) => {
            let calls = (&run["calls_used"], &run["calls_needed"]);
            format!(
                "{name}: done, {} actions; calls used {}, needed {}",
                done(run),
                calls.0,
                calls.1
            )
        }
        (Some(RunState::Held), _) if text(run, "hold") == "contradiction" => {
            let why: BTreeSet<String> =
                rows(run, "held").map(|row| plain(text(row, "reason"))).collect();
            let why: Vec<String> = why.into_iter().collect();
            format!("{name}: held, {held} lines have to be resolved: {}", why.join("; "))
        }
        (Some(RunState::Held), _) => format!(
            "{name}: held, {held} lines wait for approval; look at them and let them go: \
             cliqbridge approve {id}"
        ),
        (Some(RunState::Degraded), _) => format!(
            "{name}: degraded, {} actions done and others refused or given up; see them: cliqbridge \
             dead",
            done(run)
        ),
        (_, Some(why)) => format!("{name}: {}: {why}", plain(text(run, "state"))),
        (_, None) => format!("{name}: {}", plain(text(run, "state"))),
    }
}

fn named(run: &Value) -> String {
    format!("{} ({})", plain(run["organization"].as_str().unwrap_or("all")), text(run, "run_id"))
}

fn done(run: &Value) -> u64 {
    let done = run["counts"]["done"].as_object();
    done.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

fn to_do(run: &Value) -> u64 {
    run["counts"]["actions"].as_u64().unwrap_or(0)
}
