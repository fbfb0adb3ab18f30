//! Certificates and keys out of PEM.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// A PEM text that does not hold what it should.
#[derive(Debug, Error)]
pub(crate) enum PemError {
    /// Not PEM, or not of this kind.
    #[error("read PEM")]
    Unreadable(#[source] rustls::pki_types::pem::Error),
    /// No certificate in it.
    #[error("no certificate in the PEM")]
    NoCertificate,
}

/// Every certificate in `text`, in order; at least one.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(PemError::Unreadable)?;
    if found.is_empty() { Err(PemError::NoCertificate) } else { Ok(found) }
}

/// The private key in `text`: PKCS#8, SEC1 or PKCS#1.
pub(crate) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(PemError::Unreadable)
}
