//! The planner of channel guests: what one person's facts, one mapped channel and the ledger ask for
//! (R27, R28, R36, R41 to R59, C1, C2).
//!
//! Hook, run and delivery all come here. Deliberately absent: levels from the configuration (Cliq
//! shows them), reminders (the invitation letter's part), and any step for a person whom the bridge
//! did not bring in.

mod matching;
mod place;
mod remedy;
mod verdict;

pub use matching::{Stranger, find, strangers};
pub use place::{Place, Terms, hindrance, room};
pub use remedy::{
    EXTERNAL_INVITER, FULL, MANUAL_INVITATION, NOT_EXTERNAL, NOT_IN_CLIQ, UNANSWERED, UNREADABLE,
    concerns_everybody, everybodys, remedy, with_permission,
};
pub use verdict::GuestVerdict;

use crate::domain::channel::{Guest, GuestState, Level, Member, Way};
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::policy::Timing;
use crate::domain::{Access, CliqId, CrmUser, CrmUserId, OrgId, Standing, Timestamp};

/// Calls of one invitation that may stay unanswered: asked twice is asked enough (R48).
pub const UNANSWERED_MAX: u32 = 2;

/// One change that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelStep {
    /// Into the channel, this way.
    Add(Way),
    /// Out of it, or the invitation cancelled. Counted by the removal guard.
    Remove,
}

/// What is to become of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestDecision {
    /// The row as it should be now; `None` when nothing of it changes.
    pub guest: Option<Guest>,
    /// The change outside that follows.
    pub step: Option<ChannelStep>,
    /// Why, in one word and a sentence.
    pub verdict: GuestVerdict,
}

/// Whether the person is meant by the channel's `when`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// By a fresh CRM row.
    Holds,
    /// It held when the row was written, and nothing newer was read: enough to go on, not to begin.
    Remembered,
    /// Not any more, by positive evidence; says which.
    Lapsed(&'static str),
    /// Nothing was read that would tell.
    Unknown,
    /// Nobody writes anything for the person now, in either direction: it is not certain who they
    /// are.
    Held,
}

/// Who the person is to the organization.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// An external user, or on the way to be one.
    Member(&'a Membership),
    /// One of the organization's own people, by the id that Cliq shows (R43).
    Own(&'a CliqId),
    /// Neither.
    Nobody,
}

/// What a complete list of the channel's members shows of the person.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// The list was not read.
    NotRead,
    /// The person is in.
    Shown(&'a Member),
    /// The list is without them.
    NotShown,
}

/// The facts about one person and one channel.
#[derive(Clone, Copy, Debug)]
pub struct GuestFacts<'a> {
    /// The organization that owns the channel.
    pub organization: &'a OrgId,
    /// The channel's unique name.
    pub channel: &'a str,
    /// The CRM user.
    pub user: &'a CrmUserId,
    /// Whether the channel is meant for the person.
    pub mapping: Mapping,
    /// Who the person is.
    pub who: Who<'a>,
    /// The CRM row of a fresh read.
    pub crm: Option<&'a CrmUser>,
    /// The stored row.
    pub guest: Option<&'a Guest>,
    /// What is known of the channel.
    pub place: Place<'a>,
    /// What its member list shows.
    pub member: Observed<'a>,
    /// Nobody knows for sure who the person is or where they are at home: no call (R3, G6, G9).
    pub disputed: bool,
    /// What a downgrade of the plan leaves of what is planned (R13 to R16).
    pub access: Access,
    /// An operator asked for this very person: a refused one is tried again.
    pub rearm: bool,
    /// Now.
    pub now: Timestamp,
}

impl<'a> GuestFacts<'a> {
    fn membership(&self) -> Option<&'a Membership> {
        match self.who {
            Who::Member(membership) => Some(membership),
            Who::Own(_) | Who::Nobody => None,
        }
    }

    /// Whether the person is known to have a Zoho account (R47).
    fn has_account(&self) -> bool {
        self.crm.is_some_and(|user| user.zuid.is_some())
            || self.membership().is_some_and(|row| row.zuid.is_some())
            || matches!(self.who, Who::Own(_))
            || matches!(self.member, Observed::Shown(_))
    }

    /// Whether the person is on the way out of the organization. Whoever is only deactivated is not:
    /// the restriction blocks them, and may end (G16).
    fn is_leaving(&self) -> bool {
        self.membership().is_some_and(|row| match row.state {
            // Released: one of the organization's own now, and none of our business (G11).
            State::Removed if row.origin == Origin::Present && !row.external => false,
            State::RemovalStaged | State::Removed => true,
            _ => false,
        })
    }

    fn generation(&self) -> u32 {
        self.membership().map_or(1, |row| row.generation)
    }
}

