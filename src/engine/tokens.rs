//! Tokens of the admin API: made, revoked, recognised. The daemon does it over HTTP, the command
//! line on the store beside it; both through here.
//!
//! Deliberately absent: the bootstrap token, which is the configuration's; and what a role opens,
//! which the door knows.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Engine;
use crate::domain::token::check_name;
use crate::domain::{Caller, Role, Secret, Timestamp};
use crate::store::audit::Command;
use crate::store::tokens::{self, Token};
use crate::store::{Store, StoreError};

/// How long a token lives unless it is said otherwise: nobody remembers to revoke one.
pub const LIFE_DEFAULT: Duration = Duration::from_hours(365 * 24);

/// Random bytes of a token: 256 bits, which nobody guesses.
const TOKEN_BYTES: usize = 32;

/// What every token begins with, so that scanners of leaked secrets know one.
const PREFIX: &str = "cliqbridge_";

/// How exact "last used" is, so that a busy token costs one write an hour and not one a request.
const USED_EVERY: Duration = Duration::from_hours(1);

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whom it stands for.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// How long it lives; `None` is for ever.
    pub life: Option<Duration>,
}

/// A token as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// Whom it stands for.
    pub name: String,
    /// `viewer` or `operator`
    pub role: &'static str,
    /// `active`, `expired` or `revoked`
    pub state: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// Who made it.
    pub created_by: String,
    /// RFC 3339; absent for one that lives for ever.
    pub expires_at: Option<String>,
    /// RFC 3339, give or take an hour.
    pub last_used_at: Option<String>,
    /// RFC 3339.
    pub revoked_at: Option<String>,
}

/// A token that was just made: the only moment in which it is known.
#[derive(Clone, Debug)]
pub struct Minted {
    /// What is kept of it.
    pub view: TokenView,
    /// The token itself.
    pub token: Secret,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// The name is not one.
    #[error("{0}")]
    BadName(String),
    /// The name is taken.
    #[error("there is a token named {0} already; revoke it first, or choose another name")]
    Taken(String),
    /// There is no such token, or it is revoked already.
    #[error("there is no token named {0} that could be revoked")]
    Missing(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoChance,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a presented token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Somebody's, and it opens.
    Caller(Caller),
    /// Somebody's, but its time is over, or it was revoked.
    Over(String),
    /// Nobody's.
    Unknown,
}

fn view(token: &Token, now: Timestamp) -> TokenView {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let state = match token {
        Token { revoked_at: Some(_), .. } => "revoked",
        Token { expires_at: Some(end), .. } if *end <= now => "expired",
        _ => "active",
    };
    TokenView {
        name: token.name.clone(),
        role: token.role.as_str(),
        state,
        created_at: token.created_at.to_rfc3339(),
        created_by: token.created_by.clone(),
        expires_at: time(token.expires_at),
        last_used_at: time(token.last_used_at),
        revoked_at: time(token.revoked_at),
    }
}

/// Makes a token and keeps its hash.
///
/// # Errors
/// [`TokenRefused`], without [`TokenRefused::Missing`].
pub async fn add(
    store: &Store,
    new: NewToken,
    by: &str,
    now: Timestamp,
) -> Result<Minted, TokenRefused> {
    check_name(&new.name).map_err(TokenRefused::BadName)?;
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| TokenRefused::NoChance)?;
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let kept = Token {
        name: new.name,
        role: new.role,
        created_at: now,
        created_by: by.to_owned(),
        expires_at: new.life.map(|life| now + life),
        last_used_at: None,
        revoked_at: None,
    };
    let row = kept.clone();
    let added = store
        .write("add token", move |tx| {
            let added = tokens::add(tx, &row, &hash)?;
            if added {
                let end = row.expires_at.map_or("never".to_owned(), Timestamp::to_rfc3339);
                let reason =
                    format!("The token {} was made: {}, expires {end}.", row.name, row.role);
                Command::by(&row.created_by, "token_added", &reason).record(tx, now)?;
            }
            Ok(added)
        })
        .await?;
    if !added {
        return Err(TokenRefused::Taken(kept.name));
    }
    Ok(Minted { view: view(&kept, now), token: Secret::new(text.into_bytes()) })
}

/// Every token that was ever made, without the tokens themselves.
pub async fn list(store: &Store, now: Timestamp) -> Result<Vec<TokenView>, StoreError> {
    let all = store.read(tokens::list).await?;
    Ok(all.iter().map(|token| view(token, now)).collect())
}

/// Revokes a token: the next request with it is refused.
///
/// # Errors
/// [`TokenRefused::Missing`], and the store's.
pub async fn revoke(
    store: &Store,
    name: &str,
    by: &str,
    now: Timestamp,
) -> Result<TokenView, TokenRefused> {
    let (row, actor) = (name.to_owned(), by.to_owned());
    let revoked = store
        .write("revoke token", move |tx| {
            let revoked = tokens::revoke(tx, &row, now)?;
            if revoked.is_some() {
                let reason = format!("The token {row} was revoked.");
                Command::by(&actor, "token_revoked", &reason).record(tx, now)?;
            }
            Ok(revoked)
        })
        .await?;
    revoked.map(|token| view(&token, now)).ok_or_else(|| TokenRefused::Missing(name.to_owned()))
}

impl Engine {
    /// Whose token has this hash.
    pub async fn recognise(&self, hash: [u8; 32]) -> Result<Recognised, StoreError> {
        let now = self.now();
        let found = self.inner.store.read(move |tx| tokens::by_hash(tx, &hash)).await?;
        // The index has compared already; this comparison takes the same time for every answer.
        let ours = found.filter(|(_, kept)| bool::from(kept.as_slice().ct_eq(&hash)));
        let Some((token, _)) = ours else { return Ok(Recognised::Unknown) };
        if token.revoked_at.is_some() || token.expires_at.is_some_and(|end| end <= now) {
            return Ok(Recognised::Over(token.name));
        }
        let fresh = |at: Timestamp| at <= now && now.since(at) < USED_EVERY;
        if !token.last_used_at.is_some_and(fresh) {
            self.inner.store.write("token used", move |tx| tokens::used(tx, &hash, now)).await?;
        }
        Ok(Recognised::Caller(Caller { name: token.name, role: token.role }))
    }

    /// As [`add`].
    ///
    /// # Errors
    /// As [`add`].
    pub async fn add_token(&self, new: NewToken, by: &str) -> Result<Minted, TokenRefused> {
        add(&self.inner.store, new, by, self.now()).await
    }

    /// As [`list`].
    pub async fn tokens(&self) -> Result<Vec<TokenView>, StoreError> {
        list(&self.inner.store, self.now()).await
    }

    /// As [`revoke`].
    ///
    /// # Errors
    /// As [`revoke`].
    pub async fn revoke_token(&self, name: &str, by: &str) -> Result<TokenView, TokenRefused> {
        revoke(&self.inner.store, name, by, self.now()).await
    }
}
