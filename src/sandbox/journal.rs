//! The journal: every served request and every change, so that a test can say "exactly these".
//!
//! Deliberately absent: control calls that only read the sandbox.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

use crate::domain::Timestamp;

/// Entries kept; a sandbox left running for weeks must not fill the memory. Counts go on.
const ENTRIES_MAX: usize = 200_000;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Nothing changed.
    Read,
    /// The call changed something.
    Write,
    /// A mail was taken by the SMTP sink.
    Mail,
    /// The call was understood and denied.
    Refused,
    /// A limit or a lock period.
    Throttled,
    /// A fault that was asked for.
    Fault,
    /// The call broke the contract.
    Violation,
    /// An access token was issued.
    Token,
    /// A person, an administrator or Zoho itself did something; no call of the bridge.
    Act,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) kind: Kind,
    pub(super) organization: Option<String>,
    pub(super) call: &'static str,
    pub(super) method: String,
    pub(super) path: String,
    /// HTTP status or SMTP code; 0 when no answer was given.
    pub(super) status: u16,
    pub(super) subject: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) idempotency_key: Option<String>,
    /// The id that the portal was given.
    pub(super) crm_user_id: Option<String>,
}

impl Entry {
    /// An entry that says only what happened; the rest is filled in where it is known.
    pub(super) fn new(kind: Kind, call: &'static str, now: Timestamp) -> Self {
        Self {
            seq: 0,
            at: now.to_rfc3339(),
            kind,
            organization: None,
            call,
            method: String::new(),
            path: String::new(),
            status: 0,
            subject: None,
            detail: None,
            idempotency_key: None,
            crm_user_id: None,
        }
    }

    pub(super) fn of(mut self, organization: &str) -> Self {
        self.organization = Some(organization.to_owned());
        self
    }

    pub(super) fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    pub(super) fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// How many of each, since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    reads: u64,
    writes: u64,
    mails: u64,
    refusals: u64,
    throttled: u64,
    faults: u64,
    retries: u64,
    violations: u64,
    tokens: u64,
}

type CallKey = (Option<String>, &'static str, Option<String>);

/// All entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
    counts: Counts,
    /// Calls that failed by a fault or throttle and were not seen again yet.
    failed: BTreeSet<CallKey>,
}

impl Journal {
    /// Numbers the entry and keeps it.
    pub(super) fn record(&mut self, mut entry: Entry) {
        self.last += 1;
        entry.seq = self.last;
        let counter = match entry.kind {
            Kind::Read => Some(&mut self.counts.reads),
            Kind::Write => Some(&mut self.counts.writes),
            Kind::Mail => Some(&mut self.counts.mails),
            Kind::Refused => Some(&mut self.counts.refusals),
            Kind::Throttled => Some(&mut self.counts.throttled),
            Kind::Fault => Some(&mut self.counts.faults),
            Kind::Violation => Some(&mut self.counts.violations),
            Kind::Token => Some(&mut self.counts.tokens),
            Kind::Act => None,
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// A call begins: a retry, if the same one failed before.
    pub(super) fn begins(&mut self, org: Option<&str>, call: &'static str, subject: Option<&str>) {
        if self.failed.remove(&key(org, call, subject)) {
            self.counts.retries += 1;
        }
    }

    /// A call failed by a fault or a throttle; its repetition will count as a retry.
    pub(super) fn failed(&mut self, org: Option<&str>, call: &'static str, subject: Option<&str>) {
        self.failed.insert(key(org, call, subject));
    }

    /// Entries with a number above `seq`.
    pub(super) fn since(&self, seq: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.seq > seq)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

fn key(org: Option<&str>, call: &'static str, subject: Option<&str>) -> CallKey {
    (org.map(str::to_owned), call, subject.map(str::to_owned))
}
