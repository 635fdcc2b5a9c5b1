//! Reads `[[organizations]]`, and checks them against each other.
//!
//! Deliberately absent: anything that only Zoho can answer, such as whether an id exists.

use std::collections::BTreeSet;

use super::address::{domain, function_url, is_loopback};
use super::keys;
use super::leaf;
use super::reader::{Section, unique};
use super::scope;
use super::secrets;
use super::sections::{CliqList, FirstRun, OnFreeDowngrade, Organization, Portal, Zoho};
use super::watch;
use super::zoho::{self, Layer};
use crate::domain::policy::ExternalWhen;
use crate::domain::{CliqPlan, OrgId};

/// Calls a minute to the operator's function; its own platform's limit is not ours to know.
const PER_MINUTE_DEFAULT: u32 = 60;
const PER_MINUTE_MAX: u32 = 10_000;

/// Seats; accepted up to far beyond any organization.
const LICENCES_MAX: u32 = 10_000_000;

const EXTERNAL_WHEN: &[(&str, ExternalWhen)] = &[
    ("organization_id", ExternalWhen::OrganizationId),
    ("zoid", ExternalWhen::Zoid),
    ("user_type", ExternalWhen::UserType),
];

/// What was read of all organizations.
pub(super) struct Organizations {
    /// The right ones.
    pub(super) all: Vec<Organization>,
    /// Every id that is written, right or wrong, for those who refer to it.
    pub(super) ids: Vec<String>,
    /// Whether every base address is loopback; `None` while one is wrong.
    pub(super) all_loopback: Option<bool>,
}

/// One organization as far as it could be read.
struct Draft<'a> {
    section: Section<'a>,
    zoho: Option<Zoho>,
    portal: Option<Portal>,
    organization: Option<Organization>,
}

impl Draft<'_> {
    fn is_loopback(&self) -> Option<bool> {
        let portal = match self.portal.as_ref()? {
            Portal::Observe => true,
            Portal::Function { url, .. } => is_loopback(url),
        };
        Some(portal && zoho::all_loopback(self.zoho.as_ref()?))
    }
}

/// Reads every organization over the top `[zoho]`.
pub(super) fn read_organizations(root: &Section<'_>) -> Organizations {
    let top = root.has("zoho").then(|| zoho::read_layer(root.section("zoho", keys::ZOHO)));
    let before = root.document.count();
    let sections = root.sections("organizations", keys::ORGANIZATION);
    if sections.is_empty() && before == root.document.count() {
        let advice = "missing; write at least one [[organizations]]".to_owned();
        root.document.note(0, "organizations", None, advice);
    }
    for key in ["id", "crm_org", "cliq_org"] {
        unique(&sections, key, "an organization");
    }
    let ids = sections.iter().filter_map(|section| section.entry("id"));
    let ids = ids.filter_map(|entry| entry.value.as_str().map(str::to_owned)).collect();
    let drafts: Vec<Draft<'_>> =
        sections.into_iter().map(|section| read_draft(section, top.as_ref())).collect();
    refuse_shared_credentials(&drafts);
    let loopback: Option<Vec<bool>> = drafts.iter().map(Draft::is_loopback).collect();
    Organizations {
        ids,
        all_loopback: loopback.map(|each| each.into_iter().all(|one| one)),
        all: drafts.into_iter().filter_map(|draft| draft.organization).collect(),
    }
}

