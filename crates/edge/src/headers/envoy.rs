//! Envoy's `X-Forwarded-Client-Cert`
//! (<https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert>).

use countersign_tls::LeafDetails;
use http::header::{HeaderName, HeaderValue};

use super::escape::{percent_but, percent_pem};
use super::judged::{ClientFacts, Judged};
use super::value;

const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// One element: `By` (each SAN URI of the door's certificate, if it has any), `Hash`, `Cert`, `Chain` (leaf and
/// device CA), `Subject`, `URI` and `DNS`. Only for a certificate in good standing: the format has no word for
/// any other.
pub(super) fn header(facts: &ClientFacts<'_>, judged: Judged) -> Option<(HeaderName, HeaderValue)> {
    let leaf = judged.details(facts).filter(|_details| judged.is_good())?;
    let mut element = String::new();
    for uri in &facts.door {
        element.push_str(&format!("By={};", percent_but(uri, is_plain_in_uri)));
    }
    element.push_str(&format!("Hash={}", leaf.fingerprint_sha256));
    if let Some(der) = facts.leaf {
        let certificate = percent_pem(der);
        element.push_str(&format!(";Cert=\"{certificate}\""));
        if let Some(issuer) = facts.issuer {
            element.push_str(&format!(";Chain=\"{certificate}{}\"", percent_pem(issuer)));
        }
    }
    element.push_str(&format!(";Subject=\"{}\"", subject(leaf)));
    for uri in &leaf.san_uris {
        element.push_str(&format!(";URI={}", percent_but(uri, is_plain_in_uri)));
    }
    for name in &leaf.san_dns {
        element.push_str(&format!(";DNS={}", percent_but(name, |byte| byte == b'*')));
    }
    Some((XFCC, value(element)?))
}

/// The subject as RFC 2253 writes it, each escaped character as `\` and two hex digits: readers differ
/// about a backslash before a quote, and none sees a quote here.
fn subject(leaf: &LeafDetails) -> String {
    let mut text = String::with_capacity(leaf.subject_dn_rfc2253.len());
    let mut characters = leaf.subject_dn_rfc2253.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some(hex) if hex.is_ascii_hexdigit() => text.extend(['\\', hex]),
                Some(escaped) => text.push_str(&format!("\\{:02X}", u32::from(escaped))),
                None => text.push_str("\\5C"),
            },
            ('"', false) => text.push_str("\\22"),
            (plain, false) => text.push(plain),
        }
    }
    text
}

/// What ends an element or a value is not among them.
const fn is_plain_in_uri(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b'%'
    )
}

#[cfg(test)]
mod tests {
    use super::super::judged::ClientHttp;
    use super::*;
    use countersign_core::time::Timestamp;

    fn leaf(subject: &str, uris: &[&str], names: &[&str]) -> LeafDetails {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        LeafDetails {
            issuer_dn: String::new(),
            issuer_dn_rfc2253: String::new(),
            issuer_dn_legacy: String::new(),
            subject_dn: String::new(),
            subject_dn_rfc2253: subject.to_owned(),
            subject_dn_legacy: String::new(),
            serial: String::new(),
            issuer_serial: String::new(),
            fingerprint_sha256: "ab".to_owned(),
            fingerprint_sha1: String::new(),
            not_before: Timestamp::from_secs(0),
            not_after: Timestamp::from_secs(1),
            not_before_text: String::new(),
            not_after_text: String::new(),
            ski: String::new(),
            issuer_ski: String::new(),
            subject: Vec::new(),
            san_uris: texts(uris),
            san_dns: texts(names),
            ekus: Vec::new(),
            key_type: String::new(),
        }
    }

    fn element(leaf: &LeafDetails, judged: Judged) -> Option<String> {
        element_by(leaf, &[], judged)
    }

    fn element_by(leaf: &LeafDetails, door: &[&str], judged: Judged) -> Option<String> {
        let facts = ClientFacts {
            presented: true,
            details: Some(leaf),
            leaf: None,
            issuer: None,
            tls_version: "TLSv1.3",
            cipher: "",
            door: door.iter().map(|uri| (*uri).to_owned()).collect(),
            http: ClientHttp::Http1,
        };
        header(&facts, judged).map(|(_name, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn no_text_of_a_certificate_ends_its_element() {
        let odd = leaf(r#"CN=a\"b\,c\\,O=x\C3\A9"#, &["spiffe://a/b;Hash=0,\"c"], &["*.example.com", "a,b"]);
        assert_eq!(
            element(&odd, Judged::Good).unwrap(),
            "Hash=ab;Subject=\"CN=a\\22b\\2Cc\\5C,O=x\\C3\\A9\";URI=spiffe://a/b%3BHash%3D0%2C%22c;\
             DNS=*.example.com;DNS=a%2Cb"
        );
    }

    #[test]
    fn the_door_is_named_by_each_uri_of_its_certificate() {
        let door = ["spiffe://example.com/gateway", "urn:a;Hash=0"];
        assert_eq!(
            element_by(&leaf("CN=a", &[], &[]), &door, Judged::Good).unwrap(),
            "By=spiffe://example.com/gateway;By=urn:a%3BHash%3D0;Hash=ab;Subject=\"CN=a\""
        );
    }

    #[test]
    fn fails_closed_on_what_is_not_in_good_standing() {
        let fallen = Judged::Fallen(countersign_core::snapshot::Standing::Expired);
        for judged in [Judged::Nothing, Judged::Failed(None), fallen] {
            assert_eq!(element(&leaf("CN=a", &[], &[]), judged), None);
        }
    }
}
