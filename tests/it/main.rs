//! The integration tests: one binary, so that two cores link once. Real sockets, real SQLite
//! files, the built binary as a child; nothing sleeps to pass.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's way to fail")]

// In this process, with the clock moved by hand.
mod admin;
mod admin_lists;
mod admin_table;
mod approve;
mod browser;
mod burst;
mod channels;
mod channels_articles;
mod channels_batches;
mod channels_downgrade;
mod channels_leaving;
mod channels_limits;
mod channels_order;
mod channels_reads;
mod channels_refusals;
mod clock;
mod clock_set_back;
mod corners;
mod cost;
mod doors;
mod downgrade;
mod duplicates;
mod evidence;
mod explain;
mod habits;
mod held;
mod histories;
mod homes;
mod identity;
mod identity_safety;
mod incidents_freeze;
mod incidents_identity;
mod incidents_invitations;
mod incidents_order;
mod incidents_reads;
mod incidents_rows;
mod interleaved;
mod join;
mod late;
mod laws;
mod leaving;
mod letters;
mod licences;
mod limits;
mod modes;
mod notices;
mod pages;
mod pause;
mod people;
mod plan;
mod plans;
mod refusals;
mod restarts;
mod runs;
mod schedules;
mod scope;
mod support;
mod sweep;
mod verbs;
mod watch;
mod way;

// The built binary as a child, with the system's clock.
#[path = "support/daemon.rs"]
mod daemon;
mod daemon_admin;
mod daemon_bodies;
mod daemon_commands;
mod daemon_crash;
mod daemon_demo;
mod daemon_flow;
mod daemon_interop;
mod daemon_lifecycle;
mod daemon_memberships;
mod daemon_people;
mod daemon_plan;
mod daemon_resync;
mod daemon_storm;
