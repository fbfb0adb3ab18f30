//! What applications behind Cloudflare read: `Cf-Cert-*`, and the Workers `request.cf`.

use std::fmt;
use std::str::FromStr;

use countersign_tls::LeafDetails;
use http::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::judged::{ClientFacts, ClientHttp, Judged};
use super::value;

/// The header that carries `request.cf`, which workerd's `cfBlobHeader` names.
///
/// It is one that doors strip from every request on every route, so that no client can write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfBlobHeader(HeaderName);

impl Default for CfBlobHeader {
    fn default() -> Self {
        Self(HeaderName::from_static("cf-blob"))
    }
}

impl CfBlobHeader {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl fmt::Display for CfBlobHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for CfBlobHeader {
    type Err = String;

    /// Fails closed: a name that clients may send is refused.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        let name = name.filter(|name| {
            let name = name.as_str();
            matches!(name, "cf-blob" | "mf-cf-blob") || name.starts_with("cf-blob-")
        });
        name.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(160).collect();
            format!("not CF-Blob, MF-CF-Blob or a name that begins with CF-Blob-: {shown:?}")
        })
    }
}

/// `Cf-Cert-*` as the managed transform "Add TLS client auth headers" names them; a text that the
/// certificate lacks has no header
/// (<https://developers.cloudflare.com/rules/transform/managed-transforms/reference/#add-tls-client-auth-headers>).
pub(super) fn cert_headers(
    facts: &ClientFacts<'_>,
    judged: Judged,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let word = |is: bool| HeaderValue::from_static(if is { "true" } else { "false" });
    let flags = [
        (HeaderName::from_static("cf-cert-presented"), word(facts.presented)),
        (HeaderName::from_static("cf-cert-verified"), word(judged.is_good())),
        (HeaderName::from_static("cf-cert-revoked"), word(judged.is_revoked())),
    ];
    let texts = judged.details(facts).map(texts).into_iter().flatten();
    let texts = texts.filter(|(.., text)| !text.is_empty());
    let texts = texts
        .filter_map(|(_key, name, text)| Some((HeaderName::from_static(name), value((*text).to_owned())?)));
    flags.into_iter().chain(texts)
}

/// Workers' `request.cf`
/// (<https://developers.cloudflare.com/workers/runtime-apis/request/#incomingrequestcfproperties>).
pub(super) fn blob(
    header: &CfBlobHeader,
    facts: &ClientFacts<'_>,
    judged: Judged,
) -> Option<(HeaderName, HeaderValue)> {
    let bit = |is: bool| if is { "1" } else { "0" };
    let mut tls = serde_json::Map::new();
    tls.insert("certPresented".to_owned(), bit(facts.presented).into());
    tls.insert("certVerified".to_owned(), judged.verify().into());
    tls.insert("certRevoked".to_owned(), bit(judged.is_revoked()).into());
    for (key, _name) in KEYS {
        tls.insert(key.to_owned(), "".into());
    }
    for (key, _name, text) in judged.details(facts).map(texts).into_iter().flatten() {
        tls.insert(key.to_owned(), text.into());
    }
    let protocol = match facts.http {
        ClientHttp::Http1 => "HTTP/1.1",
        ClientHttp::Http2 => "HTTP/2",
    };
    let cf = json!({
        "httpProtocol": protocol,
        "tlsVersion": facts.tls_version,
        "tlsCipher": cipher(facts.cipher),
        "tlsClientAuth": tls,
    });
    Some((header.0.clone(), value(cf.to_string())?))
}

/// The texts of a certificate: their keys in `request.cf`, and their headers.
const KEYS: [(&str, &str); 14] = [
    ("certIssuerDN", "cf-cert-issuer-dn"),
    ("certIssuerDNRFC2253", "cf-cert-issuer-dn-rfc2253"),
    ("certIssuerDNLegacy", "cf-cert-issuer-dn-legacy"),
    ("certSubjectDN", "cf-cert-subject-dn"),
    ("certSubjectDNRFC2253", "cf-cert-subject-dn-rfc2253"),
    ("certSubjectDNLegacy", "cf-cert-subject-dn-legacy"),
    ("certSerial", "cf-cert-serial"),
    ("certIssuerSerial", "cf-cert-issuer-serial"),
    ("certFingerprintSHA1", "cf-cert-fingerprint-sha1"),
    ("certFingerprintSHA256", "cf-cert-fingerprint-sha256"),
    ("certNotBefore", "cf-cert-not-before"),
    ("certNotAfter", "cf-cert-not-after"),
    ("certSKI", "cf-cert-ski"),
    ("certIssuerSKI", "cf-cert-issuer-ski"),
];

fn texts(leaf: &LeafDetails) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
    let texts: [&str; 14] = [
        &leaf.issuer_dn,
        &leaf.issuer_dn_rfc2253,
        &leaf.issuer_dn_legacy,
        &leaf.subject_dn,
        &leaf.subject_dn_rfc2253,
        &leaf.subject_dn_legacy,
        &leaf.serial,
        &leaf.issuer_serial,
        &leaf.fingerprint_sha1,
        &leaf.fingerprint_sha256,
        &leaf.not_before_text,
        &leaf.not_after_text,
        &leaf.ski,
        &leaf.issuer_ski,
    ];
    KEYS.into_iter().zip(texts).map(|((key, name), text)| (key, name, text))
}

/// A cipher suite by the name that Workers see.
fn cipher(iana: &str) -> &str {
    const NAMES: [(&str, &str); 9] = [
        ("TLS_AES_128_GCM_SHA256", "AEAD-AES128-GCM-SHA256"),
        ("TLS_AES_256_GCM_SHA384", "AEAD-AES256-GCM-SHA384"),
        ("TLS_CHACHA20_POLY1305_SHA256", "AEAD-CHACHA20-POLY1305-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
    ];
    NAMES.iter().find(|(known, _name)| *known == iana).map_or(iana, |(_known, name)| name)
}

#[cfg(test)]
mod tests {
    use super::super::is_identity_header;
    use super::*;

    #[test]
    fn every_name_that_the_blob_may_have_is_stripped_from_clients() {
        for name in ["CF-Blob", "cf-blob", "MF-CF-Blob", "CF-Blob-Own"] {
            let header: CfBlobHeader = name.parse().unwrap();
            assert!(is_identity_header(header.name()), "{name}");
        }
        for (_key, name) in KEYS {
            assert!(is_identity_header(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["", "X-Blob", "cf blob", "cf-ray", "cf_blob", "host", "cf-blobs"] {
            assert!(name.parse::<CfBlobHeader>().is_err(), "{name}");
        }
    }

    #[test]
    fn ciphers_have_the_names_of_openssl() {
        assert_eq!(cipher("TLS_AES_128_GCM_SHA256"), "AEAD-AES128-GCM-SHA256");
        assert_eq!(cipher("TLS_NEW"), "TLS_NEW");
    }
}
