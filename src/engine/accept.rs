//! Taking a verified webhook in: delivery and hints in one durable transaction, before the 200.

use std::sync::Mutex;
use std::time::Duration;

use super::subscription::PlanChange;
use super::{Desk, Engine};
use crate::domain::delivery::OrgRef;
use crate::domain::letter::Notice;
use crate::domain::{DeliveryId, DeliveryStatus, Hint, OrgId, Subject, Subscription, Timestamp};
use crate::logic::access;
use crate::logic::event::Event;
use crate::store::inbox::{self, NewDelivery, Rejected, Stored};
use crate::store::outbox::Cause;
use crate::store::{StoreError, Tx, hints, outbox, plans, told, watches};

/// How old the known depth of the queue may be before it is counted again …
const DEPTH_AGE_MAX: Duration = Duration::from_secs(1);

/// … and how old while the queue is full, so that it opens soon after it has drained.
const DEPTH_AGE_FULL: Duration = Duration::from_millis(200);

/// Refused requests waiting to be written; beyond this only their number is kept.
const REFUSED_MAX: usize = 512;

/// What a sender that meets a full queue is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A webhook whose signature held and whose body was read.
#[derive(Debug)]
pub struct Incoming {
    /// The source's name.
    pub source: String,
    /// Which key verified it.
    pub key_id: String,
    /// Hash of source and duplicate key.
    pub dedupe: [u8; 16],
    /// What the body says.
    pub event: Event,
    /// The raw body.
    pub body: Vec<u8>,
}

/// The answer to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Stored; hints follow.
    Accepted(DeliveryId),
    /// Stored before; this one was counted.
    Duplicate(DeliveryId),
    /// Stored; nothing follows.
    Ignored(DeliveryId),
}

/// Why a verified webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Too much is unfinished.
    #[error("the queue is full")]
    Full {
        /// When to come back.
        retry_after: Duration,
    },
    /// The store did not commit.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The number of unfinished rows: counted once a second, estimated in between.
#[derive(Default)]
pub(super) struct Depth(Mutex<(Option<Timestamp>, i64)>);

impl Depth {
    /// Whether the caller has to count. The first to ask is the only one told so.
    fn stale(&self, limit: i64, now: Timestamp) -> bool {
        let Ok(mut depth) = self.0.lock() else { return false };
        let age_max = if depth.1 < limit { DEPTH_AGE_MAX } else { DEPTH_AGE_FULL };
        // A clock that was set back makes the count stale too.
        let fresh = depth.0.is_some_and(|at| at <= now && now.since(at) < age_max);
        if !fresh {
            depth.0 = Some(now);
        }
        !fresh
    }

    /// Counts one delivery more; answers how many there were before it.
    fn take(&self) -> i64 {
        self.0.lock().map_or(i64::MAX, |mut depth| {
            depth.1 += 1;
            depth.1 - 1
        })
    }

    fn set(&self, count: i64, now: Timestamp) {
        if let Ok(mut depth) = self.0.lock() {
            *depth = (Some(now), count);
        }
    }
}

/// Refused requests that wait to be written, and how many there were beside them.
#[derive(Default)]
pub(super) struct Refused(Mutex<(Vec<Rejected>, u32)>);

impl Refused {
    /// How many are not written yet.
    pub(super) fn waiting(&self) -> i64 {
        self.0.lock().map_or(0, |waiting| {
            i64::from(waiting.1) + i64::try_from(waiting.0.len()).unwrap_or(i64::MAX)
        })
    }
}

/// Which delivery is being booked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booking {
    pub(super) delivery: DeliveryId,
    pub(super) event_time: Timestamp,
    pub(super) now: Timestamp,
}

/// Where a hint of a delivery goes.
#[derive(Clone, Debug)]
pub(super) enum Routed {
    To(OrgId, Subject),
    Nowhere(String),
}

impl Routed {
    /// Whether it is about something else than one person of ours.
    pub(super) fn is_more_than_a_person(&self) -> bool {
        !matches!(self, Self::To(_, Subject::User { .. }))
    }
}

impl Engine {
    /// Stores the webhook and its hints, durably. Goes on when the caller goes away: what is stored
    /// has to be worked off, whether or not the sender waits for the answer.
    ///
    /// # Errors
    /// [`AcceptError::Full`] above the high-water mark; the store's errors.
    pub async fn accept(&self, incoming: Incoming) -> Result<Receipt, AcceptError> {
        self.make_room().await?;
        let engine = self.clone();
        tokio::spawn(async move { engine.take_in(incoming).await })
            .await
            .unwrap_or(Err(AcceptError::Store(StoreError::Gone)))
    }

