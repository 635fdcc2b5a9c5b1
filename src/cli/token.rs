//! `token`: makes, lists and revokes tokens of the admin API, on the store itself; whether a daemon
//! runs beside it does not matter.
//!
//! Deliberately absent: showing a token again. Only its hash is kept.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Outcome, credentials, list, print, say};
use crate::app::tokens::Tokens;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::domain::Role;
use crate::engine::tokens::{NewToken, TokenRefused};

/// Columns of the list, and the keys they show.
const COLUMNS: &list::Columns = &[
    ("NAME", "name"),
    ("ROLE", "role"),
    ("STATE", "state"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("CREATED", "created_at"),
    ("BY", "created_by"),
];

#[derive(Args)]
pub(super) struct TokenOptions {
    /// The daemon's configuration file: it names the store.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Make a token; it is printed this once.
    Add {
        /// Whom it stands for: the name that the audit gets.
        name: String,
        /// What it opens.
        #[arg(long, value_enum)]
        role: RoleName,
        /// How long it lives, such as `90d`, or `never`.
        #[arg(long, value_name = "TIME", default_value = "365d", value_parser = life)]
        expires: Life,
    },
    /// List every token that was made; never the tokens themselves.
    List,
    /// Revoke a token: the next request with it is refused.
    Revoke {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    /// Looks at everything, changes nothing.
    Viewer,
    /// Does everything.
    Operator,
}

/// How long a token lives; `None` is for ever.
#[derive(Clone, Copy)]
struct Life(Option<Duration>);

fn life(text: &str) -> Result<Life, String> {
    if text == "never" {
        return Ok(Life(None));
    }
    let life = config::duration(text).map_err(|why| format!("{why}, or \"never\""))?;
    Ok(Life(Some(life)))
}

pub(super) async fn run(options: &TokenOptions) -> anyhow::Result<Outcome> {
    let Some(file) = &options.config else {
        say("error: name the configuration: --config FILE");
        return Ok(Outcome::BadConfig);
    };
    let config = match config::load(file, credentials().as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            say(&problems.to_string());
            return Ok(Outcome::BadConfig);
        }
    };
    let tokens = Tokens::open(&config.store.path)?;
    let outcome = carry_out(options, &tokens, &SystemClock).await;
    tokens.close().await;
    outcome
}

async fn carry_out(
    options: &TokenOptions,
    tokens: &Tokens,
    clock: &dyn Clock,
) -> anyhow::Result<Outcome> {
    match &options.act {
        Act::Add { name, role, expires } => {
            let role = match role {
                RoleName::Viewer => Role::Viewer,
                RoleName::Operator => Role::Operator,
            };
            let new = NewToken { name: name.clone(), role, life: expires.0 };
            let minted = match tokens.add(new, clock).await {
                Ok(minted) => minted,
                Err(refused) => return said(refused),
            };
            let token = minted.token.expose_text().unwrap_or_default();
            if options.json {
                let mut shown = serde_json::to_value(&minted.view)?;
                shown["token"] = token.into();
                print(&shown.to_string());
                return Ok(Outcome::Good);
            }
            let end = minted.view.expires_at.as_deref().unwrap_or("never");
            print(token);
            say(&format!("{name} may act as {role}; expires {end}. The token is not shown again."));
        }
        Act::List => {
            let all: Vec<_> = tokens.list(clock).await?.iter().map(|token| json!(token)).collect();
            if options.json {
                print(&json!({ "items": all }).to_string());
            } else {
                list::rows(COLUMNS, &all);
            }
        }
        Act::Revoke { name } => match tokens.revoke(name, clock).await {
            Ok(token) if options.json => print(&json!(token).to_string()),
            Ok(token) => print(&format!("{}: revoked", token.name)),
            Err(refused) => return said(refused),
        },
    }
    Ok(Outcome::Good)
}

fn said(refused: TokenRefused) -> anyhow::Result<Outcome> {
    match refused {
        TokenRefused::BadName(why) => {
            say(&format!("error: {why}"));
            Ok(Outcome::BadConfig)
        }
        other => Err(anyhow!(other)),
    }
}
