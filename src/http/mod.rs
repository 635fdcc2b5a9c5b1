//! What the outside reaches over HTTP: the public door and the admin door.
//!
//! Deliberately absent: decisions. `http` puts things in, asks the engine, and reads.

pub mod listen;
