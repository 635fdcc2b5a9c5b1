//! The usual life of an external person and an external channel, to be changed field by field.

use std::time::Duration;

use super::super::{GuestDecision, GuestFacts, Mapping, Observed, Place, Who, plan_guest};
use crate::domain::channel::{ChannelFacts, Guest, GuestState, Level, Member};
use crate::domain::membership::{Membership, Origin, State};
use crate::domain::policy::Timing;
use crate::domain::{
    Access, CliqId, CrmUser, CrmUserId, Email, MembershipId, OrgId, Standing, Timestamp,
};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// One case: everything as in the usual life of an external person, changed field by field.
pub(super) struct Case {
    pub(super) mapping: Mapping,
    pub(super) crm: Option<CrmUser>,
    pub(super) membership: Option<Membership>,
    pub(super) own: Option<CliqId>,
    pub(super) guest: Option<Guest>,
    pub(super) facts: Option<ChannelFacts>,
    pub(super) hindrance: Option<&'static str>,
    pub(super) room: Option<u32>,
    pub(super) seen: Seen,
    pub(super) access: Access,
    pub(super) rearm: bool,
    pub(super) now: Timestamp,
}

/// What the member list says.
pub(super) enum Seen {
    NotRead,
    NotShown,
    Shown(Member),
}

pub(super) fn case(state: State) -> Case {
    Case {
        mapping: Mapping::Holds,
        crm: Some(crm()),
        membership: Some(membership(state)),
        own: None,
        guest: None,
        facts: Some(facts(Level::External)),
        hindrance: None,
        room: None,
        seen: Seen::NotRead,
        access: Access::Normal,
        rearm: false,
        now: NOW,
    }
}

impl Case {
    pub(super) fn plan(&self) -> GuestDecision {
        let (organization, user) = (OrgId::from("acme"), CrmUserId::from("7"));
        let facts = GuestFacts {
            organization: &organization,
            channel: "ext",
            user: &user,
            mapping: self.mapping,
            who: match (&self.membership, &self.own) {
                (Some(row), _) => Who::Member(row),
                (None, Some(id)) => Who::Own(id),
                (None, None) => Who::Nobody,
            },
            crm: self.crm.as_ref(),
            guest: self.guest.as_ref(),
            place: Place { facts: self.facts.as_ref(), hindrance: self.hindrance, room: self.room },
            member: match &self.seen {
                Seen::NotRead => Observed::NotRead,
                Seen::NotShown => Observed::NotShown,
                Seen::Shown(member) => Observed::Shown(member),
            },
            disputed: false,
            access: self.access,
            rearm: self.rearm,
            now: self.now,
        };
        plan_guest(&facts, &timing())
    }

    pub(super) fn guest(mut self, state: GuestState) -> Self {
        let mut guest = guest();
        guest.state = state;
        if state == GuestState::Wanted {
            guest.invited_at = None;
            guest.sends = 0;
        }
        self.guest = Some(guest);
        self
    }

    pub(super) fn level(mut self, level: Level) -> Self {
        self.facts = Some(facts(level));
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn sees(mut self, member: bool) -> Self {
        let row = Member { id: CliqId::from("900"), email: None, role: None };
        self.seen = if member { Seen::Shown(row) } else { Seen::NotShown };
        self
    }
}

fn timing() -> Timing {
    Timing {
        expire_after: DAY * 7,
        signup_expire_after: DAY * 30,
        reminders: 2,
        remind_every: DAY * 2,
        overdue_after: DAY,
        readd_cooldown: DAY,
        quiet_hours: None,
        time_zone: chrono_tz::Tz::UTC,
    }
}

pub(super) fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn crm() -> CrmUser {
    CrmUser {
        id: CrmUserId::from("7"),
        zuid: None,
        email: Some(email("bo@partner.example")),
        first_name: "Bo".to_owned(),
        last_name: "Nordin".to_owned(),
        standing: Standing::Active,
        confirmed: Some(true),
        category: Some("regular_user".into()),
        profile: Some("Partner".into()),
        role: None,
        created_by: None,
        time_zone: None,
        language: None,
        modified_at: None,
    }
}

fn membership(state: State) -> Membership {
    Membership {
        id: MembershipId(3),
        organization: OrgId::from("acme"),
        crm_user_id: CrmUserId::from("7"),
        zuid: None,
        cliq_id: (state == State::Joined).then(|| CliqId::from("900")),
        email: email("bo@partner.example"),
        invited_as: None,
        first_name: String::new(),
        last_name: String::new(),
        invited_by: String::new(),
        language: String::new(),
        time_zone: String::new(),
        state,
        origin: Origin::Made,
        external: true,
        generation: 1,
        sends: 1,
        since: NOW,
        invited_at: Some(NOW),
        join_url: None,
        suspected_at: None,
        absent_since: None,
        seen: false,
        unseen_since: None,
        reminded: 0,
        overdue_told: false,
        licence: None,
        licence_given: false,
        restricted_by_bridge: false,
        parked: None,
    }
}

fn guest() -> Guest {
    let mut guest = Guest::wanted(
        &OrgId::from("acme"),
        "ext",
        &CrmUserId::from("7"),
        Some(MembershipId(3)),
        NOW,
    );
    guest.invited_at = Some(NOW);
    guest.invited_as = Some(email("bo@partner.example"));
    guest.sends = 1;
    guest
}

pub(super) fn facts(level: Level) -> ChannelFacts {
    ChannelFacts {
        id: "T1".to_owned(),
        level,
        name: "#Ext".to_owned(),
        alive: true,
        add_participants: Vec::new(),
        may_add: Some(true),
        participants: Some(3),
        external_channels: Some(1),
        read_at: NOW,
    }
}
