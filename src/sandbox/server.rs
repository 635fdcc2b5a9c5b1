//! The HTTP side: one connection, one request, its fault, its answer, its journal entry.
//!
//! The order is: path, token, limits, fault, call. Deliberately absent: what calls do.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_LENGTH;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::accounts::Worth;
use super::faults::Fault;
use super::journal::{Entry, Kind};
use super::paging::Paging;
use super::router::{self, Call, Outcome, Route};
use super::state::State;
use super::wire::{Reply, Request, Violation};
use super::{Shared, accounts, control, portal};
use crate::domain::Timestamp;

/// Largest request body; the largest documented one (a hundred members) is far below.
const BODY_MAX: usize = 1024 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox was asked to drop the connection")]
struct Cut;

/// Serves one connection until it ends.
pub(super) async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Without this, small answers wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { serve(&shared, request).await }
    });
    // An error here is a client gone or a fault carried out; both are in the journal.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve(
    shared: &Shared,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let (body, fits) = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => (body.to_bytes(), true),
        Err(_) => (Bytes::new(), false),
    };
    let request = Request::new(parts, body);
    if request.segments.first().is_some_and(|first| first == "sandbox") {
        return Ok(whole(&control::answer(shared, &request).await));
    }
    let route = router::route(&request).filter(|_| fits);
    let Some(route) = route else { return Ok(whole(&off_the_map(shared, &request, fits))) };
    let subject = router::subject(&route, &request);
    Served { shared, request: &request, route, subject }.answer().await
}

/// A path, method or size that the contract does not have.
fn off_the_map(shared: &Shared, request: &Request, fits: bool) -> Reply {
    let violation = if fits {
        let message = format!("there is no {} {}", request.method, request.shown);
        Violation { status: 404, code: "INVALID_URL_PATTERN", message }
    } else {
        let message = "the body is too large or broke off".to_owned();
        Violation { status: 413, code: "invalid_body", message }
    };
    let outcome = Outcome::violation(router::family_of(request), &violation);
    let (mut state, now) = shared.settled();
    let mut entry = Entry::new(Kind::Violation, "unknown", now);
    entry.method = request.method.to_string();
    entry.path.clone_from(&request.shown);
    entry.status = violation.status;
    entry.detail = outcome.detail;
    state.journal.record(entry);
    outcome.reply
}

/// One request whose path is known.
struct Served<'a> {
    shared: &'a Shared,
    request: &'a Request,
    route: Route,
    subject: Option<String>,
}

/// What the doorkeeper says.
enum Admission {
    Answered(Reply),
    Go { organization: Option<String>, fault: Option<Fault>, hold: Option<watch::Receiver<u64>> },
}

