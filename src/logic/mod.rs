//! Pure functions: each takes all that it needs as arguments and gives back a value.
//!
//! Deliberately absent: clocks, sockets, files, the store and the words of any one vendor's API
//! beyond the bodies and signatures that vendors post to us.

pub mod event;
pub mod media;
pub mod retry;
pub mod schedule;
pub mod signature;
