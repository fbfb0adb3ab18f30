//! Header names that speak about the client: what a client may not say, and what a door says instead.
//!
//! A door calls [`strip_request`] on every request and [`strip_trailers`] on its trailers, on every
//! route, before anything reads them; then [`set_forwarded`] and [`set_identity`] write what the
//! socket and the handshake showed, in the families that the route chose ([`IdentityHeaders`]).

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::ids::RequestId;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE};
use thiserror::Error;

use family::{Families, Family};

pub use cloudflare::CfBlobHeader;
pub use identity::{
    COUNTERSIGN_DEVICE, COUNTERSIGN_GUEST, COUNTERSIGN_TENANT, IdentityFamily, IdentityHeaders,
    IdentityValues, set_identity,
};
pub(crate) use judged::{ClientFacts, Judged};

mod cloudflare;
mod envoy;
mod escape;
mod family;
mod identity;
mod judged;
mod nginx;

/// The request's id, also what `countersign explain` takes.
pub const COUNTERSIGN_REQUEST_ID: HeaderName = HeaderName::from_static("countersign-request-id");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Every header family that hands a client's identity to an application, ours and others'. Names are
/// lower case with `-` for whatever is neither letter nor digit: servers that turn headers into
/// variables (CGI and its heirs) make one name of `Client-Cert`, `client_cert` and `client.cert`.
const IDENTITY: Families = Families::new(&[
    Family::Name("client-cert"),
    Family::Name("client-cert-chain"),
    Family::Name("x-forwarded-client-cert"),
    Family::Prefix("x-forwarded-client-cert-"),
    Family::Prefix("x-forwarded-tls-client-cert"),
    Family::Prefix("x-ssl-"),
    Family::Prefix("ssl-client"),
    Family::Prefix("x-client-cert"),
    Family::Prefix("x-tls-client"),
    Family::Name("x-client-dn"),
    Family::Name("x-client-verify"),
    Family::Prefix("cf-cert-"),
    Family::Prefix("cf-client-cert-"),
    Family::Name("cf-blob"),
    Family::Prefix("cf-blob-"),
    Family::Name("mf-cf-blob"),
    Family::Prefix("x-breeze-client-cert-"),
    Family::Prefix("x-amzn-mtls-"),
    Family::Name("x-arr-clientcert"),
    Family::Prefix("x-arr-clientcert-"),
    Family::Prefix("countersign-"),
]);

/// Headers that say where a request came from: replaced by what the socket says.
const PROVENANCE: Families = Families::new(&[
    Family::Name("forwarded"),
    Family::Prefix("x-forwarded-"),
    Family::Name("x-real-ip"),
    Family::Name("x-forwarded"),
]);

/// Headers about one connection (RFC 9110 section 7.6.1). `Upgrade` is not among them: whoever
/// forwards decides about it, and reads it after this.
const HOP_BY_HOP: Families = Families::new(&[
    Family::Name("connection"),
    Family::Name("keep-alive"),
    Family::Prefix("proxy-"),
    Family::Name("te"),
    Family::Name("transfer-encoding"),
    Family::Name("http2-settings"),
]);

/// Headers that decide what a message means, which a `Connection` header may not take away.
const ESSENTIAL: Families = Families::new(&[
    Family::Name("host"),
    Family::Name("content-length"),
    Family::Name("authorization"),
    Family::Name("cookie"),
]);

/// Fields that may not stand in trailers because they frame or route the message (RFC 9110 section
/// 6.5.1).
const NOT_IN_TRAILERS: Families = Families::new(&[
    Family::Name("host"),
    Family::Name("content-length"),
    Family::Name("content-encoding"),
    Family::Name("trailer"),
    Family::Name("upgrade"),
    Family::Name("authorization"),
]);

/// Why a request's headers are refused, with status 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The `Connection` header names a header that is not the client's to take away.
    #[error("the connection header names {0:?}")]
    NamedByConnection(String),
    /// The `Connection` header is not a list of header names.
    #[error("the connection header is not a list of header names")]
    MalformedConnection,
}

impl HeaderError {
    /// The stable code of the refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NamedByConnection(_) => "CONNECTION_NAMES_HEADER",
            Self::MalformedConnection => "CONNECTION_MALFORMED",
        }
    }
}

/// Whether a header hands a client's identity to an application, in any family's spelling.
#[must_use]
pub fn is_identity_header(name: &HeaderName) -> bool {
    IDENTITY.holds(name.as_str())
}

