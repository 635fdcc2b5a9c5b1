//! From configuration to engine: accounts, clients, policies; and the one wire between Zoho's
//! budgets and the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Patience;
use crate::clock::Clock;
use crate::config::{Config, OnFreeDowngrade, Organization, Portal};
use crate::domain::budget::Group;
use crate::domain::policy::{Limits, Policy, Timing};
use crate::domain::{BootId, Secret};
use crate::engine::{Engine, Host, Parts, Settings};
use crate::mail::Mailer;
use crate::store::{Store, StoreError, manners};
use crate::zoho::portal::Door;
use crate::zoho::{
    Account, Gate, Http, Record, RecordError, Recorder, Remembered, cliq, crm, portal,
};

/// Seconds of a day, for `store.keep_days`.
const DAY: Duration = Duration::from_hours(24);

/// What [`engine`] makes.
pub(super) struct Wired {
    /// The engine.
    pub(super) engine: Engine,
    /// Every credential once.
    pub(super) accounts: Vec<Arc<Account>>,
}

/// Builds the engine.
pub(super) async fn engine(
    config: Config,
    store: Store,
    (clock, patience): (Arc<dyn Clock>, Patience),
    boot: BootId,
    key: Secret,
) -> anyhow::Result<Wired> {
    let http = Http::within(Arc::clone(&clock), patience.call)?;
    let mailer = Mailer::within(&config.mail, patience.letter)?;
    let settings = Settings {
        queue_limit: i64::from(config.server.queue_limit),
        letters_per_hour: config.mail.per_hour,
        admins: config.mail.admins.clone(),
        send_invitations: config.invitations.send,
        timing: Timing {
            expire_after: config.invitations.expire_after,
            signup_expire_after: config.invitations.signup_expire_after,
            reminders: config.invitations.reminders,
            remind_every: config.invitations.remind_every,
            overdue_after: config.invitations.overdue_after,
            readd_cooldown: config.invitations.readd_cooldown,
            quiet_hours: config.invitations.quiet_hours,
            time_zone: config.schedule.time_zone,
        },
        limits: Limits {
            max_removals: config.guard.max_removals,
            max_percent: config.guard.max_percent,
            max_invites: config.guard.max_invites,
            window: config.guard.window,
        },
        schedule: config.schedule.clone(),
        public_url: config.server.public_url.clone(),
        keep: DAY * config.store.keep_days,
    };
    let recorder = recorder(store.clone());
    let mut accounts: BTreeMap<String, Arc<Account>> = BTreeMap::new();
    let mut hosts = Vec::new();
    for organization in &config.organizations {
        let credential = organization.zoho.credential.clone();
        let account = if let Some(account) = accounts.get(&credential) {
            Arc::clone(account)
        } else {
            let account = Arc::new(Account::new(
                http.clone(),
                &organization.zoho,
                config.budget_scale,
                remembered(&store, &credential).await?,
                Arc::clone(&recorder),
                Arc::clone(&clock),
            ));
            accounts.insert(credential, Arc::clone(&account));
            account
        };
        let portal = door(&config, organization, &store, &recorder, &http, &clock).await?;
        hosts.push(host(&config, organization, account, portal));
    }
    let engine = Engine::new(Parts {
        store,
        clock,
        mailer,
        hosts,
        sources: config.sources,
        settings,
        boot,
        key,
    });
    Ok(Wired { engine, accounts: accounts.into_values().collect() })
}

fn host(
    config: &Config,
    organization: &Organization,
    account: Arc<Account>,
    portal: Option<portal::Client>,
) -> Host {
    let join_url = config.invitations.join_url.as_ref().unwrap_or(&organization.zoho.cliq_url);
    Host {
        policy: Policy {
            organization: organization.id.clone(),
            cliq_org: organization.cliq_org.clone(),
            zoid: organization.zoid.clone(),
            external_when: organization.external_when.clone(),
            external_user_types: organization.external_user_types.clone(),
            internal_domains: organization.internal_domains.clone(),
            include: organization.include.clone(),
            exclude: organization.exclude.clone(),
            mirror_unconfirmed: organization.mirror_unconfirmed,
            portal_adds: portal.is_some(),
            cliq_plan: organization.cliq_plan,
            restrict_on_free_downgrade: organization.on_free_downgrade == OnFreeDowngrade::Restrict,
            grace: config.guard.grace,
            remove_after: config.guard.remove_after,
            expire_after: config.invitations.expire_after,
            readd_cooldown: config.invitations.readd_cooldown,
        },
        crm: crm::Client::new(Arc::clone(&account), &organization.zoho),
        cliq: cliq::Client::new(Arc::clone(&account), &organization.zoho),
        account,
        portal,
        join_url: join_url.to_string(),
        settings: organization.clone(),
    }
}

async fn door(
    config: &Config,
    organization: &Organization,
    store: &Store,
    recorder: &Recorder,
    http: &Http,
    clock: &Arc<dyn Clock>,
) -> Result<Option<portal::Client>, StoreError> {
    let Portal::Function { url, key, header, per_minute } = &organization.portal else {
        return Ok(None);
    };
    // Named by where it is and by its key: a lock that a wrong one earned ends with the mending.
    let digest = Sha256::new().chain_update(url.as_str()).chain_update(key.expose()).finalize();
    let credential = format!("portal:{}:{}", organization.id, hex::encode(&digest[..8]));
    let gate = Gate::new(
        credential.clone(),
        config.budget_scale,
        BTreeMap::from([(Group::Portal, *per_minute)]),
        remembered(store, &credential).await?.budgets,
        Arc::clone(recorder),
        Arc::clone(clock),
    );
    let door = Door { url: url.clone(), key: key.clone(), header: header.clone() };
    Ok(Some(portal::Client::new(http.clone(), door, Arc::new(gate), Arc::clone(clock))))
}

async fn remembered(store: &Store, credential: &str) -> Result<Remembered, StoreError> {
    let credential = credential.to_owned();
    store
        .read(move |tx| {
            Ok(Remembered {
                budgets: manners::budgets(tx, &credential)?,
                token: manners::token(tx, &credential)?,
            })
        })
        .await
}

/// Every record is on disk before the call it announces is sent: an unclean stop forgets no call.
fn recorder(store: Store) -> Recorder {
    Arc::new(move |record| {
        let store = store.clone();
        Box::pin(async move {
            store
                .write("manners", move |tx| match &record {
                    Record::Call { credential, group, at } => {
                        manners::call(tx, credential, *group, *at)
                    }
                    Record::Refresh { credential, at } => {
                        manners::call(tx, credential, Group::Token, *at)
                    }
                    Record::Lock { credential, group, until } => {
                        manners::lock(tx, credential, *group, *until)
                    }
                    Record::Token { credential, access_token, expires_at } => {
                        manners::put_token(tx, credential, access_token, *expires_at)
                    }
                })
                .await
                .map_err(|error| RecordError(error.to_string()))
        })
    })
}
