//! What a client asks of a server's certificate.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest;
use countersign_core::time::Timestamp;
use der::pem::LineEnding;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError};
use thiserror::Error;

use crate::client::ClientError;
use crate::fitness::Side;
use crate::path::{PathError, Question, Roots};
use crate::pem;
use crate::server_verdict::{Judged, Verdict};
use crate::untrusted::UntrustedReason;

/// The server's chain does not hold the certificate that is pinned.
#[derive(Debug, Error)]
#[error("the server's root does not match the fingerprint: expected {expected}, got {got}")]
pub(crate) struct PinMismatch {
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// Trusts servers with a certificate under one of the roots in `pem`.
pub(crate) fn under_roots(pem: &str) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let certificates = pem::certificates(pem).map_err(|e| ClientError::Roots(Box::new(e)))?;
    let roots = Roots::new(&certificates).map_err(|e| ClientError::Roots(Box::new(e)))?;
    Ok(Arc::new(Judged(UnderRoots(roots))))
}

/// Trusts servers with a certificate under one of these roots.
#[derive(Debug)]
struct UnderRoots(Roots);

/// One verdict for every client of ours, and for whoever asks what it would be.
pub(crate) fn check_server(
    (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    roots: &Roots,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let now = Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let question = Question {
        leaf: end_entity,
        others: intermediates,
        roots,
        side: Side::Server,
        now,
        revocation_lists: &[],
    };
    question.answer().map_err(|refused| alert(refused, now))?;
    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)
}

/// The error of the TLS library, and so the alert, that comes nearest.
fn alert(refused: PathError, now: Timestamp) -> CertificateError {
    let time = unix(now);
    match refused {
        PathError::Expired { at, .. } => CertificateError::ExpiredContext { time, not_after: unix(at) },
        PathError::NotYetValid { from, .. } => {
            CertificateError::NotValidYetContext { time, not_before: unix(from) }
        }
        PathError::Unfit { reason: UntrustedReason::UnknownIssuer, .. } => CertificateError::UnknownIssuer,
        PathError::Unfit { reason: UntrustedReason::BadSignature, .. } => CertificateError::BadSignature,
        PathError::Revoked => CertificateError::Revoked,
        PathError::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        PathError::Unfit { .. }
        | PathError::RevocationList(_)
        | PathError::Invalid(_)
        | PathError::OtherHost(_) => CertificateError::Other(OtherError(Arc::new(refused))),
    }
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

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.secs()).unwrap_or(0)))
}

impl Verdict for PinnedRoot {
    fn on(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let root = intermediates
            .iter()
            .find(|shown| sha256(shown).as_ref() == self.pin)
            .ok_or_else(|| self.mismatch(intermediates.last().unwrap_or(end_entity)))?;
        let roots = Roots::new(&[root]).map_err(|_der| CertificateError::BadEncoding)?;
        check_server((end_entity, intermediates), &roots, server_name, now)?;
        let pem = der::pem::encode_string("CERTIFICATE", LineEnding::LF, root)
            .map_err(|_length| CertificateError::BadEncoding)?;
        self.found.get_or_init(|| pem);
        Ok(())
    }
}

impl Verdict for UnderRoots {
    fn on(
        &self,
        shown: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        check_server(shown, &self.0, server_name, now)
    }
}
