//! What a run, a dry run or an approval is about to do: the decisions of `apply` for everybody,
//! folded into one plan, and judged as a whole. Nothing is written here.
//!
//! There is no second planner: [`Engine::decide`] and `foresee_guests` are what carries it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::apply::{Look, invites};
use super::facts::Sides;
use super::{Engine, Host, licences};
use crate::domain::membership::{Membership, State};
use crate::domain::plan::{Counts, Deed, Hold, Line, Plan, Ruling, Snapshot};
use crate::domain::{CrmUserId, Licence, MembershipId, OrgId, PortalVerb, Timestamp};
use crate::logic::guard::Trip;
use crate::logic::plan::{Decision, Step, Verdict};
use crate::logic::seal;
use crate::store::outbox::{self, Cause};
use crate::store::{StoreError, Tx};
use crate::zoho::Calls;

/// What was read, and of whom a plan is to be made.
#[derive(Clone)]
pub(super) struct Reading {
    /// Both sides.
    pub(super) sides: Arc<Sides>,
    /// Whom, in the order of the ids.
    pub(super) people: Vec<CrmUserId>,
    /// The one person, as asked for; `None` is everybody.
    pub(super) person: Option<String>,
    /// What it cost.
    pub(super) calls: Calls,
}

/// A plan, and what of it is too much as a whole.
pub(super) struct Outlook {
    pub(super) plan: Plan,
    pub(super) closed: Closed,
}

/// What is too much as a whole, and why.
#[derive(Clone, Copy, Default)]
pub(super) struct Closed {
    /// Nobody is invited.
    pub(super) invitations: bool,
    /// Nobody new is taken away.
    pub(super) removals: Option<Trip>,
    /// Nobody is noted as gone.
    pub(super) vanishing: bool,
}

impl Closed {
    pub(super) fn anything(self) -> bool {
        self.invitations || self.removals.is_some() || self.vanishing
    }
}

/// Which limit a line falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Free,
    Invites,
    Removes(MembershipId),
    Vanishes,
}

/// What one person's look comes to.
struct Foresight {
    lines: Vec<(Line, Class)>,
    verdict: &'static str,
    changed: bool,
    invites: bool,
    takes: Option<MembershipId>,
    vanishing: usize,
    under_way: u32,
}

impl Engine {
    /// Makes the plan. `hold` holds all of it back, whatever the guard says.
    pub(super) fn outlook(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        reading: &Reading,
        hold: Option<&Hold>,
        now: Timestamp,
    ) -> Result<Outlook, StoreError> {
        self.outlook_as(tx, host, reading, reading.person.is_some(), hold, now)
    }

    /// The same, as an operator who asks for these very people would have it (`rearm`), or as the
    /// bridge by itself.
    pub(super) fn outlook_as(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        reading: &Reading,
        rearm: bool,
        hold: Option<&Hold>,
        now: Timestamp,
    ) -> Result<Outlook, StoreError> {
        let sides = &*reading.sides;
        let (mut lines, mut counts) = (Vec::new(), Counts::default());
        let (mut takes, mut vanishing) = (BTreeSet::new(), 0);
        for user in &reading.people {
            let look = Look { host, user, sides, cause: Cause::default(), rearm, now };
            let one = self.foresee(tx, &look)?;
            lines.extend(one.lines);
            takes.extend(one.takes);
            vanishing += one.vanishing;
            counts.people += 1;
            counts.changed += u32::from(one.changed);
            counts.invitations += usize::from(one.invites);
            counts.under_way += one.under_way;
            *counts.verdicts.entry(one.verdict).or_default() += 1;
        }
        counts.removals = takes.len();
        let mut bounds = self.bounds(tx, host.id(), now)?;
        let closed = Closed {
            invitations: !bounds.invitations.fits(counts.invitations),
            removals: bounds.removals.close_over(tx, &takes)?,
            vanishing: !bounds.vanishing.fits(vanishing),
        };
        let mut judged = Vec::with_capacity(lines.len());
        for (mut line, class) in lines {
            line.hold = match (hold, class) {
                (Some(hold), _) => Some(hold.clone()),
                (None, Class::Invites) if closed.invitations => Some(Hold::Invitations),
                (None, Class::Vanishes) if closed.vanishing => Some(Hold::Vanishing),
                (None, Class::Removes(person)) => match closed.removals {
                    Some(trip) if !bounds.removals.counts(tx, person)? => {
                        Some(Hold::Guard(trip.sentence()))
                    }
                    _ => None,
                },
                _ => None,
            };
            judged.push(line);
        }
        if reading.person.is_none() {
            judged.extend(seats(tx, host, sides, hold)?);
        }
        let ruling = self.ruling(tx, &mut bounds.removals, &takes, counts.invitations, closed)?;
        let plan = finished(host.id(), reading, judged, ruling, counts);
        Ok(Outlook { plan, closed })
    }

