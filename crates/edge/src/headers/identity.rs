//! What an upstream is told about whoever is on the other side of the handshake.

use std::str::FromStr;

use countersign_core::Identity;
use countersign_core::guest::GuestClaim;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::cloudflare::{self, CfBlobHeader};
use super::judged::{ClientFacts, Judged};
use super::{COUNTERSIGN_REQUEST_ID, IDENTITY, byte_sequence, envoy, nginx, put, remove, value};

/// The device's name within its tenant.
pub const COUNTERSIGN_DEVICE: HeaderName = HeaderName::from_static("countersign-device");
/// The device's tenant.
pub const COUNTERSIGN_TENANT: HeaderName = HeaderName::from_static("countersign-tenant");
/// Whose guest the client is, where one is admitted: `services` or `trust:<name>`.
pub const COUNTERSIGN_GUEST: HeaderName = HeaderName::from_static("countersign-guest");
/// The client's certificate (RFC 9440 section 2.2).
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// The rest of the client's chain (RFC 9440 section 2.3).
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// A way to tell an application about the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityFamily {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    Rfc9440,
    /// Envoy's `X-Forwarded-Client-Cert`.
    Xfcc,
    /// `X-SSL-Client-{Verify,Subject,Issuer,Serial,Cert}`, as nginx configurations name nginx's variables.
    Nginx,
    /// `Cf-Cert-*`, as Cloudflare's managed transform sets them.
    CfCert,
    /// Workers' `request.cf`, as JSON in one header.
    CfBlob,
}

impl IdentityFamily {
    /// Every family with its name in configurations.
    pub const ALL: [(&'static str, Self); 5] = [
        ("rfc9440", Self::Rfc9440),
        ("xfcc", Self::Xfcc),
        ("nginx", Self::Nginx),
        ("cf-cert", Self::CfCert),
        ("cf-blob", Self::CfBlob),
    ];
}

impl FromStr for IdentityFamily {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _family)| *name == text);
        found.map(|(_name, family)| *family).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _family)| name).join(", ");
            let shown: String = text.chars().take(160).collect();
            format!("not a family of identity headers ({names}): {shown:?}")
        })
    }
}

/// The families in which a route tells its upstream about the client.
///
/// `Countersign-Tenant`, `Countersign-Device` and `Countersign-Request-Id` are set whatever is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    rfc9440: bool,
    /// Without RFC 9440's, each once.
    others: Vec<IdentityFamily>,
    cf_blob: CfBlobHeader,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self::new([IdentityFamily::Rfc9440], CfBlobHeader::default())
    }
}

impl IdentityHeaders {
    /// These families; `cf_blob` is the header that [`IdentityFamily::CfBlob`] fills.
    pub fn new(families: impl IntoIterator<Item = IdentityFamily>, cf_blob: CfBlobHeader) -> Self {
        let mut others: Vec<_> = families.into_iter().collect();
        others.sort_unstable();
        others.dedup();
        let before = others.len();
        others.retain(|family| *family != IdentityFamily::Rfc9440);
        Self { rfc9440: others.len() < before, others, cf_blob }
    }

    /// Whether RFC 9440's two headers are among them.
    #[must_use]
    pub const fn has_rfc9440(&self) -> bool {
        self.rfc9440
    }

    /// Whether any other family is.
    #[must_use]
    pub fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// What the other families say of a client: the same for all requests of a connection that are judged
    /// alike.
    pub(crate) fn others(&self, facts: &ClientFacts<'_>, judged: Judged) -> Vec<(HeaderName, HeaderValue)> {
        let mut said = Vec::new();
        for family in &self.others {
            match family {
                IdentityFamily::Rfc9440 => {}
                IdentityFamily::Xfcc => said.extend(envoy::header(facts, judged)),
                IdentityFamily::Nginx => said.extend(nginx::headers(facts, judged)),
                IdentityFamily::CfCert => said.extend(cloudflare::cert_headers(facts, judged)),
                IdentityFamily::CfBlob => said.extend(cloudflare::blob(&self.cf_blob, facts, judged)),
            }
        }
        said
    }
}

