//! What a failed action comes to: later, parked with its cause, or given up, each with what the
//! administrators have to know. Deliberately absent: telling failures apart, which the adapters do.

use super::Engine;
use super::licences::is_licence;
use super::tell::named;
use crate::domain::letter::Notice;
use crate::domain::membership::State;
use crate::domain::{Action, Disposition, Failure, Operation, OrgId, Timestamp};
use crate::logic::retry::{ATTEMPTS_MAX, Attempts, disposition};
use crate::store::audit::{self, Entry};
use crate::store::outbox::{self, End};
use crate::store::{StoreError, Tx, ledger, runs};

/// A matter that administrators are told of once: the portal function does not take the key.
pub(super) const PORTAL_SHUT: &str = "portal";

impl Engine {
    /// Books a failure of a claimed action.
    pub(super) async fn book_failure(
        &self,
        action: Action,
        failure: Failure,
    ) -> Result<(), StoreError> {
        let (engine, now, boot) = (self.clone(), self.now(), self.inner.boot);
        let organization = action.organization.clone();
        let attempts = match action.operation {
            // A mail server that is away for a night must not cost anybody the invitation: the
            // letter waits until it is sent, or until the invitation is over.
            Operation::Letter(_) => Attempts::Forever,
            _ => Attempts::AtMost(ATTEMPTS_MAX),
        };
        let decided = disposition(action.failures, &failure, now, action.id.0, attempts);
        tracing::warn!(
            action = %action.id, %organization, operation = action.operation.name(),
            failure = failure.kind(), error = %failure, next = ?decided, "an action failed"
        );
        self.inner
            .store
            .write("book failure", move |tx| {
                let text = failure.to_string();
                match decided {
                    Disposition::RetryAt { at, counts } => {
                        outbox::postpone(tx, &action, boot, at, counts, &text)?;
                        if let (Failure::Unauthorized { .. }, Operation::Portal(_)) =
                            (&failure, &action.operation)
                        {
                            engine.tell_portal_shut(tx, &action.organization, &text, now)?;
                        }
                    }
                    Disposition::Park { code } if is_licence(&action) => {
                        let end = engine.end_refused_licence(tx, &action, &code, &text, now)?;
                        outbox::settle(tx, action.id, boot, end, now)?;
                    }
                    Disposition::Park { code } => {
                        outbox::settle(tx, action.id, boot, End::Parked(&code, &text), now)?;
                        engine.tell_no_licence(tx, &action, &code, now)?;
                        park_membership(tx, &action, &code, now)?;
                        engine.tell_parked(tx, &action, (&code, &text), now)?;
                        engine.tell_letter_refused(tx, &action, &text, now)?;
                    }
                    Disposition::GiveUp => {
                        let end = End::Dead(failure.kind(), &text);
                        outbox::settle(tx, action.id, boot, end, now)?;
                        engine.tell_dead(tx, &action, &text, now)?;
                    }
                }
                runs::finish_applied(tx, now).map(|_| ())
            })
            .await?;
        self.wake_outbox(&organization);
        Ok(())
    }

    /// The portal refuses somebody: told at once, then together, for each organization and code.
    fn tell_parked(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        (code, error): (&str, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A "no", and a seat that is not free, are told where they are counted.
        let told_elsewhere = matches!(code, "declined" | "no_licence");
        if !matches!(action.operation, Operation::Portal(_)) || told_elsewhere {
            return Ok(());
        }
        let organization = &action.organization;
        let notice = |whom: &str, who: &str| Notice {
            title: format!("The portal of {organization} refuses {whom}: {code}"),
            body: format!(
                "{}\n{who}. Whoever is refused is listed with the cause under memberships. When the \
                 cause is mended, resync the person.",
                remedy(code)
            ),
        };
        let one = notice("people", &format!("{}: {error}", person(tx, action)?));
        let more = notice("more people", "More than were named before");
        self.tell_each(tx, organization, &format!("refused: {code}"), (&one, &more), now)
    }

    /// A letter that the mail server will never take: the person is invited and does not know.
    fn tell_letter_refused(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Operation::Letter(_), Some(id)) = (&action.operation, action.membership) else {
            return Ok(());
        };
        let organization = &action.organization;
        let reason = format!("The mail server refused the letter: {error}");
        let entry = Entry {
            organization,
            membership: Some(id),
            actor: "bridge",
            event: "letter_refused",
            reason: &reason,
            before: None,
            after: None,
            cause: outbox::cause(tx, action.id)?,
            action: Some(action.id),
        };
        audit::record(tx, &entry, now)?;
        let notice = Notice {
            title: format!("A letter of {organization} was refused"),
            body: format!(
                "{}: {error}\nThe person is invited and was not told. Check the address in CRM, \
                 then resync the person to send the letter again.",
                person(tx, action)?
            ),
        };
        let more = Notice {
            title: format!("More letters of {organization} were refused"),
            body:
                "They are invited and were not told. Who: `GET /api/v1/actions?state=parked`, or \
                   the audit (letter_refused)."
                    .to_owned(),
        };
        self.tell_each(tx, organization, "letters refused", (&notice, &more), now)
    }

