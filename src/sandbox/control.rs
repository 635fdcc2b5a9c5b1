//! The sandbox's own door, below `/sandbox`: reading it, faults, and people's acts.
//!
//! Plain HTTP without authentication, for the loopback. Deliberately absent: anything of Zoho's.

use http::Method;
use serde_json::json;

use super::acts::{self, Impossible};
use super::faults::Rule;
use super::state::State;
use super::wire::{Reply, Request};
use super::{
    Shared, attempts, capabilities, channel_acts, courier, licences, mailbox, organization_acts,
    pages, people, views, watch,
};
use crate::domain::Timestamp;

/// Answers a request below `/sandbox`, once the notices that it caused are delivered.
pub(super) async fn answer(shared: &Shared, request: &Request) -> Reply {
    let segments: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    let (done, notices) = match request.method {
        Method::GET => (read(shared, request, &segments), Vec::new()),
        Method::POST | Method::PATCH | Method::DELETE => {
            let (mut state, now) = shared.settled();
            let done = act(shared, &mut state, request, &segments, now);
            (done, std::mem::take(&mut state.notices))
        }
        _ => {
            (Err(Impossible::new(405, "GET, POST, PATCH and DELETE are served here.")), Vec::new())
        }
    };
    let sent = courier::deliver(shared, notices).await;
    match done {
        Ok(_) if matches!(segments.as_slice(), ["organizations", _, "watch", "fire"]) => {
            Reply::json(200, &json!({"sent": sent}))
        }
        Ok(reply) => reply,
        Err(impossible) => impossible.into(),
    }
}

impl From<Impossible> for Reply {
    fn from(impossible: Impossible) -> Self {
        let Impossible { status, why, rule } = impossible;
        let body = match rule {
            None => json!({"error": why}),
            Some(rule) => json!({"error": why, "rule": rule}),
        };
        Self::json(status, &body)
    }
}

fn nothing_here() -> Impossible {
    Impossible::new(404, "There is nothing here; GET /sandbox lists what there is.")
}

fn read(shared: &Shared, request: &Request, segments: &[&str]) -> Result<Reply, Impossible> {
    let (mut state, now) = shared.settled();
    Ok(match segments {
        [] => Reply::html(pages::index(&shared.urls, &state)),
        ["mail"] => Reply::html(pages::mailboxes(&mailbox::boxes(&state.realm.mails))),
        ["mail", address] => {
            let address = address.to_lowercase();
            let boxes = mailbox::boxes(&state.realm.mails);
            let found = boxes.iter().find(|mailbox| mailbox.address == address);
            Reply::html(pages::mailbox(&address, found))
        }
        ["mailboxes"] => {
            Reply::json(200, &json!({"mailboxes": mailbox::boxes(&state.realm.mails)}))
        }
        ["bots"] => Reply::json(200, &json!(state.realm.messages)),
        ["state"] => Reply::json(200, &views::state(&state)),
        ["journal"] => {
            let since = request.query("since").unwrap_or("0").parse::<u64>();
            let since = since.map_err(|_| Impossible::new(400, "since must be a number."))?;
            let entries: Vec<_> = state.journal.since(since).collect();
            Reply::json(200, &json!({"entries": entries, "counts": state.journal.counts()}))
        }
        ["channel-invitations"] => {
            Reply::json(200, &channel_acts::open_invitations(&state, request.query("email")))
        }
        ["people", email, "switcher"] => people::switcher(&state, email)?,
        ["organizations", org, "members", email, "login-activity"] => {
            attempts::login_activity(&mut state, org, email, now)?
        }
        ["organizations", org, "members", email, "capabilities"] => {
            let host = state.organizations.get(*org).ok_or_else(nothing_here)?;
            let person = state.realm.find(email).ok_or_else(nothing_here)?;
            Reply::json(200, &capabilities::of(host, &state.realm, &person))
        }
        ["faults"] => {
            let held = shared.release.receiver_count();
            Reply::json(200, &json!({"faults": state.faults.rules(), "held": held}))
        }
        ["join", org, email] => {
            let person = state.realm.find(email);
            let organization = state.organizations.get(*org);
            let row = person.and_then(|person| organization.and_then(|org| org.row(&person)));
            let name = organization.map_or(*org, |org| org.entry.name.as_str());
            Reply::html(pages::join(name, email, row.map(|row| row.status)))
        }
        _ => return Err(nothing_here()),
    })
}

