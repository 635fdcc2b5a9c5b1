//! Letters from outside: what a reader finds in them, and what a hostile name cannot do.

use super::{invitation, notice};
use crate::domain::letter::{BotMessage, Invitation, Kind, Letter, Notice};
use crate::domain::{Email, Timestamp};

fn ada() -> Invitation {
    Invitation {
        first_name: "Ada".to_owned(),
        full_name: "Ada Lovelace".to_owned(),
        email: "ada@acme.example".to_owned(),
        organization: "Birch & Sons".to_owned(),
        invited_by: "Grace Hopper".to_owned(),
        join_url: "https://bridge.example.org/join/c1_abc?x=1&y=2".to_owned(),
        invited_at: "2026-11-24T07:30:00.000Z".to_owned(),
        expires_at: "2026-12-01T07:30:00.000Z".to_owned(),
        language: "en_US".to_owned(),
        time_zone: String::new(),
        kind: Kind::First,
        has_account: true,
        channels: Vec::new(),
        thread: None,
        unsubscribe: None,
    }
}

fn bot_message(of: &Invitation) -> BotMessage {
    super::bot_message(of).unwrap()
}

fn letter(of: &Invitation) -> Letter {
    let to = Email::parse(&of.email).unwrap();
    invitation(of, &to, "inv-mem-1-g1-1", Timestamp(1_795_505_400_000)).unwrap()
}

#[test]
fn r9_r11_the_letter_says_who_invites_to_what_until_when_and_how() {
    let letter = letter(&ada());
    assert_eq!(letter.subject, "Birch & Sons invites you to Cliq as an external user");
    assert_eq!(letter.to_name, "Ada Lovelace");
    let lines: Vec<&str> = letter.text.lines().collect();
    for line in [
        "Hello Ada,",
        "Grace Hopper of Birch & Sons invites you to join Birch & Sons in Zoho Cliq as an external user with limited access.",
        "https://bridge.example.org/join/c1_abc?x=1&y=2",
        "This invitation runs out on Tuesday, 1 December 2026, 07:30 (UTC).",
        "Not you, or not expected? Ignore this mail, or decline on the page. Nothing happens unless you join.",
        "-- ",
    ] {
        assert!(lines.contains(&line), "{line:?} is not a line of\n{}", letter.text);
    }
    assert!(letter.text.contains("Sign in to Cliq with ada@acme.example."));
    assert!(!letter.text.contains("Sign up"), "the person has an account");
    assert!(!letter.text.contains("\n\n\n"), "{}", letter.text);
}

#[test]
fn r20_to_r38_limited_access_is_explained_in_both_alternatives() {
    let letter = letter(&ada());
    for phrase in [
        "multi-factor sign-in (MFA)",
        "allowed IP addresses",
        "is fixed; its administrators cannot change it",
        "Remote Work tab",
        "cannot be part of a team or create team channels",
        "cannot add external contacts or bring people into external channels",
        "tag External User",
    ] {
        assert!(letter.text.contains(phrase), "{phrase:?} in the text");
        assert!(letter.html.contains(phrase), "{phrase:?} in the HTML");
    }
}

#[test]
fn the_html_is_small_plain_and_readable_in_the_dark() {
    let html = letter(&ada()).html;
    assert!(html.len() < 100_000);
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">"));
    for part in [
        "<meta name=\"color-scheme\" content=\"light dark\">",
        "prefers-color-scheme: dark",
        "href=\"https://bridge.example.org/join/c1_abc?x=1&amp;y=2\"",
        "<br>https://bridge.example.org/join/c1_abc?x=1&amp;y=2</p>",
        "Birch &amp; Sons",
    ] {
        assert!(html.contains(part), "{part:?} is missing in\n{html}");
    }
    assert_eq!(html.matches("<a ").count(), 1, "one button");
    for tag in ["<img", "<script", "<form", "<link", "url(", "@import"] {
        assert!(!html.contains(tag), "{tag} does not belong in a letter");
    }
}

