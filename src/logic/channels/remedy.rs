//! Why a channel or a guest is parked, as codes, and what an administrator can do about each and
//! where (design section 11, "Parked causes").

/// How to invite by hand where the bridge may not (R45).
pub const MANUAL_INVITATION: &str =
    "Channel Preview → Actions → Channel info → enter the address → Invite";

/// The contract's word (section 2.2) for a channel that is not there, or not for the OAuth user.
const NO_CHANNEL: &str = "channel_not_exists";
pub(super) const NOT_FOUND: &str = "channel_not_found";
/// Cliq refuses to read the channel or its members.
pub const UNREADABLE: &str = "channel_unreadable";
pub(super) const NOT_ALIVE: &str = "channel_archived";
pub(super) const TEAM: &str = "team_channel";
pub(super) const UNKNOWN_LEVEL: &str = "unknown_level";
pub(super) const PLAN_FREE: &str = "plan_free";
pub(super) const OVER_QUOTA: &str = "over_quota";
pub(super) const PERMISSION: &str = "permission";
/// The channel holds no more people.
pub const FULL: &str = "channel_full";
/// Our own user is external in the organization (R36).
pub const EXTERNAL_INVITER: &str = "R36_external_inviter";
/// The contract's word (section 2.2) for an organization whose policy keeps others out (C4).
const OTHER_ORG: &str = "chat_with_other_org_disabled";
/// Two calls for the person were not answered.
pub const UNANSWERED: &str = "unanswered";
/// A fresh read does not show the person as external (R29).
pub const NOT_EXTERNAL: &str = "not_external";

/// A fresh read does not show the person at all, and the ledger says that they are in this Cliq.
pub const NOT_IN_CLIQ: &str = "not_in_cliq";
/// The plan is downgraded: nobody is brought in or taken out, as far as the table of plans says so.
pub(super) const DOWNGRADED: &str = "downgraded";

/// What precedes a code by which Cliq says that the OAuth user may not do this.
const DENIED: &str = "permission:";

/// Codes without a word about tokens by which Cliq denies a right, whatever the status.
const DENIALS: [&str; 2] = ["no_permission", "permission_denied"];

/// What precedes a code that Cliq answers to one person after the other.
const EVERYBODY: &str = "refused_for_all:";

/// Codes that are weighed anew at every look, because their cause can go by itself.
const LIMITS: [&str; 14] = [
    NOT_FOUND,
    NO_CHANNEL,
    UNREADABLE,
    NOT_ALIVE,
    TEAM,
    UNKNOWN_LEVEL,
    PLAN_FREE,
    OVER_QUOTA,
    PERMISSION,
    FULL,
    EXTERNAL_INVITER,
    OTHER_ORG,
    NOT_IN_CLIQ,
    DOWNGRADED,
];

pub(super) fn is_a_limit(code: &str) -> bool {
    LIMITS.contains(&code) || code.starts_with(EVERYBODY)
}

/// Whether the channel cannot be reached, so that nobody can be taken out of it either.
pub(super) fn is_gone(code: &str) -> bool {
    matches!(code, NOT_FOUND | NO_CHANNEL | UNREADABLE)
}

/// The cause of everybody in the channel for a code that Cliq answers to one person after the other.
pub fn everybodys(code: &str) -> String {
    if code.starts_with(DENIED) {
        PERMISSION.to_owned()
    } else if is_a_limit(code) {
        code.to_owned()
    } else {
        format!("{EVERYBODY}{code}")
    }
}

/// The cause of a refusal: a code of the endpoint that denies a right is one of permission (R59),
/// which waits for an operator like every refusal of one person.
pub fn with_permission(code: &str, status: u16) -> String {
    let denied = status == 403 || DENIALS.iter().any(|known| code.eq_ignore_ascii_case(known));
    if denied { format!("{DENIED}{code}") } else { code.to_owned() }
}

/// Whether a refusal concerns everybody alike, so that trying people one by one is no use. The codes
/// are the contract's (section 2.2); where people are not invited, the policy's speaks of one person.
pub fn concerns_everybody(code: &str, invites: bool) -> bool {
    code == NO_CHANNEL || (invites && code == OTHER_ORG)
}

/// What an administrator can do about a cause, and where.
pub fn remedy(code: &str) -> String {
    let what = match code {
        NOT_FOUND | NO_CHANNEL => {
            "Cliq does not show this channel to the OAuth user: check the unique name in the \
             configuration, and that the user is in the channel; then resync the organization"
        }
        UNREADABLE => {
            "Cliq refuses to show this channel or its members: check that the OAuth user is in it, \
             and has the scope ZohoCliq.Channels.READ; it is read again by every run"
        }
        NOT_ALIVE => {
            "the channel is archived or not open yet: Cliq, the channel, Actions, Unarchive"
        }
        TEAM => {
            "external users cannot be in a team channel (R27, R28): map another channel, or change \
             its level in Cliq"
        }
        UNKNOWN_LEVEL => "Cliq shows a level that the bridge does not know; nothing is done",
        PLAN_FREE => {
            "the free Cliq plan has no external channels (Z19): upgrade in Cliq's admin panel, and \
             set `cliq_plan`"
        }
        OVER_QUOTA => {
            "the organization has more external channels than five per paid licence (Z19): buy \
             licences and set `cliq_licences`, or close channels; then resync the organization"
        }
        other if other == PERMISSION || other.starts_with(DENIED) => {
            return format!(
                "{code}: 'Add participants' is off for the OAuth user's role in this channel (R59), \
                 or it is not in the channel: Cliq, the channel, Channel info, Permissions. By \
                 hand: {MANUAL_INVITATION}"
            );
        }
        FULL => "an external channel holds 500 people; goes on when there is room",
        EXTERNAL_INVITER => {
            "the OAuth user is itself an external user of this organization and may not bring \
             anybody in (R36): give the refresh token of one of its own administrators; then \
             resync the organization"
        }
        OTHER_ORG => {
            "the organization's policy keeps others out (C4): Cliq's admin panel, Policies, External \
             collaboration; then resync the organization"
        }
        UNANSWERED => {
            return format!(
                "{code}: Cliq did not answer, twice; the invitation may have gone out or not. If the \
                 person has none, resend. By hand: {MANUAL_INVITATION}"
            );
        }
        NOT_IN_CLIQ => {
            "Cliq did not show the person when they were to be taken out, so nothing says that they \
             are external (R29); decided anew when two complete listings are without them"
        }
        DOWNGRADED => {
            "the CRM Plus plan is downgraded, so this waits until it is active again (R13, R16): on a \
             free Cliq plan nobody is brought in or taken out, on a paid one nobody is taken out"
        }
        NOT_EXTERNAL => {
            "Cliq does not show the person as an external user, so they are left alone (R29)"
        }
        other => return refused(other),
    };
    format!("{code}: {what}")
}

/// What can be done about a code of Cliq's own.
fn refused(code: &str) -> String {
    if code.starts_with(EVERYBODY) {
        format!(
            "{code}: Cliq refuses whomever the bridge brings into this channel; look into the \
             channel's settings, then resync the organization; tried again after a day. By hand: \
             {MANUAL_INVITATION}"
        )
    } else {
        format!(
            "{code}: refused by Cliq for this person; resync the person to try again. By hand: \
             {MANUAL_INVITATION}"
        )
    }
}
