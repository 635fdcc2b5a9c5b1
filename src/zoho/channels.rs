//! Cliq channels and their members (contract section 2.2).
//!
//! Deliberately absent: creating, changing or deleting channels, roles of members, teams (R27,
//! R28). Which channel takes whom is the planner's part.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::account::Ask;
use super::cliq::Client;
use super::error::CallError;
use super::gate::{Permit, Priority};
use super::listing::{Listing, Silence};
use super::wire::{BAD_PATH, address, count, malformed, needed, text, truth};
use crate::domain::budget::Group;
use crate::domain::{CliqId, Email, Member, Members};

const LIST: &str = "GET /api/v2/channels";
const GET: &str = "GET /api/v2/channels/{id}";
const MEMBERS: &str = "GET /api/v2/channels/{id}/members";
const ADD: &str = "POST /api/v2/channels/{id}/members";
const REMOVE: &str = "DELETE /api/v2/channels/{id}/members";

/// Keys of a channel's id.
const CHANNEL_IDS: [&str; 2] = ["channel_id", "id"];

/// The role that may everything.
const SUPER_ADMIN: &str = "super_admin";

/// Roles whose permissions a channel prints, and the key that holds them.
const PERMISSIONS: [(&str, &str); 3] = [
    ("admin", "admin_permission"),
    ("moderator", "moderator_permission"),
    ("member", "member_permission"),
];

/// Most people in one member call.
pub const MEMBERS_MAX: usize = 100;

/// A channel of an organization's Cliq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Opaque id; its first letter differs by level.
    pub id: String,
    /// The name by which the configuration knows it.
    pub unique_name: Option<String>,
    /// Display name, with its `#`.
    pub name: Option<String>,
    /// `organization`, `team`, `private`, `external`; an open list of words.
    pub level: Option<String>,
    /// `created`, `pending`, `archived`; an open list of words.
    pub status: Option<String>,
    /// The OAuth user's role; `None` when it has none or Cliq does not say.
    pub own_role: Option<String>,
    /// 'Add participants' by role, for the roles of which Cliq says it (R59).
    pub add_participant: BTreeMap<String, bool>,
    /// How many people are in it.
    pub participants: Option<u32>,
}

impl Channel {
    /// Whether the OAuth user may bring people in (R59); `None` when Cliq does not say, also of
    /// somebody who is not in the channel: then the call decides. A super admin's permissions are not
    /// printed: they have all.
    pub fn may_add(&self) -> Option<bool> {
        match self.own_role.as_deref() {
            Some(SUPER_ADMIN) => Some(true),
            Some(role) => self.add_participant.get(role).copied(),
            None => None,
        }
    }
}

