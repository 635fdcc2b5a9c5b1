//! Cliq's listings, read to their end or failed: rows of all pages, or [`CallError::Incomplete`].
//!
//! Paging by `next_token` and `has_more`, or by `from` in the older shape (contract section 2.1).
//! Deliberately absent: the meaning of rows. A short page is no end; only the answer's own word is
//! (I3, I12).

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use super::account::{Account, Ask};
use super::error::CallError;
use super::gate::Priority;
use super::wire::{address, malformed, text, truth};
use crate::domain::budget::Group;

/// Most pages of one listing: half a million rows at 100 a page. More is a server that goes in
/// circles.
pub(super) const PAGES_MAX: usize = 5_000;

/// Rows asked for per page, the documented maximum (contract sections 2.1 and 2.2).
const PAGE_LIMIT: &str = "100";

/// The same as a number.
const PAGE_ROWS: usize = 100;

/// What it means that a page says neither `has_more` nor `next_token`.
#[derive(Clone, Copy)]
pub(super) enum Silence {
    /// Documented answers of this call always say; a silent one proves nothing.
    Incomplete,
    /// Documented answers of this call leave it out on the last page.
    End,
}

/// One listing to read.
pub(super) struct Listing<'a> {
    pub(super) call: &'static str,
    pub(super) group: Group,
    pub(super) priority: Priority,
    pub(super) base: &'a Url,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Keys under which the rows may stand.
    pub(super) rows: &'static [&'static str],
    /// Keys under which a row's id may stand.
    pub(super) ids: &'static [&'static str],
    pub(super) silence: Silence,
}

/// What a whole listing came to.
pub(super) struct Listed<T> {
    /// What was made of the rows.
    pub(super) rows: Vec<T>,
    pub(super) pages: usize,
}

/// Key of the older shape, which pages by offset.
const OFFSET_SHAPE: &str = "users";

#[derive(Clone)]
enum Next {
    First,
    Token(String),
    From(usize),
    End,
}

struct Page {
    rows: Vec<Value>,
    older_shape: bool,
    has_more: Option<bool>,
    next_token: Option<String>,
}

impl Listing<'_> {
    /// Reads every page, and keeps what `make` makes of its rows: JSON is several times as large, so no
    /// more than one page of it is at hand.
    pub(super) async fn read<T>(
        &self,
        account: &Account,
        mut make: impl FnMut(Value) -> Option<T>,
    ) -> Result<Listed<T>, CallError> {
        let mut listed = Listed { rows: Vec::new(), pages: 0 };
        let mut ids = BTreeSet::new();
        let mut tokens = BTreeSet::new();
        let mut next = Next::First;
        while listed.pages < PAGES_MAX {
            let ask = self.ask(&next)?;
            let body = account.read_page(self.group, self.priority, &ask).await?;
            let page = self.page(body, &next)?;
            listed.pages += 1;
            for row in &page.rows {
                let id = text(row, self.ids).ok_or_else(|| self.broken("a row without an id"))?;
                if !ids.insert(id) {
                    return Err(self.broken("a row came twice: pages shifted while being read"));
                }
            }
            next = self.next(&page, ids.len())?;
            listed.rows.extend(page.rows.into_iter().filter_map(&mut make));
            match &next {
                Next::End => {
                    account.meter().need_pages(ids.len(), PAGE_ROWS);
                    return Ok(listed);
                }
                Next::Token(token) if !tokens.insert(token.clone()) => {
                    return Err(self.broken("a page token came twice"));
                }
                _ => {}
            }
        }
        Err(self.broken("more than 5,000 pages"))
    }

    fn ask(&self, next: &Next) -> Result<Ask, CallError> {
        let mut query = self.query.to_vec();
        query.push(("limit", PAGE_LIMIT));
        let from = if let Next::From(from) = next { from.to_string() } else { String::new() };
        match next {
            Next::Token(token) => query.push(("next_token", token)),
            Next::From(_) => query.push(("from", &from)),
            Next::First | Next::End => {}
        }
        Ok(Ask::get(self.call, address(self.call, self.base, self.path, &query)?))
    }

    fn page(&self, body: Option<Value>, asked: &Next) -> Result<Page, CallError> {
        let Some(mut body) = body else {
            // No body says "no rows"; in the middle of a listing it contradicts the page before.
            return match asked {
                Next::First => Ok(Page {
                    rows: Vec::new(),
                    older_shape: false,
                    has_more: Some(false),
                    next_token: None,
                }),
                _ => Err(self.broken("an empty answer after a page that promised more")),
            };
        };
        let has_more = truth(&body, "has_more");
        let next_token = text(&body, &["next_token"]);
        let found = self.rows.iter().find_map(|key| match body.get_mut(*key).map(Value::take) {
            Some(Value::Array(rows)) => Some((*key, rows)),
            _ => None,
        });
        let (key, rows) = found.ok_or_else(|| malformed(self.call, "no list of rows"))?;
        Ok(Page { rows, older_shape: key == OFFSET_SHAPE, has_more, next_token })
    }

    fn next(&self, page: &Page, read: usize) -> Result<Next, CallError> {
        match (page.has_more, &page.next_token) {
            (Some(false), _) => Ok(Next::End),
            (_, Some(token)) => Ok(Next::Token(token.clone())),
            (Some(true), None) => Err(self.broken("more rows are promised without a page token")),
            // The older shape does not say; only an empty page ends it.
            (None, None) if page.older_shape && page.rows.is_empty() => Ok(Next::End),
            (None, None) if page.older_shape => Ok(Next::From(read)),
            (None, None) => match self.silence {
                Silence::End => Ok(Next::End),
                // The contract prints the paging words on a page that has a successor. A last page
                // may do without; a first one that is exactly full proves nothing.
                Silence::Incomplete if page.rows.len() < PAGE_ROWS || read > page.rows.len() => {
                    Ok(Next::End)
                }
                Silence::Incomplete => Err(self.broken("it does not say whether more follows")),
            },
        }
    }

    fn broken(&self, rule: &str) -> CallError {
        CallError::incomplete(self.call, rule)
    }
}
