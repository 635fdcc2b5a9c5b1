//! The typed, spanned reader: it walks the table, notes every mistake with its place, and goes on.
//!
//! Deliberately absent: what any key means. Sections read their keys with it; a mistake gives
//! `None`, and whoever gets `None` continues with the next key.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::problem::Problem;
use super::suggest;

/// Longest value repeated in a problem, in characters; enough to recognise it, one line at most.
const SHOWN_MAX_CHARS: usize = 60;

/// The file being read, and what was found wrong with it so far.
pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    /// The folder that relative paths start from.
    pub(super) base: PathBuf,
    /// systemd's credentials, if there are any.
    pub(super) credentials: Option<PathBuf>,
    found: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, base: PathBuf, credentials: Option<PathBuf>) -> Self {
        Self { text, base, credentials, found: RefCell::default() }
    }

    /// Notes one mistake at a byte offset; the same one twice is noted once.
    pub(super) fn note(&self, at: usize, key: &str, value: Option<String>, message: String) {
        let before = self.before(at);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
        let problem = Problem { line, column, key: key.to_owned(), value, message };
        let mut found = self.found.borrow_mut();
        if !found.iter().any(|(_, known)| *known == problem) {
            found.push((at, problem));
        }
    }

    /// The number of the line at a byte offset, and the key that it begins with: empty if none is
    /// told, `None` if it is a header.
    pub(super) fn line(&self, at: usize) -> (usize, Option<&'a str>) {
        let number = self.before(at).matches('\n').count() + 1;
        let start = self.before(at).rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        if line.trim_start().starts_with('[') {
            return (number, None);
        }
        let key = line.split_once('=').map_or("", |(key, _)| key.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (number, Some(if key.chars().all(plain) { key } else { "" }))
    }

    /// Takes over what was found in another reading of the same text, as far as it is wanted.
    pub(super) fn adopt(&self, other: Document<'_>, wanted: impl Fn(&Problem) -> bool) {
        let found = other.found.into_inner();
        let found = found.into_iter().filter(|(_, problem)| wanted(problem));
        self.found.borrow_mut().extend(found);
    }

    fn before(&self, at: usize) -> &'a str {
        self.text.get(..at).unwrap_or(self.text)
    }

    /// How many mistakes there are so far.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// All mistakes, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, problem)| problem).collect()
    }

    /// A value as it was written, shortened; addresses without what could hold a password or key.
    fn shown(&self, span: Range<usize>) -> Option<String> {
        let text = self.text.get(span)?;
        if text.contains("://") && text.contains(['@', '?', '#']) {
            return None;
        }
        let line = text.lines().next().unwrap_or("");
        let mut shown: String = line.chars().take(SHOWN_MAX_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Some(shown)
    }
}

/// One value in the file.
pub(super) struct Entry<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) key: String,
    pub(super) value: &'a DeValue<'a>,
    span: Range<usize>,
}

impl<'a> Entry<'a> {
    /// Notes that this value is wrong, and shows it unless it is a table or a list.
    pub(super) fn fail(&self, message: impl Into<String>) {
        let shown = match self.value {
            DeValue::Table(_) | DeValue::Array(_) => None,
            _ => self.document.shown(self.span.clone()),
        };
        self.document.note(self.span.start, &self.key, shown, message.into());
    }

    /// Notes that this value is wrong without showing it.
    pub(super) fn fail_unseen(&self, message: impl Into<String>) {
        self.document.note(self.span.start, &self.key, None, message.into());
    }

    /// The value, or `None` and a problem.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        parse(self.value).map_err(|message| self.fail(message)).ok()
    }

    /// The entries of a list, or a problem.
    pub(super) fn items(&self) -> Option<Vec<Entry<'a>>> {
        let DeValue::Array(list) = self.value else {
            self.fail("must be a list; put the values in square brackets: [ … ]");
            return None;
        };
        let entry = |(position, value): (usize, &'a Spanned<DeValue<'a>>)| Entry {
            document: self.document,
            key: format!("{}[{position}]", self.key),
            value: value.get_ref(),
            span: value.span(),
        };
        Some(list.iter().enumerate().map(entry).collect())
    }

    /// The table, or a problem.
    pub(super) fn section(&self, known: &'static [&'static str]) -> Option<Section<'a>> {
        if let DeValue::Table(table) = self.value {
            return Some(Section::open(self.document, &self.key, table, self.span.start, known));
        }
        self.fail_unseen(format!("must be a table with the keys {}", known.join(", ")));
        None
    }
}

/// One table in the file, with the keys it may hold. Opening it notes every unknown key.
pub(super) struct Section<'a> {
    pub(super) document: &'a Document<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    /// Byte offset of the header, where missing keys are reported.
    header: usize,
    /// Set when the whole section is wrong, so that its keys are not reported missing on top.
    muted: bool,
    /// Known key, and the misspelt one that is read in its place to find what else is wrong.
    misspelt: Vec<(&'static str, &'a str)>,
}

