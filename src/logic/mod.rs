//! Pure functions: each takes all that it needs as arguments and gives back a value.
//!
//! Deliberately absent: clocks, sockets, files, the store and the words of any one vendor's API
//! beyond the bodies and signatures that vendors post to us.

pub mod media;
pub mod signature;
