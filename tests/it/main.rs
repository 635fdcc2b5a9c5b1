//! The integration tests: one binary, so that two cores link once. Real sockets, real SQLite
//! files, the built binary as a child; nothing sleeps to pass.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

// The built binary as a child, with the system's clock.
#[path = "support/daemon.rs"]
mod daemon;
mod daemon_bodies;
mod daemon_commands;
mod daemon_crash;
mod daemon_demo;
mod daemon_flow;
mod daemon_interop;
mod daemon_lifecycle;
mod daemon_storm;
