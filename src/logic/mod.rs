//! Decisions as pure functions: data in, data out.
//!
//! Deliberately absent: clocks, I/O, async and SQL. What needs the time is given it.

pub mod letter;