/// What a door tells an upstream about a device or a guest, from the handshake alone, ready to be set: it is
/// the same for all requests over a connection.
#[derive(Clone, Debug)]
pub struct IdentityValues {
    tenant: Option<HeaderValue>,
    device: Option<HeaderValue>,
    guest: Option<HeaderValue>,
    leaf: Option<HeaderValue>,
    issuer: Option<HeaderValue>,
}

impl IdentityValues {
    /// For a device, its certificate, and the certificate of the device CA that vouches for it: ours, not
    /// one that the client sent. DER both.
    #[must_use]
    pub fn new(identity: &Identity, leaf: Option<&[u8]>, issuer: Option<&[u8]>) -> Self {
        Self {
            tenant: value(identity.tenant().as_str().to_owned()),
            device: value(identity.device().as_str().to_owned()),
            guest: None,
            leaf: leaf.map(byte_sequence).and_then(value),
            issuer: issuer.map(byte_sequence).and_then(value),
        }
    }

    /// For a guest and its certificate: nothing that names a device.
    #[must_use]
    pub fn guest(claim: &GuestClaim, leaf: Option<&[u8]>) -> Self {
        Self {
            tenant: None,
            device: None,
            guest: value(claim.of.to_string()),
            leaf: leaf.map(byte_sequence).and_then(value),
            issuer: value(byte_sequence(&claim.issuer)),
        }
    }
}

/// Replaces every identity header by our own `Countersign-*` and, if they are `chosen`, `Client-Cert` and
/// `Client-Cert-Chain` (RFC 9440: the CA that vouches for it, and nothing that merely followed the leaf in the
/// handshake). `None`: nobody was admitted, and no certificate is passed on either.
pub fn set_identity(
    headers: &mut HeaderMap,
    request: &HeaderValue,
    client: Option<&IdentityValues>,
    chosen: &IdentityHeaders,
) {
    remove(headers, &[&IDENTITY]);
    headers.insert(COUNTERSIGN_REQUEST_ID, request.clone());
    let Some(IdentityValues { tenant, device, guest, leaf, issuer }) = client else { return };
    put(headers, COUNTERSIGN_TENANT, tenant.as_ref());
    put(headers, COUNTERSIGN_DEVICE, device.as_ref());
    put(headers, COUNTERSIGN_GUEST, guest.as_ref());
    if chosen.has_rfc9440() {
        put(headers, CLIENT_CERT, leaf.as_ref());
        put(headers, CLIENT_CERT_CHAIN, issuer.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::super::id_value;
    use super::*;
    use countersign_core::ids::RequestId;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let parsed = pairs.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        parsed.collect()
    }

    #[test]
    fn identity_is_what_the_handshake_showed() {
        let identity = Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap();
        let request: RequestId = "6f1c4f2e-8a53-4b0e-9a4f-2f8a5d3c1b00".parse().unwrap();
        let mut headers =
            map(&[("client-cert", "forged"), ("client_cert", "forged"), ("countersign-peer", "x")]);
        let (leaf, issuer) = (Some(&[1, 2, 3][..]), Some(&[4][..]));
        let values = IdentityValues::new(&identity, leaf, issuer);
        let id_header = id_value(request);
        let usual = IdentityHeaders::default();
        set_identity(&mut headers, &id_header, Some(&values), &usual);
        let id = request.to_string();
        let expected = [
            ("countersign-request-id", id.as_str()),
            ("countersign-tenant", "acme"),
            ("countersign-device", "d1"),
            ("client-cert", ":AQID:"),
            ("client-cert-chain", ":BA==:"),
        ];
        assert_eq!(headers, map(&expected));
        let none = IdentityHeaders::new([], CfBlobHeader::default());
        set_identity(&mut headers, &id_header, Some(&values), &none);
        assert_eq!(headers, map(&expected[..3]), "a family that is not chosen is not set");
        set_identity(&mut headers, &id_header, None, &usual);
        assert_eq!(headers, map(&expected[..1]));
    }

    #[test]
    fn every_family_has_one_name() {
        for (name, family) in IdentityFamily::ALL {
            assert_eq!(name.parse(), Ok(family));
        }
        for bad in ["", "RFC9440", "cf_blob", "x-ssl"] {
            assert!(bad.parse::<IdentityFamily>().is_err(), "{bad}");
        }
    }
}
