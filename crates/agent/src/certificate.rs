//! What the agent reads in its own certificate.

use countersign_core::time::Timestamp;
use der::{DecodePem as _, Encode as _};
use thiserror::Error;
use x509_cert::Certificate;

/// A certificate cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the certificate")]
pub struct CertificateError(#[source] der::Error);

/// The public key in a certificate: SubjectPublicKeyInfo, DER.
///
/// # Errors
/// When `pem` is no certificate.
pub fn public_key_der(pem: &str) -> Result<Vec<u8>, CertificateError> {
    let certificate = Certificate::from_pem(pem).map_err(CertificateError)?;
    certificate.tbs_certificate().subject_public_key_info().to_der().map_err(CertificateError)
}

/// From when a certificate is valid. Earlier than when it was issued, by the control plane's
/// backdating.
///
/// # Errors
/// When `pem` is no certificate.
pub fn not_before(pem: &str) -> Result<Timestamp, CertificateError> {
    let certificate = Certificate::from_pem(pem).map_err(CertificateError)?;
    let since_epoch = certificate.tbs_certificate().validity().not_before.to_unix_duration();
    Ok(Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)))
}