    fn ruling(
        &self,
        tx: &Tx<'_>,
        guard: &mut super::guard::Guard,
        takes: &BTreeSet<MembershipId>,
        invitations: usize,
        closed: Closed,
    ) -> Result<Ruling, StoreError> {
        let limits = self.inner.settings.limits;
        let (counted, owned, fresh) = guard.weigh(tx, takes)?;
        Ok(Ruling {
            trip: closed.removals.map(Trip::sentence),
            removals: fresh,
            counted,
            owned,
            max_removals: limits.max_removals,
            max_percent: limits.max_percent,
            window: limits.window,
            invitations,
            invitations_held: closed.invitations,
            max_invites: limits.max_invites,
            vanishing_held: closed.vanishing,
        })
    }

    /// The prints of what one person's look would do now, in order: for whoever carries out an
    /// approved plan, and nothing but it.
    pub(super) fn prints(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
    ) -> Result<Vec<seal::Print>, StoreError> {
        let mut lines: Vec<Line> =
            self.foresee(tx, look)?.lines.into_iter().map(|(line, _)| line).collect();
        Plan::sort(&mut lines);
        Ok(lines.iter().map(seal::print).collect())
    }

    fn foresee(&self, tx: &Tx<'_>, look: &Look<'_>) -> Result<Foresight, StoreError> {
        let (known, decision, _) = self.decide(tx, look)?;
        let known = known.as_ref();
        let counted = self.is_counted(tx, known, look.now)?;
        let row = decision.ledger.as_ref().or(known);
        let mut one = Foresight {
            lines: Vec::new(),
            verdict: decision.verdict.word(),
            changed: decision.ledger.is_some(),
            invites: decision.steps.iter().copied().any(invites),
            takes: known.filter(|_| decision.guarded).map(|row| row.id),
            vanishing: usize::from(decision.vanished),
            under_way: 0,
        };
        let person = Person { look, known, row };
        for (deed, after) in deeds(known, &decision) {
            if let Some(row) = known
                && outbox::waits_to(tx, row.id, deed.as_str())?
            {
                one.under_way += 1;
                continue;
            }
            let class = match (deed, known) {
                (Deed::NoteGone, _) => Class::Vanishes,
                (Deed::Letter | Deed::Portal(PortalVerb::AddExternal), _) if !counted => {
                    Class::Invites
                }
                (_, Some(row)) if decision.guarded => Class::Removes(row.id),
                _ => Class::Free,
            };
            let before = known.and_then(|row| shown(row.state));
            let line = person.line(deed, None, decision.verdict.sentence(), before, Some(after));
            one.lines.push((line, class));
        }
        // What the portal's answer sets going belongs to the same plan.
        let added = row.filter(|_| adds(&decision)).map(invited);
        let guests = self.foresee_guests(tx, look, added.as_ref().or(row), &decision.verdict)?;
        for guest in guests {
            if guest.under_way {
                one.under_way += 1;
                continue;
            }
            let class = match (guest.deed, known) {
                (Deed::ChannelRemove, Some(row)) => {
                    one.takes = Some(row.id);
                    Class::Removes(row.id)
                }
                (Deed::NoteGoneFromChannel, _) => {
                    one.vanishing += 1;
                    Class::Vanishes
                }
                _ if guest.invites && !counted => Class::Invites,
                _ => Class::Free,
            };
            one.invites |= guest.invites;
            let after = Some(guest.after.as_str());
            let line =
                person.line(guest.deed, Some(guest.channel), guest.reason, guest.before, after);
            one.lines.push((line, class));
        }
        one.invites &= !counted;
        Ok(one)
    }
}

/// Whom lines are about.
struct Person<'a> {
    look: &'a Look<'a>,
    known: Option<&'a Membership>,
    row: Option<&'a Membership>,
}

impl Person<'_> {
    fn line(
        &self,
        deed: Deed,
        channel: Option<String>,
        reason: String,
        before: Option<String>,
        after: Option<&str>,
    ) -> Line {
        let user = self.look.sides.roster.get(self.look.user);
        let row = self.row.or(self.known);
        let email = user.and_then(|user| user.email.as_ref()).or(row.map(|row| &row.email));
        let name = match (user, row) {
            (Some(user), _) => user.full_name(),
            (None, Some(row)) => format!("{} {}", row.first_name, row.last_name).trim().to_owned(),
            (None, None) => String::new(),
        };
        Line {
            crm_user_id: self.look.user.clone(),
            email: email.map(|email| email.as_str().to_owned()).unwrap_or_default(),
            name,
            deed,
            channel,
            reason,
            before,
            after: after.map(str::to_owned),
            hold: None,
        }
    }
}

