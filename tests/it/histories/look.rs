//! The sandbox's Cliq as it is: every row of both organizations.
//!
//! Deliberately absent: what the bridge believes of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::support::Bridge;
use super::super::support::harness::rows;
use super::people::{ORGANIZATIONS, Town};
use super::watch::Key;

/// The status of each person's external row.
pub type Externals = BTreeMap<Key, String>;

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Cliq {
    externals: Externals,
    /// Rows of the organizations' own people, by organization and address.
    internals: BTreeMap<(usize, String), Value>,
}

impl Cliq {
    /// Reads it.
    pub async fn of(bridge: &Bridge, town: &Town) -> Self {
        let state = bridge.sandbox("/state").await;
        let mut cliq = Self::default();
        for organization in rows(&state["organizations"]) {
            let place = ORGANIZATIONS.iter().position(|name| organization["id"] == *name);
            let Some(place) = place else { continue };
            for row in rows(&organization["cliq_users"]) {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                let email = text("email");
                if row["class"] == "internal" {
                    cliq.internals.insert((place, email), row.clone());
                } else if let Some(number) = town.find(&email) {
                    cliq.externals.insert((place, number), text("status"));
                }
            }
        }
        cliq
    }

    /// The status of a person's external row.
    pub fn status(&self, key: Key) -> Option<&str> {
        self.externals.get(&key).map(String::as_str)
    }

    /// Somebody acted on the row; how it is now only another look tells.
    pub fn forget(&mut self, key: Key) {
        self.externals.remove(&key);
    }

    /// Rows of the organizations' own people.
    pub fn internals(&self) -> &BTreeMap<(usize, String), Value> {
        &self.internals
    }

    /// Every external row.
    pub fn externals(&self) -> &Externals {
        &self.externals
    }
}
