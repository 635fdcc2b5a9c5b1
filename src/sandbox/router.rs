//! Which call a request is, and which function answers it.
//!
//! Deliberately absent: authentication, limits and faults; `server` comes before.

use http::Method;
use serde_json::Value;

use super::journal::Kind;
use super::paging::Paging;
use super::state::State;
use super::watch::{self, Mode};
use super::wire::{Family, Reply, Request, Violation};
use super::{accounts, bots, cliq_channels, cliq_members, cliq_users, crm, portal};
use crate::domain::Timestamp;

/// A call of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    OauthToken,
    CrmUsersList,
    CrmUsersGet,
    CrmOrg,
    CrmWatchList,
    CrmWatchAdd,
    CrmWatchReplace,
    CrmWatchChange,
    CrmWatchRemove,
    CliqUsersAdd,
    CliqUsersList,
    CliqUsersGet,
    CliqChannelsList,
    CliqChannelsGet,
    CliqMembersGet,
    CliqMembersAdd,
    CliqMembersRemove,
    CliqBuddiesMessage,
    CliqChannelMessage,
    CliqBotsMessage,
    CliqBotsSubscribers,
    Portal,
}

impl Call {
    pub(super) const ALL: [Self; 22] = [
        Self::OauthToken,
        Self::CrmUsersList,
        Self::CrmUsersGet,
        Self::CrmOrg,
        Self::CrmWatchList,
        Self::CrmWatchAdd,
        Self::CrmWatchReplace,
        Self::CrmWatchChange,
        Self::CrmWatchRemove,
        Self::CliqUsersAdd,
        Self::CliqUsersList,
        Self::CliqUsersGet,
        Self::CliqChannelsList,
        Self::CliqChannelsGet,
        Self::CliqMembersGet,
        Self::CliqMembersAdd,
        Self::CliqMembersRemove,
        Self::CliqBuddiesMessage,
        Self::CliqChannelMessage,
        Self::CliqBotsMessage,
        Self::CliqBotsSubscribers,
        Self::Portal,
    ];

    /// The name in the journal and in fault rules.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OauthToken => "oauth.token",
            Self::CrmUsersList => "crm.users.list",
            Self::CrmUsersGet => "crm.users.get",
            Self::CrmOrg => "crm.org",
            Self::CrmWatchList => "crm.watch.list",
            Self::CrmWatchAdd => "crm.watch.add",
            Self::CrmWatchReplace => "crm.watch.replace",
            Self::CrmWatchChange => "crm.watch.change",
            Self::CrmWatchRemove => "crm.watch.remove",
            Self::CliqUsersAdd => "cliq.users.add",
            Self::CliqUsersList => "cliq.users.list",
            Self::CliqUsersGet => "cliq.users.get",
            Self::CliqChannelsList => "cliq.channels.list",
            Self::CliqChannelsGet => "cliq.channels.get",
            Self::CliqMembersGet => "cliq.members.get",
            Self::CliqMembersAdd => "cliq.members.add",
            Self::CliqMembersRemove => "cliq.members.remove",
            Self::CliqBuddiesMessage => "cliq.buddies.message",
            Self::CliqChannelMessage => "cliq.channel.message",
            Self::CliqBotsMessage => "cliq.bots.message",
            Self::CliqBotsSubscribers => "cliq.bots.subscribers",
            Self::Portal => "portal",
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::OauthToken => Family::Accounts,
            Self::CrmUsersList
            | Self::CrmUsersGet
            | Self::CrmOrg
            | Self::CrmWatchList
            | Self::CrmWatchAdd
            | Self::CrmWatchReplace
            | Self::CrmWatchChange
            | Self::CrmWatchRemove => Family::Crm,
            Self::Portal => Family::Portal,
            _ => Family::Cliq,
        }
    }

    /// Whether the answer comes in pages.
    pub(super) fn is_listing(self) -> bool {
        matches!(
            self,
            Self::CrmUsersList
                | Self::CliqUsersList
                | Self::CliqChannelsList
                | Self::CliqBotsSubscribers
        )
    }
}