impl<'a> Section<'a> {
    /// Opens a table whose header stands at byte `header`.
    pub(super) fn open(
        document: &'a Document<'a>,
        path: &str,
        table: &'a DeTable<'a>,
        header: usize,
        known: &'static [&'static str],
    ) -> Self {
        let mut misspelt = Vec::new();
        for key in table.keys() {
            let written: &str = key.get_ref();
            if known.contains(&written) {
                continue;
            }
            let meant = suggest::nearest(written, known);
            document.note(key.span().start, &join(path, written), None, unknown(written, meant));
            misspelt
                .extend(meant.filter(|meant| !table.contains_key(*meant)).map(|m| (m, written)));
        }
        Self { document, path: path.to_owned(), table: Some(table), header, muted: false, misspelt }
    }

    fn empty(document: &'a Document<'a>, path: String, header: usize, muted: bool) -> Self {
        Self { document, path, table: None, header, muted, misspelt: Vec::new() }
    }

    /// What stands under a key.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'a>> {
        let table = self.table?;
        let misspelt = self.misspelt.iter().find(|(meant, _)| *meant == key);
        let written = misspelt.map_or(key, |(_, written)| written);
        let value = table.get(written)?;
        Some(Entry {
            document: self.document,
            key: join(&self.path, written),
            value: value.get_ref(),
            span: value.span(),
        })
    }

    /// Whether the key is written at all, rightly or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The value; `None` when it is absent, or wrong and reported.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        self.entry(key)?.parse(parse)
    }

    /// The value; its absence is reported with an example of what to write.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.optional(key, parse)
    }

    /// The value, or the default; a wrong value is reported and the default goes on.
    pub(super) fn or<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// The right entries of a list; empty when absent.
    pub(super) fn list<T>(
        &self,
        key: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Vec<T> {
        let items = self.entry(key).and_then(|entry| entry.items()).unwrap_or_default();
        items.iter().filter_map(|item| item.parse(&parse)).collect()
    }

    /// A table inside this one; an absent one counts as empty.
    pub(super) fn section(&self, key: &str, known: &'static [&'static str]) -> Section<'a> {
        let found = self.entry(key).map(|entry| entry.section(known));
        let muted = self.muted || matches!(found, Some(None));
        let absent = || Self::empty(self.document, join(&self.path, key), self.header, muted);
        found.flatten().unwrap_or_else(absent)
    }

    /// The tables of a list; empty when absent.
    pub(super) fn sections(&self, key: &str, known: &'static [&'static str]) -> Vec<Section<'a>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        if matches!(entry.value, DeValue::Table(_)) {
            let header = entry.key.replace(|c: char| !c.is_alphabetic() && c != '.', "");
            entry.fail(format!("there can be several; write [[{header}]] with double brackets"));
            return entry.section(known).into_iter().collect();
        }
        let items = entry.items().unwrap_or_default();
        items.iter().filter_map(|item| item.section(known)).collect()
    }

    /// Reports a required key that is not there, at the table's header.
    pub(super) fn missing(&self, key: &str, example: &str) {
        if !self.muted {
            let section = if self.table.is_none() { &format!("[{}] and ", self.path) } else { "" };
            let message = format!("missing; write {section}{key} = {example}");
            self.document.note(self.header, &join(&self.path, key), None, message);
        }
    }

    /// Reports something about the table as a whole, at its header.
    pub(super) fn fail(&self, message: impl Into<String>) {
        self.document.note(self.header, &self.path, None, message.into());
    }

    /// Reports a value by its key; nothing when the key is not there.
    pub(super) fn fail_at(&self, key: &str, message: impl Into<String>) {
        if let Some(entry) = self.entry(key) {
            entry.fail(message);
        }
    }
}

/// Reports every repetition of a text that must be unique over the sections of a list.
pub(super) fn unique(sections: &[Section<'_>], key: &str, what: &str) {
    let mut seen: Vec<&str> = Vec::new();
    for entry in sections.iter().filter_map(|section| section.entry(key)) {
        let Some(text) = entry.value.as_str() else { continue };
        if seen.contains(&text) {
            entry.fail(format!("is already the {key} of {what} above; each needs its own"));
        }
        seen.push(text);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What to say about a key that nobody reads.
fn unknown(written: &str, meant: Option<&str>) -> String {
    if let Some(meant) = meant {
        return format!("unknown key; did you mean {meant}?");
    }
    if let Some((_, rule)) = keys::FORBIDDEN.iter().find(|(key, _)| *key == written) {
        return (*rule).to_owned();
    }
    let elsewhere = keys::ALL.iter().find(|(_, known)| known.contains(&written));
    match elsewhere {
        Some(("", _)) => "unknown key here; it is a section of its own at the top level".to_owned(),
        Some((path, _)) => format!("unknown key here; it belongs in {path}"),
        None => "unknown key; remove it".to_owned(),
    }
}
