//! The dry run: the reads and the plan of a run, and then nothing.
//!
//! It stops before the first transaction, so there is no flag that anything further down could
//! forget. What a run would write down before it plans is rehearsed on copies. Deliberately absent:
//! pause and quarantine; an operator may always look.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::channels::Preview;
use super::facts::{ReadError, Sides};
use super::outlook::{Outlook, Reading};
use super::people::internals_of;
use super::plan_views::{Lines, Whole};
use super::resync::nobody;
use super::{Asked, Engine, Host, plan_views};
use crate::domain::plan::Plan;
use crate::domain::{Failure, OrgId};
use crate::logic::seal;
use crate::store::{StoreError, Tx, people};
use crate::zoho::{Meter, Priority};

/// What a run writes down of its listings before it plans from them.
pub(super) const REHEARSED: &[&str] = &["channels", "internals"];

/// The plans of the organizations that were asked for.
#[derive(Debug)]
pub struct DryRun {
    /// One organization was named.
    one: bool,
    plans: Vec<Plan>,
    failed: Vec<(OrgId, String)>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum NotPlanned {
    /// No such organization.
    #[error("organization {0:?} is not configured")]
    UnknownOrganization(String),
    /// Nobody knows the person.
    #[error("{0}")]
    Nobody(String),
    /// Reading failed; nothing is planned from it.
    #[error("{0}")]
    Outside(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DryRun {
    /// As the admin API shows it, JSON: one plan, or all of them and what they have together.
    pub fn to_json(&self) -> String {
        let text = match (self.plans.as_slice(), self.one) {
            ([plan], true) => serde_json::to_string(&Whole(plan)),
            _ => serde_json::to_string(&Together(self)),
        };
        // Maps with text for keys: there is nothing that could not be written.
        text.unwrap_or_default()
    }

    /// What stands above the lines of all.
    fn head(&self) -> Value {
        let sum = |of: fn(&Plan) -> usize| -> usize { self.plans.iter().map(of).sum() };
        let calls = |of: fn(&Plan) -> u32| -> u32 { self.plans.iter().map(of).sum() };
        let guards = self
            .plans
            .iter()
            .map(|plan| (plan.organization.as_str().to_owned(), plan_views::guard(&plan.ruling)));
        let guards: serde_json::Map<String, Value> = guards.collect();
        let errors: Vec<Value> = self
            .failed
            .iter()
            .map(|(id, why)| json!({ "organization": id.as_str(), "error": why }))
            .collect();
        json!({
            "organization": null,
            "checksum": seal::over_all(self.plans.iter().map(|plan| plan.checksum.as_str())),
            "guard": guards,
            "counts": {
                "people": sum(|plan| usize::try_from(plan.counts.people).unwrap_or(usize::MAX)),
                "invitations": sum(|plan| plan.counts.invitations),
                "removals": sum(|plan| plan.counts.removals),
                "actions": sum(|plan| plan.free().count()),
                "held": sum(|plan| plan.held().count()),
                "foreign": sum(|plan| plan.foreign.count),
            },
            "calls_used": calls(|plan| plan.calls_used),
            "calls_needed": calls(|plan| plan.calls_needed),
            "errors": errors,
        })
    }
}

/// The plans of several organizations in one document.
struct Together<'a>(&'a DryRun);

impl Serialize for Together<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plans = self.0.plans.as_slice();
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.head().as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("actions", &Lines { plans, held: false, named: true })?;
        map.serialize_entry("held", &Lines { plans, held: true, named: true })?;
        map.serialize_entry("plans", &plans.iter().map(Whole).collect::<Vec<_>>())?;
        map.end()
    }
}

impl Engine {
    /// Reads and plans, and does nothing.
    ///
    /// # Errors
    /// [`NotPlanned`] when there is no plan of any organization.
    pub async fn dry_run(&self, asked: &Asked) -> Result<DryRun, NotPlanned> {
        let Some(organizations) = self.organizations(asked.organization.as_deref()) else {
            let name = asked.organization.clone().unwrap_or_default();
            return Err(NotPlanned::UnknownOrganization(name));
        };
        let one = asked.organization.is_some();
        let (mut plans, mut failed, mut strangers) = (Vec::new(), Vec::new(), Vec::new());
        for id in organizations {
            let Some(host) = self.host(&id) else { continue };
            let host = &host.metered(&Meter::default());
            match self.plan_only(host, asked.user.as_deref()).await {
                Ok(Some(plan)) => plans.push(plan),
                Ok(None) => strangers.push(nobody(&id)),
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(ReadError::Empty(what)) => failed.push((id, what.to_owned())),
                Err(ReadError::Call(error)) => {
                    let failure: Failure = error.failure(self.now());
                    failed.push((id, failure.to_string()));
                }
            }
        }
        if plans.is_empty() && !failed.is_empty() {
            let each: Vec<String> =
                failed.iter().map(|(id, why)| format!("{id} could not be read: {why}")).collect();
            return Err(NotPlanned::Outside(each.join("; ")));
        }
        if plans.is_empty() {
            return Err(NotPlanned::Nobody(strangers.join("; ")));
        }
        Ok(DryRun { one, plans, failed })
    }

    /// The plan of one organization; none, if it does not know the person.
    async fn plan_only(
        &self,
        host: &Host,
        person: Option<&str>,
    ) -> Result<Option<Plan>, ReadError> {
        let (reading, preview) = match person {
            None => self.preview_everybody(host).await?,
            Some(person) => {
                let reading = self.read_one(host, person, false).await?;
                let [user] = reading.people.as_slice() else {
                    if reading.people.is_empty() {
                        return Ok(None);
                    }
                    let outlook = self.rehearse(host, reading, Preview::default()).await?;
                    return Ok(Some(outlook.plan));
                };
                let preview = self.preview_members(host, &reading.sides, Some(user)).await?;
                (Reading { calls: host.account.calls(), ..reading }, preview)
            }
        };
        Ok(Some(self.rehearse(host, reading, preview).await?.plan))
    }

    async fn preview_everybody(&self, host: &Host) -> Result<(Reading, Preview), ReadError> {
        let sides = self.list(host, Priority::Run).await?;
        let preview = self.preview_members(host, &sides, None).await?;
        let people = self.everybody(host, &sides).await?;
        let calls = host.account.calls();
        Ok((Reading { sides, people, person: None, calls }, preview))
    }

    /// Plans as a run would, over copies of what it would have written down by now.
    async fn rehearse(
        &self,
        host: &Host,
        reading: Reading,
        preview: Preview,
    ) -> Result<Outlook, StoreError> {
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        self.inner
            .store
            .rehearse(REHEARSED, move |tx| {
                // A configured organization does not go away while the daemon runs.
                let host = engine.host(&organization).ok_or(StoreError::Gone)?;
                preview.rehearse(tx, &organization, now)?;
                rehearse_internals(tx, host, &reading.sides)?;
                let hold = engine.whole_hold(tx, host)?;
                engine.outlook(tx, host, &reading, hold.as_ref(), now)
            })
            .await
    }
}

/// What a complete listing would note of the organization's own people.
pub(super) fn rehearse_internals(
    tx: &Tx<'_>,
    host: &Host,
    sides: &Sides,
) -> Result<(), StoreError> {
    if !sides.complete {
        return Ok(());
    }
    let difference = people::compare(tx, host.id(), internals_of(host, sides))?;
    people::note_internals(tx, host.id(), &difference.put, &difference.gone)
}
