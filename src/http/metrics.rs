//! `GET /metrics`: the engine's numbers in Prometheus' text format, version 0.0.4.
//!
//! Written by hand: the numbers are read from the store at the moment of asking, so there is no
//! registry to keep, and the libraries at hand write `OpenMetrics` or keep one. Deliberately absent:
//! labels without bounds; they are organizations and fixed words.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Doors;
use super::admin::{Answer, store};
use crate::engine::{Counted, Numbers, OrganizationNumbers};

/// The format and its version, as Prometheus asks for it.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`
pub(super) async fn metrics(State(doors): State<Doors>) -> Answer<impl IntoResponse> {
    let numbers = doors.engine.numbers().await.map_err(store)?;
    let mut page = Page::default();
    page.counters(&numbers);
    page.family("cliqbridge_admin_refusals_total", "counter", "Requests the admin door refused.");
    for (reason, count) in doors.keeper.refusals() {
        page.sample(&[("reason", reason)], count);
    }
    page.state(&numbers);
    page.organizations(&numbers.organizations);
    Ok(([(header::CONTENT_TYPE, FORMAT)], page.text))
}

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Begins a family of samples.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that was begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }

    fn counted(&mut self, labels: &[&str], counted: &Counted) {
        for (words, value) in counted {
            let pairs: Vec<(&str, &str)> =
                labels.iter().copied().zip(words.iter().map(String::as_str)).collect();
            self.sample(&pairs, value);
        }
    }

    fn counters(&mut self, numbers: &Numbers) {
        self.family("cliqbridge_build_info", "gauge", "The program's version, as a label.");
        self.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.family(
            "cliqbridge_deliveries_total",
            "counter",
            "Webhooks by how they were answered.",
        );
        let deliveries = numbers.deliveries;
        for (status, count) in [
            ("accepted", deliveries.accepted),
            ("duplicate", deliveries.duplicate),
            ("ignored", deliveries.ignored),
            ("rejected", deliveries.rejected),
        ] {
            self.sample(&[("status", status)], count);
        }
        self.family("cliqbridge_rejections_total", "counter", "Refused webhooks by class.");
        self.counted(&["class"], &numbers.rejected);
        let help = "Outbox rows that ended at their turn. done: something was changed or sent; \
                    unchanged: it was so already, or nobody could be reached; superseded: not \
                    wanted any more; parked: refused; dead: given up.";
        self.family("cliqbridge_actions_total", "counter", help);
        self.counted(&["operation", "outcome"], &numbers.actions);
        self.family("cliqbridge_runs_total", "counter", "Finished runs of organizations.");
        self.counted(&["state"], &numbers.runs);
        let help = "Calls to Zoho of endpoint groups that have a budget.";
        self.family("cliqbridge_zoho_calls_total", "counter", help);
        self.counted(&["group"], &numbers.calls);
        self.family("cliqbridge_zoho_locks_total", "counter", "Locks that Zoho answered with.");
        self.counted(&["group"], &numbers.locks);
    }

    fn state(&mut self, numbers: &Numbers) {
        self.family("cliqbridge_runs_open", "gauge", "Runs that are not finished.");
        for state in ["queued", "reading", "applying"] {
            let open = numbers.open_runs.iter().find(|(known, _)| known == state);
            self.sample(&[("state", state)], open.map_or(0, |(_, count)| *count));
        }
        self.family("cliqbridge_hints", "gauge", "People to be looked at again.");
        let (open, absent) = numbers.hints;
        self.sample(&[("kind", "due")], open - absent);
        self.sample(&[("kind", "absent")], absent);
        self.family("cliqbridge_actions", "gauge", "Outbox rows; retrying ones wait too.");
        let outbox = numbers.outbox;
        for (state, count) in [
            ("waiting", outbox.waiting),
            ("retrying", outbox.retrying),
            ("parked", outbox.parked),
            ("dead", outbox.dead),
        ] {
            self.sample(&[("state", state)], count);
        }
    }

    fn organizations(&mut self, all: &[OrganizationNumbers]) {
        let help = "Age of the oldest open hint; 0 when there is none.";
        self.family("cliqbridge_oldest_hint_age_seconds", "gauge", help);
        for one in all {
            self.sample(&of(one), one.oldest_hint.unwrap_or(0));
        }
        let help = "Since a run over the whole organization last read everything and carried it \
                    out or held it; absent before the first.";
        self.family("cliqbridge_seconds_since_good_run", "gauge", help);
        for one in all {
            if let Some(seconds) = one.since_good_run {
                self.sample(&of(one), seconds);
            }
        }
        let help = "Whether no run came to its plan for so long that it is an alarm.";
        self.family("cliqbridge_no_good_run", "gauge", help);
        for one in all {
            self.sample(&of(one), u8::from(one.no_good_run));
        }
        let help = "Whether it cannot be read and is left alone.";
        self.family("cliqbridge_quarantined", "gauge", help);
        for one in all {
            self.sample(&of(one), u8::from(one.quarantined));
        }
        self.family("cliqbridge_paused", "gauge", "Whether an operator lets nothing be written.");
        for one in all {
            self.sample(&of(one), u8::from(one.paused));
        }
        self.family("cliqbridge_zoho_locked", "gauge", "Endpoint groups that are locked now.");
        for one in all {
            for group in &one.locked {
                let [organization] = of(one);
                self.sample(&[organization, ("group", group.as_str())], 1);
            }
        }
        self.family("cliqbridge_memberships", "gauge", "The ledger by state.");
        for one in all {
            for (state, count) in &one.memberships {
                let [organization] = of(one);
                self.sample(&[organization, ("state", state)], count);
            }
        }
    }
}

fn of(one: &OrganizationNumbers) -> [(&'static str, &str); 1] {
    [("organization", &one.organization)]
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn labels_are_escaped_and_samples_stand_under_their_family() {
        let mut page = Page::default();
        page.family("x_total", "counter", "Things.");
        page.sample(&[], 1);
        page.sample(&[("a", "b\"\\\n"), ("c", "d")], 2);
        assert_eq!(
            page.text,
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total 1\n\
             x_total{a=\"b\\\"\\\\\\n\",c=\"d\"} 2\n"
        );
    }
}
