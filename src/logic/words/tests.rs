//! The catalogues held against each other, and against what letters and pages say.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::{Facts, Language, Speech, language, languages};
use crate::domain::letter::{Invitation, Kind};
use crate::domain::{Email, Timestamp};
use crate::logic::{letter, page};

thread_local! {
    /// Keys that were said on this thread.
    static SAID: RefCell<BTreeSet<String>> = RefCell::default();
}

/// Remembers that a sentence was asked for.
pub(super) fn note(key: &str) {
    SAID.with_borrow_mut(|said| said.insert(key.to_owned()));
}

fn tag(wanted: &[&str]) -> &'static str {
    language(wanted.iter().copied()).unwrap().tag
}

fn facts() -> Facts {
    Facts {
        first_name: "Ada".to_owned(),
        organization: "Birch & Sons".to_owned(),
        inviter: "Grace Hopper".to_owned(),
        email: "ada@acme.example".to_owned(),
        expires: "soon".to_owned(),
    }
}

#[test]
fn there_are_english_and_at_least_two_more() {
    let tags: Vec<_> = languages().unwrap().iter().map(|language| language.tag).collect();
    assert!(tags.contains(&"en") && tags.len() > 2, "{tags:?}");
}

#[test]
fn a_language_tag_of_crm_finds_its_region_then_its_language_then_english() {
    for (wanted, found) in [
        (&["de_DE"][..], "de"),
        (&["de"], "de"),
        (&["DE-at"], "de"),
        (&["en_US"], "en"),
        (&["sv_SE"], "sv"),
        (&["xx_YY"], "en"),
        (&[""], "en"),
        (&[], "en"),
        (&["", "xx", "fr-CA", "de"], "fr"),
    ] {
        assert_eq!(tag(wanted), found, "{wanted:?}");
    }
}

#[test]
fn a_regional_catalogue_comes_before_its_language() {
    let text = include_str!("languages/en.toml");
    let all = [Language::read("pt", text).unwrap(), Language::read("pt-BR", text).unwrap()];
    let find = |wanted: &str| super::best(&all, [wanted]).map(|language| language.tag);
    assert_eq!(find("pt_BR"), Some("pt-BR"));
    assert_eq!(find("pt_PT"), Some("pt"));
    assert_eq!(find("es_ES"), None);
}

#[test]
fn every_catalogue_has_exactly_the_keys_of_english() {
    let english = language(["en"]).unwrap().keys();
    for language in languages().unwrap() {
        let keys = language.keys();
        let missing: Vec<_> = english.difference(&keys).collect();
        let strange: Vec<_> = keys.difference(&english).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "{}: {missing:?} {strange:?}",
            language.tag
        );
    }
}

/// Invitations that differ in everything that letters, bot messages and pages tell apart.
fn every_case() -> Vec<Invitation> {
    let case = |has_account: bool, join_url: &str, kind: Kind| Invitation {
        first_name: "Ada".to_owned(),
        full_name: "Ada Lovelace".to_owned(),
        email: "ada@acme.example".to_owned(),
        organization: "Birch".to_owned(),
        invited_by: "Grace Hopper".to_owned(),
        join_url: join_url.to_owned(),
        invited_at: "2026-11-24T07:30:00Z".to_owned(),
        expires_at: "2026-12-01T07:30:00Z".to_owned(),
        language: "en".to_owned(),
        time_zone: String::new(),
        kind,
        has_account,
        channels: vec!["Support".to_owned()],
        thread: None,
        unsubscribe: None,
    };
    let long = format!("https://x.example/{}", "a".repeat(300));
    vec![
        case(true, "https://x.example/", Kind::First),
        case(false, "https://x.example/", Kind::Reminder { number: 1 }),
        case(true, &long, Kind::First),
    ]
}

#[test]
fn every_sentence_is_used() {
    SAID.take();
    let to = Email::parse("ada@acme.example").unwrap();
    for of in every_case() {
        letter::invitation(&of, &to, "key", Timestamp(0)).unwrap();
        letter::bot_message(&of).unwrap();
        letter::bot_message(&Invitation { join_url: "none".to_owned(), ..of.clone() }).unwrap();
        page::open(&of, ["en"]).unwrap();
    }
    for message in page::Message::ALL {
        page::message(*message, ["en"]).unwrap();
    }
    let said = SAID.take();
    let keys = language(["en"]).unwrap().keys();
    let unused: Vec<_> = keys.difference(&said).collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
}

#[test]
fn every_sentence_renders_with_and_without_the_facts_that_may_be_missing() {
    let bare = Facts { first_name: String::new(), inviter: String::new(), ..facts() };
    for language in languages().unwrap() {
        for facts in [facts(), bare.clone()] {
            let speech = Speech::new(language, &facts);
            for key in language.keys().iter().filter(|key| *key != "time.form") {
                let text = speech.say(key).unwrap_or_else(|e| panic!("{}: {e:#}", language.tag));
                let place = format!("{} {key}: {text:?}", language.tag);
                assert!(!text.is_empty() && text.trim() == text, "{place}");
                assert!(!text.contains("  ") && !text.contains(" ,"), "{place}");
                assert!(!text.contains('{') && !text.contains('%'), "{place}");
            }
        }
    }
}

#[test]
fn a_sentence_speaks_of_the_same_facts_in_every_language() {
    let odd = Facts {
        first_name: "F1".to_owned(),
        organization: "O1".to_owned(),
        inviter: "I1".to_owned(),
        email: "E1".to_owned(),
        expires: "X1".to_owned(),
    };
    let spoken = |language: &'static Language, key: &str| {
        let text = Speech::new(language, &odd).say(key).unwrap();
        ["F1", "O1", "I1", "E1", "X1"].map(|fact| text.contains(fact))
    };
    let english = language(["en"]).unwrap();
    for language in languages().unwrap() {
        for key in english.keys().iter().filter(|key| *key != "time.form") {
            assert_eq!(spoken(language, key), spoken(english, key), "{} {key}", language.tag);
        }
    }
}

#[test]
fn a_time_is_readable_and_names_its_zone() {
    let at = Timestamp::parse("2026-12-01T07:30:00Z").unwrap();
    for (tag, zone, shown) in [
        ("en", "", "Tuesday, 1 December 2026, 07:30 (UTC)"),
        ("en", "America/New_York", "Tuesday, 1 December 2026, 02:30 (America/New York)"),
        ("de", "Europe/Berlin", "Dienstag, 1. Dezember 2026, 08:30 Uhr (Europe/Berlin)"),
        ("fr", "no zone", "mardi 1er décembre 2026 à 07:30 (UTC)"),
        ("sv", "UTC", "tisdag 1 december 2026 kl. 07:30 (UTC)"),
    ] {
        assert_eq!(language([tag]).unwrap().time(at, zone).unwrap(), shown);
    }
}

#[test]
fn a_broken_catalogue_is_refused_in_words() {
    let good = include_str!("languages/en.toml");
    for (from, to, word) in [
        ("dir  = \"ltr\"", "dir = \"up\"", "`dir` is ltr or rtl"),
        ("name = \"English\"", "", "`name` is a text"),
        ("\"Sunday\"", "\"Sunday\", \"Funday\"", "`time.weekdays` has 7 names"),
        ("[time]", "[times]", "[time] is missing"),
        ("\"Join here:\"", "\"Join {{ here:\"", "`bot.link`"),
        ("\"Join here:\"", "7", "`bot.link` is neither a text nor a table"),
    ] {
        let error = Language::read("xx", &good.replacen(from, to, 1)).unwrap_err();
        assert!(error.starts_with("language xx: ") && error.contains(word), "{error}");
    }
}