    async fn take_in(&self, incoming: Incoming) -> Result<Receipt, AcceptError> {
        let routed = self.route(&incoming.source, &incoming.event);
        let mut organizations: Vec<OrgId> = Vec::new();
        let mut lost = Vec::new();
        for one in &routed {
            match one {
                Routed::To(organization, _) if !organizations.contains(organization) => {
                    organizations.push(organization.clone());
                }
                Routed::To(..) => {}
                Routed::Nowhere(why) => lost.push(why.clone()),
            }
        }
        let ignored = organizations.is_empty();
        let event = incoming.event;
        let detail = if routed.is_empty() {
            Some(format!("events of type {:?} mean nothing to the bridge", event.event_type))
        } else {
            (!lost.is_empty()).then(|| lost.join("; "))
        };
        let new = NewDelivery {
            source: incoming.source,
            key_id: incoming.key_id,
            dedupe: incoming.dedupe,
            event_id: event.event_id,
            event_type: event.event_type,
            organization: organizations.first().cloned(),
            status: if ignored { DeliveryStatus::Ignored } else { DeliveryStatus::Accepted },
            detail,
            body: incoming.body,
        };
        let now = self.now();
        let (engine, event_time) = (self.clone(), event.event_time.unwrap_or(now).min(now));
        let notices = routed.iter().any(Routed::is_more_than_a_person);
        let stored = self
            .inner
            .store
            .write("accept", move |tx| {
                let stored = inbox::store(tx, &new, now)?;
                if let Stored::New(delivery) = stored {
                    let booking = Booking { delivery, event_time, now };
                    for one in routed {
                        if let Routed::To(organization, subject) = one {
                            engine.book_subject(tx, &organization, subject, booking)?;
                        }
                    }
                    if let (true, Some(why)) = (!lost.is_empty(), &new.detail) {
                        engine.tell_lost(tx, &new.source, why, booking)?;
                    }
                }
                Ok(stored)
            })
            .await?;
        // A duplicate wakes too: the first time may have been cut off before its bell rang.
        self.ring(organizations, notices);
        Ok(match stored {
            Stored::Duplicate(id) => Receipt::Duplicate(id),
            Stored::New(id) if ignored => Receipt::Ignored(id),
            Stored::New(id) => Receipt::Accepted(id),
        })
    }

    /// Wakes who works off what a delivery booked. What is not about one person (`notices`) leads to
    /// a notice, or to a listing.
    pub(super) fn ring(&self, organizations: Vec<OrgId>, notices: bool) {
        for organization in organizations {
            self.wake(&Desk::Hints(organization.clone()));
            if notices {
                self.wake_outbox(&organization);
                self.wake(&Desk::Schedule(organization));
            }
        }
        if notices {
            self.wake(&Desk::Letters);
        }
    }

    pub(super) fn book_subject(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        subject: Subject,
        booking: Booking,
    ) -> Result<(), StoreError> {
        let Booking { delivery, event_time, now } = booking;
        let cause = Cause { delivery: Some(delivery), run: None };
        match subject {
            Subject::User { id, kind } => {
                hints::put(tx, organization, &id, kind, Some(delivery), now)
            }
            Subject::Everybody => watches::ask_listing(tx, organization, now),
            Subject::Subscription { state, named, detail } => {
                let Some(host) = self.host(organization) else { return Ok(()) };
                let state = match named {
                    Some(name) if state == Subscription::Unknown => {
                        let types = &host.settings.crmplus_paid_types;
                        let known = plans::of(tx, organization)?;
                        access::by_name(&name, types, known.first_paid_type.as_deref())
                    }
                    _ => state,
                };
                if state == Subscription::Unknown {
                    // An event that does not tell the new plan leaves what is known alone; CRM tells.
                    return plans::ask_reading(tx, organization, now);
                }
                let before = plans::set_subscription(tx, organization, state, event_time)?;
                let Some(before) = before.filter(|before| *before != state) else {
                    return Ok(());
                };
                let (at, detail) = (event_time, detail.as_str());
                let change = PlanChange { before, after: state, at, detail, cause };
                self.book_plan_change(tx, host, &change, true, now)
            }
            Subject::CliqPlan { detail } => {
                let notice = Notice {
                    title: format!("The Cliq plan of {organization} has changed"),
                    body: format!(
                        "{detail}\nNo API tells the Cliq plan, so cliqbridge goes by its \
                         configuration: check `cliq_plan` of this organization and restart."
                    ),
                };
                // Several events may tell of one change.
                self.tell_once(tx, organization, ("cliq plan", &detail), &notice, now)
            }
        }
    }

