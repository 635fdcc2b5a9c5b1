//! Why the planner decided as it did, in a word for machines and a sentence for people.

use std::fmt;

use crate::domain::{Home, State};
use crate::logic::home;

/// Why somebody is a leaver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaver {
    /// CRM does not have the user any more.
    Gone,
    /// The scope does not mean the user any more, for this reason (I10, I21).
    Unscoped(&'static str),
}

impl fmt::Display for Leaver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("No longer in CRM"),
            Self::Unscoped(why) => write!(f, "No longer meant ({why})"),
        }
    }
}

/// The reason of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The portal is asked to add the person.
    Add,
    /// The portal is asked to lift a restriction that the bridge made.
    Restore,
    /// Downgraded, and the standing choice is to restrict: the portal is asked to.
    Downgraded,
    /// The same in `observe` mode, where only an administrator can.
    DowngradedByHand,
    /// Restricted by the bridge, and so as long as the downgrade lasts.
    StaysRestricted,
    /// To be added, or taken away, when the downgrade is over.
    HeldByDowngrade,
    /// Everything is as it should be.
    Settled,
    /// Cliq shows the invitation.
    SeenPending,
    /// Cliq shows the person active.
    SeenJoined,
    /// Cliq shows the person blocked, by somebody else's hand.
    SeenRestricted,
    /// Cliq shows the person, but not whether the account works.
    UnknownPresence,
    /// One of the organization's own people: untouchable.
    Internal,
    /// Cliq does not tell whose person this is: untouchable.
    UnknownClass,
    /// Not meant by the configuration.
    OutOfScope(&'static str),
    /// The CRM Plus invitation is not confirmed yet.
    Unconfirmed,
    /// The CRM row has no usable address.
    NoAddress,
    /// A status word that the contract does not have.
    UnknownStatus(String),
    /// The CRM row is not active.
    NotActive(String),
    /// CRM has no such row.
    Absent,
    /// One person twice, or one address with two accounts.
    Conflict,
    /// `observe`: the person is to be added in CRM Plus.
    WaitsForPortal,
    /// The portal refused; an operator has to act.
    Parked(String),
    /// Removed too recently to be invited again.
    Cooldown,
    /// Taken out and wanted again too often within a while.
    Flapping,
    /// The ledger remembers a state that Cliq does not show now.
    NotShown(State),
    /// The address changed after the invitation.
    Renamed,
    /// Who was seen is in no part of two complete listings.
    Vanished(State),
    /// A leaver's access is restricted.
    Restrict(Leaver),
    /// A deactivated user's access is restricted.
    Deactivated,
    /// A leaver's open invitation is cancelled.
    Cancel(Leaver),
    /// A leaver is taken out after the time between.
    Remove(Leaver),
    /// Joined after the invitation was withdrawn (G17).
    LateJoin,
    /// A leaver waits, restricted, to be taken out.
    Staged(Leaver),
    /// A leaver whom Cliq does not show.
    Gone(Leaver),
    /// `observe`: a leaver is to be removed in CRM Plus.
    RemoveByHand(Leaver),
    /// `observe`: a deactivated user is to be blocked in CRM Plus.
    RestrictByHand,
    /// A leaver who was there before the bridge.
    NotOurs,
    /// Another CRM user is this person now (Z14).
    Succeeded,
    /// What was read is older than what is known.
    Overtaken,
    /// An external member has become internal (G11).
    Released,
    /// Nobody knows for sure who the person is or where they are at home (R3, G6, G9).
    Home(Home),
}

