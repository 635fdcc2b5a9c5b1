//! HTTP to Zoho: OAuth tokens, CRM reads, Cliq reads and messages, the portal function.
//!
//! One [`Account`] stands for one credential: its connection, token and call budgets. The clients
//! borrow it. Budgets and tokens remembered from the last start come in as values, and changes go
//! out through one callback, the [`Recorder`].
//!
//! Deliberately absent: the store, decisions about people, and any verb that adds an internal or
//! external user to a Cliq organization, sets a role or fills a team (R1, R7, R25, R27): the wrong
//! thing cannot be expressed. The seam for tests and the sandbox is the base URL.

pub mod channels;
pub mod cliq;
pub mod crm;
pub mod error;
pub mod gate;
pub mod messages;
pub mod meter;
pub mod portal;
pub mod transport;
pub mod watch;

mod account;
mod answer;
mod listing;
mod token;
mod wire;

#[cfg(test)]
mod tests;

pub use account::Account;
pub use error::CallError;
pub use gate::{Gate, Permit, Priority, Record, RecordError, Recorder, Remembered, Wait};
pub use meter::{Calls, Meter};
pub use transport::{CALL_TIMEOUT, Http};
