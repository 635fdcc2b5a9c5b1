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
const WHAT: &str = "held_plan";

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
        let about = seal::checksum(host.id(), plan.waiting());
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
                // A run over one person has told what it holds by itself.
                if whole {
                    let by_hints = trips.note(tx, &organization)?;
                    if told::note(tx, &organization, WHAT, &about)? {
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
        const ALL: [&str; 4] = [WHAT, HELD_REMOVALS, HELD_INVITATIONS, HELD_VANISHING];
        let organization = host.id().clone();
        let id = organization.clone();
        let known = self.inner.store.read(move |tx| {
            ALL.iter()
                .try_fold(false, |known, what| Ok(known || told::last(tx, &id, what)?.is_some()))
        });
        if !known.await? {
            return Ok(());
        }
        self.inner
            .store
            .write("forget hold", move |tx| {
                ALL.iter().try_for_each(|what| told::end(tx, &organization, what))
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
        if told::last(tx, organization, WHAT)?.is_none() {
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
    let mut rows: Vec<Value> =
        plan.held().take(HELD_LINES_MAX).map(plan_views::held_line).collect();
    if let (Some(hold), true) = (hold, rows.is_empty()) {
        rows.push(json!({ "reason": hold.sentence() }));
    }
    let text = (!plan.lines.is_empty()).then(|| plan_views::plan(plan).to_string());
    let is_held = state == RunState::Held;
    let hold = hold.or_else(|| plan.waiting().find_map(|line| line.hold.as_ref()));
    Note {
        state,
        counts: plan_views::counts(plan).to_string(),
        held: Value::from(rows).to_string(),
        error: None,
        plan: Some(Planned {
            checksum: plan.checksum.clone(),
            text,
            guard: plan_views::guard(&plan.ruling).to_string(),
            hold: hold.filter(|_| is_held).map(word),
            prints: is_held.then(|| prints(plan)),
        }),
    }
}

/// Prints of what waits, and of what went on without. Whoever goes without a seat is neither.
fn prints(plan: &Plan) -> Prints {
    let all = |lines: &mut dyn Iterator<Item = &Line>| lines.flat_map(seal::print).collect();
    Prints { waiting: all(&mut plan.waiting()), free: all(&mut plan.free()) }
}

fn word(hold: &Hold) -> &'static str {
    match hold {
        Hold::FirstRun => "first_run",
        Hold::Scope => "scope",
        Hold::Guard(_) => "guard",
        Hold::Invitations => "invitations",
        Hold::Vanishing => "vanishing",
        Hold::NoSeat => "no_seat",
    }
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
            return vec![(WHAT, notice("Changes", body))];
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
