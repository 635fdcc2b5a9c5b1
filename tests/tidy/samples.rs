//! Each rule is seen failing, and each way in which text only looks like code is seen passing.
//!
//! Deliberately absent: files. Samples are small and in memory.

use super::findings;

fn sample(path: &str, code: &str) -> (String, String) {
    let head = "//! A sample for one rule, with a head that has words enough.\n";
    (path.to_owned(), format!("{head}{code}"))
}

fn of(path: &str, code: &str) -> Vec<String> {
    findings(&[sample(path, code)])
}

fn finds(path: &str, code: &str, what: &str) {
    let found = of(path, code);
    assert!(found.len() == 1 && found[0].contains(what), "{path}: {code}\n{found:#?}");
}

fn passes(path: &str, code: &str) {
    assert_eq!(of(path, code), Vec::<String>::new(), "{path}: {code}");
}

#[test]
fn an_edge_that_is_not_listed() {
    finds("src/zoho/crm.rs", "use crate::store::Store;", "src/zoho/crm.rs:2: `zoho` may not");
    finds("src/mail/mod.rs", "fn f(of: crate::logic::letter::X) {}", "`logic::letter::X`");
    finds("src/logic.rs", "use crate::{domain::Email, clock as c, logic::{a, b}};", "`clock`");
    finds("src/zoho/crm.rs", "use super::super::store::Store;", "`store::Store`");
    finds("src/clock.rs", "use super::config::Config;", "`config::Config`");
    finds("src/sandbox/a.rs", "use crate::domain::{Timestamp, Email};", "`domain::Email`");
    finds("src/main.rs", "fn main() { cliqbridge::app::run(); }", "`app::run`");
    finds("src/store/a.rs", "#[cfg(test)]\nmod tests { use crate::zoho::X; }", "`zoho::X`");
    finds("src/extras/mod.rs", "", "has no row in LAYERS");
}

#[test]
fn edges_that_are_listed_or_only_look_like_edges() {
    passes("src/engine/mod.rs", "use crate::{store::Store, zoho::{self, crm}, domain::*,};");
    passes("src/sandbox/a.rs", "use crate::clock::Clock; use crate::domain::Timestamp;");
    passes("src/zoho/crm.rs", "pub(crate) fn f() {} use super::wire; use super::super::zoho::X;");
    passes("src/main.rs", "fn main() { cliqbridge::cli::run(); }");
    passes("src/zoho/a.rs", "// crate::store::X\nconst S: &str = \"crate::store::X\";");
    passes("src/zoho/a.rs", "/* /* crate::store */ crate::store */ fn f<'a>(_: &'a str) {}");
}

#[test]
fn strings_and_characters_do_not_derail() {
    let tricky =
        ["'\"'", "'\\''", "'\\u{22}'", "b'\"'", "'\u{e9}'", "r#\"\"\"#", "\"\\\"\"", "b\"\\\\\""];
    for literal in tricky {
        let code = format!("const A: X = {literal};\nfn f(x: X) {{ x.unwrap() }}");
        finds("src/zoho/a.rs", &code, "src/zoho/a.rs:3: `.unwrap()`");
    }
}

#[test]
fn panics_outside_tests() {
    finds("src/http/a.rs", "fn f(x: X) { x.expect(\"\") }", "`.expect(`");
    finds("src/http/a.rs", "#[cfg(test)]\nmod tests;\nfn f(x: X) { x.unwrap() }", "a.rs:4:");
    passes("src/http/a.rs", "#[cfg(test)]\nmod tests { fn f(x: X) { x.unwrap() } }");
    passes("src/http/a.rs", "fn f(x: X) { x.unwrap_or_default() }");
    finds("tests/it/a.rs", "fn f() { todo!() }", "finish it");
    finds("src/http/a.rs", "fn f() { unimplemented!() }", "finish it");
}

#[test]
fn a_file_is_for_tests_where_its_parent_says_so() {
    let panics = "fn f(x: X) { x.unwrap() }";
    let house = |parent, at| findings(&[sample("src/http/mod.rs", parent), sample(at, panics)]);
    assert!(house("#[cfg(test)]\nmod vectors;", "src/http/vectors.rs").is_empty());
    assert!(house("#[cfg(test)]\nmod vectors;", "src/http/vectors/bad.rs").is_empty());
    assert_eq!(house("mod vectors;", "src/http/vectors.rs").len(), 1);
    assert_eq!(house("#[cfg(test)]\nmod vectors;", "src/http/vectors2.rs").len(), 1);
}

#[test]
fn tests_that_sleep_or_do_not_run() {
    finds("tests/it/a.rs", "fn f() { std::thread::sleep(x) }", "ManualClock");
    finds("src/http/a.rs", "#[cfg(test)]\nmod tests { fn f() { sleep(x) } }", "ManualClock");
    finds("tests/it/a.rs", "#[ignore = \"slow\"]\nfn f() {}", "repair or delete");
    passes("src/clock.rs", "fn f() { tokio::time::sleep(x) }");
    passes("tests/it/a.rs", "fn no_sleep() { fall_asleep(x) }");
}

#[test]
fn words_in_the_wrong_room() {
    finds("src/http/a.rs", "const Q: &str = \"SELECT 1\";", "src/store alone");
    passes("src/store/a.rs", "const Q: &str = \"SELECT 1\";");
    passes("src/http/a.rs", "// SELECT 1\nfn f() {}");
    finds("src/http/a.rs", "use lettre::Message;", "only src/mail");
    finds("src/cli/a.rs", "fn f() -> axum::Router {}", "only doors");
    passes("src/mail.rs", "use lettre::Message;");
    passes("src/http/a.rs", "use axum::Router;");
}

#[test]
fn length() {
    finds("src/http/a.rs", &"\n".repeat(500), "501 lines");
    passes("src/http/a.rs", &"\n".repeat(499));
    let function = |lines| format!("fn f(x: [u8; 3]) -> X {{\n{}}}", "x();\n".repeat(lines));
    finds("src/http/a.rs", &function(71), "71 lines, at most 70");
    passes("src/http/a.rs", &function(70));
    passes(
        "src/http/a.rs",
        &format!("trait T {{ fn g(); }}\n{}", "// x\nconst A: X = x;\n".repeat(90)),
    );
}

#[test]
fn heads_and_names() {
    let found = findings(&[("src/http/a.rs".to_owned(), "//! The head.\nfn f() {}".to_owned())]);
    assert!(found.len() == 1 && found[0].contains("begin with a `//!` head"), "{found:?}");
    finds("src/http/utils.rs", "", "`utils` says nothing");
    finds("src/http/common/a.rs", "", "`common` says nothing");
    finds("src/http/a.rs", "mod handler;", "`handler` says nothing");
    passes("src/http/a.rs", "mod handlers_of_posts;");
}