/// Decides for one person and one channel.
pub fn plan_guest(facts: &GuestFacts<'_>, timing: &Timing) -> GuestDecision {
    let known = facts.guest.cloned();
    let Some(mut row) = known.clone().or_else(|| newcomer(facts)) else {
        return GuestDecision { guest: None, step: None, verdict: GuestVerdict::NotMeant };
    };
    if let Some(membership) = facts.membership() {
        row.membership = Some(membership.id);
    }
    row.parked.take_if(|code| facts.rearm || code == remedy::DOWNGRADED);
    let seen = observe(&mut row, facts);
    let aged = age(&mut row, facts, timing);
    let (mut step, mut verdict) = wish(&mut row, facts, timing);
    if step.is_some_and(|step| is_held_by(facts.access, step)) {
        row.parked = Some(remedy::DOWNGRADED.to_owned());
        (step, verdict) = (None, GuestVerdict::Downgraded);
    }
    let quiet = matches!(
        verdict,
        GuestVerdict::Settled | GuestVerdict::NotMeant | GuestVerdict::Downgraded
    );
    let verdict = if quiet { seen.or(aged).unwrap_or(verdict) } else { verdict };
    GuestDecision { guest: (known.as_ref() != Some(&row)).then_some(row), step, verdict }
}

/// What the table of plans holds back: on a free Cliq plan every write, on a paid one removals only,
/// as people are still added there and become free users by Zoho's hand (domain rules section 2).
fn is_held_by(access: Access, step: ChannelStep) -> bool {
    match access {
        Access::Normal => false,
        Access::FreeByZoho => step == ChannelStep::Remove,
        Access::Retained | Access::Restricted => true,
    }
}

/// A row for somebody who has none: only for people who are meant, and not on the way out.
fn newcomer(facts: &GuestFacts<'_>) -> Option<Guest> {
    if facts.mapping != Mapping::Holds || facts.is_leaving() {
        return None;
    }
    let membership = match facts.who {
        Who::Member(row) if row.is_live() => Some(row.id),
        Who::Own(_) => None,
        Who::Member(_) | Who::Nobody => return None,
    };
    let mut row =
        Guest::wanted(facts.organization, facts.channel, facts.user, membership, facts.now);
    row.generation = facts.generation();
    row.has_account = facts.has_account();
    if let Who::Own(id) = facts.who {
        row.cliq_id = Some(id.clone());
    }
    Some(row)
}

fn enter(row: &mut Guest, state: GuestState, now: Timestamp) {
    if row.state != state {
        row.state = state;
        row.since = now;
    }
}

/// What the member list says: the only way in or out of `Joined` but our own removal (R42).
fn observe(row: &mut Guest, facts: &GuestFacts<'_>) -> Option<GuestVerdict> {
    match facts.member {
        Observed::Shown(member) => {
            row.cliq_id = Some(member.id.clone());
            row.unseen_since = None;
            row.has_account = true;
            if row.state == GuestState::Joined {
                // Whatever stood in the way of a removal is weighed anew below.
                row.parked.take_if(|code| remedy::is_a_limit(code));
                return None;
            }
            row.parked = None;
            enter(row, GuestState::Joined, facts.now);
            Some(GuestVerdict::SeenJoined)
        }
        Observed::NotShown if row.state == GuestState::Joined => {
            if facts.place.level() == Some(Level::Team) {
                // Cliq put them out: a team channel holds no external user (R27, R28).
                row.unseen_since = None;
                enter(row, GuestState::Removed, facts.now);
                return Some(GuestVerdict::PutOut);
            }
            match row.unseen_since {
                None => {
                    row.unseen_since = Some(facts.now);
                    Some(GuestVerdict::Vanished)
                }
                Some(since) if facts.now > since => {
                    row.unseen_since = None;
                    row.disown();
                    enter(row, GuestState::Left, facts.now);
                    Some(GuestVerdict::SeenLeft)
                }
                Some(_) => None,
            }
        }
        Observed::NotRead | Observed::NotShown => None,
    }
}

