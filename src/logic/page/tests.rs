//! The pages as a browser gets them: what they say, what they keep to themselves, what they allow.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Message, Page, masked, message, open};
use crate::domain::letter::{Invitation, Kind};
use crate::domain::{Email, Timestamp};
use crate::logic::{letter, words};

fn bo() -> Invitation {
    Invitation {
        first_name: "Bo".to_owned(),
        full_name: "Bo Nordin".to_owned(),
        email: "bo@partner.example".to_owned(),
        organization: "Birch & Sons".to_owned(),
        invited_by: "Grace Hopper".to_owned(),
        join_url: "https://cliq.zoho.example/join/7".to_owned(),
        invited_at: "2026-11-24T07:30:00.000Z".to_owned(),
        expires_at: "2026-12-01T07:30:00.000Z".to_owned(),
        language: "en_US".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        kind: Kind::First,
        has_account: true,
        channels: Vec::new(),
        thread: None,
        unsubscribe: None,
    }
}

fn opened(of: &Invitation) -> Page {
    open(of, [of.language.as_str()]).unwrap()
}

/// The page's text as a reader meets it, without the style sheet.
fn text(page: &Page) -> String {
    let body = page.html.split("</head>").nth(1).unwrap();
    let mut out = String::new();
    for part in body.split('<').skip(1) {
        out.push_str(part.split_once('>').unwrap().1);
    }
    out.replace("&amp;", "&").replace("&#x2f;", "/").replace("&quot;", "\"")
}

#[test]
fn r10_r11_the_open_page_says_who_what_as_what_and_until_when() {
    let page = opened(&bo());
    let text = text(&page);
    for part in [
        "Join Birch & Sons in Cliq",
        "Grace Hopper of Birch & Sons invites you to join Birch & Sons in Zoho Cliq as an external user with limited access.",
        "External user with limited access",
        "b\u{2026}@partner.example",
        "Tuesday, 1 December 2026, 08:30 (Europe/Berlin)",
        "you are a member only then",
        "If you have an account in an organization of your own, it stays as it is",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!page.html.contains("bo@partner.example"), "the address is masked");
    for part in [
        "<form method=\"post\"",
        "name=\"action\" value=\"join\"",
        "name=\"action\" value=\"decline\"",
        "datetime=\"2026-12-01T07:30:00.000Z\"",
    ] {
        assert!(page.html.contains(part), "{part:?} in\n{}", page.html);
    }
}

