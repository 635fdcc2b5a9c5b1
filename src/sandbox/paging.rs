//! Pages and next-tokens, honest or faulty.
//!
//! Deliberately absent: stable cursors. Like Zoho's, a page is a window on the list as it is now.

use super::wire::Violation;

/// How a page is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paging {
    #[default]
    Honest,
    /// The rows of the page before again, or the first page's rows twice.
    Duplicate,
    /// No rows, as if they had been shown.
    Missing,
}

/// The rows to show for the page at `offset`.
pub(super) fn cut<T: Clone>(rows: &[T], offset: usize, limit: usize, paging: Paging) -> Vec<T> {
    let window = |offset: usize| rows.iter().skip(offset).take(limit).cloned();
    match paging {
        Paging::Honest => window(offset).collect(),
        Paging::Duplicate if offset == 0 => window(0).chain(window(0)).collect(),
        Paging::Duplicate => window(offset.saturating_sub(limit)).collect(),
        Paging::Missing => Vec::new(),
    }
}

/// An opaque token for the page at `offset` of the listing that `filter` describes.
pub(super) fn mint(offset: usize, filter: &str) -> String {
    hex::encode(format!("{offset}|{filter}"))
}

/// The offset in a token; a token of another listing is a violation.
pub(super) fn read(token: Option<&str>, filter: &str) -> Result<usize, Violation> {
    let Some(token) = token else { return Ok(0) };
    let bytes = hex::decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.as_deref()
        .and_then(|text| text.split_once('|'))
        .filter(|(_, of)| *of == filter)
        .and_then(|(offset, _)| offset.parse().ok())
        .ok_or_else(|| {
            Violation::bad("invalid_next_token", "next_token is not one of this listing")
        })
}

#[cfg(test)]
mod tests {
    use super::{Paging, cut, mint, read};

    #[test]
    fn faulty_pages_repeat_or_leave_out() {
        let rows = [1, 2, 3, 4];
        assert_eq!(cut(&rows, 2, 2, Paging::Honest), [3, 4]);
        assert_eq!(cut(&rows, 2, 2, Paging::Duplicate), [1, 2]);
        assert_eq!(cut(&rows, 0, 2, Paging::Duplicate), [1, 2, 1, 2]);
        assert!(cut(&rows, 2, 2, Paging::Missing).is_empty());
    }

    #[test]
    fn a_token_belongs_to_its_listing() {
        let token = mint(100, "status=pending");
        assert_eq!(read(Some(&token), "status=pending"), Ok(100));
        assert!(read(Some(&token), "status=active").is_err());
    }
}
