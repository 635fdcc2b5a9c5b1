//! Cliq's users: the directory listing and the single read (contract section 2.1).
//!
//! Deliberately absent: adding, changing and removing. `POST /users` makes internal users, which
//! the bridge must never do (R1, R7), so any call of it is a violation.

use serde_json::{Map, Value, json};

use super::entries::{Marker, Status};
use super::paging::{self, Paging};
use super::router::Outcome;
use super::state::{Class, CliqRow, Organization, Person, Realm};
use super::wire::{Family, Reply, Request, Violation};

/// Most rows of a page (contract section 2.1); also what an absent `limit` gets.
const PAGE_MAX: usize = 100;
/// `user_type` of an internal row, as seen live. That of external ones is the sandbox's own guess.
const INTERNAL_TYPE: u8 = 0;
const EXTERNAL_TYPE: u8 = 1;
/// Fields that every row has.
const BASE: [&str; 7] =
    ["email_id", "zuid", "zoid", "display_name", "name", "organization_id", "id"];

/// Fields that tell a row's class (R29).
const MARKERS: [&str; 3] = ["organization_id", "zoid", "user_type"];

/// `POST /api/v2/users`: recorded, never done.
pub(super) fn add() -> Violation {
    Violation {
        status: 403,
        code: "operation_not_allowed",
        message: "internal add: this call makes internal users".to_owned(),
    }
}

/// `GET /api/v2/users`: without `status` the active rows only.
pub(super) fn list(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    paging: Paging,
) -> Result<Outcome, Violation> {
    request.allow_query(&[
        "limit",
        "next_token",
        "status",
        "plan_type",
        "fields",
        "search",
        "sort_by",
        "modified_after",
    ])?;
    let limit = request.number("limit", PAGE_MAX, PAGE_MAX)?;
    let status = match request.query("status") {
        None | Some("active") => Some(Status::Active),
        Some("pending") => Some(Status::Pending),
        Some("inactive") => Some(Status::Inactive),
        // The sandbox imports nobody.
        Some("imported_active" | "imported_inactive") => None,
        Some(other) => return Err(invalid("status", other)),
    };
    let paid = match request.query("plan_type") {
        None => None,
        Some("paid") => Some(true),
        Some("free") => Some(false),
        Some(other) => return Err(invalid("plan_type", other)),
    };
    if let Some(other) = request.query("sort_by").filter(|value| *value != "usage") {
        return Err(invalid("sort_by", other));
    }
    if let Some(text) = request.query("modified_after") {
        text.parse::<i64>().map_err(|_| invalid("modified_after", text))?;
    }
    // Only changes of department, designation and the like count, and nobody here has any.
    let unchanged = request.query("modified_after").is_some();
    let search = request.query("search").unwrap_or_default().to_lowercase();
    let rows: Vec<(&CliqRow, &Person)> = org
        .cliq
        .iter()
        .filter(|row| !unchanged && Some(row.status) == status)
        .filter(|row| paid.is_none_or(|paid| row.paid_licence == paid))
        .filter_map(|row| realm.people.get(&row.person).map(|person| (row, person)))
        .filter(|(_, person)| found(person, &search))
        .collect();
    let keys = ["status", "plan_type", "search", "sort_by", "modified_after"];
    let filter: Vec<&str> = keys.iter().map(|key| request.query(key).unwrap_or("-")).collect();
    let filter = format!("users {}", filter.join(" "));
    let offset = paging::read(request.query("next_token"), &filter)?;
    let wanted = wanted_fields(request)?;
    let data: Vec<Value> = paging::cut(&rows, offset, limit, paging)
        .into_iter()
        .map(|(row, person)| reduced(user(org, row, person), wanted.as_deref()))
        .collect();
    let has_more = rows.len() > offset + limit;
    let mut body = json!({"data": data, "has_more": has_more});
    if has_more {
        body["next_token"] = Value::String(paging::mint(offset + limit, &filter));
    }
    Ok(Outcome::read(Reply::json(200, &body)))
}

