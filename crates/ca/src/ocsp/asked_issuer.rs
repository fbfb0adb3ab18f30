//! A CA as questions name it.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use der::{Decode as _, Encode as _};
use x509_cert::Certificate;

use super::request::{AskedCertificate, IssuerHash};
use crate::key::KeyError;
use crate::public_key::PublicKey;

/// The hashes of a CA's name and of its key bits (RFC 6960 section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedIssuer {
    sha1: [Vec<u8>; 2],
    sha256: [Vec<u8>; 2],
}

impl AskedIssuer {
    /// How questions name the CA with this certificate.
    ///
    /// # Errors
    /// When it is no certificate, or one with a key that no CA of ours has.
    pub fn of(certificate_der: &[u8]) -> Result<Self, KeyError> {
        let certificate = Certificate::from_der(certificate_der).map_err(KeyError::Malformed)?;
        let name = certificate.tbs_certificate().subject().to_der().map_err(KeyError::Malformed)?;
        let key = PublicKey::from_certificate_der(certificate_der)?;
        let hashes = |algorithm: &'static Algorithm| {
            [&name[..], key.key_bits()].map(|bytes| digest(algorithm, bytes).as_ref().to_vec())
        };
        Ok(Self { sha1: hashes(&SHA1_FOR_LEGACY_USE_ONLY), sha256: hashes(&SHA256) })
    }

    /// Whether a question is about a certificate of this CA.
    #[must_use]
    pub fn is_meant_by(&self, asked: &AskedCertificate) -> bool {
        let [name, key] = match asked.hash() {
            Some(IssuerHash::Sha1) => &self.sha1,
            Some(IssuerHash::Sha256) => &self.sha256,
            None => return false,
        };
        asked.id.issuer_name_hash.as_bytes() == name && asked.id.issuer_key_hash.as_bytes() == key
    }
}
