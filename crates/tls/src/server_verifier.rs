//! What a client asks of a server's certificate.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest;
use countersign_core::time::Timestamp;
use der::pem::LineEnding;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use thiserror::Error;

use crate::certificate::Parsed;
use crate::client::ClientError;
use crate::pem;
use crate::provider::provider;

/// The server's chain does not hold the certificate that is pinned.
#[derive(Debug, Error)]
#[error("the server's root does not match the fingerprint: expected {expected}, got {got}")]
pub(crate) struct PinMismatch {
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// The pinned certificate is there, but is no CA's.
#[derive(Debug, Error)]
#[error("the certificate with the pinned fingerprint is no CA certificate")]
struct UnfitRoot;

/// Trusts servers with a certificate under one of the roots in `pem`.
pub(crate) fn under_roots(pem: &str) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let mut roots = RootCertStore::empty();
    for root in pem::certificates(pem).map_err(|e| ClientError::Roots(Box::new(e)))? {
        roots.add(root).map_err(|e| ClientError::Roots(Box::new(e)))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|e| ClientError::Roots(Box::new(e)))?;
    Ok(verifier)
}

/// Trusts servers that show the root with a known SHA-256 and have a certificate under it: the pin
/// takes the place of the trust store, not of the verification.
#[derive(Debug)]
pub(crate) struct PinnedRoot {
    pin: [u8; 32],
    found: Arc<OnceLock<String>>,
}

impl PinnedRoot {
    pub(crate) fn new(pin: [u8; 32], found: Arc<OnceLock<String>>) -> Self {
        Self { pin, found }
    }

    fn mismatch(&self, shown: &CertificateDer<'_>) -> Error {
        let mismatch = PinMismatch { expected: hex::encode(self.pin), got: hex::encode(sha256(shown)) };
        CertificateError::Other(OtherError(Arc::new(mismatch))).into()
    }
}

fn sha256(certificate: &CertificateDer<'_>) -> digest::Digest {
    digest::digest(&digest::SHA256, certificate)
}

fn check_root(root: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let unfit = || CertificateError::Other(OtherError(Arc::new(UnfitRoot)));
    let root = Parsed::from_der(root).map_err(|_malformed| unfit())?;
    let is_ca = root.extensions.basic_constraints.as_ref().is_some_and(|basic| basic.ca);
    if !is_ca || root.extensions.has_unknown_critical {
        return Err(unfit());
    }
    let (not_before, not_after) = (unix(root.not_before()), unix(root.not_after()));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.secs()).unwrap_or(0)))
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates
            .iter()
            .find(|shown| sha256(shown).as_ref() == self.pin)
            .ok_or_else(|| self.mismatch(intermediates.last().unwrap_or(end_entity)))?;
        check_root(root, now)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, intermediates, now, algorithms)?;
        verify_server_name(&leaf, server_name)?;
        let pem = der::pem::encode_string("CERTIFICATE", LineEnding::LF, root)
            .map_err(|_length| CertificateError::BadEncoding)?;
        self.found.get_or_init(|| pem);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
