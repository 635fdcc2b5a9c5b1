//! `plan`: what a resync would do now, as a table, as Markdown for a ticket, or as JSON.
//!
//! Deliberately absent: planning; the daemon does that, and nothing else.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::{Value, json};

use super::admin::{Answer, Daemon, Door, Unusable};
use super::{Outcome, print, say};
use crate::logic::markdown::{plain, table};

/// Head of the lines, in every form.
const HEAD: [&str; 6] = ["Operation", "Who", "CRM user", "State", "Why", "Held"];

/// Characters of a column that may be long, in the table of a terminal.
const WIDTH_MAX: usize = 48;

#[derive(Args)]
pub(super) struct PlanOptions {
    #[command(flatten)]
    door: Door,
    /// Only this organization; all of them unless told.
    #[arg(long)]
    organization: Option<String>,
    /// Only this person: CRM id, zuid or address.
    #[arg(long)]
    user: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Print Markdown, for a ticket.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// In which form lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Columns for a terminal.
    Columns,
    /// Values between tabs, for a program.
    Tabs,
    /// A Markdown table.
    Markdown,
}

pub(super) async fn run(options: &PlanOptions) -> anyhow::Result<Outcome> {
    let daemon = match open(&options.door)? {
        Ok(daemon) => daemon,
        Err(outcome) => return Ok(outcome),
    };
    let asked = body(options.organization.as_deref(), options.user.as_deref());
    planned(&daemon, asked, options.json, form(options.markdown)).await
}

/// The body of a resync.
pub(super) fn body(organization: Option<&str>, user: Option<&str>) -> Value {
    let mut body = json!({});
    for (key, value) in [("organization", organization), ("user", user)] {
        if let Some(value) = value {
            body[key] = value.into();
        }
    }
    body
}

/// Asks for the plan and prints it.
pub(super) async fn planned(
    daemon: &Daemon,
    mut asked: Value,
    json: bool,
    form: Form,
) -> anyhow::Result<Outcome> {
    asked["dry_run"] = true.into();
    if std::io::stderr().is_terminal() {
        say("reading both sides …");
    }
    let answer = daemon.order(&["resync"], &asked).await?;
    let errors = rows(&answer.body, "errors").count();
    let outcome = if answer.good && errors == 0 { Outcome::Good } else { Outcome::Failed };
    if json {
        print(&answer.body.to_string());
        return Ok(outcome);
    }
    if !answer.good {
        say(&format!("error: {}", answer.detail()));
        return Ok(Outcome::Failed);
    }
    let plans: Vec<&Value> = match answer.body["plans"].as_array() {
        Some(plans) => plans.iter().collect(),
        None => vec![&answer.body],
    };
    for plan in plans {
        print(shown(plan, form).trim_end());
    }
    for error in rows(&answer.body, "errors") {
        let (organization, why) = (text(error, "organization"), text(error, "error"));
        say(&format!("error: {} was not planned: {}", plain(organization), plain(why)));
    }
    Ok(outcome)
}

/// The plan of a run with all its lines, page by page.
pub(super) async fn of_run(daemon: &Daemon, run: &str) -> anyhow::Result<Answer> {
    let mut whole = daemon.get(&["runs", run, "plan"], &[]).await?;
    while let Some(cursor) = whole.body["next_cursor"].as_str().map(str::to_owned) {
        let mut page = daemon.get(&["runs", run, "plan"], &[("cursor", &cursor)]).await?;
        if !page.good {
            return Ok(page);
        }
        for key in ["actions", "held"] {
            let lines = page.body[key].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(all) = whole.body[key].as_array_mut() {
                all.extend(lines);
            }
        }
        whole.body["next_cursor"] = page.body["next_cursor"].take();
    }
    Ok(whole)
}

/// The daemon that was named, or how the command ends without one.
pub(super) fn open(door: &Door) -> anyhow::Result<Result<Daemon, Outcome>> {
    match door.open() {
        Ok(daemon) => Ok(Ok(daemon)),
        Err(Unusable::Config(problems)) => {
            say(&problems.to_string());
            Ok(Err(Outcome::BadConfig))
        }
        Err(Unusable::Other(error)) => Err(error),
    }
}

/// Columns on a terminal, tabs elsewhere, Markdown when asked for.
pub(super) fn form(markdown: bool) -> Form {
    match (markdown, std::io::stdout().is_terminal()) {
        (true, _) => Form::Markdown,
        (false, true) => Form::Columns,
        (false, false) => Form::Tabs,
    }
}

/// One plan in a form. Names are others' text: they stay in their place.
pub(super) fn shown(plan: &Value, form: Form) -> String {
    let organization = plain(text(plan, "organization"));
    let lines: Vec<Vec<String>> =
        rows(plan, "actions").map(|row| line(row, "reason")).chain(held(plan)).collect();
    if lines.is_empty() {
        return match form {
            Form::Markdown => {
                format!("## Plan of {organization}\n\nnothing to do\n{}", foreign(plan))
            }
            Form::Columns => format!("{organization}: nothing to do\n{}", foreign(plan)),
            Form::Tabs => format!("{organization}: nothing to do\n"),
        };
    }
    let mut out = match form {
        Form::Markdown => format!("## Plan of {organization}\n\n{}", table(&HEAD, &lines)),
        Form::Columns => format!("{organization}:\n{}", columns(&lines)),
        Form::Tabs => {
            let row = |row: &Vec<String>| {
                row.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join("\t")
            };
            let prefixed = lines.iter().map(|cells| format!("{organization}\t{}\n", row(cells)));
            return prefixed.collect();
        }
    };
    out.push_str(&summary(plan));
    out
}

