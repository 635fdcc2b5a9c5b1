//! Leaving an organization alone while it cannot be read, and saying so once (G12).
//!
//! Four things do it: refused credentials, a refused listing or organization, a listing of nobody,
//! and reads that go on failing. Hints then wait without counting failures; the next good read lets
//! them go. What Cliq refuses to say of one person is that person's alone. Deliberately absent: when a
//! run reads, which no quarantine forbids: it is the probe.

use std::time::Duration;

use super::facts::ReadError;
use super::{Desk, Engine, Host};
use crate::domain::letter::Notice;
use crate::domain::{Failure, OrgId};
use crate::store::outbox::Cause;
use crate::store::{StoreError, hints, orgs};
use crate::zoho::{CallError, crm};

/// How long a quarantined organization is left alone before it is asked again whether it can be
/// read: as long as the quarantine has lasted, within these bounds. What Zoho refuses once by mistake
/// is over soon; what it refuses for good is not asked for all the time.
const PROBE_AFTER: (Duration, Duration) = (Duration::from_secs(30), orgs::PROBE_MAX);

/// Failed reads in a row, without a good one between, …
const FAILED_READS: u32 = 5;

/// … over so long a time, that make an outage: a hiccup is nobody's business.
const FAILING_FOR: Duration = Duration::from_mins(10);

/// What a failed read came to.
pub(super) struct FailedRead {
    /// The failure.
    pub(super) failure: Failure,
    /// Whether the organization is left alone for it.
    pub(super) is_frozen: bool,
    /// Whether it was an answer, and one about the person alone.
    pub(super) is_refused: bool,
}

/// Why an organization is left alone.
#[derive(Clone, Debug)]
pub(super) enum Freeze {
    /// Its credentials are not accepted: what Zoho said, and whether to a listing.
    Credentials(String, bool),
    /// A listing, or the organization itself, is refused; what Zoho said.
    Refused(String),
    /// A side lists nobody.
    Empty(&'static str),
    /// Reads go on failing; the last one's failure.
    Failing(String),
}

impl Freeze {
    /// What a failed read says of the organization as a whole; `None` if it may be about anything.
    fn of(error: &ReadError) -> Option<Self> {
        match error {
            ReadError::Empty(what) => Some(Self::Empty(what)),
            ReadError::Call(error) => Self::of_call(error),
            ReadError::Store(_) => None,
        }
    }

    /// The same of a call.
    pub(super) fn of_call(error: &CallError) -> Option<Self> {
        match error {
            CallError::Unauthorized { call, detail } => {
                Some(Self::Credentials(format!("{call}: {detail}"), lists(call)))
            }
            // What may not be read of one user of CRM may not be read there at all: rights are the
            // grant's, not the row's (design section 11, "Evidence and reads").
            CallError::Forbidden { call, detail } if is_about_all(call) || *call == crm::GET => {
                Some(Self::Credentials(format!("{call}: {detail}"), lists(call)))
            }
            CallError::Refused { call, .. } if is_about_all(call) => {
                Some(Self::Refused(error.to_string()))
            }
            _ => None,
        }
    }

    fn cause(&self) -> String {
        match self {
            Self::Credentials(detail, _) | Self::Refused(detail) => detail.clone(),
            Self::Empty(what) => (*what).to_owned(),
            Self::Failing(detail) => format!("reads go on failing: {detail}"),
        }
    }

    /// Whether one person's row, which may be read all the same, says nothing against it.
    fn wants_listing(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Empty(_) => true,
            Self::Credentials(_, listed) => *listed,
            Self::Failing(_) => false,
        }
    }

    fn notice(&self, organization: &OrgId) -> Notice {
        let cause = self.cause();
        let (title, what) = match self {
            Self::Credentials(..) => (
                "is quarantined",
                "Zoho does not accept the credentials of this organization. Check the refresh \
                 token and its scopes (accounts.zoho, API console), then resync the organization.",
            ),
            Self::Refused(_) => (
                "is quarantined",
                "Zoho refuses to list this organization. Check `crm_org`, `cliq_org` and the data \
                 centre of `[organizations.zoho]`, and whether the OAuth user still belongs to the \
                 organization; then resync it.",
            ),
            Self::Empty(_) => (
                "looks empty",
                "Nothing follows from such a listing. Check whether the OAuth user still belongs to \
                 the organization and may list its users; then resync it.",
            ),
            Self::Failing(_) => (
                "is quarantined",
                "Zoho does not answer, or not as its API should. The organization is asked again by \
                 itself, every quarter of an hour at the latest.",
            ),
        };
        Notice {
            title: format!("{organization} {title}"),
            body: format!(
                "{cause}\n{what}\nNothing is lost and nobody is removed: webhooks are kept, and are \
                 worked off as soon as a read succeeds."
            ),
        }
    }
}

