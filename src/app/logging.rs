//! Logs on stderr: readable on a terminal, JSON elsewhere, journald's own form under systemd.
//!
//! Messages stand alone, facts are fields with their units in the name. Addresses are masked where
//! they are made (`Email`'s `Display`), secrets cannot be printed.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only: the demo, which causes warnings on purpose.
    Silent,
    /// Warnings and errors: the short commands.
    Quiet,
    /// What happens.
    Normal,
    /// And why.
    Verbose,
}

/// Starts logging. A second call, as from two tests in one process, changes nothing.
pub fn start(verbosity: Verbosity) {
    let ours = match verbosity {
        Verbosity::Silent => LevelFilter::ERROR,
        Verbosity::Quiet => LevelFilter::WARN,
        Verbosity::Normal => LevelFilter::INFO,
        Verbosity::Verbose => LevelFilter::DEBUG,
    };
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("cliqbridge", ours);
    // JOURNAL_STREAM is set by systemd exactly when stderr goes to the journal.
    let journal = std::env::var_os("JOURNAL_STREAM")
        .and_then(|_| tracing_journald::layer().ok())
        .map(|layer| layer.with_syslog_identifier("cliqbridge".to_owned()).boxed());
    let layer = journal.unwrap_or_else(|| {
        let plain = fmt::layer().with_writer(std::io::stderr);
        if std::io::stderr().is_terminal() {
            let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            plain.with_target(false).with_ansi(colours).boxed()
        } else {
            plain.json().flatten_event(true).boxed()
        }
    });
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