#[test]
fn r53_to_r56_without_an_account_the_letter_leads_with_signing_up() {
    let of = Invitation {
        has_account: false,
        channels: vec!["Project\n<Birch>".to_owned(), "Support".to_owned()],
        ..ada()
    };
    let Letter { text, html, .. } = letter(&of);
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} in\n{text}"));
    let order = [
        "\nSign up for Cliq\n",
        "no Cliq account with ada@acme.example yet",
        "\nhttps://bridge.example.org/join/c1_abc?x=1&y=2\n",
        "Signing up alone does not make you a member",
        "- Project <Birch>\n- Support\n",
        "“+ Create/Join” next to “Channels” in the left sidebar",
        "tab “Channels you can join”",
        "Choose “Join”",
        "What limited access means",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    assert!(html.contains(">Sign up for Cliq</a>"), "{html}");
    assert!(html.contains("Project &lt;Birch&gt;</li>"), "{html}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn r48_to_r52_with_an_account_the_letter_says_how_to_join_the_channels() {
    let text = letter(&Invitation { channels: vec!["Support".to_owned()], ..ada() }).text;
    for part in ["\n- Support\n", "bot Taz", "“+ Create/Join”", "three dots", "“External channels”"]
    {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!letter(&ada()).text.contains("Taz"), "no channel waits");
}

#[test]
fn g4_a_reminder_says_so_and_follows_the_first_letter() {
    let reminder = Invitation {
        kind: Kind::Reminder { number: 1 },
        thread: Some("first-1".to_owned()),
        unsubscribe: Some("https://bridge.example/join/0f".to_owned()),
        ..ada()
    };
    let of = letter(&reminder);
    assert_eq!(of.subject, "Reminder: Birch & Sons invites you to Cliq as an external user");
    assert!(of.text.contains("This invitation is still waiting for your answer."), "{}", of.text);
    assert!(of.text.contains("No more reminders? Decline on the page"), "{}", of.text);
    assert_eq!(of.in_reply_to.as_deref(), Some("first-1"));
    assert_eq!(of.unsubscribe.as_deref(), Some("https://bridge.example/join/0f"));
    assert!(!of.text.contains("\n\n\n"), "{}", of.text);

    let first = letter(&Invitation { kind: Kind::First, ..reminder.clone() });
    assert_eq!((first.in_reply_to, first.unsubscribe), (None, None));
    assert!(!first.text.contains("eminder"), "{}", first.text);
    assert_eq!(bot_message(&reminder).title.unwrap(), "Reminder: Birch & Sons is waiting");
}

#[test]
fn every_language_writes_the_whole_letter_and_fits_the_contracts_button() {
    for (language, lang, line) in [
        ("de_DE", "de", "Guten Tag Ada,"),
        ("fr_FR", "fr", "Bonjour Ada,"),
        ("sv_SE", "sv", "Hej Ada!"),
    ] {
        for has_account in [true, false] {
            let of = Invitation { language: language.to_owned(), has_account, ..ada() };
            let letter = letter(&of);
            assert!(letter.text.starts_with(line), "{}", letter.text);
            assert!(letter.text.contains("\nhttps://bridge.example.org/join/c1_abc?x=1&y=2\n"));
            assert!(letter.html.contains(&format!("<html lang=\"{lang}\" dir=\"ltr\">")));
            assert!(!letter.text.contains("Hello") && !letter.text.contains("Sign "));
            let button = bot_message(&of).button.unwrap();
            assert!(button.label.chars().count() <= 20 && !button.label.ends_with('\u{2026}'));
        }
    }
}

#[test]
fn a_row_from_before_a_field_still_reads() {
    let row = r#"{"first_name":"Ada","full_name":"Ada Lovelace","email":"ada@acme.example",
        "organization":"Birch & Sons","invited_by":"Grace Hopper",
        "join_url":"https://bridge.example.org/join/c1_abc?x=1&y=2",
        "invited_at":"2026-11-24T07:30:00.000Z","expires_at":"2026-12-01T07:30:00.000Z",
        "language":"en_US"}"#;
    assert_eq!(serde_json::from_str::<Invitation>(row).unwrap(), ada());
    let reminder = Invitation { kind: Kind::Reminder { number: 2 }, ..ada() };
    let text = serde_json::to_string(&reminder).unwrap();
    assert_eq!(serde_json::from_str::<Invitation>(&text).unwrap(), reminder);
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(letter(&ada()), letter(&ada()));
}

#[test]
fn the_organization_stands_in_for_an_unknown_inviter_and_an_unnamed_person_is_greeted() {
    let nameless = Invitation {
        first_name: String::new(),
        full_name: String::new(),
        invited_by: String::new(),
        ..ada()
    };
    let letter = letter(&nameless);
    assert!(letter.text.starts_with("Hello,\n\nBirch & Sons invites you to join its organization"));
    assert_eq!(letter.to_name, "");
}

#[test]
fn a_hostile_name_reaches_the_reader_harmless() {
    for (typed, shown) in [
        ("Zoë 🦀 Ñandú", "Zoë 🦀 Ñandú"),
        ("Mallory\r\nBcc: victim@example.org", "Mallory Bcc: victim@example org"),
        ("Ada\u{202e}moc.live\u{202c}", "Adamoc live"),
        ("Ada\u{200b}\u{feff}\u{2066}!\u{2069}", "Ada!"),
        ("Win at http://www.evil.com/now", "Win at evil com/now"),
        ("WWW.evil.com", "evil com"),
        ("hthttp://tp://evil.com", "evil com"),
        ("evil\u{3002}com", "evil com"),
        ("J.R.R. Tolkien", "J.R.R. Tolkien"),
        ("\u{0}\u{7}\t", ""),
    ] {
        let name = letter(&Invitation { full_name: typed.to_owned(), ..ada() }).to_name;
        assert_eq!(name, shown, "{typed:?}");
    }
}

