//! `tests/rules.md`: which tests show which rule, made from the names of the tests.
//!
//! `r18_…` follows rule R18, `r41_r42_…` two of them, `r20_to_r38_…` a range. A rule counts as shown
//! when one of its integration tests asks the sandbox, not our own store alone. Deliberately absent:
//! any judgement of what a test asserts; reading it is the reviewer's part.

#[path = "rules/evidence.rs"]
mod evidence;
#[path = "rules/sentences.rs"]
mod sentences;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use evidence::{Test, tests_of};
use sentences::{CONFLICTS, FACTS, GAPS, INCIDENTS, RULES, Sentences};

/// The families that are demanded: each of their rules needs a test that asks the sandbox, and the
/// page has to be fresh. Empty switches both off.
const DEMANDED: &[char] = &['R', 'C', 'G', 'I'];

/// Every family that the page shows, in its order. Facts are shown only where a test names them.
const FAMILIES: [(&str, char, Sentences); 5] = [
    ("Rules of the two articles", 'R', RULES),
    ("Conflicts between rules", 'C', CONFLICTS),
    ("Gaps that the articles leave", 'G', GAPS),
    ("Facts from other pages of Zoho", 'Z', FACTS),
    ("Incidents of others", 'I', INCIDENTS),
];

/// The tests of each rule.
type Shown<'a> = BTreeMap<(char, u32), Vec<&'a Test>>;

/// The rules that a test's name begins with: `g3_g4_r9_…`, `r20_to_r38_…`.
fn rules_in(name: &str) -> Vec<(char, u32)> {
    let mut found: Vec<(char, u32)> = Vec::new();
    let mut range = false;
    for part in name.split('_') {
        let Some(rule) = rule(part) else {
            if part == "to" && !range && !found.is_empty() {
                range = true;
                continue;
            }
            break;
        };
        match found.last() {
            Some((family, from)) if range && *family == rule.0 => {
                let (family, from) = (*family, *from);
                found.extend((from + 1..=rule.1).map(|number| (family, number)));
            }
            _ => found.push(rule),
        }
        range = false;
    }
    found
}

fn rule(part: &str) -> Option<(char, u32)> {
    let family = part.chars().next()?.to_ascii_uppercase();
    let number: u32 = part.get(1..)?.parse().ok()?;
    FAMILIES.iter().any(|(_, known, _)| *known == family).then_some((family, number))
}

fn shown(tests: &[Test]) -> Shown<'_> {
    let mut shown = Shown::new();
    for test in tests {
        for rule in rules_in(&test.name) {
            shown.entry(rule).or_default().push(test);
        }
    }
    for tests in shown.values_mut() {
        tests.sort_by_key(|test| !test.asks_the_sandbox);
    }
    shown
}

/// What is wrong with the names: a rule that there is not.
fn strangers(tests: &[Test]) -> Vec<String> {
    let known = |(family, number): (char, u32)| {
        let sentences = FAMILIES.iter().find(|(_, known, _)| *known == family);
        sentences.is_some_and(|(_, _, rows)| rows.iter().any(|(row, _)| *row == number))
    };
    let strange = |test: &Test| {
        let rule = rules_in(&test.name).into_iter().find(|rule| !known(*rule))?;
        Some(format!("{}: `{}`: there is no rule {}{}", test.path, test.name, rule.0, rule.1))
    };
    tests.iter().filter_map(strange).collect()
}

/// The rules of these families that no test shows, with what to do.
fn missing(shown: &Shown<'_>, families: &[char]) -> Vec<String> {
    let mut missing = Vec::new();
    for (_, family, sentences) in FAMILIES.iter().filter(|(_, family, _)| families.contains(family))
    {
        for (number, sentence) in *sentences {
            let tests = shown.get(&(*family, *number)).map_or(&[][..], Vec::as_slice);
            let lower = family.to_ascii_lowercase();
            if tests.is_empty() {
                missing.push(format!(
                    "{family}{number} ({sentence}) has no test: name one `{lower}{number}_…`"
                ));
            } else if !tests.iter().any(|test| test.asks_the_sandbox) {
                missing.push(format!(
                    "{family}{number} ({sentence}) is not shown against the sandbox: in a test of \
                     tests/it, assert on its journal, its mailboxes or its state"
                ));
            }
        }
    }
    missing
}

