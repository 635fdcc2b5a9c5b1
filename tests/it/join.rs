//! The join page over real HTTP: what opening it changes, what an answer does, what strangers learn.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::support::harness::{Answer, answer};
use super::support::{Bridge, Setup};

const JOY: &str = "joy@partner.example";

/// What no page may show but the open one.
const SECRETS: [&str; 5] = ["Birch", "partner.example", "Joy", "Okoro", "Acme"];

/// Invites Joy; answers the token of the letter's link.
async fn invited(bridge: &Bridge) -> String {
    let user = json!({ "email": JOY, "first_name": "Joy", "last_name": "Okoro" });
    let id = bridge.add_with("birch", user).await;
    bridge.announce("birch", &id).await;
    bridge.settle().await;
    let mails = bridge.mails(JOY).await;
    let link = mails[0].text().lines().find(|line| line.contains("/join/")).unwrap().to_owned();
    link.rsplit('/').next().unwrap().to_owned()
}

fn request(bridge: &Bridge, method: Method, token: &str) -> RequestBuilder {
    bridge.http.request(method, format!("http://{}/join/{token}", bridge.public()))
}

async fn get(bridge: &Bridge, token: &str) -> Answer {
    answer(request(bridge, Method::GET, token)).await
}

async fn post(bridge: &Bridge, token: &str, action: &str) -> Answer {
    let form = [("action", action)];
    let request = request(bridge, Method::POST, token).header("sec-fetch-site", "same-origin");
    answer(request.form(&form)).await
}

/// Headers that every answer carries, and nothing that only the invitee may know.
fn assert_guarded(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        assert_eq!(answer.headers[name], value, "{answer:?}");
    }
}

fn assert_reveals_nothing(answer: &Answer) {
    assert_guarded(answer);
    for secret in SECRETS {
        assert!(!answer.text.contains(secret), "{secret} in {}", answer.text);
    }
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("form-action 'none'") && policy.contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn r10_r11_opening_the_page_shows_the_invitation_and_changes_nothing() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let before = (bridge.sandbox("/state").await, bridge.membership("birch", JOY).await);
    let writes = bridge.journal().await.effects().len();
    for _ in 0..3 {
        let page = get(&bridge, &token).await;
        assert_eq!(page.status, 200);
        assert_guarded(&page);
        for part in ["Join Birch Studio in Cliq", "external user", "j\u{2026}@partner.example"] {
            assert!(page.text.contains(part), "{part} in {}", page.text);
        }
        let scanner = request(&bridge, Method::GET, &token).header("sec-purpose", "prefetch");
        assert_eq!(answer(scanner).await.status, 200);
        let head = answer(request(&bridge, Method::HEAD, &token)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
    }
    assert_eq!(bridge.work().await, None, "nothing was queued");
    assert_eq!(before, (bridge.sandbox("/state").await, bridge.membership("birch", JOY).await));
    assert_eq!(bridge.journal().await.effects().len(), writes, "no write, no mail");
    bridge.finish().await;
}

#[tokio::test]
async fn r11_joining_leads_on_each_time_until_the_person_is_seen_in_cliq() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let target = bridge.membership("birch", JOY).await["join_url"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        let answer = post(&bridge, &token, "join").await;
        assert_eq!((answer.status, &answer.headers["location"]), (303, &target.parse().unwrap()));
        assert_guarded(&answer);
        assert_eq!(bridge.membership("birch", JOY).await["state"], "invited", "not joined by that");
    }
    let policy = get(&bridge, &token).await.headers["content-security-policy"].clone();
    let origin = target.split("/sandbox").next().unwrap();
    let allowed = format!("form-action 'self' https: {origin};");
    assert!(policy.to_str().unwrap().contains(&allowed), "{policy:?}");

    bridge.act(&format!("/organizations/birch/members/{JOY}/accept"), &Value::Null).await;
    bridge.resync(json!({ "organization": "birch", "user": JOY })).await;
    bridge.settle().await;
    for answer in [get(&bridge, &token).await, post(&bridge, &token, "join").await] {
        assert_eq!(answer.status, 410);
        assert!(answer.text.contains("This invitation has been answered"), "{}", answer.text);
        assert_reveals_nothing(&answer);
    }
    assert_eq!(post(&bridge, &token, "decline").await.status, 410, "joined is not undone here");
    assert_eq!(bridge.membership("birch", JOY).await["state"], "joined");
    bridge.finish().await;
}

