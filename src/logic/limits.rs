//! What an external user cannot do, and what does not apply to one: the article's limitations as
//! data (R20 to R38), with the few texts that no API can check ("surface only").
//!
//! One place for the admin API and the documentation. Deliberately absent: the join page's words,
//! which speak to the invited person.

/// What kind of limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule of the host that does not reach the person.
    NotApplicable,
    /// Something that the person, or an administrator for the person, cannot do.
    Cannot,
    /// Something that the host's administrators do not see of the person.
    AdminCannotSee,
    /// No API tells it, so the bridge neither checks nor enforces it.
    SurfaceOnly,
}

impl Kind {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::Cannot => "cannot",
            Self::AdminCannotSee => "admin_cannot_see",
            Self::SurfaceOnly => "surface_only",
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The rule's number, such as `R21`.
    pub rule: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means.
    pub text: &'static str,
    /// What kind of limit it is.
    pub kind: Kind,
}

const fn limit(rule: &'static str, kind: Kind, title: &'static str, text: &'static str) -> Limit {
    Limit { rule, title, text, kind }
}

/// Every limit of an external user, in the article's order.
pub const LIMITS: &[Limit] = &[
    limit(
        "R20",
        Kind::NotApplicable,
        "Internal configurations of the organization",
        "External users do not follow the organization's internal configurations. The bridge never \
         pushes any to them; `GET /api/v1/compliance` lists who is outside.",
    ),
    limit(
        "R21",
        Kind::NotApplicable,
        "Multi-factor authentication",
        "The host's MFA is not applicable to external users; their home organization decides. \
         Surface only: no API tells whether a home enforces MFA, so the bridge cannot refuse people \
         whose home does not.",
    ),
    limit(
        "R22",
        Kind::NotApplicable,
        "Policies",
        "The host's user policies are not applicable to external users. Policies on external \
         channels still decide who may be invited to one.",
    ),
    limit(
        "R23",
        Kind::NotApplicable,
        "Allowed IPs",
        "The host's allowed IPs are not applicable: external users connect from anywhere.",
    ),
    limit(
        "R24",
        Kind::SurfaceOnly,
        "Predefined role",
        "Cliq assigns external users a predefined role. Surface only: no API shows it, so the \
         bridge cannot raise an alarm when it differs between people. It is never compared with the \
         CRM role.",
    ),
    limit(
        "R25",
        Kind::Cannot,
        "Another role",
        "Admins cannot change the role of an external user, and the bridge has no call for it.",
    ),
    limit("R26", Kind::Cannot, "Remote Work", "The Remote Work tab is not visible."),
    limit(
        "R27",
        Kind::Cannot,
        "Teams",
        "External users cannot be part of a team. Teams of CRM are never mapped onto Cliq.",
    ),
    limit(
        "R28",
        Kind::Cannot,
        "Team channels",
        "External users cannot create team channels, and cannot be in one.",
    ),
    limit(
        "R29",
        Kind::Cannot,
        "Being there without the tag",
        "Cliq always shows the \"External User\" tag beside the name. The bridge touches only \
         people whom a fresh read shows as external.",
    ),
    limit(
        "R30",
        Kind::SurfaceOnly,
        "Integrations",
        "An integration is accessible only if it is associated or synced with the application that \
         the person uses. Surface only: no API lists the associations; look at Cliq's integrations \
         before you add people.",
    ),
    limit(
        "R31",
        Kind::Cannot,
        "Being added in Cliq's admin panel",
        "Users & Profiles cannot add external users; CRM Plus is the only door.",
    ),
    limit(
        "R32",
        Kind::SurfaceOnly,
        "Profile fields",
        "Certain fields of an external user cannot be updated. Surface only: no API tells which; \
         the bridge writes no profile field.",
    ),
    limit(
        "R33",
        Kind::AdminCannotSee,
        "More than profile and channels",
        "Of an external user only the profile details and the channels are available.",
    ),
    limit(
        "R34",
        Kind::AdminCannotSee,
        "Login activity, sessions, MFA",
        "Login activity, session and MFA details are not visible, so nobody can be removed for \
         inactivity by what Cliq shows.",
    ),
    limit(
        "R35",
        Kind::Cannot,
        "External contacts",
        "External users cannot add users as external contacts in the host.",
    ),
    limit(
        "R36",
        Kind::Cannot,
        "People in external channels",
        "External users cannot add people to external channels of the host. In a channel to which \
         they were invited from their own organization, 'Add participants' decides (R59).",
    ),
    limit(
        "R37",
        Kind::Cannot,
        "External communication",
        "External communication is restricted: no contact with a third organization through the \
         host.",
    ),
    limit(
        "R38",
        Kind::Cannot,
        "Other activities",
        "The list is open: whatever Cliq refuses to an external user besides is parked with its \
         cause, and is not tried again and again.",
    ),
];

/// Texts of further rules for which no API gives the data: shown, never enforced.
pub const SURFACE_ONLY: &[Limit] = &[
    limit(
        "R46",
        Kind::SurfaceOnly,
        "Contacts of the inviter",
        "In Cliq the inviter picks people who are contacts from a list. Surface only: no API shows \
         contacts, so the bridge always invites by the current address.",
    ),
    limit(
        "R58",
        Kind::SurfaceOnly,
        "People of a third organization",
        "Guests of an external channel may bring in people of other organizations. Surface only: \
         members are listed without their organization, so there is no alarm of its own; whoever \
         the bridge did not bring in is listed as a stranger.",
    ),
];

/// The rules of the host that do not reach an external user: why somebody is "outside host policy".
pub fn outside_policy() -> impl Iterator<Item = &'static Limit> {
    const HOST_POLICY: [&str; 4] = ["R20", "R21", "R22", "R23"];
    LIMITS.iter().filter(|limit| HOST_POLICY.contains(&limit.rule))
}

#[cfg(test)]
mod tests {
    use super::{Kind, LIMITS, SURFACE_ONLY, outside_policy};

    #[test]
    fn every_rule_from_r20_to_r38_is_there_once_in_order() {
        let rules: Vec<String> = (20..=38).map(|number| format!("R{number}")).collect();
        assert_eq!(LIMITS.iter().map(|limit| limit.rule).collect::<Vec<_>>(), rules);
        assert_eq!(outside_policy().count(), 4);
    }

    #[test]
    fn what_is_surface_only_says_so() {
        let all = || LIMITS.iter().chain(SURFACE_ONLY);
        let says: Vec<_> =
            all().filter(|l| l.text.contains("Surface only")).map(|l| l.rule).collect();
        assert_eq!(says, ["R21", "R24", "R30", "R32", "R46", "R58"]);
        let kinds = all().filter(|limit| limit.kind == Kind::SurfaceOnly);
        assert!(kinds.into_iter().all(|limit| says.contains(&limit.rule)));
    }
}
