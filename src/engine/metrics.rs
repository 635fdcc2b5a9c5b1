//! The numbers that a monitoring system draws: what was counted since the store was made, and what
//! stands now.
//!
//! Counters are counted in the transactions that do the things, so they agree with what happened and
//! survive a restart. Deliberately absent: the text they are written in, and anything by person.

use super::Engine;
use crate::domain::budget::Group;
use crate::domain::{OrgId, Timestamp};
use crate::store::inbox::Tally;
use crate::store::{StoreError, Tx, counters, hints, inbox, ledger, orgs, outbox, pauses, runs};

/// A counter's labels by their order, and its value.
pub type Counted = Vec<(Vec<String>, i64)>;

/// The numbers.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// How webhooks were answered.
    pub deliveries: Tally,
    /// Refused webhooks by class.
    pub rejected: Counted,
    /// Outbox rows that ended at their turn, by operation and outcome.
    pub actions: Counted,
    /// Finished runs by state.
    pub runs: Counted,
    /// Budgeted calls by endpoint group.
    pub calls: Counted,
    /// Locks met by endpoint group.
    pub locks: Counted,
    /// Unfinished runs by state.
    pub open_runs: Vec<(String, i64)>,
    /// Open hints, and of these those that wait for a row that was announced.
    pub hints: (i64, i64),
    /// The outbox as it stands.
    pub outbox: outbox::Tally,
    /// Each organization.
    pub organizations: Vec<OrganizationNumbers>,
}

/// The numbers of one organization.
#[derive(Clone, Debug)]
pub struct OrganizationNumbers {
    /// Its configured id.
    pub organization: String,
    /// Seconds since the oldest open hint came.
    pub oldest_hint: Option<u64>,
    /// Seconds since a run over all of it ended well.
    pub since_good_run: Option<u64>,
    /// Whether the silence since its last good run is an alarm.
    pub no_good_run: bool,
    /// Whether it is left alone for its credentials.
    pub quarantined: bool,
    /// Whether nothing is written there.
    pub paused: bool,
    /// Endpoint groups that are locked.
    pub locked: Vec<Group>,
    /// Memberships by state.
    pub memberships: Vec<(String, i64)>,
}

impl Engine {
    /// Reads all numbers at one moment.
    pub async fn numbers(&self) -> Result<Numbers, StoreError> {
        // Refused webhooks are written now and then; now is a good time.
        self.flush_refused().await?;
        let engine = self.clone();
        self.inner.store.read(move |tx| engine.numbers_in(tx)).await
    }

    fn numbers_in(&self, tx: &Tx<'_>) -> Result<Numbers, StoreError> {
        let family = |name: &str| -> Result<Counted, StoreError> {
            let rows = counters::family(tx, name)?;
            let labels = |text: &str| text.split('/').map(str::to_owned).collect();
            Ok(rows.into_iter().map(|(text, value)| (labels(&text), value)).collect())
        };
        let oldest = hints::oldest(tx)?;
        let memberships = ledger::tally(tx)?;
        let now = self.now();
        let age = |at: Timestamp| now.since(at).as_secs();
        let mut organizations = Vec::new();
        for host in self.inner.hosts.values() {
            let id: &OrgId = host.id();
            organizations.push(OrganizationNumbers {
                organization: id.to_string(),
                oldest_hint: oldest
                    .iter()
                    .find(|(organization, _)| organization == id.as_str())
                    .map(|(_, at)| age(*at)),
                since_good_run: orgs::good_run(tx, id)?.map(|(at, _)| age(at)),
                no_good_run: self.silence(tx, id)?.is_alarm(now),
                quarantined: orgs::state(tx, id)?.quarantined.is_some(),
                paused: pauses::holds(tx, id)?,
                locked: host.locks().into_iter().map(|(group, _)| group).collect(),
                memberships: memberships
                    .iter()
                    .filter(|(organization, _, _)| organization == id.as_str())
                    .map(|(_, state, count)| (state.clone(), *count))
                    .collect(),
            });
        }
        Ok(Numbers {
            deliveries: inbox::tally(tx)?,
            rejected: family("rejected")?,
            actions: family("action")?,
            runs: family("run")?,
            calls: family("call")?,
            locks: family("lock")?,
            open_runs: runs::open_by_state(tx)?,
            hints: hints::open(tx)?,
            outbox: outbox::tally(tx)?,
            organizations,
        })
    }
}