/// Whether a header says where a request came from, in any spelling.
#[must_use]
pub fn is_provenance_header(name: &HeaderName) -> bool {
    PROVENANCE.holds(name.as_str())
}

/// Removes from a request what a client may not say: every identity and provenance header, and the
/// hop-by-hop headers, of which `TE: trailers` and `Upgrade` stay. Gives how many identity headers
/// there were.
///
/// # Errors
/// Fails closed: a `Connection` header that names an identity header (a proxy behind us would drop
/// ours), a provenance header, or one that the message cannot do without.
pub fn strip_request(headers: &mut HeaderMap) -> Result<usize, HeaderError> {
    let named = named_by_connection(headers)?;
    for name in &named {
        if [IDENTITY, PROVENANCE, ESSENTIAL].iter().any(|families| families.holds(name.as_str())) {
            return Err(HeaderError::NamedByConnection(name.as_str().to_owned()));
        }
    }
    strip_hop(headers, &named);
    let before = headers.len();
    remove(headers, &[&IDENTITY]);
    let identities = before.saturating_sub(headers.len());
    remove(headers, &[&PROVENANCE]);
    Ok(identities)
}

/// What the client claims in `X-Forwarded-For`, all of it; to be read before [`strip_request`].
#[must_use]
pub fn claimed_forwarded_for(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(X_FORWARDED_FOR).iter();
    let first = lines.next()?;
    let mut claimed = first.clone();
    for line in lines {
        let both = [claimed.as_bytes(), b", ", line.as_bytes()].concat();
        claimed = HeaderValue::from_bytes(&both).ok()?;
    }
    Some(claimed)
}

/// Removes from the trailers of a request or answer every identity, provenance, hop-by-hop and
/// framing field.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    remove(trailers, &[&IDENTITY, &PROVENANCE, &HOP_BY_HOP, &NOT_IN_TRAILERS]);
}

/// Removes the hop-by-hop headers of an upstream's answer. A malformed `Connection` header names
/// nothing.
pub fn strip_response(headers: &mut HeaderMap) {
    let named = named_by_connection(headers).unwrap_or_default();
    strip_hop(headers, &named);
}

/// How the client reached the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What the socket (or the PROXY header) says about a request's origin.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The client.
    pub client: SocketAddr,
    /// How it came.
    pub scheme: Scheme,
    /// The host and port it asked for.
    pub host: Option<&'a str>,
    /// The port it came to.
    pub port: u16,
}

/// What is said of an origin, ready to be set: it is the same for all requests that have it.
#[derive(Clone, Debug)]
pub struct Provenance {
    forwarded: Option<HeaderValue>,
    address: Option<HeaderValue>,
    host: Option<HeaderValue>,
    scheme: HeaderValue,
    port: HeaderValue,
}

impl From<&Origin<'_>> for Provenance {
    fn from(origin: &Origin<'_>) -> Self {
        let address = origin.client.ip().to_canonical();
        let scheme = origin.scheme.as_str();
        let node = SocketAddr::new(address, origin.client.port());
        let host = origin.host.filter(|host| host.bytes().all(is_host_byte));
        let forwarded = match host {
            Some(host) => format!("for=\"{node}\";host=\"{host}\";proto={scheme}"),
            None => format!("for=\"{node}\";proto={scheme}"),
        };
        Self {
            forwarded: value(forwarded),
            address: value(address.to_string()),
            host: host.and_then(|host| value(host.to_owned())),
            scheme: HeaderValue::from_static(scheme),
            port: HeaderValue::from(origin.port),
        }
    }
}

/// Replaces `Forwarded` (RFC 7239), `X-Forwarded-{For,Proto,Host,Port}` and `X-Real-IP`.
pub fn set_forwarded(headers: &mut HeaderMap, provenance: &Provenance) {
    remove(headers, &[&PROVENANCE]);
    let Provenance { forwarded, address, host, scheme, port } = provenance;
    headers.insert(X_FORWARDED_PROTO, scheme.clone());
    headers.insert(X_FORWARDED_PORT, port.clone());
    put(headers, FORWARDED, forwarded.as_ref());
    put(headers, X_FORWARDED_FOR, address.as_ref());
    put(headers, X_REAL_IP, address.as_ref());
    put(headers, X_FORWARDED_HOST, host.as_ref());
}

