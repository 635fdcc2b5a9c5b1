//! The sandbox's Cliq as it is: every row of both organizations.
//!
//! Deliberately absent: what the bridge believes of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::support::Bridge;
use super::super::support::harness::rows;
use super::people::ORGANIZATIONS;

/// One row of a Cliq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliqRow {
    pub external: bool,
    pub status: String,
    pub whole: Value,
}

/// All rows, by organization and address.
#[derive(Clone, Debug, Default)]
pub struct Cliq(BTreeMap<(usize, String), CliqRow>);

impl Cliq {
    /// Reads it.
    pub async fn of(bridge: &Bridge) -> Self {
        let state = bridge.sandbox("/state").await;
        let mut all = BTreeMap::new();
        for organization in rows(&state["organizations"]) {
            let place = ORGANIZATIONS.iter().position(|name| organization["id"] == *name);
            let Some(place) = place else { continue };
            for row in rows(&organization["cliq_users"]) {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                let found = CliqRow {
                    external: row["class"] == "external",
                    status: text("status"),
                    whole: row.clone(),
                };
                all.insert((place, text("email").to_lowercase()), found);
            }
        }
        Self(all)
    }

    /// The row of an address.
    pub fn row(&self, place: usize, email: &str) -> Option<&CliqRow> {
        self.0.get(&(place, email.to_lowercase()))
    }

    /// Somebody acted on the row; how it is now only another look tells.
    pub fn forget(&mut self, place: usize, email: &str) {
        let key = (place, email.to_lowercase());
        if self.0.get(&key).is_some_and(|row| row.external) {
            self.0.remove(&key);
        }
    }

    /// Rows of the organizations' own people.
    pub fn internals(&self) -> BTreeMap<&(usize, String), &Value> {
        let own = self.0.iter().filter(|(_, row)| !row.external);
        own.map(|(key, row)| (key, &row.whole)).collect()
    }

    /// Address and status of every external row of an organization.
    pub fn externals(&self, place: usize) -> BTreeMap<String, String> {
        let theirs = self.0.iter().filter(|((at, _), row)| *at == place && row.external);
        theirs.map(|((_, email), row)| (email.clone(), row.status.clone())).collect()
    }
}
