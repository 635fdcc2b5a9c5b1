//! What changes about a whole organization: plans, pools, policies, integrations, the OAuth grant.
//!
//! Deliberately absent: what a plan does to licences; `licences` knows that.

use serde::Deserialize;

use super::acts::{Done, body, organization};
use super::entries::{CliqPlan, Integration};
use super::journal::{Entry, Kind};
use super::licences;
use super::membership;
use super::state::State;
use super::wire::{Reply, Request};
use crate::domain::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrganizationPatch {
    paid_type: Option<String>,
    cliq_plan: Option<CliqPlan>,
    refresh_token_valid: Option<bool>,
    external_collaboration: Option<bool>,
    paid_licences: Option<usize>,
    crm_licences: Option<usize>,
    users_license_purchased: Option<u32>,
    mfa: Option<bool>,
    policies: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
    integrations: Option<Vec<Integration>>,
}

/// `PATCH /sandbox/organizations/{org}`: absent keys stay as they are.
pub(super) fn patch(state: &mut State, org: &str, request: &Request, now: Timestamp) -> Done {
    let patch: OrganizationPatch = body(request)?;
    let host = organization(state, org)?;
    if let Some(valid) = patch.refresh_token_valid {
        host.tokens.set_valid(valid);
    }
    let entry = &mut host.entry;
    entry.paid_licences = patch.paid_licences.or(entry.paid_licences);
    entry.crm_licences = patch.crm_licences.or(entry.crm_licences);
    entry.users_license_purchased = patch.users_license_purchased.or(entry.users_license_purchased);
    entry.mfa = patch.mfa.unwrap_or(entry.mfa);
    if let Some(policies) = patch.policies {
        entry.policies = policies;
    }
    if let Some(allowed_ips) = patch.allowed_ips {
        entry.allowed_ips = allowed_ips;
    }
    if let Some(integrations) = patch.integrations {
        entry.integrations = integrations;
    }
    if let Some(plan) = patch.cliq_plan {
        licences::switch_plan(host, plan);
    }
    if let Some(paid_type) = patch.paid_type {
        host.entry.paid_type = paid_type;
        if host.is_downgraded() && host.entry.cliq_plan == CliqPlan::Paid {
            membership::downgrade(host);
        }
    }
    licences::fit(host, false);
    match patch.external_collaboration {
        Some(true) => drop(state.realm.closed.remove(org)),
        Some(false) => drop(state.realm.closed.insert(org.to_owned())),
        None => {}
    }
    let entry = Entry::new(Kind::Act, "act.organization.change", now).of(org).about(org);
    state.journal.record(entry);
    Ok(Reply::empty(204))
}
