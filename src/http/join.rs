//! `/join/{token}`: the page of an invitation, and the answer to it (R10, R11).
//!
//! GET and HEAD change nothing, whoever opens the link: a person, a mail scanner, a browser that
//! fetches ahead. Only a POST from the page itself answers. Whatever is not an open invitation
//! gets a page that names nobody. Deliberately absent: cookies, scripts, and any way to an
//! invitation but its token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::listen::Peer;
use super::throttle::{Client, Throttle};
use super::{Doors, Problem, body};
use crate::clock::Clock;
use crate::domain::{JoinAnswer, JoinOutcome, JoinView};
use crate::engine::StoreFailure;
use crate::logic::page::{self, Message, Page, RenderError};

/// Largest answer, bytes: it is one short field.
const BODY_MAX: usize = 1024;

/// When to try again after the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(10);

type Token = Result<Path<String>, PathRejection>;

/// What is served below `/join`.
pub(super) fn routes(doors: &Doors) -> Router<Doors> {
    let gate = Gate { clock: Arc::clone(&doors.clock), throttle: Arc::default() };
    // A link that lost its end on the way is still somebody's link.
    let cut = || get(nothing).fallback(wrong_method);
    Router::new()
        .route("/join", cut())
        .route("/join/", cut())
        .route("/join/{token}", get(show).post(answer).fallback(wrong_method))
        .layer(middleware::from_fn_with_state(gate, throttled))
}

#[derive(Clone)]
struct Gate {
    clock: Arc<dyn Clock>,
    throttle: Arc<Throttle>,
}

async fn throttled(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer(None));
    let client = Client::of(peer, request.headers());
    match gate.throttle.admit(client, gate.clock.now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let reader = Reader::of(request.uri(), request.headers());
            let status = StatusCode::TOO_MANY_REQUESTS;
            later(reader.message(status, Message::Busy), wait)
        }
    }
}

async fn show(State(doors): State<Doors>, token: Token, uri: Uri, headers: HeaderMap) -> Response {
    let reader = Reader::of(&uri, &headers);
    let Ok(Path(token)) = token else { return reader.view(JoinView::Unknown) };
    match doors.engine.join_view(&token).await {
        Ok(view) => reader.view(view),
        Err(error) => reader.down(&error),
    }
}

async fn answer(
    State(doors): State<Doors>,
    token: Token,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let reader = Reader::of(&uri, &headers);
    if is_foreign(&headers) {
        return reader.message(StatusCode::FORBIDDEN, Message::Foreign);
    }
    let bytes = match body::read(&headers, body, BODY_MAX).await {
        Ok(bytes) => bytes,
        Err(problem) => return reader.message(problem.status(), Message::Unreadable),
    };
    let Some(answer) = read(&bytes) else {
        return reader.message(StatusCode::BAD_REQUEST, Message::Unreadable);
    };
    let Ok(Path(token)) = token else { return reader.view(JoinView::Unknown) };
    match doors.engine.join(&token, answer).await {
        Ok(JoinOutcome::Go(url)) => reader.lead_on(&url),
        Ok(JoinOutcome::Declined { language }) => {
            let page = page::message(Message::Declined, reader.after(&language));
            respond(StatusCode::OK, page)
        }
        // Nobody reads the answer to one click.
        Ok(JoinOutcome::Unsubscribed) => guarded(StatusCode::OK.into_response()),
        Ok(JoinOutcome::Gone(view)) => reader.view(view),
        Err(error) => reader.down(&error),
    }
}

async fn nothing(uri: Uri, headers: HeaderMap) -> Response {
    Reader::of(&uri, &headers).view(JoinView::Unknown)
}

async fn wrong_method(uri: Uri, headers: HeaderMap) -> Response {
    let reader = Reader::of(&uri, &headers);
    let mut response = reader.message(StatusCode::METHOD_NOT_ALLOWED, Message::Method);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

/// The one field of the form; or that of a mail program's one click, as a form of either kind (RFC
/// 8058), which no scanner sends.
fn read(body: &[u8]) -> Option<JoinAnswer> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.contains("List-Unsubscribe") && text.contains("One-Click") {
        return Some(JoinAnswer::Unsubscribe);
    }
    let mut actions = form_urlencoded::parse(body).filter(|(name, _)| name == "action");
    match (actions.next()?.1.as_ref(), actions.next()) {
        ("join", None) => Some(JoinAnswer::Join),
        ("decline", None) => Some(JoinAnswer::Decline),
        _ => None,
    }
}

/// Whether a page of somebody else sent the answer. Browsers say so in `Sec-Fetch-Site`; `Origin`
/// is for those that do not yet, and is `null` where it comes from our page, which sends no
/// referrer. Nobody without the token can send an answer at all.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match text("origin") {
        None | Some("null") => false,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            !host.zip(text("host")).is_some_and(|(from, to)| from.eq_ignore_ascii_case(to))
        }
    }
}