impl Verdict {
    /// A stable word for the audit, logs and counts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Restore => "restore",
            Self::Downgraded => "downgraded",
            Self::DowngradedByHand => "downgraded_by_hand",
            Self::StaysRestricted => "stays_restricted",
            Self::HeldByDowngrade => "held_by_downgrade",
            Self::Settled => "settled",
            Self::SeenPending => "seen_pending",
            Self::SeenJoined => "seen_joined",
            Self::SeenRestricted => "seen_restricted",
            Self::UnknownPresence => "unknown_presence",
            Self::Internal => "internal",
            Self::UnknownClass => "unknown_class",
            Self::OutOfScope(_) => "out_of_scope",
            Self::Unconfirmed => "unconfirmed",
            Self::NoAddress => "no_address",
            Self::UnknownStatus(_) => "unknown_status",
            Self::NotActive(_) => "not_active",
            Self::Absent => "absent",
            Self::Conflict => "conflict",
            Self::WaitsForPortal => "waits_for_portal",
            Self::Parked(_) => "parked",
            Self::Cooldown => "cooldown",
            Self::Flapping => "flapping",
            Self::NotShown(_) => "not_shown",
            Self::Renamed => "renamed",
            Self::Vanished(State::Left) => "left",
            Self::Vanished(State::Expired) => "expired",
            Self::Vanished(_) => "declined",
            Self::Restrict(_) => "restrict",
            Self::Deactivated => "deactivated",
            Self::Cancel(_) => "cancel",
            Self::Remove(_) => "remove",
            Self::LateJoin => "late_join",
            Self::Staged(_) => "staged",
            Self::Gone(_) => "gone",
            Self::RemoveByHand(_) => "remove_by_hand",
            Self::RestrictByHand => "restrict_by_hand",
            Self::NotOurs => "not_ours",
            Self::Succeeded => "succeeded",
            Self::Overtaken => "overtaken",
            Self::Released => "released",
            Self::Home(home) => home.word(),
        }
    }

    /// Whether the person is where CRM wants them, or about to be, with nothing in the way.
    pub fn is_on_the_way(&self) -> bool {
        matches!(
            self,
            Self::Add | Self::Restore | Self::Settled | Self::SeenPending | Self::SeenJoined
        )
    }

    /// A sentence an administrator understands.
    pub fn sentence(&self) -> String {
        let fixed = match self {
            Self::OutOfScope(why) => return format!("Not mirrored: {why}."),
            Self::UnknownStatus(word) if word.is_empty() => {
                return "CRM does not say whether the user is active; nothing is done.".to_owned();
            }
            Self::UnknownStatus(word) => {
                return format!("CRM says \"{word}\", which is no known status; nothing is done.");
            }
            Self::NotActive(word) => {
                return format!("CRM says \"{word}\"; nothing of this person is open in Cliq.");
            }
            Self::Parked(code) => {
                return format!("The portal refused ({code}); resync the person to try again.");
            }
            Self::NotShown(state) => {
                return format!(
                    "Cliq does not show the person now; the membership stays \"{state}\"."
                );
            }
            Self::Home(home) => return home::sentence(home),
            Self::Vanished(_)
            | Self::Restrict(_)
            | Self::Deactivated
            | Self::Cancel(_)
            | Self::Remove(_)
            | Self::LateJoin
            | Self::Staged(_)
            | Self::Gone(_)
            | Self::RemoveByHand(_)
            | Self::RestrictByHand
            | Self::NotOurs
            | Self::Succeeded
            | Self::Overtaken
            | Self::Released => return self.of_leaving(),
            Self::Downgraded
            | Self::DowngradedByHand
            | Self::StaysRestricted
            | Self::HeldByDowngrade => self.of_downgrade(),
            Self::Add => "Active in CRM and not in Cliq: added through the portal.",
            Self::Restore => {
                "What the bridge restricted the person for is over: its restriction is lifted."
            }
            Self::Settled => "Nothing to do.",
            Self::SeenPending => "Cliq shows the invitation.",
            Self::SeenJoined => "Cliq shows the person as an active external user.",
            Self::SeenRestricted => {
                "Cliq shows the person blocked; the bridge did not do that and leaves it."
            }
            Self::UnknownPresence => "Cliq shows the person without a status; nothing is done.",
            Self::Internal => "One of the organization's own people: never touched.",
            Self::UnknownClass => {
                "Cliq does not tell whether the person is internal; treated as internal."
            }
            Self::Unconfirmed => "Waits until the person confirms CRM Plus's own invitation.",
            Self::NoAddress => "The CRM row has no usable e-mail address.",
            Self::Absent => "CRM has no such user; that alone is no reason to remove anybody.",
            Self::Conflict => {
                "Two rows claim to be this person; nothing is done until that is resolved."
            }
            Self::WaitsForPortal => {
                "To be added in CRM Plus by its administrator; the bridge watches for it."
            }
            Self::Cooldown => "Removed a short while ago; invited again after the cooldown.",
            Self::Flapping => "Goes and comes in turns: held until an operator resyncs the person.",
            Self::Renamed => {
                "The address changed after the invitation; no second invitation is sent."
            }
        };
        fixed.to_owned()
    }
    /// Sentences about people who leave; the last is [`Self::Released`]'s.
    fn of_leaving(&self) -> String {
        let fixed = match self {
            Self::Restrict(why) => {
                return format!("{why}: access is restricted, and removed later.");
            }
            Self::Cancel(why) => return format!("{why}: the open invitation is cancelled."),
            Self::Remove(why) => {
                return format!("{why}, still so after `guard.remove_after`: removed.");
            }
            Self::Staged(why) => {
                return format!("{why}: restricted, and waits for `guard.remove_after`.");
            }
            Self::Gone(why) => return format!("{why}, and not in Cliq: nothing to take back."),
            Self::RemoveByHand(why) => {
                return format!(
                    "{why}: remove the person in CRM Plus (Admin panel, Users); no API can."
                );
            }
            Self::Vanished(State::Left) => {
                "In no part of two complete listings of Cliq: the person left, and is not added \
                 again."
            }
            Self::Vanished(State::Expired) => {
                "The invitation had run out and Cliq does not show it any more."
            }
            Self::Vanished(_) => {
                "The open invitation is in no part of two complete listings of Cliq: declined."
            }
            Self::Deactivated => "Deactivated in CRM: access is restricted until CRM says active.",
            Self::LateJoin => "Accepted an invitation that had been withdrawn: removed.",
            Self::RestrictByHand => {
                "Deactivated in CRM: block the person in CRM Plus (Admin panel, Users); no API can."
            }
            Self::NotOurs => {
                "Not the bridge's: there before it, or released. Left alone; adopt it to hand it over."
            }
            Self::Overtaken => "Something newer is known; the person is looked at again.",
            Self::Succeeded => "Another CRM user is this person now; nothing is taken back.",
            _ => "Has become one of the organization's own people: not ours any more.",
        };
        fixed.to_owned()
    }

    /// Sentences about a downgrade; the last is [`Self::HeldByDowngrade`]'s.
    fn of_downgrade(&self) -> &'static str {
        match self {
            Self::Downgraded => {
                "CRM Plus is downgraded and on_free_downgrade is \"restrict\": access is blocked."
            }
            Self::DowngradedByHand => {
                "CRM Plus is downgraded and on_free_downgrade is \"restrict\": to be restricted in \
                 CRM Plus, Admin panel, Users."
            }
            Self::StaysRestricted => {
                "Restricted by the bridge because CRM Plus is downgraded; restored when it is not."
            }
            _ => {
                "CRM Plus is downgraded: nobody is added to a restricted Cliq and nobody is taken away \
                 until that is over."
            }
        }
    }
}
