//! Every known-answer vector of `tests/signature-vectors.json`, run against `verify` and `sign`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::{Rejection, Request, decode_standard_secret, mac, sign, verify};
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey};
use crate::domain::{Secret, Timestamp};

const VECTORS: &str = include_str!("../../../tests/signature-vectors.json");

/// How many vectors there are; a lost one must not go unnoticed.
const COUNT: usize = 58;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vector {
    name: String,
    scheme: String,
    secret: Option<String>,
    secrets: Vec<String>,
    public_key: Option<String>,
    key_hex: String,
    message_hex: String,
    headers: BTreeMap<String, String>,
    header_value: Option<String>,
    query_string: Option<String>,
    content_type: Option<String>,
    string_to_sign: Option<String>,
    body: String,
    body_hex: Option<String>,
    expected: String,
    encoding: Option<String>,
    hash: Option<String>,
    now: i64,
    tolerance_s: u64,
    valid: bool,
}

impl Vector {
    fn body(&self) -> Vec<u8> {
        let hex = self.body_hex.as_deref().map(|text| hex::decode(text).unwrap());
        hex.unwrap_or_else(|| self.body.clone().into_bytes())
    }

    fn keys(&self) -> Vec<SigningKey> {
        let texts = self.secrets.iter().chain(&self.secret).chain(&self.public_key);
        let key = |text: &String| {
            if !self.scheme.starts_with("standard-webhooks") {
                return super::tests::key(text);
            }
            // As the configuration reads it; a public key decodes to nothing usable.
            let secret = Secret::new(decode_standard_secret(text).unwrap_or_default());
            SigningKey { secret, ..super::tests::key("") }
        };
        texts.map(key).collect()
    }

    fn encoding(&self) -> Encoding {
        match self.encoding.as_deref() {
            Some("base64") => Encoding::Base64,
            Some("hex") | None => Encoding::Hex,
            Some(other) => panic!("{other}"),
        }
    }

    fn hash(&self) -> Hash {
        match self.hash.as_deref() {
            Some("sha512") => Hash::Sha512,
            Some("sha256") | None => Hash::Sha256,
            Some(other) => panic!("{other}"),
        }
    }

    fn raw(&self, header: &str, prefix: &str, encoding: Encoding, hash: Hash) -> Scheme {
        assert!(self.headers.is_empty() || self.headers.contains_key(header), "{}", self.name);
        Scheme::Raw { header: header.to_owned(), prefix: prefix.to_owned(), encoding, hash }
    }

    fn timestamped(&self, header: &str, separator: &str) -> Scheme {
        Scheme::Timestamped {
            header: header.to_owned(),
            field: "v1".to_owned(),
            separator: separator.to_owned(),
            encoding: self.encoding(),
            hash: self.hash(),
        }
    }

    /// The scheme as an operator would configure it; `None` for the bare MAC.
    fn scheme(&self) -> Option<Scheme> {
        let hex = Encoding::Hex;
        Some(match self.scheme.as_str() {
            "hmac-sha256-primitive" => return None,
            "standard-webhooks-v1" | "standard-webhooks-v1a" => Scheme::Standard,
            "github-sha256" => self.raw("X-Hub-Signature-256", "sha256=", hex, Hash::Sha256),
            "hmac-sha1-hex-body" => self.raw("X-Signature", "sha1=", hex, Hash::Sha256),
            "hmac-sha256-hex-body" => self.raw("X-Signature", "sha256=", hex, Hash::Sha256),
            "hmac-sha512-hex-body" => self.raw("X-Signature", "sha512=", hex, Hash::Sha512),
            "convoy-simple" => self.raw("X-Convoy-Signature", "", self.encoding(), self.hash()),
            "convoy-advanced" => self.timestamped("X-Convoy-Signature", ","),
            "stripe-v1" => self.timestamped("Stripe-Signature", "."),
            "shopify-base64" => {
                self.raw("X-Shopify-Hmac-SHA256", "", Encoding::Base64, Hash::Sha256)
            }
            "zoho-billing" => Scheme::ZohoBilling { encoding: self.encoding() },
            "zoho-payments" => Scheme::ZohoPayments,
            "outpost-v0" => self.raw("x-outpost-signature", "v0=", hex, Hash::Sha256),
            other => panic!("{other}"),
        })
    }

