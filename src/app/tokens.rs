//! The store's tokens for a command beside the running daemon: opened, used, closed again.
//!
//! The daemon's lock keeps out a second daemon only, so this works whether or not one runs; the
//! running one looks into the store at every request. Deliberately absent: what is printed.

use std::path::Path;

use crate::clock::Clock;
use crate::domain::token::COMMAND_LINE;
use crate::engine::tokens::{self, Minted, NewToken, TokenRefused, TokenView};
use crate::store::{Store, StoreError};

/// The tokens of one store.
pub struct Tokens {
    store: Store,
}

impl Tokens {
    /// Opens the store, or makes it: a token may be wanted before the first start.
    ///
    /// # Errors
    /// Whatever keeps the store from being opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open(path)? })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`TokenRefused`]
    pub async fn add(&self, new: NewToken, clock: &dyn Clock) -> Result<Minted, TokenRefused> {
        tokens::add(&self.store, new, COMMAND_LINE, clock.now()).await
    }

    /// Every token that was ever made.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, clock: &dyn Clock) -> Result<Vec<TokenView>, StoreError> {
        tokens::list(&self.store, clock.now()).await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`TokenRefused`]
    pub async fn revoke(&self, name: &str, clock: &dyn Clock) -> Result<TokenView, TokenRefused> {
        tokens::revoke(&self.store, name, COMMAND_LINE, clock.now()).await
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }
}
