//! What a webhook is worth: a delivery that is kept, and hints of where to look again.

use super::access::Subscription;
use super::ids::CrmUserId;

/// How a stored delivery was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Stored, and at least one hint follows from it.
    Accepted,
    /// Stored, but of a kind that means nothing to the bridge.
    Ignored,
}

impl DeliveryStatus {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Accepted, Self::Ignored].into_iter().find(|status| status.as_str() == word)
    }
}

/// Whom or what to look at again. The payload is never trusted beyond this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A CRM user of the organization.
    User {
        /// The stable key.
        id: CrmUserId,
        /// What the event claims has happened; decides only how an absent row is read.
        kind: HintKind,
    },
    /// The organization's CRM Plus subscription, with the state that the event proves.
    Subscription {
        /// The new state; unknown when the event does not tell.
        state: Subscription,
        /// What the plan is called now, where the state alone does not tell.
        named: Option<String>,
        /// The event's own words, for the audit row.
        detail: String,
    },
    /// Anybody of the organization: a notification that names no user. Worth one complete listing.
    Everybody,
    /// The organization's Cliq plan: only a notice, `cliq_plan` is the operator's to set.
    CliqPlan {
        /// The event's own words.
        detail: String,
    },
}

/// What a user event claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintKind {
    /// Added, activated or updated: the row should be there (the CRM lags its own event).
    Present,
    /// Removed or deactivated: the row may be gone.
    Leaving,
}

/// How a delivery names its organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgRef {
    /// By the CRM organization id (`organizations.crm_org`) or the configured id.
    Id(String),
    /// By Zoho Billing's customer id (`organizations.billing.customer_id`).
    BillingCustomer {
        /// `customer_id`, when the body has one.
        customer: Option<String>,
        /// `subscription_id`, when the body has one.
        subscription: Option<String>,
    },
    /// By the channel of its CRM watch, which the bridge numbered itself.
    WatchChannel(String),
    /// Not at all; the source's own `organization` stands in.
    Unnamed,
}

/// One place to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which organization, as the body names it.
    pub organization: OrgRef,
    /// Whom or what.
    pub subject: Subject,
}
