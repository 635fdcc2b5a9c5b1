//! What a person can do in an organization, and what its administrators can do with them (rules
//! R5, R12, R20–R38; the acting-context matrix of conflict C1).
//!
//! One table answers both the page and the attempts. Deliberately absent: carrying anything out.

use serde_json::{Map, Value, json};

use super::channel::Case;
use super::entries::{Level, Status};
use super::guests::Hindrance;
use super::state::{Class, Home, Organization, Realm};

/// The marker beside an external user's name (R29).
pub(super) const TAG: &str = "External User";

/// How a person stands to an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// An active internal user.
    Internal,
    /// An external user who joined.
    Joined,
    /// A row that is pending or restricted.
    Outside,
    /// No row, but in one of its external channels.
    Guest,
    Stranger,
}

/// Something that people do in an organization.
pub(super) struct Verb {
    name: &'static str,
    rule: &'static str,
    /// Whether external users who joined may do it.
    open: bool,
    why: &'static str,
}

const fn verb(name: &'static str, rule: &'static str, open: bool, why: &'static str) -> Verb {
    Verb { name, rule, open, why }
}

const NOT_JOINED: &str = "Only people who have joined the organization can do that.";

pub(super) const CHAT: Verb = verb("chat", "R5", true, NOT_JOINED);
pub(super) const CREATE_CHANNEL: Verb = verb("create_channel", "R33", true, NOT_JOINED);
pub(super) const SWITCH: Verb = verb("switch_organization", "R39", true, NOT_JOINED);
pub(super) const REMOTE_WORK: Verb =
    verb("remote_work", "R26", false, "External users do not see Remote Work.");
pub(super) const JOIN_TEAM: Verb =
    verb("join_team", "R27", false, "External users cannot be part of a team.");
pub(super) const CREATE_TEAM_CHANNEL: Verb =
    verb("create_team_channel", "R28", false, "External users cannot create team channels.");
pub(super) const ADD_CONTACT: Verb =
    verb("add_external_contact", "R35", false, "External users cannot add external contacts.");
pub(super) const ADD_TO_EXTERNAL_CHANNEL: Verb = verb(
    "add_to_external_channel",
    "R36",
    false,
    "External users cannot add people to external channels.",
);
pub(super) const REACH_OUT: Verb = verb(
    "start_chat_with_third_org",
    "R37",
    false,
    "External users cannot reach people outside the organization.",
);
pub(super) const CREATE_EXTERNAL_CHANNEL: Verb = verb(
    "create_external_channel",
    "R37",
    false,
    "External users cannot reach people outside the organization.",
);

const VERBS: [Verb; 10] = [
    CHAT,
    CREATE_CHANNEL,
    SWITCH,
    REMOTE_WORK,
    JOIN_TEAM,
    CREATE_TEAM_CHANNEL,
    ADD_CONTACT,
    ADD_TO_EXTERNAL_CHANNEL,
    REACH_OUT,
    CREATE_EXTERNAL_CHANNEL,
];

/// Something that an administrator does with a person. Here `open` means: with external users too.
pub(super) const ADD_IN_PANEL: Verb = verb(
    "add_in_admin_panel",
    "R7",
    false,
    "External users cannot be added in Cliq's admin panel; CRM Plus adds them.",
);
pub(super) const ADD_IN_PROFILES: Verb = verb(
    "add_in_users_and_profiles",
    "R31",
    false,
    "External users cannot be added under Users & Profiles; CRM Plus adds them.",
);
pub(super) const CHANGE_ROLE: Verb =
    verb("change_role", "R25", false, "The role of an external user cannot be changed.");
pub(super) const ADD_TO_TEAM: Verb = verb("add_to_team", "R27", false, JOIN_TEAM.why);
pub(super) const VIEW_LOGINS: Verb =
    verb("view_login_activity", "R34", false, "Logins of external users are not visible.");
const VIEW_SESSIONS: Verb = verb("view_sessions", "R34", false, VIEW_LOGINS.why);
const VIEW_MFA: Verb = verb("view_mfa", "R34", false, VIEW_LOGINS.why);
const ADD_IN_CRM_PLUS: Verb = verb("add_in_crm_plus", "R8", true, "");
const RESTRICT: Verb = verb("restrict", "R15", true, "");
const ASSIGN_LICENCE: Verb = verb("assign_licence", "R18", true, "");

const POWERS: [Verb; 10] = [
    ADD_IN_PANEL,
    ADD_IN_PROFILES,
    ADD_IN_CRM_PLUS,
    CHANGE_ROLE,
    ADD_TO_TEAM,
    RESTRICT,
    ASSIGN_LICENCE,
    VIEW_LOGINS,
    VIEW_SESSIONS,
    VIEW_MFA,
];

/// Profile fields, and whether an administrator can change them on an external user (R32; the
/// article does not name them, so this is a guess).
pub(super) const FIELDS: [(&str, bool); 10] = [
    ("display_name", true),
    ("phone", true),
    ("mobile", true),
    ("timezone", true),
    ("department", false),
    ("designation", false),
    ("employee_id", false),
    ("extension", false),
    ("reporting_to", false),
    ("work_location", false),
];