    /// A verified webhook that names nobody we know is more than noise: something is missed.
    fn tell_lost(
        &self,
        tx: &Tx<'_>,
        source: &str,
        why: &str,
        booking: Booking,
    ) -> Result<(), StoreError> {
        let delivery = booking.delivery;
        tracing::warn!(source, %delivery, why, "a verified delivery names no organization of ours");
        let notice = Notice {
            title: format!("A webhook of {source} names no organization of ours"),
            body: format!(
                "{why}\nIt was stored as {delivery} and ignored. If it is meant for one of the \
                 organizations, check `crm_org`, `billing` or the source's `organization`."
            ),
        };
        // Once a month for each cause, and many at once together: a sender may serve organizations that
        // are none of ours, and ours must not hide behind them.
        let (nobody, month) = (OrgId::new(""), booking.now.to_utc().format("%Y-%m").to_string());
        if !told::note(tx, &nobody, &format!("lost webhooks {source}: {why}"), &month)? {
            return Ok(());
        }
        let more = Notice {
            title: format!("More webhooks of {source} name no organization of ours"),
            body: "The last hour brought further ones, for other reasons; `cliqbridge deliveries` lists \
                   them as ignored, each with its own."
                .to_owned(),
        };
        let matter = format!("lost webhooks {source}");
        self.tell_each(tx, &nobody, &matter, (&notice, &more), booking.now)
    }

    pub(super) fn route(&self, source: &str, event: &Event) -> Vec<Routed> {
        event.hints.iter().map(|hint| self.route_one(source, hint)).collect()
    }

    fn route_one(&self, source: &str, hint: &Hint) -> Routed {
        let Some(source) = self.inner.sources.get(source) else {
            return Routed::Nowhere("the source is not configured".to_owned());
        };
        let named = match &hint.organization {
            OrgRef::Id(id) => match self.named(id) {
                Some(host) => Some(host),
                None => {
                    return Routed::Nowhere(format!("organization {id:?} is not configured"));
                }
            },
            OrgRef::BillingCustomer { customer, subscription } => {
                self.billed(customer.as_deref(), subscription.as_deref())
            }
            OrgRef::WatchChannel(channel) => match self.watched_by(&source.name, channel) {
                Some(host) => Some(host.id().clone()),
                None => return Routed::Nowhere(format!("no watch has channel {channel}")),
            },
            OrgRef::Unnamed => None,
        };
        let Some(organization) = named.or_else(|| source.organization.clone()) else {
            return Routed::Nowhere(
                "the body names no organization, and the source has no `organization`".to_owned(),
            );
        };
        if source.organizations.as_ref().is_some_and(|only| !only.contains(&organization)) {
            return Routed::Nowhere(format!("this source may not speak for {organization}"));
        }
        Routed::To(organization, hint.subject.clone())
    }

    fn named(&self, id: &str) -> Option<OrgId> {
        self.inner
            .hosts
            .values()
            .find(|host| host.settings.crm_org == id || host.settings.id.as_str() == id)
            .map(|host| host.id().clone())
    }

    fn billed(&self, customer: Option<&str>, subscription: Option<&str>) -> Option<OrgId> {
        self.inner
            .hosts
            .values()
            .find(|host| {
                customer.is_some_and(|id| host.settings.billing_customers.contains(id))
                    || subscription
                        .is_some_and(|id| host.settings.billing_subscriptions.contains(id))
            })
            .map(|host| host.id().clone())
    }

    async fn make_room(&self) -> Result<(), AcceptError> {
        let limit = self.inner.settings.queue_limit;
        if self.inner.depth.stale(limit, self.now()) {
            self.queue_depth().await?;
        }
        if self.inner.depth.take() < limit {
            return Ok(());
        }
        Err(AcceptError::Full { retry_after: RETRY_AFTER })
    }

    /// Unfinished hints and actions, counted now.
    pub async fn queue_depth(&self) -> Result<i64, StoreError> {
        let count =
            self.inner.store.read(|tx| Ok(hints::open(tx)?.0 + outbox::waiting(tx)?)).await?;
        self.inner.depth.set(count, self.now());
        Ok(count)
    }

    /// Notes a refused request; written by [`Engine::flush_refused`], never in its way.
    pub fn refuse(&self, source: &str, status: u16, kind: &'static str, detail: String) {
        const SOURCE_CHARS_MAX: usize = 60;
        let source: String = source.chars().take(SOURCE_CHARS_MAX).collect();
        let at = self.now();
        if let Ok(mut waiting) = self.inner.refused.0.lock() {
            if waiting.0.len() < REFUSED_MAX {
                // Within the batch limit, so that a flood of forgeries does not flood the log.
                tracing::info!(source, status, kind, detail, "webhook refused");
                waiting.0.push(Rejected { at, source, status, kind, detail });
            } else {
                waiting.1 += 1;
            }
        }
    }

    /// Writes the refused requests that have come together.
    pub async fn flush_refused(&self) -> Result<(), StoreError> {
        let (waiting, uncounted) = match self.inner.refused.0.lock() {
            Ok(mut waiting) => std::mem::take(&mut *waiting),
            Err(_) => return Ok(()),
        };
        if waiting.is_empty() {
            return Ok(());
        }
        self.inner.store.write("refused", move |tx| inbox::reject(tx, &waiting, uncounted)).await
    }
}
