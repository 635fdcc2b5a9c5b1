//! The vocabulary of the bridge: plain types, and the few rules that need nothing but them.
//!
//! Deliberately absent: I/O, clocks, async, SQL and the wire forms of any vendor. Everything else
//! imports this; this imports nothing of the crate.

pub mod access;
pub mod action;
pub mod budget;
pub mod channel;
pub mod cliq;
pub mod crm;
pub mod delivery;
pub mod email;
pub mod failure;
pub mod ids;
mod index;
pub mod join;
pub mod letter;
pub mod membership;
pub mod person;
pub mod plan;
pub mod policy;
pub mod run;
pub mod scheme;
pub mod secret;
pub mod shared;
pub mod time;
pub mod token;
pub mod verb;
mod words;

pub use access::{Access, CliqPlan, Licence, Subscription};
pub use action::{Action, ActionState, Lane, Operation, PortalVerb};
pub use channel::{ChannelFacts, Guest, GuestState, Level, Member, Members, Way};
pub use cliq::{Class, CliqUser, Directory, Presence};
pub use crm::{CrmUser, Roster, Standing};
pub use delivery::{DeliveryStatus, Hint, HintKind, Subject};
pub use email::Email;
pub use failure::{Disposition, Failure};
pub use ids::{
    ActionId, AuditId, BootId, CliqId, CrmUserId, DeliveryId, GuestId, MembershipId, OrgId, RunId,
    Zuid,
};
pub use join::{JoinAnswer, JoinOutcome, JoinView, OpenInvitation};
pub use letter::{Letter, Notice};
pub use membership::{Membership, Origin, State};
pub use person::{Accepted, Home, Who};
pub use secret::Secret;
pub use time::Timestamp;
pub use token::{Caller, Role};
pub use verb::Verb;