/// Whether a call names no single thing: `GET /users`, not `GET /users/{id}` nor a search.
fn is_about_all(call: &str) -> bool {
    !call.contains('{')
}

/// Whether it reads a list, or the organization itself.
fn lists(call: &str) -> bool {
    call.starts_with("GET ") && is_about_all(call)
}

impl Engine {
    /// Writes down what a failed read means for the organization.
    pub(super) async fn book_failed_read(
        &self,
        host: &Host,
        error: ReadError,
    ) -> Result<FailedRead, StoreError> {
        let freeze = Freeze::of(&error);
        let (failure, is_refused) = match error {
            ReadError::Store(error) => return Err(error),
            ReadError::Empty(what) => (Failure::transient(what), false),
            ReadError::Call(error) if freeze.is_some() => (error.failure(self.now()), true),
            ReadError::Call(error) => (error.failure_of_one(self.now()), error.is_refusal()),
        };
        let freeze = match (freeze, &failure) {
            // A refusal is an answer, so that this is no outage.
            (None, Failure::Transient { detail, .. }) if !is_refused => {
                self.outage(host, detail).await?
            }
            (freeze, _) => freeze,
        };
        if let Some(freeze) = &freeze {
            self.quarantine(host, freeze).await?;
        }
        let is_frozen = freeze.is_some();
        Ok(FailedRead { failure, is_frozen, is_refused: is_refused && !is_frozen })
    }

    /// Whether this failed read makes an outage.
    async fn outage(&self, host: &Host, detail: &str) -> Result<Option<Freeze>, StoreError> {
        let (id, now) = (host.id().clone(), self.now());
        let (count, since) = self
            .inner
            .store
            .write("failed read", move |tx| orgs::failed_read(tx, &id, now))
            .await?;
        let lasts = count >= FAILED_READS && now.since(since) >= FAILING_FOR;
        Ok(lasts.then(|| Freeze::Failing(detail.to_owned())))
    }

    /// Leaves the organization alone until a read of it works, and says so once.
    pub(super) async fn quarantine(&self, host: &Host, freeze: &Freeze) -> Result<(), StoreError> {
        let (engine, organization, now) = (self.clone(), host.id().clone(), self.now());
        let (cause, notice) = (freeze.cause(), freeze.notice(&organization));
        let wants_listing = freeze.wants_listing();
        tracing::error!(%organization, cause, "quarantined");
        self.inner
            .store
            .write("quarantine", move |tx| {
                let lasted = orgs::state(tx, &organization)?
                    .quarantined
                    .map_or(Duration::ZERO, |quarantine| now.since(quarantine.since));
                let why = (cause.as_str(), wants_listing);
                let probe_at = now + lasted.clamp(PROBE_AFTER.0, PROBE_AFTER.1);
                if !orgs::quarantine(tx, &organization, why, probe_at, now)? {
                    return Ok(());
                }
                engine.tell_admins(tx, &organization, &notice, Cause::default(), now)
            })
            .await?;
        self.wake_outbox(host.id());
        Ok(())
    }

    /// A read that works ends a quarantine and lets the waiting hints go: a read of one person none that
    /// a listing brought about.
    pub(super) async fn note_good_read(&self, host: &Host, of_all: bool) -> Result<(), StoreError> {
        let (id, now) = (host.id().clone(), self.now());
        let ended = self
            .inner
            .store
            .write("good read", move |tx| {
                let ended = orgs::good_read(tx, &id, of_all, now)?;
                if ended {
                    hints::release(tx, &id, now)?;
                }
                Ok(ended)
            })
            .await?;
        if ended {
            tracing::info!(organization = %host.id(), "reads work again; the quarantine is over");
            self.wake(&Desk::Hints(host.id().clone()));
            self.wake(&Desk::Clock(host.id().clone()));
            self.wake_outbox(host.id());
        }
        Ok(())
    }
}
