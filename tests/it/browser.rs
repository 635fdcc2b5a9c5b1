//! The join page as people meet it: in a browser, from the letter's link to Cliq.

use std::time::Duration;

use cliqbridge::logic::page::{self, Message};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::browser::{Browser, ENTER, TAB};
use super::support::harness::answer;
use super::support::{Bridge, Setup};

/// New to Cliq.
const JOY: &str = "joy@partner.example";
/// At home in Acme, so with an account.
const ADA: &str = "ada@acme.example";

const AXE: &str = include_str!("../assets/axe.min.js");
const LANGUAGES: [&str; 4] = ["en", "de", "fr", "sv"];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// A narrow telephone, CSS pixels.
const NARROW: u32 = 360;

/// Largest picture in the documentation, bytes; and the least that one with words in it has.
const PICTURE_MAX: usize = 120_000;
const PICTURE_MIN: usize = 5_000;

/// Most of a page that a picture shows, CSS pixels, wide and narrow: what matters stands above.
const PICTURE_HEIGHTS: [u32; 2] = [1_000, 1_300];

/// What stands for a link in pictures, so that they are equal each time.
const LINK_SHOWN: &str =
    "https://bridge.example.org/join/4Yh0dKQ7rXw2nTzJm9cVbL1sPfGuE8aRiO3kD6xNqZM";

const JOIN: &str = "button[value=join]";
const DECLINE: &str = "button[value=decline]";

/// Invites somebody to Birch; answers the link of the letter.
async fn invited(bridge: &Bridge, email: &str, names: [&str; 2]) -> String {
    let user = json!({ "email": email, "first_name": names[0], "last_name": names[1] });
    let id = bridge.add_with("birch", user).await;
    bridge.announce("birch", &id).await;
    bridge.settle().await;
    let mails = bridge.mails(email).await;
    let link = mails[0].text().lines().find(|line| line.contains("/join/")).unwrap();
    link.trim().to_owned()
}

async fn joy(bridge: &Bridge) -> String {
    invited(bridge, JOY, ["Joy", "Okoro"]).await
}

/// What is wrong with the page for people who use it otherwise: serious and critical findings.
async fn barriers(browser: &Browser) -> Vec<Value> {
    browser.script(AXE).await;
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then(
          found => done(found.violations.map(one =>
            ({ id: one.id, impact: one.impact, at: one.nodes.map(node => node.html) }))),
          error => done([{ id: String(error), impact: 'critical' }]));";
    let found = browser.script_that_calls(run).await;
    let bad = |one: &&Value| one["impact"] == "serious" || one["impact"] == "critical";
    found.as_array().unwrap().iter().filter(bad).cloned().collect()
}

/// Demands that the page, as it is, has no barrier in light and dark.
async fn assert_open_to_everybody(browser: &Browser, what: &str) {
    for scheme in SCHEMES {
        browser.prefers(scheme).await;
        let found = barriers(browser).await;
        assert!(found.is_empty(), "{what}, {scheme}: {found:#?}");
    }
}

/// Follows the sandbox's own join page to its end.
async fn join_in_cliq(browser: &Browser) {
    browser.follow("form button").await;
    assert!(browser.text("body").await.contains("has joined"), "{}", browser.text("body").await);
}

