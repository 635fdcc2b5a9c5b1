//! Zoho Accounts: access tokens from a refresh token (contract section 1).
//!
//! Deliberately absent: first tokens, client credentials, scopes; no part of the bridge asks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::router::Outcome;
use super::state::{Organization, Realm};
use super::wire::{Family, Reply, Request, Violation, only};
use crate::domain::Timestamp;

/// Access tokens that one refresh token may ask for in [`WINDOW`] (contract section 1.2).
const ISSUED_MAX: usize = 10;
const WINDOW: Duration = Duration::from_mins(10);
/// Active access tokens of one refresh token; the next invalidates the oldest.
const ACTIVE_MAX: usize = 15;
/// Expired tokens remembered, so that their use can be told from a token never issued.
const EXPIRED_KEPT: usize = 64;

#[derive(Debug)]
struct Token {
    text: String,
    expires: Timestamp,
}

/// What an access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Valid,
    Expired,
    /// Never issued here, revoked, or pushed out by newer ones.
    Unknown,
}

/// The tokens of one organization's OAuth user.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    live: VecDeque<Token>,
    issued: VecDeque<Timestamp>,
    revoked: bool,
}

impl Tokens {
    pub(super) fn worth(&self, text: &str, now: Timestamp) -> Worth {
        match self.live.iter().find(|token| token.text == text) {
            Some(token) if token.expires > now => Worth::Valid,
            Some(_) => Worth::Expired,
            None => Worth::Unknown,
        }
    }

    /// The token stops working at once.
    pub(super) fn kill(&mut self, text: &str) {
        self.live.retain(|token| token.text != text);
    }

    /// Revokes the refresh token with all its access tokens, or makes it valid again.
    pub(super) fn set_valid(&mut self, valid: bool) {
        self.revoked = !valid;
        if !valid {
            self.live.clear();
        }
    }

    fn may_issue(&mut self, now: Timestamp) -> bool {
        while self.issued.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            self.issued.pop_front();
        }
        self.issued.len() < ISSUED_MAX
    }

    fn issue(&mut self, text: String, now: Timestamp, lifetime: Duration) {
        self.issued.push_back(now);
        let active = self.live.iter().filter(|token| token.expires > now).count();
        if active >= ACTIVE_MAX
            && let Some(oldest) = self.live.iter().position(|token| token.expires > now)
        {
            self.live.remove(oldest);
        }
        if self.live.len() >= ACTIVE_MAX + EXPIRED_KEPT {
            self.live.pop_front();
        }
        self.live.push_back(Token { text, expires: now + lifetime });
    }
}

/// The organization whose client asks, for faults and the journal.
pub(super) fn asker(
    organizations: &BTreeMap<String, Organization>,
    request: &Request,
) -> Option<String> {
    let form = request.form();
    let client = form.iter().find(|(key, _)| key == "client_id").map(|(_, value)| value)?;
    let mut all = organizations.values();
    all.find(|org| org.entry.client_id == *client).map(|org| org.entry.id.clone())
}

/// `POST /oauth/v2/token` with a refresh token.
pub(super) fn token(
    organization: Option<&mut Organization>,
    realm: &mut Realm,
    request: &Request,
    now: Timestamp,
) -> Result<Outcome, Violation> {
    let form = request.form();
    let keys = ["grant_type", "client_id", "client_secret", "refresh_token"];
    only(form.iter().map(|(key, _)| key.as_str()), &keys)?;
    let value = |key: &str| form.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    if value("grant_type").map(String::as_str) != Some("refresh_token") {
        return Err(Violation::bad("unsupported_grant_type", "only refresh_token is served"));
    }
    let refused = |code: &str| Outcome::refused(Family::Accounts.error(200, code, code), code);
    let Some(organization) = organization else { return Ok(refused("invalid_client")) };
    if value("client_secret") != Some(&organization.entry.client_secret) {
        return Ok(refused("invalid_client_secret"));
    }
    let tokens = &mut organization.tokens;
    if value("refresh_token") != Some(&organization.entry.refresh_token) || tokens.revoked {
        return Ok(refused("invalid_code"));
    }
    if organization.entry.limits && !tokens.may_issue(now) {
        return Ok(Outcome::throttled(Family::Accounts.throttle(), "10 tokens in 10 minutes"));
    }
    let seed = format!("{} {} {}", organization.entry.id, realm.next(), now.millis());
    let hash = hex::encode(Sha256::digest(seed.as_bytes()));
    let (left, right) = hash.split_at(32);
    let access_token = format!("1000.{left}.{right}");
    let lifetime = organization.entry.token_lifetime_s;
    tokens.issue(access_token.clone(), now, Duration::from_secs(lifetime));
    Ok(Outcome::token(Reply::json(
        200,
        &json!({
            "access_token": access_token,
            "api_domain": realm.url,
            "token_type": "Bearer",
            "expires_in": lifetime,
        }),
    )))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Tokens, Worth};
    use crate::domain::Timestamp;

    #[test]
    fn z9_the_sixteenth_token_kills_the_oldest() {
        let mut tokens = Tokens::default();
        let now = Timestamp::from_seconds(0);
        for number in 0..16 {
            tokens.issue(number.to_string(), now, Duration::from_mins(1));
        }
        assert_eq!(tokens.worth("0", now), Worth::Unknown);
        assert_eq!(tokens.worth("1", now), Worth::Valid);
        assert_eq!(tokens.worth("1", now + Duration::from_mins(1)), Worth::Expired);
    }

    #[test]
    fn z9_ten_tokens_in_ten_minutes() {
        let mut tokens = Tokens::default();
        let now = Timestamp::from_seconds(0);
        for number in 0..10 {
            assert!(tokens.may_issue(now));
            tokens.issue(number.to_string(), now, Duration::from_mins(1));
        }
        assert!(!tokens.may_issue(now + Duration::from_secs(599)));
        assert!(tokens.may_issue(now + Duration::from_mins(10)));
    }
}
