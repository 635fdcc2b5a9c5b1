//! The other side: headers that [`super::verify`] accepts, for `cliqbridge send` and the demo.
//!
//! Deliberately absent: `webhook-` and `svix-` both; only the standard's own names are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::claim::{Stamped, Unit, check_message_id};
use super::{Rejection, billing, key_bytes, mac};
use crate::domain::Timestamp;
use crate::domain::scheme::{Encoding, Hash, Scheme, SigningKey};

/// Signs a webhook and gives the headers to send with it.
///
/// `message_id` is used by the `standard` scheme only, `query` and `content_type` by
/// `zoho-billing` only. `Encoding::Auto` writes hex.
///
/// # Errors
/// [`Rejection::UnusableKey`] when the secret is empty or not of the scheme's form,
/// [`Rejection::Malformed`] when the standard does not allow the message id.
pub fn sign(
    scheme: &Scheme,
    key: &SigningKey,
    message_id: &str,
    query: Option<&str>,
    content_type: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, String)>, Rejection> {
    let unusable = || Rejection::UnusableKey { key_id: key.id.clone() };
    let secret = key_bytes(key).ok_or_else(unusable)?;
    let proof = |hash: Hash, encoding: Encoding, parts: &[&[u8]]| {
        encode(encoding, &mac::hmac(hash, secret.expose(), parts))
    };
    let stamped = |form: &Stamped<'_>| {
        let time = match form.unit {
            Unit::Seconds => now.seconds(),
            Unit::Milliseconds => now.millis(),
        };
        let head = format!("{time}{}", form.separator);
        let text = proof(form.hash, form.encoding, &[head.as_bytes(), body]);
        vec![(form.header.to_owned(), format!("t={time},{}={text}", form.field))]
    };
    Ok(match scheme {
        Scheme::Standard => {
            check_message_id(message_id)?;
            let time = now.seconds();
            let head = format!("{message_id}.{time}.");
            let text = proof(Hash::Sha256, Encoding::Base64, &[head.as_bytes(), body]);
            vec![
                ("webhook-id".to_owned(), message_id.to_owned()),
                ("webhook-timestamp".to_owned(), time.to_string()),
                ("webhook-signature".to_owned(), format!("v1,{text}")),
            ]
        }
        Scheme::ZohoBilling { encoding } => {
            let (head, rest) = billing::signed(query, Some(content_type), body);
            let text = proof(Hash::Sha256, *encoding, &[&head, rest]);
            vec![(billing::HEADER.to_owned(), text)]
        }
        Scheme::ZohoPayments => stamped(&Stamped::ZOHO_PAYMENTS),
        Scheme::Raw { header, prefix, encoding, hash } => {
            let text = proof(*hash, *encoding, &[body]);
            vec![(header.clone(), format!("{prefix}{text}"))]
        }
        Scheme::Timestamped { header, field, separator, encoding, hash } => {
            let (encoding, hash) = (*encoding, *hash);
            stamped(&Stamped { header, field, separator, encoding, hash, unit: Unit::Seconds })
        }
        Scheme::Token { header } => {
            let text = key.secret.expose_text().ok_or_else(unusable)?;
            vec![(header.clone(), text.to_owned())]
        }
    })
}

fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex | Encoding::Auto => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}
