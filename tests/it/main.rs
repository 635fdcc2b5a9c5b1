//! The integration tests: one binary, so that two cores link once. Real sockets, real SQLite
//! files, the built binary as a child; nothing sleeps to pass.

// In this process, with the clock moved by hand.
mod burst;
mod doors;
mod duplicates;
mod evidence;
mod habits;
mod letters;
mod refusals;
mod support;
mod way;