fn act(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    segments: &[&str],
    now: Timestamp,
) -> Result<Reply, Impossible> {
    match (request.method.as_str(), segments) {
        ("POST", ["faults"]) => {
            let rule: Rule = acts::body(request)?;
            state.faults.add(rule).map_err(|why| Impossible::new(400, why))?;
            Ok(Reply::json(201, &json!({"faults": state.faults.rules()})))
        }
        ("DELETE", ["faults"]) => {
            state.faults.clear();
            Ok(Reply::empty(204))
        }
        ("POST", ["release"]) => {
            let held = shared.release.receiver_count();
            shared.release.send_modify(|releases| *releases += 1);
            Ok(Reply::json(200, &json!({"released": held})))
        }
        (_, ["organizations", org, rest @ ..]) => in_organization(state, org, rest, request, now),
        ("POST", ["people", email, "sign-up"]) => Ok(people::sign_up(state, email, now)),
        ("POST", ["people", email, "login"]) => people::login(state, email, request, now),
        ("PATCH", ["people", email]) => people::patch(state, email, request, now),
        ("POST", ["join", org, email]) => {
            acts::member(state, org, email, "accept", now)?;
            // Back to the page that the form was on.
            Ok(Reply::empty(303).with("location", request.shown.clone()))
        }
        _ => Err(nothing_here()),
    }
}

/// Acts below `/sandbox/organizations/{org}`.
fn in_organization(
    state: &mut State,
    org: &str,
    segments: &[&str],
    request: &Request,
    now: Timestamp,
) -> Result<Reply, Impossible> {
    match (request.method.as_str(), segments) {
        ("PATCH", []) => organization_acts::patch(state, org, request, now),
        ("POST", ["crm-users"]) => acts::add_crm_user(state, org, request, now),
        ("PATCH", ["crm-users", id]) => acts::patch_crm_user(state, org, id, request, now),
        ("DELETE", ["crm-users", id]) => acts::delete_crm_user(state, org, id, now),
        (_, ["members", email, rest @ ..]) => with_member(state, org, (email, rest), request, now),
        ("POST", ["admin-panel", "users"]) => {
            let what = ("act.admin_panel.add", &capabilities::ADD_IN_PANEL);
            attempts::add_in_panel(state, org, what, request, now)
        }
        ("POST", ["users-and-profiles"]) => {
            let what = ("act.users_and_profiles.add", &capabilities::ADD_IN_PROFILES);
            attempts::add_in_panel(state, org, what, request, now)
        }
        ("POST", ["bots", bot, "subscribers"]) => acts::subscribe(state, org, bot, request, now),
        ("POST", ["watch", "fire"]) => watch::fire(state, org, request, now),
        ("POST", ["channels"]) => attempts::create_channel(state, org, request, now),
        ("POST", ["channels", name, "posts"]) => attempts::post(state, org, name, request, now),
        ("PATCH", ["channels", name]) => channel_acts::patch(state, org, name, request, now),
        ("POST", ["channels", name, "guest-add"]) => {
            channel_acts::guest_add(state, org, name, request, now)
        }
        ("POST", ["channels", name, act, email]) => {
            channel_acts::person(state, org, (name, act, email), request, now)
        }
        _ => Err(nothing_here()),
    }
}

/// Acts below `/sandbox/organizations/{org}/members/{email}`.
fn with_member(
    state: &mut State,
    org: &str,
    (email, segments): (&str, &[&str]),
    request: &Request,
    now: Timestamp,
) -> Result<Reply, Impossible> {
    match (request.method.as_str(), segments) {
        ("PATCH", []) => attempts::edit_fields(state, org, email, request, now),
        ("POST", ["role"]) => attempts::set_role(state, org, email, request, now),
        ("POST", ["team"]) => attempts::add_to_team(state, org, email, request, now),
        ("POST", ["marker"]) => attempts::set_marker(state, org, email, request, now),
        ("POST", ["external-contacts"]) => {
            attempts::reach(state, org, (email, false), request, now)
        }
        ("POST", ["chats"]) => attempts::reach(state, org, (email, true), request, now),
        ("POST", ["assign-licence"]) => licences::by_hand(state, org, (email, true), now),
        ("POST", ["revoke-licence"]) => licences::by_hand(state, org, (email, false), now),
        ("POST", [act]) => acts::member(state, org, email, act, now),
        _ => Err(nothing_here()),
    }
}
