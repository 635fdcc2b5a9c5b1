//! The house rules that a compiler does not know: who may import whom, how long a file may be, which
//! words belong in which room. Each finding says what to do instead.
//!
//! `source` reads files, `samples` shows each rule failing, `rules` maps the product's rules to their
//! tests. Deliberately absent: what rustc and
//! clippy already say.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::{Source, View, block, inside, places, read_paths, test_modules};

/// Section 4 of the design as data: a module of `src`, and what it may name with `crate::`.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("logic", &["domain"]),
    ("clock", &["domain"]),
    ("store", &["domain", "config"]),
    ("zoho", &["domain", "config", "clock"]),
    ("mail", &["domain", "config"]),
    ("engine", &["domain", "config", "logic", "clock", "store", "zoho", "mail"]),
    ("http", &["domain", "config", "logic", "clock", "engine"]),
    // The clock speaks Timestamp. Anything more would let a wrong idea of Zoho's JSON be shared by
    // both sides of the wire, where no test could see it.
    ("sandbox", &["clock", "domain::Timestamp"]),
    (
        "app",
        &[
            "domain", "config", "logic", "clock", "store", "zoho", "mail", "engine", "http",
            "sandbox",
        ],
    ),
    // `clock` beside the design's list: the sandbox and the demo have to be given one.
    ("cli", &["app", "config", "clock", "domain", "logic", "engine", "sandbox"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

const FILE_MAX_LINES: usize = 500;
const FUNCTION_MAX_LINES: usize = 70;
const HEAD_MIN_WORDS: usize = 6;
const VAGUE_NAMES: &[&str] = &["utils", "helpers", "common", "manager", "handler"];

/// A piece of text that does not belong in files under `under`, except inside `except`.
struct Ban {
    needle: &'static str,
    view: View,
    under: &'static str,
    except: &'static [&'static str],
    instead: &'static str,
}

const fn ban(needle: &'static str, view: View, under: &'static str, instead: &'static str) -> Ban {
    Ban { needle, view, under, except: &[], instead }
}

const fn sql(needle: &'static str) -> Ban {
    let instead = "SQL lives in src/store alone: add a function there, named in domain words";
    Ban { needle, view: View::Text, under: "src/", except: &["src/store"], instead }
}

const NO_PANIC: &str = "production code does not panic: return a typed error, or take the default";
const NO_SLEEP: &str = "no test sleeps to pass: wait for the event, or move a ManualClock";
const UNFINISHED: &str = "finish it, or leave it out";

const BANS: &[Ban] = &[
    ban(".unwrap()", View::Production, "src/", NO_PANIC),
    ban(".expect(", View::Production, "src/", NO_PANIC),
    ban("todo!", View::Code, "", UNFINISHED),
    ban("unimplemented!", View::Code, "", UNFINISHED),
    ban("#[ignore", View::Code, "", "a test that is not run is not a test: repair or delete it"),
    ban("sleep(", View::Tests, "", NO_SLEEP),
    ban("sleep_until(", View::Tests, "", NO_SLEEP),
    sql("SELECT "),
    sql("INSERT INTO "),
    sql("INSERT OR "),
    sql("UPDATE OR "),
    sql("DELETE FROM "),
    sql("CREATE TABLE "),
    sql("PRAGMA "),
    Ban {
        needle: "lettre::",
        view: View::Production,
        under: "src/",
        except: &["src/mail"],
        instead: "only src/mail speaks SMTP: hand it a domain::Letter",
    },
    Ban {
        needle: "axum::",
        view: View::Production,
        under: "src/",
        except: &["src/http", "src/app", "src/sandbox"],
        instead: "only doors speak HTTP: take and return plain values, let src/http translate",
    },
];

/// Every path from the root of the crate that a file names, with its place.
fn root_paths(source: &Source) -> Vec<(usize, String)> {
    let root = if source.path == "src/main.rs" { "cliqbridge::" } else { "crate::" };
    let mut found = Vec::new();
    let mut read = |at: usize, from: usize| {
        let mut paths = Vec::new();
        read_paths(&source.code[from..], "", &mut paths);
        found.extend(paths.into_iter().map(|path| (at, path)));
    };
    for at in places(&source.code, root) {
        read(at, at + root.len());
    }
    // `super::super::x` in a module two deep is `crate::x`.
    let climb = "super::".repeat(source.module().len().max(1));
    for at in places(&source.production, &climb) {
        let from = at + climb.len();
        let leads =
            LAYERS.iter().any(|(layer, _)| places(&source.code[from..], layer).next() == Some(0));
        if leads && !source.production[..at].ends_with("super::") {
            read(at, from);
        }
    }
    found
}

fn imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(layer) = module.first() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == layer) else {
        let what =
            format!("`{layer}` has no row in LAYERS: place it in section 4 of the design first");
        return vec![source.finding(0, &what)];
    };
    let inside = |path: &str, of: &str| path == of || path.starts_with(&format!("{of}::"));
    root_paths(source)
        .into_iter()
        .filter(|(_, path)| !inside(path, layer))
        .filter(|(_, path)| !allowed.iter().any(|of| inside(path, of)))
        .map(|(at, path)| {
            let what = format!(
                "`{layer}` may not name `{path}`; it may import {allowed:?}. Pass the value in and \
                 let a higher layer join the two (design section 4), or move what both need down \
                 into `domain`"
            );
            source.finding(at, &what)
        })
        .collect()
}

