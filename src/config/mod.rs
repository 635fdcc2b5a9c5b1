//! The operator's file: read once, every mistake reported at once with its line, then plain data.
//!
//! Deliberately absent: behaviour. Nothing here opens a socket or a database.

pub mod sections;

pub use sections::*;
