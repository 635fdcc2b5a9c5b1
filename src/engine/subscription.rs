//! The CRM Plus subscription of each organization: webhooks set it, CRM's licence details confirm
//! or contradict it, and what that means for external users (R13 to R19, G7, G8).
//!
//! Deliberately absent: licences of single people; `licences` has those.

use super::quarantine::Freeze;
use super::{Engine, Host};
use crate::domain::letter::Notice;
use crate::domain::run::Trigger;
use crate::domain::{Access, Failure, Membership, OrgId, Subscription, Timestamp};
use crate::engine::asked::{Asked, Requested};
use crate::logic::access::{self, Details, Weight};
use crate::store::audit::{self, Command, Entry};
use crate::store::outbox::Cause;
use crate::store::plans::{self, Plans, Reading};
use crate::store::{StoreError, Tx, told};
use crate::zoho::crm::CrmOrg;

/// Steps after which the bridge does not restrict a person again in the same downgrade: it was done
/// once, and whoever lifted it meant it.
const SETTLED_BY: &[&str] = &["restricted", "restored"];

/// Matters that administrators are told of once: the licence details cannot be read, …
const UNREADABLE: &str = "licence details";

/// … and they contradict what is believed.
const CONTRADICTED: &str = "plan contradicted";

/// A change of the subscription that is to be written down and told.
pub(super) struct PlanChange<'a> {
    /// What it was.
    pub(super) before: Subscription,
    /// What it is.
    pub(super) after: Subscription,
    /// Since when.
    pub(super) at: Timestamp,
    /// What said so.
    pub(super) detail: &'a str,
    /// The delivery that said so, if one did.
    pub(super) cause: Cause,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// What CRM's licence details say.
    pub says: Subscription,
    /// What is gone by now.
    pub subscription: Subscription,
    /// What that means.
    pub access: Access,
}