/// What a decision does outside, or notes for good, and the state that follows.
fn deeds(known: Option<&Membership>, decision: &Decision) -> Vec<(Deed, &'static str)> {
    let state = decision.ledger.as_ref().or(known).map(|row| row.state);
    let mut deeds: Vec<(Deed, &'static str)> = decision
        .steps
        .iter()
        .map(|step| match step {
            Step::Invite => (Deed::Letter, State::Invited.as_str()),
            Step::Portal(verb) => {
                let after = match verb {
                    PortalVerb::AddExternal => State::Invited.as_str(),
                    PortalVerb::RemoveExternal => State::Removed.as_str(),
                    PortalVerb::Restrict if state == Some(State::RemovalStaged) => {
                        State::RemovalStaged.as_str()
                    }
                    PortalVerb::Restrict => State::Restricted.as_str(),
                    PortalVerb::Restore => State::Joined.as_str(),
                    PortalVerb::AssignLicence => Licence::Paid.as_str(),
                    PortalVerb::RevokeLicence => Licence::Free.as_str(),
                };
                (Deed::Portal(*verb), after)
            }
        })
        .collect();
    if let (true, Some(state)) = (decision.vanished, state) {
        deeds.push((Deed::NoteGone, state.as_str()));
    }
    let suspected = known.is_some_and(|row| row.suspected_at.is_some());
    match decision.verdict {
        Verdict::RemoveByHand(_) if decision.guarded => {
            deeds.push((Deed::RemoveByHand, State::RemovalStaged.as_str()));
        }
        Verdict::RestrictByHand if !suspected => {
            deeds.push((Deed::BlockByHand, State::Restricted.as_str()));
        }
        _ => {}
    }
    deeds
}

fn adds(decision: &Decision) -> bool {
    decision.steps.contains(&Step::Portal(PortalVerb::AddExternal))
}

/// The membership as the portal's answer will make it.
fn invited(row: &Membership) -> Membership {
    Membership { state: State::Invited, external: true, parked: None, ..row.clone() }
}

/// The state as a plan shows it. Whoever is only wanted is not there yet, so that a row of an earlier
/// look makes no difference.
fn shown(state: State) -> Option<String> {
    (state != State::Wanted).then(|| state.as_str().to_owned())
}

/// Licences of the policy list: who gets one, and who goes without.
fn seats(
    tx: &Tx<'_>,
    host: &Host,
    sides: &Sides,
    hold: Option<&Hold>,
) -> Result<Vec<Line>, StoreError> {
    let seating = licences::seating(tx, host, sides)?;
    let given = seating.given.iter().map(|row| licence_line(row, hold.cloned()));
    let without = seating.without.iter().map(|row| licence_line(row, Some(Hold::NoSeat)));
    Ok(given.chain(without).collect())
}

/// One licence of the policy list.
pub(super) fn licence_line(row: &Membership, hold: Option<Hold>) -> Line {
    Line {
        crm_user_id: row.crm_user_id.clone(),
        email: row.email.as_str().to_owned(),
        name: format!("{} {}", row.first_name, row.last_name).trim().to_owned(),
        deed: Deed::Portal(PortalVerb::AssignLicence),
        channel: None,
        reason: licences::LISTED.to_owned(),
        before: row.licence.map(|licence| licence.as_str().to_owned()),
        after: Some(Licence::Paid.as_str().to_owned()),
        hold,
    }
}

/// Puts the plan together and seals it. Whoever goes without a seat is named in it, but nothing is
/// done for them, so it is not sealed.
fn finished(
    organization: &OrgId,
    reading: &Reading,
    mut lines: Vec<Line>,
    ruling: Ruling,
    counts: Counts,
) -> Plan {
    Plan::sort(&mut lines);
    let sealed = lines.iter().filter(|line| line.hold != Some(Hold::NoSeat));
    let checksum = seal::checksum(organization, sealed);
    let sides = &reading.sides;
    Plan {
        organization: organization.clone(),
        person: reading.person.clone(),
        snapshot: Snapshot {
            read_at: sides.begun_at,
            complete: sides.complete,
            crm_pages: sides.roster.pages(),
            crm_users: sides.roster.len(),
            cliq_pages: sides.directory.pages(),
            cliq_users: sides.directory.len(),
        },
        lines,
        ruling,
        counts,
        calls_used: reading.calls.used,
        calls_needed: reading.calls.needed,
        checksum,
    }
}