/// A request's id as it stands in a header.
#[must_use]
pub fn id_value(request: RequestId) -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    let text: &str = request.uuid().hyphenated().encode_lower(&mut text);
    // Hex digits and hyphens always are a value.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// A structured-field byte sequence (RFC 9651 section 3.3.5): `:base64:`.
pub(crate) fn byte_sequence(der: &[u8]) -> String {
    let mut text = String::with_capacity(der.len().div_ceil(3).saturating_mul(4).saturating_add(2));
    text.push(':');
    STANDARD.encode_string(der, &mut text);
    text.push(':');
    text
}

/// A structured-field list of byte sequences.
pub(crate) fn byte_sequences(certificates: &[Arc<[u8]>]) -> String {
    certificates.iter().map(|der| byte_sequence(der)).collect::<Vec<_>>().join(", ")
}

/// The text becomes the value without being copied.
pub(crate) fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
}

/// The headers that the `Connection` header names.
fn named_by_connection(headers: &HeaderMap) -> Result<Vec<HeaderName>, HeaderError> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let list = value.to_str().map_err(|_binary| HeaderError::MalformedConnection)?;
        for option in list.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let name = HeaderName::from_bytes(option.as_bytes());
            named.push(name.map_err(|_invalid| HeaderError::MalformedConnection)?);
        }
    }
    Ok(named)
}

