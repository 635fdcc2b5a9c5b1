//! The sandbox's own door, below `/sandbox`: reading it, faults, and people's acts.
//!
//! Plain HTTP without authentication, for the loopback. Deliberately absent: anything of Zoho's.

use http::Method;
use serde_json::json;

use super::acts::{self, Impossible};
use super::faults::Rule;
use super::wire::{Reply, Request};
use super::{Shared, mailbox, pages, views};

/// Answers a request below `/sandbox`.
pub(super) fn answer(shared: &Shared, request: &Request) -> Reply {
    let segments: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    let done = match request.method {
        Method::GET => read(shared, request, &segments),
        Method::POST | Method::PATCH | Method::DELETE => act(shared, request, &segments),
        _ => Err(Impossible::new(405, "GET, POST, PATCH and DELETE are served here.")),
    };
    done.unwrap_or_else(|impossible| {
        Reply::json(impossible.status, &json!({"error": impossible.why}))
    })
}

fn nothing_here() -> Impossible {
    Impossible::new(404, "There is nothing here; GET /sandbox lists what there is.")
}

fn read(shared: &Shared, request: &Request, segments: &[&str]) -> Result<Reply, Impossible> {
    let (state, _) = shared.settled();
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

fn act(shared: &Shared, request: &Request, segments: &[&str]) -> Result<Reply, Impossible> {
    let (mut state, now) = shared.settled();
    let state = &mut *state;
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
        ("POST", ["organizations", org, "crm-users"]) => {
            acts::add_crm_user(state, org, request, now)
        }
        ("PATCH", ["organizations", org, "crm-users", id]) => {
            acts::patch_crm_user(state, org, id, request, now)
        }
        ("DELETE", ["organizations", org, "crm-users", id]) => {
            acts::delete_crm_user(state, org, id, now)
        }
        ("POST", ["organizations", org, "members", email, act]) => {
            acts::member(state, org, email, act, now)
        }
        ("POST", ["organizations", org, "bots", bot, "subscribers"]) => {
            acts::subscribe(state, org, bot, request, now)
        }
        ("PATCH", ["organizations", org]) => acts::patch_organization(state, org, request, now),
        ("POST", ["people", email, "sign-up"]) => Ok(acts::sign_up(state, email, now)),
        ("POST", ["join", org, email]) => {
            acts::member(state, org, email, "accept", now)?;
            // Back to the page that the form was on.
            Ok(Reply::empty(303).with("location", request.shown.clone()))
        }
        _ => Err(nothing_here()),
    }
}
