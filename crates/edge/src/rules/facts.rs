//! What rules are evaluated on.

use std::borrow::Cow;
use std::net::IpAddr;

use countersign_core::Identity;
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_core::time::Timestamp;
use countersign_tls::Peer;

use crate::headers::{Scheme, byte_sequence, byte_sequences};
use crate::url::NormalisedPath;

/// One request, as rules see it. Whatever costs work is worked out only when a rule asks for it.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
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
    /// `http.user_agent`, the bytes as sent: text that is not UTF-8 must not hide from a rule.
    pub user_agent: Option<&'a [u8]>,
    /// `ip.src`.
    pub source: IpAddr,
    /// `cf.edge.server_port`.
    pub server_port: u16,
    /// `cf.tls_version`: `TLSv1.3`; `None` without TLS.
    pub tls_version: Option<&'a str>,
    /// `tls.resumed`.
    pub resumption: Resumption,
    /// The Booleans of `cf.tls_client_auth`.
    pub certificate: CertificateState,
    /// The strings of `cf.tls_client_auth`; `None`: no certificate, and they are empty.
    pub texts: Option<&'a dyn CertificateTexts>,
    /// `device.*`: whom the certificate names, if a device CA of ours vouches for it.
    pub device: Option<&'a Identity>,
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

impl CertificateState {
    /// The state of what a peer presented, judged at `now`.
    ///
    /// Fails closed: a foreign certificate is not verified, and neither is one outside its dates,
    /// whatever graver verdict it has.
    #[must_use]
    pub fn judged(peer: &Peer, standing: Option<Standing>, now: Timestamp) -> Self {
        Self::of(peer.is_presented(), peer.claim(), standing, now)
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
        Self { presented, verified: vouched && in_time, revoked }
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

/// What a certificate says, asked for one text at a time.
pub trait CertificateTexts {
    /// One text; empty when the certificate lacks it.
    fn text(&self, text: CertificateText) -> &str;
    /// The chain as it was presented, leaf first, DER.
    fn chain_der(&self) -> &[Box<[u8]>];
}

impl CertificateTexts for Peer {
    fn text(&self, text: CertificateText) -> &str {
        let Some(leaf) = self.leaf() else { return "" };
        match text {
            CertificateText::IssuerDn => &leaf.issuer_dn,
            CertificateText::IssuerDnRfc2253 => &leaf.issuer_dn_rfc2253,
            CertificateText::IssuerDnLegacy => &leaf.issuer_dn_legacy,
            CertificateText::SubjectDn => &leaf.subject_dn,
            CertificateText::SubjectDnRfc2253 => &leaf.subject_dn_rfc2253,
            CertificateText::SubjectDnLegacy => &leaf.subject_dn_legacy,
            CertificateText::Serial => &leaf.serial,
            CertificateText::IssuerSerial => &leaf.issuer_serial,
            CertificateText::FingerprintSha256 => &leaf.fingerprint_sha256,
            CertificateText::FingerprintSha1 => &leaf.fingerprint_sha1,
            CertificateText::NotBefore => &leaf.not_before_text,
            CertificateText::NotAfter => &leaf.not_after_text,
            CertificateText::Ski => &leaf.ski,
            CertificateText::IssuerSki => &leaf.issuer_ski,
        }
    }

    fn chain_der(&self) -> &[Box<[u8]>] {
        Self::chain_der(self)
    }
}

/// The longest `cert_rfc9440`, in bytes; a longer one is empty and flagged.
/// Source: Cloudflare's fields reference.
const LEAF_LIMIT: usize = 10 * 1024;
/// The longest `cert_chain_rfc9440`, in bytes.
const CHAIN_LIMIT: usize = 16 * 1024;

impl<'a> RequestFacts<'a> {
    /// `http.request.full_uri`.
    pub(super) fn full_uri(&self) -> Option<Cow<'a, [u8]>> {
        let (scheme, uri) = (self.scheme.as_str(), self.target.path_and_query());
        self.host.map(|host| Cow::Owned(format!("{scheme}://{host}{uri}").into_bytes()))
    }

    /// One of the certificate's texts; empty when there is no certificate, as at Cloudflare, so that
    /// `ne` holds for a client without one.
    pub(super) fn certificate_text(&self, text: CertificateText) -> &'a str {
        self.texts.map_or("", |texts| texts.text(text))
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

    fn chain(&self) -> &'a [Box<[u8]>] {
        self.texts.map_or(&[], CertificateTexts::chain_der)
    }
}

/// An RFC 9440 text beyond its limit.
pub(super) struct TooLarge;

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