/// Why a command about an organization or a membership was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such thing.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Its state, or the mode of its organization, forbids it; the sentence says what to do.
    #[error("{0}")]
    Forbidden(String),
    /// Zoho did not answer, or not well.
    #[error("{0}")]
    Outside(Failure),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Reads CRM's licence details and weighs them against what is believed. A failed read says
    /// nothing about the plan.
    pub(super) async fn poll_plan(
        &self,
        host: &Host,
    ) -> Result<Result<Polled, Failure>, StoreError> {
        let org = match host.crm.org().await {
            Ok(org) => org,
            Err(error) => {
                match Freeze::of_call(&error) {
                    // A scope may be missing for this call alone: a run tells at once whether users
                    // can be read, and freezes the organization if not.
                    Some(Freeze::Credentials(..)) => {
                        self.reconcile(host.id()).await?;
                    }
                    Some(freeze) => self.quarantine(host, &freeze).await?,
                    None => {}
                }
                let failure = error.failure(self.now());
                self.note_failed_poll(host, &failure).await?;
                return Ok(Err(failure));
            }
        };
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let polled = self
            .inner
            .store
            .write("poll plan", move |tx| engine.weigh(tx, &organization, &org, now))
            .await?;
        self.wake_outbox(host.id());
        Ok(Ok(polled))
    }

    fn weigh(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        org: &CrmOrg,
        now: Timestamp,
    ) -> Result<Polled, StoreError> {
        let Some(host) = self.host(organization) else {
            return Err(StoreError::Unreadable("organization"));
        };
        let known = plans::of(tx, organization)?;
        let details = Details { paid: org.paid, paid_type: org.paid_type.as_deref() };
        let first = known.first_paid_type.as_deref();
        let types = &host.settings.crmplus_paid_types;
        let said = access::read(details, types, first, known.subscription);
        let reading = Reading {
            paid_type: details.paid_type,
            licences: org.licences,
            says: said.subscription,
            first: said.first,
        };
        let reads = plans::note_reading(tx, organization, &reading, now)?;
        note_licences_bought(tx, organization, known.crm_licences, org.licences, now)?;
        let believed = known.subscription;
        let detail = describe(org);
        let change = PlanChange {
            before: believed,
            after: said.subscription,
            at: now,
            detail: &detail,
            cause: Cause::default(),
        };
        told::end(tx, organization, UNREADABLE)?;
        let weight = access::weigh(believed, said.subscription, reads);
        if weight != Weight::Contradicts && reads >= access::READS_NEEDED {
            told::end(tx, organization, CONTRADICTED)?;
        }
        match weight {
            Weight::Nothing => {}
            Weight::Confirms => {
                let reason = format!("Confirmed: {detail}");
                note(tx, organization, "downgrade_confirmed", &reason, None, now)?;
            }
            Weight::Contradicts => self.tell_contradiction(tx, host, &change, now)?,
            Weight::Prevails => {
                plans::set_subscription(tx, organization, said.subscription, now)?;
                // A contradiction was told when it was first read.
                let told = believed != Subscription::Unknown;
                self.book_plan_change(tx, host, &change, !told, now)?;
            }
        }
        let plans = plans::of(tx, organization)?;
        let (subscription, access) = (plans.subscription, access_of(host, &plans));
        Ok(Polled { says: said.subscription, subscription, access })
    }

    /// Writes a change of the subscription down, and tells it unless `quietly`.
    pub(super) fn book_plan_change(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        change: &PlanChange<'_>,
        tell: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let PlanChange { before, after, at, detail, cause } = *change;
        let organization = host.id();
        let entry = Entry {
            organization,
            membership: None,
            actor: "bridge",
            event: "subscription",
            reason: detail,
            before: Some(before.as_str().into()),
            after: Some(after.as_str().into()),
            cause,
            action: None,
        };
        audit::record(tx, &entry, now)?;
        if !tell || (before, after) == (Subscription::Unknown, Subscription::Active) {
            return Ok(());
        }
        let notice = Notice {
            // The time makes each change news, however often the plan goes to and fro.
            title: format!(
                "The CRM Plus subscription of {organization} is {after} since {}",
                at.to_utc().format("%Y-%m-%d %H:%M:%S UTC")
            ),
            body: format!("{detail}\nIt was {before} before. {}", outlook(host, after)),
        };
        self.tell_admins(tx, organization, &notice, cause, now)
    }

    fn tell_contradiction(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        change: &PlanChange<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (organization, before, after) = (host.id(), change.before, change.after);
        let reason = format!("CRM says {after}, believed is {before}: {}", change.detail);
        note(tx, organization, "subscription_contradicted", &reason, None, now)?;
        let notice = Notice {
            title: format!("CRM's licence details say that {organization} is {after}"),
            body: format!(
                "{}\ncliqbridge goes by {before} so far. If the next read agrees, it goes by \
                 {after} from then on. {} If this paid type is CRM Plus after all, list it in \
                 `crmplus_paid_types` of this organization.",
                change.detail,
                outlook(host, after)
            ),
        };
        self.tell_once(tx, organization, (CONTRADICTED, after.as_str()), &notice, now)
    }

    /// What an unreadable plan means is that nothing is known; missing rights are worth a word.
    async fn note_failed_poll(&self, host: &Host, failure: &Failure) -> Result<(), StoreError> {
        let organization = host.id().clone();
        tracing::warn!(%organization, error = %failure, "the licence details were not read");
        let Failure::Unauthorized { detail } = failure else { return Ok(()) };
        let notice = Notice {
            title: format!("The licence details of {organization} cannot be read"),
            body: format!(
                "{detail}\nWithout them a downgrade is known from webhooks alone. Check that the \
                 refresh token has the scope ZohoCRM.org.READ (accounts.zoho, API console)."
            ),
        };
        let (engine, now) = (self.clone(), self.now());
        self.inner
            .store
            .write("failed poll", move |tx| {
                engine.tell_once(tx, &organization, (UNREADABLE, ""), &notice, now)
            })
            .await?;
        self.wake_outbox(host.id());
        Ok(())
    }

    /// Polls an organization's plan now, for an operator.
    ///
    /// # Errors
    /// [`Refused`], without [`Refused::Forbidden`].
    pub async fn poll_plan_now(&self, organization: &str, by: &str) -> Result<Polled, Refused> {
        let host = self.named_host(organization)?;
        let polled = self.poll_plan(host).await?.map_err(Refused::Outside)?;
        let (id, by, now) = (host.id().clone(), by.to_owned(), self.now());
        let command = move |tx: &Tx<'_>| {
            let reason = format!("The licence details of {id} were read.");
            Command { organization: Some(&id), ..Command::by(&by, "plan_polled", &reason) }
                .record(tx, now)
        };
        self.inner.store.write("poll plan asked", command).await?;
        Ok(polled)
    }

    /// An operator confirms the downgrade, so that the standing choice `restrict` takes effect; the
    /// run that carries it out is opened at once.
    ///
    /// # Errors
    /// [`Refused::Forbidden`] when there is nothing to approve.
    pub async fn approve_downgrade(
        &self,
        organization: &str,
        by: &str,
    ) -> Result<Requested, Refused> {
        let host = self.named_host(organization)?;
        let id = host.id().clone();
        let (engine, now, actor) = (self.clone(), self.now(), by.to_owned());
        let forbidden = self
            .inner
            .store
            .write("approve downgrade", move |tx| {
                let Some(host) = engine.host(&id) else { return Ok(None) };
                let plans = plans::of(tx, &id)?;
                let forbidden = nothing_to_approve(host, plans.subscription);
                if forbidden.is_none() {
                    let fresh = plans::approve_downgrade(tx, &id)?;
                    let reason = if fresh {
                        "An operator confirmed the downgrade of CRM Plus."
                    } else {
                        "The downgrade of CRM Plus was confirmed once more."
                    };
                    let command = Command::by(&actor, "downgrade_approved", reason);
                    Command { organization: Some(&id), ..command }.record(tx, now)?;
                }
                Ok(forbidden)
            })
            .await?;
        if let Some(why) = forbidden {
            return Err(Refused::Forbidden(why));
        }
        let asked = Asked { organization: Some(host.id().to_string()), ..Asked::default() };
        self.resync(asked, Trigger::Manual).await.map_err(|error| match error {
            super::BadRequest::UnknownOrganization(_) => Refused::Missing("organization"),
            super::BadRequest::Store(error) => Refused::Store(error),
        })
    }

    /// The organization by its configured id or its CRM id.
    pub(super) fn named_host(&self, name: &str) -> Result<&Host, Refused> {
        self.inner
            .hosts
            .values()
            .find(|host| host.id().as_str() == name || host.settings.crm_org == name)
            .ok_or(Refused::Missing("organization"))
    }

    /// `observe` mode cannot restrict: the administrators are told once per downgrade.
    pub(super) fn tell_restrict_by_hand(
        &self,
        tx: &Tx<'_>,
        host: &Host,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let organization = host.id();
        let since = plans::of(tx, organization)?.since.unwrap_or(now);
        let notice = Notice {
            title: format!("Restrict the external users of {organization} in CRM Plus"),
            body: format!(
                "CRM Plus is downgraded and on_free_downgrade = \"restrict\", but in observe mode \
                 cliqbridge cannot restrict anybody. Do it in CRM Plus, Admin panel, Users. Who is \
                 in: cliqbridge memberships --organization {organization} --state joined"
            ),
        };
        let matter = ("restrict_by_hand", since.to_rfc3339());
        self.tell_once(tx, organization, (matter.0, &matter.1), &notice, now)
    }
}

