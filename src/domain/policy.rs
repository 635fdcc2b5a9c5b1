//! Who is mirrored, as plain data, and the facts about an organization that the planner needs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::access::{CliqPlan, Subscription};
use super::crm::{CrmUser, Standing};
use super::email::Email;
use super::ids::OrgId;
use super::shared::Shared;
use super::time::Timestamp;

/// Whether a matcher means a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// One of its values is the user's.
    Yes,
    /// None is.
    No,
    /// None is, but the row does not show everything that is asked for: a missing field is no evidence
    /// of anything (I30).
    Unknown,
}

/// What the scope says of an active user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To have access.
    Meant,
    /// Not to have it, and why.
    LeftOut(&'static str),
    /// CRM does not show what the scope asks for: nobody is added for it, and nobody leaves.
    Unknown,
}

/// Alternatives that match a CRM user: any one listed value of any key is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Everyone.
    pub all: bool,
    /// CRM profile names, compared exactly.
    pub profile: BTreeSet<String>,
    /// CRM role names, compared exactly.
    pub role: BTreeSet<String>,
    /// Canonical domains, exact (no subdomains).
    pub domain: BTreeSet<String>,
    /// Canonical addresses.
    pub email: BTreeSet<Email>,
}

impl Matcher {
    /// Whether nothing is listed; an empty matcher matches nobody (I11).
    pub fn is_empty(&self) -> bool {
        !self.all
            && self.profile.is_empty()
            && self.role.is_empty()
            && self.domain.is_empty()
            && self.email.is_empty()
    }

    /// Whether the user is meant.
    pub fn matches(&self, user: &CrmUser) -> bool {
        self.matched_by(user).is_some()
    }

    /// Whether an address is listed, or its domain.
    pub fn names(&self, email: &Email) -> bool {
        self.domain.contains(email.domain()) || self.email.contains(email)
    }

    /// The same, where a field that the row does not show may be what is listed.
    pub fn fit(&self, user: &CrmUser) -> Fit {
        let hidden = !self.profile.is_empty() && user.profile.is_none()
            || !self.role.is_empty() && user.role.is_none()
            || !(self.domain.is_empty() && self.email.is_empty()) && user.email.is_none();
        match (self.matches(user), hidden) {
            (true, _) => Fit::Yes,
            (false, true) => Fit::Unknown,
            (false, false) => Fit::No,
        }
    }

    /// The key that means the user, and the value by which it does: the first, in the order of the
    /// keys.
    pub fn matched_by<'a>(&self, user: &'a CrmUser) -> Option<(&'static str, &'a str)> {
        let named = |key, set: &BTreeSet<String>, value: &'a Option<Shared>| {
            Some((key, value.as_deref()?)).filter(|(_, value)| set.contains(*value))
        };
        if self.all {
            return Some(("all", "true"));
        }
        named("profile", &self.profile, &user.profile)
            .or_else(|| named("role", &self.role, &user.role))
            .or_else(|| {
                let email = user.email.as_ref()?;
                if self.domain.contains(email.domain()) {
                    return Some(("domain", email.domain()));
                }
                self.email.contains(email).then(|| ("email", email.as_str()))
            })
    }
}

/// Evidence by which a Cliq row is told apart (`organizations.external_when`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExternalWhen {
    /// The row's Cliq organization differs from ours.
    OrganizationId,
    /// The row's Zoho organization differs from ours.
    Zoid,
    /// The row's `user_type` is one of the configured values.
    UserType,
}

