//! Approving a held run: both sides are read again, the plan is made again, and if it is the approved
//! one, exactly that is queued.
//!
//! The guard is open for those lines alone and in memory alone, so a crash leaves nothing open. What
//! of the plan went on without approval may have happened meanwhile; anything else that differs is a
//! refusal, also when nothing is left to do. Deliberately absent: raising limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::apply::Look;
use super::facts::ReadError;
use super::held::noted;
use super::outlook::{Closed, Outlook, Reading};
use super::{Engine, Host};
use crate::domain::plan::{Hold, Plan};
use crate::domain::run::RunState;
use crate::domain::{CrmUserId, RunId, Timestamp};
use crate::logic::seal::{self, PRINT_BYTES, Print};
use crate::store::audit::{self, Entry};
use crate::store::outbox::Cause;
use crate::store::runs::{self, Prints, Run};
use crate::store::{StoreError, Tx, looks, orgs};
use crate::zoho::Meter;

/// How long a held run can be approved: as long as the guard's window is by default. What is older was
/// decided about another world.
const APPROVAL_MAX: Duration = Duration::from_hours(24);

/// People queued in one transaction; as in a run.
const PEOPLE_PER_TRANSACTION: usize = 200;

/// An approval that was carried out: everything is in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The run, which goes on as any other.
    pub run: RunId,
    /// How far it is.
    pub state: RunState,
    /// The plan's checksum.
    pub checksum: String,
    /// Changes that were let go.
    pub changes: usize,
    /// People left out, because something newer was known of them by then.
    pub left_out: usize,
}

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

/// What was approved, by person.
struct Permit {
    lines: BTreeMap<CrmUserId, Vec<Print>>,
    actor: String,
    hold: Option<String>,
    checksum: String,
}

impl Engine {
    /// Approves a held run by the checksum of its plan. Reads both sides, which may take long.
    ///
    /// # Errors
    /// [`NotApproved`], and then nothing was done.
    pub async fn approve(
        &self,
        run: RunId,
        checksum: &str,
        actor: &str,
    ) -> Result<Approved, NotApproved> {
        let (engine, checksum, actor) = (self.clone(), checksum.to_owned(), actor.to_owned());
        // Goes on when the caller goes away: half an approval would be worse than none.
        tokio::spawn(async move { engine.approve_run(run, &checksum, &actor).await })
            .await
            .unwrap_or(Err(NotApproved::Store(StoreError::Gone)))
    }

    async fn approve_run(
        &self,
        id: RunId,
        checksum: &str,
        actor: &str,
    ) -> Result<Approved, NotApproved> {
        let run = self.approvable(id, checksum).await?;
        let host = run.organization.as_ref().and_then(|organization| self.host(organization));
        let Some(host) = host else {
            let why = "the organization of this run is not configured any more";
            return Err(NotApproved::NotHeld(why.to_owned()));
        };
        let turn = self.turn(host.id()).await;
        // A run may have held something else while this one waited for its turn.
        let run = self.approvable(id, checksum).await?;
        let host = &host.metered(&Meter::default());
        let reading = self.read_for_approval(host, &run).await?;
        let Outlook { plan, closed } = self.look_ahead(host, &reading, None).await?;
        self.compare(&run, checksum, &plan).await?;
        if let Some(why) = seal::contradiction(&plan.lines) {
            return Err(NotApproved::NotHeld(why));
        }
        let permit = Permit {
            lines: by_person(&plan),
            actor: actor.to_owned(),
            hold: run.hold.clone(),
            checksum: checksum.to_owned(),
        };
        let approved = self.let_go(host, &run, reading, plan, closed, permit).await;
        drop(turn);
        self.wake_outbox(host.id());
        approved
    }

    /// The run, if it is one that this checksum can approve now.
    async fn approvable(&self, id: RunId, checksum: &str) -> Result<Run, NotApproved> {
        let now = self.now();
        let given = checksum.to_owned();
        self.inner
            .store
            .read(move |tx| {
                let Some(asked) = runs::get(tx, id)? else { return Ok(Err(NotApproved::Missing)) };
                let run = same_plan(tx, &asked, &given)?.unwrap_or(asked);
                Ok(match refusal(tx, &run, &given, now)? {
                    Some(why) => Err(why),
                    None => Ok(run),
                })
            })
            .await?
    }

    async fn read_for_approval(&self, host: &Host, run: &Run) -> Result<Reading, NotApproved> {
        let read = match &run.person {
            None => self.read_everybody(host, run).await,
            Some(person) => self.read_one(host, person, true).await,
        };
        read.map_err(|error| match error {
            ReadError::Store(error) => NotApproved::Store(error),
            ReadError::Empty(what) => NotApproved::Outside(what.to_owned()),
            ReadError::Call(error) => NotApproved::Outside(error.failure(self.now()).to_string()),
        })
    }

