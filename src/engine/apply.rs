//! Writing a decision down: ledger, audit and outbox in the transaction it was made in.

use super::facts::Sides;
use super::people::Sight;
use super::{Engine, Host};
use crate::domain::letter::{Invitation, Notice};
use crate::domain::membership::{Membership, State};
use crate::domain::{Access, CrmUserId, Lane, Operation, OrgId, PortalVerb, Standing, Timestamp};
use crate::logic::plan::{Decision, Facts, Step, Verdict, matching, plan_one};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, Cause, NewAction, Wish};
use crate::store::{StoreError, Tx, ledger, orgs};

/// One person to be looked at, with everything that was read.
pub(super) struct Look<'a> {
    /// The organization.
    pub(super) host: &'a Host,
    /// The CRM user.
    pub(super) user: &'a CrmUserId,
    /// Both sides as they were read.
    pub(super) sides: &'a Sides,
    /// What asked.
    pub(super) cause: Cause,
    /// An operator asked for this very person: a parked row is tried again.
    pub(super) rearm: bool,
    /// Now.
    pub(super) now: Timestamp,
}

/// How many more people may be invited in the window (`guard.max_invites`).
pub(super) struct Allowance {
    left: u32,
    held: u32,
}

impl Allowance {
    /// Nobody more: what a run gets whose plan is over the limit as a whole.
    pub(super) fn none() -> Self {
        Self { left: 0, held: 0 }
    }

    /// Whether `wanted` more fit.
    pub(super) fn fits(&self, wanted: u32) -> bool {
        wanted <= self.left
    }

