//! The ledger's row: one CRM user in one organization, and where the mirror of that person stands.

use super::access::Licence;
use super::email::Email;
use super::ids::{CliqId, CrmUserId, MembershipId, OrgId, Zuid};
use super::time::Timestamp;
use super::words::words;

/// Where a membership stands (design section 11, "States").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Should be an external member; not invited yet.
    Wanted,
    /// Invited, observed pending or known from the portal's answer.
    Invited,
    /// Observed active in Cliq. Never set from our own write (R11).
    Joined,
    /// Observed inactive in Cliq.
    Restricted,
    /// A joined member who is gone from Cliq although CRM still lists the person.
    Left,
    /// The person said no. Sticky.
    Declined,
    /// The invitation ran out by our clock.
    Expired,
    /// Zoho refuses to invite this person again.
    Blocked,
    /// Leaving: within the grace before removal.
    RemovalStaged,
    /// Taken out, or never put in.
    Removed,
}

/// How the bridge came to know the membership (design section 11, "Ownership").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own portal call made it.
    Made,
    /// Wanted in the ledger before Cliq showed the person.
    Expected,
    /// There before the bridge first looked. Not ours: no letter, never removed.
    Present,
    /// Taken over by an operator.
    Adopted,
}

/// A ledger row.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Row id.
    pub id: MembershipId,
    /// The host organization.
    pub organization: OrgId,
    /// The CRM user: with the organization, the mirror key.
    pub crm_user_id: CrmUserId,
    /// Zoho account id, once known.
    pub zuid: Option<Zuid>,
    /// The id under which Cliq showed the person, once seen.
    pub cliq_id: Option<CliqId>,
    /// Current address, canonical.
    pub email: Email,
    /// The address that was invited; differs from `email` after a rename (G2).
    pub invited_as: Option<Email>,
    /// First name for letters.
    pub first_name: String,
    /// Last name for letters.
    pub last_name: String,
    /// Who invited, as CRM's `created_by` says; empty when CRM does not.
    pub invited_by: String,
    /// Language tag from CRM; empty when unknown.
    pub language: String,
    /// IANA time zone from CRM; empty when unknown.
    pub time_zone: String,
    /// Where it stands.
    pub state: State,
    /// How we came to know it.
    pub origin: Origin,
    /// Whether the Cliq side is an external user, by our own portal call or by a fresh read.
    pub external: bool,
    /// Counts fresh starts: 1, then one more with each re-add or operator resend.
    pub generation: u32,
    /// Letters queued in this generation.
    pub sends: u32,
    /// Since when the row is in `state`.
    pub since: Timestamp,
    /// When the current invitation went out.
    pub invited_at: Option<Timestamp>,
    /// Where the portal said the person can join.
    pub join_url: Option<String>,
    /// When evidence of leaving was first seen, from whatever source.
    pub suspected_at: Option<Timestamp>,
    /// Since when complete CRM listings have been without the row; only such silence counts, and
    /// only after the grace.
    pub absent_since: Option<Timestamp>,
    /// Whether Cliq has shown the person in this generation; only who was seen can vanish.
    pub seen: bool,
    /// Since when complete Cliq listings have been without a person who was seen.
    pub unseen_since: Option<Timestamp>,
    /// The number of the last reminder that was sent or passed over in this generation.
    pub reminded: u32,
    /// Whether the administrators were told that `state` lasts too long.
    pub overdue_told: bool,
    /// The licence that Cliq last showed, where it is looked at (R17).
    pub licence: Option<Licence>,
    /// A paid licence was given once, or changed by an administrator: whatever becomes of it is the
    /// administrators' choice, and the policy list gives none (R18). A downgrade's flip clears it.
    pub licence_given: bool,
    /// Set while the bridge itself holds the person restricted, because CRM deactivated them or by
    /// the standing choice for a downgrade; only such rows are restored.
    pub restricted_by_bridge: bool,
    /// Why the access lane is parked, as a portal code (contract: "refused").
    pub parked: Option<String>,
}

impl Membership {
    /// Whether the bridge may ever take this membership away again.
    pub fn is_owned(&self) -> bool {
        matches!(self.origin, Origin::Made | Origin::Expected | Origin::Adopted)
    }

    /// Whether the person is supposed to be in the host's Cliq, or on the way there.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Wanted | State::Invited | State::Joined | State::Restricted)
    }
}

words!(State {
    Wanted = "wanted",
    Invited = "invited",
    Joined = "joined",
    Restricted = "restricted",
    Left = "left",
    Declined = "declined",
    Expired = "expired",
    Blocked = "blocked",
    RemovalStaged = "removal_staged",
    Removed = "removed",
});

words!(Origin { Made = "made", Expected = "expected", Present = "present", Adopted = "adopted" });
