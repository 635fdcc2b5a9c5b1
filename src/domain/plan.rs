//! The plan: what a reconciliation is about to do, line by line, and what of it is held back.
//!
//! Plain data, in one order whatever order the listings had. Deliberately absent: how it is decided,
//! which is `logic::plan`'s, and its canonical form, which is `logic::seal`'s.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::PortalVerb;
use super::ids::{CliqId, CrmUserId, OrgId};
use super::time::Timestamp;

/// What one line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The portal is asked.
    Portal(PortalVerb),
    /// The invitation letter and the bot notice go out.
    Letter,
    /// Into a channel, by invitation or directly.
    ChannelAdd,
    /// Out of a channel, or the invitation to it cancelled.
    ChannelRemove,
    /// Nobody is called: who was seen in Cliq is noted as gone from it.
    NoteGone,
    /// The same for one channel.
    NoteGoneFromChannel,
    /// `observe`: the administrators are asked to remove the person in CRM Plus.
    RemoveByHand,
    /// `observe`: the administrators are asked to block the person in CRM Plus.
    BlockByHand,
}

impl Deed {
    /// The word shown and sealed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portal(verb) => verb.as_str(),
            Self::Letter => "letter",
            Self::ChannelAdd => "channel_add",
            Self::ChannelRemove => "channel_remove",
            Self::NoteGone => "note_gone",
            Self::NoteGoneFromChannel => "channel_note_gone",
            Self::RemoveByHand => "remove_by_hand",
            Self::BlockByHand => "block_by_hand",
        }
    }
}

/// Why a line is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `first_run = "plan"`
    FirstRun,
    /// What the organization's configuration means for people has changed.
    Scope,
    /// The removal guard; its sentence.
    Guard(String),
    /// `guard.max_invites`
    Invitations,
    /// More people are missing from Cliq than may be noted as gone.
    Vanishing,
    /// No seat is free; no approval makes one.
    NoSeat,
    /// The plan contradicts itself about the person; its sentence. Somebody has to resolve that in
    /// CRM, and no approval does (I26).
    Contradiction(String),
    /// Approved, but something newer is known of the person: left out of the approval.
    Overtaken,
}

impl Hold {
    /// A sentence for an administrator.
    pub fn sentence(&self) -> String {
        match self {
            Self::FirstRun => {
                "first_run = \"plan\": nothing was done; approve the run, or write \
                               first_run = \"apply\" and restart"
            }
            Self::Scope => {
                "the scope changed in the configuration: nothing is done until a run \
                            over the organization is approved"
            }
            Self::Guard(trip) => return trip.clone(),
            Self::Invitations => "guard.max_invites would be passed within the window",
            Self::Vanishing => "more people are missing from Cliq than guard.max_removals allows",
            Self::NoSeat => "no licence: all seats are in use",
            Self::Contradiction(why) => return why.clone(),
            Self::Overtaken => {
                "something newer is known of the person than was read: they are looked at again"
            }
        }
        .to_owned()
    }

    /// A stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::FirstRun => "first_run",
            Self::Scope => "scope",
            Self::Guard(_) => "guard",
            Self::Invitations => "invitations",
            Self::Vanishing => "vanishing",
            Self::NoSeat => "no_seat",
            Self::Contradiction(_) => "contradiction",
            Self::Overtaken => "overtaken",
        }
    }

    /// Whether an operator's approval lets the line go.
    pub fn waits_for_approval(&self) -> bool {
        !matches!(self, Self::NoSeat | Self::Contradiction(_) | Self::Overtaken)
    }
}

/// One intended change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The CRM user.
    pub crm_user_id: CrmUserId,
    /// The address, canonical; empty when nobody knows one.
    pub email: String,
    /// The person's name as CRM has it; for reading only.
    pub name: String,
    /// What is done.
    pub deed: Deed,
    /// The channel's unique name, for what is done in one.
    pub channel: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// The state it has now; `None` for somebody new.
    pub before: Option<String>,
    /// The state that it is to have.
    pub after: Option<String>,
    /// Why it is held back, if it is.
    pub hold: Option<Hold>,
}

impl Line {
    /// Whether it waits for an operator's approval.
    pub fn waits_for_approval(&self) -> bool {
        self.hold.as_ref().is_some_and(Hold::waits_for_approval)
    }

    /// Why the plan contradicts itself about the person, if it does.
    pub fn contradiction(&self) -> Option<&str> {
        match &self.hold {
            Some(Hold::Contradiction(why)) => Some(why),
            _ => None,
        }
    }

