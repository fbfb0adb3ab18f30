//! Revocation lists that come back: what an installation has published, when its own record of it is
//! lost.

use const_oid::AssociatedOid as _;
use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::SerialNumber;
use countersign_core::time::Timestamp;
use der::Decode as _;
use thiserror::Error;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::crl::{CrlNumber, CrlReason};

use crate::crl::CrlEntry;
use crate::public_key::PublicKey;
use crate::signed::{SignatureAlgorithm, Signed};
use crate::tbs::timestamp;

/// The label of a list in PEM (RFC 7468 section 6).
const LABEL: &str = "X509 CRL";

/// A file that is no revocation list of ours.
#[derive(Debug, Error)]
pub enum CrlReadError {
    /// It is none.
    #[error("this is no revocation list")]
    Malformed(#[source] der::Error),
    /// It has no number, or one that we never gave.
    #[error("the revocation list has no number of ours")]
    Number,
    /// A serial number in it is none of ours.
    #[error("the revocation list names a serial number that nobody here gave")]
    Serial,
}

/// A revocation list, read and not yet believed: [`Self::is_signed_by`].
#[derive(Clone, Debug)]
pub struct ReadCrl {
    /// Its number.
    pub number: u64,
    /// From when it speaks.
    pub this_update: Timestamp,
    /// Whether it is about every certificate of its issuer.
    pub is_whole: bool,
    /// The revoked certificates.
    pub entries: Vec<CrlEntry>,
    body: Vec<u8>,
    algorithm: Option<SignatureAlgorithm>,
    signature: Vec<u8>,
}

impl ReadCrl {
    /// Reads a list in DER or PEM.
    ///
    /// # Errors
    /// See [`CrlReadError`].
    pub fn from_file(contents: &[u8]) -> Result<Self, CrlReadError> {
        let malformed = |error: der::Error| CrlReadError::Malformed(error);
        if !contents.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Self::from_der(contents);
        }
        let (label, der) = der::pem::decode_vec(contents).map_err(|error| malformed(error.into()))?;
        if label == LABEL { Self::from_der(&der) } else { Err(malformed(der::ErrorKind::Failed.into())) }
    }

    /// Reads a list in DER.
    ///
    /// # Errors
    /// See [`CrlReadError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CrlReadError> {
        let signed = Signed::from_der(der).map_err(CrlReadError::Malformed)?;
        let list = TbsCertList::from_der(signed.body).map_err(CrlReadError::Malformed)?;
        let extensions = list.crl_extensions.unwrap_or_default();
        let extension = |oid| extensions.iter().find(|extension| extension.extn_id == oid);
        let number = extension(CrlNumber::OID).ok_or(CrlReadError::Number)?;
        let entries = list.revoked_certificates.unwrap_or_default();
        Ok(Self {
            number: u64::from_der(number.extn_value.as_bytes()).map_err(|_too_large| CrlReadError::Number)?,
            this_update: timestamp(&list.this_update),
            is_whole: extension(ID_CE_ISSUING_DISTRIBUTION_POINT).is_none(),
            entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
            body: signed.body.to_vec(),
            algorithm: SignatureAlgorithm::of(&signed.algorithm),
            signature: signed.signature.to_vec(),
        })
    }

    /// Whether this CA signed it. Fails closed: not by an algorithm that is none of ours.
    #[must_use]
    pub fn is_signed_by(&self, ca_certificate_der: &[u8]) -> bool {
        let (Some(algorithm), Ok(key)) =
            (self.algorithm, PublicKey::from_certificate_der(ca_certificate_der))
        else {
            return false;
        };
        key.verify_with(algorithm, &self.body, &self.signature).is_ok()
    }
}

fn entry(revoked: &RevokedCert) -> Result<CrlEntry, CrlReadError> {
    let extensions = revoked.crl_entry_extensions.iter().flatten();
    let reason = extensions
        .filter(|extension| extension.extn_id == CrlReason::OID)
        .map(|extension| CrlReason::from_der(extension.extn_value.as_bytes()))
        .next()
        .transpose()
        .map_err(CrlReadError::Malformed)?;
    Ok(CrlEntry {
        serial: SerialNumber::from_be_bytes(revoked.serial_number.as_bytes())
            .map_err(|_invalid| CrlReadError::Serial)?,
        revoked_at: timestamp(&revoked.revocation_date),
        reason: reason.map_or(RevocationReason::Unspecified, reason_of),
    })
}

/// Whatever the reason, the certificate was on the list: it is revoked.
const fn reason_of(reason: CrlReason) -> RevocationReason {
    match reason {
        CrlReason::KeyCompromise => RevocationReason::KeyCompromise,
        CrlReason::CaCompromise => RevocationReason::CaCompromise,
        CrlReason::AffiliationChanged => RevocationReason::AffiliationChanged,
        CrlReason::Superseded => RevocationReason::Superseded,
        CrlReason::CessationOfOperation => RevocationReason::CessationOfOperation,
        CrlReason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        CrlReason::Unspecified
        | CrlReason::CertificateHold
        | CrlReason::RemoveFromCRL
        | CrlReason::AaCompromise => RevocationReason::Unspecified,
    }
}
