//! cliqbridge

pub mod clock;
pub mod config;
pub mod domain;
pub mod sandbox;
