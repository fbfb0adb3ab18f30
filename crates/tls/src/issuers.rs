//! The device CAs of a trust snapshot, parsed once per change of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use countersign_core::ids::{IssuerKeyId, SpkiSha256};
use countersign_core::snapshot::{TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use imbl::Vector;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::{Parsed, spki};
use crate::fitness::{check_ca, is_valid_at};

/// A device CA, ready to verify with.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) key_id: IssuerKeyId,
    pub(crate) certificate: Arc<[u8]>,
    pub(crate) parsed: Parsed,
    pub(crate) anchor: TrustAnchor<'static>,
}

impl Issuer {
    /// Fails closed: `None` for a certificate that is not a CA's, may not sign certificates, has a
    /// critical extension we do not understand, or another key than the snapshot says.
    pub(crate) fn open(trusted: &TrustedIssuer) -> Option<Self> {
        let parsed = Parsed::from_der(&trusted.certificate).ok()?;
        check_ca(&parsed).ok()?;
        let key = SpkiSha256::of(spki(&trusted.certificate).ok()?);
        if IssuerKeyId::from(key) != trusted.key_id {
            return None;
        }
        let certificate = Arc::clone(&trusted.certificate);
        let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(&*certificate)).ok()?.to_owned();
        Some(Self { key_id: trusted.key_id, certificate, parsed, anchor })
    }

    /// Whether the CA is within its own validity.
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        is_valid_at(&self.parsed, now)
    }

    /// Whether `leaf` says that this CA issued it: by name, and by key identifier if it gives one.
    pub(crate) fn is_named_by(&self, leaf: &Parsed) -> bool {
        let key_id_fits = match (&leaf.extensions.authority_key_id, &self.parsed.extensions.subject_key_id) {
            (Some(named), Some(own)) => named == own,
            (None, _) | (Some(_), None) => true,
        };
        key_id_fits && leaf.issuer() == self.parsed.subject()
    }
}

/// Every usable device CA of a snapshot, and a number that stands for exactly this set.
#[derive(Debug)]
pub(crate) struct Bundle {
    source: Vector<TrustedIssuer>,
    pub(crate) version: [u8; 32],
    pub(crate) issuers: Vec<Arc<Issuer>>,
}

impl Bundle {
    fn open(source: &Vector<TrustedIssuer>) -> Self {
        let mut version = digest::Context::new(&digest::SHA256);
        let mut issuers = Vec::with_capacity(source.len());
        for trusted in source {
            version.update(&trusted.certificate.len().to_be_bytes());
            version.update(&trusted.certificate);
            version.update(trusted.key_id.as_bytes());
            match Issuer::open(trusted) {
                Some(issuer) => issuers.push(Arc::new(issuer)),
                None => tracing::error!(issuer = %trusted.key_id, "device ca unusable"),
            }
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(version.finish().as_ref());
        Self { source: source.clone(), version: bytes, issuers }
    }
}

/// The bundle last used; opened anew when a snapshot brings other CAs.
#[derive(Debug)]
pub(crate) struct Bundles(ArcSwap<Bundle>);

impl Bundles {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(Bundle::open(&Vector::new())))
    }

    pub(crate) fn of(&self, snapshot: &TrustSnapshot) -> Arc<Bundle> {
        let held = self.0.load_full();
        if held.source.ptr_eq(&snapshot.device_issuers) || held.source == snapshot.device_issuers {
            return held;
        }
        let fresh = Arc::new(Bundle::open(&snapshot.device_issuers));
        self.0.store(Arc::clone(&fresh));
        fresh
    }
}
