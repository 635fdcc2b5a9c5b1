//! Telling a Cliq row apart: Internal if any evidence says home, External if one says foreign and
//! none says home, else Unknown, and untouchable (R6, R29; design section 11, "Identity").

use crate::domain::policy::{ExternalWhen, Policy};
use crate::domain::{Class, CliqUser};

/// The class of one Cliq row.
pub fn classify(policy: &Policy, row: &CliqUser) -> Class {
    let mut foreign = false;
    if row.email.as_ref().is_some_and(|email| policy.internal_domains.contains(email.domain())) {
        return Class::Internal;
    }
    for evidence in &policy.external_when {
        let says = match evidence {
            ExternalWhen::OrganizationId => {
                row.organization_id.as_ref().map(|theirs| *theirs != policy.cliq_org)
            }
            ExternalWhen::Zoid => match (&row.zoid, &policy.zoid) {
                (Some(theirs), Some(ours)) => Some(theirs != ours),
                _ => None,
            },
            ExternalWhen::UserType => row
                .user_type
                .as_ref()
                .filter(|word| policy.external_user_types.contains(*word))
                .map(|_| true),
        };
        match says {
            Some(false) => return Class::Internal,
            Some(true) => foreign = true,
            None => {}
        }
    }
    if foreign { Class::External } else { Class::Unknown }
}
