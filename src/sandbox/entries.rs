//! The tables of a world file, row by row, with what is taken for granted when a key is absent.
//!
//! Deliberately absent: whether rows agree with each other; `world` checks that.

use serde::{Deserialize, Serialize};

/// The Cliq plan of an organization (R13, R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CliqPlan {
    Free,
    Paid,
}

/// A channel's level (contract section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    External,
    Private,
    Organization,
    Team,
}

impl Level {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Private => "private",
            Self::Organization => "organization",
            Self::Team => "team",
        }
    }
}

/// Where a Cliq row stands (contract section 2.1, `status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Active,
    Pending,
    Inactive,
}

impl Status {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Inactive => "inactive",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a world file's switches are independent")]
pub(super) struct OrganizationEntry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) crm_org: String,
    pub(super) cliq_org: String,
    pub(super) zoid: String,
    pub(super) cliq_plan: CliqPlan,
    #[serde(default = "crmplus")]
    pub(super) paid_type: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) refresh_token: String,
    pub(super) portal_key: String,
    /// Observe mode: CRM Plus itself makes external users of those added (conflict C6).
    #[serde(default)]
    pub(super) propagate: bool,
    /// Seconds between the CRM addition and its appearance in Cliq.
    #[serde(default)]
    pub(super) propagate_after_s: u64,
    /// Answer portal calls the way Zoho functions wrap them.
    #[serde(default)]
    pub(super) wrap_portal: bool,
    #[serde(default)]
    pub(super) bots: Vec<String>,
    pub(super) admin_channel: Option<String>,
    #[serde(default)]
    pub(super) channels: Vec<ChannelEntry>,
    /// The organization's own switch for collaboration with others (conflict C4, Z20).
    #[serde(default = "yes")]
    pub(super) external_collaboration: bool,
    /// Days until an invitation to a channel lapses (R55); 0 means never.
    #[serde(default = "month")]
    pub(super) channel_invitation_days: u64,
    /// Paid Cliq seats (R18, Z19); absent means as many as are asked for.
    pub(super) paid_licences: Option<usize>,
    /// CRM Plus licences for external users (G13); absent means as many as are asked for.
    pub(super) crm_licences: Option<usize>,
    /// What `GET /org` says was bought; absent means 100, or 0 when unpaid (contract 3.2).
    pub(super) users_license_purchased: Option<u32>,
    /// Days until a pending row vanishes; 0 means never, Zoho says 7 (Z1).
    #[serde(default)]
    pub(super) invitation_days: u64,
    /// Declined this often, CRM Plus refuses to invite again (Z5).
    #[serde(default = "thrice")]
    pub(super) blocked_after: u32,
    /// Whether the organization demands MFA of its own users (R21).
    #[serde(default)]
    pub(super) mfa: bool,
    /// Names of its user policies (R22).
    #[serde(default)]
    pub(super) policies: Vec<String>,
    /// Addresses that its own users may log in from; empty means any (R23).
    #[serde(default)]
    pub(super) allowed_ips: Vec<String>,
    /// `[{ name = "Desk", associated = true }]` (R30).
    #[serde(default)]
    pub(super) integrations: Vec<Integration>,
    /// `[{ id = "1", name = "Sales", members = ["a@x.example"] }]`; own people only (R27).
    #[serde(default)]
    pub(super) teams: Vec<TeamEntry>,
    /// The OAuth user is itself an external user of this Cliq (R36).
    #[serde(default)]
    pub(super) admin_external: bool,
    /// Lifetime of an access token in seconds (contract section 1.1: one hour).
    #[serde(default = "hour")]
    pub(super) token_lifetime_s: u64,
    /// Whether call limits and lock periods apply.
    #[serde(default = "yes")]
    pub(super) limits: bool,
}

/// An integration of an organization, and whether its application is associated (R30).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Integration {
    pub(super) name: String,
    #[serde(default)]
    pub(super) associated: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamEntry {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) members: Vec<String>,
}

/// `channels = [{ id = "T1", unique_name = "ext", name = "Ext", level = "external",
/// add_participant = { member = true }, members = ["a@x.example"], status = "created",
/// admin_role = "super_admin" }]`; the first four are needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelEntry {
    pub(super) id: String,
    pub(super) unique_name: String,
    pub(super) name: String,
    pub(super) level: Level,
    /// Whose role may add participants (R59).
    #[serde(default)]
    pub(super) add_participant: AddParticipant,
    /// Who is in it besides the OAuth user: an address, or `{ email, role }`.
    #[serde(default)]
    pub(super) members: Vec<MemberEntry>,
    #[serde(default)]
    pub(super) status: ChannelStatus,
    #[serde(default)]
    pub(super) admin_role: AdminRole,
}