/// A call and the one thing its path names, or an empty text.
pub(super) struct Route {
    pub(super) call: Call,
    pub(super) target: String,
}

/// The call that a path means; `None` for a path that the contract does not have.
pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let (get, post) = (request.method == Method::GET, request.method == Method::POST);
    let delete = request.method == Method::DELETE;
    let (call, target) = match segments.as_slice() {
        ["oauth", "v2", "token"] if post => (Call::OauthToken, ""),
        ["crm", "v8", "users"] if get => (Call::CrmUsersList, ""),
        ["crm", "v8", "users", id] if get => (Call::CrmUsersGet, *id),
        ["crm", "v8", "org"] if get => (Call::CrmOrg, ""),
        ["crm", "v8", "actions", "watch"] => (watch_call(&request.method)?, ""),
        ["api", "v2", "users"] if get => (Call::CliqUsersList, ""),
        ["api", "v2", "users"] if post => (Call::CliqUsersAdd, ""),
        ["api", "v2", "users", id] if get => (Call::CliqUsersGet, *id),
        ["api", "v2", "channels"] if get => (Call::CliqChannelsList, ""),
        ["api", "v2", "channels", id] if get => (Call::CliqChannelsGet, *id),
        ["api", "v2", "channels", id, "members"] if get => (Call::CliqMembersGet, *id),
        ["api", "v2", "channels", id, "members"] if post => (Call::CliqMembersAdd, *id),
        ["api", "v2", "channels", id, "members"] if delete => (Call::CliqMembersRemove, *id),
        ["api", "v2", "buddies", id, "message"] if post => (Call::CliqBuddiesMessage, *id),
        ["api", "v2", "channelsbyname", name, "message"] if post => {
            (Call::CliqChannelMessage, *name)
        }
        ["api", "v2", "bots", bot, "message"] if post => (Call::CliqBotsMessage, *bot),
        ["api", "v2", "bots", bot, "subscribers"] if get => (Call::CliqBotsSubscribers, *bot),
        ["portal", organization] if post => (Call::Portal, *organization),
        _ => return None,
    };
    Some(Route { call, target: target.to_owned() })
}

fn watch_call(method: &Method) -> Option<Call> {
    Some(match method.as_str() {
        "GET" => Call::CrmWatchList,
        "POST" => Call::CrmWatchAdd,
        "PUT" => Call::CrmWatchReplace,
        "PATCH" => Call::CrmWatchChange,
        "DELETE" => Call::CrmWatchRemove,
        _ => return None,
    })
}

/// Which service a path that no call has belongs to.
pub(super) fn family_of(request: &Request) -> Family {
    match request.segments.first().map(String::as_str) {
        Some("oauth") => Family::Accounts,
        Some("crm") => Family::Crm,
        Some("portal") => Family::Portal,
        _ => Family::Cliq,
    }
}

/// Whom or what a call is about: address, id or name.
pub(super) fn subject(route: &Route, request: &Request) -> Option<String> {
    let from_body = |key: &str| {
        let value = request.object()?.get(key)?.as_str()?.to_owned();
        (!value.is_empty()).then_some(value)
    };
    match route.call {
        Call::Portal => from_body("email"),
        Call::CliqBotsMessage => from_body("userids").or_else(|| Some(route.target.clone())),
        Call::CrmWatchAdd | Call::CrmWatchReplace | Call::CrmWatchChange | Call::CrmWatchRemove => {
            watch::subject(request)
        }
        Call::CliqUsersList => request.query("search").map(str::to_owned),
        _ => (!route.target.is_empty()).then(|| route.target.clone()),
    }
}

/// The CRM user that the portal is told by.
pub(super) fn crm_user(route: &Route, request: &Request) -> Option<String> {
    let body = request.object().filter(|_| route.call == Call::Portal)?;
    Some(body.get("crm_user_id")?.as_str()?.to_owned())
}

