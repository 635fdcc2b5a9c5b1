//! What happened, as the outside saw it: the sandbox's journal and mailboxes.

use cliqbridge::domain::Timestamp;
use serde_json::Value;

/// Who gets the administrators' notices in the tests' configuration.
pub const ADMIN: &str = "it@bridge.example";

/// Entries of the sandbox's journal, oldest first.
pub struct Journal(pub Vec<Value>);

impl Journal {
    /// Entries of one call and kind (`read`, `write`, `refused`, `throttled`, `fault`, …).
    pub fn of(&self, kind: &str, call: &str) -> Vec<&Value> {
        self.0.iter().filter(|entry| entry["kind"] == kind && entry["call"] == call).collect()
    }

    /// How often a call was served in an organization, whatever came of it, faults not counted
    /// again.
    pub fn calls(&self, organization: &str, call: &str) -> usize {
        self.0
            .iter()
            .filter(|entry| entry["organization"] == organization && entry["call"] == call)
            .filter(|entry| entry["kind"] != "fault" || entry["status"] != 0)
            .count()
    }

    /// Everything the bridge changed at Zoho, and every mail but those to its administrators.
    pub fn effects(&self) -> Vec<&Value> {
        let counts = |entry: &&Value| match entry["kind"].as_str() {
            Some("write") => true,
            Some("mail") => entry["subject"] != ADMIN,
            _ => false,
        };
        self.0.iter().filter(counts).collect()
    }

    /// When each call of this name came, in order.
    pub fn times(&self, organization: &str, call: &str) -> Vec<Timestamp> {
        self.0
            .iter()
            .filter(|entry| entry["organization"] == organization && entry["call"] == call)
            .map(|entry| Timestamp::parse(entry["at"].as_str().unwrap()).unwrap())
            .collect()
    }
}

/// One mail as the recipient's program shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail(pub Value);

impl Mail {
    pub fn subject(&self) -> &str {
        self.0["subject"].as_str().unwrap()
    }

    pub fn text(&self) -> &str {
        self.0["text"].as_str().unwrap()
    }

    pub fn html(&self) -> &str {
        self.0["html"].as_str().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.0["headers"][name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.0))
    }
}
