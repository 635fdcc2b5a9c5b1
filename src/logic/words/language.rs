//! A catalogue: the sentences of one language, read once, and how it writes a time.
//!
//! Deliberately absent: which language somebody gets (`words`), and what a sentence is about.

#[cfg(test)]
use std::collections::BTreeSet;

use chrono::{Datelike as _, Timelike as _};
use chrono_tz::Tz;
use minijinja::{Environment, Value, context};
use toml::{Table, Value as Entry};

use super::layout;
use crate::domain::Timestamp;

/// The key of the sentence that writes a time.
const TIME_FORM: &str = "time.form";

/// One language.
#[derive(Debug)]
pub(in crate::logic) struct Language {
    /// BCP 47 tag, from the file's name; for the `lang` attribute.
    pub(in crate::logic) tag: &'static str,
    /// What the language calls itself.
    pub(in crate::logic) name: String,
    /// Reading direction, for the `dir` attribute: `ltr` or `rtl`.
    pub(in crate::logic) dir: String,
    /// Monday first.
    weekdays: Vec<String>,
    /// January first.
    months: Vec<String>,
    sentences: Environment<'static>,
}

impl Language {
    /// Reads a catalogue. Says what is wrong with it, in words for whoever writes one.
    pub(super) fn read(tag: &'static str, text: &str) -> Result<Self, String> {
        let fault = |what: &str| format!("language {tag}: {what}");
        let mut table: Table = text.parse().map_err(|error| fault(&format!("{error}")))?;
        let mut line = |key: &str| match table.remove(key) {
            Some(Entry::String(text)) => Ok(text),
            _ => Err(fault(&format!("`{key}` is a text"))),
        };
        let (name, dir) = (line("name")?, line("dir")?);
        if !matches!(dir.as_str(), "ltr" | "rtl") {
            return Err(fault("`dir` is ltr or rtl"));
        }
        let time = table.get_mut("time").and_then(Entry::as_table_mut);
        let time = time.ok_or_else(|| fault("[time] is missing"))?;
        let mut names = |key: &str, count: usize| {
            let list = time.remove(key).and_then(|entry| entry.try_into::<Vec<String>>().ok());
            list.filter(|list| list.len() == count)
                .ok_or_else(|| fault(&format!("`time.{key}` has {count} names")))
        };
        let (weekdays, months) = (names("weekdays", 7)?, names("months", 12)?);
        let mut sentences = layout::environment(&[]).map_err(|error| error.to_string())?;
        add(&mut sentences, "", table).map_err(|what| fault(&what))?;
        Ok(Self { tag, name, dir, weekdays, months, sentences })
    }

    /// One sentence about these facts.
    ///
    /// # Errors
    /// When there is no such sentence, or it asks for a fact that is not given.
    pub(super) fn say(&self, key: &str, facts: &Value) -> Result<String, minijinja::Error> {
        #[cfg(test)]
        super::tests::note(key);
        self.sentences.get_template(key)?.render(facts)
    }

    /// Every key, in order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.sentences.templates().map(|(key, _)| key.to_owned()).collect()
    }

    /// An instant as its readers write it, in their zone (an IANA name) where that is known, else
    /// in UTC; the zone is always named.
    ///
    /// # Errors
    /// Only when the catalogue's form is broken.
    pub(in crate::logic) fn time(
        &self,
        at: Timestamp,
        zone: &str,
    ) -> Result<String, minijinja::Error> {
        let zone: Tz = zone.trim().parse().unwrap_or(Tz::UTC);
        let local = at.to_utc().with_timezone(&zone);
        let name = |names: &[String], index: u32| {
            usize::try_from(index).ok().and_then(|index| names.get(index)).cloned()
        };
        let facts = context! {
            weekday => name(&self.weekdays, local.weekday().num_days_from_monday()),
            day => local.day(),
            month => name(&self.months, local.month0()),
            year => local.year(),
            clock => format!("{:02}:{:02}", local.hour(), local.minute()),
            zone => zone.name().replace('_', " "),
        };
        self.say(TIME_FORM, &facts)
    }
}

/// Adds every text below `table` under its dotted key.
fn add(sentences: &mut Environment<'static>, prefix: &str, table: Table) -> Result<(), String> {
    for (key, entry) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match entry {
            Entry::Table(table) => add(sentences, &key, table)?,
            Entry::String(text) => sentences
                .add_template_owned(key.clone(), text)
                .map_err(|error| format!("`{key}`: {error}"))?,
            _ => return Err(format!("`{key}` is neither a text nor a table")),
        }
    }
    Ok(())
}
