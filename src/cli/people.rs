//! `people`: one person over all organizations, as a running daemon knows them; and the operator's
//! word on a changed home.
//!
//! Deliberately absent: deciding who is who; the daemon does that.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::admin::{Answer, Door};
use super::{Outcome, print, say};

#[derive(Args)]
#[command(override_usage = "cliqbridge people PERSON [OPTIONS]\n       \
                            cliqbridge people confirm-home PERSON [OPTIONS]")]
pub(super) struct PeopleOptions {
    #[command(flatten)]
    door: Door,
    /// `confirm-home`, or nothing to show the person.
    #[arg(value_name = "PERSON", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What can be done with a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// Accept what shows now as the home.
    ConfirmHome,
}

impl PeopleOptions {
    fn act(&self) -> Result<(Option<Act>, &str), String> {
        match self.words.as_slice() {
            [person] => Ok((None, person)),
            [act, person] => match Act::from_str(act, false) {
                Ok(act) => Ok((Some(act), person)),
                Err(_) => Err(format!("{act} is nothing to do with a person; write confirm-home")),
            },
            _ => Err("name one person: a zuid, an address, a CRM id or a membership".to_owned()),
        }
    }
}

pub(super) async fn run(options: &PeopleOptions) -> anyhow::Result<Outcome> {
    let (act, person) = match options.act() {
        Ok(found) => found,
        Err(why) => {
            say(&format!("error: {why}"));
            return Ok(Outcome::BadConfig);
        }
    };
    let daemon = match options.door.open() {
        Ok(daemon) => daemon,
        Err(unusable) => return unusable.outcome(),
    };
    let answer = match act {
        None => daemon.get(&["people", person], &[]).await?,
        Some(Act::ConfirmHome) => daemon.post(&["people", person, "confirm-home"], &[]).await?,
    };
    Ok(shown(&answer, options.json))
}

fn shown(answer: &Answer, json: bool) -> Outcome {
    if json {
        print(&answer.body.to_string());
    } else if answer.good {
        for line in lines(&answer.body) {
            print(&line);
        }
    } else {
        say(&format!("error: {}", answer.detail()));
    }
    if answer.good { Outcome::Good } else { Outcome::Failed }
}

/// The person, in lines.
fn lines(person: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| person[key].as_array().into_iter().flatten();
    let words = |key: &str| {
        list(key).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![
        format!("{} ({})", text(person, "name"), words("addresses")).trim_start().to_owned(),
        format!("  zuid      {}", person["zuid"].as_str().unwrap_or("not known yet")),
        format!("  home      {}", text(&person["home"], "sentence")),
    ];
    for host in list("hosts") {
        let tag = host["tag"].as_str().map_or(String::new(), |tag| format!(", {tag}"));
        lines.push(format!(
            "  host      {}: {}{tag}, since {} ({})",
            text(host, "organization"),
            text(host, "state"),
            text(host, "since"),
            text(host, "membership"),
        ));
        let channels = host["channels"].as_array().into_iter().flatten();
        lines.extend(channels.map(|channel| {
            format!("            #{}: {}", text(channel, "channel"), text(channel, "state"))
        }));
    }
    lines.push(format!("  switcher  {}", words("switcher")));
    lines.extend(list("conflicts").map(|conflict| {
        format!("  CONFLICT  {}: {}", text(conflict, "kind"), text(conflict, "sentence"))
    }));
    let limits: Vec<String> = list("limits")
        .map(|limit| format!("{} ({})", text(limit, "title"), text(limit, "rule")))
        .collect();
    if !limits.is_empty() {
        lines.push(format!("  does not apply, or cannot: {}", limits.join("; ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lines;

    #[test]
    fn a_person_is_shown_with_home_hosts_and_conflicts() {
        let person = json!({
            "name": "Ada Lovelace", "addresses": ["ada@acme.example"], "zuid": "163315760",
            "home": { "sentence": "At home in acme." },
            "hosts": [{ "organization": "birch", "state": "joined", "tag": "External User",
                        "since": "2026-11-24T08:00:00Z", "membership": "mem-1",
                        "channels": [{ "channel": "extsupport", "state": "invited" }] }],
            "switcher": ["Acme Ltd", "Birch Studio"], "conflicts": [],
            "limits": [{ "rule": "R21", "title": "Multi-factor authentication" }],
        });
        assert_eq!(
            lines(&person).join("\n"),
            "Ada Lovelace (ada@acme.example)\n  zuid      163315760\n  home      At home in acme.\n  \
             host      birch: joined, External User, since 2026-11-24T08:00:00Z (mem-1)\n            \
             #extsupport: invited\n  switcher  Acme Ltd, Birch Studio\n  \
             does not apply, or cannot: Multi-factor authentication (R21)"
        );
    }
}
