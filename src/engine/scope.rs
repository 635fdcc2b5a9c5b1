//! Whether what the configuration means for people is what was approved (I10, I11).
//!
//! The first configuration seen of an organization is approved. Any other one makes its runs
//! plan-only until one of them is approved; nobody loses anything meanwhile, by a webhook neither, and
//! nobody is invited whom the approved one had not brought into the ledger.
//! Deliberately absent: reading the configuration, and comparing two of them in words.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Engine, Host};
use crate::domain::OrgId;
use crate::domain::letter::Notice;
use crate::domain::plan::Hold;
use crate::domain::policy::{ExternalWhen, Matcher};
use crate::logic::seal;
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, orgs, told};

/// Says of which form the settings are; another form would make every organization plan-only.
const FORM: u32 = 1;

/// What administrators were last told of: settings that are not approved.
const WHAT: &str = "scope";

impl Engine {
    /// At a start: what is seen for the first time is approved, and a change is told once.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_scopes(&self) -> Result<(), StoreError> {
        let (engine, now) = (self.clone(), self.now());
        self.inner
            .store
            .write("note scopes", move |tx| {
                for (id, seen) in &engine.inner.scopes {
                    let approved = orgs::approved_scope(tx, id)?;
                    if approved.is_none() {
                        orgs::approve_scope(tx, id, seen)?;
                    }
                    let differs = approved.is_some_and(|approved| approved != *seen);
                    let about = if differs { seen.as_str() } else { "" };
                    let news = told::last(tx, id, WHAT)?.unwrap_or_default() != about;
                    if news {
                        told::note(tx, id, WHAT, about)?;
                    }
                    if differs {
                        tracing::warn!(organization = %id, "the scope changed: plan-only");
                    }
                    if differs && news {
                        engine.tell_admins(tx, id, &changed(id, seen), Cause::default(), now)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Whether the configuration means something for people that nobody has approved.
    pub(super) fn is_unapproved(&self, tx: &Tx<'_>, id: &OrgId) -> Result<bool, StoreError> {
        let approved = orgs::approved_scope(tx, id)?;
        Ok(approved.is_some_and(|approved| self.inner.scopes.get(id) != Some(&approved)))
    }

    /// What holds a run over the whole organization back, whatever is in it.
    pub(super) fn whole_hold(&self, tx: &Tx<'_>, host: &Host) -> Result<Option<Hold>, StoreError> {
        if host.holds_first_run() && !orgs::had_a_run(tx, host.id())? {
            return Ok(Some(Hold::FirstRun));
        }
        Ok(self.is_unapproved(tx, host.id())?.then_some(Hold::Scope))
    }

    /// What the configuration means now, as a checksum.
    pub(super) fn scope_seen(&self, id: &OrgId) -> String {
        self.inner.scopes.get(id).cloned().unwrap_or_default()
    }

    /// Notes that what the configuration means now was approved.
    pub(super) fn approve_scope(&self, tx: &Tx<'_>, id: &OrgId) -> Result<(), StoreError> {
        orgs::approve_scope(tx, id, &self.scope_seen(id))
    }
}

fn changed(organization: &OrgId, seen: &str) -> Notice {
    Notice {
        title: format!(
            "The scope of {organization} changed ({})",
            seen.get(..8).unwrap_or_default()
        ),
        body: format!(
            "scope, channels, internal_domains or what tells external people apart differs from \
             what was approved. Until you approve it, runs only plan, and webhooks neither take \
             access from anybody nor invite anybody new. Look at it: cliqbridge plan --organization \
             {organization}. Then resync the organization and approve the run \
             that is held: cliqbridge approve RUN. If the change was not meant, undo it and restart."
        ),
    }
}

/// A checksum over everything in the configuration that decides who is meant by what.
pub(super) fn seen(host: &Host) -> String {
    let settings = &host.settings;
    let channels: Vec<Value> = settings
        .channels
        .iter()
        .map(|mapped| {
            json!({
                "channel": mapped.channel, "when": matcher(&mapped.when),
                "internals": mapped.internals,
            })
        })
        .collect();
    let evidence: Vec<&str> = settings.external_when.iter().map(|one| word(*one)).collect();
    let all = json!({
        "form": FORM,
        "include": settings.include.as_ref().map(matcher),
        "exclude": matcher(&settings.exclude),
        "channels": sorted(channels),
        "internal_domains": settings.internal_domains,
        "external_when": evidence,
        "external_user_types": settings.external_user_types,
        "cliq_org": settings.cliq_org,
        "zoid": settings.zoid,
        "mirror_unconfirmed": settings.mirror_unconfirmed,
    });
    seal::digest(&seal::canonical(&all))
}

/// The order of the tables in the file means nothing.
fn sorted(mut channels: Vec<Value>) -> Vec<Value> {
    channels.sort_by_key(seal::canonical);
    channels
}

fn word(evidence: ExternalWhen) -> &'static str {
    match evidence {
        ExternalWhen::OrganizationId => "organization_id",
        ExternalWhen::Zoid => "zoid",
        ExternalWhen::UserType => "user_type",
    }
}

fn matcher(matcher: &Matcher) -> Value {
    let emails: BTreeSet<&str> = matcher.email.iter().map(crate::domain::Email::as_str).collect();
    json!({
        "all": matcher.all, "profile": matcher.profile, "role": matcher.role,
        "domain": matcher.domain, "email": emails,
    })
}
