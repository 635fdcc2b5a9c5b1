//! What the in-process tests stand on: the real application and the real sandbox over real sockets,
//! on one clock that only the test moves.
//!
//! Deliberately absent: anything that a single test needs; and child processes, which have their own
//! support.

pub mod browser;
pub mod channels;
pub mod clock;
pub mod harness;
pub mod members;
pub mod people;
pub mod plans;
pub mod setup;
pub mod traces;
pub mod turns;

pub use harness::{Answer, Bridge};
pub use setup::Setup;
pub use traces::Journal;
