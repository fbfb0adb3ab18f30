//! Certificates and keys out of PEM.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

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

/// A file that does not hold what it should.
#[derive(Debug, Error)]
pub enum CertificateFileError {
    /// PEM that cannot be read.
    #[error("unreadable PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// A private key, which nobody should hand around.
    #[error("a private key, and no {0}")]
    PrivateKey(&'static str),
    /// Neither PEM with one of these in it, nor DER.
    #[error("no {0} in it, in PEM or DER")]
    Nothing(&'static str),
}

/// The certificates of a file, DER, in order: PEM with any number of them and text around, or one in DER.
///
/// # Errors
/// When there is none.
pub fn certificates_of(file: &[u8]) -> Result<Vec<Vec<u8>>, CertificateFileError> {
    let pem = CertificateDer::pem_slice_iter(file).map(|found| found.map(|der| der.to_vec()));
    of_file(file, "certificate", pem.collect())
}

/// The revocation lists of a file, DER, in order: PEM with any number of them, or one in DER.
///
/// # Errors
/// When there is none.
pub fn revocation_lists_of(file: &[u8]) -> Result<Vec<Vec<u8>>, CertificateFileError> {
    let pem = CertificateRevocationListDer::pem_slice_iter(file).map(|found| found.map(|der| der.to_vec()));
    of_file(file, "revocation list", pem.collect())
}

/// The private key of a file in PEM, as it stands there: PKCS #8, SEC1 or PKCS #1, DER.
///
/// # Errors
/// When there is none.
pub fn private_key_of(file: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertificateFileError> {
    match PrivateKeyDer::from_pem_slice(file) {
        Ok(key) => Ok(Zeroizing::new(key.secret_der().to_vec())),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(CertificateFileError::Nothing("unencrypted private key"))
        }
        Err(error) => Err(CertificateFileError::Pem(error)),
    }
}

type FromPem = Result<Vec<Vec<u8>>, rustls::pki_types::pem::Error>;

fn of_file(file: &[u8], what: &'static str, found: FromPem) -> Result<Vec<Vec<u8>>, CertificateFileError> {
    /// A SEQUENCE: what every certificate and list begins with.
    const DER: [u8; 1] = [0x30];
    if file.starts_with(&DER) {
        return Ok(vec![file.to_vec()]);
    }
    let found = found.map_err(CertificateFileError::Pem)?;
    if !found.is_empty() {
        Ok(found)
    } else if PrivateKeyDer::from_pem_slice(file).is_ok() {
        Err(CertificateFileError::PrivateKey(what))
    } else {
        Err(CertificateFileError::Nothing(what))
    }
}
