//! What is known of a client, and what it amounts to, before any family writes it down.

use countersign_core::snapshot::Standing;
use countersign_tls::{LeafDetails, Peer, UntrustedReason};

use crate::admit::Admitted;

/// What the handshake showed.
#[derive(Clone, Debug)]
pub(crate) struct ClientFacts<'a> {
    /// Whether a certificate was shown at all.
    pub(crate) presented: bool,
    /// The leaf's texts.
    pub(crate) details: Option<&'a LeafDetails>,
    /// The leaf, DER.
    pub(crate) leaf: Option<&'a [u8]>,
    /// The certificate of the CA that vouches for it, DER.
    pub(crate) issuer: Option<&'a [u8]>,
    /// `TLSv1.3`.
    pub(crate) tls_version: &'static str,
    /// The cipher suite's IANA name.
    pub(crate) cipher: &'static str,
    /// The SAN URIs of the certificate that the door shows.
    pub(crate) door: Vec<String>,
    /// Whether the connection is HTTP/2.
    pub(crate) http: ClientHttp,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientHttp {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl<'a> From<&'a Peer> for ClientFacts<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self {
            presented: peer.is_presented(),
            details: peer.leaf(),
            leaf: peer.chain_der().first().map(AsRef::as_ref),
            issuer: peer.issuer_der(),
            tls_version: peer.protocol().as_str(),
            cipher: peer.cipher(),
            door: peer.door_uris(),
            http: if peer.alpn() == Some(b"h2") { ClientHttp::Http2 } else { ClientHttp::Http1 },
        }
    }
}

/// The verdict on a certificate, as applications are told it.
///
/// Only a certificate in good standing is `SUCCESS`; unlike in rules, a revoked one is not. Of a
/// certificate that proves nothing the application hears that it failed, and none of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// None was shown.
    Nothing,
    /// In good standing.
    Good,
    /// Proved and not in good standing, on a path where the application decides.
    Fallen(Standing),
    /// Shown, and nothing that may be passed on.
    Failed(Option<UntrustedReason>),
}

impl Judged {
    /// Of an admitted request.
    pub(crate) fn of(admitted: &Admitted) -> Self {
        let peer = admitted.peer();
        match (admitted.may_be_told(), admitted.standing()) {
            (true, Some(Standing::Valid | Standing::Pending)) => Self::Good,
            (true, Some(fallen)) => Self::Fallen(fallen),
            _ if peer.is_presented() => Self::Failed(peer.untrusted()),
            _ => Self::Nothing,
        }
    }

    /// `SUCCESS`, `NONE` or `FAILED:…`, as nginx and Workers write it.
    pub(super) const fn verify(self) -> &'static str {
        match self {
            Self::Nothing => "NONE",
            Self::Good => "SUCCESS",
            Self::Fallen(Standing::Expired) => "FAILED:certificate has expired",
            Self::Fallen(Standing::NotYetValid) => "FAILED:certificate is not yet valid",
            Self::Fallen(Standing::Revoked | Standing::Decommissioned) => "FAILED:certificate revoked",
            Self::Failed(Some(UntrustedReason::UnknownIssuer)) => {
                "FAILED:unable to verify the first certificate"
            }
            Self::Fallen(_) | Self::Failed(_) => "FAILED",
        }
    }

    pub(super) const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    pub(super) const fn is_revoked(self) -> bool {
        matches!(self, Self::Fallen(Standing::Revoked | Standing::Decommissioned))
    }

    /// What may be said of the certificate.
    pub(super) const fn details<'a>(self, facts: &ClientFacts<'a>) -> Option<&'a LeafDetails> {
        match self {
            Self::Good | Self::Fallen(_) => facts.details,
            Self::Nothing | Self::Failed(_) => None,
        }
    }
}
