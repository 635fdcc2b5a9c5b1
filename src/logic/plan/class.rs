//! Telling a Cliq row apart: Internal if any evidence says home, External if one says foreign and
//! none says home, else Unknown, and untouchable (R6, R29; design section 11, "Identity").

use crate::domain::policy::{ExternalWhen, Policy};
use crate::domain::shared::Shared;
use crate::domain::{Class, CliqUser};

/// The class of one Cliq row.
pub fn classify(policy: &Policy, row: &CliqUser) -> Class {
    let mut foreign = false;
    if is_of_the_house(policy, row) {
        return Class::Internal;
    }
    for evidence in &policy.external_when {
        match says(policy, *evidence, row) {
            Some(false) => return Class::Internal,
            Some(true) => foreign = true,
            None => {}
        }
    }
    if foreign { Class::External } else { Class::Unknown }
}

/// What [`classify`] goes by, one clause for each evidence that says anything.
pub fn evidence(policy: &Policy, row: &CliqUser) -> Vec<String> {
    let mut clauses = Vec::new();
    if is_of_the_house(policy, row) {
        clauses.push("internal_domains has its domain".to_owned());
    }
    for evidence in &policy.external_when {
        let Some(foreign) = says(policy, *evidence, row) else { continue };
        let theirs = |value: &Option<Shared>| value.as_deref().unwrap_or_default().to_owned();
        let whose = if foreign { "another organization's" } else { "our own" };
        clauses.push(match evidence {
            ExternalWhen::OrganizationId => {
                format!("organization_id {} is {whose}", theirs(&row.organization_id))
            }
            ExternalWhen::Zoid => format!("zoid {} is {whose}", theirs(&row.zoid)),
            ExternalWhen::UserType => {
                format!("external_user_types has user_type {}", theirs(&row.user_type))
            }
        });
    }
    clauses
}

fn is_of_the_house(policy: &Policy, row: &CliqUser) -> bool {
    row.email.as_ref().is_some_and(|email| policy.internal_domains.contains(email.domain()))
}

/// Whether one evidence says foreign; `None` when it says nothing.
fn says(policy: &Policy, evidence: ExternalWhen, row: &CliqUser) -> Option<bool> {
    match evidence {
        ExternalWhen::OrganizationId => {
            row.organization_id.as_deref().map(|theirs| theirs != policy.cliq_org)
        }
        ExternalWhen::Zoid => match (row.zoid.as_deref(), policy.zoid.as_deref()) {
            (Some(theirs), Some(ours)) => Some(theirs != ours),
            _ => None,
        },
        ExternalWhen::UserType => row
            .user_type
            .as_deref()
            .filter(|word| policy.external_user_types.contains(*word))
            .map(|_| true),
    }
}
