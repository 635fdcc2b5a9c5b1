//! One organization as the engine holds it: its policy, and its doors to Zoho.
//!
//! Hosts are independent failure domains (R39): nothing here is shared between two of them but a
//! credential, where the operator shares one.

use std::sync::Arc;

use crate::config::{CliqList, FirstRun, Organization};
use crate::domain::budget::Group;
use crate::domain::policy::Policy;
use crate::domain::{Email, OrgId, Timestamp};
use crate::zoho;

/// An organization with its clients.
#[derive(Clone)]
pub struct Host {
    /// Its configuration.
    pub settings: Organization,
    /// What the planner needs of it.
    pub policy: Policy,
    /// The credential: token and budgets.
    pub account: Arc<zoho::Account>,
    /// CRM.
    pub crm: zoho::crm::Client,
    /// Cliq.
    pub cliq: zoho::cliq::Client,
    /// The portal function; `None` in `observe` mode.
    pub portal: Option<zoho::portal::Client>,
    /// Where people join when the portal does not say.
    pub join_url: String,
}

impl Host {
    /// The organization's id.
    pub fn id(&self) -> &OrgId {
        &self.settings.id
    }

    /// The same organization, whose reads are counted on `meter`: calls of others are not.
    #[must_use]
    pub fn metered(&self, meter: &zoho::Meter) -> Self {
        self.through(self.account.metered(meter))
    }

    /// The same for a run: a failed read is tried three times, and a lock is waited out.
    #[must_use]
    pub fn for_run(&self, meter: &zoho::Meter) -> Self {
        self.through(self.account.metered(meter).patient())
    }

    fn through(&self, account: zoho::Account) -> Self {
        let account = Arc::new(account);
        Self {
            crm: self.crm.through(&account),
            cliq: self.cliq.through(&account),
            account,
            ..self.clone()
        }
    }

    /// Whether this organization is the home of the address (design section 11: a domain match is
    /// also a home there).
    pub fn is_home_of(&self, email: &Email) -> bool {
        self.policy.internal_domains.contains(email.domain())
    }

    /// The endpoint groups that Zoho has locked, and until when.
    pub(super) fn locks(&self) -> Vec<(Group, Timestamp)> {
        let mut locks = self.account.gate().locks();
        locks.extend(self.portal.iter().flat_map(|portal| portal.gate().locks()));
        locks
    }

    /// Whether Cliq is listed in three passes.
    pub fn passes(&self) -> bool {
        self.settings.cliq_list == CliqList::ThreePasses
    }

    /// Whether the first run is printed and held instead of carried out.
    pub fn holds_first_run(&self) -> bool {
        self.settings.first_run == FirstRun::Plan
    }
}
