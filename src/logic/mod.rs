//! Pure functions: data in, data out. The rules of the product read here as rules.
//!
//! Deliberately absent: a clock, I/O, async. Whatever time it is, is an argument.

pub mod plan;
