//! What rules are evaluated on.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::Identity;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_core::time::Timestamp;
use countersign_tls::{LeafDetails, Peer};
use http::HeaderMap;

use crate::headers::{Scheme, byte_sequence, byte_sequences};
use crate::url::NormalisedPath;

/// One request, as rules see it. Whatever costs work is worked out only when a rule asks for it.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// `cf.ray_id`.
    pub request_id: RequestId,
    /// `http.request.timestamp.sec`, and what `cert.age_ratio` is judged by.
    pub now: Timestamp,
    /// `http.request.method`.
    pub method: &'a str,
    /// `http.request.version`: `HTTP/1.1`, `HTTP/2`.
    pub version: &'a str,
    /// `ssl`, and the start of `http.request.full_uri`.
    pub scheme: Scheme,
    /// `http.host`: lower case, without a port, so that one host has one spelling.
    pub host: Option<&'a str>,
    /// `http.request.uri` and its parts, normalised.
    pub target: &'a NormalisedPath,
    /// `raw.http.request.uri`: path and query as the client sent them.
    pub raw_target: &'a str,
    /// `http.request.headers` and the fields of single headers, the bytes as sent: text that is not
    /// UTF-8 must not hide from a rule.
    pub headers: &'a HeaderMap,
    /// `http.x_forwarded_for`: what the client claimed, before the door took it away.
    pub forwarded_for: Option<&'a [u8]>,
    /// `ip.src`.
    pub source: IpAddr,
    /// `cf.edge.server_port`.
    pub server_port: u16,
    /// What was agreed in the TLS handshake; `None` without TLS.
    pub tls: Option<TlsFacts<'a>>,
    /// The Booleans of `cf.tls_client_auth`.
    pub certificate: CertificateState,
    /// The texts of `cf.tls_client_auth` and `cert.*`; `None`: no certificate, and they are empty.
    pub presented: Option<&'a dyn PresentedCertificate>,
    /// `device.*`: whom the certificate names, if a device CA of ours vouches for it.
    pub device: Option<&'a Identity>,
    /// `device.status`.
    pub standing: Option<Standing>,
}

/// What was agreed in a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    /// `cf.tls_version`: `TLSv1.3`.
    pub version: &'a str,
    /// `cf.tls_cipher`: `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'a str,
    /// `tls.kx_group`; `None` on a session that was resumed without one.
    pub group: Option<&'a str>,
    /// `tls.resumed`.
    pub resumption: Resumption,
}

impl TlsFacts<'static> {
    /// What was agreed with a peer.
    #[must_use]
    pub fn of(peer: &Peer) -> Self {
        Self {
            version: peer.protocol().as_str(),
            cipher: peer.cipher(),
            group: peer.key_exchange(),
            resumption: if peer.is_resumed() { Resumption::Resumed } else { Resumption::Full },
        }
    }
}

/// Whether the TLS session is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Resumption {
    /// A full handshake.
    #[default]
    Full,
    /// An earlier session's.
    Resumed,
}

/// The Booleans of `cf.tls_client_auth`. The default: no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct CertificateState {
    /// One was presented.
    pub presented: bool,
    /// A device CA of ours vouches for it and it is within its dates; stays true when it was
    /// revoked, as at Cloudflare.
    pub verified: bool,
    /// It was revoked, or its device is decommissioned.
    pub revoked: bool,
}

/// Whether a certificate is within its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validity {
    /// It is.
    Running,
    /// It is not.
    Outside,
}

impl CertificateState {
    /// The state of what a peer presented, judged at `now`.
    ///
    /// Fails closed: a foreign certificate is not verified, and neither is one outside its dates,
    /// whatever graver verdict it has.
    #[must_use]
    pub fn judged(peer: &Peer, standing: Option<Standing>, now: Timestamp) -> Self {
        Self::of(peer.is_presented(), peer.claim(), standing, now)
    }

    /// The state of a certificate of this standing, within its dates or not.
    #[must_use]
    pub const fn standing(standing: Standing, validity: Validity) -> Self {
        let (vouched, revoked) = match standing {
            Standing::Valid
            | Standing::Pending
            | Standing::Superseded
            | Standing::Quarantined
            | Standing::TenantSuspended => (true, false),
            Standing::Revoked | Standing::Decommissioned => (true, true),
            Standing::Expired | Standing::NotYetValid | Standing::Unproved | Standing::Foreign => {
                (false, false)
            }
        };
        Self { presented: true, verified: vouched && matches!(validity, Validity::Running), revoked }
    }

    fn of(
        presented: bool,
        claim: Option<&CertificateClaim>,
        standing: Option<Standing>,
        now: Timestamp,
    ) -> Self {
        let (Some(claim), Some(standing)) = (claim, standing) else {
            return Self { presented, verified: false, revoked: false };
        };
        let in_time = claim.not_before <= now && now <= claim.not_after;
        let validity = if in_time { Validity::Running } else { Validity::Outside };
        Self { presented, ..Self::standing(standing, validity) }
    }
}

/// One string of `cf.tls_client_auth`, in the formats Cloudflare writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the field that it is")]
pub enum CertificateText {
    IssuerDn,
    IssuerDnRfc2253,
    IssuerDnLegacy,
    SubjectDn,
    SubjectDnRfc2253,
    SubjectDnLegacy,
    Serial,
    IssuerSerial,
    FingerprintSha256,
    FingerprintSha1,
    NotBefore,
    NotAfter,
    Ski,
    IssuerSki,
}

