//! The report as people read it in a terminal.
//!
//! Deliberately absent: whether there is colour; the stream it is printed to takes it out.

use std::fmt::Write;

use anstream::adapter::strip_str;
use serde_json::Value;

use super::files::ADMINISTRATOR;
use super::report::{Downgrade, Guest, MappedChannel, Person, Report};

impl Report {
    /// The report for people.
    pub(super) fn to_text(&self, stays_up: bool) -> String {
        let mut out = String::new();
        self.people(&mut out);
        for channel in &self.channels {
            self.channel(&mut out, channel);
        }
        self.downgrades(&mut out);
        self.messages(&mut out);
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

    /// People by organizations.
    fn people(&self, out: &mut String) {
        let mut head = vec![bold("People")];
        head.extend(self.plans.iter().map(|plan| bold(&plan.name)));
        let mut lines = vec![head];
        for person in &self.people {
            let mut line = vec![format!("  {}", person.email)];
            line.extend(self.plans.iter().map(|plan| place(person, plan)));
            lines.push(line);
        }
        table(out, "", lines);
    }

    fn channel(&self, out: &mut String, channel: &MappedChannel) {
        let owner = self.plans.iter().find(|plan| plan.organization == channel.organization);
        let owner = owner.map_or(channel.organization.as_str(), |plan| plan.name.as_str());
        let title = format!("{} channel #{} of {owner}", capital(&channel.level), channel.channel);
        let _ = writeln!(out, "\n{}", bold(&title));
        table(out, "  ", channel.guests.iter().map(guest).collect());
    }

    fn downgrades(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}", bold("CRM Plus downgraded"));
        let line = |plan: &Downgrade| {
            vec![plan.name.clone(), format!("{} Cliq", plan.cliq_plan), plan.badge.clone()]
        };
        table(out, "  ", self.plans.iter().map(line).collect());
        let after = &self.after_downgrades;
        let notices: usize = self.plans.iter().map(|plan| plan.notices).sum();
        let free: u64 = self.plans.iter().map(|plan| plan.free_licences).sum();
        let _ = writeln!(
            out,
            "  Since then: {}, \x1b[32m{}\x1b[0m; {} recorded; {} to {ADMINISTRATOR}.",
            counted(after.reads, "read"),
            counted(after.writes, "write"),
            counted(usize::try_from(free).unwrap_or(usize::MAX), "free licence"),
            counted(notices, "notice"),
        );
    }

    fn messages(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}", bold("Letters"));
        // The notices stand with the downgrades.
        let letters = self.mails.iter().filter(|mail| mail.to != ADMINISTRATOR);
        let mails = letters
            .map(|mail| vec![mail.to.clone(), mail.subject.clone(), format!("×{}", mail.count)]);
        table(out, "  ", mails.collect());
        let _ = writeln!(out, "\n{}", bold("Bot notices"));
        let notices = self.bot_notices.iter().map(|notice| {
            let from = format!("{} bot of {}", notice.bot, notice.organization);
            let button = format!("[{}]", notice.button);
            vec![notice.to.clone(), from, button, format!("×{}", notice.count)]
        });
        table(out, "  ", notices.collect());
    }

    fn places(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}", bold("Look around"));
        let places = [
            ("mailboxes", &self.urls.mailbox),
            ("join page", &self.urls.join_page),
            ("sandbox", &self.urls.sandbox),
            ("journal", &self.urls.journal),
            ("webhooks", &self.urls.webhooks),
            ("admin API", &self.urls.admin_api),
        ];
        let line = |(name, url): (&str, &String)| vec![name.to_owned(), url.clone()];
        table(out, "  ", places.into_iter().map(line).collect());
        let _ = writeln!(
            out,
            "  The join page is Bo's invitation to Birch, in Swedish, still to be answered."
        );
        let _ =
            writeln!(out, "  The admin API wants: Authorization: Bearer {}", self.urls.admin_token);
    }
}

/// Where a person stands in an organization.
fn place(person: &Person, plan: &Downgrade) -> String {
    if person.home.as_ref() == Some(&plan.organization) {
        return "home".to_owned();
    }
    match person.hosts.get(&plan.organization) {
        Some(state) => format!("external, {}", coloured(state)),
        None => "-".to_owned(),
    }
}

fn guest(guest: &Guest) -> Vec<String> {
    let case = if guest.had_account { "has Cliq" } else { "no account" };
    let states: Vec<String> = guest.states.iter().map(|state| coloured(state)).collect();
    let mut sent = format!("Zoho sent {}", counted(guest.zoho_mails, "mail"));
    if guest.taz > 0 {
        let _ = write!(sent, ", Taz {}", counted(guest.taz, "notice"));
    }
    vec![guest.email.clone(), case.to_owned(), states.join(" → "), sent]
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

fn coloured(state: &str) -> String {
    match state {
        "joined" => format!("\x1b[32m{state}\x1b[0m"),
        "invited" | "awaiting_signup" | "signed_up" => format!("\x1b[33m{state}\x1b[0m"),
        other => other.to_owned(),
    }
}

/// Writes rows in columns of equal width; colours do not count.
fn table(out: &mut String, indent: &str, rows: Vec<Vec<String>>) {
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
        let _ = writeln!(out, "{indent}none");
    }
    for row in rows {
        let mut line = String::from(indent);
        for (cell, column) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', column.saturating_sub(width(cell)) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
