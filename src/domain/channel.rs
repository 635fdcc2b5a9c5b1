//! Mapped channels, and the people who are in them or on the way (the article on external channels).

use std::collections::BTreeMap;

use super::email::Email;
use super::ids::{CliqId, CrmUserId, GuestId, MembershipId, OrgId};
use super::time::Timestamp;
use super::words::words;

/// A channel's level, as Cliq shows it; it decides how people get in (C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// People of other organizations are invited and join themselves (R41, R42).
    External,
    /// Members of the organization are added directly.
    Organization,
    /// As `Organization`.
    Private,
    /// Never takes an external user (R27, R28).
    Team,
    /// A word that the contract does not have: nothing is done.
    Unknown,
}

words!(Level {
    External = "external",
    Organization = "organization",
    Private = "private",
    Team = "team",
    Unknown = "unknown",
});

/// Where a person stands with one channel (domain rules section 2, "Channel guest").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuestState {
    /// Should be in; no call was made yet.
    Wanted,
    /// Invited as somebody who has a Zoho account (R48 to R52).
    Invited,
    /// Invited as somebody who has none yet (R53).
    AwaitingSignup,
    /// Has an account now and has not joined: signing up is not joining (R54).
    SignedUp,
    /// Observed among the members. Never set from our own write (R42).
    Joined,
    /// Said no.
    Declined,
    /// The invitation ran out by our clock.
    Expired,
    /// A joined guest who went by themselves; never added again.
    Left,
    /// Taken out, or the invitation was cancelled.
    Removed,
}

words!(GuestState {
    Wanted = "wanted",
    Invited = "invited",
    AwaitingSignup = "awaiting_signup",
    SignedUp = "signed_up",
    Joined = "joined",
    Declined = "declined",
    Expired = "expired",
    Left = "left",
    Removed = "removed",
});

/// One person and one mapped channel. The key is (organization, channel, CRM user).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Row id; 0 until stored.
    pub id: GuestId,
    /// The organization that owns the channel.
    pub organization: OrgId,
    /// The channel's unique name, as configured.
    pub channel: String,
    /// The CRM user.
    pub crm_user_id: CrmUserId,
    /// The membership of the person; `None` for one of the organization's own people (R43).
    pub membership: Option<MembershipId>,
    /// Where it stands.
    pub state: GuestState,
    /// Since when.
    pub since: Timestamp,
    /// The address that was invited (R44); the current one is the CRM user's.
    pub invited_as: Option<Email>,
    /// When our last call for this person was accepted, or may have been: its answer was lost. `None`
    /// again when somebody who had joined is out.
    pub invited_at: Option<Timestamp>,
    /// Invitations sent to the person for this channel, ever (R48); one whose answer was lost
    /// counts.
    pub sends: u32,
    /// Calls of the current invitation whose answer was lost. The second one is the last.
    pub unanswered: u32,
    /// Whether the person was known to have a Zoho account at the last look (R47).
    pub has_account: bool,
    /// The membership's generation that the invitation belongs to.
    pub generation: u32,
    /// The id under which the channel showed the person.
    pub cliq_id: Option<CliqId>,
    /// Since when complete member lists have been without a joined guest.
    pub unseen_since: Option<Timestamp>,
    /// Why Cliq or a limit refuses, as a code; waits for an operator or for the cause to go.
    pub parked: Option<String>,
}

impl Guest {
    /// A person who should be in and was never invited.
    pub fn wanted(
        organization: &OrgId,
        channel: &str,
        crm_user_id: &CrmUserId,
        membership: Option<MembershipId>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: GuestId(0),
            organization: organization.clone(),
            channel: channel.to_owned(),
            crm_user_id: crm_user_id.clone(),
            membership,
            state: GuestState::Wanted,
            since: now,
            invited_as: None,
            invited_at: None,
            sends: 0,
            unanswered: 0,
            has_account: false,
            generation: 1,
            cliq_id: None,
            unseen_since: None,
            parked: None,
        }
    }

    /// Whether our call brought the person in or invited them: only then the bridge may ever take
    /// them out (design section 11, "Ownership").
    pub fn is_ours(&self) -> bool {
        self.invited_at.is_some()
    }

    /// Forgets that we brought the person in: whoever is seen in the channel after they were out of it
    /// came by another hand (R57).
    pub fn disown(&mut self) {
        self.invited_at = None;
    }

    /// Whether an invitation is out that the person may still follow.
    pub fn is_open(&self) -> bool {
        match self.state {
            GuestState::Invited | GuestState::AwaitingSignup | GuestState::SignedUp => true,
            // Asked again by a new generation, or its first answer was lost; or ran out by our clock,
            // which is not Zoho's.
            GuestState::Wanted | GuestState::Expired => self.is_ours(),
            GuestState::Joined | GuestState::Declined | GuestState::Left | GuestState::Removed => {
                false
            }
        }
    }
}

/// How a person gets into a channel (C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By an invitation to the address, which the person follows or not (R41, R42, R44).
    Invitation,
    /// At once, by the Cliq id (R43).
    Direct,
}

/// A member of a channel. Invited people are presumably absent until they join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Cliq's id of the person.
    pub id: CliqId,
    /// Address, when it is one.
    pub email: Option<Email>,
    /// Role in the channel; an open list of words.
    pub role: Option<String>,
}

/// Every member of one channel, complete by construction: made only from a finished listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    by_id: BTreeMap<CliqId, Member>,
    by_email: BTreeMap<Email, CliqId>,
}

impl Members {
    /// Takes all rows of a finished listing.
    pub fn complete(rows: Vec<Member>) -> Self {
        let mut members = Self::default();
        for row in rows {
            if let Some(email) = &row.email {
                members.by_email.insert(email.clone(), row.id.clone());
            }
            members.by_id.insert(row.id.clone(), row);
        }
        members
    }

    /// The member with this id.
    pub fn get(&self, id: &CliqId) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// The member with this address.
    pub fn by_email(&self, email: &Email) -> Option<&Member> {
        self.by_email.get(email).and_then(|id| self.by_id.get(id))
    }

    /// All members, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.by_id.len()).unwrap_or(u32::MAX)
    }
}

/// What was last read of a mapped channel itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelFacts {
    /// Cliq's id of the channel.
    pub id: String,
    /// Its level.
    pub level: Level,
    /// Display name, with its `#`.
    pub name: String,
    /// Whether it is in use (`created`), not archived or pending.
    pub alive: bool,
    /// Roles for which 'Add participants' is on (R59), in the contract's words.
    pub add_participants: Vec<String>,
    /// Whether our own user may bring people in (R59); `None` when Cliq does not say.
    pub may_add: Option<bool>,
    /// How many people are in it.
    pub participants: Option<u32>,
    /// External channels of the whole organization, as of its last listing; `None` before one.
    pub external_channels: Option<u32>,
    /// When this was read.
    pub read_at: Timestamp,
}