    /// The headers; vectors of one bare header value get it under the scheme's name.
    fn headers(&self, scheme: &Scheme) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let (true, Scheme::Raw { header, prefix, .. }) = (headers.is_empty(), scheme) {
            let value = self.header_value.clone();
            headers.insert(
                header.clone(),
                value.unwrap_or_else(|| format!("{prefix}{}", self.expected)),
            );
        }
        let pair = |(name, value): (&String, &String)| {
            let name = HeaderName::try_from(name).unwrap();
            (name, HeaderValue::try_from(value).unwrap())
        };
        headers.iter().map(pair).collect()
    }
}

fn run(vector: &Vector) {
    let body = vector.body();
    let Some(scheme) = vector.scheme() else {
        let key = hex::decode(&vector.key_hex).unwrap();
        let message = hex::decode(&vector.message_hex).unwrap();
        let digest = mac::hmac(Hash::Sha256, &key, &[&message]);
        assert_eq!(hex::encode(digest), vector.expected, "{}", vector.name);
        return;
    };
    let headers = vector.headers(&scheme);
    let request = Request {
        query: vector.query_string.as_deref(),
        content_type: vector.content_type.as_deref(),
        headers: &headers,
        body: &body,
    };
    let tolerance = Duration::from_secs(vector.tolerance_s);
    let now = Timestamp::from_seconds(vector.now);
    let answer = verify(&scheme, &vector.keys(), tolerance, &request, now);

    let unsupported = match vector.scheme.as_str() {
        "standard-webhooks-v1a" => Some("Ed25519 (v1a)"),
        "hmac-sha1-hex-body" => Some("SHA-1"),
        _ => None,
    };
    if let Some(name) = unsupported {
        assert_eq!(answer, Err(Rejection::Unsupported(name)), "{}", vector.name);
        return;
    }
    assert_eq!(answer.is_ok(), vector.valid, "{}: {answer:?}", vector.name);
    if let (Ok(verified), Some(text)) = (&answer, &vector.string_to_sign) {
        assert_eq!(verified.signed_digest, mac::sha256(&[text.as_bytes()]), "{}", vector.name);
    }
    signs_alike(vector, &scheme, &headers, &body);
}

/// Where a vector's header carries exactly the expected signature, ours must be that very text.
fn signs_alike(vector: &Vector, scheme: &Scheme, headers: &HeaderMap, body: &[u8]) {
    let [key] = &vector.keys()[..] else { return };
    let id = headers.get("webhook-id").map_or("", |value| value.to_str().unwrap());
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // The time that was signed, not the time of reading.
    let signed_at = match (text("webhook-timestamp"), scheme) {
        (Some(time), _) => Timestamp::from_seconds(time.parse().unwrap()),
        (None, Scheme::ZohoPayments) => Timestamp(1_734_340_423_138),
        (None, Scheme::Timestamped { .. }) if vector.scheme == "stripe-v1" => {
            Timestamp::from_seconds(1_492_774_577)
        }
        _ => Timestamp::from_seconds(vector.now),
    };
    let query = vector.query_string.as_deref();
    let media = vector.content_type.as_deref().unwrap_or("application/json");
    let signed = sign(scheme, key, id, query, media, body, signed_at).unwrap();
    let (_, signature) = signed.last().unwrap();
    let bare = signature.split_once('=').map_or("", |(_, text)| text);
    assert!(
        [signature.as_str(), bare].contains(&vector.expected.as_str()),
        "{}: {signature} is not {}",
        vector.name,
        vector.expected
    );
}

#[test]
fn every_vector_gets_its_verdict() {
    let file: File = serde_json::from_str(VECTORS).unwrap();
    for vector in &file.vectors {
        run(vector);
    }
    assert_eq!(file.vectors.len(), COUNT);
}

#[test]
fn a_secret_that_is_empty_or_not_of_the_form_is_never_accepted() {
    for text in ["", "whsec_", "whsec_!!"] {
        assert_eq!(decode_standard_secret(text), None, "{text}");
    }
    let key = super::tests::key("");
    let signed =
        sign(&Scheme::Standard, &key, "msg_1", None, "application/json", b"{}", Timestamp(0));
    assert_eq!(signed, Err(Rejection::UnusableKey { key_id: "a".to_owned() }));
}
