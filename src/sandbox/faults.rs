//! Faults as data: which call goes wrong, when, and how.
//!
//! Deliberately absent: carrying a fault out; `server` and `smtp` do that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::router::Call;

/// The call name of SMTP transactions in rules and in the journal.
pub(super) const SMTP: &str = "smtp";

/// A rule as it is posted. `times` absent means once, `null` for ever.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// A call's name as in the journal, or `*`.
    call: String,
    #[serde(default)]
    organization: Option<String>,
    /// Whom or what the call has to be about, as in the journal; absent means anybody.
    #[serde(default)]
    subject: Option<String>,
    /// Matching calls that pass unharmed first.
    #[serde(default)]
    skip: u32,
    #[serde(default = "once")]
    times: Option<u32>,
    fault: Fault,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn once() -> Option<u32> {
    Some(1)
}

/// What goes wrong. Variants have braces because serde checks unknown keys only then.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Fault {
    /// This status, without effect.
    Status { status: u16, body: Option<Value> },
    /// The service's throttle with a `Retry-After`, without effect.
    Throttle { retry_after_s: u64 },
    /// No answer, no effect, until the caller goes away.
    Hang {},
    /// The call goes on after this many milliseconds of the clock.
    Slow { ms: u64 },
    /// The call takes effect; its answer breaks off in the middle.
    CutBody {},
    /// The connection ends before anything happens.
    Drop {},
    /// The call takes effect; the connection ends without an answer.
    ApplyThenDrop {},
    /// A listing repeats rows: those of the page before, or the first page's own twice.
    DuplicatePage {},
    /// A listing leaves out this page's rows and goes on as if it had shown them.
    MissingPage {},
    /// HTTP 200 with an error in it, without effect.
    OkWithError { code: String },
    /// 401, and the token is dead from now on.
    StaleToken {},
    /// The call waits for `POST /sandbox/release`, then goes on.
    Hold {},
    /// SMTP only: this reply code to RCPT or to the end of DATA, without effect.
    Reply { at: SmtpStage, code: u16 },
}

/// Where an SMTP transaction is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SmtpStage {
    Rcpt,
    Data,
}

impl Fault {
    /// The word in the journal.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Throttle { .. } => "throttle",
            Self::Hang {} => "hang",
            Self::Slow { .. } => "slow",
            Self::CutBody {} => "cut_body",
            Self::Drop {} => "drop",
            Self::ApplyThenDrop {} => "apply_then_drop",
            Self::DuplicatePage {} => "duplicate_page",
            Self::MissingPage {} => "missing_page",
            Self::OkWithError { .. } => "ok_with_error",
            Self::StaleToken {} => "stale_token",
            Self::Hold {} => "hold",
            Self::Reply { .. } => "reply",
        }
    }

    /// Whether the caller gets a usable answer all the same.
    pub(super) fn is_survivable(&self) -> bool {
        matches!(
            self,
            Self::Slow { .. } | Self::Hold {} | Self::DuplicatePage {} | Self::MissingPage {}
        )
    }

    fn suits(&self, call: &str) -> bool {
        let smtp_too = matches!(
            self,
            Self::Hang {}
                | Self::Slow { .. }
                | Self::Drop {}
                | Self::ApplyThenDrop {}
                | Self::Hold {}
        );
        match self {
            Self::Reply { .. } => call == SMTP,
            _ if call == SMTP => smtp_too,
            Self::DuplicatePage {} | Self::MissingPage {} => {
                Call::ALL.iter().any(|known| known.as_str() == call && known.is_listing())
            }
            Self::StaleToken {} => call != Call::OauthToken.as_str() && call != "portal",
            _ => true,
        }
    }
}

/// The rules in force, in the order they were posted.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// Adds a rule, or says in a sentence why it makes no sense.
    pub(super) fn add(&mut self, rule: Rule) -> Result<(), String> {
        let known = rule.call == "*"
            || rule.call == SMTP
            || Call::ALL.iter().any(|call| call.as_str() == rule.call);
        if !known {
            return Err(format!("There is no call named {:?}.", rule.call));
        }
        if !rule.fault.suits(&rule.call) {
            return Err(format!("The fault {} does not suit {}.", rule.fault.name(), rule.call));
        }
        if rule.call == SMTP && rule.organization.is_some() {
            return Err("Mail belongs to no organization.".to_owned());
        }
        if let Fault::Status { status, .. } = rule.fault
            && !(200..=599).contains(&status)
        {
            return Err("A status is a number from 200 to 599.".to_owned());
        }
        if rule.times == Some(0) {
            return Err("times must be at least 1, or null for ever.".to_owned());
        }
        self.rules.push(rule);
        Ok(())
    }

    /// The fault that this call meets, if any; counts it.
    pub(super) fn take(
        &mut self,
        call: &str,
        organization: Option<&str>,
        subject: Option<&str>,
    ) -> Option<Fault> {
        let mut hit = None;
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let call_matches = rule.call == call || (rule.call == "*" && call != SMTP);
            let fits = |wanted: Option<&str>, found| wanted.is_none() || wanted == found;
            let about = fits(rule.organization.as_deref(), organization)
                && fits(rule.subject.as_deref(), subject);
            if !call_matches || !about {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            hit = Some((index, rule.fault.clone()));
            rule.times = rule.times.map(|left| left.saturating_sub(1));
            break;
        }
        let (index, fault) = hit?;
        if self.rules.get(index).is_some_and(|rule| rule.times == Some(0)) {
            self.rules.remove(index);
        }
        Some(fault)
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Rule};

    fn rule(json: &str) -> Rule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn skip_and_times_are_counted() {
        let mut faults = Faults::default();
        faults
            .add(rule(
                r#"{"call":"portal","organization":"acme","skip":1,"fault":{"kind":"drop"}}"#,
            ))
            .unwrap();
        assert_eq!(faults.take("portal", Some("birch"), None), None);
        assert_eq!(faults.take("portal", Some("acme"), None), None);
        assert_eq!(faults.take("portal", Some("acme"), None), Some(Fault::Drop {}));
        assert_eq!(faults.take("portal", Some("acme"), None), None);
    }

    #[test]
    fn a_rule_may_be_about_one_person() {
        let mut faults = Faults::default();
        let about =
            r#"{"call":"cliq.users.get","subject":"7","times":null,"fault":{"kind":"drop"}}"#;
        faults.add(rule(about)).unwrap();
        let mut take = |subject| faults.take("cliq.users.get", Some("acme"), subject);
        assert_eq!((take(Some("8")), take(None)), (None, None));
        assert_eq!(take(Some("7")), Some(Fault::Drop {}));
    }

    #[test]
    fn nonsense_is_refused() {
        let unknown = serde_json::from_str::<Rule>(
            r#"{"call":"portal","fault":{"kind":"drop","soft":true}}"#,
        );
        assert!(unknown.is_err());
        let mut faults = Faults::default();
        assert!(faults.add(rule(r#"{"call":"crm.users","fault":{"kind":"drop"}}"#)).is_err());
        let page = rule(r#"{"call":"portal","fault":{"kind":"missing_page"}}"#);
        assert!(faults.add(page).is_err());
    }
}
