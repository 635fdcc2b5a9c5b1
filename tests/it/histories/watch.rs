//! What the sandbox's journal says of the bridge, entry by entry, judged against what the test
//! itself knows at that moment.
//!
//! Deliberately absent: laws about the end of a story; those are in `laws`.

use std::collections::{BTreeMap, BTreeSet};

use cliqbridge::domain::Timestamp;
use serde_json::Value;

use super::super::support::Bridge;
use super::super::support::harness::rows;
use super::super::support::traces::ADMIN;
use super::people::{ORGANIZATIONS, Town};

/// A person in an organization.
pub type Key = (usize, usize);

/// Somebody who lost access, or an open invitation, by a call of the bridge.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    pub key: Key,
    pub at: Timestamp,
}

/// Everything that was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    read: u64,
    /// Portal calls that took effect, and mails to others than the administrators.
    pub effects: usize,
    /// Additions of a person by the bridge, or by CRM Plus itself.
    pub starts: BTreeMap<Key, usize>,
    /// Message ids of our mails to a person about an organization.
    pub mails: BTreeMap<Key, BTreeSet<String>>,
    /// Mails that came twice under one id.
    pub copies: usize,
    /// Mails whose answer was lost, or may have been.
    pub answers_lost: usize,
    pub losses: Vec<Loss>,
    /// Portal calls that took effect, per person, in order.
    pub done: BTreeMap<Key, Vec<String>>,
    /// Which key had an effect, and which effect that was.
    keys: BTreeMap<String, String>,
    /// Organizations whose Cliq once showed a part and said that it was all.
    lied_to: [bool; 2],
}

impl Watch {
    /// Reads on in the journal. `Err` says which law was broken, and by what was done to whom.
    pub async fn read_on(
        &mut self,
        bridge: &Bridge,
        town: &mut Town,
    ) -> Result<(), (Option<Key>, String)> {
        let entries = bridge.sandbox(&format!("/journal?since={}", self.read)).await;
        for entry in rows(&entries["entries"]) {
            self.read = entry["seq"].as_u64().unwrap();
            self.one(entry, town).map_err(|law| {
                let name = entry["organization"].as_str();
                let place = ORGANIZATIONS.iter().position(|known| Some(*known) == name);
                let number = entry["subject"].as_str().and_then(|subject| town.find(subject));
                (
                    number.map(|number| (place.unwrap_or_default(), number)),
                    format!("{law}: {entry}"),
                )
            })?;
        }
        Ok(())
    }

    fn one(&mut self, entry: &Value, town: &mut Town) -> Result<(), String> {
        let word = |key: &str| entry[key].as_str().unwrap_or_default();
        let place = ORGANIZATIONS.iter().position(|name| *name == word("organization"));
        let number = town.find(word("subject"));
        match (word("kind"), word("call")) {
            ("violation", _) => Err("the contract was broken".to_owned()),
            // Unless Cliq left somebody out and said that this was everybody.
            ("refused", "portal") if word("detail") == "already_internal" => {
                if place.is_some_and(|place| self.lied_to[place]) {
                    return Ok(());
                }
                Err("(1) a call for somebody at home".to_owned())
            }
            ("fault", "cliq.users.list") => {
                let lie = word("detail") == "status" && entry["status"] == 200;
                self.lied_to[place.unwrap()] |= lie;
                Ok(())
            }
            ("write", "portal") => {
                let (Some(place), Some(number)) = (place, number) else {
                    return Err("a write for nobody that is known".to_owned());
                };
                let at = Timestamp::parse(word("at")).unwrap();
                self.write((place, number), at, entry, town)
            }
            ("write", call) if !call.starts_with("cliq.bots") => {
                Err("a write by no door".to_owned())
            }
            ("act", "crmplus.propagated") => {
                let key = (place.unwrap(), number.unwrap());
                *self.starts.entry(key).or_default() += 1;
                Ok(())
            }
            ("mail", "smtp") if word("subject") != ADMIN => self.mail(entry, number),
            ("fault", "smtp") => {
                self.answers_lost += usize::from(word("detail") == "apply_then_drop");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(
        &mut self,
        key: Key,
        at: Timestamp,
        entry: &Value,
        town: &mut Town,
    ) -> Result<(), String> {
        let detail = entry["detail"].as_str().unwrap_or_default();
        let (verb, _) = detail.split_once(':').unwrap_or_default();
        self.effects += 1;
        self.done.entry(key).or_default().push(verb.to_owned());
        let effect = format!("{key:?} {verb}");
        let used = entry["idempotency_key"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = self.keys.insert(used, effect.clone()) {
            return Err(format!("(6) one key for two effects, {before} and {effect}"));
        }
        let place = &mut town.people[key.1].places[key.0];
        match verb {
            "add_external" => {
                *self.starts.entry(key).or_default() += 1;
                place.theirs = false;
                if !place.is_active() {
                    return Err("an addition of somebody whom CRM does not list".to_owned());
                }
            }
            "restrict" | "remove_external" => {
                self.losses.push(Loss { key, at });
                if place.is_active() {
                    return Err("(2) access taken from somebody whom CRM lists".to_owned());
                }
                if place.theirs || (place.planted && !place.listed) {
                    return Err("(2) access taken from somebody who is not ours".to_owned());
                }
            }
            "restore" => {}
            _ => return Err("a verb that no rule asks for".to_owned()),
        }
        Ok(())
    }

    fn mail(&mut self, entry: &Value, number: Option<usize>) -> Result<(), String> {
        let Some(number) = number else { return Err("a mail to nobody that is known".to_owned()) };
        let subject = entry["detail"].as_str().unwrap_or_default();
        let place = ["Acme Ltd", "Birch Studio"].iter().position(|name| subject.contains(name));
        let Some(place) = place else { return Err("a mail about no organization".to_owned()) };
        self.effects += 1;
        let id = entry["idempotency_key"].as_str().unwrap_or_default().to_owned();
        let fresh = self.mails.entry((place, number)).or_default().insert(id);
        self.copies += usize::from(!fresh);
        Ok(())
    }
}