fn invalid(key: &str, value: &str) -> Violation {
    Violation::bad("invalid_parameter", format!("{key} cannot be {value:?}"))
}

fn found(person: &Person, search: &str) -> bool {
    person.email.to_lowercase().contains(search) || person.name().to_lowercase().contains(search)
}

/// The fields to show, or `None` for all.
fn wanted_fields(request: &Request) -> Result<Option<Vec<String>>, Violation> {
    let mut wanted: Vec<String> = BASE.iter().map(|key| (*key).to_owned()).collect();
    let Some(fields) = request.query("fields") else { return Ok(Some(wanted)) };
    if fields == "all" {
        return Ok(None);
    }
    for field in fields.split(',') {
        if !EXTRA.contains(&field) && !BASE.contains(&field) {
            return Err(invalid("fields", field));
        }
        wanted.push(field.to_owned());
    }
    Ok(Some(wanted))
}

/// Fields shown only when asked for.
const EXTRA: [&str; 19] = [
    "first_name",
    "last_name",
    "full_name",
    "employee_id",
    "mobile",
    "phone",
    "extension",
    "work_location",
    "timeoffset",
    "timezone",
    "language",
    "country",
    "status",
    "department",
    "designation",
    "reportingto",
    "user_type",
    "invited_time",
    "nick_name",
];

fn reduced(mut user: Map<String, Value>, wanted: Option<&[String]>) -> Value {
    if let Some(wanted) = wanted {
        user.retain(|key, _| wanted.contains(key));
    }
    Value::Object(user)
}

fn user(org: &Organization, row: &CliqRow, person: &Person) -> Map<String, Value> {
    let mut body = json!({
        "email_id": person.email,
        "zuid": person.zuid,
        "zoid": person.zoid,
        "display_name": person.first_name,
        "name": person.name(),
        "organization_id": person.organization_id,
        "id": row.id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "full_name": person.name(),
        "employee_id": "",
        "mobile": "",
        "phone": "",
        "extension": "",
        "work_location": "",
        "timeoffset": 0,
        "timezone": person.time_zone,
        "language": person.language,
        "country": "",
        "status": row.status.as_str(),
        "user_type": match row.class {
            Class::Internal => INTERNAL_TYPE,
            Class::External => EXTERNAL_TYPE,
        },
        "invited_time": row.invited_at.millis(),
        "nick_name": "",
    });
    match row.marker {
        Marker::Shown | Marker::Hidden => {}
        Marker::Internal => {
            body["organization_id"] = json!(org.entry.cliq_org);
            body["zoid"] = json!(org.entry.zoid);
            body["user_type"] = json!(INTERNAL_TYPE);
        }
    }
    match body {
        Value::Object(mut map) => {
            map.retain(|key, _| row.marker != Marker::Hidden || !MARKERS.contains(&key.as_str()));
            map
        }
        _ => Map::new(),
    }
}

/// `GET /api/v2/users/{id, zuid or e-mail}`: whatever the row's status.
pub(super) fn get(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let row = find(org, realm, id);
    let user =
        row.and_then(|row| realm.people.get(&row.person).map(|person| user(org, row, person)));
    Ok(Outcome::read(match user {
        Some(user) => Reply::json(200, &json!({"data": user})),
        None => Family::Cliq.error(404, "user_not_exists", "The user does not exist."),
    }))
}

/// The row with this id, zuid or address.
pub(super) fn find<'a>(org: &'a Organization, realm: &Realm, id: &str) -> Option<&'a CliqRow> {
    org.cliq.iter().find(|row| {
        let person = realm.people.get(&row.person);
        row.id == id
            || person.is_some_and(|person| {
                person.zuid.as_deref() == Some(id) || person.email.eq_ignore_ascii_case(id)
            })
    })
}
