//! A channel and its rules: who may come in and how, who may let others in, how many fit.
//!
//! Pure. Deliberately absent: mails, notices and the journal; `guests` and `cliq_members` do those.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entries::{
    AddParticipant, ChannelEntry, ChannelStatus, CliqPlan, Collaboration, Level, Role, Status,
};
use super::state::{Class, CliqRow, Home, Organization, Person, Realm, made_up};
use crate::domain::Timestamp;

/// People that an external channel holds (contract section 2.2).
const PARTICIPANTS_MAX: usize = 500;
/// External channels for each paid licence (Z19).
const CHANNELS_PER_LICENCE: usize = 5;

/// Zoho's own codes where the contract has one; the others are the sandbox's guess.
pub(super) mod code {
    /// The channel is full.
    pub(in super::super) const FULL: &str = "group_chat_participants_limit_exceeded";
    /// The host's policy, or a person who is in no Cliq that the channel's level is open to.
    pub(in super::super) const OTHER_ORG: &str = "chat_with_other_org_disabled";
    /// A person who cannot be added at all.
    pub(in super::super) const NOT_ADDED: &str = "member_add_failed";
    /// 'Add participants' is off for the caller's role (R59). A guess.
    pub(in super::super) const NO_PERMISSION: &str = "operation_not_allowed";
    /// The caller is no participant. A guess.
    pub(in super::super) const NOT_A_MEMBER: &str = "not_a_channel_member";
    /// The caller is an external user of the organization (R36). A guess.
    pub(in super::super) const EXTERNAL_CALLER: &str = "external_user_not_allowed";
    /// The free plan has no external channels (Z19). A guess.
    pub(in super::super) const FREE_PLAN: &str = "external_channels_not_in_plan";
    /// The channel is archived. A guess.
    pub(in super::super) const ARCHIVED: &str = "channel_archived";
}

#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) unique_name: String,
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) status: ChannelStatus,
    pub(super) add_participant: AddParticipant,
    /// By the person's key.
    pub(super) members: BTreeMap<String, Participant>,
    /// People of other organizations who were invited and did not join yet (R41, R42).
    pub(super) invited: BTreeMap<String, Invitation>,
}

/// Somebody who is in a channel.
#[derive(Clone, Debug)]
pub(super) struct Participant {
    pub(super) role: Role,
    /// Key of the person who added or invited them.
    pub(super) by: String,
}

/// An invitation that was not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Invitation {
    /// Key of the person who invited.
    pub(super) by: String,
    /// When the last of its mails went out.
    pub(super) at: Timestamp,
    pub(super) mails: u32,
}

impl Invitation {
    /// When it lapses; `None` means never.
    pub(super) fn expires(&self, days: u64) -> Option<Timestamp> {
        (days > 0).then(|| self.at + Duration::from_hours(24 * days))
    }
}

/// How a person gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    Direct,
    Invitation,
    /// Refused, with Zoho's code.
    Closed(&'static str),
}

/// The four ways that an invitation can go (Z20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// Mail and Taz; can join.
    CliqUser,
    /// Mail only; cannot join until the home allows it.
    PolicyOff,
    /// Mail only; must sign up first (R53).
    NoAccount,
    /// Mail only; an organization is made on the way.
    NoCliq,
}

impl Case {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::CliqUser => "cliq_user",
            Self::PolicyOff => "policy_off",
            Self::NoAccount => "no_account",
            Self::NoCliq => "no_cliq",
        }
    }
}

impl Channel {
    /// A channel of the world file; its creator is the OAuth user.
    pub(super) fn new(entry: &ChannelEntry, admin: &str) -> Self {
        let seat = entry.admin_role.role().map(|role| (admin.to_owned(), role));
        let participant = |role| Participant { role, by: admin.to_owned() };
        Self {
            id: entry.id.clone(),
            unique_name: entry.unique_name.clone(),
            name: entry.name.clone(),
            level: entry.level,
            status: entry.status,
            add_participant: entry.add_participant,
            members: seat.into_iter().map(|(key, role)| (key, participant(role))).collect(),
            invited: BTreeMap::new(),
        }
    }

