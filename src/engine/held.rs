//! Held runs: what is written down of them, and what the administrators hear, once for each plan.
//!
//! Deliberately absent: letting one go, which is `approve`'s.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::guard::{HELD, HELD_INVITATIONS, HELD_REMOVALS, HELD_VANISHING, in_words, told_of};
use super::{Engine, Host, plan_views};
use crate::domain::letter::Notice;
use crate::domain::plan::{Hold, Line, Plan};
use crate::domain::run::RunState;
use crate::domain::{CrmUserId, OrgId, RunId, Timestamp};
use crate::logic::seal;
use crate::store::outbox::Cause;
use crate::store::runs::{self, Note, Planned, Prints, Run};
use crate::store::{StoreError, Tx, orgs, told};

/// Lines of held people that a run shows; the count, and the plan, have them all.
const HELD_LINES_MAX: usize = 200;

/// Characters of a checksum that tell one plan from another in a title.
const SHORT: usize = 8;

/// What administrators were last told of: the held part of an organization's plan.
pub(super) const HELD_PLAN: &str = "held_plan";

/// And the part in which it contradicts itself.
const CONTRADICTED: &str = "contradicted_plan";

/// Everything that is told of held plans.
pub(super) const HELD_MATTERS: [&str; 5] =
    [HELD_PLAN, CONTRADICTED, HELD_REMOVALS, HELD_INVITATIONS, HELD_VANISHING];

/// Contradictions spelled out in one notice; the rest is a number.
const CONTRADICTIONS_MAX: usize = 10;