fn bans(source: &Source) -> Vec<String> {
    BANS.iter()
        .filter(|ban| {
            source.path.starts_with(ban.under)
                && !ban.except.iter().any(|of| inside(&source.path, of))
        })
        .flat_map(|ban| {
            let at = places(source.view(ban.view), ban.needle);
            at.map(|at| source.finding(at, &format!("`{}`: {}", ban.needle.trim(), ban.instead)))
        })
        .collect()
}

fn file_length(source: &Source) -> Vec<String> {
    let lines = source.raw.lines().count();
    let what =
        format!("{lines} lines, at most {FILE_MAX_LINES}: split it by what its parts are about");
    if lines > FILE_MAX_LINES { vec![source.finding(0, &what)] } else { Vec::new() }
}

/// Counts as clippy does: lines of the body that hold code.
fn function_length(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for at in places(&source.code, "fn ") {
        let (open, close) = block(&source.code, at);
        let body = source.text.get(open + 1..close).unwrap_or_default();
        let lines = body.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > FUNCTION_MAX_LINES {
            let what = format!("{lines} lines, at most {FUNCTION_MAX_LINES}: name a part of it");
            findings.push(source.finding(at, &what));
        }
    }
    findings
}

fn head(source: &Source) -> Vec<String> {
    let head = source.raw.lines().map_while(|line| line.strip_prefix("//!"));
    if head.flat_map(str::split_whitespace).count() >= HEAD_MIN_WORDS {
        return Vec::new();
    }
    vec![source.finding(0, "begin with a `//!` head: what it is for, what is deliberately absent")]
}

fn names(source: &Source) -> Vec<String> {
    let vague = |name: &&&str| {
        let file = source.path.split(['/', '.']).any(|part| part == **name);
        let inline = places(&source.code, "mod ").any(|at| {
            let rest = &source.code[at + 4..];
            rest.strip_prefix(**name).is_some_and(|rest| rest.starts_with([' ', ';', '{']))
        });
        file || inline
    };
    let what = |name| format!("`{name}` says nothing: name the module after what it knows");
    VAGUE_NAMES.iter().filter(vague).map(|name| source.finding(0, &what(name))).collect()
}

const RULES: &[fn(&Source) -> Vec<String>] =
    &[imports, bans, file_length, function_length, head, names];

/// The findings in a house of files, each with its path from the root and its text.
fn findings(house: &[(String, String)]) -> Vec<String> {
    let tests: Vec<String> = house.iter().flat_map(|(path, raw)| test_modules(path, raw)).collect();
    let mut found: Vec<String> = house
        .iter()
        .map(|(path, raw)| Source::new(path, raw, &tests))
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(&source)).collect::<Vec<_>>())
        .collect();
    found.sort();
    found
}

fn read(root: &Path, folder: &Path, house: &mut Vec<(String, String)>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            read(root, &path, house);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let raw = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            house.push((name.replace('\\', "/"), raw));
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut house = Vec::new();
    for folder in ["src", "tests"] {
        read(root, &root.join(folder), &mut house);
    }
    assert!(house.len() > 10, "the sources were not found under {}", root.display());
    let found = findings(&house);
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}
