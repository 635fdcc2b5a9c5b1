//! Why the planner of guests decided as it did, in a word for machines and a sentence for people.

use super::remedy::remedy;

/// The reason of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestVerdict {
    /// To be invited by the current address (R41, R44).
    Invite,
    /// To be invited once more: the account came after the invitation had run out (R55).
    InviteAgain,
    /// To be added directly (R43, C2).
    Add,
    /// Nothing to do.
    Settled,
    /// The channel is not for this person.
    NotMeant,
    /// Was to be invited and is not any more.
    NotWanted(&'static str),
    /// In the channel by somebody else's hand: left alone.
    NotOurs,
    /// The portal comes first.
    WaitsForPortal,
    /// A channel of this level takes the person once they have joined the organization (C2).
    WaitsForJoin,
    /// Not as long as the membership stands as it does.
    WaitsForPerson,
    /// A limit or a refusal stands in the way.
    Parked(String),
    /// The member list shows the person (R42).
    SeenJoined,
    /// One complete member list is without somebody who was in.
    Vanished,
    /// So is a second one: the person went by themselves.
    SeenLeft,
    /// Cliq took the person out when the channel became a team channel (R28).
    PutOut,
    /// Has a Zoho account now (R47, R54).
    SignedUp,
    /// The invitation ran out by our clock.
    Expired,
    /// The address changed after the invitation (G2).
    Renamed,
    /// To be taken out.
    Remove(&'static str),
    /// The invitation is to be cancelled.
    Cancel(&'static str),
    /// The removal guard or the invitation cap holds it.
    Held,
    /// The table of plans holds it while the CRM Plus plan is downgraded (R13, R16).
    Downgraded,
    /// A conflict about the person or their home forbids every write (R3, G6, G9).
    InConflict,
}

impl GuestVerdict {
    /// A stable word for the audit, logs and counts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invite => "channel_invite",
            Self::InviteAgain => "channel_invite_again",
            Self::Add => "channel_add",
            Self::Settled => "channel_settled",
            Self::NotMeant => "channel_not_meant",
            Self::NotWanted(_) => "channel_not_wanted",
            Self::NotOurs => "channel_not_ours",
            Self::WaitsForPortal => "channel_waits_for_portal",
            Self::WaitsForJoin => "channel_waits_for_join",
            Self::WaitsForPerson => "channel_waits_for_person",
            Self::Parked(_) => "channel_parked",
            Self::SeenJoined => "channel_joined",
            Self::Vanished => "channel_vanished",
            Self::SeenLeft => "channel_left",
            Self::PutOut => "channel_put_out",
            Self::SignedUp => "channel_signed_up",
            Self::Expired => "channel_expired",
            Self::Renamed => "channel_renamed",
            Self::Remove(_) => "channel_remove",
            Self::Cancel(_) => "channel_cancel",
            Self::Held => "channel_held",
            Self::Downgraded => "channel_held_by_downgrade",
            Self::InConflict => "channel_in_conflict",
        }
    }

    /// A sentence an administrator understands.
    pub fn sentence(&self) -> String {
        let fixed = match self {
            Self::NotWanted(why) => return format!("Not invited to the channel: {why}."),
            Self::Parked(code) => return format!("Not invited to the channel: {}.", remedy(code)),
            Self::Remove(why) => return format!("Taken out of the channel: {why}."),
            Self::Cancel(why) => return format!("The channel invitation is cancelled: {why}."),
            Self::Invite => "Meant by the channel's `when`: invited by the current address.",
            Self::InviteAgain => {
                "Signed up after the invitation had run out: invited once more (R55)."
            }
            Self::Add => "Meant by the channel's `when`: added directly.",
            Self::Settled => "Nothing to do.",
            Self::NotMeant => "The channel is not for this person.",
            Self::NotOurs => "In the channel, but not by the bridge: left alone.",
            Self::WaitsForPortal => "Invited to the channel when the portal has added the person.",
            Self::WaitsForJoin => "Added to the channel when the person has joined.",
            Self::WaitsForPerson => "Not invited to the channel while the person's access rests.",
            Self::SeenJoined => "The channel shows the person.",
            Self::Vanished => "The channel does not show the person now; looked at once more.",
            Self::SeenLeft => "The person left the channel; never added again.",
            Self::PutOut => "Cliq took the person out: it is a team channel now (R28).",
            Self::SignedUp => "The person has a Zoho account now, and has yet to join (R54).",
            Self::Expired => "The channel invitation ran out.",
            Self::Renamed => {
                "The address changed after the channel invitation; no second one is sent."
            }
            Self::Held => "Held back by the guard's limits.",
            Self::Downgraded => {
                "Held while the CRM Plus plan is downgraded: on a free Cliq plan nobody is brought in \
                 or taken out (R13), on a paid one nobody is taken out (R16)."
            }
            Self::InConflict => {
                "Nobody knows for sure who the person is or where they are at home; nothing is done."
            }
        };
        fixed.to_owned()
    }
}
