//! What a member call came to, for everybody in it, in one transaction. Cliq gives no result per
//! person, so a refusal of several is tried again in halves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::{Call, Candidate, NO_CAUSE};
use super::places::{matter_of, problem};
use super::settle::GuestNote;
use crate::domain::channel::{Guest, GuestState, Members, Way};
use crate::domain::letter::Notice;
use crate::domain::membership::State;
use crate::domain::{Action, ActionId, Disposition, Failure, HintKind, Timestamp};
use crate::engine::{Desk, Engine, Host};
use crate::logic::channels::{
    FULL, UNANSWERED, UNANSWERED_MAX, concerns_everybody, everybodys, remedy, with_permission,
};
use crate::logic::retry::{ATTEMPTS_MAX, Attempts, disposition};
use crate::store::outbox::{self, End};
use crate::store::{StoreError, Tx, channels, guests, hints, ledger, runs, told};
use crate::zoho::{CallError, Priority};

/// How long after a lost answer an invitation is sent once more. The channel is read before that, so
/// a Cliq that is down does not use up the repeat.
const REPEAT_AFTER: Duration = Duration::from_mins(5);

/// Zoho's word for a channel that holds no more people (contract section 2.2).
const NO_ROOM: &str = "group_chat_participants_limit_exceeded";

impl Engine {
    /// Books the call.
    pub(super) async fn book_call(
        &self,
        host: &Host,
        call: Call,
        claimed: Vec<Action>,
        result: Result<(), CallError>,
    ) -> Result<(), StoreError> {
        let members = match (&result, call.way) {
            // A direct add is in force at once; only the list says so (R42, R43).
            (Ok(()), Way::Direct) if !call.removes => {
                host.cliq.members(&call.channel_id, Priority::Webhook).await.ok().flatten()
            }
            _ => None,
        };
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .write("book batch", move |tx| {
                let Some(host) = engine.host(&organization) else { return Ok(()) };
                let rows: BTreeMap<ActionId, Action> =
                    claimed.into_iter().map(|action| (action.id, action)).collect();
                let booking = Booking { engine: &engine, tx, host, call: &call, rows: &rows, now };
                match &result {
                    Ok(()) => booking.done(members.as_ref())?,
                    Err(error) => booking.failed(error)?,
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await?;
        self.wake_outbox(host.id());
        self.wake(&Desk::Hints(host.id().clone()));
        Ok(())
    }
}

struct Booking<'a> {
    engine: &'a Engine,
    tx: &'a Tx<'a>,
    host: &'a Host,
    call: &'a Call,
    rows: &'a BTreeMap<ActionId, Action>,
    now: Timestamp,
}

impl Booking<'_> {
    fn people(&self) -> impl Iterator<Item = (&Candidate, &Action)> {
        self.call.people.iter().filter_map(|one| Some((one, self.rows.get(&one.action)?)))
    }

    fn done(&self, members: Option<&Members>) -> Result<(), StoreError> {
        self.others_get_in()?;
        told::end(self.tx, self.host.id(), &self.matter())?;
        for (one, action) in self.people() {
            let ours = self.end(action, End::Done(""))?;
            let Some(before) = guests::get(self.tx, one.guest)? else { continue };
            let mut after = before.clone();
            let event = if self.call.removes {
                self.removed(&mut after)?
            } else {
                self.brought_in(&mut after, one, members)
            };
            self.write(&before, &after, event, &action.reason, action)?;
            guests::set_part(self.tx, one.guest, None)?;
            if !ours || !self.call.removes {
                self.follow_up(&after, !ours)?;
            }
        }
        Ok(())
    }

    /// Somebody got in: the channel is not closed for everybody.
    fn others_get_in(&self) -> Result<(), StoreError> {
        let (organization, channel) = (self.host.id(), self.call.channel.as_str());
        if self.call.removes {
            return Ok(());
        }
        self.engine.inner.parts.mixed(organization, channel);
        told::end(self.tx, organization, &matter_of(channel))?;
        if channels::accept_calls(self.tx, organization, channel)? {
            self.engine.note_problem(self.tx, self.host, channel, self.now)?;
        }
        Ok(())
    }

    fn removed(&self, guest: &mut Guest) -> Result<&'static str, StoreError> {
        let row = guest.membership.map(|id| ledger::get(self.tx, id)).transpose()?.flatten();
        let declined = row.is_some_and(|row| row.state == State::Declined);
        let (state, event) = match guest.state {
            GuestState::Joined => {
                guest.disown();
                (GuestState::Removed, "channel_removed")
            }
            _ if declined => (GuestState::Declined, "channel_cancelled"),
            _ => (GuestState::Removed, "channel_cancelled"),
        };
        enter(guest, state, self.now);
        guest.parked = None;
        guest.unseen_since = None;
        Ok(event)
    }

