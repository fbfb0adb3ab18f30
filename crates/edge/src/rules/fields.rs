//! The field registry: a name, its type, and what it is.

use super::ast::{Kind, Scalar};
use super::facts::CertificateText;

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
    HeadersTruncated,
}

/// Whether a part of the request target is read before or after it was normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Normalised,
    /// As the client sent it: `raw.…`.
    Raw,
}

/// A field that is a string of bytes, or missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextField {
    Host,
    UserAgent,
    Cookie,
    Referer,
    ForwardedFor,
    Method,
    Version,
    Uri(Form),
    Path(Form),
    Extension(Form),
    FullUri(Form),
    Query,
    RequestId,
    TlsVersion,
    TlsCipher,
    TlsGroup,
    Certificate(CertificateText),
    LeafRfc9440,
    ChainRfc9440,
    KeyType,
    DeviceId,
    DeviceTenant,
    DeviceName,
    DeviceStatus,
}

/// A field that is a number, or missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum IntegerField {
    ServerPort,
    TimestampSeconds,
    TimestampMilliseconds,
    AgeRatio,
}

/// A field that is an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressField {
    Source,
}

/// A field that is a map from names to arrays of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MapField {
    Headers,
    Arguments,
    Cookies,
}

/// A field that is an array of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ArrayField {
    Names(MapField),
    Values(MapField),
    SanUris,
    SanDnsNames,
    KeyUsages,
}

/// Any field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Boolean(BooleanField),
    Text(TextField),
    Integer(IntegerField),
    Address(AddressField),
    Array(ArrayField),
    Map(MapField),
}

impl Field {
    /// The type of its value.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::One(Scalar::Boolean),
            Self::Text(_) => Kind::One(Scalar::Text),
            Self::Integer(_) => Kind::One(Scalar::Integer),
            Self::Address(_) => Kind::One(Scalar::Address),
            Self::Array(_) => Kind::Array(Scalar::Text),
            Self::Map(_) => Kind::Map,
        }
    }
}

/// A field, its name, and what it is, for the reference page.
type Entry = (&'static str, Field, &'static str);

