//! The portal function: the only door for an external user (R7, R8; design section 8).
//!
//! Deliberately absent: channel guests, who never come through this door.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::entries::Status;
use super::licences::{self, NoLicence};
use super::membership;
use super::router::{Outcome, text};
use super::state::{Class, Organization, Realm};
use super::wire::{Family, Reply, Request, Violation};
use crate::domain::Timestamp;

/// The body's keys; all are required texts.
const KEYS: [&str; 7] = [
    "operation",
    "organization_id",
    "crm_user_id",
    "email",
    "first_name",
    "last_name",
    "idempotency_key",
];

/// What the function answered, by idempotency key, and which key did what.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_key: BTreeMap<String, Stored>,
    /// (operation, CRM user id) to the key of the call that took effect.
    effective: BTreeMap<(Operation, String), String>,
}

/// What the function can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    AddExternal,
    RemoveExternal,
    Restrict,
    Restore,
    AssignLicence,
    RevokeLicence,
}

impl Operation {
    fn parse(word: &str) -> Result<Self, Violation> {
        Ok(match word {
            "add_external" => Self::AddExternal,
            "remove_external" => Self::RemoveExternal,
            "restrict" => Self::Restrict,
            "restore" => Self::Restore,
            "assign_licence" => Self::AssignLicence,
            "revoke_licence" => Self::RevokeLicence,
            other => {
                let message = format!("there is no operation {other:?}");
                return Err(Violation::bad("unknown_operation", message));
            }
        })
    }
}

#[derive(Debug)]
struct Stored {
    body: Map<String, Value>,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// The link to join, when there is an invitation.
    Done(Option<String>),
    Already(Option<String>),
    Refused(&'static str),
}

/// Whether the key of the call is the organization's.
pub(super) fn is_authorized(org: &Organization, request: &Request) -> bool {
    let by_query = request.query("auth_type") == Some("apikey")
        && request.query("zapikey") == Some(org.entry.portal_key.as_str());
    by_query || request.header("x-portal-key") == Some(org.entry.portal_key.as_str())
}

/// `POST /portal/{organization}`.
pub(super) fn call(
    org: &mut Organization,
    realm: &mut Realm,
    request: &Request,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    request.allow_query(&["auth_type", "zapikey"])?;
    let body = request.json(&KEYS)?;
    for key in KEYS {
        if text(&body, key).is_none() {
            return Err(Violation::bad("missing_key", format!("{key} must be given as a text")));
        }
    }
    let value = |key| text(&body, key).unwrap_or_default();
    if value("organization_id") != org.entry.crm_org {
        let message = "organization_id is not the CRM organization of this function";
        return Err(Violation::bad("wrong_organization", message));
    }
    let (word, crm_id, key) = (value("operation"), value("crm_user_id"), value("idempotency_key"));
    let operation = Operation::parse(word)?;
    if key.is_empty() {
        return Err(Violation::bad("missing_key", "idempotency_key must not be empty"));
    }
    if let Some(stored) = org.answers.by_key.get(key) {
        if stored.body != body {
            let message = "this idempotency key was used for another request";
            return Err(Violation::bad("key_reused", message));
        }
        let reply = reply(org, &stored.answer);
        return Ok(Outcome::read(reply).detail("same key: stored answer").key(key));
    }
    let answer = act(org, realm, operation, crm_id, value("email"), now);
    let effect = (operation, crm_id.to_owned());
    let earlier = org.answers.effective.get(&effect);
    let outcome = match &answer {
        Answer::Done(_) => Outcome::write(reply(org, &answer)).detail(format!("{word}: done")),
        Answer::Already(_) if earlier.is_some() => {
            Outcome::read(reply(org, &answer)).detail("second key")
        }
        Answer::Already(_) => Outcome::read(reply(org, &answer)).detail(format!("{word}: already")),
        Answer::Refused(code) => Outcome::refused(reply(org, &answer), code),
    };
    if matches!(answer, Answer::Done(_)) {
        org.answers.effective.insert(effect, key.to_owned());
    }
    let outcome = outcome.key(key);
    org.answers.by_key.insert(key.to_owned(), Stored { body, answer });
    Ok(outcome)
}

fn act(
    org: &mut Organization,
    realm: &mut Realm,
    operation: Operation,
    crm_id: &str,
    email: &str,
    now: Timestamp,
) -> Answer {
    let crm = org.crm.get(crm_id).filter(|row| row.email.eq_ignore_ascii_case(email.trim()));
    let active = crm.is_some_and(|row| row.status == "active" && !row.deleted);
    let Some(person) = crm.map(|row| row.person.clone()).or_else(|| realm.find(email)) else {
        return Answer::Refused("unknown_user");
    };
    let row = org.row(&person);
    if row.is_some_and(|row| row.class == Class::Internal) {
        return Answer::Refused("already_internal");
    }
    let exists = row.is_some();
    let in_other_data_centre = realm.people.get(&person).is_some_and(|who| who.other_data_centre);
    let changed = |changed: Option<bool>| match changed {
        Some(true) => Answer::Done(None),
        Some(false) => Answer::Already(None),
        None => Answer::Refused("unknown_user"),
    };
    match operation {
        Operation::AddExternal if !active => Answer::Refused("unknown_user"),
        Operation::AddExternal if exists => {
            let pending = row.is_some_and(|row| row.status == Status::Pending);
            Answer::Already(pending.then(|| membership::join_url(org, realm, &person)))
        }
        Operation::AddExternal if org.is_blocked(&person) => Answer::Refused("blocked"),
        Operation::AddExternal if in_other_data_centre => Answer::Refused("other_data_centre"),
        Operation::AddExternal if org.declined.contains(&person) => Answer::Refused("declined"),
        Operation::AddExternal if !org.has_crm_licence() => Answer::Refused("no_licence"),
        Operation::AddExternal => {
            membership::invite(org, realm, (&person, email), now);
            Answer::Done(Some(membership::join_url(org, realm, &person)))
        }
        Operation::RemoveExternal => changed(Some(membership::remove(org, &person))),
        Operation::Restrict => changed(membership::restrict(org, &person)),
        Operation::Restore => changed(membership::activate(org, &person)),
        Operation::AssignLicence => match licences::assign(org, &person) {
            Ok(done) => changed(done),
            Err(NoLicence) => Answer::Refused("no_licence"),
        },
        Operation::RevokeLicence => changed(licences::revoke(org, &person)),
    }
}

fn reply(org: &Organization, answer: &Answer) -> Reply {
    let plain = match answer {
        Answer::Done(None) => json!({"status": "done"}),
        Answer::Done(Some(url)) => json!({"status": "done", "join_url": url}),
        Answer::Already(None) => json!({"status": "already"}),
        Answer::Already(Some(url)) => json!({"status": "already", "join_url": url}),
        Answer::Refused(code) => {
            json!({"status": "refused", "code": code, "message": "CRM Plus refuses the request."})
        }
    };
    wrapped(org, plain)
}

/// The answer, wrapped the way Zoho functions do it when the world says so.
fn wrapped(org: &Organization, plain: Value) -> Reply {
    let body = if org.entry.wrap_portal {
        json!({
            "code": "success",
            "details": {"output": plain.to_string()},
            "message": "function executed successfully",
        })
    } else {
        plain
    };
    Reply::json(200, &body)
}

/// The answer to a wrong key.
pub(super) fn unauthorized() -> Reply {
    let status = StatusCode::UNAUTHORIZED.as_u16();
    Family::Portal.error(status, "INVALID_KEY", "the API key is not valid")
}
