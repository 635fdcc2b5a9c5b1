//! A source file as text, with the parts blanked out that only look like code.
//!
//! Deliberately absent: a parser. What fools this on purpose would not pass a review either.

/// Which part of a file a ban looks at.
#[derive(Clone, Copy)]
pub(crate) enum View {
    /// Everything but comments and strings.
    Code,
    /// Code that is not for tests.
    Production,
    /// Code for tests.
    Tests,
    /// Code and strings.
    Text,
}

/// A file, and the same text with parts blanked out; all of one length, so places are comparable.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) raw: String,
    pub(crate) code: String,
    pub(crate) production: String,
    tests: String,
    pub(crate) text: String,
}

impl Source {
    /// `test_modules` are those of the whole house, from [`test_modules`].
    pub(crate) fn new(path: &str, raw: &str, test_modules: &[String]) -> Self {
        let (code, text) = blanked(raw);
        let (mut production, mut tests) = (code.clone().into_bytes(), code.clone().into_bytes());
        let all_tests =
            path.starts_with("tests/") || test_modules.iter().any(|at| inside(path, at));
        let regions = if all_tests { vec![(0, raw.len())] } else { test_regions(&code) };
        let mut from = 0;
        for (start, end) in regions {
            blank(&mut production[start..end]);
            blank(&mut tests[from..start]);
            from = end;
        }
        blank(&mut tests[from..]);
        let string = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            path: path.to_owned(),
            raw: raw.to_owned(),
            code,
            production: string(production),
            tests: string(tests),
            text,
        }
    }

    pub(crate) fn view(&self, view: View) -> &str {
        match view {
            View::Code => &self.code,
            View::Production => &self.production,
            View::Tests => &self.tests,
            View::Text => &self.text,
        }
    }

    pub(crate) fn finding(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.raw[..at].matches('\n').count() + 1)
    }

    /// The module path from `src`: `["zoho", "cliq"]`; empty outside `src`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs"));
        inside.map_or(Vec::new(), |path| path.split('/').filter(|part| *part != "mod").collect())
    }
}

/// The text without comments and strings, and without comments only.
fn blanked(raw: &str) -> (String, String) {
    let mut code = raw.as_bytes().to_vec();
    let mut text = code.clone();
    let mut at = 0;
    while at < raw.len() {
        let (end, kind) = token(raw.as_bytes(), at);
        match kind {
            Token::Code => {}
            Token::Literal => blank(&mut code[at..end]),
            Token::Comment => {
                blank(&mut code[at..end]);
                blank(&mut text[at..end]);
            }
        }
        at = end;
    }
    let string = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (string(code), string(text))
}

/// The modules in files of their own that a file declares for tests, as paths without an ending.
pub(crate) fn test_modules(path: &str, raw: &str) -> Vec<String> {
    let folder =
        ["/mod.rs", "/lib.rs", "/main.rs", ".rs"].iter().find_map(|end| path.strip_suffix(end));
    let (code, _) = blanked(raw);
    let declared = |(start, end): (usize, usize)| {
        let item = code[start..end].strip_suffix(';')?;
        let name = item.rsplit_once("mod ")?.1.trim();
        Some(format!("{}/{name}", folder?))
    };
    test_regions(&code).into_iter().filter_map(declared).collect()
}

