//! Zoho CRM: the user list and the organization (contract sections 3.1, 3.2).
//!
//! Deliberately absent: every write. CRM Plus users cannot be added by API.

use serde_json::{Value, json};

use super::paging::{self, Paging};
use super::router::Outcome;
use super::state::{CrmRow, Organization, Realm, made_up};
use super::wire::{Family, Reply, Request, Violation};
use crate::domain::Timestamp;

/// Most rows of a page (contract section 3.1).
const PAGE_MAX: usize = 200;
/// Highest page number served; beyond it a client has lost its way.
const PAGES_MAX: usize = 10_000;

/// `GET /crm/v8/users`.
pub(super) fn list(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    paging: Paging,
) -> Result<Outcome, Violation> {
    request.allow_query(&["type", "page", "per_page", "ids"])?;
    let page = request.number("page", 1, PAGES_MAX)?;
    let per_page = request.number("per_page", PAGE_MAX, PAGE_MAX)?;
    let ids: Option<Vec<&str>> = request.query("ids").map(|ids| ids.split(',').collect());
    let kind = request.query("type").unwrap_or("AllUsers");
    let mut rows: Vec<&CrmRow> = Vec::new();
    for row in org.crm.values() {
        let wanted = ids.as_ref().is_none_or(|ids| ids.contains(&row.id.as_str()));
        if wanted && matches(row, kind, org)? {
            rows.push(row);
        }
    }
    if let Some(header) = request.header("if-modified-since") {
        let since = Timestamp::parse(header).ok_or_else(|| {
            Violation::bad("INVALID_DATA", "If-Modified-Since is not an ISO 8601 time")
        })?;
        rows.retain(|row| row.modified_at > since);
        if rows.is_empty() {
            return Ok(Outcome::read(Reply::empty(304)));
        }
    }
    let offset = (page - 1) * per_page;
    let left = rows.len().saturating_sub(offset);
    if left == 0 {
        return Ok(Outcome::read(Reply::empty(204)));
    }
    let users: Vec<Value> = paging::cut(&rows, offset, per_page, paging)
        .into_iter()
        .map(|row| user(row, realm))
        .collect();
    // A duplicated page counts what it shows; a missing one counts what it should have shown.
    let count = if paging == Paging::Duplicate { users.len() } else { left.min(per_page) };
    let info = json!({"per_page": per_page, "count": count, "page": page, "more_records": left > per_page});
    Ok(Outcome::read(Reply::json(200, &json!({"users": users, "info": info}))))
}

fn matches(row: &CrmRow, kind: &str, org: &Organization) -> Result<bool, Violation> {
    let active = row.status == "active";
    let admin = row.profile == "Administrator";
    let listed = match kind {
        "AllUsers" => true,
        "ActiveUsers" => active,
        "DeactiveUsers" => !active,
        "ConfirmedUsers" => row.confirm,
        "NotConfirmedUsers" => !row.confirm,
        "DeletedUsers" => return Ok(row.deleted),
        "ActiveConfirmedUsers" => active && row.confirm,
        "AdminUsers" => admin,
        "ActiveConfirmedAdmins" => active && row.confirm && admin,
        "CurrentUser" => row.person == org.admin,
        _ => return Err(Violation::bad("INVALID_DATA", format!("there is no type {kind}"))),
    };
    Ok(listed && !row.deleted)
}

/// `GET /crm/v8/users/{id}`: 204 for an id that the organization does not have.
pub(super) fn get(
    org: &Organization,
    realm: &Realm,
    request: &Request,
    id: &str,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let row = org.crm.get(id).filter(|row| !row.deleted);
    Ok(Outcome::read(match row {
        Some(row) => Reply::json(200, &json!({"users": [user(row, realm)]})),
        None => Reply::empty(204),
    }))
}

fn user(row: &CrmRow, realm: &Realm) -> Value {
    let person = realm.people.get(&row.person);
    let named = |name: &str| json!({"id": made_up("55402300000", name), "name": name});
    json!({
        "id": row.id,
        "zuid": person.and_then(|person| person.zuid.as_ref()),
        "email": row.email,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "full_name": format!("{} {}", row.first_name, row.last_name).trim(),
        "status": row.status,
        "confirm": row.confirm,
        "category": row.category,
        "personal_account": false,
        "sandboxDeveloper": false,
        "profile": named(&row.profile),
        "role": named(&row.role),
        "created_time": time(row.created_at),
        "Modified_Time": time(row.modified_at),
        "Modified_By": named(&row.created_by),
        "created_by": named(&row.created_by),
        "Reporting_To": null,
        "status_reason__s": null,
        "time_zone": person.map(|person| &person.time_zone),
        "language": person.map(|person| &person.language),
        "locale": person.map(|person| &person.language),
        "country": null,
        "mobile": null,
        "Isonline": false,
    })
}

/// As CRM prints times: seconds, and an offset with a colon.
fn time(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// `GET /crm/v8/org`: the only pollable sign of a downgrade.
pub(super) fn org(
    org: &Organization,
    realm: &Realm,
    request: &Request,
) -> Result<Outcome, Violation> {
    request.allow_query(&[])?;
    let Some(admin) = realm.people.get(&org.admin) else {
        let reply = Family::Crm.error(500, "INTERNAL_ERROR", "the organization has no owner");
        return Ok(Outcome::read(reply));
    };
    let paid = !matches!(org.entry.paid_type.as_str(), "" | "free");
    let purchased = org.entry.users_license_purchased.unwrap_or(if paid { 100 } else { 0 });
    Ok(Outcome::read(Reply::json(
        200,
        &json!({"org": [{
            "id": org.entry.crm_org,
            // Not the Cliq `zoid`, on purpose: the two must not be taken for each other.
            "zgid": made_up("4", &format!("zgid {}", org.entry.id)),
            "primary_zuid": admin.zuid,
            "primary_email": admin.email,
            "company_name": org.entry.name,
            "type": "Production",
            "time_zone": admin.time_zone,
            "currency": "Euro - EUR",
            "domain_name": format!("org{}", org.entry.crm_org),
            "license_details": {
                "paid": paid,
                "paid_type": org.entry.paid_type,
                "paid_expiry": null,
                "users_license_purchased": purchased,
                "trial_type": null,
                "trial_action": null,
                "trial_expiry": null,
            },
        }]}),
    )))
}