/// Who reads: the language chosen on the page, and those that the browser asks for.
struct Reader {
    chosen: Option<String>,
    accepted: Vec<String>,
}

impl Reader {
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let chosen = form_urlencoded::parse(query).find(|(name, _)| name == "lang");
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self {
            chosen: chosen.map(|(_, tag)| tag.into_owned()),
            accepted: accepted.map(by_weight).unwrap_or_default(),
        }
    }

    /// Languages, the most wanted first, where an invitation is in this one.
    fn after<'a>(&'a self, invitation: &'a str) -> impl Iterator<Item = &'a str> {
        let accepted = self.accepted.iter().map(String::as_str);
        self.chosen.as_deref().into_iter().chain([invitation]).chain(accepted)
    }

    fn view(&self, view: JoinView) -> Response {
        match view {
            JoinView::Open(open) => {
                let invitation = open.invitation;
                let page = page::open(&invitation, self.after(&invitation.language));
                respond(StatusCode::OK, page)
            }
            JoinView::Resolved => self.message(StatusCode::GONE, Message::Resolved),
            JoinView::Expired => self.message(StatusCode::GONE, Message::Expired),
            JoinView::Revoked => self.message(StatusCode::GONE, Message::Revoked),
            JoinView::Unknown => self.message(StatusCode::NOT_FOUND, Message::Missing),
        }
    }

    fn message(&self, status: StatusCode, message: Message) -> Response {
        respond(status, page::message(message, self.after("")))
    }

    fn down(&self, error: &StoreFailure) -> Response {
        tracing::error!(%error, "a join page failed in the store");
        later(self.message(StatusCode::SERVICE_UNAVAILABLE, Message::Down), STORE_PAUSE)
    }

    /// Joining goes on elsewhere: 303, so that the browser asks for it with GET.
    fn lead_on(&self, url: &str) -> Response {
        let Ok(location) = HeaderValue::try_from(url) else {
            tracing::error!("the address to join at is no header value");
            return self.message(StatusCode::INTERNAL_SERVER_ERROR, Message::Down);
        };
        let mut response = StatusCode::SEE_OTHER.into_response();
        response.headers_mut().insert(header::LOCATION, location);
        guarded(response)
    }
}

/// The tags of an `Accept-Language`, the most wanted first.
fn by_weight(text: &str) -> Vec<String> {
    let mut tags: Vec<(f32, String)> = text
        .split(',')
        .filter_map(|part| {
            let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let weight = weight.trim().strip_prefix("q=")?.parse().ok()?;
            (weight > 0.0).then(|| (weight, tag.trim().to_owned()))
        })
        .collect();
    tags.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    tags.into_iter().map(|(_, tag)| tag).collect()
}

fn respond(status: StatusCode, page: Result<Page, RenderError>) -> Response {
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(%error, "a join page cannot be written");
            let detail = "the page cannot be written; tell whoever invited you";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response();
        }
    };
    let mut response = (status, page.html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(page.language));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    if let Ok(policy) = HeaderValue::try_from(page.policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    guarded(response)
}

/// What holds for every answer: nobody keeps it, frames it, lists it, or learns the link from it.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn later(mut response: Response, wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{by_weight, is_foreign, read};
    use crate::domain::JoinAnswer;

    #[test]
    fn only_the_two_answers_are_read() {
        assert_eq!(read(b"action=join"), Some(JoinAnswer::Join));
        assert_eq!(read(b"x=1&action=decline"), Some(JoinAnswer::Decline));
        let multipart = b"--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                          One-Click\r\n--b--\r\n";
        for click in [&b"List-Unsubscribe=One-Click"[..], multipart] {
            assert_eq!(read(click), Some(JoinAnswer::Unsubscribe));
        }
        for other in ["", "action", "action=", "action=JOIN", "join", "action=join&action=decline"]
        {
            assert_eq!(read(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn an_answer_from_elsewhere_is_told_apart() {
        let foreign = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            is_foreign(&map)
        };
        let host = ("host", "bridge.example:8443");
        for own in [
            &[host][..],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://Bridge.example:8443")],
        ] {
            assert!(!foreign(own), "{own:?}");
        }
        for other in [
            &[host, ("sec-fetch-site", "cross-site")][..],
            &[host, ("sec-fetch-site", "same-site"), ("origin", "null")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "https://bridge.example")],
            &[host, ("origin", "nonsense")],
            &[("origin", "https://bridge.example")],
        ] {
            assert!(foreign(other), "{other:?}");
        }
    }

    #[test]
    fn languages_come_in_the_order_of_their_weight() {
        assert_eq!(by_weight("en;q=0.7, de-DE, fr;q=0.9,sv;q=0,*;q=x"), ["de-DE", "fr", "en"]);
        assert!(by_weight("").iter().all(String::is_empty));
    }
}
