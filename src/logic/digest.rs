//! The daily digest: what the administrators of one organization are told at once instead of one by
//! one (design section 11, "Runs and notices").
//!
//! Deliberately absent: when it goes, and to whom.

use std::fmt::Write as _;

use crate::domain::Notice;

/// Lines of one heading; the count is exact in any case.
pub const LINES_MAX: usize = 20;

/// One heading: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// How many there are.
    pub count: usize,
    /// The first [`LINES_MAX`], one line each.
    pub lines: Vec<String>,
}

impl Part {
    /// Of all lines.
    pub fn of(all: impl IntoIterator<Item = String>) -> Self {
        let mut part = Self::default();
        for line in all {
            part.count += 1;
            if part.lines.len() < LINES_MAX {
                part.lines.push(line);
            }
        }
        part
    }
}

/// What a conflict is, in a line.
pub fn conflict(kind: &str, one: &str, other: &str) -> String {
    match kind {
        "claimed" => format!("{one}: {other} claim to be the home"),
        "changed" => format!("{one}: the home changed ({other}); people confirm-home {one}"),
        "two_persons" => format!("{one} and {other}: one address, two accounts"),
        "two_addresses" => format!("{one} and {other}: one account, two addresses"),
        "two_crm_users" => format!("{one} and {other}: two CRM users, one person"),
        "another_account" => format!("{one}: Cliq shows {other} with another account"),
        _ => format!("{one} and {other}: {kind}"),
    }
}

/// What there is to tell of one organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Display name of the organization.
    pub organization: String,
    /// From when, as people read it.
    pub from: String,
    /// Up to when.
    pub until: String,
    /// Who joined since the last digest.
    pub joined: Part,
    /// Who said no since.
    pub declined: Part,
    /// Whose invitation ran out since.
    pub expired: Part,
    /// Who left since.
    pub left: Part,
    /// Whose address changed while invited: the invitation went to the old one (G2).
    pub renamed: Part,
    /// What the guard or the first run holds.
    pub held: Part,
    /// What was refused, with what to do.
    pub parked: Part,
    /// What forbids every write for somebody.
    pub conflicts: Part,
    /// Who appeared in mapped channels without the bridge (R57).
    pub strangers: Part,
    /// How many are outside the host's policies (R20): told with the rest, no news by itself.
    pub outside_policy: u32,
}

impl Digest {
    fn parts(&self) -> [(&'static str, &Part); 9] {
        [
            ("Joined", &self.joined),
            ("Declined", &self.declined),
            ("Invitations that ran out", &self.expired),
            ("Left", &self.left),
            ("Another address since the invitation", &self.renamed),
            ("Held back", &self.held),
            ("Refused, waiting for somebody", &self.parked),
            ("In conflict, nothing is done for them", &self.conflicts),
            ("In channels without the bridge's doing", &self.strangers),
        ]
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, part)| part.count == 0)
    }

    /// The notice; `None` when there is nothing to tell.
    pub fn notice(&self) -> Option<Notice> {
        if self.is_empty() {
            return None;
        }
        let mut body = format!("From {} to {}.\n", self.from, self.until);
        for (title, part) in self.parts().into_iter().filter(|(_, part)| part.count > 0) {
            let _ = writeln!(body, "\n{title}: {}", part.count);
            for line in &part.lines {
                let _ = writeln!(body, "- {line}");
            }
            let more = part.count - part.lines.len();
            if more > 0 {
                let _ = writeln!(body, "- and {more} more");
            }
        }
        if self.outside_policy > 0 {
            let _ = writeln!(
                body,
                "\nOutside the organization's policies (MFA, policies, allowed IPs): {} external \
                 users; GET /api/v1/compliance lists them.",
                self.outside_policy
            );
        }
        Some(Notice {
            title: format!("Digest of {} up to {}", self.organization, self.until),
            body: body.trim_end().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Part};

    #[test]
    fn nothing_to_tell_is_no_notice() {
        let quiet = Digest { outside_policy: 7, ..Digest::default() };
        assert_eq!(quiet.notice(), None);
    }

    #[test]
    fn each_heading_has_its_count_and_at_most_twenty_lines() {
        let digest = Digest {
            organization: "Acme Ltd".to_owned(),
            from: "2026-11-23 07:00".to_owned(),
            until: "2026-11-24 07:00".to_owned(),
            joined: Part::of(["Bo".to_owned()]),
            expired: Part::of((1..=45).map(|number| format!("P{number}"))),
            outside_policy: 3,
            ..Digest::default()
        };
        let notice = digest.notice().map(|notice| (notice.title, notice.body));
        let (title, body) = notice.unwrap_or_default();
        assert_eq!(title, "Digest of Acme Ltd up to 2026-11-24 07:00");
        assert!(body.contains("Joined: 1\n- Bo\n\nInvitations that ran out: 45\n- P1\n"), "{body}");
        assert!(body.contains("- P20\n- and 25 more\n"), "{body}");
        assert!(body.ends_with("3 external users; GET /api/v1/compliance lists them."), "{body}");
        assert!(!body.contains("Declined"));
    }
}