#[tokio::test]
async fn r10_r11_r12_r49_from_the_letter_to_cliq_and_joined_is_what_is_seen_there() {
    let Some(browser) = Browser::start().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    let link = joy(&bridge).await;
    browser.open(&link).await;
    assert_eq!(browser.text("h1").await, "Join Birch Studio in Cliq");
    let said = browser.text("main").await;
    for part in ["external user with limited access", "What limited access means"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    browser.follow(JOIN).await;
    let target = bridge.membership("birch", JOY).await["join_url"].as_str().unwrap().to_owned();
    assert_eq!(browser.url().await, target, "the portal's own address");
    let row = bridge.cliq_row("birch", JOY).await.unwrap();
    assert_eq!(row["status"], "pending", "a click is not joining");
    assert_eq!(bridge.membership("birch", JOY).await["state"], "invited");

    join_in_cliq(&browser).await;
    bridge.resync(json!({ "organization": "birch", "user": JOY })).await;
    bridge.settle().await;
    assert_eq!(bridge.cliq_row("birch", JOY).await.unwrap()["status"], "active");
    assert_eq!(bridge.membership("birch", JOY).await["state"], "joined");
    assert_eq!(bridge.mails(JOY).await.len(), 1);
    browser.open(&link).await;
    assert!(browser.text("main").await.contains("This invitation has been answered"));
    browser.quit().await;
    bridge.finish().await;
}

#[tokio::test]
async fn g3_declining_says_so_and_ends_the_mails() {
    let Some(browser) = Browser::start().await else { return };
    let daily = "reconcile = \"0 0 5 * * *\"";
    let bridge = Setup::demo().reachable().with("schedule", daily).start().await;
    let link = joy(&bridge).await;
    browser.open(&link).await;
    browser.follow(DECLINE).await;
    assert!(browser.text("main").await.contains("You have declined"));
    assert_eq!(bridge.membership("birch", JOY).await["state"], "declined");
    // A second look, by the address and by the form, is no second answer.
    browser.open(&link).await;
    assert!(browser.text("main").await.contains("This invitation has been answered"));
    browser.quit().await;
    bridge.live_for(Duration::from_hours(24 * 30)).await;
    assert_eq!(bridge.membership("birch", JOY).await["state"], "declined");
    assert_eq!(bridge.mails(JOY).await.len(), 1);
    assert_eq!(bridge.journal().await.calls("birch", "portal"), 1, "never asked again");
    bridge.finish_with_leftovers("Cliq still shows the invitation").await;
}

#[tokio::test]
async fn r10_scanners_and_browsers_that_fetch_ahead_change_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    let link = joy(&bridge).await;
    let before = (bridge.sandbox("/state").await, bridge.membership("birch", JOY).await);
    let entries = bridge.journal().await.0.len();
    for number in 0..40 {
        let method = if number % 2 == 0 { Method::GET } else { Method::HEAD };
        let request = bridge.http.request(method, &link);
        let request = match number % 4 {
            0 => request.header("sec-purpose", "prefetch"),
            1 => request.header("sec-purpose", "prefetch;prerender"),
            2 => request.header("purpose", "prefetch"),
            _ => request.header("user-agent", "a mail scanner"),
        };
        assert_eq!(answer(request).await.status, 200);
    }
    browser.open(&link).await;
    browser.reload().await;
    // A page that fetches ahead, as mail readers and search results do.
    let ahead = format!(
        "<script type=speculationrules>{}</script><link rel=prefetch href=\"{link}\">\
         <a href=\"{link}\">the letter</a>",
        json!({ "prerender": [{ "urls": [link], "eagerness": "immediate" }] })
    );
    browser.open_text(&ahead).await;
    assert_eq!(bridge.work().await, None, "nothing was queued");
    assert_eq!(before, (bridge.sandbox("/state").await, bridge.membership("birch", JOY).await));
    assert_eq!(bridge.journal().await.0.len(), entries, "Zoho heard of none of it");
    browser.open(&link).await;
    browser.follow(JOIN).await;
    assert!(browser.url().await.contains("/sandbox/join/"), "the link is as good as before");
    browser.quit().await;
    bridge.finish().await;
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let Some(browser) = Browser::start().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    browser.open(&joy(&bridge).await).await;
    let mut stops = Vec::new();
    let focused = "const at = document.activeElement;
        const ring = getComputedStyle(at);
        return { value: at.value || null, text: at.innerText,
                 ring: ring.outlineStyle !== 'none' || ring.boxShadow !== 'none' };";
    let stop = loop {
        browser.press(TAB).await;
        let stop = browser.script(focused).await;
        if stop["value"] == "join" {
            break stop;
        }
        stops.push(stop);
        assert!(stops.len() < 10, "Join cannot be reached: {stops:#?}");
    };
    assert_eq!(stop["ring"], true, "the focus is in sight");
    assert!(stops.is_empty(), "Join comes first: {stops:#?}");
    browser.follow_key(ENTER).await;
    assert!(browser.url().await.contains("/sandbox/join/"), "{}", browser.url().await);
    browser.quit().await;
    bridge.finish().await;
}

