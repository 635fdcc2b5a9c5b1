//! The command line: what is typed, and what is printed.
//!
//! Exit status: 0 good, 1 the work failed, 2 bad usage or configuration. Results go to stdout,
//! progress and logs to stderr; colours only on a terminal and never with `NO_COLOR`.

mod admin;
mod approve;
mod audit;
mod check;
mod dead;
mod deliveries;
mod demo;
mod explain;
mod list;
mod memberships;
mod people;
mod plan;
mod resync;
mod sandbox;
mod send;
mod serve;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::app::logging::{self, Verbosity};

/// How a command ended.
pub(crate) enum Outcome {
    /// 0
    Good,
    /// 1: the work failed, and what was printed says how.
    Failed,
    /// 2: bad configuration, and what was printed says where.
    BadConfig,
}

#[derive(Parser)]
#[command(name = "cliqbridge", version, about, propagate_version = true)]
struct Arguments {
    /// Log why things happen, not only what.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve(ConfigFile),
    /// Watch the whole thing work, with a simulated Zoho and no account anywhere.
    Demo(DemoOptions),
    /// Run the simulated Zoho alone, to rehearse a configuration.
    Sandbox(SandboxOptions),
    /// Check a configuration file; every mistake at once.
    Check(CheckOptions),
    /// List memberships of a running daemon, or act on them.
    Memberships(Box<memberships::MembershipsOptions>),
    /// Show one person over all organizations, or confirm a changed home.
    People(Box<people::PeopleOptions>),
    /// Show what a resync would do now, and do nothing.
    Plan(Box<plan::PlanOptions>),
    /// Resync a person, an organization or everything, and watch until it is done.
    Resync(Box<resync::ResyncOptions>),
    /// Explain why one person stands where they stand.
    Explain(Box<explain::ExplainOptions>),
    /// Let a held run go, as its plan says.
    Approve(Box<approve::ApproveOptions>),
    /// List what webhooks brought, show one, or have one read again.
    Deliveries(Box<deliveries::DeliveriesOptions>),
    /// List what was refused or given up, or try it again.
    Dead(Box<dead::DeadOptions>),
    /// Tell who did what, and why.
    Audit(Box<audit::AuditOptions>),
    /// Make, list and revoke tokens of the admin API.
    Token(Box<token::TokenOptions>),
    /// Sign one webhook and post it.
    Send(Box<send::SendOptions>),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args)]
struct CheckOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DemoOptions {
    /// End when the story is told: 0 if everything converged, else 1.
    #[arg(long)]
    exit: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Where the demo's daemon takes webhooks; loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,
}

#[derive(Args)]
struct SandboxOptions {
    /// Where the simulated Zoho answers; loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,
    /// Where its mail server answers; loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    smtp: SocketAddr,
    /// The organizations and people in it; the demo's world unless told.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

/// An address of this machine: what is only simulated must be nobody else's.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write ADDRESS:PORT, such as 127.0.0.1:0")?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("listens on loopback only, such as 127.0.0.1:0".to_owned())
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let normal = match arguments.command {
        Command::Serve(_) => Verbosity::Normal,
        Command::Demo(_) => Verbosity::Silent,
        _ => Verbosity::Quiet,
    };
    logging::start(if arguments.verbose { Verbosity::Verbose } else { normal });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: the system gives no threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Serve(options) => serve::run(&options.config).await,
            Command::Demo(options) => demo::run(&options).await,
            Command::Sandbox(options) => sandbox::run(&options).await,
            Command::Check(options) => Ok(check::run(&options)),
            Command::Memberships(options) => memberships::run(&options).await,
            Command::People(options) => people::run(&options).await,
            Command::Plan(options) => plan::run(&options).await,
            Command::Resync(options) => resync::run(&options).await,
            Command::Explain(options) => explain::run(&options).await,
            Command::Approve(options) => approve::run(&options).await,
            Command::Deliveries(options) => deliveries::run(&options).await,
            Command::Dead(options) => dead::run(&options).await,
            Command::Audit(options) => audit::run(&options).await,
            Command::Token(options) => token::run(&options).await,
            Command::Send(options) => send::run(&options).await,
        }
    });
    // A worker that waits in memory for Zoho must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::BadConfig) => ExitCode::from(2),
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a result line on stdout. A reader that went away is no error of ours.
fn print(line: &str) {
    use std::io::Write;
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Prints bytes on stdout as they are. False when nobody reads any more.
fn print_raw(bytes: &[u8]) -> bool {
    use std::io::Write;
    std::io::stdout().write_all(bytes).is_ok()
}

/// Says something to the person on stderr.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Whether somebody sits here who can be asked, and sees what is asked about.
fn asks_here() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Asks; only a plain yes is one.
fn confirmed(what: &str) -> anyhow::Result<bool> {
    use std::io::Write as _;
    let mut out = anstream::stderr();
    // A terminal that went away answers nothing either.
    let _ = write!(out, "{what}? [y/N] ");
    let _ = out.flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the answer cannot be read")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Where systemd put the credentials, if it did.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}
