//! Whether a held run can be approved: by its checksum, while it is what is waiting, under the scope
//! that was looked at, and if the plan of now is the one that was approved.
//!
//! Deliberately absent: letting it go, which is `approve`'s.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::Engine;
use crate::domain::plan::{Hold, Line, Plan};
use crate::domain::run::RunState;
use crate::domain::{OrgId, RunId, Timestamp};
use crate::logic::seal::{self, PRINT_BYTES};
use crate::store::runs::{self, Prints, Run};
use crate::store::{StoreError, Tx};

/// How long a held run can be approved: as long as the guard's window is by default. What is older was
/// decided about another world.
const APPROVAL_MAX: Duration = Duration::from_hours(24);

/// Why a run was not approved. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    /// No such run.
    #[error("there is no such run")]
    Missing,
    /// A request over several organizations, or a run that holds nothing.
    #[error("{0}")]
    NotHeld(String),
    /// Somebody was faster.
    #[error("{0} is already approved")]
    Already(RunId),
    /// A newer held run has replaced it.
    #[error(
        "{run} is replaced by a newer held run of the organization: look at {newer} and approve that"
    )]
    Replaced {
        /// The one that was to be approved.
        run: RunId,
        /// The one that can be.
        newer: RunId,
    },
    /// A later run planned the same and held nothing.
    #[error(
        "{run} is not what is waiting any more: {later} came after it, and what {run} held was not \
         wanted then, or was let go. Nothing was done; resync to see what is held now"
    )]
    Resolved {
        /// The one that was to be approved.
        run: RunId,
        /// The one that found nothing to hold.
        later: RunId,
    },
    /// The configuration means something else for people than when the plan was looked at.
    #[error(
        "scope, channels, internal_domains or what tells external people apart was changed since {0} \
         was held, so its plan says nothing of what would be done now. Nothing was done; resync the \
         organization, look at the new plan and approve that"
    )]
    OtherScope(RunId),
    /// Another checksum than the run's.
    #[error("the checksum is not the one of {run}: look at its plan again")]
    WrongChecksum {
        /// The run.
        run: RunId,
        /// Its checksum.
        expected: String,
        /// The one that was sent.
        given: String,
    },
    /// The run was held too long ago.
    #[error("{0} was held more than 24 hours ago: plan again (resync the organization)")]
    Expired(RunId),
    /// The world has changed since.
    #[error("the plan has changed since {run} was held: {what}. Nothing was done; plan again")]
    Changed {
        /// The run.
        run: RunId,
        /// The approved checksum.
        approved: String,
        /// The checksum of the plan as it would be now.
        now: String,
        /// What is different, in a sentence.
        what: String,
    },
    /// Reading failed; nothing is planned from it.
    #[error("both sides have to be read again, and that failed: {0}. Nothing was done")]
    Outside(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// The run, if it is one that this checksum can approve now.
    pub(super) async fn approvable(&self, id: RunId, checksum: &str) -> Result<Run, NotApproved> {
        let now = self.now();
        let (engine, given) = (self.clone(), checksum.to_owned());
        self.inner
            .store
            .read(move |tx| {
                let Some(asked) = runs::get(tx, id)? else { return Ok(Err(NotApproved::Missing)) };
                let run = same_plan(tx, &asked, &given)?.unwrap_or(asked);
                let scope = run.organization.as_ref().map(|id| engine.scope_seen(id));
                Ok(match refusal(tx, &run, &given, &scope.unwrap_or_default(), now)? {
                    Some(why) => Err(why),
                    None => Ok(run),
                })
            })
            .await?
    }

    /// Whether the plan of now is what was approved.
    pub(super) async fn compare(
        &self,
        run: &Run,
        approved: &str,
        plan: &Plan,
    ) -> Result<(), NotApproved> {
        let id = run.id;
        let kept = self.inner.store.read(move |tx| runs::prints(tx, id)).await?;
        match difference(&kept, plan) {
            None => Ok(()),
            Some(what) => Err(NotApproved::Changed {
                run: run.id,
                approved: approved.to_owned(),
                now: plan.checksum.clone(),
                what,
            }),
        }
    }
}

