//! Revocation lists that were signed elsewhere, by a root that is offline: read and judged before they are
//! published.

use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use const_oid::{AssociatedOid, ObjectIdentifier};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::SerialNumber;
use der::Decode;
use thiserror::Error;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::crl::{CrlNumber, CrlReason, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use crate::ca_certificate::CaCertificate;
use crate::crl::{CrlContents, CrlEntry, CrlError, reason_code};
use crate::crl_lint;
use crate::public_key::SignatureError;
use crate::signed::Signed;
use crate::tbs::timestamp;

/// Why a list is not published.
#[derive(Debug, Error)]
pub enum SignedCrlError {
    /// It is none.
    #[error("malformed revocation list")]
    Malformed(#[source] der::Error),
    /// It says something that ours do not say.
    #[error("the revocation list has {0}")]
    Unexpected(&'static str),
    /// Another signed it.
    #[error("the revocation list is not signed by this CA")]
    Signature(#[source] SignatureError),
    /// A lint refuses it.
    #[error("the revocation list is not one that we would have signed")]
    Lint(#[source] CrlError),
}

/// A list, read and found to be signed by its CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCrl {
    der: Vec<u8>,
    contents: CrlContents,
}

impl SignedCrl {
    /// Reads a list of a CA.
    ///
    /// # Errors
    /// Fails closed: refuses another CA's, and whatever fails a lint.
    pub fn read(der: &[u8], issuer: &CaCertificate) -> Result<Self, SignedCrlError> {
        let body = Signed::from_der(der).map_err(SignedCrlError::Malformed)?.body;
        let list = TbsCertList::from_der(body).map_err(SignedCrlError::Malformed)?;
        issuer.check_signature(der).map_err(SignedCrlError::Signature)?;
        let contents = contents_of(&list)?;
        let subject = crl_lint::Subject { list: &list, contents: &contents, issuer: issuer.facts() };
        crl_lint::check(&subject).map_err(SignedCrlError::Lint)?;
        Ok(Self { der: der.to_vec(), contents })
    }

    /// It, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it says.
    #[must_use]
    pub const fn contents(&self) -> &CrlContents {
        &self.contents
    }
}

fn contents_of(list: &TbsCertList) -> Result<CrlContents, SignedCrlError> {
    let number: CrlNumber =
        extension(list, CrlNumber::OID)?.ok_or(SignedCrlError::Unexpected("no number"))?;
    let next_update = list.next_update.as_ref().ok_or(SignedCrlError::Unexpected("no nextUpdate"))?;
    let point: Option<IssuingDistributionPoint> = extension(list, ID_CE_ISSUING_DISTRIBUTION_POINT)?;
    let entries = list.revoked_certificates.iter().flatten().map(entry);
    Ok(CrlContents {
        number: number_of(&number).ok_or(SignedCrlError::Unexpected("a number of more than 64 bits"))?,
        this_update: timestamp(&list.this_update),
        next_update: timestamp(next_update),
        entries: entries.collect::<Result<_, _>>()?,
        distribution_point: point.map(|point| url_of(&point)).transpose()?,
    })
}

fn extension<T>(list: &TbsCertList, oid: ObjectIdentifier) -> Result<Option<T>, SignedCrlError>
where
    T: for<'a> Decode<'a, Error = der::Error>,
{
    let found = list.crl_extensions.iter().flatten().find(|extension| extension.extn_id == oid);
    let read = found.map(|extension| T::from_der(extension.extn_value.as_bytes()));
    read.transpose().map_err(SignedCrlError::Malformed)
}

fn number_of(number: &CrlNumber) -> Option<u64> {
    let octets = number.0.as_bytes();
    (octets.len() <= 8).then(|| octets.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)))
}

fn url_of(point: &IssuingDistributionPoint) -> Result<String, SignedCrlError> {
    match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => match names.as_slice() {
            [GeneralName::UniformResourceIdentifier(url)] => Ok(url.as_str().to_owned()),
            _ => Err(SignedCrlError::Unexpected("no single place")),
        },
        _ => Err(SignedCrlError::Unexpected("a place that is no URL")),
    }
}

fn entry(revoked: &RevokedCert) -> Result<CrlEntry, SignedCrlError> {
    let serial = SerialNumber::from_be_bytes(revoked.serial_number.as_bytes())
        .map_err(|_invalid| SignedCrlError::Unexpected("a serial number that no certificate can have"))?;
    let mut extensions = revoked.crl_entry_extensions.iter().flatten();
    let code = extensions.find(|extension| extension.extn_id == CrlReason::OID);
    let code = code.map(|extension| CrlReason::from_der(extension.extn_value.as_bytes()));
    let code = code.transpose().map_err(SignedCrlError::Malformed)?;
    let mut known = RevocationReason::ALL.into_iter();
    let reason = known.find(|reason| reason_code(*reason) == code);
    let reason = reason.ok_or(SignedCrlError::Unexpected("a reason that ours do not give"))?;
    Ok(CrlEntry { serial, revoked_at: timestamp(&revoked.revocation_date), reason })
}