    /// The private channel for the administrators' notices.
    pub(super) fn of_administrators(organization: &str, unique_name: &str, admin: &str) -> Self {
        let creator = Participant { role: Role::SuperAdmin, by: admin.to_owned() };
        Self {
            id: made_up("P", &format!("{organization} {unique_name}")),
            unique_name: unique_name.to_owned(),
            name: unique_name.to_owned(),
            level: Level::Private,
            status: ChannelStatus::Created,
            add_participant: AddParticipant::default(),
            members: BTreeMap::from([(admin.to_owned(), creator)]),
            invited: BTreeMap::new(),
        }
    }

    /// The person's role, if they are in it.
    pub(super) fn role(&self, person: &str) -> Option<Role> {
        self.members.get(person).map(|member| member.role)
    }

    /// Whether this many more do not fit.
    pub(super) fn overflows(&self, newcomers: usize) -> bool {
        self.level == Level::External && self.members.len() + newcomers > PARTICIPANTS_MAX
    }

    /// Whether the person may let others in (R36, R59), or the code of the refusal.
    pub(super) fn may_add(&self, person: &str, row: Option<&CliqRow>) -> Result<(), &'static str> {
        if self.status == ChannelStatus::Archived {
            return Err(code::ARCHIVED);
        }
        let role = self.role(person).ok_or(code::NOT_A_MEMBER)?;
        let external = row.is_some_and(|row| row.class == Class::External);
        if external && self.level == Level::External {
            return Err(code::EXTERNAL_CALLER);
        }
        if self.add_participant.is_on(role) { Ok(()) } else { Err(code::NO_PERMISSION) }
    }
}

impl Organization {
    /// How a person gets into a channel (R27, R28, R41, R43, conflicts C2 and C4, Z19).
    pub(super) fn entrance(&self, realm: &Realm, channel: &Channel, person: &str) -> Entrance {
        let row = self.row(person);
        let active = row.is_some_and(|row| row.status == Status::Active);
        match (channel.level, row.map(|row| row.class)) {
            (_, Some(Class::Internal)) if active => Entrance::Direct,
            (Level::Team, _) | (Level::External, Some(Class::Internal)) => {
                Entrance::Closed(code::NOT_ADDED)
            }
            (Level::External, _) if self.entry.cliq_plan == CliqPlan::Free => {
                Entrance::Closed(code::FREE_PLAN)
            }
            (Level::External, _) if realm.keeps_to_itself(&self.entry.id) => {
                Entrance::Closed(code::OTHER_ORG)
            }
            (Level::External, _) => Entrance::Invitation,
            (_, Some(Class::External)) if active => Entrance::Direct,
            _ => Entrance::Closed(code::OTHER_ORG),
        }
    }

    /// External channels that are, and that the paid licences allow (Z19); `None` without a bound.
    pub(super) fn external_channels(&self) -> (usize, Option<usize>) {
        let external = |channel: &&Channel| channel.level == Level::External;
        let quota = match self.entry.cliq_plan {
            CliqPlan::Free => Some(0),
            CliqPlan::Paid => self.entry.paid_licences.map(|seats| seats * CHANNELS_PER_LICENCE),
        };
        (self.channels.iter().filter(external).count(), quota)
    }
}

impl Realm {
    /// Whether an organization's own policy forbids working with others (conflict C4).
    pub(super) fn keeps_to_itself(&self, organization: &str) -> bool {
        self.closed.contains(organization)
    }

    /// Which of the four ways an invitation of this person goes (Z20).
    pub(super) fn case(&self, person: &Person) -> Case {
        let closed_home = match &person.home {
            Home::Organization(id) => self.keeps_to_itself(id),
            Home::Elsewhere | Home::Nowhere => false,
        };
        if person.zuid.is_none() {
            Case::NoAccount
        } else if closed_home || person.collaboration == Collaboration::Off {
            Case::PolicyOff
        } else if person.home == Home::Nowhere {
            Case::NoCliq
        } else {
            Case::CliqUser
        }
    }
}
