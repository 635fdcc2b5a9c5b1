//! What Zoho Billing signs (contract section 4): every query pair and form pair, sorted by key,
//! decoded and joined with nothing between, then the raw JSON.
//!
//! The missing separators make `a=b1` and `ab=1` one string, so nothing in the query may be
//! trusted even when the signature holds. Unspecified by Zoho and decided here: keys sort by
//! their decoded bytes, equal keys keep the order of the request (query first), and `+` is a
//! space wherever pairs are read, as in every form. Deliberately absent: the MAC.

use url::form_urlencoded;

use crate::logic::media::Media;

/// The header of Zoho Billing, and of Zoho Payments with another form.
pub(super) const HEADER: &str = "X-Zoho-Webhook-Signature";

/// The joined pairs, and the part of the body that follows them raw.
pub(super) fn signed<'a>(
    query: Option<&str>,
    content_type: Option<&str>,
    body: &'a [u8],
) -> (Vec<u8>, &'a [u8]) {
    let is_form = Media::of(content_type) == Media::Form;
    let form = if is_form { body } else { &[] };
    let mut pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .chain(form_urlencoded::parse(form))
        .collect();
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    let joined = pairs.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]);
    (joined.flatten().copied().collect(), if is_form { &[] } else { body })
}
