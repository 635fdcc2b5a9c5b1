//! `deliveries`: what webhooks brought, one with its body, and reading one again.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::admin::Door;
use super::{Outcome, list, print, say};

/// Columns of the list, and the keys they show.
const COLUMNS: &list::Columns = &[
    ("ID", "delivery_id"),
    ("RECEIVED", "received_at"),
    ("SOURCE", "source"),
    ("EVENT", "event_type"),
    ("EVENT ID", "event_id"),
    ("ORGANIZATION", "organization"),
    ("STATUS", "status"),
    ("REPEATS", "repeats"),
    ("REPLAYS", "replays"),
];

#[derive(Args)]
pub(super) struct DeliveriesOptions {
    #[command(flatten)]
    door: Door,
    /// What to do; without it they are listed.
    #[arg(value_enum)]
    act: Option<Act>,
    /// Which, by delivery id (`dlv-12`).
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only this event.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Only of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only those that were answered so: `accepted` or `ignored`.
    #[arg(long)]
    status: Option<String>,
    /// How many of the newest are listed; 0 is all.
    #[arg(long, value_name = "NUMBER", default_value = "50")]
    limit: usize,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Act {
    /// List the newest.
    List,
    /// Show one with its body.
    Show,
    /// Read it again: whom it names is looked at once more.
    Replay,
}

pub(super) async fn run(options: &DeliveriesOptions) -> anyhow::Result<Outcome> {
    let act = options.act.unwrap_or(Act::List);
    if (act == Act::List) != options.ids.is_empty() {
        say("error: show and replay take deliveries (dlv-12); a list takes none");
        return Ok(Outcome::BadConfig);
    }
    let daemon = match options.door.open() {
        Ok(daemon) => daemon,
        Err(unusable) => return unusable.outcome(),
    };
    if act == Act::List {
        let filter = list::filter(&[
            ("event_id", &options.event_id),
            ("source", &options.source),
            ("status", &options.status),
        ]);
        let most = (options.limit > 0).then_some(options.limit);
        let rows = list::every(&daemon, "deliveries", &filter, most).await?;
        if options.json {
            print(&json!({ "items": rows }).to_string());
        } else {
            list::rows(COLUMNS, &rows);
        }
        return Ok(Outcome::Good);
    }
    let mut results = Vec::new();
    let mut all_good = true;
    for id in &options.ids {
        let answer = match act {
            Act::Replay => daemon.post(&["deliveries", id, "replay"], &[]).await?,
            Act::Show | Act::List => daemon.get(&["deliveries", id], &[]).await?,
        };
        all_good &= answer.good;
        match (options.json, answer.good, act) {
            (true, _, _) => results.push(answer.body),
            (false, false, _) => say(&format!("error: {id}: {}", answer.detail())),
            (false, true, Act::Replay) => print(&replayed(&answer.body)),
            (false, true, _) => shown(&answer.body).iter().for_each(|line| print(line)),
        }
    }
    if options.json {
        let one = results.len() == 1;
        let document = if one { results.remove(0) } else { json!({ "items": results }) };
        print(&document.to_string());
    }
    Ok(if all_good { Outcome::Good } else { Outcome::Failed })
}

fn replayed(answer: &Value) -> String {
    let id = list::text(answer, "delivery_id").unwrap_or_default();
    let detail = list::text(answer, "detail").map_or(String::new(), |why| format!("; {why}"));
    format!("{id}: read again, {} looked at{detail}", answer["hints"])
}

/// The delivery in lines, its body last.
fn shown(delivery: &Value) -> Vec<String> {
    let line = |(title, key): &(&str, &str)| {
        let value = &delivery[*key];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!value.is_null()).then(|| format!("{:14}{text}", title.to_lowercase()))
    };
    let mut lines: Vec<String> = COLUMNS.iter().filter_map(line).collect();
    lines.extend(line(&("DETAIL", "detail")));
    lines.push(String::new());
    lines.extend(list::text(delivery, "body"));
    lines
}