/// The newest held run, if it holds the plan of this checksum as the one that was asked for did: a
/// plan that is held again every quarter of an hour is one plan.
fn same_plan(tx: &Tx<'_>, asked: &Run, given: &str) -> Result<Option<Run>, StoreError> {
    let Some(organization) = asked.organization.as_ref().filter(|_| asked.approved.is_none())
    else {
        return Ok(None);
    };
    let Some(newest) = runs::newest_held(tx, organization, asked.person.as_deref())? else {
        return Ok(None);
    };
    let same = |run: &Run| {
        run.checksum.as_deref() == Some(given) && asked.checksum.as_deref() == Some(given)
    };
    Ok(runs::get(tx, newest)?.filter(same))
}

/// Why this run cannot be approved with this checksum, if so.
fn refusal(
    tx: &Tx<'_>,
    run: &Run,
    given: &str,
    scope: &str,
    now: Timestamp,
) -> Result<Option<NotApproved>, StoreError> {
    let Some(organization) = &run.organization else {
        let each: Vec<String> =
            runs::children(tx, run.id)?.iter().map(|child| child.id.to_string()).collect();
        let why =
            format!("{} has a run for each organization: approve {}", run.id, each.join(", "));
        return Ok(Some(NotApproved::NotHeld(why)));
    };
    if run.approved.is_some() {
        return Ok(Some(NotApproved::Already(run.id)));
    }
    let (RunState::Held, Some(expected)) = (run.state, &run.checksum) else {
        let why = format!("{} is {}: only a held run is approved", run.id, run.state);
        return Ok(Some(NotApproved::NotHeld(why)));
    };
    if let Some(why) = superseded(tx, run, organization)? {
        return Ok(Some(why));
    }
    if run.scope.as_deref() != Some(scope) {
        return Ok(Some(NotApproved::OtherScope(run.id)));
    }
    if run.finished_at.is_none_or(|at| now.since(at) > APPROVAL_MAX) {
        return Ok(Some(NotApproved::Expired(run.id)));
    }
    if expected != given {
        let (expected, given) = (expected.clone(), given.to_owned());
        return Ok(Some(NotApproved::WrongChecksum { run: run.id, expected, given }));
    }
    Ok(unresolved(run).map(NotApproved::NotHeld))
}

/// Whether a later run stands in the place of this one.
fn superseded(
    tx: &Tx<'_>,
    run: &Run,
    organization: &OrgId,
) -> Result<Option<NotApproved>, StoreError> {
    let newest = runs::newest_held(tx, organization, run.person.as_deref())?;
    if let Some(newer) = newest.filter(|newest| *newest != run.id) {
        return Ok(Some(NotApproved::Replaced { run: run.id, newer }));
    }
    let later = runs::resolved_by(tx, run)?;
    Ok(later.map(|later| NotApproved::Resolved { run: run.id, later }))
}

/// Who is to be resolved, if the run holds nothing but contradictions.
fn unresolved(run: &Run) -> Option<String> {
    let nothing_else = run.hold.as_deref() == Some(Hold::Contradiction(String::new()).word());
    let held: Vec<Value> = serde_json::from_str(&run.held).unwrap_or_default();
    let reasons: BTreeSet<&str> = held.iter().filter_map(|row| row["reason"].as_str()).collect();
    let reasons: Vec<&str> = reasons.into_iter().collect();
    nothing_else.then(|| {
        format!(
            "nothing of {} can be approved, it has to be resolved: {}",
            run.id,
            reasons.join("; ")
        )
    })
}