/// What time and a new account do to an open invitation (R47, R53, R54).
fn age(row: &mut Guest, facts: &GuestFacts<'_>, timing: &Timing) -> Option<GuestVerdict> {
    let has_account = facts.has_account();
    if row.state == GuestState::AwaitingSignup && has_account {
        row.has_account = true;
        enter(row, GuestState::SignedUp, facts.now);
        return Some(GuestVerdict::SignedUp);
    }
    let life = match row.state {
        GuestState::Invited | GuestState::SignedUp => timing.expire_after,
        GuestState::AwaitingSignup => timing.signup_expire_after,
        // Kept as it was when the invitation ran out: whoever signs up after that is asked once more.
        GuestState::Expired => return None,
        _ => {
            row.has_account |= has_account;
            return None;
        }
    };
    if facts.now.since(row.since) < life {
        return None;
    }
    enter(row, GuestState::Expired, facts.now);
    Some(GuestVerdict::Expired)
}

/// What is to be done outside.
fn wish(
    row: &mut Guest,
    facts: &GuestFacts<'_>,
    timing: &Timing,
) -> (Option<ChannelStep>, GuestVerdict) {
    if facts.disputed {
        return (None, GuestVerdict::InConflict);
    }
    if facts.mapping == Mapping::Held {
        return (None, GuestVerdict::Settled);
    }
    // The organization's own people are added once and never taken out again (R43).
    let external = row.membership.is_some() && !matches!(facts.who, Who::Own(_));
    if external && facts.is_leaving() {
        return part(row, facts, "the person is leaving the organization");
    }
    // Only what is open: who is in the channel accepted that, whatever they said to the rest.
    let declined = facts.membership().is_some_and(|row| row.state == State::Declined);
    if declined && (row.is_open() || row.state == GuestState::Wanted) {
        return part(row, facts, "the person declined");
    }
    if let Mapping::Lapsed(why) = facts.mapping {
        if external {
            return part(row, facts, why);
        }
        if row.state == GuestState::Wanted {
            enter(row, GuestState::Removed, facts.now);
            return (None, GuestVerdict::NotWanted(why));
        }
        return (None, GuestVerdict::NotMeant);
    }
    if !is_due(row, facts, timing) {
        let renamed = row.is_open()
            && matches!((&row.invited_as, facts.crm.and_then(|user| user.email.as_ref())),
                (Some(before), Some(now)) if before != now);
        return (None, if renamed { GuestVerdict::Renamed } else { GuestVerdict::Settled });
    }
    bring_in(row, facts)
}

/// Whether a call is still owed, entering `Wanted` where a new one is allowed: one invitation per
/// person, channel and generation; one more for who signed up too late, when an operator asks for
/// the person, and when the channel is meant for them again after a while (R48, R55).
fn is_due(row: &mut Guest, facts: &GuestFacts<'_>, timing: &Timing) -> bool {
    let anew = facts.generation() > row.generation || facts.rearm;
    // A profile edited to and fro must not mail each time.
    let rested = facts.now.since(row.since) >= timing.readd_cooldown
        && facts.place.level() != Some(Level::Team);
    let again = match row.state {
        GuestState::Wanted => return true,
        GuestState::Removed if row.sends == 0 && !row.is_ours() => true,
        // No mail goes out with a direct add, so it may follow the mapping to and fro.
        GuestState::Removed if facts.place.is_direct() => true,
        GuestState::Removed => anew || rested,
        GuestState::Expired | GuestState::Declined => anew,
        GuestState::Invited | GuestState::AwaitingSignup | GuestState::SignedUp => {
            anew && row.unanswered >= UNANSWERED_MAX
        }
        GuestState::Joined | GuestState::Left => false,
    };
    let holds = matches!(facts.mapping, Mapping::Holds);
    if again && holds && facts.membership().is_none_or(Membership::is_live) {
        row.generation = facts.generation();
        row.unanswered = 0;
        row.parked = None;
        enter(row, GuestState::Wanted, facts.now);
        return true;
    }
    row.state == GuestState::Expired && !row.has_account && facts.has_account() && holds
}