    /// Whether it changes a licence and nothing else.
    pub fn is_licence(&self) -> bool {
        matches!(self.deed, Deed::Portal(PortalVerb::AssignLicence | PortalVerb::RevokeLicence))
    }

    fn key(&self) -> (&CrmUserId, &'static str, &Option<String>) {
        (&self.crm_user_id, self.deed.as_str(), &self.channel)
    }
}

/// How the guard judged the plan as a whole (design section 11, "Guard").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Why nobody new is taken away, if so.
    pub trip: Option<String>,
    /// People whose access this plan would take, beyond those counted already.
    pub removals: usize,
    /// People counted within the window: whose access was taken, or is about to be.
    pub counted: usize,
    /// People who are ours.
    pub owned: usize,
    /// `guard.max_removals`
    pub max_removals: u32,
    /// `guard.max_percent`
    pub max_percent: u32,
    /// `guard.window`
    pub window: Duration,
    /// People whom this plan would invite, beyond those counted already.
    pub invitations: usize,
    /// Whether that is more than `guard.max_invites` leaves.
    pub invitations_held: bool,
    /// `guard.max_invites`
    pub max_invites: u32,
    /// Whether too many people are missing from Cliq to note them as gone.
    pub vanishing_held: bool,
}

/// Bytes of a listing's print: enough to tell any two of one organization apart.
pub const SNAPSHOT_BYTES: usize = 6;

/// What was read: for reading, and no part of the checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When reading began.
    pub read_at: Timestamp,
    /// Whether both sides were listed completely; a look at one person is not.
    pub complete: bool,
    /// Print of the CRM rows: with `read_at` the snapshot's id.
    pub crm_print: [u8; SNAPSHOT_BYTES],
    /// Print of the Cliq rows.
    pub cliq_print: [u8; SNAPSHOT_BYTES],
    /// Pages of the CRM listing.
    pub crm_pages: usize,
    /// Users in it.
    pub crm_users: usize,
    /// Pages of the Cliq listings.
    pub cliq_pages: usize,
    /// Users in them.
    pub cliq_users: usize,
}

/// External rows of Cliq that no ledger row stands for: for reading, and no part of the checksum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// How many there are.
    pub count: usize,
    /// The first of them, by id.
    pub rows: Vec<ForeignRow>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRow {
    /// Cliq's id of the row.
    pub cliq_id: CliqId,
    /// Zoho account id.
    pub zuid: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// `active`, `pending`, `inactive` or `unknown`
    pub status: Cow<'static, str>,
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// People looked at.
    pub people: u32,
    /// Ledger rows that change, observations included.
    pub changed: u32,
    /// People by the planner's verdict.
    pub verdicts: BTreeMap<&'static str, u32>,
    /// People to be invited who were not counted yet.
    pub invitations: usize,
    /// People whose access is to be taken.
    pub removals: usize,
    /// Changes that are wanted and wait in the outbox already: no lines of this plan.
    pub under_way: u32,
}

/// What a reconciliation is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The organization.
    pub organization: OrgId,
    /// The one person it is about, as asked for; `None` is everybody.
    pub person: Option<String>,
    /// A checksum over everything in the configuration that says who is meant by what.
    pub scope: String,
    /// What was read.
    pub snapshot: Snapshot,
    /// Who is there without the ledger's knowing; nobody for a plan about one person.
    pub foreign: Foreign,
    /// Every line, also the held ones, by CRM user, word and channel.
    pub lines: Vec<Line>,
    /// The guard's verdict.
    pub ruling: Ruling,
    /// What was counted.
    pub counts: Counts,
    /// Calls that reading took, repeated ones included.
    pub calls_used: u32,
    /// The fewest calls that reading needed.
    pub calls_needed: u32,
    /// SHA-256 over the canonical form, lower-case hex: two looks at the same world agree.
    pub checksum: String,
}

impl Plan {
    /// Brings lines into the plan's order.
    pub fn sort(lines: &mut [Line]) {
        lines.sort_by(|one, other| one.key().cmp(&other.key()));
    }

    /// Lines that are held back, for whatever reason.
    pub fn held(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.hold.is_some())
    }

    /// Lines that nothing holds back.
    pub fn free(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.hold.is_none())
    }

    /// Lines that wait for an operator's approval.
    pub fn waiting(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.waits_for_approval())
    }

    /// People about whom the plan contradicts itself: nothing at all is done for them.
    pub fn contradicted(&self) -> BTreeSet<&CrmUserId> {
        let lines = self.lines.iter().filter(|line| line.contradiction().is_some());
        lines.map(|line| &line.crm_user_id).collect()
    }
}