#[test]
fn a_script_in_a_name_is_text() {
    let scripted = Invitation {
        first_name: "<script>alert(1)</script>".to_owned(),
        invited_by: "\"><img src=x>".to_owned(),
        ..ada()
    };
    let html = letter(&scripted).html;
    assert!(html.contains("Hello &lt;script&gt;alert(1)&lt;&#x2f;script&gt;,"), "{html}");
    assert!(!html.contains("<script") && !html.contains("<img"));
}

#[test]
fn a_name_of_five_thousand_characters_is_cut() {
    let long = "ä".repeat(5_000);
    let of = Invitation {
        first_name: long.clone(),
        full_name: long.clone(),
        invited_by: long.clone(),
        organization: long,
        ..ada()
    };
    let letter = letter(&of);
    assert_eq!(letter.to_name.chars().count(), 80);
    assert!(letter.to_name.ends_with('\u{2026}'));
    assert!(letter.subject.chars().count() <= 150);
    assert!(letter.html.len() < 100_000);
    assert!(bot_message(&of).text.chars().count() <= 5_000);
}

#[test]
fn a_letter_with_no_way_to_join_or_no_expiry_is_not_written() {
    let to = Email::parse("ada@acme.example").unwrap();
    for url in ["", "join", "javascript:alert(1)", &format!("https://x.org/{}", "a".repeat(2_000))]
    {
        let of = Invitation { join_url: url.to_owned(), ..ada() };
        assert!(invitation(&of, &to, "k", Timestamp(0)).is_err(), "{url:?}");
    }
    let of = Invitation { expires_at: "soon".to_owned(), ..ada() };
    assert!(invitation(&of, &to, "k", Timestamp(0)).is_err());
}

#[test]
fn a_notice_keeps_its_paragraphs_and_escapes_them() {
    let to = Email::parse("it@acme.example").unwrap();
    let body = "Zoho said <no>.\nCode 403.\r\n\r\nAsk the OAuth user's\u{7} administrator.";
    let of = Notice { title: "Acme\r\nis quarantined".to_owned(), body: body.to_owned() };
    let letter = notice(&of, "Acme Ltd", &to, "ntc-1", Timestamp(0)).unwrap();
    assert_eq!(letter.subject, "[cliqbridge] Acme Ltd: Acme is quarantined");
    assert_eq!(
        letter.text,
        "Acme is quarantined\n\nZoho said <no>.\nCode 403.\n\nAsk the OAuth user's \
         administrator.\n\n-- \ncliqbridge sent this because you are listed as an administrator \
         of Acme Ltd.\n"
    );
    assert!(letter.html.contains("Zoho said &lt;no&gt;.<br>Code 403.</p>"), "{}", letter.html);
}

#[test]
fn the_bot_message_has_a_join_button_within_the_contract() {
    let message = bot_message(&ada());
    let button = message.button.unwrap();
    assert_eq!((button.label.as_str(), button.key.as_str()), ("Join", "join"));
    assert_eq!(button.url, ada().join_url);
    assert!(button.hint.chars().count() <= 100);
    assert_eq!(message.title.as_deref(), Some("Invitation from Birch & Sons"));
    assert!(message.text.starts_with("Grace Hopper of Birch & Sons invites you to join"));
    assert!(message.text.contains("external user with limited access"));
    assert!(
        message
            .text
            .ends_with("This invitation runs out on Tuesday, 1 December 2026, 07:30 (UTC).")
    );
    assert!(!message.text.contains("https://"));
}

#[test]
fn a_url_too_long_for_a_button_stands_in_the_text() {
    let url = format!("https://x.org/{}", "a".repeat(243));
    assert_eq!(url.len(), 257);
    let message = bot_message(&Invitation { join_url: url.clone(), ..ada() });
    assert_eq!((message.button, message.title), (None, None));
    assert!(message.text.ends_with(&format!("\nJoin here: {url}")));

    let message = bot_message(&Invitation { join_url: "javascript:x".to_owned(), ..ada() });
    assert_eq!(message.button, None);
    assert!(!message.text.contains("javascript"));
}

#[test]
fn a_name_cannot_mention_or_link_in_a_bot_message() {
    let of = Invitation { invited_by: "[click](evil) {@all} *Bo*".to_owned(), ..ada() };
    let text = bot_message(&of).text;
    assert!(text.starts_with("click evil all Bo of Birch & Sons invites"), "{text}");
}
