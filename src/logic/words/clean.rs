//! Foreign text made harmless: names out of a CRM and messages of vendors, before anyone reads them.
//!
//! Deliberately absent: escaping. HTML is escaped by the template engine, headers by the mailer;
//! here only goes what must not reach a reader in any medium.

use unicode_normalization::UnicodeNormalization;

/// Longest name shown, in characters: longer than any real one, shorter than a message.
pub(in crate::logic) const NAME_MAX_CHARS: usize = 80;

/// Shortest ending of a host name (RFC 1034 has none, the public list has no shorter one). It
/// tells `evil.com` from the initials in `J.R.R. Tolkien`.
const HOST_ENDING_MIN_CHARS: usize = 2;

/// One line of visible text: no control or invisible formatting characters, single spaces, at most
/// `max` characters (cut with an ellipsis).
pub(in crate::logic) fn one_line(text: &str, max: usize) -> String {
    let visible: String = text.nfc().filter_map(shown).collect();
    capped(&single_spaced(&visible), max)
}

/// A person's name as a stranger may have typed it: one line, without anything that a mail program
/// would turn into a link.
pub(in crate::logic) fn name(text: &str) -> String {
    capped(&without_lures(&one_line(text, usize::MAX)), NAME_MAX_CHARS)
}

/// Text of several paragraphs, each a list of lines; at most `max` characters.
pub(in crate::logic) fn paragraphs(text: &str, max: usize) -> Vec<Vec<String>> {
    let text = capped(&text.replace("\r\n", "\n"), max);
    text.split("\n\n")
        .map(|paragraph| {
            paragraph
                .lines()
                .map(|line| one_line(line, usize::MAX))
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
        })
        .filter(|lines| !lines.is_empty())
        .collect()
}

/// Without the characters that Cliq reads as formatting, links or mentions.
pub(in crate::logic) fn without_markup(text: &str) -> String {
    let markup = |c| if "*_~`[](){}<>@!|".contains(c) { ' ' } else { c };
    single_spaced(&text.chars().map(markup).collect::<String>())
}

/// At most `max` characters; what is cut is shown by an ellipsis.
pub(in crate::logic) fn capped(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// The character as it may be shown: `None` for invisible formatting, a space for anything that
/// breaks a line.
fn shown(c: char) -> Option<char> {
    match c {
        // Joiners stay: Persian and Indic names and family emoji need them.
        '\u{200c}' | '\u{200d}' => Some(c),
        // Soft hyphens and other fillers; marks, embeddings, overrides and isolates of
        // bidirectional text (a right-to-left override makes `moc.live` read `evil.com`); tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => None,
        c if c.is_control() || c.is_whitespace() => Some(' '),
        c => Some(c),
    }
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes schemes (`https://`) and `www`, and breaks host names at their dots.
fn without_lures(text: &str) -> String {
    let opened: Vec<String> = text
        .split(' ')
        .map(|word| broken_at_dots(word.rsplit("://").next().unwrap_or_default()))
        .collect();
    opened
        .iter()
        .flat_map(|word| word.split_whitespace())
        .filter(|word| !word.eq_ignore_ascii_case("www"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Puts a space for each dot that could stand before the ending of a host name. IDNA takes three
/// more characters for a dot (RFC 3490 section 3.1); one-dot leaders only look like one.
fn broken_at_dots(word: &str) -> String {
    let is_dot = |c| matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}');
    let in_label = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '\u{200c}' | '\u{200d}');
    let mut rest = word.chars();
    let mut out = String::with_capacity(word.len());
    while let Some(c) = rest.next() {
        let ending = rest.clone().take_while(in_label).take(HOST_ENDING_MIN_CHARS).count();
        let splits = is_dot(c) && !out.is_empty() && ending == HOST_ENDING_MIN_CHARS;
        out.push(if splits { ' ' } else { c });
    }
    out
}