#[tokio::test]
async fn g3_declining_is_recorded_once_and_ends_the_letters() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    for _ in 0..2 {
        let answer = post(&bridge, &token, "decline").await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("You have declined"), "{}", answer.text);
        assert_reveals_nothing(&answer);
    }
    let row = bridge.membership("birch", JOY).await;
    assert_eq!(row["state"], "declined");
    let id = row["id"].as_str().unwrap();
    let history = bridge.admin(&format!("/memberships/{id}")).await.body["history"].clone();
    let declined: Vec<_> =
        history.as_array().unwrap().iter().filter(|line| line["event"] == "declined").collect();
    assert_eq!(declined.len(), 1, "{history}");
    assert_eq!(declined[0]["reason"], "Declined on the page of the invitation.");

    assert_eq!(get(&bridge, &token).await.status, 410);
    assert_eq!(post(&bridge, &token, "join").await.status, 410, "declined is sticky");
    for _ in 0..3 {
        bridge.resync(json!({ "organization": "birch", "user": JOY })).await;
        bridge.settle().await;
    }
    assert_eq!(bridge.membership("birch", JOY).await["state"], "declined");
    assert_eq!(bridge.mails(JOY).await.len(), 1);
    bridge.finish_with_leftovers("Cliq still shows the invitation").await;
}

#[tokio::test]
async fn g4_an_invitation_that_has_run_out_says_so_and_takes_no_answer() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    bridge.clock.advance(Duration::from_hours(7 * 24));
    for answer in [
        get(&bridge, &token).await,
        post(&bridge, &token, "join").await,
        post(&bridge, &token, "decline").await,
    ] {
        assert_eq!(answer.status, 410);
        assert!(answer.text.contains("This invitation has run out"), "{}", answer.text);
        assert_reveals_nothing(&answer);
    }
    bridge.finish_with_leftovers("the clock was moved past everything").await;
}

#[tokio::test]
async fn g17_an_invitation_that_was_withdrawn_says_so() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let id = bridge.membership("birch", JOY).await["crm_user_id"].as_str().unwrap().to_owned();
    bridge.delete(&format!("/organizations/birch/crm-users/{id}")).await;
    for _ in 0..2 {
        bridge.resync(json!({ "organization": "birch" })).await;
        bridge.settle().await;
        bridge.clock.advance(Duration::from_hours(24));
    }
    let answer = post(&bridge, &token, "join").await;
    assert_eq!(answer.status, 410);
    assert!(answer.text.contains("This invitation is no longer valid"), "{}", answer.text);
    assert_reveals_nothing(&answer);
    bridge.finish().await;
}

