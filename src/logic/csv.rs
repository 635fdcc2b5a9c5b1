//! A line of CSV (RFC 4180) that a spreadsheet shows and does not compute.
//!
//! Deliberately absent: reading.

/// Starts of a cell that spreadsheets take for a formula, or drop before they look for one.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Cells as one line with its end. Every cell is quoted: then commas, quotes and line breaks need
/// no thought. What would be a formula gets an apostrophe before it.
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = cells
        .into_iter()
        .map(|cell| {
            let guard = if cell.starts_with(FORMULA) { "'" } else { "" };
            format!("\"{guard}{}\"", cell.replace('"', "\"\""))
        })
        .collect();
    quoted.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        let lines = line(["a", "", "b,c", "say \"no\"", "two\nlines"]);
        assert_eq!(lines, "\"a\",\"\",\"b,c\",\"say \"\"no\"\"\",\"two\nlines\"\r\n");
        for formula in ["=cmd|' /C calc'!A0 🎉", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(line([formula]), format!("\"'{formula}\"\r\n"));
        }
        assert_eq!(line(["a=1", "🎉=1", "'=1"]), "\"a=1\",\"🎉=1\",\"'=1\"\r\n");
    }
}