impl CertificateText {
    fn of(self, leaf: &LeafDetails) -> &str {
        match self {
            Self::IssuerDn => &leaf.issuer_dn,
            Self::IssuerDnRfc2253 => &leaf.issuer_dn_rfc2253,
            Self::IssuerDnLegacy => &leaf.issuer_dn_legacy,
            Self::SubjectDn => &leaf.subject_dn,
            Self::SubjectDnRfc2253 => &leaf.subject_dn_rfc2253,
            Self::SubjectDnLegacy => &leaf.subject_dn_legacy,
            Self::Serial => &leaf.serial,
            Self::IssuerSerial => &leaf.issuer_serial,
            Self::FingerprintSha256 => &leaf.fingerprint_sha256,
            Self::FingerprintSha1 => &leaf.fingerprint_sha1,
            Self::NotBefore => &leaf.not_before_text,
            Self::NotAfter => &leaf.not_after_text,
            Self::Ski => &leaf.ski,
            Self::IssuerSki => &leaf.issuer_ski,
        }
    }
}

/// A certificate that was presented, read when a rule asks for it.
pub trait PresentedCertificate {
    /// What it says; `None` when it cannot be read.
    fn leaf(&self) -> Option<&LeafDetails>;
    /// The chain as it was presented, leaf first, DER.
    fn chain_der(&self) -> &[Arc<[u8]>];
}

impl PresentedCertificate for Peer {
    fn leaf(&self) -> Option<&LeafDetails> {
        Self::leaf(self)
    }

    fn chain_der(&self) -> &[Arc<[u8]>] {
        Self::chain_der(self)
    }
}

/// The longest `cert_rfc9440`, in bytes; a longer one is empty and flagged.
/// Source: Cloudflare's fields reference.
const LEAF_LIMIT: usize = 10 * 1024;
/// The longest `cert_chain_rfc9440`, in bytes.
const CHAIN_LIMIT: usize = 16 * 1024;

impl<'a> RequestFacts<'a> {
    /// Scheme and host before a path and query.
    pub(super) fn full_uri(&self, uri: &str) -> Option<Cow<'a, [u8]>> {
        let scheme = self.scheme.as_str();
        self.host.map(|host| Cow::Owned(format!("{scheme}://{host}{uri}").into_bytes()))
    }

    /// What the certificate says, if one was presented that can be read.
    pub(super) fn leaf(&self) -> Option<&'a LeafDetails> {
        self.presented.and_then(PresentedCertificate::leaf)
    }

    /// How much of the certificate's life has passed, in per cent.
    pub(super) fn age_ratio(&self) -> Option<i64> {
        let leaf = self.leaf()?;
        let life = leaf.not_after.millis().checked_sub(leaf.not_before.millis()).filter(|life| *life > 0)?;
        let age = self.now.millis().checked_sub(leaf.not_before.millis())?;
        age.checked_mul(100)?.checked_div(life)
    }

    /// One of the certificate's texts; empty when there is no certificate, as at Cloudflare, so that
    /// `ne` holds for a client without one.
    pub(super) fn certificate_text(&self, text: CertificateText) -> &'a str {
        self.leaf().map_or("", |leaf| text.of(leaf))
    }

    /// The leaf as RFC 9440 writes it, if it is not too large.
    pub(super) fn leaf_rfc9440(&self) -> Result<String, TooLarge> {
        let leaf = self.chain().first().map(|leaf| byte_sequence(leaf)).unwrap_or_default();
        if leaf.len() > LEAF_LIMIT { Err(TooLarge) } else { Ok(leaf) }
    }

    /// The rest of the chain as RFC 9440 writes it, if it is not too large.
    pub(super) fn chain_rfc9440(&self) -> Result<String, TooLarge> {
        let chain = byte_sequences(self.chain().get(1..).unwrap_or_default());
        if chain.len() > CHAIN_LIMIT { Err(TooLarge) } else { Ok(chain) }
    }

    fn chain(&self) -> &'a [Arc<[u8]>] {
        self.presented.map_or(&[], PresentedCertificate::chain_der)
    }
}

/// An RFC 9440 text beyond its limit.
pub(super) struct TooLarge;

/// `device.status`.
pub(super) const fn status_text(standing: Standing) -> Option<&'static str> {
    Some(match standing {
        Standing::Valid => "valid",
        Standing::Pending => "pending",
        Standing::Superseded => "superseded",
        Standing::Expired => "expired",
        Standing::NotYetValid => "not_yet_valid",
        Standing::Revoked => "revoked",
        Standing::Quarantined => "quarantined",
        Standing::Decommissioned => "decommissioned",
        Standing::TenantSuspended => "tenant_suspended",
        Standing::Unproved => "unproved",
        Standing::Foreign => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verified_needs_dates_and_stays_true_when_revoked() {
        let claim = CertificateClaim {
            reference: countersign_core::ids::CertificateRef {
                issuer: [1; 32].into(),
                serial: "01".parse().unwrap(),
            },
            identity: Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap(),
            spki: [2; 32].into(),
            not_before: Timestamp::from_secs(0),
            not_after: Timestamp::from_secs(100),
        };
        let state = |standing, second| {
            let state =
                CertificateState::of(true, Some(&claim), Some(standing), Timestamp::from_secs(second));
            (state.verified, state.revoked)
        };
        assert_eq!(state(Standing::Valid, 50), (true, false));
        assert_eq!(state(Standing::Revoked, 50), (true, true));
        assert_eq!(state(Standing::Decommissioned, 50), (true, true));
        assert_eq!(state(Standing::Quarantined, 50), (true, false));
        assert_eq!(state(Standing::Quarantined, 101), (false, false));
        assert_eq!(state(Standing::Revoked, 101), (false, true));
        assert_eq!(state(Standing::Foreign, 50), (false, false));
        let untrusted = CertificateState::of(true, None, None, Timestamp::from_secs(1));
        assert_eq!(untrusted, CertificateState { presented: true, verified: false, revoked: false });
    }
}
