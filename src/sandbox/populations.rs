//! Many people alike, as one table of a world file: what would be thousands of rows.
//!
//! Deliberately absent: anything that rows one by one could not say.

use serde::Deserialize;

use super::entries::{CliqUserEntry, CrmUserEntry, PersonEntry};

/// Stands for a person's number in every text of a population.
const NUMBER: &str = "{n}";

/// Most people of one population; a slip of the finger must not fill the memory.
pub(super) const COUNT_MAX: usize = 1_000_000;

/// `[[populations]]`: `count` people, each with the rows that are given here once. `{n}` in a text
/// is the person's number, from `first` on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PopulationEntry {
    pub(super) count: usize,
    #[serde(default)]
    first: usize,
    /// As in `[[people]]`.
    person: PersonEntry,
    /// As in `[[crm_users]]`; absent: in nobody's CRM.
    crm_user: Option<CrmUserEntry>,
    /// As in `[[cliq_users]]`; absent: in nobody's Cliq.
    cliq_user: Option<CliqUserEntry>,
}

impl PopulationEntry {
    fn numbers(&self) -> std::ops::Range<usize> {
        self.first..self.first.saturating_add(self.count)
    }

    pub(super) fn people(&self) -> impl Iterator<Item = PersonEntry> {
        self.numbers().map(|number| {
            let mut row = self.person.clone();
            fill(number, [&mut row.email, &mut row.first_name, &mut row.last_name]);
            fill(number, &mut row.zuid);
            row
        })
    }

    pub(super) fn crm_users(&self) -> impl Iterator<Item = CrmUserEntry> {
        self.crm_user.iter().flat_map(|like| {
            self.numbers().map(|number| {
                let mut row = like.clone();
                fill(number, [&mut row.email]);
                fill(number, row.id.iter_mut().chain(&mut row.person));
                row
            })
        })
    }

    pub(super) fn cliq_users(&self) -> impl Iterator<Item = CliqUserEntry> {
        self.cliq_user.iter().flat_map(|like| {
            self.numbers().map(|number| {
                let mut row = like.clone();
                fill(number, [&mut row.email]);
                row
            })
        })
    }
}

fn fill<'a>(number: usize, texts: impl IntoIterator<Item = &'a mut String>) {
    for text in texts {
        *text = text.replace(NUMBER, &number.to_string());
    }
}