/// A member of a channel: an address, or an address with a role.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum MemberEntry {
    Plain(String),
    WithRole(MemberWithRole),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberWithRole {
    pub(super) email: String,
    pub(super) role: Role,
}

impl MemberEntry {
    pub(super) fn parts(&self) -> (&str, Role) {
        match self {
            Self::Plain(email) => (email, Role::Member),
            Self::WithRole(member) => (&member.email, member.role),
        }
    }
}

/// A person's role inside one channel (contract section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    SuperAdmin,
    Admin,
    Moderator,
    Member,
}

impl Role {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SuperAdmin => "super_admin",
            Self::Admin => "admin",
            Self::Moderator => "moderator",
            Self::Member => "member",
        }
    }
}

/// The OAuth user's role in a channel; `none` when it is no participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AdminRole {
    #[default]
    SuperAdmin,
    Admin,
    Moderator,
    Member,
    None,
}

impl AdminRole {
    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::SuperAdmin => Some(Role::SuperAdmin),
            Self::Admin => Some(Role::Admin),
            Self::Moderator => Some(Role::Moderator),
            Self::Member => Some(Role::Member),
            Self::None => None,
        }
    }
}

/// The permission 'Add participants' of a channel, by role (R59). Absent roles keep their default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "one permission for each of Cliq's roles")]
pub(super) struct AddParticipant {
    pub(super) super_admin: bool,
    pub(super) admin: bool,
    pub(super) moderator: bool,
    pub(super) member: bool,
}

impl Default for AddParticipant {
    fn default() -> Self {
        Self { super_admin: true, admin: true, moderator: true, member: false }
    }
}

impl AddParticipant {
    pub(super) fn is_on(self, role: Role) -> bool {
        match role {
            Role::SuperAdmin => self.super_admin,
            Role::Admin => self.admin,
            Role::Moderator => self.moderator,
            Role::Member => self.member,
        }
    }
}

/// Whether a channel is in use (contract section 2.2, `status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChannelStatus {
    #[default]
    Created,
    Archived,
}

impl ChannelStatus {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Archived => "archived",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonEntry {
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) zuid: Option<String>,
    pub(super) home: Option<String>,
    pub(super) language: Option<String>,
    pub(super) time_zone: Option<String>,
    /// The account is in another data centre: no external user, but channels work (G15, Z18).
    #[serde(default)]
    pub(super) other_data_centre: bool,
    /// Whether the person's home lets them collaborate with others (Z20, second case).
    #[serde(default)]
    pub(super) collaboration: Collaboration,
}

/// The policy of a person's home towards other organizations (Z20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Collaboration {
    #[default]
    On,
    Off,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrmUserEntry {
    pub(super) organization: String,
    pub(super) id: Option<String>,
    pub(super) email: String,
    /// Address of the person behind, when the row shows another (G2, G9).
    pub(super) person: Option<String>,
    #[serde(default = "active")]
    pub(super) status: String,
    #[serde(default = "yes")]
    pub(super) confirm: bool,
    pub(super) profile: Option<String>,
    pub(super) role: Option<String>,
    pub(super) created_by: Option<String>,
    #[serde(default = "regular_user")]
    pub(super) category: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CliqUserEntry {
    pub(super) organization: String,
    pub(super) email: String,
    pub(super) status: Status,
    /// Absent means what a new row would get.
    pub(super) licence: Option<Licence>,
    /// What the API shows of the row's class.
    #[serde(default)]
    pub(super) marker: Marker,
}

/// What Cliq's API shows of a row's class (R6, R29): the truth, nothing, or a row like one of the
/// organization's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Marker {
    #[default]
    Shown,
    Hidden,
    Internal,
}

/// A person's Cliq licence (R17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Licence {
    Free,
    Paid,
}

/// A person who declined before the world began (G3, Z5).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclineEntry {
    pub(super) organization: String,
    pub(super) email: String,
    #[serde(default = "once")]
    pub(super) times: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriberEntry {
    pub(super) organization: String,
    pub(super) bot: String,
    pub(super) email: String,
}

fn crmplus() -> String {
    "crmplus".to_owned()
}

fn active() -> String {
    "active".to_owned()
}

fn regular_user() -> String {
    "regular_user".to_owned()
}

fn yes() -> bool {
    true
}

fn hour() -> u64 {
    3600
}

fn once() -> u32 {
    1
}

fn thrice() -> u32 {
    3
}

fn month() -> u64 {
    30
}