/// What the planner needs to know of one organization's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The organization.
    pub organization: OrgId,
    /// Its Cliq organization id; a row with it is Internal.
    pub cliq_org: String,
    /// Its Zoho organization id, configured or learnt; a row with it is Internal.
    pub zoid: Option<String>,
    /// Which evidence counts.
    pub external_when: BTreeSet<ExternalWhen>,
    /// `user_type` values that mean External.
    pub external_user_types: BTreeSet<String>,
    /// Canonical domains whose people are internal (exact match).
    pub internal_domains: BTreeSet<String>,
    /// Who is mirrored; `None` is every active user who is not internal.
    pub include: Option<Matcher>,
    /// Who never is.
    pub exclude: Matcher,
    /// Whether users who have not confirmed CRM Plus's own invitation are mirrored.
    pub mirror_unconfirmed: bool,
    /// Whether the bridge adds people itself (`function`) or waits for them (`observe`).
    pub portal_adds: bool,
    /// The organization's Cliq plan.
    pub cliq_plan: CliqPlan,
    /// Whether external users are restricted while the free plan is downgraded: the administrator's
    /// standing choice (R15).
    pub restrict_on_free_downgrade: bool,
    /// Least time between the first complete listing without somebody and a consequence.
    pub grace: Duration,
    /// How long a leaver stays restricted before removal.
    pub remove_after: Duration,
    /// How long an invitation lives.
    pub expire_after: Duration,
    /// Least time between a removal and a fresh invitation of the same person (G5).
    pub readd_cooldown: Duration,
}

impl Policy {
    /// What the scope says of this user.
    pub fn scope(&self, user: &CrmUser) -> Scope {
        let included = self.include.as_ref().map_or(Fit::Yes, |include| include.fit(user));
        match (self.exclude.fit(user), included) {
            (Fit::Yes, _) => Scope::LeftOut("`scope.exclude` names the person"),
            (_, Fit::No) => Scope::LeftOut("`scope.include` does not name the person"),
            (Fit::Unknown, _) | (_, Fit::Unknown) => Scope::Unknown,
            (Fit::No, Fit::Yes) => Scope::Meant,
        }
    }

    /// Whether the user is to have access: active, and meant by the scope.
    pub fn means(&self, user: &CrmUser) -> bool {
        user.standing == Standing::Active && self.scope(user) == Scope::Meant
    }

    /// Whether nothing says that the user is not to have access: active, and not left out by the scope.
    pub fn may_mean(&self, user: &CrmUser) -> bool {
        user.standing == Standing::Active && !matches!(self.scope(user), Scope::LeftOut(_))
    }
}

/// How much may be taken away (`[guard]`; design section 11, "Guard").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// More people than this within the window are held.
    pub max_removals: u32,
    /// From two people on, more than this part of all owned ones is held, per cent.
    pub max_percent: u32,
    /// More invited people than this within the window are held.
    pub max_invites: u32,
    /// The window.
    pub window: Duration,
}

/// When invitations are looked at again (`[invitations]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long an invitation lives.
    pub expire_after: Duration,
    /// How long one lives for somebody who has to sign up first (R53).
    pub signup_expire_after: Duration,
    /// Reminders at most, per membership and generation.
    pub reminders: u32,
    /// Time between two of them.
    pub remind_every: Duration,
    /// How long a state may last before the administrators hear of it.
    pub overdue_after: Duration,
    /// Least time between a removal from a channel and a fresh invitation of the same person to it.
    pub readd_cooldown: Duration,
    /// No reminder and no notice in these minutes after midnight, from and until; the second may be
    /// the next day's.
    pub quiet_hours: Option<(u32, u32)>,
    /// The zone of people whose own is unknown.
    pub time_zone: chrono_tz::Tz,
}

/// What the store knows of one organization, beside its memberships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgState {
    /// The CRM Plus subscription.
    pub subscription: Subscription,
    /// When the first complete snapshot of both sides was taken.
    pub first_snapshot_at: Option<Timestamp>,
    /// Pages of the last complete CRM listing.
    pub crm_pages: Option<u32>,
    /// Pages of the last complete Cliq listing, over all passes.
    pub cliq_pages: Option<u32>,
    /// Set while the organization's credentials are not accepted.
    pub quarantined: Option<Quarantine>,
}

/// Why an organization is left alone for now (G12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Since when.
    pub since: Timestamp,
    /// What the vendor said.
    pub cause: String,
    /// Whether it is a listing that was refused or empty: then only a listing ends it.
    pub wants_listing: bool,
}

impl Default for OrgState {
    fn default() -> Self {
        Self {
            subscription: Subscription::Unknown,
            first_snapshot_at: None,
            crm_pages: None,
            cliq_pages: None,
            quarantined: None,
        }
    }
}