/// Whom a member call is about: at most [`MEMBERS_MAX`], named by id or by address.
#[derive(Clone, Copy, Debug)]
pub enum People<'a> {
    /// By Cliq id: people who are in this Cliq.
    Ids(&'a [CliqId]),
    /// By address: also people of other organizations, who are invited.
    Emails(&'a [Email]),
}

impl Client {
    /// Every channel that the OAuth user can see: complete, or an error.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn channels(&self, priority: Priority) -> Result<Vec<Channel>, CallError> {
        let listing = Listing {
            call: LIST,
            group: Group::Channels,
            priority,
            base: &self.base,
            path: &["api", "v2", "channels"],
            query: &[],
            rows: &["channels", "data"],
            ids: &CHANNEL_IDS,
            silence: Silence::Incomplete,
        };
        Ok(listing.read(&self.account, |row| read_channel(&row)).await?.rows)
    }

    /// One channel by id; `None` when there is none. Tried like a page of a listing.
    ///
    /// # Errors
    /// See [`CallError`]; never "not there".
    pub async fn channel(&self, id: &str) -> Result<Option<Channel>, CallError> {
        let ask = match address(GET, &self.base, &["api", "v2", "channels", id], &[]) {
            Ok(url) => Ask::get(GET, url),
            Err(CallError::Refused { code, .. }) if code == BAD_PATH => return Ok(None),
            Err(error) => return Err(error),
        };
        self.account.meter().need(1);
        let body = match self.account.read_page(Group::Channels, Priority::Webhook, &ask).await {
            Err(CallError::Refused { code, status, .. }) if is_absence(&code, status) => {
                return Ok(None);
            }
            other => needed(GET, other?)?,
        };
        let row = body.get("data").unwrap_or(&body);
        read_channel(row).map(Some).ok_or_else(|| malformed(GET, "no channel in it"))
    }

    /// Every member of a channel; `None` when there is no such channel. No paging is documented; an
    /// answer that promises more rows is an error.
    ///
    /// # Errors
    /// See [`CallError`]; never "not there".
    pub async fn members(
        &self,
        id: &str,
        priority: Priority,
    ) -> Result<Option<Members>, CallError> {
        let url = address(MEMBERS, &self.base, &["api", "v2", "channels", id, "members"], &[])?;
        let ask = Ask::get(MEMBERS, url);
        self.account.meter().need(1);
        let body = match self.account.read_page(Group::MembersGet, priority, &ask).await {
            Err(CallError::Refused { code, status, .. }) if is_absence(&code, status) => {
                return Ok(None);
            }
            other => other?,
        };
        let Some(body) = body else { return Ok(Some(Members::default())) };
        let rows = body.get("members").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| malformed(MEMBERS, "no list of members"))?;
        if truth(&body, "has_more") == Some(true) {
            return Err(CallError::incomplete(MEMBERS, "more rows are promised"));
        }
        let members: Option<Vec<Member>> = rows.iter().map(read_member).collect();
        let members =
            members.ok_or_else(|| CallError::incomplete(MEMBERS, "a row without an id"))?;
        Ok(Some(Members::complete(members)))
    }

    /// Adds people of this organization to a channel, and invites those of others. There is no
    /// result per person: read the members again.
    ///
    /// # Errors
    /// See [`CallError`]; [`CallError::Refused`] `too_many_members` over [`MEMBERS_MAX`].
    pub async fn add_members(
        &self,
        permit: Permit,
        id: &str,
        people: People<'_>,
    ) -> Result<(), CallError> {
        self.write_members(permit, ADD, Method::POST, id, people).await
    }

    /// Takes people out of a channel, and withdraws invitations as far as Cliq does that.
    ///
    /// # Errors
    /// As [`Self::add_members`].
    pub async fn remove_members(
        &self,
        permit: Permit,
        id: &str,
        people: People<'_>,
    ) -> Result<(), CallError> {
        self.write_members(permit, REMOVE, Method::DELETE, id, people).await
    }

    async fn write_members(
        &self,
        permit: Permit,
        call: &'static str,
        method: Method,
        id: &str,
        people: People<'_>,
    ) -> Result<(), CallError> {
        debug_assert_eq!(permit.group(), Group::MembersWrite);
        let (key, names): (&str, Vec<&str>) = match people {
            People::Ids(ids) => ("user_ids", ids.iter().map(CliqId::as_str).collect()),
            People::Emails(emails) => ("email_ids", emails.iter().map(Email::as_str).collect()),
        };
        if names.len() > MEMBERS_MAX {
            let code = "too_many_members".to_owned();
            return Err(CallError::refused(call, code, 0));
        }
        let url = address(call, &self.base, &["api", "v2", "channels", id, "members"], &[])?;
        let ask = Ask { call, method, url, body: Some(json!({ key: names })) };
        self.account.call(permit, &ask).await.map(|_| ())
    }
}

/// Whether a refusal says that there is no such channel.
fn is_absence(code: &str, status: u16) -> bool {
    status == 404 || code == "channel_not_exists"
}

fn read_channel(row: &Value) -> Option<Channel> {
    Some(Channel {
        id: text(row, &CHANNEL_IDS)?,
        unique_name: text(row, &["unique_name"]),
        name: text(row, &["name"]),
        level: text(row, &["level"]),
        status: text(row, &["status"]),
        own_role: text(row, &["current_user_role"]),
        add_participant: PERMISSIONS
            .iter()
            .filter_map(|(role, key)| {
                let on = truth(row.get(*key)?, "add_participant")?;
                Some(((*role).to_owned(), on))
            })
            .collect(),
        participants: count(row, "participant_count").and_then(|count| count.try_into().ok()),
    })
}

fn read_member(row: &Value) -> Option<Member> {
    Some(Member {
        id: CliqId::new(text(row, &["user_id", "id"])?),
        email: text(row, &["email_id"]).and_then(|email| Email::parse(&email).ok()),
        role: text(row, &["user_role"]),
    })
}