impl Engine {
    /// Ends the run as held, and says so unless just this was said before.
    pub(super) async fn hold_run(
        &self,
        host: &Host,
        run: &Run,
        plan: &Plan,
        hold: Option<&Hold>,
    ) -> Result<(), StoreError> {
        let (note, notices) = (noted(plan, RunState::Held, hold), notices(run.id, plan, hold));
        let trips = Trips::of(plan);
        let about = seal::checksum(host.id(), "", plan.waiting());
        let (contradicted, torn) = (contradicted(plan), contradiction(plan));
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (id, whole, boot) = (run.id, run.person.is_none(), self.inner.boot);
        tracing::warn!(run = %id, %organization, checksum = plan.checksum, "the run is held");
        self.inner
            .store
            .write("hold run", move |tx| {
                if !runs::is_held(tx, id, boot)? {
                    return Err(StoreError::Superseded(id));
                }
                orgs::note_good_run(tx, id, now)?;
                runs::note(tx, id, &note, now)?;
                runs::thin_out_held(tx, id)?;
                runs::finish_applied(tx, now)?;
                if (whole || torn.is_some())
                    && told::note(tx, &organization, CONTRADICTED, &contradicted)?
                {
                    engine.tell_all(tx, &organization, torn.iter(), now)?;
                }
                // A run over one person has told what it holds by itself.
                if whole {
                    let by_hints = trips.note(tx, &organization)?;
                    if told::note(tx, &organization, HELD_PLAN, &about)? {
                        let news = notices.iter().filter(|(matter, _)| !by_hints.contains(matter));
                        engine.tell_all(tx, &organization, news.map(|(_, notice)| notice), now)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Nothing is held any more: the same plan, held again, is news.
    pub(super) async fn forget_hold(&self, host: &Host) -> Result<(), StoreError> {
        let organization = host.id().clone();
        let id = organization.clone();
        let known = self.inner.store.read(move |tx| {
            HELD_MATTERS
                .iter()
                .try_fold(false, |known, what| Ok(known || told::last(tx, &id, what)?.is_some()))
        });
        if !known.await? {
            return Ok(());
        }
        self.inner
            .store
            .write("forget hold", move |tx| {
                HELD_MATTERS.iter().try_for_each(|what| told::end(tx, &organization, what))
            })
            .await
    }

    fn tell_all<'a>(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        mut notices: impl Iterator<Item = &'a Notice>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        notices.try_for_each(|notice| {
            self.tell_admins(tx, organization, notice, Cause::default(), now)
        })
    }
}

/// What a plan holds, by the matters of which hints tell too.
struct Trips {
    removals: BTreeSet<CrmUserId>,
    invitations: bool,
    vanishing: bool,
}

impl Trips {
    fn of(plan: &Plan) -> Self {
        let removed = |line: &&Line| matches!(line.hold, Some(Hold::Guard(_)));
        Self {
            removals: plan.waiting().filter(removed).map(|line| line.crm_user_id.clone()).collect(),
            invitations: plan.ruling.invitations_held,
            vanishing: plan.ruling.vanishing_held,
        }
    }

    /// Writes down what is held by now. Answers the matters of which hints have told all that this
    /// run would: the same trip.
    fn note(&self, tx: &Tx<'_>, organization: &OrgId) -> Result<Vec<&'static str>, StoreError> {
        let mut by_hints = Vec::new();
        // A run that held something before told of it itself.
        if told::last(tx, organization, HELD_PLAN)?.is_none() {
            let removals = told::last(tx, organization, HELD_REMOVALS)?;
            if removals.is_some_and(|told| self.removals.is_subset(&told_of(&told))) {
                by_hints.push(HELD_REMOVALS);
            }
            if told::last(tx, organization, HELD_INVITATIONS)?.is_some() {
                by_hints.push(HELD_INVITATIONS);
            }
        }
        let removals = in_words(&self.removals);
        for (matter, held, about) in [
            (HELD_REMOVALS, !self.removals.is_empty(), removals.as_str()),
            (HELD_INVITATIONS, self.invitations, HELD),
            (HELD_VANISHING, self.vanishing, HELD),
        ] {
            if held {
                told::note(tx, organization, matter, about)?;
            } else {
                told::end(tx, organization, matter)?;
            }
        }
        Ok(by_hints)
    }
}

/// The run as the store keeps it.
pub(super) fn noted(plan: &Plan, state: RunState, hold: Option<&Hold>) -> Note {
    let mut rows = held_rows(plan);
    if let (Some(hold), true) = (hold, rows.is_empty()) {
        rows.push(json!({ "reason": hold.sentence() }));
    }
    let text = (!plan.lines.is_empty()).then(|| plan_views::head(plan).to_string());
    let is_held = state == RunState::Held;
    let waits = plan.waiting().next().or_else(|| plan.held().find(|l| l.contradiction().is_some()));
    let hold = hold.or_else(|| waits.and_then(|line| line.hold.as_ref()));
    Note {
        state,
        counts: plan_views::counts(plan).to_string(),
        held: Value::from(rows).to_string(),
        error: None,
        plan: Some(Planned {
            checksum: plan.checksum.clone(),
            text,
            pages: plan_views::pages(plan),
            read: plan_views::read(plan).to_string(),
            guard: plan_views::guard(&plan.ruling).to_string(),
            scope: plan.scope.clone(),
            hold: hold.filter(|_| is_held).map(Hold::word),
            prints: is_held.then(|| prints(plan)),
        }),
    }
}

/// What of the plan is held, each line with its reason.
pub(super) fn held_rows(plan: &Plan) -> Vec<Value> {
    plan.held().take(HELD_LINES_MAX).map(plan_views::held_line).collect()
}

/// Prints of what waits, and of what went on without. What no approval lets go is neither.
fn prints(plan: &Plan) -> Prints {
    let all = |lines: &mut dyn Iterator<Item = &Line>| lines.flat_map(seal::print).collect();
    Prints { waiting: all(&mut plan.waiting()), free: all(&mut plan.free()) }
}

/// What tells one set of contradictions from another; empty if there is none.
fn contradicted(plan: &Plan) -> String {
    let mut lines = plan.lines.iter().filter(|line| line.contradiction().is_some()).peekable();
    if lines.peek().is_none() {
        return String::new();
    }
    seal::checksum(&plan.organization, "", lines)
}

/// The sentences in which a plan contradicts itself, each once.
pub(super) fn contradictions(plan: &Plan) -> BTreeSet<&str> {
    plan.lines.iter().filter_map(Line::contradiction).collect()
}

/// What the administrators hear of contradictions, if there are any (I26).
fn contradiction(plan: &Plan) -> Option<Notice> {
    let sentences = contradictions(plan);
    let first: Vec<&str> = sentences.iter().take(CONTRADICTIONS_MAX).copied().collect();
    let rest = match sentences.len().saturating_sub(CONTRADICTIONS_MAX) {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    let (organization, sum) = (&plan.organization, contradicted(plan));
    (!first.is_empty()).then(|| Notice {
        title: format!(
            "People of {organization} contradict each other ({})",
            sum.get(..SHORT).unwrap_or_default()
        ),
        body: format!(
            "{}.{rest}\nEverybody else goes on. No approval resolves this.",
            first.join(".\n")
        ),
    })
}

/// What the administrators hear of a held plan, by its matter. People missing from Cliq are told
/// elsewhere.
fn notices(run: RunId, plan: &Plan, hold: Option<&Hold>) -> Vec<(&'static str, Notice)> {
    let organization = &plan.organization;
    let short = plan.checksum.get(..SHORT).unwrap_or_default();
    let how = format!(
        "Look at it: cliqbridge plan --organization {organization}. If it is meant, approve it within \
         24 hours: cliqbridge approve {run} --checksum {}",
        plan.checksum
    );
    let notice = |what: &str, body: String| Notice {
        title: format!("{what} of {organization} are held back ({short})"),
        body,
    };
    match hold {
        Some(Hold::FirstRun) => {
            let lines = plan.lines.len();
            let body = format!(
                "The first run over {organization} would make {lines} changes; nothing of it was \
                 done, because of first_run = \"plan\". {how}"
            );
            return vec![(HELD_PLAN, notice("Changes", body))];
        }
        // Told when the daemon started with the changed configuration.
        Some(_) => return Vec::new(),
        None => {}
    }
    let mut all = Vec::new();
    if let Some(trip) = &plan.ruling.trip {
        let body = format!(
            "{trip}. Nobody of them was touched; invitations go on. {how}\nIf not, check `scope` and \
             the CRM; what is not approved stays undone."
        );
        all.push((HELD_REMOVALS, notice("Removals", body)));
    }
    if plan.ruling.invitations_held {
        let body = format!(
            "{} people are waiting because `guard.max_invites` ({}) would be passed within the \
             guard's window. {how}\nIf not, check `scope`.",
            plan.ruling.invitations, plan.ruling.max_invites
        );
        all.push((HELD_INVITATIONS, notice("Invitations", body)));
    }
    all
}
