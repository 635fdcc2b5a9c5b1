//! Intended changes outside, one outbox row each.

use std::fmt;

use super::email::Email;
use super::ids::{ActionId, GuestId, MembershipId, OrgId};
use super::letter::{Invitation, Kind, Notice};
use super::time::Timestamp;
use super::words::words;

/// What the portal function can be asked (design section 8, "Portal function").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalVerb {
    /// Add the person to the organization's Cliq as an external user (R8).
    AddExternal,
    /// Take the person out again.
    RemoveExternal,
    /// Block the person's access, reversibly (R15).
    Restrict,
    /// Undo a restriction that the bridge made.
    Restore,
    /// Give a paid licence (R18).
    AssignLicence,
    /// Take it back (R19).
    RevokeLicence,
}

impl PortalVerb {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddExternal => "add_external",
            Self::RemoveExternal => "remove_external",
            Self::Restrict => "restrict",
            Self::Restore => "restore",
            Self::AssignLicence => "assign_licence",
            Self::RevokeLicence => "revoke_licence",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::AddExternal,
            Self::RemoveExternal,
            Self::Restrict,
            Self::Restore,
            Self::AssignLicence,
            Self::RevokeLicence,
        ]
        .into_iter()
        .find(|verb| verb.as_str() == word)
    }
}

/// What one outbox row does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A call of the portal function.
    Portal(PortalVerb),
    /// An invitation letter.
    Letter(Invitation),
    /// The same invitation as a bot notice.
    BotNotice(Invitation),
    /// A notice to one administrator, by mail.
    AdminMail(Email, Notice),
    /// A notice to the administrators, in the organization's admin channel.
    AdminPost(Notice),
    /// Into a channel: an invitation or a direct add, whichever its level asks for (R41, R43).
    ChannelAdd(GuestId),
    /// Out of a channel, or an invitation to it cancelled.
    ChannelRemove(GuestId),
}

impl Operation {
    /// The word stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Portal(verb) => verb.as_str(),
            Self::Letter(invitation) if invitation.kind != Kind::First => "reminder",
            Self::Letter(_) => "letter",
            Self::BotNotice(_) => "bot_notice",
            Self::AdminMail(..) => "admin_mail",
            Self::AdminPost(_) => "admin_post",
            Self::ChannelAdd(_) => "channel_add",
            Self::ChannelRemove(_) => "channel_remove",
        }
    }

    /// The lane the operation waits in.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Portal(PortalVerb::AssignLicence | PortalVerb::RevokeLicence) => Lane::Licence,
            Self::Portal(_) => Lane::Access,
            Self::Letter(_) | Self::AdminMail(..) => Lane::Letter,
            Self::BotNotice(_) | Self::AdminPost(_) => Lane::Notice,
            Self::ChannelAdd(_) | Self::ChannelRemove(_) => Lane::Channel,
        }
    }
}

/// Rows of one membership (of one guest, for channels) and lane go in order; lanes do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Adds, removals, restrictions: the portal.
    Access,
    /// Licences: the portal too, but a shortage must not block access.
    Licence,
    /// E-mail.
    Letter,
    /// Bot messages.
    Notice,
    /// One person in one channel.
    Channel,
}

impl Lane {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Licence => "licence",
            Self::Letter => "letter",
            Self::Notice => "notice",
            Self::Channel => "channel",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far an outbox row has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// For its turn, its time, or a retry.
    Waiting,
    /// Carried out, or found to be so already.
    Done,
    /// Not wanted any more when its turn came.
    Superseded,
    /// Refused for good: waits for an operator.
    Parked,
    /// Given up after too many failures.
    Dead,
}

words!(ActionState {
    Waiting = "waiting",
    Done = "done",
    Superseded = "superseded",
    Parked = "parked",
    Dead = "dead",
});

/// A claimed outbox row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Row id.
    pub id: ActionId,
    /// The organization it acts on, or speaks for.
    pub organization: OrgId,
    /// The membership it is about; absent for administrators' notices.
    pub membership: Option<MembershipId>,
    /// What to do.
    pub operation: Operation,
    /// Why, in a sentence.
    pub reason: String,
    /// Equal over retries of this row, new for every row.
    pub idempotency_key: String,
    /// It takes access from somebody, for which the guard was asked.
    pub guarded: bool,
    /// An operator asked for it by name: no plan takes it back, and what it does is the
    /// administrators' choice.
    pub by_operator: bool,
    /// Failures so far.
    pub failures: u32,
    /// When the row was queued.
    pub created_at: Timestamp,
}