/// Asks for the call, or says what it waits for.
fn bring_in(row: &mut Guest, facts: &GuestFacts<'_>) -> (Option<ChannelStep>, GuestVerdict) {
    if !matches!(facts.mapping, Mapping::Holds | Mapping::Remembered) {
        return (None, GuestVerdict::NotMeant);
    }
    if facts.crm.is_some_and(|user| user.standing != Standing::Active) {
        return (None, GuestVerdict::WaitsForPerson);
    }
    let direct_level = facts.place.is_direct();
    let way = match facts.who {
        Who::Nobody => return (None, GuestVerdict::WaitsForPerson),
        Who::Own(id) => {
            row.cliq_id = Some(id.clone());
            Way::Direct
        }
        Who::Member(member) => {
            let again = row.state == GuestState::Expired;
            if let Some(verdict) = waits(member, direct_level, again) {
                return (None, verdict);
            }
            if direct_level {
                row.cliq_id.clone_from(&member.cliq_id);
                Way::Direct
            } else {
                Way::Invitation
            }
        }
    };
    if let Some(code) = row.parked.clone().filter(|code| !remedy::is_a_limit(code)) {
        return (None, GuestVerdict::Parked(code));
    }
    row.parked = facts.place.hindrance.map(str::to_owned);
    if row.parked.is_none() && facts.place.is_full() {
        row.parked = Some(remedy::FULL.to_owned());
    }
    match row.parked.clone() {
        Some(code) => (None, GuestVerdict::Parked(code)),
        None if way == Way::Direct => (Some(ChannelStep::Add(way)), GuestVerdict::Add),
        None if row.state == GuestState::Expired => {
            (Some(ChannelStep::Add(way)), GuestVerdict::InviteAgain)
        }
        None => (Some(ChannelStep::Add(way)), GuestVerdict::Invite),
    }
}

/// What an external person's call still waits for (C2); `again` is the second chance of who signed up
/// late (R55).
fn waits(member: &Membership, direct_level: bool, again: bool) -> Option<GuestVerdict> {
    // Somebody whose account is in another data centre can meet the organization only in an external
    // channel (Z18), so the portal's refusal does not hold that up.
    let elsewhere = member.parked.as_deref() == Some("other_data_centre");
    match member.state {
        _ if member.suspected_at.is_some() => Some(GuestVerdict::WaitsForPerson),
        State::Joined if direct_level && member.cliq_id.is_none() => {
            Some(GuestVerdict::WaitsForJoin)
        }
        State::Invited | State::Wanted if direct_level => Some(GuestVerdict::WaitsForJoin),
        State::Joined | State::Invited => None,
        // The membership's invitation ran out while the person had no account, as this one did.
        State::Expired if again => None,
        State::Wanted if elsewhere => None,
        State::Wanted => Some(GuestVerdict::WaitsForPortal),
        _ => Some(GuestVerdict::WaitsForPerson),
    }
}

/// Takes somebody out whom the bridge brought in, or cancels the invitation; the state follows when
/// Cliq has done it.
fn part(
    row: &mut Guest,
    facts: &GuestFacts<'_>,
    why: &'static str,
) -> (Option<ChannelStep>, GuestVerdict) {
    let is_in = row.state == GuestState::Joined;
    if !row.is_ours() {
        if row.state == GuestState::Wanted {
            enter(row, GuestState::Removed, facts.now);
            return (None, GuestVerdict::NotWanted(why));
        }
        let verdict = if is_in { GuestVerdict::NotOurs } else { GuestVerdict::Settled };
        return (None, verdict);
    }
    if !is_in && !row.is_open() {
        return (None, GuestVerdict::Settled);
    }
    let refused =
        |code: &String| code == NOT_EXTERNAL || (is_in && !remedy::is_a_limit(code.as_str()));
    if let Some(code) = row.parked.clone().filter(refused) {
        return (None, GuestVerdict::Parked(code));
    }
    if let Some(code) = facts.place.hindrance.filter(|code| remedy::is_gone(code)) {
        row.parked = Some(code.to_owned());
        return (None, GuestVerdict::Parked(code.to_owned()));
    }
    let verdict = if is_in { GuestVerdict::Remove(why) } else { GuestVerdict::Cancel(why) };
    (Some(ChannelStep::Remove), verdict)
}

#[cfg(test)]
mod tests;