#[test]
fn r20_to_r38_the_open_page_lists_what_limited_access_means() {
    let text = text(&opened(&bo()));
    for part in [
        "multi-factor sign-in (MFA)",
        "not its policies",
        "allowed IP addresses",
        "is fixed; its administrators cannot change it",
        "Remote Work tab",
        "cannot be part of a team or create team channels",
        "tag External User",
        "integration only if it is connected",
        "Some fields of your profile cannot be changed",
        "not your sign-ins or sessions",
        "cannot add external contacts or bring people into external channels",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

#[test]
fn the_organization_stands_in_for_an_unknown_inviter() {
    let text = text(&opened(&Invitation { invited_by: String::new(), ..bo() }));
    assert!(text.contains("Birch & Sons invites you to join its organization"), "{text}");
    assert!(text.contains("Invited byBirch & Sons"), "{text}");
}

#[test]
fn r53_to_r56_without_an_account_the_page_leads_with_signing_up() {
    let page = opened(&Invitation {
        has_account: false,
        channels: vec!["Project Birch".to_owned()],
        ..bo()
    });
    let text = text(&page);
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} in\n{text}"));
    let order = [
        "Sign up for Cliq",
        "no Cliq account with b\u{2026}@partner.example yet",
        "Signing up alone does not make you a member",
        "Project Birch",
        "“+ Create/Join” next to “Channels” in the left sidebar",
        "tab “Channels you can join”",
        "Choose “Join” beside the channel",
        "What limited access means",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    let first = page.html.split("<button").nth(1).unwrap();
    assert!(first.contains("value=\"join\"") && first.contains("Sign up for Cliq"), "{first}");
}

#[test]
fn r48_to_r52_with_an_account_the_page_says_how_to_join_the_channels() {
    let text = text(&opened(&Invitation { channels: vec!["Support".to_owned()], ..bo() }));
    for part in ["Channels waiting for you", "Support", "bot Taz", "three dots"] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("Sign up for Cliq"));
}

#[test]
fn nothing_that_a_stranger_typed_becomes_markup() {
    let hostile = "<script>alert(1)</script>\"><img src=x onerror=y>".to_owned();
    let page = opened(&Invitation {
        organization: hostile.clone(),
        invited_by: hostile.clone(),
        channels: vec![hostile],
        ..bo()
    });
    assert!(!page.html.contains("<script") && !page.html.contains("<img"), "{}", page.html);
}

#[test]
fn a_message_is_the_same_for_everybody_and_offers_nothing_to_do_twice() {
    for of in Message::ALL {
        let page = message(*of, ["en"]).unwrap();
        assert!(!page.html.contains("<form") && !page.html.contains("<button"), "{of:?}");
        assert_eq!(page, message(*of, ["en"]).unwrap());
        assert!(page.policy.contains("form-action 'none';"), "{}", page.policy);
        let heading = page.html.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
        assert!(page.html.contains(&format!("<title>{heading}</title>")), "{of:?}");
    }
}

#[test]
fn every_page_names_its_language_and_has_one_heading_and_its_landmarks() {
    for language in words::languages().unwrap() {
        for of in Message::ALL {
            let page = message(*of, [language.tag]).unwrap();
            assert!(page.html.contains(&format!("<html lang=\"{}\"", language.tag)));
            assert_eq!(page.html.matches("<h1").count(), 1);
            assert_eq!(page.html.matches("<main>").count(), 1);
        }
        let page = open(&Invitation { has_account: false, ..bo() }, [language.tag]).unwrap();
        assert_eq!(page.language, language.tag);
        assert!(
            page.html
                .contains(&format!("lang=\"{0}\" hreflang=\"{0}\" aria-current", page.language))
        );
        for id in
            page.html.split("aria-labelledby=\"").chain(page.html.split("aria-describedby=\""))
        {
            let id = id.split('"').next().unwrap();
            assert!(id.starts_with('<') || page.html.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}

#[test]
fn the_policy_allows_the_one_style_sheet_and_where_joining_leads() {
    use base64::Engine as _;
    let page = opened(&bo());
    let style = page.html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert_eq!(
        page.policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self' https:; \
             frame-ancestors 'none'; base-uri 'none'"
        )
    );
    for spoil in [" style=", "<script", "http://", "url(", "@import", "onclick", "<link"] {
        assert!(!page.html.contains(spoil), "{spoil:?} does not belong in the page");
    }
    let sandbox = Invitation { join_url: "http://127.0.0.1:9090/join/birch".to_owned(), ..bo() };
    let policy = opened(&sandbox).policy;
    assert!(policy.contains("form-action 'self' https: http://127.0.0.1:9090;"), "{policy}");
}

#[test]
fn an_address_is_masked_to_its_first_letter_and_its_domain() {
    assert_eq!(masked("bo@partner.example"), "b\u{2026}@partner.example");
    assert_eq!(masked("\u{f8}yvind@b\u{fc}cher.example"), "\u{f8}\u{2026}@xn--bcher-kva.example");
    assert_eq!(masked("nonsense"), "\u{2026}");
}

/// Writes every page and letter below `target/pages`, for looking at.
#[test]
fn every_page_and_letter_can_be_looked_at() {
    let program = std::env::current_exe().unwrap();
    let folder: PathBuf = program.ancestors().nth(3).unwrap().join("pages");
    fs::create_dir_all(&folder).unwrap();
    let to = Email::parse("bo@partner.example").unwrap();
    let channels = vec!["#Project Birch".to_owned(), "#Support with partners".to_owned()];
    let cases = [
        ("open", Invitation { channels: channels.clone(), ..bo() }),
        ("open-plain", bo()),
        ("open-signup", Invitation { has_account: false, channels, ..bo() }),
        (
            "open-long",
            Invitation {
                organization: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
                    .to_owned(),
                invited_by: "Wolfeschlegelsteinhausenbergerdorff Hubert Blaine the Third".to_owned(),
                kind: Kind::Reminder { number: 2 },
                ..bo()
            },
        ),
    ];
    for language in words::languages().unwrap() {
        let tag = language.tag;
        for (name, case) in &cases {
            let case = Invitation { language: tag.to_owned(), ..case.clone() };
            fs::write(folder.join(format!("{name}.{tag}.html")), opened(&case).html).unwrap();
            let letter = letter::invitation(&case, &to, "key", Timestamp(0)).unwrap();
            let name = name.replace("open", "letter");
            fs::write(folder.join(format!("{name}.{tag}.html")), letter.html).unwrap();
            fs::write(folder.join(format!("{name}.{tag}.txt")), letter.text).unwrap();
        }
        for of in Message::ALL {
            let name = of.words().replace("page.", "message-");
            let page = message(*of, [tag]).unwrap();
            fs::write(folder.join(format!("{name}.{tag}.html")), page.html).unwrap();
        }
    }
}