/// One OAuth user administers one Cliq (design section 11, "Identity"); the sandbox is excepted.
fn refuse_shared_credentials(drafts: &[Draft<'_>]) {
    let mut seen: Vec<(&str, &Draft<'_>)> = Vec::new();
    for draft in drafts {
        let Some(zoho) = &draft.zoho else { continue };
        let other = seen.iter().find(|(credential, _)| *credential == zoho.credential);
        if let Some((_, other)) = other
            && !(draft.is_loopback().unwrap_or(false) && other.is_loopback().unwrap_or(false))
        {
            let id = other.section.entry("id").and_then(|id| id.value.as_str().map(str::to_owned));
            draft.section.fail(format!(
                "has the same Zoho credential as the organization {}; one OAuth user administers \
                 one Cliq, so write zoho = {{ refresh_token = {{ file = \"…\" }} }} of its own",
                id.unwrap_or_default()
            ));
        }
        seen.push((&zoho.credential, draft));
    }
}

fn read_draft<'a>(section: Section<'a>, top: Option<&Layer<'_>>) -> Draft<'a> {
    let own = section.has("zoho").then(|| zoho::read_layer(section.section("zoho", keys::ZOHO)));
    let zoho = zoho::resolve(&section, own.as_ref(), top);
    let portal = read_portal(&section);
    let organization = read_organization(&section, zoho.clone(), portal.clone());
    Draft { section, zoho, portal, organization }
}

/// Reads every key before asking whether all are right, so that each mistake is found.
fn read_organization(
    section: &Section<'_>,
    zoho: Option<Zoho>,
    portal: Option<Portal>,
) -> Option<Organization> {
    let id = section.required("id", "\"acme\"", leaf::slug);
    let name = section.required("name", "\"Acme Ltd\"", leaf::text);
    let crm_org = section.required("crm_org", "\"60001234\"", leaf::text);
    let cliq_org = section.required("cliq_org", "\"631836344\"", leaf::text);
    let zoid = section.optional("zoid", leaf::text);
    let internal_domains = read_internal_domains(section);
    let plans = [("free", CliqPlan::Free), ("paid", CliqPlan::Paid)];
    let cliq_plan = section.required("cliq_plan", "\"paid\"", leaf::choice(&plans));
    let first_run = [("apply", FirstRun::Apply), ("plan", FirstRun::Plan)];
    let first_run = section.or("first_run", FirstRun::Apply, leaf::choice(&first_run));
    let downgrade = [("retain", OnFreeDowngrade::Retain), ("restrict", OnFreeDowngrade::Restrict)];
    let downgrade = leaf::choice(&downgrade);
    let on_free_downgrade = section.or("on_free_downgrade", OnFreeDowngrade::Retain, downgrade);
    let bot = section.optional("bot", leaf::unique_name);
    let admin_channel = section.optional("admin_channel", leaf::unique_name);
    let cliq_list = [("passes", CliqList::ThreePasses), ("merged", CliqList::Merged)];
    let cliq_list = section.or("cliq_list", CliqList::ThreePasses, leaf::choice(&cliq_list));
    let mirror_unconfirmed = section.or("mirror_unconfirmed", false, leaf::flag);
    let external_when = read_external_when(section);
    let (include, exclude) = scope::read_scope(section);
    let channels = scope::read_channels(section);
    let billing = section.section("billing", keys::BILLING);
    let billing_customers = ids(&billing, "customer_id");
    let billing_subscriptions = ids(&billing, "subscription_id");
    let external_user_types = ids(section, "external_user_types");
    let crmplus_paid_types = ids(section, "crmplus_paid_types");
    let seats = |key| section.optional(key, leaf::number(0..=LICENCES_MAX));
    let (licences, cliq_licences) = (seats("licences"), seats("cliq_licences"));
    let assign_licence = scope::read_licensed(section);
    if let (Some(_), Some(Portal::Observe)) = (&assign_licence, &portal) {
        section.fail_at(
            "assign_licence",
            "needs portal = { mode = \"function\", … }; in observe mode licences are given in CRM \
             Plus, Admin panel, Users (R18)",
        );
    }
    let watch = watch::read_watch(section);
    Some(Organization {
        id: OrgId::new(id?),
        name: name?,
        crm_org: crm_org?,
        cliq_org: cliq_org?,
        zoid,
        internal_domains,
        cliq_plan: cliq_plan?,
        first_run,
        on_free_downgrade,
        bot,
        admin_channel,
        external_when,
        external_user_types,
        mirror_unconfirmed,
        cliq_list,
        portal: portal?,
        zoho: zoho?,
        include,
        exclude,
        channels,
        billing_customers,
        billing_subscriptions,
        crmplus_paid_types,
        licences,
        cliq_licences,
        assign_licence,
        watch,
    })
}

/// A list of identifiers; Zoho's are digits, so bare numbers are taken too.
fn ids(section: &Section<'_>, key: &str) -> BTreeSet<String> {
    section.list(key, leaf::text_or_integer).into_iter().collect()
}

/// Required: people of these domains are never touched. Empty only on purpose.
fn read_internal_domains(section: &Section<'_>) -> BTreeSet<String> {
    let none_allowed = section.or("allow_no_internal_domains", false, leaf::flag);
    let before = section.document.count();
    let domains: BTreeSet<String> = section.list("internal_domains", domain).into_iter().collect();
    if domains.is_empty() && !none_allowed && before == section.document.count() {
        const EXAMPLE: &str = "[\"acme.example\"], the domains of people who are never mirrored";
        if section.has("internal_domains") {
            section.fail_at(
                "internal_domains",
                "must not be empty; list the domains of people who are never mirrored, or write \
                 allow_no_internal_domains = true",
            );
        } else {
            section.missing("internal_domains", EXAMPLE);
        }
    }
    domains
}

/// All evidence counts unless told otherwise.
fn read_external_when(section: &Section<'_>) -> BTreeSet<ExternalWhen> {
    if !section.has("external_when") {
        return EXTERNAL_WHEN.iter().map(|(_, evidence)| *evidence).collect();
    }
    let before = section.document.count();
    let chosen = section.list("external_when", leaf::choice(EXTERNAL_WHEN));
    if chosen.is_empty() && before == section.document.count() {
        section.fail_at("external_when", "without evidence nobody is external; list at least one");
    }
    chosen.into_iter().collect()
}

/// `organizations.portal`; absent means `observe`.
fn read_portal(organization: &Section<'_>) -> Option<Portal> {
    if !organization.has("portal") {
        return Some(Portal::Observe);
    }
    let section = organization.section("portal", keys::PORTAL);
    let modes = [("observe", false), ("function", true)];
    let function = section.required("mode", "\"observe\" or \"function\"", leaf::choice(&modes));
    if function != Some(true) {
        let others = keys::PORTAL.iter().filter(|key| **key != "mode" && function.is_some());
        for key in others {
            section.fail_at(key, "is for mode = \"function\" only; remove it or change the mode");
        }
        return function.map(|_| Portal::Observe);
    }
    let url = section.required("url", "\"https://functions.example/portal\"", function_url);
    let key = secrets::required(&section, "key").and_then(secrets::Found::into_text);
    let header = section.optional("header", leaf::header_name);
    let per_minute = section.or("per_minute", PER_MINUTE_DEFAULT, leaf::number(1..=PER_MINUTE_MAX));
    Some(Portal::Function { url: url?, key: key?, header, per_minute })
}