fn strip_hop(headers: &mut HeaderMap, named: &[HeaderName]) {
    for name in named.iter().filter(|name| name.as_str() != "upgrade" && *name != TE) {
        headers.remove(name);
    }
    let takes_trailers = headers.get_all(TE).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case("trailers")))
    });
    remove(headers, &[&HOP_BY_HOP]);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn remove(headers: &mut HeaderMap, lists: &[&Families]) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| lists.iter().any(|families| families.holds(name.as_str())))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORGED: [&str; 38] = [
        "Client-Cert",
        "Client-Cert-Chain",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-Verify",
        "X-SSL-Client-Subject",
        "X-SSL-Client-Issuer",
        "X-SSL-Client-Cert",
        "X-SSL-Client-Serial",
        "X-SSL-Client-S-DN",
        "X-SSL-Cert",
        "X-Client-Cert-Subject",
        "X-Client-Cert",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-Tls-Client-Cert-Info",
        "Cf-Cert-Verified",
        "Cf-Cert-Subject-DN",
        "Cf-Client-Cert-DER-Base64",
        "Cf-Client-Cert-SHA256",
        "CF-Blob",
        "CF-Blob-Own",
        "MF-CF-Blob",
        "X-TLS-Client-Subject",
        "SSL-Client-I-DN",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
        "X-Breeze-Client-Cert-Serial",
        "ssl-client-verify",
        "ssl-client-subject-dn",
        "ssl-client-cert",
        "X-Amzn-Mtls-Clientcert",
        "X-Amzn-Mtls-Clientcert-Leaf",
        "X-ARR-ClientCert",
        "X-Client-DN",
        "X-Client-Verify",
        "Countersign-Device",
        "Countersign-Tenant",
        "Countersign-Request-Id",
        "Countersign-Peer",
        "Countersign-Anything",
    ];

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn spellings(name: &str) -> [String; 5] {
        [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.replacen('-', ".", 1),
        ]
    }

    #[test]
    fn every_family_is_stripped_in_every_spelling_and_number() {
        for name in FORGED.iter().flat_map(|name| spellings(name)) {
            let mut headers = map(&[(&name, "forged"), ("accept", "*/*"), (&name, "again")]);
            assert_eq!(strip_request(&mut headers), Ok(2), "{name}");
            assert_eq!(headers, map(&[("accept", "*/*")]), "{name}");
            let mut trailers = map(&[(&name, "forged"), ("grpc-status", "0"), (&name, "again")]);
            strip_trailers(&mut trailers);
            assert_eq!(trailers, map(&[("grpc-status", "0")]), "{name}");
        }
    }

    #[test]
    fn provenance_is_stripped_too() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_Proto",
            "X-Forwarded-Host",
            "X-Real-IP",
            "x_real_ip",
        ] {
            let mut headers = map(&[(name, "1.2.3.4"), (name, "5.6.7.8")]);
            assert_eq!(strip_request(&mut headers), Ok(0), "{name}");
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn ordinary_headers_stay() {
        let ordinary = [
            ("host", "a.example"),
            ("accept", "*/*"),
            ("cf-ray", "1"),
            ("client-certificate-policy", "x"),
            ("x-request-id", "1"),
            ("content-type", "text/plain"),
            ("upgrade", "websocket"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
        ];
        let mut headers = map(&ordinary);
        assert_eq!(strip_request(&mut headers), Ok(0));
        assert_eq!(headers, map(&ordinary));
    }

    #[test]
    fn fails_closed_when_connection_names_what_is_not_the_clients() {
        let others = ["X-Forwarded-For", "Forwarded", "x_real_ip", "Host", "Content-Length", "Authorization"];
        for name in FORGED.into_iter().chain(others).flat_map(spellings) {
            for value in [name.clone(), format!("keep-alive, {name}"), format!("{name},close")] {
                let refused = strip_request(&mut map(&[("connection", &value)]));
                assert!(matches!(refused, Err(HeaderError::NamedByConnection(_))), "{value}");
            }
            let second = map(&[("connection", "close"), ("connection", &name)]);
            assert!(strip_request(&mut second.clone()).is_err(), "{name}");
        }
        for value in ["a b", "(x)", "\u{e9}"] {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            assert_eq!(strip_request(&mut headers), Err(HeaderError::MalformedConnection));
        }
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Trace, upgrade, TE"),
            ("keep-alive", "timeout=5"),
            ("x-trace", "1"),
            ("te", "gzip, Trailers"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "grpc-status"),
        ]);
        assert_eq!(strip_request(&mut headers), Ok(0));
        let left = [("upgrade", "websocket"), ("trailer", "grpc-status"), ("te", "trailers")];
        assert_eq!(headers, map(&left));
        let mut te = map(&[("te", "gzip;q=1")]);
        assert_eq!(strip_request(&mut te), Ok(0));
        assert!(te.is_empty());
    }

    #[test]
    fn answers_lose_their_hop_by_hop_headers_only() {
        let mut headers = map(&[("connection", "x-a"), ("x-a", "1"), ("keep-alive", "1"), ("x-b", "2")]);
        strip_response(&mut headers);
        assert_eq!(headers, map(&[("x-b", "2")]));
    }

    #[test]
    fn trailers_cannot_frame_or_route() {
        let mut trailers = map(&[
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "x"),
            ("connection", "close"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-checksum", "abc"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(trailers, map(&[("x-checksum", "abc")]));
    }

    #[test]
    fn provenance_is_what_the_socket_says() {
        let mut headers =
            map(&[("x-forwarded-for", "6.6.6.6"), ("x_forwarded_for", "6.6.6.6"), ("forwarded", "x")]);
        let client = "[::ffff:192.0.2.7]:4711".parse().unwrap();
        let origin = Origin { client, scheme: Scheme::Https, host: Some("a.example:8443"), port: 8443 };
        set_forwarded(&mut headers, &Provenance::from(&origin));
        let expected = [
            ("forwarded", "for=\"192.0.2.7:4711\";host=\"a.example:8443\";proto=https"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-real-ip", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-host", "a.example:8443"),
        ];
        assert_eq!(headers, map(&expected));
    }

    #[test]
    fn a_host_that_would_break_out_of_its_quotes_is_not_passed_on() {
        let client = "[2001:db8::1]:1".parse().unwrap();
        let origin = Origin { client, scheme: Scheme::Http, host: Some("a\";for=1.1.1.1"), port: 80 };
        let mut headers = HeaderMap::new();
        set_forwarded(&mut headers, &Provenance::from(&origin));
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]:1\";proto=http");
        assert!(!headers.contains_key("x-forwarded-host"));
    }

    proptest! {
        #[test]
        fn what_is_left_belongs_to_no_family(
            names in proptest::collection::vec("[a-zA-Z_.!-]{0,12}|(client|x-ssl|cf-cert|countersign)[_.-][a-z]{1,5}", 0..8)
        ) {
            let mut headers = HeaderMap::new();
            for name in names.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
                headers.append(name, HeaderValue::from_static("keep-alive"));
            }
            if strip_request(&mut headers).is_ok() {
                let mut again = headers.clone();
                prop_assert!(!headers.keys().any(|name| is_identity_header(name) || is_provenance_header(name)));
                prop_assert_eq!(strip_request(&mut again), Ok(0));
                prop_assert_eq!(again, headers);
            }
        }
    }
}
