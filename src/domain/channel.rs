//! Mapped channels, and the people who are in them or on the way (the article on external channels).

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
    /// When our call for this person was accepted.
    pub invited_at: Option<Timestamp>,
    /// Invitations sent to the person for this channel, ever (R48).
    pub sends: u32,
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
    /// Whether our call brought the person in or invited them: only then the bridge may ever take
    /// them out (design section 11, "Ownership").
    pub fn is_ours(&self) -> bool {
        self.invited_at.is_some()
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
    /// When this was read.
    pub read_at: Timestamp,
}