/// What came of a call: the answer, and what the journal says of it.
pub(super) struct Outcome {
    pub(super) reply: Reply,
    pub(super) kind: Kind,
    pub(super) detail: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

impl Outcome {
    fn of(kind: Kind, reply: Reply) -> Self {
        Self { reply, kind, detail: None, idempotency_key: None }
    }

    /// Nothing changed.
    pub(super) fn read(reply: Reply) -> Self {
        Self::of(Kind::Read, reply)
    }

    /// Something changed.
    pub(super) fn write(reply: Reply) -> Self {
        Self::of(Kind::Write, reply)
    }

    /// An access token was issued.
    pub(super) fn token(reply: Reply) -> Self {
        Self::of(Kind::Token, reply)
    }

    /// Understood and denied.
    pub(super) fn refused(reply: Reply, why: &str) -> Self {
        Self::of(Kind::Refused, reply).detail(why)
    }

    /// A limit was passed.
    pub(super) fn throttled(reply: Reply, why: &str) -> Self {
        Self::of(Kind::Throttled, reply).detail(why)
    }

    /// The contract was broken.
    pub(super) fn violation(family: Family, violation: &Violation) -> Self {
        let Violation { status, code, message } = violation;
        Self::of(Kind::Violation, family.error(*status, code, message))
            .detail(format!("{code}: {message}"))
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }
}

/// Answers a call that was let in.
pub(super) fn dispatch(
    state: &mut State,
    route: &Route,
    organization: Option<&str>,
    request: &Request,
    now: Timestamp,
    paging: Paging,
) -> Result<Outcome, Violation> {
    let State { organizations, realm, .. } = state;
    let organization = organization.and_then(|id| organizations.get_mut(id));
    let Some(org) = organization else {
        if route.call == Call::OauthToken {
            return accounts::token(None, realm, request, now);
        }
        return Err(Violation::bad("no_organization", "the call belongs to no organization"));
    };
    let target = route.target.as_str();
    match route.call {
        Call::OauthToken => accounts::token(Some(org), realm, request, now),
        Call::CrmUsersList => crm::list(org, realm, request, paging),
        Call::CrmUsersGet => crm::get(org, realm, request, target),
        Call::CrmOrg => crm::org(org, realm, request),
        Call::CrmWatchList => watch::list(org, &realm.url, request, now),
        Call::CrmWatchAdd => watch::subscribe(org, &realm.url, request, Mode::Subscribe, now),
        Call::CrmWatchReplace => watch::subscribe(org, &realm.url, request, Mode::Replace, now),
        Call::CrmWatchChange => watch::subscribe(org, &realm.url, request, Mode::Change, now),
        Call::CrmWatchRemove => watch::end(org, &realm.url, request),
        Call::CliqUsersAdd => Err(cliq_users::add()),
        Call::CliqUsersList => cliq_users::list(org, realm, request, paging),
        Call::CliqUsersGet => cliq_users::get(org, realm, request, target),
        Call::CliqChannelsList => cliq_channels::list(org, realm, request, paging),
        Call::CliqChannelsGet => cliq_channels::get(org, realm, request, target),
        Call::CliqMembersGet => cliq_members::members(org, realm, request, target),
        Call::CliqMembersAdd => cliq_members::add(org, realm, request, target, now),
        Call::CliqMembersRemove => cliq_members::remove(org, realm, request, target),
        Call::CliqBuddiesMessage => bots::buddy(org, realm, request, target, now),
        Call::CliqChannelMessage => bots::channel(org, realm, request, target, now),
        Call::CliqBotsMessage => bots::message(org, realm, request, target, now),
        Call::CliqBotsSubscribers => bots::subscribers(org, realm, request, target, paging),
        Call::Portal => portal::call(org, realm, request, now),
    }
}

/// A body's text value, when it has one.
pub(super) fn text<'a>(body: &'a serde_json::Map<String, Value>, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}
