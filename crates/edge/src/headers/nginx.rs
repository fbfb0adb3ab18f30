//! The names that nginx configurations give to nginx's `$ssl_client_*` variables (seed 003's too).

use http::header::{HeaderName, HeaderValue};

use super::escape::percent_pem;
use super::judged::{ClientFacts, Judged};
use super::value;

const VERIFY: HeaderName = HeaderName::from_static("x-ssl-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-ssl-client-subject");
const ISSUER: HeaderName = HeaderName::from_static("x-ssl-client-issuer");
const SERIAL: HeaderName = HeaderName::from_static("x-ssl-client-serial");
const CERT: HeaderName = HeaderName::from_static("x-ssl-client-cert");

/// `X-SSL-Client-Verify` always; the others, like nginx's empty variables, only for a certificate that may
/// be spoken of. Names are RFC 2253 with every byte outside printable ASCII escaped.
pub(super) fn headers(
    facts: &ClientFacts<'_>,
    judged: Judged,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let verify = (VERIFY, Some(HeaderValue::from_static(judged.verify())));
    let details = judged.details(facts);
    let texts = details.map(|leaf| {
        [
            (SUBJECT, value(leaf.subject_dn_rfc2253.clone())),
            (ISSUER, value(leaf.issuer_dn_rfc2253.clone())),
            (SERIAL, value(leaf.serial.clone())),
        ]
    });
    let certificate = details.and(facts.leaf).map(|leaf| (CERT, value(percent_pem(leaf))));
    let all = std::iter::once(verify).chain(texts.into_iter().flatten()).chain(certificate);
    all.filter_map(|(name, value)| Some((name, value?)))
}
