//! Lists of the admin API on a terminal: every page of one, and rows as a table or as lines with
//! tabs for other programs.
//!
//! Deliberately absent: what is listed, and under which titles.

use std::io::IsTerminal as _;

use anyhow::bail;
use serde_json::Value;

use super::admin::Daemon;
use super::print;

/// Rows asked for at once, the API's maximum.
const PAGE: &str = "200";

/// Titles, and the keys that they show.
pub(super) type Columns = [(&'static str, &'static str)];

/// The newest rows that the filter finds, over all pages, at most `most` of them.
pub(super) async fn every(
    daemon: &Daemon,
    path: &str,
    filter: &[(&str, &str)],
    most: Option<usize>,
) -> anyhow::Result<Vec<Value>> {
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE)];
        query.extend(filter);
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = daemon.get(&[path], &query).await?;
        if !answer.good {
            bail!("{}", answer.detail());
        }
        let page = answer.body["items"].as_array().cloned().unwrap_or_default();
        let next = text(&answer.body, "next_cursor").filter(|_| !page.is_empty());
        rows.extend(page);
        if let Some(most) = most.filter(|most| rows.len() >= *most) {
            rows.truncate(most);
            return Ok(rows);
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(rows),
        }
    }
}

/// The filter's words that are there.
pub(super) fn filter<'a>(words: &[(&'a str, &'a Option<String>)]) -> Vec<(&'a str, &'a str)> {
    words.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect()
}

/// Prints the rows: a table on a terminal, else lines with tabs and without titles.
pub(super) fn rows(columns: &Columns, rows: &[Value]) {
    let keys: Vec<&str> = columns.iter().map(|(_, key)| *key).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| keys.iter().map(|key| cell(row, key)).collect()).collect();
    if !std::io::stdout().is_terminal() {
        for row in &cells {
            print(&row.join("\t"));
        }
        return;
    }
    let titles: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    for line in table(&titles, &cells) {
        print(&line);
    }
}

fn table(titles: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.chain(titles.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(widest).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(line(titles)).chain(rows.iter().map(|row| line(row))).collect()
}

/// A value on one line: what stands in a cell came from outside.
fn cell(row: &Value, key: &str) -> String {
    let shown = match &row[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    shown.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The text under a key.
pub(super) fn text(row: &Value, key: &str) -> Option<String> {
    row[key].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{cell, table};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let lines = table(&row(["ID", "NAME"]), &[row(["mem-1", "Ä"]), row(["mem-10", "Bo"])]);
        assert_eq!(lines, ["ID      NAME", "mem-1   Ä", "mem-10  Bo"]);
    }

    #[test]
    fn a_cell_is_one_line_without_control_characters() {
        let row = json!({ "a": "x\n\u{1b}[31my\t", "b": null, "c": 7, "d": true });
        let shown = ["a", "b", "c", "d", "e"].map(|key| cell(&row, key));
        assert_eq!(shown, ["x  [31my ", "-", "7", "true", "-"]);
    }
}
