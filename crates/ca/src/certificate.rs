//! The two stations of a certificate on its way out: prepared, then issued.

use countersign_core::certificate::Lifetime;
use countersign_core::ids::{CertificateRef, SerialNumber, SpkiSha256};
use der::Decode as _;
use der::pem::LineEnding;

/// Evidence that a to-be-signed certificate passed every lint. Only [`crate::Issuer::prepare`]
/// makes one, and [`crate::Issuer::sign`] uses it up.
#[derive(Debug)]
pub struct PreparedCertificate {
    pub(crate) tbs: Vec<u8>,
    pub(crate) reference: CertificateRef,
    pub(crate) lifetime: Lifetime,
    pub(crate) spki: SpkiSha256,
}

impl PreparedCertificate {
    /// Under what it will be on record.
    #[must_use]
    pub fn reference(&self) -> CertificateRef {
        self.reference.clone()
    }

    /// From when (issuance, not the backdated notBefore) until when it will count.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }
}

/// A signed certificate that is exactly the one that was prepared, or, from a CA elsewhere, for exactly the
/// key and device that it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    der: Vec<u8>,
    reference: CertificateRef,
    lifetime: Lifetime,
    spki: SpkiSha256,
}

impl IssuedCertificate {
    pub(crate) fn new(der: Vec<u8>, prepared: PreparedCertificate) -> Self {
        Self { der, reference: prepared.reference, lifetime: prepared.lifetime, spki: prepared.spki }
    }

    /// One that a CA elsewhere signed and that was found to be what it was asked for.
    pub(crate) const fn elsewhere(
        der: Vec<u8>,
        reference: CertificateRef,
        lifetime: Lifetime,
        spki: SpkiSha256,
    ) -> Self {
        Self { der, reference, lifetime, spki }
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// Under what it is on record.
    #[must_use]
    pub const fn reference(&self) -> &CertificateRef {
        &self.reference
    }

    /// From when (issuance) until when it counts.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The hash of its public key.
    #[must_use]
    pub const fn spki(&self) -> SpkiSha256 {
        self.spki
    }
}

/// A certificate on record in PEM.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    pem(der)
}

/// The serial number of a certificate on record.
///
/// # Errors
/// When it is no certificate, or has a number that RFC 5280 section 4.1.2.2 does not allow.
pub fn serial_of(der: &[u8]) -> der::Result<SerialNumber> {
    let certificate = x509_cert::Certificate::from_der(der)?;
    SerialNumber::from_be_bytes(certificate.tbs_certificate().serial_number().as_bytes())
        .map_err(|_invalid| der::Tag::Integer.value_error().into())
}

/// The certificates of a PEM text, in DER, in their order.
///
/// # Errors
/// When one of them is no certificate.
pub fn certificates_from_pem(text: &str) -> der::Result<Vec<Vec<u8>>> {
    let malformed = |_error| der::Error::from(der::ErrorKind::Failed);
    let certificates = x509_cert::Certificate::load_pem_chain(text.as_bytes()).map_err(malformed)?;
    certificates.iter().map(der::Encode::to_der).collect()
}

/// A revocation list on record in PEM.
#[must_use]
#[expect(clippy::expect_used, reason = "PEM of a revocation list in memory cannot overflow")]
pub fn crl_pem(der: &[u8]) -> String {
    der::pem::encode_string("X509 CRL", LineEnding::LF, der).expect("a revocation list fits")
}

/// A signing request in PEM (RFC 7468 section 7).
#[must_use]
#[expect(clippy::expect_used, reason = "PEM of a request of a few KiB cannot overflow")]
pub fn csr_pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, der).expect("a request fits")
}

#[expect(clippy::expect_used, reason = "PEM of a certificate of a few KiB cannot overflow")]
pub(crate) fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, der).expect("a certificate fits")
}
