//! The field registry: a name, its type, and how to read it from a request.

use std::borrow::Cow;
use std::net::IpAddr;

use super::facts::{CertificateText, RequestFacts, Resumption};
use crate::headers::Scheme;

/// A field that is true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BooleanField {
    Ssl,
    CertificatePresented,
    CertificateVerified,
    CertificateRevoked,
    LeafTooLarge,
    ChainTooLarge,
    Resumed,
}

/// A field that is a string of bytes, or missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextField {
    Host,
    UserAgent,
    Method,
    Version,
    Uri,
    Path,
    Query,
    FullUri,
    TlsVersion,
    Certificate(CertificateText),
    LeafRfc9440,
    ChainRfc9440,
    DeviceId,
    DeviceTenant,
    DeviceName,
}

/// A field that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum IntegerField {
    ServerPort,
}

/// A field that is an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressField {
    Source,
}

/// Any field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Boolean(BooleanField),
    Text(TextField),
    Integer(IntegerField),
    Address(AddressField),
}

/// Every field of this version.
pub(super) const REGISTRY: [(&str, Field); 37] = {
    use CertificateText as C;
    use Field::{Address, Boolean, Integer, Text};
    use TextField::Certificate;
    [
        ("ssl", Boolean(BooleanField::Ssl)),
        ("cf.tls_client_auth.cert_presented", Boolean(BooleanField::CertificatePresented)),
        ("cf.tls_client_auth.cert_verified", Boolean(BooleanField::CertificateVerified)),
        ("cf.tls_client_auth.cert_revoked", Boolean(BooleanField::CertificateRevoked)),
        ("cf.tls_client_auth.cert_rfc9440_too_large", Boolean(BooleanField::LeafTooLarge)),
        ("cf.tls_client_auth.cert_chain_rfc9440_too_large", Boolean(BooleanField::ChainTooLarge)),
        ("tls.resumed", Boolean(BooleanField::Resumed)),
        ("http.host", Text(TextField::Host)),
        ("http.user_agent", Text(TextField::UserAgent)),
        ("http.request.method", Text(TextField::Method)),
        ("http.request.version", Text(TextField::Version)),
        ("http.request.uri", Text(TextField::Uri)),
        ("http.request.uri.path", Text(TextField::Path)),
        ("http.request.uri.query", Text(TextField::Query)),
        ("http.request.full_uri", Text(TextField::FullUri)),
        ("cf.tls_version", Text(TextField::TlsVersion)),
        ("cf.tls_client_auth.cert_issuer_dn", Text(Certificate(C::IssuerDn))),
        ("cf.tls_client_auth.cert_issuer_dn_rfc2253", Text(Certificate(C::IssuerDnRfc2253))),
        ("cf.tls_client_auth.cert_issuer_dn_legacy", Text(Certificate(C::IssuerDnLegacy))),
        ("cf.tls_client_auth.cert_subject_dn", Text(Certificate(C::SubjectDn))),
        ("cf.tls_client_auth.cert_subject_dn_rfc2253", Text(Certificate(C::SubjectDnRfc2253))),
        ("cf.tls_client_auth.cert_subject_dn_legacy", Text(Certificate(C::SubjectDnLegacy))),
        ("cf.tls_client_auth.cert_serial", Text(Certificate(C::Serial))),
        ("cf.tls_client_auth.cert_issuer_serial", Text(Certificate(C::IssuerSerial))),
        ("cf.tls_client_auth.cert_fingerprint_sha256", Text(Certificate(C::FingerprintSha256))),
        ("cf.tls_client_auth.cert_fingerprint_sha1", Text(Certificate(C::FingerprintSha1))),
        ("cf.tls_client_auth.cert_not_before", Text(Certificate(C::NotBefore))),
        ("cf.tls_client_auth.cert_not_after", Text(Certificate(C::NotAfter))),
        ("cf.tls_client_auth.cert_ski", Text(Certificate(C::Ski))),
        ("cf.tls_client_auth.cert_issuer_ski", Text(Certificate(C::IssuerSki))),
        ("cf.tls_client_auth.cert_rfc9440", Text(TextField::LeafRfc9440)),
        ("cf.tls_client_auth.cert_chain_rfc9440", Text(TextField::ChainRfc9440)),
        ("device.id", Text(TextField::DeviceId)),
        ("device.tenant", Text(TextField::DeviceTenant)),
        ("device.name", Text(TextField::DeviceName)),
        ("ip.src", Address(AddressField::Source)),
        ("cf.edge.server_port", Integer(IntegerField::ServerPort)),
    ]
};

