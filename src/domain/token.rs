//! Who may use the admin API: names, roles, and what a name may look like.
//!
//! Deliberately absent: tokens themselves. Outside the moment in which one is made there is only
//! its hash.

use super::words::words;

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Looks at everything, changes nothing.
    Viewer,
    /// Does everything.
    Operator,
}

words!(Role { Viewer = "viewer", Operator = "operator" });

/// Whoever a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name: the actor of the audit.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// The name of the token in the configuration.
pub const BOOTSTRAP: &str = "bootstrap";

/// The actor of what the command line does beside the daemon.
pub const COMMAND_LINE: &str = "command line";

/// Longest name of a token, characters: it stands in every audit row.
const NAME_MAX: usize = 64;

/// Names that the audit gives to others.
const RESERVED: [&str; 4] = [BOOTSTRAP, "bridge", "operator", "invitee"];

/// Whether a token may have this name; if not, what to write instead.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let starts = name.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    if !starts || name.len() > NAME_MAX || !name.chars().all(plain) {
        return Err(format!(
            "a token's name has 1 to {NAME_MAX} letters, digits, dots, dashes and underscores, and \
             begins with a letter or digit, such as grafana or ada-laptop"
        ));
    }
    if RESERVED.contains(&name) {
        return Err(format!("{name} means something else in the audit; choose another name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{NAME_MAX, check_name};

    #[test]
    fn names_are_plain_and_nobody_elses() {
        for good in ["grafana", "ada-laptop", "ci.nightly_2", "7", &"a".repeat(NAME_MAX)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(NAME_MAX + 1);
        for bad in ["", " ", "-x", "=cmd", "ada lovelace", "a/b", "ä", "bootstrap", "bridge", &long]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
