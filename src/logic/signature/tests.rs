//! What the vectors do not show: rotation, replay windows, doubled headers, and the round trip.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{Rejection, Request, Verified, decode_standard_secret, sign, verify};
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey};
use crate::domain::{Secret, Timestamp};

const NOW: Timestamp = Timestamp(1_800_000_000_500);
const TOLERANCE: Duration = Duration::from_mins(5);
const JSON: &str = "application/json";
/// Valid for every scheme: base64 of 24 bytes, and text.
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

pub(super) fn key(secret: &str) -> SigningKey {
    let secret = Secret::new(secret);
    SigningKey { id: "a".to_owned(), secret, not_before: None, not_after: None }
}

fn raw() -> Scheme {
    Scheme::Raw {
        header: "X-Bridge-Signature".to_owned(),
        prefix: "sha256=".to_owned(),
        encoding: Encoding::Hex,
        hash: Hash::Sha256,
    }
}

fn timestamped(separator: &str, encoding: Encoding, hash: Hash) -> Scheme {
    let (header, field) = ("X-Signature".to_owned(), "v1".to_owned());
    Scheme::Timestamped { header, field, separator: separator.to_owned(), encoding, hash }
}

fn every_scheme() -> Vec<Scheme> {
    let raw_with = |prefix: &str, encoding, hash| Scheme::Raw {
        header: "X-Signature".to_owned(),
        prefix: prefix.to_owned(),
        encoding,
        hash,
    };
    vec![
        Scheme::Standard,
        Scheme::ZohoBilling { encoding: Encoding::Auto },
        Scheme::ZohoBilling { encoding: Encoding::Base64 },
        Scheme::ZohoPayments,
        raw(),
        raw_with("", Encoding::Base64, Hash::Sha512),
        raw_with("", Encoding::Auto, Hash::Sha512),
        timestamped(".", Encoding::Hex, Hash::Sha256),
        timestamped(",", Encoding::Base64, Hash::Sha512),
    ]
}