/// Fields, functions and words of the language that a later version will know; a trailing `.` stands
/// for everything below.
pub(super) const LATER: [&str; 36] = [
    "http.cookie",
    "http.referer",
    "http.x_forwarded_for",
    "http.request.uri.path.extension",
    "http.request.uri.args",
    "http.request.uri.args.",
    "http.request.headers",
    "http.request.headers.",
    "http.request.cookies",
    "http.request.cookies.",
    "http.request.timestamp.",
    "raw.",
    "cf.tls_cipher",
    "cf.ray_id",
    "device.status",
    "cert.",
    "tls.kx_group",
    "concat",
    "substring",
    "any",
    "all",
    "url_decode",
    "cidr",
    "cidr6",
    "remove_bytes",
    "join",
    "split",
    "to_string",
    "decode_base64",
    "lookup_json_string",
    "lookup_json_integer",
    "sha256",
    "has_key",
    "has_value",
    "true",
    "false",
];

/// What only Cloudflare's network can know.
pub(super) const CLOUDFLARE_ONLY: [&str; 20] = [
    "cf.bot_management.",
    "cf.client.",
    "cf.threat_score",
    "cf.waf.",
    "cf.verified_bot_category",
    "cf.api_gateway.",
    "cf.zone.",
    "cf.worker.",
    "cf.random_seed",
    "cf.metal.",
    "cf.colo.",
    "cf.hostname.",
    "cf.llm.",
    "cf.fraud.",
    "cf.tls_client_hello_",
    "cf.tls_client_random",
    "ip.src.",
    "ip.geoip.",
    "http.request.body.",
    "regex_replace",
];

/// Whether `name` is in a list of names and prefixes.
pub(super) fn is_listed(name: &str, list: &[&str]) -> bool {
    list.iter().any(|listed| name == *listed || (listed.ends_with(['.', '_']) && name.starts_with(listed)))
}

/// The field of that name.
pub(super) fn field(name: &str) -> Option<Field> {
    REGISTRY.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

/// The name of a field.
pub(super) fn name(field: Field) -> &'static str {
    REGISTRY.iter().find(|(_, known)| *known == field).map_or("", |(name, _)| name)
}

impl BooleanField {
    /// Its value.
    pub(super) fn read(self, facts: &RequestFacts<'_>) -> bool {
        match self {
            Self::Ssl => facts.scheme == Scheme::Https,
            Self::CertificatePresented => facts.certificate.presented,
            Self::CertificateVerified => facts.certificate.verified,
            Self::CertificateRevoked => facts.certificate.revoked,
            Self::LeafTooLarge => facts.leaf_rfc9440().is_err(),
            Self::ChainTooLarge => facts.chain_rfc9440().is_err(),
            Self::Resumed => facts.resumption == Resumption::Resumed,
        }
    }
}

impl TextField {
    /// Its value; `None` when the request has none.
    pub(super) fn read<'a>(self, facts: &RequestFacts<'a>) -> Option<Cow<'a, [u8]>> {
        let borrowed = |text: &'a str| Some(Cow::Borrowed(text.as_bytes()));
        match self {
            Self::Host => facts.host.and_then(borrowed),
            Self::UserAgent => facts.user_agent.map(Cow::Borrowed),
            Self::Method => borrowed(facts.method),
            Self::Version => borrowed(facts.version),
            Self::Uri => borrowed(facts.target.path_and_query()),
            Self::Path => borrowed(facts.target.path()),
            Self::Query => borrowed(facts.target.query().unwrap_or_default()),
            Self::FullUri => facts.full_uri(),
            Self::TlsVersion => facts.tls_version.and_then(borrowed),
            Self::Certificate(text) => borrowed(facts.certificate_text(text)),
            Self::LeafRfc9440 => Some(Cow::Owned(facts.leaf_rfc9440().unwrap_or_default().into_bytes())),
            Self::ChainRfc9440 => Some(Cow::Owned(facts.chain_rfc9440().unwrap_or_default().into_bytes())),
            Self::DeviceId => facts.device.map(|device| Cow::Owned(device.uri().into_bytes())),
            Self::DeviceTenant => facts.device.and_then(|device| borrowed(device.tenant().as_str())),
            Self::DeviceName => facts.device.and_then(|device| borrowed(device.device().as_str())),
        }
    }
}

impl IntegerField {
    /// Its value.
    pub(super) fn read(self, facts: &RequestFacts<'_>) -> i64 {
        match self {
            Self::ServerPort => i64::from(facts.server_port),
        }
    }
}

impl AddressField {
    /// Its value; an IPv4 address on an IPv6 socket is an IPv4 address.
    pub(super) fn read(self, facts: &RequestFacts<'_>) -> IpAddr {
        match self {
            Self::Source => facts.source.to_canonical(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_belong_together() {
        for (known, value) in REGISTRY {
            assert_eq!(field(known), Some(value), "{known}");
            assert_eq!(field(name(value)), Some(value), "{known}");
            assert!(!is_listed(known, &LATER) && !is_listed(known, &CLOUDFLARE_ONLY), "{known}");
        }
    }
}
