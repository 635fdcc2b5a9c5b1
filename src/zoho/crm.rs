//! Zoho CRM: the users of an organization and its subscription (contract sections 3.1 and 3.2).
//!
//! Deliberately absent: writes (adding a CRM Plus user by API is unsupported) and scope rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::account::{Account, Ask};
use super::error::CallError;
use super::gate::Priority;
use super::listing::PAGES_MAX;
use super::wire::{BAD_PATH, address, count, malformed, name, needed, text, truth};
use crate::config;
use crate::domain::budget::Group;
use crate::domain::shared::Pool;
use crate::domain::{CrmUser, CrmUserId, Email, Roster, Standing, Timestamp, Zuid};

const LIST: &str = "GET /crm/v8/users";
/// The read of one user's row, as errors name it.
pub const GET: &str = "GET /crm/v8/users/{id}";
const ORG: &str = "GET /crm/v8/org";

/// Rows per page, the documented maximum.
const PER_PAGE: &str = "200";

/// The same as a number.
const PAGE_ROWS: usize = 200;

/// Users that one call may name (contract section 3.1, `ids`): as many as one member call of Cliq.
pub const USERS_AT_ONCE: usize = 100;

/// Reads one organization's CRM.
#[derive(Clone)]
pub struct Client {
    pub(super) account: Arc<Account>,
    pub(super) base: Url,
}

/// An organization as CRM describes it: the only pollable sign of its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmOrg {
    /// CRM's organization id.
    pub id: String,
    /// Zoho group id; not the Cliq `zoid`.
    pub zgid: Option<String>,
    /// `license_details.paid`
    pub paid: Option<bool>,
    /// `license_details.paid_type`; its words for CRM Plus are not documented.
    pub paid_type: Option<String>,
    /// `license_details.users_license_purchased`
    pub licences: Option<u32>,
}

impl Client {
    /// A client for the CRM at `zoho.api_url`.
    pub fn new(account: Arc<Account>, zoho: &config::Zoho) -> Self {
        Self { account, base: zoho.api_url.clone() }
    }

    /// The same client, reading through another account of the same credential.
    #[must_use]
    pub fn through(&self, account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), base: self.base.clone() }
    }

    /// Every user of the organization, of whatever status: complete, or an error.
    ///
    /// # Errors
    /// [`CallError::Incomplete`] when a page contradicts itself or another; see [`CallError`].
    pub async fn users(&self, priority: Priority) -> Result<Roster, CallError> {
        let mut users = Vec::new();
        let mut ids = BTreeSet::new();
        for page in 1..=PAGES_MAX {
            let number = page.to_string();
            let query = [("type", "AllUsers"), ("page", number.as_str()), ("per_page", PER_PAGE)];
            let url = address(LIST, &self.base, &["crm", "v8", "users"], &query)?;
            let body = self.account.read_page(Group::Crm, priority, &Ask::get(LIST, url)).await?;
            let Some(body) = body else {
                return match page {
                    1 => self.whole(users, page),
                    _ => Err(broken("an empty answer after a page that promised more")),
                };
            };
            let more = read_page(&body, page, &mut users, &mut ids)?;
            if !more {
                return self.whole(users, page);
            }
        }
        Err(broken("more than 5,000 pages"))
    }

    /// All pages are read.
    fn whole(&self, users: Vec<CrmUser>, pages: usize) -> Result<Roster, CallError> {
        self.account.meter().need_pages(users.len(), PAGE_ROWS);
        complete(users, pages)
    }

    /// One user; `None` when CRM has no such row (204, 404, `INVALID_DATA`), which is no evidence
    /// of leaving (design section 11, "Evidence and reads").
    ///
    /// # Errors
    /// See [`CallError`]; never "not there".
    pub async fn user(&self, id: &CrmUserId) -> Result<Option<CrmUser>, CallError> {
        match self.user_body(id).await {
            Ok(None) => Ok(None),
            Ok(Some(body)) => {
                let rows = body.get("users").and_then(Value::as_array);
                let rows = rows.ok_or_else(|| malformed(GET, "no list of users"))?;
                let Some(row) = rows.first() else { return Ok(None) };
                let user = read_user(row, &mut Pool::default());
                let user = user.ok_or_else(|| malformed(GET, "a row without an id"))?;
                if rows.len() > 1 || user.id != *id {
                    return Err(malformed(GET, "not the user that was asked for"));
                }
                Ok(Some(user))
            }
            Err(CallError::Refused { code, status, .. }) if is_absence(&code, status) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rows of these users, at most [`USERS_AT_ONCE`]; who is not among them is no evidence of
    /// anything.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn some(&self, ids: &[CrmUserId]) -> Result<Roster, CallError> {
        let ids: Vec<&str> = ids.iter().map(CrmUserId::as_str).take(USERS_AT_ONCE).collect();
        let ids = ids.join(",");
        let query = [("type", "AllUsers"), ("ids", ids.as_str()), ("per_page", PER_PAGE)];
        complete(self.page(&query).await?, 1)
    }

    /// The OAuth user's own row; `None` unless CRM answers with exactly one.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn current_user(&self) -> Result<Option<CrmUser>, CallError> {
        let mut rows = self.page(&[("type", "CurrentUser")]).await?;
        let row = rows.pop();
        Ok(row.filter(|_| rows.is_empty()))
    }

    async fn page(&self, query: &[(&str, &str)]) -> Result<Vec<CrmUser>, CallError> {
        let url = address(LIST, &self.base, &["crm", "v8", "users"], query)?;
        let ask = Ask::get(LIST, url);
        let Some(body) = self.account.read(Group::Crm, Priority::Webhook, &ask).await? else {
            return Ok(Vec::new());
        };
        let rows = body.get("users").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| malformed(LIST, "no list of users"))?;
        let mut pool = Pool::default();
        Ok(rows.iter().filter_map(|row| read_user(row, &mut pool)).collect())
    }

    /// The organization and its subscription.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn org(&self) -> Result<CrmOrg, CallError> {
        let url = address(ORG, &self.base, &["crm", "v8", "org"], &[])?;
        let ask = Ask::get(ORG, url);
        let body = needed(ORG, self.account.read(Group::Crm, Priority::Webhook, &ask).await?)?;
        let org = body.get("org").and_then(|list| list.get(0));
        let org = org.ok_or_else(|| malformed(ORG, "no organization"))?;
        let id = text(org, &["id"]).ok_or_else(|| malformed(ORG, "no organization id"))?;
        let nothing = Value::Null;
        let licence = org.get("license_details").unwrap_or(&nothing);
        Ok(CrmOrg {
            id,
            zgid: text(org, &["zgid"]),
            paid: truth(licence, "paid"),
            paid_type: text(licence, &["paid_type"]),
            licences: count(licence, "users_license_purchased").and_then(|n| n.try_into().ok()),
        })
    }

    async fn user_body(&self, id: &CrmUserId) -> Result<Option<Value>, CallError> {
        let url = address(GET, &self.base, &["crm", "v8", "users", id.as_str()], &[])?;
        self.account.read(Group::Crm, Priority::Webhook, &Ask::get(GET, url)).await
    }
}

