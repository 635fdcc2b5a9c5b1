//! One mistake in the operator's file, and the list of all of them, as the terminal shows them.
//!
//! Deliberately absent: the content of any secret. A problem names the file a secret is in.

use std::fmt;
use std::path::PathBuf;

/// One mistake: where it is, what stands there and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Counted from 1, in characters; 0 when the file as a whole is meant.
    pub column: usize,
    /// Dotted, such as `organizations[1].portal.url`; empty when no single key is meant.
    pub key: String,
    /// The value as it was written, shortened; `None` for tables, lists and whatever may be secret.
    pub value: Option<String>,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Every mistake of one file, in the order of the file (design section 11, "Config errors").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file, as it was named on the command line.
    pub file: PathBuf,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    /// One line each, `FILE:LINE:COLUMN key = value: message`, then a line with their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for Problem { line, column, key, value, message } in &self.problems {
            write!(f, "{file}:")?;
            if *line > 0 {
                write!(f, "{line}:{column}")?;
            }
            match value {
                Some(value) => write!(f, " {key} = {value}:")?,
                None if key.is_empty() => {}
                None => write!(f, " {key}:")?,
            }
            writeln!(f, " {message}")?;
        }
        match self.problems.len() {
            1 => write!(f, "1 problem in {file}"),
            count => write!(f, "{count} problems in {file}"),
        }
    }
}