    fn brought_in(
        &self,
        guest: &mut Guest,
        one: &Candidate,
        members: Option<&Members>,
    ) -> &'static str {
        guest.invited_at = Some(self.now);
        guest.unanswered = 0;
        guest.generation = one.generation;
        guest.has_account = one.has_account || one.way == Way::Direct;
        guest.parked = None;
        if one.way == Way::Direct {
            guest.sends += 1;
            guest.cliq_id.clone_from(&one.id);
            let shown = one.id.as_ref().and_then(|id| members.and_then(|list| list.get(id)));
            let state = if shown.is_some() { GuestState::Joined } else { GuestState::Invited };
            enter(guest, state, self.now);
            return "channel_added";
        }
        guest.invited_as.clone_from(&one.email);
        let state = if one.has_account { GuestState::Invited } else { GuestState::AwaitingSignup };
        guest.state = state;
        guest.since = self.now;
        "channel_invited"
    }

    fn failed(&self, error: &CallError) -> Result<(), StoreError> {
        let failure = error.failure(self.now);
        tracing::warn!(
            organization = %self.host.id(), channel = self.call.channel,
            people = self.call.people.len(), failure = failure.kind(), %error, "a member call failed"
        );
        match error {
            CallError::Refused { code, status, .. } => {
                self.refused(&with_permission(code, *status), &failure.to_string())
            }
            CallError::Transient { .. } if self.is_counted() => self.unanswered(&failure),
            _ => {
                for (one, action) in self.people() {
                    self.uncount(one)?;
                    self.postpone(action, &failure)?;
                }
                Ok(())
            }
        }
    }

    /// Whether the call invites, so that each attempt may be a mail.
    fn is_counted(&self) -> bool {
        !self.call.removes && self.call.way == Way::Invitation
    }

    /// The call certainly had no effect: it does not count as sent.
    fn uncount(&self, one: &Candidate) -> Result<(), StoreError> {
        if !self.is_counted() {
            return Ok(());
        }
        let Some(mut guest) = guests::get(self.tx, one.guest)? else { return Ok(()) };
        guest.sends = guest.sends.saturating_sub(1);
        guest.unanswered = guest.unanswered.saturating_sub(1);
        if guest.sends == 0 {
            guest.invited_at = None;
            guest.invited_as = None;
        }
        guests::put(self.tx, &guest).map(|_| ())
    }

    /// Whether the invitations went out is not known: they count, and are repeated once (R48).
    fn unanswered(&self, failure: &Failure) -> Result<(), StoreError> {
        self.engine.inner.parts.mixed(self.host.id(), &self.call.channel);
        for (one, action) in self.people() {
            let Some(before) = guests::get(self.tx, one.guest)? else { continue };
            let text = failure.to_string();
            if before.unanswered < UNANSWERED_MAX {
                let (boot, at) = (self.engine.inner.boot, self.now + REPEAT_AFTER);
                outbox::postpone(self.tx, action, boot, at, true, &text)?;
                continue;
            }
            let mut after = before.clone();
            self.brought_in(&mut after, one, None);
            after.unanswered = before.unanswered;
            after.parked = Some(UNANSWERED.to_owned());
            self.end(action, End::Parked(UNANSWERED, &text))?;
            self.write(&before, &after, "channel_unanswered", &remedy(UNANSWERED), action)?;
            self.tell_each(UNANSWERED)?;
        }
        Ok(())
    }

    fn refused(&self, code: &str, text: &str) -> Result<(), StoreError> {
        for (one, _) in self.people() {
            self.uncount(one)?;
        }
        if concerns_everybody(code, self.is_counted()) {
            return self.refused_to_all(code, text);
        }
        let all: Vec<_> = self.people().collect();
        if let [(one, action)] = all.as_slice() {
            return self.refused_alone(
                one,
                action,
                if code == NO_ROOM { FULL } else { code },
                text,
            );
        }
        let (organization, channel) = (self.host.id(), self.call.channel.as_str());
        if !self.call.removes && !outbox::parts_wait(self.tx, organization, channel)? {
            self.engine.inner.parts.begin(organization, channel);
        }
        let (left, right) = all.split_at(all.len() / 2);
        for half in [left, right] {
            let part = half.first().map(|(one, _)| one.action.0);
            for (one, action) in half {
                guests::set_part(self.tx, one.guest, part)?;
                outbox::postpone(self.tx, action, self.engine.inner.boot, self.now, false, text)?;
            }
        }
        Ok(())
    }

    /// One person is refused. It is about the channel only if it was the last part of a call of which
    /// nobody got in.
    fn refused_alone(
        &self,
        one: &Candidate,
        action: &Action,
        code: &str,
        text: &str,
    ) -> Result<(), StoreError> {
        self.park(one, action, code, text)?;
        let (organization, channel) = (self.host.id(), self.call.channel.as_str());
        if self.call.removes || !self.call.parted {
            return Ok(());
        }
        let parts = &self.engine.inner.parts;
        parts.alone(organization, channel, code, one.guest);
        if outbox::parts_wait(self.tx, organization, channel)? {
            return Ok(());
        }
        let Some(everybody) = parts.end(organization, channel).filter(|_| code != FULL) else {
            return Ok(());
        };
        self.close(code)?;
        for guest in everybody {
            if let Some(guest) = guests::get(self.tx, guest)? {
                let parked = Some(everybodys(code));
                guests::put(self.tx, &Guest { parked, ..guest })?;
            }
        }
        Ok(())
    }

    /// Notes that Cliq refuses everybody: whoever waits for the channel is not tried.
    fn close(&self, code: &str) -> Result<(), StoreError> {
        let (organization, channel) = (self.host.id(), self.call.channel.as_str());
        channels::refuse_calls(self.tx, organization, channel, &everybodys(code), self.now)?;
        self.engine.note_problem(self.tx, self.host, channel, self.now)
    }

    /// Everybody is refused alike.
    fn refused_to_all(&self, code: &str, text: &str) -> Result<(), StoreError> {
        self.close(code)?;
        let code = everybodys(code);
        for (one, action) in self.people() {
            self.park(one, action, &code, text)?;
        }
        Ok(())
    }

    /// One person is refused: parked with the cause, and the others go on. A cancellation that Cliq
    /// refuses leaves a tombstone: whoever joins all the same is taken out then (G17).
    fn park(
        &self,
        one: &Candidate,
        action: &Action,
        code: &str,
        text: &str,
    ) -> Result<(), StoreError> {
        guests::set_part(self.tx, one.guest, None)?;
        let Some(before) = guests::get(self.tx, one.guest)? else { return Ok(()) };
        let mut after = before.clone();
        if self.call.removes && before.state != GuestState::Joined {
            self.end(action, End::Done("Cliq does not cancel it; taken out when they join"))?;
            self.removed(&mut after)?;
            return self.write(&before, &after, "channel_tombstone", text, action);
        }
        after.parked = Some(code.to_owned());
        self.end(action, End::Parked(code, text))?;
        let reason = format!("Cliq refused: {}", remedy(code));
        self.write(&before, &after, "channel_parked", &reason, action)
    }

    fn postpone(&self, action: &Action, failure: &Failure) -> Result<(), StoreError> {
        let most = Attempts::AtMost(ATTEMPTS_MAX);
        let (boot, text) = (self.engine.inner.boot, failure.to_string());
        match disposition(action.failures, failure, self.now, action.id.0, most) {
            Disposition::RetryAt { at, counts } => {
                outbox::postpone(self.tx, action, boot, at, counts, &text)?;
                if matches!(failure, Failure::Unauthorized { .. }) {
                    self.tell_shut(&text)?;
                }
                Ok(())
            }
            Disposition::Park { code } => self.end(action, End::Parked(&code, &text)).map(|_| ()),
            Disposition::GiveUp => {
                self.end(action, End::Dead(failure.kind(), &text))?;
                self.tell_each(failure.kind())
            }
        }
    }

    /// Tells what befalls one person of the channel after the other.
    fn tell_each(&self, code: &str) -> Result<(), StoreError> {
        let (organization, channel) = (self.host.id(), &self.call.channel);
        let notice = problem(organization, channel, code);
        let more = Notice { title: format!("{}: more people", notice.title), ..notice.clone() };
        let matter = format!("{code} in {channel}");
        self.engine.tell_each(self.tx, organization, &matter, (&notice, &more), self.now)
    }

    fn tell_shut(&self, text: &str) -> Result<(), StoreError> {
        let organization = self.host.id();
        let notice = Notice {
            title: format!(
                "Members of channel {} of {organization} may not be changed",
                self.call.channel
            ),
            body: format!(
                "{text}\nThe OAuth user needs the scope ZohoCliq.Channels.UPDATE and has to manage \
                 the channel. What waits is tried again every few minutes."
            ),
        };
        let matter = self.matter();
        self.engine.tell_once(self.tx, organization, (&matter, ""), &notice, self.now)
    }

    /// What administrators are told once of: the channel's members may not be changed.
    fn matter(&self) -> String {
        format!("members of {}", self.call.channel)
    }

    /// What became of the person meanwhile may ask for the opposite (G17).
    fn follow_up(&self, guest: &Guest, superseded: bool) -> Result<(), StoreError> {
        let row = guest.membership.map(|id| ledger::get(self.tx, id)).transpose()?.flatten();
        if let Some(row) = row.filter(|row| !row.is_live() || row.suspected_at.is_some()) {
            self.engine.settle_remembered(self.tx, self.host, &row, NO_CAUSE, self.now)?;
        }
        if superseded {
            let (organization, user) = (self.host.id(), &guest.crm_user_id);
            hints::put(self.tx, organization, user, HintKind::Present, None, self.now)?;
        }
        Ok(())
    }

    fn end(&self, action: &Action, end: End<'_>) -> Result<bool, StoreError> {
        outbox::settle(self.tx, action.id, self.engine.inner.boot, end, self.now)
    }

    fn write(
        &self,
        before: &Guest,
        after: &Guest,
        event: &str,
        reason: &str,
        action: &Action,
    ) -> Result<(), StoreError> {
        guests::put(self.tx, after)?;
        let cause = outbox::cause(self.tx, action.id)?;
        let note =
            GuestNote { before: Some(before), after, event, reason, by_operator: false, cause };
        note.record(self.tx, self.now)
    }
}

fn enter(guest: &mut Guest, state: GuestState, now: Timestamp) {
    if guest.state != state {
        guest.state = state;
        guest.since = now;
    }
}