/// The page.
fn page(shown: &Shown<'_>) -> String {
    let mut page = "# Which test shows which rule\n\n\
         Made from the names of the tests by `UPDATE_RULES=1 cargo test --test tidy`; do not edit. \
         Tests in **bold** look at the simulated Zoho: its journal, its mailboxes, its state. The \
         others show a part of the rule in memory.\n"
        .to_owned();
    for (title, family, sentences) in FAMILIES {
        let is_shown = |number: u32| shown.contains_key(&(family, number));
        let optional = !DEMANDED.contains(&family) && matches!(family, 'Z' | 'I');
        let rows: Vec<_> =
            sentences.iter().filter(|(number, _)| !optional || is_shown(*number)).collect();
        let _ = write!(page, "\n## {title}\n\n| | in short | tests |\n| --- | --- | --- |\n");
        for (number, sentence) in rows {
            let tests = shown.get(&(family, *number)).map_or(&[][..], Vec::as_slice);
            let cell: Vec<String> = tests.iter().map(|test| link(test)).collect();
            let cell = if cell.is_empty() { "–".to_owned() } else { cell.join("<br>") };
            let _ = writeln!(page, "| {family}{number} | {sentence} | {cell} |");
        }
    }
    page
}

fn link(test: &Test) -> String {
    let path =
        test.path.strip_prefix("tests/").map_or_else(|| format!("../{}", test.path), str::to_owned);
    let words = test.name.replace('_', " ");
    let bold = if test.asks_the_sandbox { "**" } else { "" };
    format!("{bold}[{words}]({path}){bold}")
}

fn house() -> Vec<Test> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut house = Vec::new();
    for folder in ["src", "tests"] {
        super::read(root, &root.join(folder), &mut house);
    }
    house.retain(|(path, _)| !path.starts_with("tests/tidy"));
    tests_of(&house)
}

#[test]
fn every_rule_has_a_test_that_asks_the_sandbox_and_the_page_says_which() {
    let tests = house();
    let shown = shown(&tests);
    let strangers = strangers(&tests);
    assert!(strangers.is_empty(), "{}", strangers.join("\n"));
    let missing = missing(&shown, DEMANDED);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules.md");
    let page = page(&shown);
    if std::env::var_os("UPDATE_RULES").is_some_and(|value| value == "1") {
        fs::write(&file, &page).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    assert!(missing.is_empty(), "{} rules are not shown:\n{}", missing.len(), missing.join("\n"));
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        DEMANDED.is_empty() || written == page,
        "tests/rules.md is stale; make it anew: UPDATE_RULES=1 cargo test --test tidy"
    );
}

#[cfg(test)]
mod samples {
    use super::evidence::{Test, tests_of};
    use super::{missing, page, rules_in, shown, strangers};

    #[test]
    fn names_tell_their_rules() {
        assert_eq!(rules_in("r18_a_pool"), [('R', 18)]);
        assert_eq!(rules_in("r41_r42_g3_both"), [('R', 41), ('R', 42), ('G', 3)]);
        assert_eq!(rules_in("r20_to_r22_words"), [('R', 20), ('R', 21), ('R', 22)]);
        for plain in ["no_rule", "x1_y", "r_1", "to_r1", "run2_r1", "r1a_x"] {
            assert!(rules_in(plain).is_empty(), "{plain}");
        }
        assert_eq!(rules_in("r1_to_nowhere"), [('R', 1)]);
    }

    /// Tests of one file of the integration tests.
    fn file(text: &str) -> Vec<Test> {
        let support = "impl Bridge { pub async fn mails(&self) { self.sandbox().await; }\n\
                       pub async fn finish(self) { self.mails().await; }\n\
                       pub async fn membership(&self) { self.admin().await; } }";
        tests_of(&[
            ("tests/it/support/harness.rs".to_owned(), support.to_owned()),
            ("tests/it/way.rs".to_owned(), text.to_owned()),
        ])
    }

    #[test]
    fn only_a_look_at_the_sandbox_counts() {
        for (body, expected) in [
            ("assert!(bridge.journal().await);", true),
            ("assert!(bridge.mails().await);", true),
            ("assert!(seen(&bridge).await);", true),
            ("assert!(bridge.membership().await); bridge.finish().await;", false),
            ("bridge.mails().await;", false),
            ("// bridge.journal()\nassert!(true);", false),
        ] {
            let tests = file(&format!(
                "async fn seen() {{ b.mails() }}\n#[tokio::test]\nasync fn r1_x() {{ {body} }}\n\
                 fn r2_no_test() {{}}"
            ));
            let [test] = &tests[..] else { panic!("{} tests", tests.len()) };
            assert_eq!((test.name.as_str(), test.asks_the_sandbox), ("r1_x", expected), "{body}");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_strange_is_told() {
        let tests = file("#[test]\nfn r1_r99_c1_x() { assert!(b.journal()); }");
        let shown = shown(&tests);
        let missing = missing(&shown, &['C']);
        assert_eq!(missing.len(), 5, "{missing:?}");
        assert!(missing[0].starts_with("C2 ("), "{missing:?}");
        assert!(strangers(&tests)[0].ends_with("there is no rule R99"));
        let page = page(&shown);
        assert!(page.contains("**[r1 r99 c1 x](it/way.rs)**"), "{page}");
        assert!(!page.contains("| Z1 |"), "facts without a test are left out");
    }
}