/// What the plans mean, with what is known of the subscription.
pub(super) fn access_of(host: &Host, plans: &Plans) -> Access {
    let confirmed = access::is_confirmed(plans.read, plans.reads, plans.approved);
    access::decide(
        host.policy.cliq_plan,
        plans.subscription,
        host.policy.restrict_on_free_downgrade,
        confirmed,
    )
}

/// What the plans mean for one person: the organization's access, but nobody is restricted twice
/// by one downgrade.
pub(super) fn access_for(
    tx: &Tx<'_>,
    host: &Host,
    known: Option<&Membership>,
) -> Result<Access, StoreError> {
    let plans = plans::of(tx, host.id())?;
    let access = access_of(host, &plans);
    match (access, known, plans.since) {
        (Access::Restricted, Some(row), Some(since))
            if !row.restricted_by_bridge
                && audit::newest_of(tx, row.id, SETTLED_BY)?.is_some_and(|(at, _)| at >= since) =>
        {
            Ok(Access::Retained)
        }
        _ => Ok(access),
    }
}

fn outlook(host: &Host, after: Subscription) -> String {
    let policy = &host.policy;
    let restrict = policy.restrict_on_free_downgrade;
    access::outlook(policy.cliq_plan, after, restrict, policy.portal_adds)
        .replace("{id}", host.id().as_str())
}

/// Why an approval would change nothing, if so.
fn nothing_to_approve(host: &Host, subscription: Subscription) -> Option<String> {
    let id = host.id();
    if subscription != Subscription::Downgraded {
        return Some(format!(
            "There is no downgrade to approve: the subscription of {id} is {subscription}."
        ));
    }
    let policy = &host.policy;
    let access =
        access::decide(policy.cliq_plan, subscription, policy.restrict_on_free_downgrade, true);
    (access != Access::Restricted).then(|| {
        format!(
            "Nothing waits for an approval in {id}: a downgrade restricts nobody there by itself. \
             That takes cliq_plan = \"free\" with on_free_downgrade = \"restrict\"; for single \
             people there is `cliqbridge memberships restrict`."
        )
    })
}

/// The licence details in a sentence.
fn describe(org: &CrmOrg) -> String {
    let paid = org.paid.map_or("not said", |paid| if paid { "true" } else { "false" });
    let paid_type = org.paid_type.as_deref().unwrap_or("not said");
    format!("CRM's licence details: paid is {paid}, paid_type is {paid_type:?}.")
}

fn note_licences_bought(
    tx: &Tx<'_>,
    organization: &OrgId,
    before: Option<u32>,
    after: Option<u32>,
    now: Timestamp,
) -> Result<(), StoreError> {
    match (before, after) {
        (Some(before), Some(after)) if before != after => {
            let reason = "The number of CRM Plus licences has changed.";
            let change = (before.into(), after.into());
            note(tx, organization, "crm_licences_changed", reason, Some(change), now)
        }
        _ => Ok(()),
    }
}

/// An audit row about the organization itself.
fn note(
    tx: &Tx<'_>,
    organization: &OrgId,
    event: &str,
    reason: &str,
    change: Option<(serde_json::Value, serde_json::Value)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (before, after) = change.unzip();
    let entry = Entry {
        organization,
        membership: None,
        actor: "bridge",
        event,
        reason,
        before,
        after,
        cause: Cause::default(),
        action: None,
    };
    audit::record(tx, &entry, now)
}
