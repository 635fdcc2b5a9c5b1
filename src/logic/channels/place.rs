//! What is known of a channel before a call: its level, and what stands in the way of everybody
//! alike (R28, R36, R59, Z19). Deliberately absent: anything about a single person.

use super::remedy;
use crate::domain::CliqPlan;
use crate::domain::channel::{ChannelFacts, Level};

/// People whom an external channel holds (contract section 2.2).
const PARTICIPANTS_MAX: u32 = 500;

/// External channels for each paid Cliq licence (Z19).
const CHANNELS_PER_LICENCE: u32 = 5;

/// A channel as the planner sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// What Cliq showed of it; `None` before the first look, and when Cliq does not show it.
    pub facts: Option<&'a ChannelFacts>,
    /// What stands in the way of everybody, as a code.
    pub hindrance: Option<&'a str>,
    /// How many more people fit; `None` is not known or not bounded.
    pub room: Option<u32>,
}

impl Place<'_> {
    /// The level that Cliq shows.
    pub fn level(&self) -> Option<Level> {
        self.facts.map(|facts| facts.level)
    }

    /// Whether members of the organization are added here without an invitation (C2).
    pub(super) fn is_direct(&self) -> bool {
        matches!(self.level(), Some(Level::Organization | Level::Private))
    }

    pub(super) fn is_full(&self) -> bool {
        self.room == Some(0)
    }
}

/// What the configuration knows and Cliq does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The organization's Cliq plan.
    pub plan: CliqPlan,
    /// Its paid Cliq licences, if configured.
    pub licences: Option<u32>,
}

/// What stands in the way of everybody, known before any call. `refused` is what Cliq said to the
/// last call, if that concerned everybody; `found` is whether Cliq shows the channel, `None` before
/// anybody looked.
pub fn hindrance(
    facts: Option<&ChannelFacts>,
    found: Option<bool>,
    refused: Option<&str>,
    terms: Terms,
) -> Option<String> {
    // What cannot be reached cannot be used in any way, whatever was read of it before.
    if let Some(code) = refused.filter(|code| remedy::is_gone(code)) {
        return Some(code.to_owned());
    }
    let code = match facts {
        None if found == Some(false) => Some(remedy::NOT_FOUND),
        None => None,
        Some(facts) => facts_hinder(facts, terms),
    };
    code.map(str::to_owned).or_else(|| refused.map(str::to_owned))
}

fn facts_hinder(facts: &ChannelFacts, terms: Terms) -> Option<&'static str> {
    match facts.level {
        _ if !facts.alive => Some(remedy::NOT_ALIVE),
        Level::Team => Some(remedy::TEAM),
        Level::Unknown => Some(remedy::UNKNOWN_LEVEL),
        Level::External if terms.plan == CliqPlan::Free => Some(remedy::PLAN_FREE),
        Level::External if is_over_quota(facts, terms) => Some(remedy::OVER_QUOTA),
        _ if facts.may_add == Some(false) => Some(remedy::PERMISSION),
        Level::External | Level::Organization | Level::Private => None,
    }
}

fn is_over_quota(facts: &ChannelFacts, terms: Terms) -> bool {
    match (facts.external_channels, terms.licences) {
        (Some(channels), Some(licences)) => {
            channels > licences.saturating_mul(CHANNELS_PER_LICENCE)
        }
        _ => false,
    }
}

/// How many more people fit into the channel when `open` invitations are out.
pub fn room(facts: Option<&ChannelFacts>, open: u32) -> Option<u32> {
    let facts = facts.filter(|facts| facts.level == Level::External)?;
    Some(PARTICIPANTS_MAX.saturating_sub(facts.participants?).saturating_sub(open))
}