/// What differs from the approved plan, in a sentence: every line that waited has to be there, and
/// nothing that was not. What did not wait may have been carried out.
fn difference(kept: &Prints, plan: &Plan) -> Option<String> {
    let waiting: BTreeSet<&[u8]> = kept.waiting.chunks(PRINT_BYTES).collect();
    let free: BTreeSet<&[u8]> = kept.free.chunks(PRINT_BYTES).collect();
    let waits = |line: &&Line| waiting.contains(seal::print(line).as_slice());
    if let Some(why) = plan.lines.iter().filter(waits).find_map(Line::contradiction) {
        return Some(why.to_owned());
    }
    let (mut found, mut new) = (BTreeSet::new(), 0_usize);
    // What no approval lets go is neither here nor there.
    let goes = |line: &&Line| line.hold.as_ref().is_none_or(Hold::waits_for_approval);
    let sealed = plan.lines.iter().filter(goes);
    for print in sealed.map(seal::print) {
        match waiting.get(print.as_slice()) {
            Some(known) => {
                found.insert(*known);
            }
            None => new += usize::from(!free.contains(print.as_slice())),
        }
    }
    let gone = waiting.len() - found.len();
    let lines = |count: usize| format!("{count} {}", if count == 1 { "line" } else { "lines" });
    match (gone, new) {
        (0, 0) => None,
        (gone, 0) if plan.lines.is_empty() => {
            Some(format!("nothing is left to do, and {} waited for approval", lines(gone)))
        }
        (gone, 0) => Some(format!("{} of it are not wanted any more", lines(gone))),
        (0, new) => Some(format!("{} came to it", lines(new))),
        (gone, new) => Some(format!(
            "{} of it are not wanted any more, and {} came to it",
            lines(gone),
            lines(new)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::domain::plan::{Counts, Deed, Foreign, Hold, Line, Plan, Ruling, Snapshot};
    use crate::domain::{CrmUserId, OrgId, PortalVerb};
    use crate::logic::seal;
    use crate::store::runs::Prints;

    fn line(id: &str, verb: PortalVerb) -> Line {
        Line {
            crm_user_id: CrmUserId::from(id),
            email: String::new(),
            name: String::new(),
            deed: Deed::Portal(verb),
            channel: None,
            reason: String::new(),
            before: None,
            after: None,
            hold: None,
        }
    }

    fn plan(lines: Vec<Line>) -> Plan {
        Plan {
            organization: OrgId::from("birch"),
            person: None,
            scope: String::new(),
            snapshot: Snapshot::default(),
            foreign: Foreign::default(),
            lines,
            ruling: Ruling::default(),
            counts: Counts::default(),
            calls_used: 0,
            calls_needed: 0,
            checksum: String::new(),
        }
    }

    #[test]
    fn what_went_on_without_approval_may_be_done_and_nothing_else_may_differ() {
        let (leaver, other) = (line("1", PortalVerb::Restrict), line("2", PortalVerb::Restrict));
        let newcomer = line("3", PortalVerb::AddExternal);
        let kept = Prints {
            waiting: [&leaver, &other].into_iter().flat_map(seal::print).collect(),
            free: seal::print(&newcomer).to_vec(),
        };
        let both = vec![leaver.clone(), other.clone()];
        assert_eq!(difference(&kept, &plan(both.clone())), None);
        assert_eq!(difference(&kept, &plan([both.clone(), vec![newcomer]].concat())), None);
        let said = |lines: Vec<Line>| difference(&kept, &plan(lines)).unwrap_or_default();
        assert!(said(vec![]).contains("nothing is left to do"));
        assert!(said(vec![leaver]).contains("1 line of it"));
        let more = vec![line("4", PortalVerb::AddExternal)];
        assert!(said([both.clone(), more].concat()).contains("came"));
        // A contradiction beside it changes nothing; one about somebody who waited does.
        let torn = |one: Line| Line { hold: Some(Hold::Contradiction("both".to_owned())), ..one };
        let beside = vec![torn(line("5", PortalVerb::Restrict))];
        assert_eq!(said([both.clone(), beside].concat()), "");
        assert_eq!(said(both.into_iter().map(torn).collect()), "both");
    }
}
