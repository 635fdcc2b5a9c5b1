//! Mistakes against TOML itself, and whether the rest of the file can still be trusted.
//!
//! Deliberately absent: mending. The parser's recovery is used only to look for further mistakes.

use toml::de::Error;

use super::reader::Document;

/// Beginnings of the parser's messages for mistakes that end with their value or key, so that the
/// rest is read as it was meant. Should the parser reword one, only the first mistake is shown.
const LOCAL: &[(&str, &str)] = &[
    ("duplicate key", "is written twice; keep one"),
    ("string values must be quoted", "text must be quoted: \"…\""),
    ("invalid float", "not a TOML value; text must be quoted: \"…\""),
    ("invalid boolean", "must be true or false, in lower case; text must be quoted: \"…\""),
    ("invalid date", "not a date; text must be quoted: \"…\""),
    ("unexpected leading zero", "not a number; text must be quoted: \"…\""),
    ("unexpected key or value", "one key and one value to a line; text must be quoted: \"…\""),
    ("missing escaped value", "a \\ needs to be doubled"),
    ("invalid literal string", "the quotes are not closed"),
    ("invalid basic string", "the quotes are not closed, or a \\ needs to be doubled"),
];

/// What the syntax errors leave to read.
pub(super) enum Damage {
    /// Nothing is wrong.
    None,
    /// Only values on these lines.
    Values(Vec<usize>),
    /// The structure: what follows may belong anywhere.
    Structure,
}

/// Notes every mistake up to the first that damages the structure, one a line.
pub(super) fn report(document: &Document<'_>, errors: &[Error]) -> Damage {
    let mut errors: Vec<(usize, &Error)> =
        errors.iter().map(|error| (error.span().map_or(0, |span| span.start), error)).collect();
    errors.sort_by_key(|(at, _)| *at);
    let mut lines = Vec::new();
    for (at, error) in errors {
        let (line, key) = document.line(at);
        let local = LOCAL.iter().find(|(start, _)| error.message().starts_with(start));
        // A header that is wrong takes its whole section with it.
        let (Some((_, advice)), Some(key)) = (local, key) else {
            let message = format!("not valid TOML: {}", error.message());
            document.note(at, "", None, message);
            return Damage::Structure;
        };
        if !lines.contains(&line) {
            document.note(at, key, None, (*advice).to_owned());
            lines.push(line);
        }
    }
    if lines.is_empty() { Damage::None } else { Damage::Values(lines) }
}
