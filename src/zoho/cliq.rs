//! Zoho Cliq: the people of an organization (contract section 2.1). Channels and messages add
//! their calls to the same client in `channels` and `messages`.
//!
//! Deliberately absent: adding, changing or removing users. Cliq has no call that adds an external
//! user, and its ordinary add would make an internal one (R1, R7).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::account::{Account, Ask};
use super::error::CallError;
use super::gate::Priority;
use super::listing::{Listed, Listing, Silence};
use super::wire::{BAD_PATH, address, malformed, text};
use crate::config;
use crate::domain::budget::Group;
use crate::domain::shared::Pool;
use crate::domain::{CliqId, CliqUser, Directory, Email, Presence, Zuid};

const LIST: &str = "GET /api/v2/users";
const GET: &str = "GET /api/v2/users/{id}";
/// The listing's address with another question: what is answered to it is about one person.
const SEARCH: &str = "GET /api/v2/users?search={address}";

/// Keys of a user's id, the newer shape first.
const USER_IDS: [&str; 3] = ["id", "user_id", "zuid"];

/// Codes that say that Cliq has no such user.
const NO_SUCH_USER: [&str; 3] = ["user_not_exists", "user_not_exist", "user_not_found"];

/// Speaks to one organization's Cliq.
#[derive(Clone)]
pub struct Client {
    pub(super) account: Arc<Account>,
    pub(super) base: Url,
}

/// Who has a paid licence, complete by construction.
#[derive(Clone, Debug, Default)]
pub struct Paid {
    /// Their Cliq ids.
    pub ids: BTreeSet<CliqId>,
}

impl Client {
    /// A client for the Cliq at `zoho.cliq_url`.
    pub fn new(account: Arc<Account>, zoho: &config::Zoho) -> Self {
        Self { account, base: zoho.cliq_url.clone() }
    }