    fn tell_portal_shut(
        &self,
        tx: &Tx<'_>,
        organization: &OrgId,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notice = Notice {
            title: format!("The portal function of {organization} does not open"),
            body: format!(
                "{error}\nNobody is added to {organization} until `portal.url` and `portal.key` fit \
                 the function. Nothing is lost: what waits is tried again every few minutes."
            ),
        };
        self.tell_once(tx, organization, (PORTAL_SHUT, ""), &notice, now)
    }

    fn tell_dead(
        &self,
        tx: &Tx<'_>,
        action: &Action,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A notice about a notice that cannot be delivered would chase its own tail.
        if matches!(action.operation, Operation::AdminMail(..) | Operation::AdminPost(_)) {
            return Ok(());
        }
        let (operation, id, organization) =
            (action.operation.name(), action.id, &action.organization);
        let notice = Notice {
            title: format!("Given up: {operation} of {organization}"),
            body: format!(
                "{}: {id} failed {} times, last with: {error}\nNothing else is held up by it. When the \
                 cause is mended, resync the person, or: cliqbridge dead retry {id}",
                person(tx, action)?,
                action.failures + 1
            ),
        };
        let more = Notice {
            title: format!("Given up: more {operation} of {organization}"),
            body: "More of the same were given up. Which, and why: cliqbridge dead list. When the \
                   cause is mended: cliqbridge dead retry"
                .to_owned(),
        };
        self.tell_each(tx, organization, &format!("dead: {operation}"), (&notice, &more), now)
    }
}

/// Whom an action is about, in words.
fn person(tx: &Tx<'_>, action: &Action) -> Result<String, StoreError> {
    let row = action.membership.map(|id| ledger::get(tx, id)).transpose()?.flatten();
    Ok(row.as_ref().map_or_else(|| "nobody's membership".to_owned(), named))
}

/// A refusal parks that person with its cause; the rest goes on (I25).
fn park_membership(
    tx: &Tx<'_>,
    action: &Action,
    code: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (Operation::Portal(_), Some(id)) = (&action.operation, action.membership) else {
        return Ok(());
    };
    let Some(before) = ledger::get(tx, id)? else { return Ok(()) };
    let mut row = before.clone();
    row.parked = Some(code.to_owned());
    let said_no = match code {
        "declined" => Some(State::Declined),
        "blocked" => Some(State::Blocked),
        _ => None,
    };
    if let (Some(state), State::Wanted | State::Invited) = (said_no, row.state) {
        row.state = state;
        row.since = now;
        row.unseen_since = None;
    }
    ledger::put(tx, &row)?;
    let reason = format!("The portal refused: {}", remedy(code));
    let entry = Entry {
        organization: &action.organization,
        membership: Some(id),
        actor: "bridge",
        event: "parked",
        reason: &reason,
        before: Some(audit::facts(&before)),
        after: Some(audit::facts(&row)),
        cause: outbox::cause(tx, action.id)?,
        action: Some(action.id),
    };
    audit::record(tx, &entry, now)
}

/// What an administrator can do about a refusal, and where (design section 11, "Parked causes").
pub fn remedy(code: &str) -> String {
    let what = match code {
        "already_internal" => "the person is one of the organization's own users; nothing to do",
        "declined" => "the person declined; invite again only by an operator's resend",
        "blocked" => "Zoho does not let this person be invited again; the person has to ask for it",
        "no_permission" => {
            "the portal function's owner may not add users: CRM Plus, Admin panel, Users"
        }
        "no_licence" => "no CRM Plus licence is free: CRM Plus, Admin panel, Subscription",
        "other_data_centre" => {
            "the person's Zoho account lives in another data centre and cannot be added"
        }
        "unknown_user" => "CRM Plus does not know this user: check that the user is active there",
        other => {
            return format!("{other} (not a code that the bridge knows; see the portal's log)");
        }
    };
    // What was amiss with the organization concerned many: one command lets all of them be tried again.
    let then = match code {
        "no_permission" | "no_licence" | "unknown_user" => {
            format!(". When that is mended: cliqbridge dead retry --all --cause {code}")
        }
        _ => String::new(),
    };
    format!("{code}: {what}{then}")
}
