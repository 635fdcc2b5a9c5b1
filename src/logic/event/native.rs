//! The bridge's own body (design section 8, "Events"): `user.*` and `plan.*`.
//!
//! Deliberately absent: the user's address and zuid. The event's copy may be old; the CRM is asked.

use serde_json::Value;

use super::{Event, Malformed, detail, name, plain_user_id, state_of_status, text, time};
use crate::domain::delivery::OrgRef;
use crate::domain::{Hint, HintKind, Subject, Subscription};

/// Reads a body that is known to be an object.
pub(super) fn read(body: &Value) -> Result<Event, Malformed> {
    let event_type = name(body, "/event_type", "event_type")?.ok_or(Malformed::NoEventType)?;
    let event_time = text(body, "/event_time")
        .map(|text| time(&text).ok_or(Malformed::Field("event_time")))
        .transpose()?;
    let organization =
        name(body, "/organization_id", "organization_id")?.map_or(OrgRef::Unnamed, OrgRef::Id);
    let hints = subject(&event_type, body)?
        .map(|subject| Hint { organization, subject })
        .into_iter()
        .collect();
    Ok(Event { event_id: name(body, "/event_id", "event_id")?, event_type, event_time, hints })
}

/// Whom or what the event is about; nobody, for kinds that mean nothing to the bridge.
fn subject(event_type: &str, body: &Value) -> Result<Option<Subject>, Malformed> {
    let kind = match event_type {
        "user.added" | "user.updated" | "user.activated" => HintKind::Present,
        "user.deactivated" | "user.removed" => HintKind::Leaving,
        _ => return Ok(plan(event_type, body)),
    };
    let id = text(body, "/data/user/id").ok_or(Malformed::NoUserId)?;
    let id = plain_user_id(Some(&id), "data.user.id")?;
    Ok(Some(Subject::User { id, kind }))
}

fn plan(event_type: &str, body: &Value) -> Option<Subject> {
    let field = |key: &str| text(body, &format!("/data/plan/{key}"));
    let status = field("status");
    let state = match event_type {
        "plan.upgraded" | "plan.renewed" => Subscription::Active,
        "plan.downgraded" | "plan.cancelled" => Subscription::Downgraded,
        "plan.changed" => state_of_status(status.as_deref()),
        _ => return None,
    };
    let labels = ["code", "from", "to"].map(|key| (key, field(key)));
    let [code, from, to] = labels;
    // What a plan that has just changed is called now; the types configured say what that means.
    let named = (state == Subscription::Unknown).then(|| to.1.clone().or(code.1.clone())).flatten();
    let detail = detail(event_type, &[code, from, to, ("status", status)]);
    match field("product").map(|product| product.to_ascii_lowercase()).as_deref() {
        None | Some("crmplus") => Some(Subject::Subscription { state, named, detail }),
        Some("cliq") => Some(Subject::CliqPlan { detail }),
        Some(_) => None,
    }
}