impl Served<'_> {
    async fn answer(&self) -> Result<http::Response<Body>, Cut> {
        let (organization, fault, hold) = match self.admit() {
            Admission::Answered(reply) => return Ok(whole(&reply)),
            Admission::Go { organization, fault, hold } => (organization, fault, hold),
        };
        let paging = match fault {
            Some(Fault::DuplicatePage {}) => Paging::Duplicate,
            Some(Fault::MissingPage {}) => Paging::Missing,
            _ => Paging::Honest,
        };
        match fault {
            Some(Fault::Hang {}) => return std::future::pending().await,
            Some(Fault::Drop {}) => return Err(Cut),
            Some(Fault::Slow { ms }) => {
                let clock = &self.shared.clock;
                clock.wait_until(clock.now() + Duration::from_millis(ms)).await;
            }
            _ => {}
        }
        if let Some(mut release) = hold {
            // An error means that the sandbox is stopping.
            let _ = release.changed().await;
        }
        let lost = matches!(fault, Some(Fault::ApplyThenDrop {} | Fault::CutBody {}));
        let reply = self.perform(organization.as_deref(), paging, lost);
        match fault {
            Some(Fault::ApplyThenDrop {}) => Err(Cut),
            Some(Fault::CutBody {}) if reply.body.is_empty() => Err(Cut),
            Some(Fault::CutBody {}) => Ok(broken(&reply)),
            _ => Ok(whole(&reply)),
        }
    }

    /// Token, limits and fault, in that order.
    fn admit(&self) -> Admission {
        let (mut state, now) = self.shared.settled();
        let state = &mut *state;
        let call = self.route.call;
        let (organization, refusal) = self.authenticate(state, now);
        state.journal.begins(organization.as_deref(), call.as_str(), self.subject.as_deref());
        let throttled = |state: &mut State| {
            let organization = state.organizations.get_mut(organization.as_deref()?)?;
            let limited = organization.entry.limits;
            let refused = limited.then(|| organization.limits.admit(call, now).err()).flatten();
            refused.map(|why| Outcome::throttled(call.family().throttle(), &why))
        };
        if let Some(outcome) = refusal.or_else(|| throttled(state)) {
            return Admission::Answered(self.record(state, organization, outcome, now));
        }
        let about = self.subject.as_deref();
        let fault = state.faults.take(call.as_str(), organization.as_deref(), about);
        let Some(fault) = fault else {
            return Admission::Go { organization, fault: None, hold: None };
        };
        let reply = self.instead(state, organization.as_deref(), &fault);
        let mut entry = self.entry(Kind::Fault, organization.clone(), now);
        entry.status = reply.as_ref().map_or(0, |reply| reply.status);
        entry.detail = Some(fault.name().to_owned());
        state.journal.record(entry);
        if !fault.is_survivable() {
            let organization = organization.as_deref();
            state.journal.failed(organization, call.as_str(), self.subject.as_deref());
        }
        // Subscribed under the lock: a release after the journal shows the hold cannot be missed.
        let hold = (fault == Fault::Hold {}).then(|| self.shared.release.subscribe());
        match reply {
            Some(reply) => Admission::Answered(reply),
            None => Admission::Go { organization, fault: Some(fault), hold },
        }
    }

    /// Whose call it is, and why it may not go on.
    fn authenticate(&self, state: &State, now: Timestamp) -> (Option<String>, Option<Outcome>) {
        let family = self.route.call.family();
        let stranger = |status, message: &str| {
            let message = message.to_owned();
            Outcome::violation(family, &Violation { status, code: "INVALID_TOKEN", message })
        };
        match self.route.call {
            Call::OauthToken => (accounts::asker(&state.organizations, self.request), None),
            Call::Portal => match state.organizations.get(&self.route.target) {
                None => (None, Some(stranger(404, "there is no such portal"))),
                Some(org) => {
                    let denied = || Outcome::refused(portal::unauthorized(), "wrong portal key");
                    let refusal = (!portal::is_authorized(org, self.request)).then(denied);
                    (Some(org.entry.id.clone()), refusal)
                }
            },
            _ => {
                let Some(token) = self.request.token() else {
                    return (None, Some(stranger(401, "no Authorization header with a token")));
                };
                let mut all = state.organizations.values();
                let known = all.find_map(|org| match org.tokens.worth(token, now) {
                    Worth::Unknown => None,
                    worth => Some((org.entry.id.clone(), worth)),
                });
                match known {
                    Some((id, Worth::Valid)) => (Some(id), None),
                    Some((id, _)) => (Some(id), Some(stranger(401, "the token has expired"))),
                    None => {
                        let outcome = Outcome::refused(family.unauthorized(), "unknown token");
                        (None, Some(outcome))
                    }
                }
            }
        }
    }

    /// The answer that a fault gives in place of the call.
    fn instead(&self, state: &mut State, org: Option<&str>, fault: &Fault) -> Option<Reply> {
        let family = self.route.call.family();
        Some(match fault {
            Fault::Status { status, body: Some(body) } => Reply::json(*status, body),
            Fault::Status { status: status @ (204 | 304), .. } => Reply::empty(*status),
            Fault::Status { status, .. } => {
                family.error(*status, "INTERNAL_ERROR", "a fault that was asked for")
            }
            Fault::Throttle { retry_after_s } => {
                family.throttle().with("retry-after", retry_after_s.to_string())
            }
            Fault::OkWithError { code } => family.error(200, code, "an error that was asked for"),
            Fault::StaleToken {} => {
                let organization = org.and_then(|id| state.organizations.get_mut(id));
                if let (Some(organization), Some(token)) = (organization, self.request.token()) {
                    organization.tokens.kill(token);
                }
                family.unauthorized()
            }
            _ => return None,
        })
    }

    /// Lets the call happen.
    fn perform(&self, organization: Option<&str>, paging: Paging, lost: bool) -> Reply {
        let (mut state, now) = self.shared.settled();
        let state = &mut *state;
        let done = router::dispatch(state, &self.route, organization, self.request, now, paging);
        let family = self.route.call.family();
        let mut outcome = done.unwrap_or_else(|violation| Outcome::violation(family, &violation));
        if lost {
            let detail = outcome.detail.take().map(|detail| format!("{detail}; "));
            outcome = outcome.detail(format!("{}answer lost", detail.unwrap_or_default()));
        }
        self.record(state, organization.map(str::to_owned), outcome, now)
    }

    fn entry(&self, kind: Kind, organization: Option<String>, now: Timestamp) -> Entry {
        let mut entry = Entry::new(kind, self.route.call.as_str(), now);
        entry.organization = organization;
        entry.method = self.request.method.to_string();
        entry.path.clone_from(&self.request.shown);
        entry.subject.clone_from(&self.subject);
        entry.crm_user_id = router::crm_user(&self.route, self.request);
        entry
    }

    fn record(
        &self,
        state: &mut State,
        organization: Option<String>,
        outcome: Outcome,
        now: Timestamp,
    ) -> Reply {
        if outcome.kind == Kind::Throttled {
            let call = self.route.call.as_str();
            state.journal.failed(organization.as_deref(), call, self.subject.as_deref());
        }
        let mut entry = self.entry(outcome.kind, organization, now);
        entry.status = outcome.reply.status;
        entry.detail = outcome.detail;
        entry.idempotency_key = outcome.idempotency_key;
        state.journal.record(entry);
        outcome.reply
    }
}

fn response(reply: &Reply, body: Body) -> http::Response<Body> {
    let mut builder = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_default()
}

fn whole(reply: &Reply) -> http::Response<Body> {
    let body = Full::new(reply.body.clone()).map_err(|never: Infallible| match never {});
    response(reply, body.boxed_unsync())
}

/// The head, half of the body, and then the end of the connection.
fn broken(reply: &Reply) -> http::Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let steps = stream::unfold(Some(half), |half| async {
        if let Some(half) = half {
            return Some((Ok(Frame::data(half)), None));
        }
        // One turn for the server to write what it has; an error at once would swallow it.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
    });
    let mut response = response(reply, StreamBody::new(steps).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, reply.body.len().into());
    response
}