#[tokio::test]
async fn a_wrong_token_learns_nothing_however_it_is_wrong() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let upper = token.to_uppercase();
    let long = "a".repeat(5_000);
    let known = get(&bridge, "x").await;
    assert_eq!(known.status, 404);
    assert_reveals_nothing(&known);
    for wrong in [upper.as_str(), &token[..63], &long, "%ff", "%00", "..%2fadmin", ""] {
        let answer = get(&bridge, wrong).await;
        assert_eq!((answer.status, &answer.text), (404, &known.text), "{wrong}");
        assert_eq!(
            answer.headers["content-security-policy"],
            known.headers["content-security-policy"]
        );
    }
    for action in ["join", "decline"] {
        let answer = post(&bridge, &upper, action).await;
        assert_eq!((answer.status, &answer.text), (404, &known.text));
    }
    assert_eq!(bridge.membership("birch", JOY).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn only_the_page_itself_may_answer_and_only_with_its_form() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let form = || request(&bridge, Method::POST, &token).form(&[("action", "decline")]);
    for foreign in [
        form().header("sec-fetch-site", "cross-site"),
        form().header("sec-fetch-site", "same-site"),
        form().header("origin", "https://evil.example"),
    ] {
        let answer = answer(foreign).await;
        assert_eq!(answer.status, 403);
        assert_reveals_nothing(&answer);
    }
    let large = request(&bridge, Method::POST, &token).body("a".repeat(2_000));
    assert_eq!(answer(large).await.status, 413);
    for odd in ["", "action=perhaps", "action=join&action=decline"] {
        let answer = answer(request(&bridge, Method::POST, &token).body(odd)).await;
        assert_eq!(answer.status, 400, "{odd}");
        assert_reveals_nothing(&answer);
    }
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = answer(request(&bridge, method, &token)).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (405, &"GET, HEAD, POST".parse().unwrap())
        );
        assert_reveals_nothing(&answer);
    }
    assert_eq!(bridge.membership("birch", JOY).await["state"], "invited");
    bridge.finish().await;
}

#[tokio::test]
async fn the_page_speaks_the_invitees_language_unless_another_is_chosen() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let page = async |path: &str, accepts: &str| {
        let request = request(&bridge, Method::GET, path).header("accept-language", accepts);
        let answer = answer(request).await;
        assert_eq!(answer.headers["vary"], "Accept-Language");
        answer.headers["content-language"].to_str().unwrap().to_owned()
    };
    assert_eq!(page(&token, "sv").await, "en", "the invitation is in English");
    assert_eq!(page(&format!("{token}?lang=de"), "sv").await, "de");
    assert_eq!(page(&format!("{token}?lang=xx"), "sv").await, "en");
    assert_eq!(page("nobody", "xx, sv;q=0.5, de;q=0.9").await, "de");
    bridge.finish().await;
}

#[tokio::test]
async fn letter_and_page_speak_the_language_and_zone_that_crm_says() {
    let bridge = Setup::demo().start().await;
    bridge.added("birch", "bo@partner.example").await;
    bridge.settle().await;
    let mails = bridge.mails("bo@partner.example").await;
    assert_eq!(mails[0].subject(), "Birch Studio bjuder in dig till Cliq som extern användare");
    assert!(mails[0].text().contains("tisdag 1 december 2026 kl. 09:00 (Europe/Stockholm)"));
    let link = mails[0].text().lines().find(|line| line.contains("/join/")).unwrap();
    let page = get(&bridge, link.rsplit('/').next().unwrap()).await;
    assert!(page.text.contains("<html lang=\"sv\" dir=\"ltr\">"), "{}", page.text);
    bridge.finish().await;
}

#[tokio::test]
async fn one_address_is_throttled_and_another_is_not() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let ask = async |from: &str| {
        let request = request(&bridge, Method::GET, &token).header("x-forwarded-for", from);
        answer(request).await
    };
    let mut asked = 0;
    let refused = loop {
        let answer = ask("198.51.100.7").await;
        if answer.status != 200 {
            break answer;
        }
        asked += 1;
        assert!(asked < 1_000, "no end");
    };
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"1".parse().unwrap()));
    assert!(refused.text.contains("Too many requests"), "{}", refused.text);
    assert_reveals_nothing(&refused);
    assert_eq!(ask("198.51.100.8").await.status, 200);
    bridge.clock.advance(Duration::from_secs(1));
    assert_eq!(ask("198.51.100.7").await.status, 200);
    bridge.finish().await;
}

#[tokio::test]
async fn no_file_of_the_store_holds_a_token() {
    let bridge = Setup::demo().start().await;
    let token = invited(&bridge).await;
    let mut read = 0;
    for entry in std::fs::read_dir(bridge.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            read += bytes.len();
            let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
            assert!(!found, "{} holds the token", path.display());
        }
    }
    assert!(read > 10_000, "the store was read");
    bridge.finish().await;
}
