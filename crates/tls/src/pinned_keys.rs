//! Servers that are known by their keys.

use std::sync::Arc;

use countersign_core::ids::SpkiSha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use thiserror::Error;

use crate::certificate::spki;
use crate::path::Roots;
use crate::server_verdict::Verdict;
use crate::server_verifier::check_server;

/// None of the keys in the server's chain is one of those that are pinned.
#[derive(Debug, Error)]
#[error("the server's key is not the pinned one")]
pub(crate) struct KeyMismatch {
    pub(crate) got: SpkiSha256,
}

/// Trusts servers with one of these keys, and those below a CA with one of them (RFC 7469 section 2.6
/// pins keys anywhere in a chain: a server changes its own with each certificate). The server's own key
/// takes the place of everything else that a certificate says; a CA's takes that of the trust store alone.
#[derive(Debug)]
pub(crate) struct PinnedKeys(Vec<SpkiSha256>);

impl PinnedKeys {
    pub(crate) const fn new(keys: Vec<SpkiSha256>) -> Self {
        Self(keys)
    }

    fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        spki(certificate).is_ok_and(|key| self.0.contains(&SpkiSha256::of(key)))
    }
}

impl Verdict for PinnedKeys {
    fn on(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.holds(end_entity) {
            return Ok(());
        }
        let Some(ca) = intermediates.iter().find(|shown| self.holds(shown)) else {
            let own = spki(end_entity).map_err(|_der| CertificateError::BadEncoding)?;
            let mismatch = KeyMismatch { got: SpkiSha256::of(own) };
            return Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into());
        };
        let roots = Roots::new(&[ca]).map_err(|_der| CertificateError::BadEncoding)?;
        check_server((end_entity, intermediates), &roots, server_name, now)
    }
}

/// Trusts servers that hold one of these keys themselves and are trusted by another verifier too.
#[derive(Debug)]
pub(crate) struct KeyUnderRoots {
    keys: Vec<SpkiSha256>,
    roots: Arc<dyn ServerCertVerifier>,
}

impl KeyUnderRoots {
    pub(crate) const fn new(keys: Vec<SpkiSha256>, roots: Arc<dyn ServerCertVerifier>) -> Self {
        Self { keys, roots }
    }
}

impl ServerCertVerifier for KeyUnderRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = spki(end_entity).map_err(|_der| CertificateError::BadEncoding)?;
        let got = SpkiSha256::of(key);
        if !self.keys.contains(&got) {
            return Err(CertificateError::Other(OtherError(Arc::new(KeyMismatch { got }))).into());
        }
        self.roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}