/// Whether a file is the module at `module` or below it.
pub(crate) fn inside(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

enum Token {
    Code,
    Literal,
    Comment,
}

/// Where the token at `at` ends; code comes byte by byte.
fn token(bytes: &[u8], at: usize) -> (usize, Token) {
    let rest = &bytes[at..];
    let until = |end: Option<usize>| end.map_or(bytes.len(), |end| at + end);
    let find = |from: usize, needle: &[u8]| {
        let found = rest.get(from..)?.windows(needle.len()).position(|part| part == needle)?;
        Some(from + found + needle.len())
    };
    if rest.starts_with(b"//") {
        return (until(rest.iter().position(|byte| *byte == b'\n')), Token::Comment);
    }
    if rest.starts_with(b"/*") {
        let (mut depth, mut end) = (0, 0);
        loop {
            match rest.get(end..end + 2) {
                Some(b"/*") => (depth, end) = (depth + 1, end + 2),
                Some(b"*/") => (depth, end) = (depth - 1, end + 2),
                Some(_) => end += 1,
                None => return (bytes.len(), Token::Comment),
            }
            if depth == 0 {
                return (at + end, Token::Comment);
            }
        }
    }
    let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
    let is_raw = rest[0] == b'r' && rest.get(1 + hashes) == Some(&b'"');
    let word_before = at > 0 && is_word(bytes[at - 1]) && !matches!(bytes[at - 1], b'b' | b'c');
    if is_raw && !word_before {
        let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
        return (until(find(2 + hashes, &close)), Token::Literal);
    }
    match rest {
        [b'"', ..] => {
            let mut end = 1;
            while !matches!(rest.get(end), None | Some(b'"')) {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            ((at + end + 1).min(bytes.len()), Token::Literal)
        }
        [b'\'', b'\\', ..] => (until(find(3, b"'")), Token::Literal),
        // A quote within one character is a literal, any other begins a lifetime.
        [b'\'', first, ..] => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            let closes = rest.get(1 + width) == Some(&b'\'');
            if closes { (at + width + 2, Token::Literal) } else { (at + 1, Token::Code) }
        }
        _ => (at + 1, Token::Code),
    }
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Every place of `needle`; a needle that begins with a letter is found at the begin of a word only.
pub(crate) fn places<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let begins_word = is_word(needle.as_bytes()[0]);
    text.match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |at| !begins_word || *at == 0 || !is_word(text.as_bytes()[at - 1]))
}

/// The block of the item at `from`: from its brace to the matching one, or nothing up to its `;`.
pub(crate) fn block(code: &str, from: usize) -> (usize, usize) {
    let (mut round, mut curly, mut open) = (0, 0, None);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if round == 0 && open.is_none() => return (at, at),
            b'{' => {
                open = open.or(Some(at));
                curly += 1;
            }
            b'}' => curly -= 1,
            _ => {}
        }
        if let Some(open) = open.filter(|_| curly == 0) {
            return (open, at);
        }
    }
    (open.unwrap_or(code.len()), code.len())
}

fn test_regions(code: &str) -> Vec<(usize, usize)> {
    let attribute = "#[cfg(test)]";
    let ends = |at: usize| (block(code, at + attribute.len()).1 + 1).min(code.len());
    let mut regions: Vec<(usize, usize)> = Vec::new();
    for at in places(code, attribute) {
        if regions.last().is_none_or(|(_, end)| *end <= at) {
            regions.push((at, ends(at)));
        }
    }
    regions
}

/// Reads a `use` tree or a path, such as `domain::{Email, ids::OrgId}`, into whole paths; says how
/// many bytes it took.
pub(crate) fn read_paths(text: &str, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    let mut at = 0;
    loop {
        let space = |at: usize| text[at..].len() - text[at..].trim_start().len();
        at += space(at);
        if text[at..].starts_with('{') {
            loop {
                at += 1 + read_paths(&text[at + 1..], &path, found);
                at += space(at);
                if !text[at..].starts_with(',') {
                    return (at + 1).min(text.len());
                }
            }
        }
        let word = |byte: &u8| is_word(*byte) || *byte == b'*';
        let length = text[at..].bytes().take_while(word).count();
        path.push_str(&text[at..at + length]);
        at += length;
        let more = at + space(at);
        if length > 0 && text[more..].starts_with("::") {
            path.push_str("::");
            at = more + 2;
            continue;
        }
        if length > 0 && text[more..].starts_with("as ") {
            at = more + 3 + text[more + 3..].bytes().take_while(word).count();
        }
        let path = path.trim_end_matches("::");
        if path != prefix.trim_end_matches("::") {
            found.push(path.to_owned());
        }
        return at;
    }
}