    /// The same client, reading through another account of the same credential.
    #[must_use]
    pub fn through(&self, account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), base: self.base.clone() }
    }

    /// Every user: the unfiltered pass and, with `passes`, the pending and inactive ones, merged
    /// by id. Complete, or an error.
    ///
    /// # Errors
    /// [`CallError::Incomplete`] when a pass contradicts itself; see [`CallError`].
    pub async fn directory(
        &self,
        passes: bool,
        priority: Priority,
    ) -> Result<Directory, CallError> {
        let all = [
            (None, Presence::Active),
            (Some("pending"), Presence::Pending),
            (Some("inactive"), Presence::Inactive),
        ];
        let wanted = if passes { all.len() } else { 1 };
        let (mut users, mut pool) = (Vec::new(), Pool::default());
        let mut pages = 0;
        for (status, silent) in all.into_iter().take(wanted) {
            let make = |row: Value| read_user(&row, silent, &mut pool);
            let listed = self.pass(None, status, priority, make).await?;
            pages += listed.pages;
            users.extend(listed.rows);
        }
        Ok(Directory::complete(users, pages))
    }

    /// The ids of every user with a paid licence, internal and external: complete, or an error. It
    /// says nothing about users whom the unfiltered pass of [`Self::directory`] does not show.
    ///
    /// # Errors
    /// [`CallError::Incomplete`] when the listing contradicts itself; see [`CallError`].
    pub async fn paid(&self, priority: Priority) -> Result<Paid, CallError> {
        let make = |row: Value| text(&row, &USER_IDS).map(CliqId::new);
        let listed = self.list(LIST, &[("plan_type", "paid")], priority, make).await?;
        Ok(Paid { ids: listed.rows.into_iter().collect() })
    }

    /// One user by Cliq id or zuid; `None` when Cliq has no such user, which may lead only to an
    /// add. The row's presence is `Unknown` when Cliq does not say it.
    ///
    /// # Errors
    /// See [`CallError`]; never "not there".
    pub async fn user(&self, id: &str) -> Result<Option<CliqUser>, CallError> {
        let body = match self.user_body(id).await {
            Ok(body) => body,
            Err(CallError::Refused { code, status, .. })
                if status == 404 || code == BAD_PATH || NO_SUCH_USER.contains(&code.as_str()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // No body, or an empty `data`, is how Zoho says "nobody" elsewhere (contract section 6,
        // habit 6).
        let Some(body) = body else { return Ok(None) };
        let data = body.get("data").ok_or_else(|| malformed(GET, "no data in it"))?;
        if data.is_null() || data.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(None);
        }
        let user = read_user(data, Presence::Unknown, &mut Pool::default());
        let user = user.ok_or_else(|| malformed(GET, "no user in it"))?;
        if user.id.as_str() != id && user.zuid.as_ref().is_none_or(|zuid| zuid.as_str() != id) {
            return Err(malformed(GET, "not the user that was asked for"));
        }
        Ok(Some(user))
    }

    /// The rows with exactly this address: searched among all users, and among the pending ones
    /// unless each row found says itself where it stands. More than one row is a conflict.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn search(&self, email: &Email) -> Result<Vec<CliqUser>, CallError> {
        let all = self.pass(Some(email), None, Priority::Webhook, Some).await?;
        let mut found = exactly(email, &all.rows, Presence::Active);
        let said = |row: &Value| text(row, &["status"]).is_some();
        if !found.is_empty() && all.rows.iter().all(said) {
            return Ok(found);
        }
        let pending = self.pass(Some(email), Some("pending"), Priority::Webhook, Some).await?;
        for row in exactly(email, &pending.rows, Presence::Pending) {
            found.retain(|user| user.id != row.id);
            found.push(row);
        }
        Ok(found)
    }

    /// The rows of the first of these addresses that has any; the same one is not asked for twice.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn search_any(&self, addresses: &[&Email]) -> Result<Vec<CliqUser>, CallError> {
        let mut asked = BTreeSet::new();
        for email in addresses {
            if asked.insert(*email) {
                let found = self.search(email).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
        }
        Ok(Vec::new())
    }

    async fn pass<T>(
        &self,
        search: Option<&Email>,
        status: Option<&str>,
        priority: Priority,
        make: impl FnMut(Value) -> Option<T>,
    ) -> Result<Listed<T>, CallError> {
        let mut query = vec![("fields", "all")];
        query.extend(search.map(|email| ("search", email.as_str())));
        query.extend(status.map(|status| ("status", status)));
        let call = if search.is_some() { SEARCH } else { LIST };
        self.list(call, &query, priority, make).await
    }

    async fn list<T>(
        &self,
        call: &'static str,
        query: &[(&str, &str)],
        priority: Priority,
        make: impl FnMut(Value) -> Option<T>,
    ) -> Result<Listed<T>, CallError> {
        let listing = Listing {
            call,
            group: Group::UsersList,
            priority,
            base: &self.base,
            path: &["api", "v2", "users"],
            query,
            rows: &["data", "users"],
            ids: &USER_IDS,
            silence: Silence::Incomplete,
        };
        listing.read(&self.account, make).await
    }

    async fn user_body(&self, id: &str) -> Result<Option<Value>, CallError> {
        let url = address(GET, &self.base, &["api", "v2", "users", id], &[])?;
        self.account.read(Group::UsersGet, Priority::Webhook, &Ask::get(GET, url)).await
    }
}

/// The rows with exactly this address; Zoho's search also finds what only contains it.
fn exactly(email: &Email, rows: &[Value], silent: Presence) -> Vec<CliqUser> {
    let mut pool = Pool::default();
    let users = rows.iter().filter_map(|row| read_user(row, silent, &mut pool));
    users.filter(|user| user.email.as_ref() == Some(email)).collect()
}

/// One row; every field but the id may be missing. `silent` is the presence of a row that does
/// not say its status.
fn read_user(row: &Value, silent: Presence, pool: &mut Pool) -> Option<CliqUser> {
    let mut shared = |keys: &[&str]| text(row, keys).map(|text| pool.share(&text));
    Some(CliqUser {
        id: CliqId::new(text(row, &USER_IDS)?),
        zuid: text(row, &["zuid"]).map(Zuid::new),
        email: text(row, &["email_id", "email"]).and_then(|email| Email::parse(&email).ok()),
        zoid: shared(&["zoid"]),
        organization_id: shared(&["organization_id"]),
        user_type: shared(&["user_type"]),
        presence: text(row, &["status"]).map_or(silent, |word| presence(&word)),
    })
}

fn presence(word: &str) -> Presence {
    match word.to_ascii_lowercase().as_str() {
        "active" | "imported_active" => Presence::Active,
        "pending" => Presence::Pending,
        "inactive" | "imported_inactive" => Presence::Inactive,
        _ => Presence::Unknown,
    }
}
