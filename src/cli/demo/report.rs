//! What came of the story, as the daemon's API, the mailboxes and the sandbox's journal tell it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstream::adapter::strip_str;
use serde::Serialize;
use serde_json::Value;

use super::files::ADMIN_TOKEN;
use super::outside::Stage;
use crate::app::Running;
use crate::sandbox::Urls;

/// The address the bridge writes from; Zoho's own mails come from another.
const OURS: &str = "access@bridge.example";

/// Where things can be looked at while the demo stays up.
#[derive(Debug, Serialize)]
pub(super) struct Places {
    webhooks: String,
    admin_api: String,
    admin_token: &'static str,
    mailbox: String,
    sandbox: String,
    journal: String,
}

impl Places {
    pub(super) fn new(running: &Running, urls: &Urls) -> Self {
        Self {
            webhooks: format!("http://{}/webhooks/crmplus", running.public),
            admin_api: format!("http://{}/api/v1/status", running.admin),
            admin_token: ADMIN_TOKEN,
            mailbox: urls.mailbox_url.clone(),
            sandbox: format!("{}/sandbox", urls.url.trim_end_matches('/')),
            journal: urls.journal_url.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Membership {
    organization: String,
    email: String,
    external: bool,
    state: String,
}

#[derive(Debug, Serialize)]
struct Mail {
    to: String,
    subject: String,
    count: u32,
}

#[derive(Debug, Serialize)]
struct BotNotice {
    organization: String,
    bot: String,
    to: String,
    button: String,
    count: u32,
}

/// The document that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) converged: bool,
    seconds: f64,
    memberships: Vec<Membership>,
    mails: Vec<Mail>,
    bot_notices: Vec<BotNotice>,
    deliveries: Value,
    sandbox: Value,
    /// What did not come out as it should; empty when it converged.
    doubts: Vec<String>,
    urls: Places,
}

/// Collects the report from outside.
pub(super) async fn collect(stage: &Stage, urls: Places, seconds: f64) -> anyhow::Result<Report> {
    let status = stage.admin("/status").await?;
    let listed = stage.admin("/memberships?limit=200").await?;
    let memberships: Vec<Membership> = rows(&listed["items"])
        .map(|row| Membership {
            organization: text(row, "organization"),
            email: text(row, "email"),
            external: row["external"] == true,
            state: text(row, "state"),
        })
        .collect();
    let mails = mails(&stage.sandbox("/mailboxes").await?);
    let bot_notices = bot_notices(&stage.sandbox("/bots").await?);
    let journal = stage.sandbox("/journal").await?;
    let sandbox = journal["counts"].clone();
    let world = stage.sandbox("/state").await?;
    let deliveries = status["deliveries"].clone();
    let mut doubts = compare(&memberships, &world);
    let wanted = serde_json::json!({ "accepted": 4, "duplicate": 1, "ignored": 0, "rejected": 1 });
    if deliveries != wanted {
        doubts.push(format!("deliveries are {deliveries}, not {wanted}"));
    }
    if sandbox["violations"] != 0 {
        doubts.push(format!("the sandbox counted {} violations", sandbox["violations"]));
    }
    for membership in &memberships {
        let letters: u32 =
            mails.iter().filter(|mail| mail.to == membership.email).map(|mail| mail.count).sum();
        let of_person = memberships.iter().filter(|m| m.email == membership.email).count();
        if usize::try_from(letters).ok() != Some(of_person) {
            doubts.push(format!("{} got {letters} letters for {of_person}", membership.email));
        }
    }
    let converged = doubts.is_empty() && status["queue"]["settled"] == true;
    Ok(Report {
        converged,
        seconds,
        memberships,
        mails,
        bot_notices,
        deliveries,
        sandbox,
        doubts,
        urls,
    })
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// Counts the bridge's own letters by recipient and subject.
fn mails(boxes: &Value) -> Vec<Mail> {
    let mut counted: BTreeMap<(String, String), u32> = BTreeMap::new();
    for one in rows(&boxes["mailboxes"]) {
        for mail in rows(&one["mails"]).filter(|mail| mail["from"] == OURS) {
            *counted.entry((text(one, "address"), text(mail, "subject"))).or_default() += 1;
        }
    }
    counted.into_iter().map(|((to, subject), count)| Mail { to, subject, count }).collect()
}

fn bot_notices(messages: &Value) -> Vec<BotNotice> {
    let mut counted: BTreeMap<(String, String, String, String), u32> = BTreeMap::new();
    for message in rows(messages).filter(|message| message["bot"] == "bridge") {
        let button = message["buttons"][0]["label"].as_str().unwrap_or_default().to_owned();
        let key =
            (text(message, "organization"), text(message, "bot"), text(message, "to"), button);
        *counted.entry(key).or_default() += 1;
    }
    let notice = |((organization, bot, to, button), count)| BotNotice {
        organization,
        bot,
        to,
        button,
        count,
    };
    counted.into_iter().map(notice).collect()
}

/// Holds the ledger against what the sandbox's Cliq really shows.
fn compare(memberships: &[Membership], world: &Value) -> Vec<String> {
    let mut shown = BTreeMap::new();
    for organization in rows(&world["organizations"]) {
        for user in rows(&organization["cliq_users"]).filter(|user| user["class"] == "external") {
            let state = match user["status"].as_str() {
                Some("active") => "joined",
                Some("pending") => "invited",
                Some("inactive") => "restricted",
                _ => "?",
            };
            shown.insert((text(organization, "id"), text(user, "email")), state.to_owned());
        }
    }
    let ledger: BTreeMap<(String, String), String> = memberships
        .iter()
        .filter(|row| row.external)
        .map(|row| ((row.organization.clone(), row.email.clone()), row.state.clone()))
        .collect();
    let mut doubts = Vec::new();
    if ledger.len() != 3 {
        doubts.push(format!("{} external members instead of 3", ledger.len()));
    }
    if ledger != shown {
        doubts.push(format!("the ledger says {ledger:?}, Cliq shows {shown:?}"));
    }
    doubts
}

impl Report {
    /// The report for people.
    pub(super) fn to_text(&self, stays_up: bool) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}", bold("Memberships"));
        let members = self.memberships.iter().map(|row| {
            let class = if row.external { "external" } else { "-" };
            vec![row.organization.clone(), row.email.clone(), class.into(), coloured(&row.state)]
        });
        table(&mut out, members.collect());
        let _ = writeln!(out, "\n{}", bold("Letters"));
        let mails = self
            .mails
            .iter()
            .map(|mail| vec![mail.to.clone(), mail.subject.clone(), format!("×{}", mail.count)]);
        table(&mut out, mails.collect());
        let _ = writeln!(out, "\n{}", bold("Bot notices"));
        let notices = self.bot_notices.iter().map(|notice| {
            let from = format!("{} bot of {}", notice.bot, notice.organization);
            let button = format!("[{}]", notice.button);
            vec![notice.to.clone(), from, button, format!("×{}", notice.count)]
        });
        table(&mut out, notices.collect());
        let _ = writeln!(out, "\n{}", bold("Webhooks"));
        let count = |from: &Value, key: &str| from[key].as_i64().unwrap_or_default().to_string();
        let answered = ["accepted", "duplicate", "rejected"];
        let line = answered.map(|key| format!("{} {key}", count(&self.deliveries, key)));
        let _ = writeln!(out, "  {}", line.join(", "));
        let _ = writeln!(out, "\n{}", bold("What the simulated Zoho saw"));
        let seen = ["reads", "writes", "mails", "faults", "retries", "refusals", "violations"];
        let line = seen.map(|key| format!("{} {key}", count(&self.sandbox, key)));
        let _ = writeln!(out, "  {}", line.join(", "));
        if stays_up {
            self.places(&mut out);
        }
        let verdict = if self.converged {
            format!("\x1b[32mConverged\x1b[0m in {:.1} s.", self.seconds)
        } else {
            format!("\x1b[31mNot converged\x1b[0m: {}", self.doubts.join("; "))
        };
        let _ = write!(out, "\n{verdict}");
        out
    }

    fn places(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}", bold("Look around"));
        let places = [
            ("mailboxes", &self.urls.mailbox),
            ("sandbox", &self.urls.sandbox),
            ("journal", &self.urls.journal),
            ("webhooks", &self.urls.webhooks),
            ("admin API", &self.urls.admin_api),
        ];
        let line = |(name, url): (&str, &String)| vec![name.to_owned(), url.clone()];
        table(out, places.into_iter().map(line).collect());
        let _ = writeln!(out, "  (Authorization: Bearer {})", self.urls.admin_token);
    }
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

fn coloured(state: &str) -> String {
    match state {
        "joined" => format!("\x1b[32m{state}\x1b[0m"),
        "invited" => format!("\x1b[33m{state}\x1b[0m"),
        other => other.to_owned(),
    }
}

/// Writes rows in columns of equal width; colours do not count.
fn table(out: &mut String, rows: Vec<Vec<String>>) {
    let width = |cell: &str| strip_str(cell).to_string().chars().count();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            match widths.get_mut(index) {
                Some(known) => *known = (*known).max(width(cell)),
                None => widths.push(width(cell)),
            }
        }
    }
    if rows.is_empty() {
        out.push_str("  none\n");
    }
    for row in rows {
        let mut line = String::from(" ");
        for (cell, column) in row.iter().zip(&widths) {
            line.push(' ');
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', column.saturating_sub(width(cell)) + 1));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