/// Every field. Names that stand for one value share it; the first is the one that is printed.
pub(super) const REGISTRY: [Entry; 73] = {
    use CertificateText as C;
    use Field::{Address, Array, Boolean, Integer, Map, Text};
    use Form::{Normalised, Raw};
    use MapField::{Arguments, Cookies, Headers};
    use TextField::{Certificate, Extension, FullUri, Path, Uri};
    [
        ("ssl", Boolean(BooleanField::Ssl), "Whether the request came over TLS."),
        (
            "cf.tls_client_auth.cert_presented",
            Boolean(BooleanField::CertificatePresented),
            "A client certificate was presented.",
        ),
        (
            "cf.tls_client_auth.cert_verified",
            Boolean(BooleanField::CertificateVerified),
            "A device CA vouches for it and it is within its dates; stays true for a revoked one.",
        ),
        (
            "cf.tls_client_auth.cert_revoked",
            Boolean(BooleanField::CertificateRevoked),
            "It is revoked, or its device is decommissioned.",
        ),
        (
            "cf.tls_client_auth.cert_rfc9440_too_large",
            Boolean(BooleanField::LeafTooLarge),
            "`cert_rfc9440` would be over 10 KiB, and is empty.",
        ),
        (
            "cf.tls_client_auth.cert_chain_rfc9440_too_large",
            Boolean(BooleanField::ChainTooLarge),
            "`cert_chain_rfc9440` would be over 16 KiB, and is empty.",
        ),
        ("tls.resumed", Boolean(BooleanField::Resumed), "The TLS session was resumed."),
        (
            "http.request.headers.truncated",
            Boolean(BooleanField::HeadersTruncated),
            "Never true: a request with too many headers is refused.",
        ),
        ("http.host", Text(TextField::Host), "The host, in lower case, without a port."),
        ("http.user_agent", Text(TextField::UserAgent), "The header `User-Agent`."),
        ("http.cookie", Text(TextField::Cookie), "The header `Cookie`, all of it."),
        ("http.referer", Text(TextField::Referer), "The header `Referer`."),
        (
            "http.x_forwarded_for",
            Text(TextField::ForwardedFor),
            "The header `X-Forwarded-For` as the client sent it, which proves nothing.",
        ),
        ("http.request.method", Text(TextField::Method), "The method."),
        ("http.request.version", Text(TextField::Version), "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`."),
        ("http.request.uri", Text(Uri(Normalised)), "Path and query."),
        ("http.request.uri.path", Text(Path(Normalised)), "The path, normalised."),
        (
            "http.request.uri.path.extension",
            Text(Extension(Normalised)),
            "What follows the last dot of the path's last part, in lower case; empty when there is none.",
        ),
        ("http.request.uri.query", Text(TextField::Query), "The query without its `?`, as sent."),
        ("http.request.full_uri", Text(FullUri(Normalised)), "Scheme, host, path and query."),
        ("raw.http.request.uri", Text(Uri(Raw)), "Path and query as sent."),
        ("raw.http.request.uri.path", Text(Path(Raw)), "The path as sent."),
        ("raw.http.request.uri.path.extension", Text(Extension(Raw)), "The extension of the path as sent."),
        ("raw.http.request.uri.query", Text(TextField::Query), "The query, which is never changed."),
        ("raw.http.request.full_uri", Text(FullUri(Raw)), "Scheme, host, path and query as sent."),
        ("cf.ray_id", Text(TextField::RequestId), "The id of the request, as in the answer and the log."),
        ("cf.tls_version", Text(TextField::TlsVersion), "`TLSv1.2` or `TLSv1.3`."),
        ("cf.tls_cipher", Text(TextField::TlsCipher), "The cipher suite: `TLS_AES_128_GCM_SHA256`."),
        (
            "tls.kx_group",
            Text(TextField::TlsGroup),
            "The key exchange: `X25519MLKEM768`, `X25519`, `secp256r1`; missing on some resumed sessions.",
        ),
        (
            "cf.tls_client_auth.cert_issuer_dn",
            Text(Certificate(C::IssuerDn)),
            "The issuer, leaf-most name first.",
        ),
        (
            "cf.tls_client_auth.cert_issuer_dn_rfc2253",
            Text(Certificate(C::IssuerDnRfc2253)),
            "The issuer as RFC 2253 writes it.",
        ),
        (
            "cf.tls_client_auth.cert_issuer_dn_legacy",
            Text(Certificate(C::IssuerDnLegacy)),
            "The issuer in the slash form.",
        ),
        (
            "cf.tls_client_auth.cert_subject_dn",
            Text(Certificate(C::SubjectDn)),
            "The subject, leaf-most name first.",
        ),
        (
            "cf.tls_client_auth.cert_subject_dn_rfc2253",
            Text(Certificate(C::SubjectDnRfc2253)),
            "The subject as RFC 2253 writes it.",
        ),
        (
            "cf.tls_client_auth.cert_subject_dn_legacy",
            Text(Certificate(C::SubjectDnLegacy)),
            "The subject in the slash form.",
        ),
        (
            "cf.tls_client_auth.cert_serial",
            Text(Certificate(C::Serial)),
            "The serial number, upper-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_issuer_serial",
            Text(Certificate(C::IssuerSerial)),
            "The issuer's serial number, upper-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_fingerprint_sha256",
            Text(Certificate(C::FingerprintSha256)),
            "SHA-256 of the certificate, lower-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_fingerprint_sha1",
            Text(Certificate(C::FingerprintSha1)),
            "SHA-1 of the certificate, lower-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_not_before",
            Text(Certificate(C::NotBefore)),
            "Its first moment: `Mar 21 13:35:00 2022 GMT`.",
        ),
        (
            "cf.tls_client_auth.cert_not_after",
            Text(Certificate(C::NotAfter)),
            "Its last moment: `Mar 21 13:35:00 2023 GMT`.",
        ),
        (
            "cf.tls_client_auth.cert_ski",
            Text(Certificate(C::Ski)),
            "Its subject key identifier, upper-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_issuer_ski",
            Text(Certificate(C::IssuerSki)),
            "The issuer's subject key identifier, upper-case hex.",
        ),
        (
            "cf.tls_client_auth.cert_rfc9440",
            Text(TextField::LeafRfc9440),
            "The certificate as RFC 9440 writes it.",
        ),
        (
            "cf.tls_client_auth.cert_chain_rfc9440",
            Text(TextField::ChainRfc9440),
            "The rest of the chain as RFC 9440 writes it.",
        ),
        ("cert.key_type", Text(TextField::KeyType), "`P-256`, `P-384`, `Ed25519`, `RSA-2048`."),
        (
            "cert.age_ratio",
            Integer(IntegerField::AgeRatio),
            "How much of the certificate's life has passed, in per cent; over 100 when it has ended.",
        ),
        ("cert.san.uri", Array(ArrayField::SanUris), "The URIs that it names."),
        ("cert.san.dns", Array(ArrayField::SanDnsNames), "The DNS names that it names."),
        ("cert.eku", Array(ArrayField::KeyUsages), "What it is for: `clientAuth`, or an object identifier."),
        ("device.id", Text(TextField::DeviceId), "`spiffe://…/tenant/…/device/…`."),
        ("device.tenant", Text(TextField::DeviceTenant), "The device's tenant."),
        ("device.name", Text(TextField::DeviceName), "The device's name."),
        (
            "device.status",
            Text(TextField::DeviceStatus),
            "`valid`, `pending`, `superseded`, `expired`, `not_yet_valid`, `revoked`, `quarantined`, \
             `decommissioned`, `tenant_suspended`, `unproved`.",
        ),
        ("ip.src", Address(AddressField::Source), "The client's address."),
        ("cf.edge.server_port", Integer(IntegerField::ServerPort), "The door's port."),
        (
            "http.request.timestamp.sec",
            Integer(IntegerField::TimestampSeconds),
            "When the request came, in seconds since 1970.",
        ),
        (
            "http.request.timestamp.msec",
            Integer(IntegerField::TimestampMilliseconds),
            "The milliseconds of that moment, 0 to 999.",
        ),
        (
            "http.request.headers",
            Map(Headers),
            "The headers, names in lower case, without those that only a door may set.",
        ),
        ("http.request.headers.names", Array(ArrayField::Names(Headers)), "Their names."),
        ("http.request.headers.values", Array(ArrayField::Values(Headers)), "Their values."),
        ("raw.http.request.headers", Map(Headers), "The same."),
        ("raw.http.request.headers.names", Array(ArrayField::Names(Headers)), "The same."),
        ("raw.http.request.headers.values", Array(ArrayField::Values(Headers)), "The same."),
        ("http.request.uri.args", Map(Arguments), "The arguments of the query, nothing decoded."),
        ("http.request.uri.args.names", Array(ArrayField::Names(Arguments)), "Their names."),
        ("http.request.uri.args.values", Array(ArrayField::Values(Arguments)), "Their values."),
        ("raw.http.request.uri.args", Map(Arguments), "The same."),
        ("raw.http.request.uri.args.names", Array(ArrayField::Names(Arguments)), "The same."),
        ("raw.http.request.uri.args.values", Array(ArrayField::Values(Arguments)), "The same."),
        ("http.request.cookies", Map(Cookies), "The cookies; names are URL-decoded, values are as sent."),
        ("http.request.cookies.names", Array(ArrayField::Names(Cookies)), "Their names."),
        ("http.request.cookies.values", Array(ArrayField::Values(Cookies)), "Their values."),
    ]
};