fn map(pairs: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn check(
    scheme: &Scheme,
    keys: &[SigningKey],
    pairs: &[(String, String)],
    body: &[u8],
    now: Timestamp,
) -> Result<Verified, Rejection> {
    let headers = map(pairs);
    let request = Request { query: None, content_type: Some(JSON), headers: &headers, body };
    verify(scheme, keys, TOLERANCE, &request, now)
}

fn signed(scheme: &Scheme, secret: &str, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
    sign(scheme, &key(secret), "msg_1", None, JSON, body, now).unwrap()
}

fn header(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn the_key_that_matched_is_named_and_keys_out_of_force_do_not_count() {
    let pairs = signed(&raw(), OTHER, b"{}", NOW);
    let second = Duration::from_secs(1);
    let old = SigningKey { id: "old".to_owned(), not_after: Some(NOW), ..key(OTHER) };
    let keys = [key(SECRET), old.clone()];
    assert_eq!(check(&raw(), &keys, &pairs, b"{}", NOW).unwrap().key_id, "old");
    let late = check(&raw(), &keys, &pairs, b"{}", NOW + second);
    assert_eq!(late, Err(Rejection::NoKeyMatched { body_empty: false }));
    let ended = check(&raw(), &[old], &pairs, b"{}", NOW + second);
    assert_eq!(ended, Err(Rejection::NoKeyInForce));
    let early = SigningKey { not_before: Some(NOW), ..key(OTHER) };
    assert!(check(&raw(), std::slice::from_ref(&early), &pairs, b"{}", NOW).is_ok());
    assert_eq!(check(&raw(), &[early], &pairs, b"{}", NOW - second), Err(Rejection::NoKeyInForce));
}

#[test]
fn an_empty_secret_is_never_a_key() {
    let unusable = Err(Rejection::UnusableKey { key_id: "a".to_owned() });
    for scheme in every_scheme().into_iter().chain([Scheme::Token { header: "X-T".to_owned() }]) {
        let pairs = signed(&scheme, SECRET, b"{}", NOW);
        assert_eq!(check(&scheme, &[key("")], &pairs, b"{}", NOW), unusable, "{scheme:?}");
        // An empty one beside a good one does no harm.
        assert!(check(&scheme, &[key(""), key(SECRET)], &pairs, b"{}", NOW).is_ok(), "{scheme:?}");
    }
    // HMAC with an empty key over an empty body, correctly computed.
    let forged = header(
        "X-Bridge-Signature",
        "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
    );
    assert_eq!(check(&raw(), &[key("")], &forged, b"", NOW), unusable);
}

#[test]
fn the_replay_window_is_closed_on_both_sides() {
    let millisecond = Duration::from_millis(1);
    let second = Duration::from_secs(1);
    let stripe = timestamped(".", Encoding::Hex, Hash::Sha256);
    for (scheme, step) in
        [(Scheme::Standard, second), (stripe, second), (Scheme::ZohoPayments, millisecond)]
    {
        let pairs = signed(&scheme, SECRET, b"{}", NOW);
        let at = |now| check(&scheme, &[key(SECRET)], &pairs, b"{}", now);
        assert!(at(NOW + TOLERANCE).is_ok(), "{scheme:?}");
        assert!(at(NOW - TOLERANCE).is_ok(), "{scheme:?}");
        assert!(matches!(at(NOW + TOLERANCE + step), Err(Rejection::Stale { .. })), "{scheme:?}");
        assert!(matches!(at(NOW - TOLERANCE - step), Err(Rejection::Future { .. })), "{scheme:?}");
    }
}

#[test]
fn a_time_that_is_not_a_plain_number_is_refused() {
    let malformed = Err(Rejection::Malformed("the time is not a plain number"));
    for time in ["-1", "+1800000000", "01800000000", "1.8e9", "", "999999999999999", "18 0"] {
        let mut pairs = signed(&Scheme::Standard, SECRET, b"{}", NOW);
        time.clone_into(&mut pairs[1].1);
        let answer = check(&Scheme::Standard, &[key(SECRET)], &pairs, b"{}", NOW);
        if !time.is_empty() {
            assert_eq!(answer, malformed, "{time}");
        }
        assert!(answer.is_err(), "{time}");
    }
    let twice = header("X-Signature", "t=1800000000,t=1800000001,v1=00");
    let stripe = timestamped(".", Encoding::Hex, Hash::Sha256);
    assert_eq!(
        check(&stripe, &[key(SECRET)], &twice, b"{}", NOW),
        Err(Rejection::Malformed("there is not exactly one time"))
    );
}

#[test]
fn svix_names_are_taken_and_families_are_not_mixed() {
    let ours = signed(&Scheme::Standard, SECRET, b"{}", NOW);
    let svix: Vec<_> = ours
        .iter()
        .map(|(name, value)| (name.replace("webhook-", "svix-"), value.clone()))
        .collect();
    let verified = check(&Scheme::Standard, &[key(SECRET)], &svix, b"{}", NOW).unwrap();
    assert_eq!(verified.message_id.as_deref(), Some("msg_1"));
    let mixed = [ours[0].clone(), ours[1].clone(), svix[2].clone()];
    assert!(check(&Scheme::Standard, &[key(SECRET)], &mixed, b"{}", NOW).is_err());
}

#[test]
fn an_id_with_a_dot_is_refused_on_both_sides() {
    let dotted = Rejection::Malformed("the message id contains a dot");
    let refused = sign(&Scheme::Standard, &key(SECRET), "a.b", None, JSON, b"{}", NOW);
    assert_eq!(refused, Err(dotted.clone()));
    let mut pairs = signed(&Scheme::Standard, SECRET, b"{}", NOW);
    pairs[0].1 = "msg.1".to_owned();
    assert_eq!(check(&Scheme::Standard, &[key(SECRET)], &pairs, b"{}", NOW), Err(dotted));
}

#[test]
fn a_header_given_twice_is_refused_even_when_both_hold() {
    for scheme in every_scheme() {
        let pairs = signed(&scheme, SECRET, b"{}", NOW);
        for index in 0..pairs.len() {
            let mut doubled = pairs.clone();
            doubled.push(pairs[index].clone());
            let answer = check(&scheme, &[key(SECRET)], &doubled, b"{}", NOW);
            assert!(matches!(answer, Err(Rejection::DuplicateHeader { .. })), "{answer:?}");
        }
    }
}

#[test]
fn missing_and_empty_headers_are_told_apart_from_wrong_ones() {
    for scheme in every_scheme() {
        let answer = check(&scheme, &[key(SECRET)], &[], b"{}", NOW);
        assert!(matches!(answer, Err(Rejection::NoSignature { .. })), "{scheme:?}: {answer:?}");
    }
    let answer = |value: &str| {
        check(&raw(), &[key(SECRET)], &header("X-Bridge-Signature", value), b"", NOW).unwrap_err()
    };
    assert_eq!(answer(" ").kind(), "no_signature");
    assert_eq!(answer("sha256=").kind(), "malformed");
    assert_eq!(answer(&format!("sha256={}", "0".repeat(40))), Rejection::Unsupported("SHA-1"));
    assert_eq!(answer(&format!("sha1={}", "0".repeat(40))), Rejection::Unsupported("SHA-1"));
    assert_eq!(answer(&"0".repeat(64)), Rejection::UnknownVersion);
    let empty = answer(&format!("sha256={}", "0".repeat(64)));
    assert_eq!(empty.to_string(), "no key matched; the body is empty");
}

#[test]
fn the_last_of_a_comma_list_may_match_with_or_without_its_own_prefix() {
    let good = signed(&raw(), SECRET, b"{}", NOW)[0].1.clone();
    let bare = good.trim_start_matches("sha256=");
    let zero = "0".repeat(64);
    for value in [
        format!("sha256={zero},{bare}"),
        format!("sha256={zero}, {good}"),
        format!("sha1=00,{good}"),
    ] {
        let pairs = header("X-Bridge-Signature", &value);
        assert!(check(&raw(), &[key(SECRET)], &pairs, b"{}", NOW).is_ok(), "{value}");
    }
    let flood = header("X-Bridge-Signature", &format!("{good}{}", ",00".repeat(40)));
    let answer = check(&raw(), &[key(SECRET)], &flood, b"{}", NOW);
    assert_eq!(answer, Err(Rejection::Malformed("too many signatures")));
}

#[test]
fn auto_takes_hex_and_base64_by_length() {
    let body = b"{}";
    for encoding in [Encoding::Hex, Encoding::Base64] {
        let pairs = signed(&Scheme::ZohoBilling { encoding }, SECRET, body, NOW);
        let auto = Scheme::ZohoBilling { encoding: Encoding::Auto };
        assert!(check(&auto, &[key(SECRET)], &pairs, body, NOW).is_ok(), "{encoding:?}");
    }
}

#[test]
fn billing_signs_decoded_pairs_of_query_and_form_by_key() {
    let scheme = Scheme::ZohoBilling { encoding: Encoding::Hex };
    let body = b"b=x+y%26z&a=%C3%BC";
    let media = "application/x-www-form-urlencoded; charset=utf-8";
    let pairs = sign(&scheme, &key(SECRET), "", Some("c=1"), media, body, NOW).unwrap();
    let plain = sign(&scheme, &key(SECRET), "", None, JSON, "aübx y&zc1".as_bytes(), NOW).unwrap();
    assert_eq!(pairs, plain);
    let headers = map(&pairs);
    let request =
        Request { query: Some("c=1"), content_type: Some(media), headers: &headers, body };
    assert!(verify(&scheme, &[key(SECRET)], TOLERANCE, &request, NOW).is_ok());
}

#[test]
fn a_token_is_compared_whole() {
    let scheme = Scheme::Token { header: "X-Bridge-Token".to_owned() };
    let given = |value: &str| {
        check(&scheme, &[key(SECRET)], &header("X-Bridge-Token", value), b"{}", NOW).is_ok()
    };
    assert!(given(SECRET));
    assert!(!given(&SECRET[1..]));
    assert!(!given(&SECRET.to_lowercase()));
    assert!(!given(&format!("{SECRET}x")));
}

#[test]
fn standard_secrets_come_with_and_without_prefix_and_padding() {
    assert_eq!(decode_standard_secret("whsec_AAE="), Some(vec![0, 1]));
    assert_eq!(decode_standard_secret("AAE"), Some(vec![0, 1]));
    assert_eq!(decode_standard_secret("whsec_"), None);
    assert_eq!(decode_standard_secret("whsk_AAE="), None);
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_no_bit_may_change(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        position in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        for scheme in every_scheme() {
            let pairs = signed(&scheme, SECRET, &body, NOW);
            let keys = [key(OTHER), key(SECRET)];
            prop_assert!(check(&scheme, &keys, &pairs, &body, NOW).is_ok());
            prop_assert!(check(&scheme, &keys[..1], &pairs, &body, NOW).is_err());

            let mut changed = body.clone();
            changed[position.index(body.len())] ^= 1 << bit;
            prop_assert!(check(&scheme, &keys, &pairs, &changed, NOW).is_err());

            let (name, value) = pairs.last().unwrap();
            let mut bytes = value.clone().into_bytes();
            bytes[position.index(value.len())] ^= 1 << bit;
            // Hex is read in either case, so only its letters' case bit may change.
            let same = bytes.eq_ignore_ascii_case(value.as_bytes());
            let hex = value.rsplit('=').next().is_some_and(|text| hex::decode(text).is_ok());
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if HeaderValue::try_from(&text).is_err() || (same && hex) {
                continue;
            }
            let mut forged = pairs.clone();
            *forged.last_mut().unwrap() = (name.clone(), text);
            prop_assert!(check(&scheme, &keys, &forged, &body, NOW).is_err(), "{scheme:?}");
        }
    }

    #[test]
    fn no_header_makes_the_reader_panic(value in "[ -~]{0,120}", body in ".{0,40}") {
        for scheme in every_scheme() {
            let mut pairs = signed(&scheme, SECRET, b"{}", NOW);
            pairs.last_mut().unwrap().1.clone_from(&value);
            let _ = check(&scheme, &[key(SECRET)], &pairs, body.as_bytes(), NOW);
        }
    }
}