    /// Whether the plan of now is what was approved.
    async fn compare(&self, run: &Run, approved: &str, plan: &Plan) -> Result<(), NotApproved> {
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

    async fn let_go(
        &self,
        host: &Host,
        run: &Run,
        reading: Reading,
        mut plan: Plan,
        closed: Closed,
        permit: Permit,
    ) -> Result<Approved, NotApproved> {
        let permit = Arc::new(permit);
        let mut left_out = 0;
        let mut rest = reading.people.clone();
        let mut begins = true;
        // At least once, so that an approved plan without anybody is approved too.
        while begins || !rest.is_empty() {
            let some: Vec<CrmUserId> =
                rest.drain(..rest.len().min(PEOPLE_PER_TRANSACTION)).collect();
            let begun =
                self.queue_approved(host, run, &reading, some, closed, &permit, begins).await?;
            match begun {
                Some(count) => left_out += count,
                None => return Err(NotApproved::Already(run.id)),
            }
            begins = false;
        }
        for line in &mut plan.lines {
            line.hold = line.hold.take().filter(|hold| *hold == Hold::NoSeat);
        }
        if run.person.is_none() {
            self.settle_licences(host, run, &reading, &mut plan).await?;
            self.note_members(host, &reading.sides).await?;
            self.forget_hold(host).await?;
            let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
            self.inner
                .store
                .write("note approval", move |tx| {
                    orgs::note_run(tx, &organization, now)?;
                    engine.approve_scope(tx, &organization)
                })
                .await?;
        }
        let mut note = noted(&plan, RunState::Applying, None);
        if let Some(planned) = &mut note.plan {
            planned.checksum.clone_from(&permit.checksum);
        }
        let (id, changes, now) = (run.id, plan.free().count(), self.now());
        let state = self
            .inner
            .store
            .write("note approved run", move |tx| {
                runs::note(tx, id, &note, now)?;
                runs::finish_applied(tx, now)?;
                runs::get(tx, id)
            })
            .await?;
        let state = state.map_or(RunState::Applying, |run| run.state);
        Ok(Approved { run: id, state, checksum: permit.checksum.clone(), changes, left_out })
    }

    /// Queues these people's part. Answers how many were left out; `None` if the run is not held any
    /// more when its first part is queued.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the one approved plan")]
    async fn queue_approved(
        &self,
        host: &Host,
        run: &Run,
        reading: &Reading,
        people: Vec<CrmUserId>,
        closed: Closed,
        permit: &Arc<Permit>,
        begins: bool,
    ) -> Result<Option<usize>, StoreError> {
        let (engine, organization) = (self.clone(), host.id().clone());
        let (sides, permit) = (Arc::clone(&reading.sides), Arc::clone(permit));
        let (run_id, rearm, now) = (run.id, run.person.is_some(), self.now());
        self.inner
            .store
            .write("queue approved", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(None) };
                // With the first part, so that no run says that it was approved and did nothing.
                if begins && !begin(tx, host, run_id, &permit, now)? {
                    return Ok(None);
                }
                let mut bounds = engine.bounds(tx, &organization, now)?;
                bounds.close(closed);
                let mut left_out = 0;
                for user in &people {
                    let cause = Cause { delivery: None, run: Some(run_id) };
                    let look = Look { host, user, sides: &sides, cause, rearm, now };
                    let approved = permit.lines.get(user);
                    if let Some(lines) = approved
                        && engine.prints(tx, &look)? != *lines
                    {
                        // Something newer is known of the person: the next run plans anew.
                        left_out += 1;
                        continue;
                    }
                    bounds.open(approved.is_some());
                    engine.settle_person(tx, &look, &mut bounds)?;
                    if rearm {
                        looks::note(tx, &organization, user, sides.begun_at)?;
                    }
                }
                engine.tell_vanishing(tx, host, &bounds, now)?;
                Ok(Some(left_out))
            })
            .await
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
    let newest = runs::newest_held(tx, organization, run.person.as_deref())?;
    if let Some(newer) = newest.filter(|newest| *newest != run.id) {
        return Ok(Some(NotApproved::Replaced { run: run.id, newer }));
    }
    if run.finished_at.is_none_or(|at| now.since(at) > APPROVAL_MAX) {
        return Ok(Some(NotApproved::Expired(run.id)));
    }
    if expected != given {
        let (expected, given) = (expected.clone(), given.to_owned());
        return Ok(Some(NotApproved::WrongChecksum { run: run.id, expected, given }));
    }
    Ok(None)
}

/// Writes down who approved it. False if it is not held any more.
fn begin(
    tx: &Tx<'_>,
    host: &Host,
    run: RunId,
    permit: &Permit,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !runs::approve(tx, run, &permit.actor, now)? {
        return Ok(false);
    }
    let entry = Entry {
        organization: host.id(),
        membership: None,
        actor: &permit.actor,
        event: "run_approved",
        reason: "An operator approved the held plan; exactly that is carried out.",
        before: Some(json!({ "run": run.to_string(), "hold": permit.hold })),
        after: Some(json!({ "checksum": permit.checksum })),
        cause: Cause { delivery: None, run: Some(run) },
        action: None,
    };
    audit::record(tx, &entry, now)?;
    Ok(true)
}

/// The approved lines of each person, but licences, which have no guard and are given as there are
/// seats.
fn by_person(plan: &Plan) -> BTreeMap<CrmUserId, Vec<Print>> {
    let mut all: BTreeMap<CrmUserId, Vec<Print>> = BTreeMap::new();
    for line in plan.lines.iter().filter(|line| !line.is_licence()) {
        all.entry(line.crm_user_id.clone()).or_default().push(seal::print(line));
    }
    all
}

/// What differs from the approved plan, in a sentence: every line that waited has to be there, and
/// nothing that was not. What did not wait may have been carried out.
fn difference(kept: &Prints, plan: &Plan) -> Option<String> {
    let waiting: BTreeSet<&[u8]> = kept.waiting.chunks(PRINT_BYTES).collect();
    let free: BTreeSet<&[u8]> = kept.free.chunks(PRINT_BYTES).collect();
    let (mut found, mut new) = (BTreeSet::new(), 0_usize);
    let sealed = plan.lines.iter().filter(|line| line.hold != Some(Hold::NoSeat));
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
    use crate::domain::plan::{Counts, Deed, Foreign, Line, Plan, Ruling, Snapshot};
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
        assert!(said([both, vec![line("4", PortalVerb::AddExternal)]].concat()).contains("came"));
    }
}
