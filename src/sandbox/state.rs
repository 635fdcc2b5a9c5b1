//! The live model: organizations with their CRM and Cliq rows, people, mailboxes, faults.
//!
//! Plain data behind one mutex. Deliberately absent: HTTP, and what calls may do to the data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::accounts::Tokens;
use super::channel::Channel;
use super::courier::Notice;
use super::entries::{Collaboration, Marker, OrganizationEntry, Status};
use super::faults::Faults;
use super::journal::Journal;
use super::limits::Limits;
use super::mailbox::Mail;
use super::portal::Answers;
use super::{watch, world};
use crate::domain::Timestamp;

/// Mails kept; the oldest go first.
const MAILS_MAX: usize = 50_000;
/// Bot messages kept; the oldest go first.
const MESSAGES_MAX: usize = 50_000;

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub(super) organizations: BTreeMap<String, Organization>,
    pub(super) realm: Realm,
    pub(super) journal: Journal,
    pub(super) faults: Faults,
    /// What CRM's notification channels are to be told; the request that caused it delivers it.
    pub(super) notices: Vec<Notice>,
}

/// What is shared by all organizations.
#[derive(Debug)]
pub(super) struct Realm {
    /// By canonical address at the start; the key stays when an address changes.
    pub(super) people: BTreeMap<String, Person>,
    /// Keys of people by an address that is theirs now and is not their key.
    moved: BTreeMap<String, String>,
    pub(super) mails: VecDeque<Mail>,
    pub(super) messages: VecDeque<Message>,
    /// Organizations whose policy forbids working with others (conflict C4, Z20).
    pub(super) closed: BTreeSet<String>,
    /// The sandbox's own base URL, for links in mails and answers.
    pub(super) url: String,
    sequence: u64,
}

/// Where a person's one Cliq account is (R1, R3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Organization(String),
    Elsewhere,
    /// No Cliq account at all.
    Nowhere,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    /// Absent until the person has a Zoho account.
    pub(super) zuid: Option<String>,
    pub(super) home: Home,
    /// Zoho-wide organization of the account: what a foreign row shows.
    pub(super) zoid: String,
    /// Cliq organization of the account: what a foreign row shows.
    pub(super) organization_id: String,
    pub(super) language: String,
    pub(super) time_zone: String,
    /// The account is in another data centre (G15).
    pub(super) other_data_centre: bool,
    pub(super) collaboration: Collaboration,
}

impl Person {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

/// One organization: its CRM, its Cliq, its credentials and its portal.
#[derive(Debug)]
pub(super) struct Organization {
    /// Identity, plans and switches, as the world file gave them.
    pub(super) entry: OrganizationEntry,
    /// The paid type that counts as "not downgraded".
    pub(super) first_paid_type: String,
    /// Key of the implicit administrator, the OAuth user.
    pub(super) admin: String,
    pub(super) tokens: Tokens,
    pub(super) limits: Limits,
    pub(super) answers: Answers,
    /// CRM rows by id.
    pub(super) crm: BTreeMap<String, CrmRow>,
    pub(super) cliq: Vec<CliqRow>,
    /// Bot unique name to the keys of its subscribers.
    pub(super) bots: BTreeMap<String, BTreeSet<String>>,
    pub(super) channels: Vec<Channel>,
    pub(super) teams: Vec<Team>,
    /// CRM's notification channels.
    pub(super) watch: watch::Channels,
    /// People who declined; a new CRM Plus addition asks them anew.
    pub(super) declined: BTreeSet<String>,
    /// How often each person declined; too often, and CRM Plus refuses for ever (Z5).
    pub(super) declines: BTreeMap<String, u32>,
}

#[derive(Clone, Debug)]
pub(super) struct CrmRow {
    pub(super) id: String,
    pub(super) person: String,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) status: String,
    pub(super) confirm: bool,
    pub(super) category: String,
    pub(super) profile: String,
    pub(super) role: String,
    pub(super) created_by: String,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
    /// Deleted for good (Z14): listed only as a deleted user.
    pub(super) deleted: bool,
    /// CRM Plus has already carried this row over to Cliq, or never will.
    pub(super) propagated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Class {
    Internal,
    External,
}

#[derive(Clone, Debug)]
pub(super) struct CliqRow {
    pub(super) id: String,
    pub(super) person: String,
    pub(super) class: Class,
    pub(super) status: Status,
    /// Whether the person ever joined; an inactive row goes back to what it was.
    pub(super) joined: bool,
    pub(super) paid_licence: bool,
    pub(super) invited_at: Timestamp,
    /// What the API shows of the class.
    pub(super) marker: Marker,
    /// Predefined for an external user (R24).
    pub(super) role: String,
    /// Profile fields that an administrator set.
    pub(super) profile: BTreeMap<String, String>,
    /// Of an internal user; nobody sees those of an external one (R34).
    pub(super) logins: Vec<Login>,
}

/// One login, as an administrator sees it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Login {
    pub(super) at: String,
    pub(super) ip: String,
    pub(super) mfa: bool,
}