    /// How many were held back.
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    fn take(&mut self) -> bool {
        if self.left == 0 {
            self.held += 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

impl Engine {
    /// How many people of the organization may still be invited.
    pub(super) fn allowance(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        now: Timestamp,
    ) -> Result<Allowance, StoreError> {
        let from = now - self.inner.settings.limits.window;
        let used = ledger::invited_since(tx, organization, from)?;
        Ok(Allowance { left: self.inner.settings.limits.max_invites.saturating_sub(used), held: 0 })
    }

    /// Decides for one person, and writes ledger, audit and outbox. Answers why.
    pub(super) fn settle_person(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
        allowance: &mut Allowance,
    ) -> Result<Verdict, StoreError> {
        let (known, mut decision, sight) = self.decide(tx, look)?;
        let admitted = !decision.steps.iter().copied().any(invites)
            || self.is_counted(tx, known.as_ref(), look.now)?
            || allowance.take();
        if !admitted {
            hold(known.as_ref(), &mut decision);
        }
        if let Some(row) = known.as_ref().filter(|row| row.state == State::Wanted)
            && admitted
            && !decision.steps.iter().copied().any(invites)
        {
            // Whatever waits to add this person was planned from facts that hold no more.
            let (boot, why) = (self.inner.boot, decision.verdict.sentence());
            outbox::withdraw(tx, row.id, Lane::Access, boot, &why, look.now)?;
        }
        let mut row = decision.ledger.clone().or_else(|| known.clone());
        if let (true, Some(row)) = (decision.ledger.is_some(), &mut row) {
            row.id = ledger::put(tx, row)?;
            note_change(tx, look, known.as_ref(), row, &decision.verdict)?;
        }
        if let (true, Some(row)) = (look.rearm, &row)
            && row.state == State::Invited
        {
            outbox::rearm(tx, row.id, Lane::Letter, look.now)?;
            outbox::rearm(tx, row.id, Lane::Notice, look.now)?;
        }
        if decision.verdict == Verdict::Conflict {
            self.tell_conflict(tx, look)?;
        }
        if let Some(sight) = &sight {
            self.note_sight(tx, look, sight, row.as_ref(), &decision.verdict)?;
        }
        let reason = decision.verdict.sentence();
        for step in &decision.steps {
            let Some(row) = &mut row else { continue };
            match step {
                Step::Invite => self.invite(tx, look.host, row, look.cause, look.now)?,
                Step::Portal(verb) => {
                    let new = NewAction {
                        organization: look.host.id(),
                        membership: Some(row),
                        operation: Operation::Portal(*verb),
                        reason: &reason,
                        cause: look.cause,
                        wish: Wish::Planned,
                        not_before: look.now,
                    };
                    outbox::put(tx, &new, look.now)?;
                }
            }
        }
        Ok(decision.verdict)
    }

    /// Decides for one person without writing anything.
    pub(super) fn decide(
        &self,
        tx: &Tx<'_>,
        look: &Look<'_>,
    ) -> Result<(Option<Membership>, Decision, Option<Sight>), StoreError> {
        let (host, sides) = (look.host, look.sides);
        let user = sides.roster.get(look.user);
        let mut known = ledger::by_user(tx, host.id(), look.user)?;
        let mut rival = sides.doubles.contains(look.user);
        if let Some((user, email)) = user.and_then(|user| Some((user, user.email.as_ref()?))) {
            let zuid = user.zuid.as_ref();
            for other in ledger::namesakes(tx, host.id(), look.user, zuid, email)? {
                match relation(sides, &other) {
                    Relation::Rival => rival = true,
                    Relation::Predecessor if known.is_none() => known = Some(other),
                    Relation::Predecessor => {}
                }
            }
        }
        let org = orgs::state(tx, host.id())?;
        let was_there_before =
            org.first_snapshot_at.is_none() || orgs::in_baseline(tx, host.id(), look.user)?;
        let mut asked = known.clone();
        if let (true, Some(row)) = (look.rearm, &mut asked) {
            row.parked = None;
        }
        let cliq = match user {
            Some(user) => matching(user, known.as_ref(), &sides.directory),
            None => crate::logic::plan::Matched::Nobody,
        };
        let sight = self.sight_of(tx, host.id(), user, known.as_ref())?;
        let home = sight.as_ref().map(Sight::verdict).unwrap_or_default();
        let facts = Facts {
            crm: user,
            cliq,
            membership: asked.as_ref(),
            rival,
            was_there_before,
            complete: sides.complete,
            home: &home,
            access: Access::Normal,
        };
        let mut decision = plan_one(&host.policy, &facts, look.now);
        if decision.ledger.is_none() && asked != known {
            decision.ledger = asked;
        }
        Ok((known, decision, sight))
    }

    /// Whether the invitation cap has counted this person within its window.
    pub(super) fn is_counted(
        &self,
        tx: &Tx<'_>,
        known: Option<&Membership>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(row) = known else { return Ok(false) };
        ledger::counts_as_invited(tx, row.id, now - self.inner.settings.limits.window)
    }

    fn tell_conflict(&self, tx: &Tx<'_>, look: &Look<'_>) -> Result<(), StoreError> {
        let notice = Notice {
            title: format!("Two rows claim to be one person in {}", look.host.id()),
            body: format!(
                "CRM user {} and another row share an account or an address, or Cliq shows the \
                 address with another account. Nothing is done for either until one of them is \
                 gone; then resync the organization. Further ones of today are in the log.",
                look.user
            ),
        };
        tracing::warn!(organization = %look.host.id(), crm_user = %look.user, "conflict");
        self.tell_admins(tx, look.host.id(), &notice, look.cause, look.now)
    }

    /// Queues the first letter and the bot notice of an invitation, once per generation (R9).
    pub(super) fn invite(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        row: &mut Membership,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if row.sends > 0 {
            return Ok(());
        }
        row.sends += 1;
        ledger::put(tx, row)?;
        let invited_at = row.invited_at.unwrap_or(now);
        let full_name = format!("{} {}", row.first_name, row.last_name);
        let invitation = Invitation {
            first_name: row.first_name.clone(),
            full_name: full_name.trim().to_owned(),
            email: row.email.as_str().to_owned(),
            organization: host.settings.name.clone(),
            invited_by: row.invited_by.clone(),
            join_url: row.join_url.clone().unwrap_or_else(|| host.join_url.clone()),
            invited_at: invited_at.to_rfc3339(),
            expires_at: (invited_at + self.inner.settings.timing.expire_after).to_rfc3339(),
            language: row.language.clone(),
        };
        let mut operations = Vec::new();
        if self.inner.settings.send_invitations {
            operations.push(Operation::Letter(invitation.clone()));
        }
        if self.has_a_bot_for(host, &row.email) {
            operations.push(Operation::BotNotice(invitation));
        }
        for operation in operations {
            let new = NewAction {
                organization: host.id(),
                membership: Some(row),
                operation,
                reason: "Invited: the person is told once.",
                cause,
                wish: Wish::Planned,
                not_before: now,
            };
            outbox::put(tx, &new, now)?;
        }
        Ok(())
    }

    /// Queues a notice to the administrators: by mail, and in the admin channel where one is set.
    /// The same title is not repeated within a day.
    pub(super) fn tell_admins(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        notice: &Notice,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const QUIET: std::time::Duration = std::time::Duration::from_hours(24);
        if outbox::told_since(tx, organization, &notice.title, now - QUIET)? {
            return Ok(());
        }
        let mails = self
            .inner
            .settings
            .admins
            .iter()
            .map(|admin| Operation::AdminMail(admin.clone(), notice.clone()));
        let post = self
            .host(organization)
            .filter(|host| host.settings.bot.is_some() && host.settings.admin_channel.is_some())
            .map(|_| Operation::AdminPost(notice.clone()));
        for operation in mails.chain(post) {
            let new = NewAction {
                organization,
                membership: None,
                operation,
                reason: &notice.title,
                cause,
                wish: Wish::Planned,
                not_before: now,
            };
            outbox::put(tx, &new, now)?;
        }
        Ok(())
    }

    /// Says that the invitation cap holds people back.
    pub(super) fn tell_held(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        allowance: &Allowance,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if allowance.held == 0 {
            return Ok(());
        }
        let notice = Notice {
            title: format!("Invitations of {} are held back", host.id()),
            body: format!(
                "{} people are waiting because `guard.max_invites` ({}) would be passed within \
                 the guard's window. If that is meant, raise it and resync the organization; if \
                 not, check `scope`.",
                allowance.held, self.inner.settings.limits.max_invites
            ),
        };
        self.tell_admins(tx, host.id(), &notice, Cause::default(), now)
    }
}

/// Records what changed.
fn note_change(
    tx: &Tx<'_>,
    look: &Look<'_>,
    before: Option<&Membership>,
    after: &Membership,
    verdict: &Verdict,
) -> Result<(), StoreError> {
    let facts = (before.map(audit::facts), audit::facts(after));
    let renamed =
        before.is_some_and(|b| b.crm_user_id != after.crm_user_id || b.email != after.email);
    if facts.0.as_ref() == Some(&facts.1) && !renamed {
        return Ok(());
    }
    let reason = verdict.sentence();
    let entry = Entry {
        organization: look.host.id(),
        membership: Some(after.id),
        actor: if look.rearm { "operator" } else { "bridge" },
        event: verdict.word(),
        reason: &reason,
        before: facts.0,
        after: Some(facts.1),
        cause: look.cause,
        action: None,
    };
    audit::record(tx, &entry, look.now)
}

/// Whether a step brings somebody an invitation.
pub(super) fn invites(step: Step) -> bool {
    matches!(step, Step::Invite | Step::Portal(PortalVerb::AddExternal))
}

/// Takes the invitation out of a decision: the person stays as before and is planned again later.
fn hold(known: Option<&Membership>, decision: &mut Decision) {
    decision.steps.retain(|step| !invites(*step));
    if let Some(row) = &mut decision.ledger
        && row.state == State::Invited
        && known.is_none_or(|known| known.state == State::Wanted)
    {
        row.state = State::Wanted;
        row.invited_at = None;
        row.invited_as = None;
    }
}

enum Relation {
    /// Both are active at once: a conflict.
    Rival,
    /// The other row is gone; the new CRM user takes its membership over (Z14).
    Predecessor,
}

fn relation(sides: &Sides, other: &Membership) -> Relation {
    let gone = if sides.complete {
        sides.roster.get(&other.crm_user_id).is_none_or(|row| row.standing != Standing::Active)
    } else {
        other.suspected_at.is_some() || !other.is_live()
    };
    if gone { Relation::Predecessor } else { Relation::Rival }
}
