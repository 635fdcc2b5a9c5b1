//! Every key that the file may hold, section by section: what the readers ask for, what an unknown
//! key is compared with, and what the example file must show.
//!
//! Deliberately absent: types and defaults; they stand in the section's reader.

/// The top level.
pub(super) const ROOT: &[&str] = &[
    "server",
    "store",
    "admin",
    "sources",
    "zoho",
    "organizations",
    "guard",
    "invitations",
    "schedule",
    "mail",
    "budgets",
];
/// `[server]`
pub(super) const SERVER: &[&str] =
    &["listen", "admin_listen", "public_url", "body_limit", "queue_limit", "drain"];
/// `[store]`
pub(super) const STORE: &[&str] = &["path", "keep_days"];
/// `[admin]`
pub(super) const ADMIN: &[&str] = &["bootstrap_token"];
/// A secret, wherever one is named.
pub(super) const SECRET: &[&str] = &["file", "credential"];
/// `[[sources]]`
pub(super) const SOURCE: &[&str] = &[
    "name",
    "scheme",
    "tolerance",
    "max_event_age",
    "organization",
    "organizations",
    "secrets",
    "header",
    "prefix",
    "encoding",
    "hash",
    "separator",
    "field",
];
/// An entry of `sources.secrets`.
pub(super) const SIGNING_KEY: &[&str] = &["id", "file", "credential", "not_before", "not_after"];
/// `[zoho]` and an organization's own `zoho`.
pub(super) const ZOHO: &[&str] = &[
    "data_center",
    "accounts_url",
    "api_url",
    "cliq_url",
    "client_id",
    "client_secret",
    "refresh_token",
    "auth_scheme",
];
/// `[[organizations]]`
pub(super) const ORGANIZATION: &[&str] = &[
    "id",
    "name",
    "crm_org",
    "cliq_org",
    "zoid",
    "internal_domains",
    "allow_no_internal_domains",
    "cliq_plan",
    "first_run",
    "on_free_downgrade",
    "bot",
    "admin_channel",
    "external_when",
    "external_user_types",
    "mirror_unconfirmed",
    "cliq_list",
    "portal",
    "zoho",
    "scope",
    "channels",
    "billing",
    "crmplus_paid_types",
    "licences",
    "cliq_licences",
    "assign_licence",
    "watch",
];
/// `organizations.portal`
pub(super) const PORTAL: &[&str] = &["mode", "url", "key", "header", "per_minute"];
/// `organizations.scope`
pub(super) const SCOPE: &[&str] = &["include", "exclude"];
/// `organizations.scope.include` and `organizations.channels.when`
pub(super) const MATCHER: &[&str] = &["all", "profile", "role", "domain", "email"];
/// `organizations.scope.exclude`
pub(super) const EXCLUDE: &[&str] = &["profile", "role", "domain", "email"];
/// `[[organizations.channels]]`
pub(super) const CHANNEL: &[&str] = &["channel", "when", "internals"];
/// `organizations.watch`
pub(super) const WATCH: &[&str] = &["source", "events"];
/// `organizations.billing`
pub(super) const BILLING: &[&str] = &["customer_id", "subscription_id"];
/// `[guard]`
pub(super) const GUARD: &[&str] =
    &["max_removals", "max_percent", "max_invites", "window", "grace", "remove_after"];
/// `[invitations]`
pub(super) const INVITATIONS: &[&str] = &[
    "send",
    "expire_after",
    "signup_expire_after",
    "reminders",
    "remind_every",
    "overdue_after",
    "readd_cooldown",
    "quiet_hours",
    "join_url",
];
/// `[schedule]`
pub(super) const SCHEDULE: &[&str] =
    &["time_zone", "reconcile", "poll_plan", "digest", "prune", "jitter"];
/// `[mail]`
pub(super) const MAIL: &[&str] =
    &["smtp", "user", "password", "from", "reply_to", "admins", "per_hour"];
/// `[budgets]`
pub(super) const BUDGETS: &[&str] = &["scale"];

/// Every section by its path, without the positions of list entries.
pub(super) const ALL: &[(&str, &[&str])] = &[
    ("", ROOT),
    ("server", SERVER),
    ("store", STORE),
    ("admin", ADMIN),
    ("admin.bootstrap_token", SECRET),
    ("sources", SOURCE),
    ("sources.secrets", SIGNING_KEY),
    ("zoho", ZOHO),
    ("organizations", ORGANIZATION),
    ("organizations.portal", PORTAL),
    ("organizations.zoho", ZOHO),
    ("organizations.scope", SCOPE),
    ("organizations.scope.include", MATCHER),
    ("organizations.scope.exclude", EXCLUDE),
    ("organizations.channels", CHANNEL),
    ("organizations.channels.when", MATCHER),
    ("organizations.assign_licence", MATCHER),
    ("organizations.watch", WATCH),
    ("organizations.billing", BILLING),
    ("guard", GUARD),
    ("invitations", INVITATIONS),
    ("schedule", SCHEDULE),
    ("mail", MAIL),
    ("budgets", BUDGETS),
];

/// Keys that nobody may set, each with the rule that forbids it: in whatever table somebody tries.
pub(super) const FORBIDDEN: &[(&str, &str)] = &[
    ("add_external", DOOR),
    ("add_users", DOOR),
    ("mfa", POLICY),
    ("require_mfa", POLICY),
    ("policy", POLICY),
    ("policies", POLICY),
    ("user_policies", POLICY),
    ("allowed_ips", POLICY),
    ("config_push", POLICY),
    ("push_config", POLICY),
    ("role", ROLE),
    ("roles", ROLE),
    ("set_role", ROLE),
    ("assign_role", ROLE),
    ("cliq_role", ROLE),
    ("team", TEAM),
    ("teams", TEAM),
    ("team_ids", TEAM),
    ("add_to_team", TEAM),
    ("team_channel", TEAM),
    ("team_channels", TEAM),
    (
        "level",
        "a channel's level is not in the file, the run sees it in Cliq; a team channel never takes \
         an external user (R27, R28); remove the key",
    ),
    ("fields", FIELDS),
    ("field_map", FIELDS),
    ("field_mapping", FIELDS),
    ("update_fields", FIELDS),
    ("profile_fields", FIELDS),
    ("sync_fields", FIELDS),
    ("remove_if_inactive", INACTIVE),
    ("restrict_if_inactive", INACTIVE),
    ("inactive_after", INACTIVE),
    ("inactivity", INACTIVE),
    ("external_contacts", INVITER),
    ("inviter", INVITER),
];
const DOOR: &str = "nobody is added through Cliq or its admin panel (R7, R31): CRM Plus is the only \
                    door; write organizations.portal";
const POLICY: &str = "the organization's configurations, MFA, policies and allowed IPs do not apply \
                      to external users (R20, R21, R22, R23), so nothing is pushed to them; remove \
                      the key. GET /api/v1/compliance lists who is outside";
const TEAM: &str = "an external user cannot be part of a team or of a team channel (R27, R28); \
                    remove the key";
const ROLE: &str = "Cliq assigns external users a fixed role that admins cannot change (R24, R25); \
                    remove the key";
const FIELDS: &str = "which fields of an external user may be updated is not told by any API (R32), \
                      so the bridge writes none; remove the key";
const INACTIVE: &str = "Cliq shows no login activity of external users (R34), so nobody can be \
                        removed for it; remove the key";
const INVITER: &str = "an external user cannot add external contacts or people to external channels \
                       (R35, R36): the OAuth user of the organization invites; remove the key";