/// Whether a refusal of `GET /users/{id}` says "no such row". A 404 with a code of its own, such
/// as `INVALID_URL_PATTERN`, speaks of the address, not of the person.
fn is_absence(code: &str, status: u16) -> bool {
    code == "INVALID_DATA" || code == BAD_PATH || (status == 404 && code == "http_404")
}

/// Adds one page's rows; says whether more follows.
fn read_page(
    body: &Value,
    page: usize,
    users: &mut Vec<CrmUser>,
    ids: &mut BTreeSet<CrmUserId>,
) -> Result<bool, CallError> {
    let rows = body.get("users").and_then(Value::as_array);
    let rows = rows.ok_or_else(|| malformed(LIST, "no list of users"))?;
    let info = body.get("info").ok_or_else(|| broken("a page without info"))?;
    if count(info, "page") != Some(page) {
        return Err(broken("another page than the one asked for"));
    }
    if count(info, "count") != Some(rows.len()) {
        return Err(broken("info.count differs from the rows of its page"));
    }
    let more = truth(info, "more_records").ok_or_else(|| broken("no info.more_records"))?;
    if rows.is_empty() && (more || page > 1) {
        return Err(broken("an empty page where rows were promised"));
    }
    let mut pool = Pool::default();
    for row in rows {
        let user = read_user(row, &mut pool).ok_or_else(|| broken("a row without an id"))?;
        if !ids.insert(user.id.clone()) {
            return Err(broken("a row came twice: pages shifted while being read"));
        }
        users.push(user);
    }
    Ok(more)
}

fn complete(users: Vec<CrmUser>, pages: usize) -> Result<Roster, CallError> {
    Roster::complete(users, pages).map_err(|_| broken("a row came twice"))
}

fn broken(rule: &str) -> CallError {
    CallError::incomplete(LIST, rule)
}

/// One row; every field but the id may be missing (I30).
fn read_user(row: &Value, pool: &mut Pool) -> Option<CrmUser> {
    let mut shared = |text: Option<String>| text.map(|text| pool.share(&text));
    Some(CrmUser {
        id: CrmUserId::new(text(row, &["id"])?),
        zuid: text(row, &["zuid"]).map(Zuid::new),
        email: text(row, &["email"])
            .and_then(|email| Email::parse(&email).ok())
            .filter(|email| !email.is_tombstone()),
        first_name: text(row, &["first_name"]).unwrap_or_default(),
        last_name: text(row, &["last_name"]).unwrap_or_default(),
        standing: standing(text(row, &["status"])),
        confirmed: truth(row, "confirm"),
        category: shared(text(row, &["category"])),
        profile: shared(name(row, "profile")),
        role: shared(name(row, "role")),
        created_by: shared(name(row, "created_by")),
        time_zone: shared(text(row, &["time_zone"])),
        language: shared(text(row, &["language"])),
        modified_at: text(row, &["Modified_Time"]).and_then(|time| Timestamp::parse(&time)),
    })
}

/// The words of design section 11, "Identity".
fn standing(status: Option<String>) -> Standing {
    let status = status.unwrap_or_default();
    match status.to_ascii_lowercase().as_str() {
        "active" => Standing::Active,
        "disabled" | "inactive" | "deleted" | "closed" => Standing::NotActive(status),
        _ => Standing::Unknown(status),
    }
}
