//! Pure functions: data in, data out. The rules of the product read here as rules.
//!
//! Deliberately absent: clocks, sockets, files, the store, async, and the words of any one
//! vendor's API beyond the bodies and signatures that vendors post to us. Whatever time it is, is
//! an argument.

pub mod access;
pub mod alarm;
pub mod channels;
pub mod csv;
pub mod digest;
pub mod event;
pub mod explain;
pub mod guard;
pub mod home;
pub mod invitation;
pub mod letter;
pub mod licences;
pub mod limits;
pub mod markdown;
pub mod media;
pub mod page;
pub mod plan;
pub mod retry;
pub mod schedule;
pub mod seal;
pub mod signature;
pub mod verbs;
mod words;
