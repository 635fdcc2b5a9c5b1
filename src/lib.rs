//! cliqbridge mirrors CRM Plus users into Cliq organizations as external users.
//!
//! Modules in reading order, by layer; `tests/tidy.rs` fails on an import that goes up:
//!
//! | layer | module | what lives there, and only there |
//! | --- | --- | --- |
//! | 0 | [`domain`] | the words as types; no I/O |
//! | 1 | [`config`], [`logic`], [`clock`] | the operator's file; pure functions; the one trait |
//! | 2 | [`store`], [`zoho`], [`mail`] | SQL; HTTP to Zoho; SMTP |
//! | 3 | [`engine`] | the only code that joins store and world |
//! | 4 | [`http`] | what listens: webhooks, health, admin API |
//! | 1 | [`sandbox`] | the simulated Zoho, written from the contract alone |
//! | 5 | [`app`] | builds everything once; signals, systemd, loops |
//! | 6 | [`cli`] | commands and terminal output |

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod logic;
pub mod mail;
pub mod sandbox;
pub mod store;
pub mod zoho;