/// What only Cloudflare's network can know, or only its other products can do; a trailing `.` or `_`
/// stands for everything below.
pub(super) const CLOUDFLARE_ONLY: [&str; 45] = [
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
    "cf.fraud_",
    "cf.fraud.",
    "cf.image.",
    "cf.bot_detection.",
    "cf.edge.client_",
    "cf.edge.server_ip",
    "cf.edge.l4.",
    "cf.intel.",
    "cf.open_proxies",
    "cf.anonymizer",
    "cf.botnetcc",
    "cf.malware",
    "cf.vpn",
    "cf.response.",
    "cf.tls_client_hello_",
    "cf.tls_client_random",
    "cf.tls_client_extensions_",
    "cf.tls_client_ciphers_",
    "cf.tls_ciphers_",
    "cf.timings.",
    "ip.src.",
    "ip.geoip.",
    "http.request.body.",
    "http.request.jwt.",
    "http.request.accepted_languages",
    "http.response.",
    "is_timed_hmac_valid_v0",
    "regex_replace",
    "wildcard_replace",
    "remove_query_args",
    "uuidv4",
    "bit_slice",
];

/// Whether only Cloudflare has it.
pub(super) fn is_cloudflares(name: &str) -> bool {
    CLOUDFLARE_ONLY
        .iter()
        .any(|listed| name == *listed || (listed.ends_with(['.', '_']) && name.starts_with(listed)))
}

/// The field of that name.
pub(super) fn field(name: &str) -> Option<Field> {
    REGISTRY.iter().find(|(known, ..)| *known == name).map(|(_, field, _)| *field)
}

/// The name of a field.
pub(super) fn name(field: Field) -> &'static str {
    REGISTRY.iter().find(|(_, known, _)| *known == field).map_or("", |(name, ..)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_belong_together() {
        let mut names = std::collections::HashSet::new();
        for (known, value, summary) in REGISTRY {
            assert_eq!(field(known), Some(value), "{known}");
            assert_eq!(field(name(value)), Some(value), "{known}");
            assert!(!is_cloudflares(known) && summary.ends_with('.') && names.insert(known), "{known}");
        }
    }
}
