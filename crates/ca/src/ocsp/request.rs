//! Reading what is asked.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_SHA_1, ID_SHA_256};
use countersign_core::ids::SerialNumber;
use der::asn1::OctetString;
use der::{Decode as _, Encode as _};
use thiserror::Error;
use x509_cert::ext::Extension;

use super::message::{CertId, NONCE, Request};

/// The longest request that is read, in bytes: a question has about a hundred.
const LONGEST: usize = 8 * 1024;

/// The most questions of one request. RFC 9919 section 3.1.1 wants one; common clients ask for a
/// chain.
const MOST: usize = 16;

/// The longest nonce, in octets: RFC 9654 section 2.1.
const LONGEST_NONCE: usize = 128;

/// A request, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    asked: Vec<AskedCertificate>,
    nonce: Option<Vec<u8>>,
}

/// A certificate that somebody asks about: by hashes of its issuer's name and key, and its serial
/// number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCertificate {
    pub(super) id: CertId,
}

/// Why a request has no answer but `malformedRequest`.
#[derive(Debug, Error)]
pub enum OcspRequestError {
    /// Longer than any that makes sense.
    #[error("an OCSP request of {0} bytes is longer than {LONGEST}")]
    Length(usize),
    /// Not as RFC 6960 section 4.1.1 spells it.
    #[error("malformed OCSP request")]
    Malformed(#[source] der::Error),
    /// None or too many.
    #[error("an OCSP request about {0} certificates; 1 to {MOST} can be asked about at once")]
    Questions(usize),
    /// RFC 9654 section 2.1 has them rejected.
    #[error("an OCSP nonce of {0} octets; 1 to {LONGEST_NONCE} are allowed")]
    Nonce(usize),
    /// It must be understood, and is not.
    #[error("the critical extension {0} of the OCSP request is unknown")]
    CriticalExtension(ObjectIdentifier),
}

impl OcspRequest {
    /// Reads a request. A signature on it is not asked for and not looked at: whoever asks gets the
    /// same answer.
    ///
    /// # Errors
    /// Fails closed: refuses what is malformed, and any critical extension but the nonce.
    pub fn from_der(bytes: &[u8]) -> Result<Self, OcspRequestError> {
        if bytes.len() > LONGEST {
            return Err(OcspRequestError::Length(bytes.len()));
        }
        let body = Request::from_der(bytes).map_err(OcspRequestError::Malformed)?.body;
        if !(1..=MOST).contains(&body.questions.len()) {
            return Err(OcspRequestError::Questions(body.questions.len()));
        }
        let own = body.questions.iter().flat_map(|question| question.extensions.iter().flatten());
        if let Some(unknown) = own.clone().find(|extension| extension.critical) {
            return Err(OcspRequestError::CriticalExtension(unknown.extn_id));
        }
        let nonce = nonce_of(body.extensions.as_deref().unwrap_or_default())?;
        let asked = body.questions.into_iter().map(|question| AskedCertificate { id: question.certificate });
        Ok(Self { asked: asked.collect(), nonce })
    }

    /// The certificates it asks about: at least one.
    #[must_use]
    pub fn asked(&self) -> &[AskedCertificate] {
        &self.asked
    }

    /// What is to stand in the answer as it is: without it, an answer may be one that was kept.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }
}

impl AskedCertificate {
    /// Its serial number; `None` for a number that no certificate can have (RFC 5280 section 4.1.2.2).
    #[must_use]
    pub fn serial(&self) -> Option<SerialNumber> {
        let bytes = self.id.serial.as_bytes();
        let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        if is_negative { None } else { SerialNumber::from_be_bytes(bytes).ok() }
    }

    /// The question in DER: whoever asks it again in the same way asks the same.
    ///
    /// # Errors
    /// When it has no DER, which what was read always has.
    pub fn to_der(&self) -> der::Result<Vec<u8>> {
        self.id.to_der()
    }

    pub(super) fn hash(&self) -> Option<IssuerHash> {
        match self.id.hash.oid {
            ID_SHA_1 => Some(IssuerHash::Sha1),
            ID_SHA_256 => Some(IssuerHash::Sha256),
            _ => None,
        }
    }
}

/// The algorithms by which an issuer is named: SHA-1 by RFC 6960, SHA-256 by RFC 9919.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IssuerHash {
    Sha1,
    Sha256,
}

fn nonce_of(extensions: &[Extension]) -> Result<Option<Vec<u8>>, OcspRequestError> {
    let mut nonce = None;
    for extension in extensions {
        if extension.extn_id == NONCE {
            let value = OctetString::from_der(extension.extn_value.as_bytes());
            let value = value.map_err(OcspRequestError::Malformed)?.as_bytes().to_vec();
            if !(1..=LONGEST_NONCE).contains(&value.len()) {
                return Err(OcspRequestError::Nonce(value.len()));
            }
            nonce = Some(value);
        } else if extension.critical {
            return Err(OcspRequestError::CriticalExtension(extension.extn_id));
        }
    }
    Ok(nonce)
}