fn held(plan: &Value) -> impl Iterator<Item = Vec<String>> + '_ {
    rows(plan, "held").map(|row| {
        let mut line = line(row, "because");
        if let Some(last) = line.last_mut() {
            text(row, "reason").clone_into(last);
        }
        line
    })
}

fn line(row: &Value, why: &str) -> Vec<String> {
    let channel = row["channel"].as_str().map_or(String::new(), |name| format!(" #{name}"));
    let (name, email) = (text(row, "name"), text(row, "email"));
    let who = if name.is_empty() { email.to_owned() } else { format!("{name} ({email})") };
    let state = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
    vec![
        format!("{}{channel}", text(row, "operation")),
        who,
        text(row, "crm_user_id").to_owned(),
        format!("{} → {}", state("before"), state("after")),
        text(row, why).to_owned(),
        String::new(),
    ]
}

fn columns(lines: &[Vec<String>]) -> String {
    let short = |text: &str| -> String {
        let text = plain(text);
        if text.chars().count() <= WIDTH_MAX {
            return text;
        }
        text.chars().take(WIDTH_MAX - 1).chain(['…']).collect()
    };
    let head = HEAD.map(str::to_uppercase).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(lines.iter().map(|row| row.iter().map(|cell| short(cell)).collect()))
        .collect();
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let one = |row: &Vec<String>| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(one).collect()
}

fn summary(plan: &Value) -> String {
    let count = |key: &str| plan["counts"][key].as_u64().unwrap_or(0);
    let guard = match plan["guard"]["reason"].as_str() {
        Some(reason) => format!("removals held: {reason}"),
        None if plan["guard"]["invitations_held"] == true => "invitations held".to_owned(),
        None => "passed".to_owned(),
    };
    format!(
        "\n{} to do, {} held; guard: {guard}; calls used {}, needed {}\nchecksum {}\n{}",
        count("actions"),
        count("held"),
        plan["calls_used"],
        plan["calls_needed"],
        text(plan, "checksum"),
        foreign(plan),
    )
}

/// Who is in Cliq without the ledger's knowing: how many, and the first of them.
fn foreign(plan: &Value) -> String {
    let foreign = &plan["foreign"];
    let count = foreign["count"].as_u64().unwrap_or(0);
    if count == 0 {
        return String::new();
    }
    let name = |row: &Value| {
        let email = row["email"].as_str().map(plain);
        email.unwrap_or_else(|| plain(text(row, "cliq_user_id")))
    };
    let mut names: Vec<String> = rows(foreign, "rows").map(name).collect();
    if names.len() < usize::try_from(count).unwrap_or(usize::MAX) {
        names.push("…".to_owned());
    }
    format!("{count} external in Cliq and not in the ledger, not touched: {}\n", names.join(", "))
}

pub(super) fn rows<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Form, shown};

    fn plan() -> Value {
        json!({
            "organization": "birch", "checksum": "abc", "calls_used": 4, "calls_needed": 4,
            "actions": [{ "operation": "add_external", "name": "Zoë | \n🦊", "email": "z@p.example",
                          "crm_user_id": "7", "before": null, "after": "invited", "reason": "New." }],
            "held": [{ "operation": "channel_remove", "channel": "ext", "name": "", "because": "Gone.",
                       "email": "b@p.example", "crm_user_id": "8", "before": "joined",
                       "after": "removed", "reason": "2 of 3" }],
            "guard": { "reason": "2 of 3" }, "counts": { "actions": 1, "held": 1 },
            "foreign": { "count": 2, "rows": [{ "email": "f@p.example", "cliq_user_id": "9" }] },
        })
    }

    #[test]
    fn a_ticket_has_a_table_that_no_name_breaks() {
        assert_eq!(
            shown(&plan(), Form::Markdown),
            "## Plan of birch\n\n\
             | Operation | Who | CRM user | State | Why | Held |\n\
             | --- | --- | --- | --- | --- | --- |\n\
             | add\\_external | Zoë \\|  🦊 (z@p.example) | 7 | - → invited | New. |  |\n\
             | channel\\_remove \\#ext | b@p.example | 8 | joined → removed | Gone. | 2 of 3 |\n\
             \n1 to do, 1 held; guard: removals held: 2 of 3; calls used 4, needed 4\nchecksum abc\n\
             2 external in Cliq and not in the ledger, not touched: f@p.example, …\n"
        );
    }

    #[test]
    fn programs_get_tabs_and_people_columns() {
        let tabs = shown(&plan(), Form::Tabs);
        let first: Vec<&str> = tabs.lines().next().unwrap_or_default().split('\t').collect();
        assert_eq!(first[..3], ["birch", "add_external", "Zoë |  🦊 (z@p.example)"]);
        assert_eq!(tabs.lines().count(), 2);
        assert!(shown(&plan(), Form::Columns).starts_with("birch:\nOPERATION "));
    }

    #[test]
    fn an_empty_plan_says_so() {
        let empty = json!({ "organization": "birch", "actions": [], "held": [] });
        assert_eq!(shown(&empty, Form::Tabs), "birch: nothing to do\n");
        assert_eq!(shown(&empty, Form::Columns), "birch: nothing to do\n");
        assert!(shown(&empty, Form::Markdown).contains("nothing to do"));
    }
}