/// A team; its members are internal users (R27).
#[derive(Clone, Debug)]
pub(super) struct Team {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
}

/// A message that a bot, a person or Taz posted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) organization: String,
    /// Absent when the OAuth user posted in person.
    pub(super) bot: Option<String>,
    /// Address of the recipient; absent for a post in a channel.
    pub(super) to: Option<String>,
    /// Unique name of the channel; absent for a direct message.
    pub(super) channel: Option<String>,
    pub(super) text: String,
    pub(super) card: Option<Value>,
    pub(super) buttons: Option<Value>,
    pub(super) at: String,
}

impl Realm {
    pub(super) fn new(url: String) -> Self {
        Self {
            people: BTreeMap::new(),
            moved: BTreeMap::new(),
            mails: VecDeque::new(),
            messages: VecDeque::new(),
            closed: BTreeSet::new(),
            url,
            sequence: 0,
        }
    }

    /// The next number of the sandbox's own sequence.
    pub(super) fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The key of the person with this address, who comes into being if need be.
    pub(super) fn meet(&mut self, email: &str) -> String {
        let key = world::key_of(email);
        if let Some(known) = self.find(&key) {
            return known;
        }
        let first_name = key.split('@').next().unwrap_or_default().to_owned();
        self.people.insert(
            key.clone(),
            Person {
                email: email.trim().to_owned(),
                first_name,
                last_name: String::new(),
                zuid: None,
                home: Home::Nowhere,
                zoid: made_up("8", &format!("zoid {key}")),
                organization_id: made_up("9", &format!("organization {key}")),
                language: "en".to_owned(),
                time_zone: "Europe/Berlin".to_owned(),
                other_data_centre: false,
                collaboration: Collaboration::On,
            },
        );
        key
    }

    /// The key of the person with this address.
    pub(super) fn find(&self, email: &str) -> Option<String> {
        let wanted = world::key_of(email);
        if self.people.contains_key(&wanted) {
            return Some(wanted);
        }
        self.moved.get(&wanted).cloned()
    }

    /// Gives the person another address; answers the earlier one.
    pub(super) fn readdress(&mut self, key: &str, email: &str) -> Option<String> {
        let person = self.people.get_mut(key)?;
        let before = std::mem::replace(&mut person.email, email.trim().to_owned());
        self.moved.retain(|_, whose| whose != key);
        self.moved.insert(world::key_of(email), key.to_owned());
        Some(before)
    }

    /// A person without a Zoho account gets one, and with it a home elsewhere (Z20).
    pub(super) fn sign_up(&mut self, key: &str) {
        if let Some(person) = self.people.get_mut(key) {
            if person.zuid.is_none() {
                person.zuid = Some(made_up("7", &format!("zuid {key}")));
            }
            if person.home == Home::Nowhere {
                person.home = Home::Elsewhere;
            }
        }
    }

    pub(super) fn receive(&mut self, mail: Mail) {
        if self.mails.len() == MAILS_MAX {
            self.mails.pop_front();
        }
        self.mails.push_back(mail);
    }

    pub(super) fn post(&mut self, message: Message) {
        if self.messages.len() == MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}

impl Organization {
    /// The person's row in this Cliq.
    pub(super) fn row(&self, person: &str) -> Option<&CliqRow> {
        self.cliq.iter().find(|row| row.person == person)
    }

    pub(super) fn row_mut(&mut self, person: &str) -> Option<&mut CliqRow> {
        self.cliq.iter_mut().find(|row| row.person == person)
    }

    /// Whether the subscription is not the one that the world began with (R16).
    pub(super) fn is_downgraded(&self) -> bool {
        self.entry.paid_type != self.first_paid_type
    }

    /// Whether the person declined too often to be invited again (Z5).
    pub(super) fn is_blocked(&self, person: &str) -> bool {
        let most = self.entry.blocked_after;
        self.declines.get(person).is_some_and(|times| *times >= most)
    }

    /// When a pending row vanishes (Z1); `None` for one that does not.
    pub(super) fn lapses(&self, row: &CliqRow) -> Option<Timestamp> {
        let days = self.entry.invitation_days;
        let pending = row.status == Status::Pending && days > 0;
        pending.then(|| row.invited_at + Duration::from_hours(24 * days))
    }

    pub(super) fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }
}

/// A stable number for what the world file does not say: `prefix` and eight digits.
pub(super) fn made_up(prefix: &str, seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
    let number = hash.iter().take(7).fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte));
    format!("{prefix}{:08}", number % 100_000_000)
}
