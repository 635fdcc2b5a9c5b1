//! The tests of the house, by name, and whether each looks at the sandbox.
//!
//! Deliberately absent: a parser; it reads text whose comments and strings are blanked out.

use std::collections::BTreeSet;

use crate::source::{Source, View, block, places, test_modules};

/// A test.
pub(super) struct Test {
    /// Its file, from the root.
    pub(super) path: String,
    /// Its function.
    pub(super) name: String,
    /// Whether it is an integration test that asserts on what the sandbox saw.
    pub(super) asks_the_sandbox: bool,
}

/// Where the sandbox is asked at all: its state and journal over HTTP.
const ASKS: [&str; 2] = ["sandbox", "journal"];

/// They look too, but every test ends with them, or they only wait.
const NO_EVIDENCE: [&str; 7] =
    ["start", "finish", "finish_with_leftovers", "end", "held", "shown", "restart"];

/// A function: its name, its text, and the text before it.
struct Function<'a> {
    name: &'a str,
    body: &'a str,
    before: &'a str,
}

/// Every test of these files, each with its path and text; sorted by path and name.
pub(super) fn tests_of(house: &[(String, String)]) -> Vec<Test> {
    let modules: Vec<String> =
        house.iter().flat_map(|(path, raw)| test_modules(path, raw)).collect();
    let sources: Vec<Source> =
        house.iter().map(|(path, raw)| Source::new(path, raw, &modules)).collect();
    let mut known: BTreeSet<String> = ASKS.iter().map(|name| (*name).to_owned()).collect();
    let support: Vec<Function<'_>> = sources
        .iter()
        .filter(|source| source.path.starts_with("tests/it/support/"))
        .flat_map(functions)
        .collect();
    learn(&support, &mut known);
    let mut tests = Vec::new();
    for source in &sources {
        let functions = functions(source);
        let mut here = known.clone();
        let is_it = source.path.starts_with("tests/it/");
        if is_it {
            learn(&functions, &mut here);
        }
        for function in functions.iter().filter(|function| is_test(function.before)) {
            tests.push(Test {
                path: source.path.clone(),
                name: function.name.to_owned(),
                asks_the_sandbox: is_it
                    && function.body.contains("assert")
                    && asks(function, &here),
            });
        }
    }
    tests.sort_by(|one, other| (&one.path, &one.name).cmp(&(&other.path, &other.name)));
    tests
}

/// Adds whoever calls one that is known, until nobody is added.
fn learn(functions: &[Function<'_>], known: &mut BTreeSet<String>) {
    loop {
        let before = known.len();
        for function in functions.iter().filter(|one| !NO_EVIDENCE.contains(&one.name)) {
            if asks(function, known) {
                known.insert(function.name.to_owned());
            }
        }
        if known.len() == before {
            return;
        }
    }
}

/// Whether the function calls one of these.
fn asks(function: &Function<'_>, known: &BTreeSet<String>) -> bool {
    places(function.body, "(").any(|at| {
        let head = &function.body[..at];
        let start = head.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        known.contains(&head[start.map_or(0, |start| start + 1)..])
    })
}

/// The functions of a file; in `src`, those for tests.
fn functions(source: &Source) -> Vec<Function<'_>> {
    let code = source.view(View::Tests);
    let mut found = Vec::new();
    for at in places(code, "fn ") {
        let rest = &code[at + 3..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let (open, close) = block(code, at);
        let (Some(name), Some(body)) = (rest.get(..end.unwrap_or(0)), code.get(open..close)) else {
            continue;
        };
        let before = &code[..at];
        let since = before.rfind(['}', ';', '{']).map_or(0, |end| end + 1);
        found.push(Function { name, body, before: &before[since..] });
    }
    found
}

/// Whether what stands before a function makes it a test.
fn is_test(before: &str) -> bool {
    before.contains("#[test]") || before.contains("#[tokio::test")
}
