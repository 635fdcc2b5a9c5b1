//! Lists in pages: `?limit=` (50, at most 200) and an opaque, URL-safe `?cursor=`.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use super::Problem;

/// Rows of a page when nothing is asked for.
const LIMIT_DEFAULT: u32 = 50;

/// Rows of a page at most.
const LIMIT_MAX: u32 = 200;

/// Checks a `limit`.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "limit is a number from 1 to 200")),
    }
}

/// Reads a `cursor` back to the row id it stands for.
pub(super) fn cursor(asked: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = asked else { return Ok(None) };
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "this cursor is not one of ours; start again")
        })
}

/// Wraps the rows of a page: one more than `limit` was read if there is a next page.
pub(super) fn wrap<T: Serialize>(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> i64) -> Value {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(id(row).to_string()));
    json!({ "items": rows, "next_cursor": next })
}

#[cfg(test)]
mod tests {
    use super::{cursor, wrap};

    #[test]
    fn a_cursor_reads_back_and_a_made_up_one_is_refused() {
        let page = wrap(vec![1_i64, 2, 3], 2, |row| *row);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
        assert_eq!(cursor(page["next_cursor"].as_str()), Ok(Some(2)));
        assert!(cursor(Some("nonsense!")).is_err());
        assert!(wrap(vec![1_i64], 2, |row| *row)["next_cursor"].is_null());
    }
}