impl Verb {
    /// Whether somebody of this standing may, when acting in the organization.
    pub(super) fn check(&self, standing: Standing) -> Result<(), Hindrance> {
        match standing {
            Standing::Internal => Ok(()),
            Standing::Joined if self.open => Ok(()),
            _ if self.open => Err(Hindrance::Forbidden("R5", NOT_JOINED)),
            _ => Err(Hindrance::Forbidden(self.rule, self.why)),
        }
    }

    /// Whether an administrator may do this with somebody who is internal or not.
    pub(super) fn check_on(&self, internal: bool) -> Result<(), Hindrance> {
        if internal || self.open { Ok(()) } else { Err(Hindrance::Forbidden(self.rule, self.why)) }
    }

    fn shown(&self, verdict: Result<(), Hindrance>) -> Value {
        match verdict {
            Err(Hindrance::Forbidden(rule, _)) => json!({"allowed": false, "rule": rule}),
            _ => json!({"allowed": true, "rule": self.rule}),
        }
    }
}

/// How the person stands to the organization.
pub(super) fn standing(org: &Organization, person: &str) -> Standing {
    match org.row(person).map(|row| (row.class, row.status)) {
        Some((Class::Internal, Status::Active)) => Standing::Internal,
        Some((Class::External, Status::Active)) => Standing::Joined,
        Some(_) => Standing::Outside,
        None if channels(org, person).is_empty() => Standing::Stranger,
        None => Standing::Guest,
    }
}

fn channels<'a>(org: &'a Organization, person: &str) -> Vec<&'a str> {
    let inside = org.channels.iter().filter(|channel| channel.members.contains_key(person));
    inside.map(|channel| channel.unique_name.as_str()).collect()
}

/// Names of the integrations that the person reaches (R30).
fn integrations(org: &Organization, standing: Standing) -> Vec<&str> {
    let reached = org.entry.integrations.iter().filter(|integration| match standing {
        Standing::Internal => true,
        Standing::Joined => integration.associated,
        _ => false,
    });
    reached.map(|integration| integration.name.as_str()).collect()
}

/// `GET …/members/{email}/capabilities`.
pub(super) fn of(org: &Organization, realm: &Realm, person: &str) -> Value {
    let row = org.row(person);
    let standing = standing(org, person);
    let internal = row.is_some_and(|row| row.class == Class::Internal);
    let external = row.is_some_and(|row| row.class == Class::External);
    let verbs: Map<String, Value> =
        VERBS.iter().map(|verb| (verb.name.to_owned(), verb.shown(verb.check(standing)))).collect();
    let mut powers: Map<String, Value> = POWERS
        .iter()
        .map(|power| (power.name.to_owned(), power.shown(power.check_on(internal))))
        .collect();
    let fields: Map<String, Value> = FIELDS
        .iter()
        .map(|(field, open)| ((*field).to_owned(), json!(internal || *open)))
        .collect();
    powers.insert("edit_fields".to_owned(), Value::Object(fields));
    let visible: &[&str] = if internal {
        &["profile", "channels", "login_activity", "sessions", "mfa"]
    } else {
        &["profile", "channels"]
    };
    json!({
        "organization": org.entry.id,
        "email": realm.people.get(person).map(|who| &who.email),
        "home": realm.people.get(person).map(|who| home(&who.home)),
        "class": row.map(|row| row.class),
        "guest": standing == Standing::Guest,
        "status": row.map(|row| row.status),
        "tag": external.then_some(TAG),
        "role": row.map(|row| &row.role),
        "configurations": {
            "mfa": {"configured": org.entry.mfa, "applies": internal, "rule": "R21"},
            "policies": {"configured": org.entry.policies, "applies": internal, "rule": "R22"},
            "allowed_ips": {"configured": org.entry.allowed_ips, "applies": internal, "rule": "R23"},
        },
        "verbs": verbs,
        "at_home": at_home(org, realm, person),
        "administrator": powers,
        "visible_to_administrators": visible,
        "integrations": integrations(org, standing),
        "channels": channels(org, person),
    })
}

/// Where the person's home is, in a word.
pub(super) fn home(home: &Home) -> Option<&str> {
    match home {
        Home::Organization(id) => Some(id),
        Home::Elsewhere => Some("elsewhere"),
        Home::Nowhere => None,
    }
}

/// What the person can do towards others when acting from home (conflict C1).
fn at_home(org: &Organization, realm: &Realm, person: &str) -> Value {
    let case = realm.people.get(person).map(|who| realm.case(who));
    let free = case == Some(Case::CliqUser);
    let external = org.channels.iter().filter(|channel| channel.level == Level::External);
    let adds: Map<String, Value> = external
        .filter_map(|channel| {
            let on = channel.add_participant.is_on(channel.role(person)?);
            Some((channel.unique_name.clone(), json!({"allowed": on, "rule": "R59"})))
        })
        .collect();
    json!({
        "add_external_contact": {"allowed": free, "rule": "Z20"},
        "start_chat_with_third_org": {"allowed": free, "rule": "Z20"},
        "add_to_external_channel": adds,
    })
}
