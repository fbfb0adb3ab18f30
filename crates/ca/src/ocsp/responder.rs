//! Signing what is answered.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use const_oid::db::rfc6960::ID_PKIX_OCSP_BASIC;
use countersign_core::certificate::RevocationReason;
use countersign_core::time::Timestamp;
use der::asn1::{Any, AnyRef, BitStringRef, ContextSpecificRef, GeneralizedTime, Null, OctetString};
use der::{Decode as _, Encode as _, Tag, TagMode, TagNumber};
use thiserror::Error;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;

use super::message::{
    NONCE, ResponderId, Response, ResponseBytes, ResponseData, ResponseStatus, Revoked, SingleResponse,
    Status,
};
use super::request::AskedCertificate;
use crate::crl::reason_code;
use crate::key::{KeyError, SigningKey};
use crate::public_key::PublicKey;

/// Answers for one CA, with a key of its own that the CA has certified for this (a delegated responder,
/// RFC 6960 section 4.2.2.2).
#[derive(Debug)]
pub struct OcspResponder {
    key: SigningKey,
    certificate: Vec<u8>,
    id: ResponderId,
}

/// What is known about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    /// It was issued and is not revoked.
    Good,
    /// It was revoked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// The CA has not issued it.
    Unknown,
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct OcspAnswer<'a> {
    /// The question.
    pub asked: &'a AskedCertificate,
    /// What is known.
    pub status: CertificateStatus,
}

/// From when until when an answer can be relied on; whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OcspPeriod {
    /// When it was known to be so.
    pub this_update: Timestamp,
    /// When there will be newer knowledge.
    pub next_update: Timestamp,
}

/// An answer that says nothing about a certificate, and needs no signature (RFC 6960 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspFailure {
    /// The question makes no sense.
    MalformedRequest,
    /// The responder failed.
    InternalError,
    /// It may answer later.
    TryLater,
    /// It does not answer for this CA (RFC 9919 section 3.2.3).
    Unauthorized,
}

/// Why there is no responder.
#[derive(Debug, Error)]
pub enum OcspResponderError {
    /// Its name cannot be written.
    #[error("cannot name the OCSP responder")]
    Encode(#[source] der::Error),
    /// Its certificate or the key in it cannot be read.
    #[error("unusable certificate of an OCSP responder")]
    Certificate(#[source] KeyError),
    /// Certificate and key are of different responders.
    #[error("the OCSP responder's certificate is not that of its key")]
    KeyMismatch,
}

/// Why an answer was not signed.
#[derive(Debug, Error)]
pub enum OcspResponseError {
    /// Something in it has no place in an answer.
    #[error("cannot encode the OCSP response")]
    Encode(#[source] der::Error),
    /// The key failed.
    #[error("cannot sign the OCSP response")]
    Sign(#[source] KeyError),
}

impl OcspResponder {
    /// Puts a responder's certificate and key together.
    ///
    /// # Errors
    /// Fails closed: refuses a certificate that is not that of the key.
    pub fn new(certificate_der: &[u8], key: SigningKey) -> Result<Self, OcspResponderError> {
        let certified =
            PublicKey::from_certificate_der(certificate_der).map_err(OcspResponderError::Certificate)?;
        if &certified != key.public_key() {
            return Err(OcspResponderError::KeyMismatch);
        }
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, certified.key_bits());
        let id = OctetString::new(hash.as_ref()).map_err(OcspResponderError::Encode)?;
        Ok(Self { key, certificate: certificate_der.to_vec(), id: ResponderId::ByKey(id) })
    }

    /// Signs the answers to one request, DER.
    ///
    /// # Errors
    /// When a time lies before 1970 or the key fails.
    pub fn respond(
        &self,
        answers: &[OcspAnswer<'_>],
        period: OcspPeriod,
        nonce: Option<&[u8]>,
    ) -> Result<Vec<u8>, OcspResponseError> {
        let body = self.body(answers, period, nonce).map_err(OcspResponseError::Encode)?;
        let signature = self.key.sign(&body).map_err(OcspResponseError::Sign)?;
        self.envelope(&body, &signature).map_err(OcspResponseError::Encode)
    }

    fn body(
        &self,
        answers: &[OcspAnswer<'_>],
        period: OcspPeriod,
        nonce: Option<&[u8]>,
    ) -> der::Result<Vec<u8>> {
        let (this_update, next_update) = (time(period.this_update)?, time(period.next_update)?);
        let answers = answers.iter().map(|answer| {
            Ok(SingleResponse {
                certificate: answer.asked.id.clone(),
                status: status(&answer.status)?,
                this_update,
                next_update: Some(next_update),
            })
        });
        let data = ResponseData {
            version: Version::V1,
            responder: self.id.clone(),
            produced_at: this_update,
            answers: answers.collect::<der::Result<_>>()?,
            extensions: nonce.map(nonce_extension).transpose()?,
        };
        data.to_der()
    }

    /// BasicOCSPResponse in OCSPResponse (RFC 6960 section 4.2.1); the signed bytes go in as they are.
    fn envelope(&self, body: &[u8], signature: &[u8]) -> der::Result<Vec<u8>> {
        let algorithm = self.key.public_key().signature_algorithm().identifier().to_der()?;
        let signature = BitStringRef::from_bytes(signature)?.to_der()?;
        let chain = [Any::from_der(&self.certificate)?];
        let chain = ContextSpecificRef {
            tag_number: TagNumber(0),
            tag_mode: TagMode::Explicit,
            value: &chain.to_vec(),
        };
        let content = [body, &algorithm, &signature, &chain.to_der()?].concat();
        let basic = AnyRef::new(Tag::Sequence, &content)?.to_der()?;
        let bytes = ResponseBytes { kind: ID_PKIX_OCSP_BASIC, content: OctetString::new(basic)? };
        Response { status: ResponseStatus::Successful, bytes: Some(bytes) }.to_der()
    }
}

impl OcspFailure {
    /// The answer, DER.
    #[must_use]
    pub const fn der(self) -> [u8; 5] {
        let status = match self {
            Self::MalformedRequest => ResponseStatus::MalformedRequest,
            Self::InternalError => ResponseStatus::InternalError,
            Self::TryLater => ResponseStatus::TryLater,
            Self::Unauthorized => ResponseStatus::Unauthorized,
        };
        [0x30, 3, 0x0a, 1, status as u8]
    }
}

fn status(status: &CertificateStatus) -> der::Result<Status> {
    Ok(match status {
        CertificateStatus::Good => Status::Good(Null),
        CertificateStatus::Unknown => Status::Unknown(Null),
        CertificateStatus::Revoked { at, reason } => {
            Status::Revoked(Revoked { at: time(*at)?, reason: reason_code(*reason) })
        }
    })
}

fn nonce_extension(nonce: &[u8]) -> der::Result<Vec<Extension>> {
    let value = OctetString::new(OctetString::new(nonce)?.to_der()?)?;
    Ok(vec![Extension { extn_id: NONCE, critical: false, extn_value: value }])
}

/// Whole seconds, always GeneralizedTime.
fn time(at: Timestamp) -> der::Result<GeneralizedTime> {
    let time = crate::tbs::time(at)?;
    GeneralizedTime::from_unix_duration(time.to_unix_duration())
}
