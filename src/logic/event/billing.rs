//! Zoho Billing's default payload (contract section 4.1): `subscription_*`, as JSON, as a form, or
//! with the payload as a JSON string inside, the way the events API writes it.
//!
//! Unconfirmed against a live Zoho, hence three places where the subscription is looked for and a
//! time that may fail to parse: an event of a kind that exists must not be lost over its wrapping.
//! Deliberately absent: invoices, payments and all else that Billing tells; those are ignored.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Event, Malformed, detail, name, object, state_of_status, text, time};
use crate::domain::delivery::OrgRef;
use crate::domain::{Hint, Subject, Subscription};

/// Form fields that hold a whole body as JSON.
const FORM_BODY_FIELDS: [&str; 2] = ["JSONString", "payload"];

/// Reads `application/x-www-form-urlencoded`: a field with the whole body, or flat fields.
pub(super) fn read_form(body: &[u8]) -> Result<Event, Malformed> {
    let pairs = form_urlencoded::parse(body).into_owned();
    let mut fields: Map<String, Value> =
        pairs.map(|(key, value)| (key, Value::String(value))).collect();
    // A body in a field wins over flat fields beside it, except where only those name the event.
    for key in FORM_BODY_FIELDS {
        if let Some(Value::String(inner)) = fields.remove(key) {
            fields.insert("payload".to_owned(), Value::String(inner));
            break;
        }
    }
    read(&Value::Object(fields))
}

/// Reads a body that is known to be an object.
pub(super) fn read(body: &Value) -> Result<Event, Malformed> {
    let inner = match body.get("payload") {
        Some(Value::String(payload)) => object(payload.as_bytes())?,
        Some(payload @ Value::Object(_)) => payload.clone(),
        _ => Value::Null,
    };
    let either = |path, field| match name(body, path, field)? {
        None => name(&inner, path, field),
        found => Ok(found),
    };
    let event_type = either("/event_type", "event_type")?.ok_or(Malformed::NoEventType)?;
    let hints = event_type
        .strip_prefix("subscription_")
        .map(|verb| hint(verb, &event_type, subscription(&inner).or(subscription(body))))
        .into_iter()
        .collect();
    Ok(Event {
        event_id: either("/event_id", "event_id")?,
        event_time: either("/event_time", "event_time")?.as_deref().and_then(time),
        event_type,
        hints,
    })
}

/// The subscription: `data.subscription`, `subscription`, a flat `data`, or the object itself.
fn subscription(body: &Value) -> Option<&Value> {
    ["/data/subscription", "/subscription", "/data", ""]
        .iter()
        .find_map(|path| body.pointer(path).filter(|found| found.is_object()))
}

fn hint(verb: &str, event_type: &str, subscription: Option<&Value>) -> Hint {
    let field = |path: &str| subscription.and_then(|subscription| text(subscription, path));
    let status = field("/status");
    let state = match verb {
        "created" | "activation" | "activated" | "renewed" | "upgraded" | "resumed"
        | "reactivated" => Subscription::Active,
        "downgraded" | "cancelled" | "expired" | "unpaid" | "deleted" | "paused" => {
            Subscription::Downgraded
        }
        // `updated`, and whatever Zoho adds to an enum that it keeps open.
        _ => state_of_status(status.as_deref()),
    };
    let customer = field("/customer/customer_id").or_else(|| field("/customer_id"));
    let id = field("/subscription_id");
    let plan = field("/plan/plan_code").or_else(|| field("/plan_code"));
    let detail =
        detail(event_type, &[("subscription", id.clone()), ("plan", plan), ("status", status)]);
    let organization = match (customer, id) {
        (None, None) => OrgRef::Unnamed,
        (customer, subscription) => OrgRef::BillingCustomer { customer, subscription },
    };
    Hint { organization, subject: Subject::Subscription { state, named: None, detail } }
}
