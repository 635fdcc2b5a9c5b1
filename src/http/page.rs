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
pub(super) fn limit(asked: Option<&str>) -> Result<u32, Problem> {
    limit_to(LIMIT_DEFAULT, LIMIT_MAX, asked)
}

/// The same for a list with a default and a maximum of its own.
pub(super) fn limit_to(default: u32, most: u32, asked: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = asked else { return Ok(default) };
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("limit is a number from 1 to {most}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
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

/// The `cursor` that reads back to this row id.
pub(super) fn written(id: i64) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// Cuts the rows of a page: one more than `limit` was read if there is a next page, whose cursor is
/// then answered too.
pub(super) fn cut<T>(
    mut rows: Vec<T>,
    limit: u32,
    id: impl Fn(&T) -> i64,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| written(id(row)));
    (rows, next)
}

/// [`cut`], as every list answers.
pub(super) fn wrap<T: Serialize>(rows: Vec<T>, limit: u32, id: impl Fn(&T) -> i64) -> Value {
    let (rows, next) = cut(rows, limit, id);
    json!({ "items": rows, "next_cursor": next })
}

#[cfg(test)]
mod tests {
    use super::{LIMIT_DEFAULT, LIMIT_MAX, cursor, limit, wrap};

    #[test]
    fn a_cursor_reads_back_and_a_made_up_one_is_refused() {
        let page = wrap(vec![1_i64, 2, 3], 2, |row| *row);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
        assert_eq!(cursor(page["next_cursor"].as_str()), Ok(Some(2)));
        assert!(cursor(Some("nonsense!")).is_err());
        assert!(wrap(vec![1_i64], 2, |row| *row)["next_cursor"].is_null());
    }

    #[test]
    fn a_limit_is_within_its_range_or_refused_with_it() {
        assert_eq!(limit(None), Ok(LIMIT_DEFAULT));
        assert_eq!(limit(Some("200")), Ok(LIMIT_MAX));
        for wrong in ["0", "201", "-1", "", "many", "99999999999", "1.5"] {
            let refused = format!("{:?}", limit(Some(wrong)));
            assert!(refused.contains("from 1 to 200"), "{wrong}: {refused}");
        }
    }
}