#[tokio::test]
async fn nothing_needs_a_script() {
    let Some(browser) = Browser::without_scripts().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    let probe = "<title>off</title><script>document.title = 'on'</script>";
    browser.open_text(probe).await;
    assert_eq!(browser.title().await, "off", "the pages' scripts do not run");
    browser.open(&joy(&bridge).await).await;
    browser.follow(JOIN).await;
    join_in_cliq(&browser).await;
    browser.open(&invited(&bridge, ADA, ["Ada", "Lind"]).await).await;
    browser.follow(DECLINE).await;
    assert!(browser.text("main").await.contains("You have declined"));
    assert_eq!(bridge.cliq_row("birch", JOY).await.unwrap()["status"], "active");
    browser.quit().await;
    bridge.finish_with_leftovers("nobody looked at Cliq since").await;
}

#[tokio::test]
async fn no_page_has_a_barrier_in_light_or_dark_and_none_is_too_wide() {
    let Some(browser) = Browser::start().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    let links = [joy(&bridge).await, invited(&bridge, ADA, ["Ada", "Lind"]).await];
    let width = "return document.documentElement.scrollWidth";
    for language in LANGUAGES {
        for (link, who) in links.iter().zip(["without an account", "with one"]) {
            let what = format!("open, {who}, {language}");
            browser.open(&format!("{link}?lang={language}")).await;
            assert_eq!(browser.script("return document.documentElement.lang").await, language);
            assert_open_to_everybody(&browser, &what).await;
            browser.resize(NARROW, 800).await;
            assert_eq!(browser.script(width).await, NARROW, "{what}");
            browser.resize(1_000, 900).await;
        }
        for message in Message::ALL {
            let what = format!("{message:?}, {language}");
            browser.open_text(&page::message(*message, [language]).unwrap().html).await;
            if language == LANGUAGES[0] {
                assert_open_to_everybody(&browser, &what).await;
            }
            browser.resize(NARROW, 800).await;
            assert_eq!(browser.script(width).await, NARROW, "{what}");
            browser.resize(1_000, 900).await;
        }
    }
    browser.quit().await;
    bridge.finish().await;
}

/// A picture for the documentation: taken each time, kept when it is asked for.
async fn picture(browser: &Browser, name: &str, height_max: u32) {
    let bytes = browser.picture(height_max).await;
    assert!(bytes.starts_with(b"\x89PNG"), "{name} is no PNG");
    assert!(bytes.len() > PICTURE_MIN, "{name} shows nothing");
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some_and(|value| value == "1") {
        assert!(bytes.len() < PICTURE_MAX, "{name} has {} bytes", bytes.len());
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }
}

/// The page as it is, in light, in dark, and on a narrow telephone.
async fn pictures(browser: &Browser, name: &str, wide: u32) {
    let [high, higher] = PICTURE_HEIGHTS;
    for (word, scheme, width, height_max) in [
        ("light", "light", wide, high),
        ("dark", "dark", wide, high),
        ("narrow", "light", NARROW, higher),
    ] {
        browser.prefers(scheme).await;
        browser.resize(width, 400).await;
        picture(browser, &format!("{name}-{word}"), height_max).await;
    }
}

#[tokio::test]
async fn the_documentation_shows_what_people_see() {
    let Some(browser) = Browser::start().await else { return };
    let bridge = Setup::demo().reachable().start().await;
    let link = joy(&bridge).await;
    browser.open(&link).await;
    pictures(&browser, "join", 860).await;
    let letter = bridge.mails(JOY).await[0].html().replace(&link, LINK_SHOWN);
    browser.open_text(&letter).await;
    pictures(&browser, "letter", 640).await;
    browser.open(&link).await;
    browser.follow(DECLINE).await;
    pictures(&browser, "declined", 860).await;
    browser.quit().await;
    bridge.finish_with_leftovers("Cliq still shows the invitation").await;
}
