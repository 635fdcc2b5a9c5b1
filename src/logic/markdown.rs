//! Text of others in a Markdown table: whatever a name contains, it stays in its cell.
//!
//! Deliberately absent: any other Markdown; tables are all that a plan needs for a ticket.

use std::fmt::Write as _;

/// Characters that mean something to Markdown or to HTML within it.
const SPECIAL: &str = "\\`*_{}[]<>#|~!&";

/// One cell: control characters and line breaks become spaces, what Markdown would read is escaped.
/// Characters that turn the direction of writing around are left out: they can show a line as another.
pub fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            out.push(' ');
        } else if is_bidi_control(character) {
            // Left out.
        } else {
            if SPECIAL.contains(character) {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out.trim().to_owned()
}

/// The same for a terminal: one line, nothing that steers it.
pub fn plain(text: &str) -> String {
    let kept = text.chars().filter(|character| !is_bidi_control(*character));
    kept.map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A table of these rows under a head.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "| {} |", head.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{cell, plain, table};

    #[test]
    fn names_stay_in_their_cell() {
        assert_eq!(cell("A | B\n<b>"), "A \\| B \\<b\\>");
        assert_eq!(cell("Zoë 🦊"), "Zoë 🦊");
        assert_eq!(cell("a\u{202e}b\u{1b}[31m"), "ab \\[31m");
        assert_eq!(plain("a\r\nb\u{202e}\u{7}"), "a  b ");
        let row = vec!["x|y".to_owned(), "z".to_owned()];
        assert_eq!(table(&["A", "B"], &[row]), "| A | B |\n| --- | --- |\n| x\\|y | z |\n");
    }

    proptest! {
        #[test]
        fn a_row_has_as_many_cells_as_the_head_whatever_is_in_it(text in any::<String>()) {
            let out = table(&["A", "B"], &[vec![text.clone(), text]]);
            prop_assert_eq!(out.lines().count(), 3);
            let row = out.lines().nth(2).unwrap_or_default();
            let mut bars = 0;
            let mut escaped = false;
            for character in row.chars() {
                bars += usize::from(character == '|' && !escaped);
                escaped = character == '\\' && !escaped;
            }
            prop_assert_eq!(bars, 3);
        }
    }
}
