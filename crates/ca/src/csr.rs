//! Signing requests (PKCS #10, RFC 2986), of which only the public key is used.

use der::asn1::AnyRef;
use der::{Decode as _, ErrorKind, Reader as _, SliceReader, Tag, TagNumber};
use thiserror::Error;

use crate::key::KeyError;
use crate::public_key::{PublicKey, SignatureError};
use crate::signed::{SignatureAlgorithm, Signed};

/// Longer signing requests, in octets, are refused unread; one with an RSA-4096 key has 2 KiB.
pub const CSR_LIMIT: usize = 16 * 1024;

/// Why a signing request is refused.
#[derive(Debug, Error)]
pub enum CsrError {
    /// Longer than [`CSR_LIMIT`].
    #[error("the signing request has {0} octets, {CSR_LIMIT} are accepted")]
    TooLong(usize),
    /// Not PEM.
    #[error("the signing request is not valid PEM")]
    Pem(#[source] der::pem::Error),
    /// PEM of something else.
    #[error("the PEM holds {0:?}, not a CERTIFICATE REQUEST")]
    Label(String),
    /// Not PKCS #10 in DER, or followed by something else.
    #[error("the signing request is not a PKCS #10 request in DER")]
    Malformed(#[source] der::Error),
    /// A key that is not accepted.
    #[error("the signing request's key is refused")]
    Key(#[source] KeyError),
    /// A signature algorithm that is not accepted.
    #[error("unsupported signature algorithm {0} in the signing request")]
    Algorithm(String),
    /// Not signed by the key it contains.
    #[error("the signing request is not signed by its own key")]
    Signature(#[source] SignatureError),
}

/// Evidence that somebody who holds a private key asked: a signing request whose own signature
/// verified.
///
/// Only the public key is taken from it. Its subject, requested extensions and attributes are never
/// looked at, so that nothing a requester writes there can reach a certificate.
#[derive(Clone, Debug)]
pub struct VerifiedCsr {
    public_key: PublicKey,
    der: Vec<u8>,
    der_sha256: [u8; 32],
}

impl VerifiedCsr {
    /// Reads a signing request in PEM, labelled `CERTIFICATE REQUEST` (RFC 7468 section 7) or, as
    /// older tools do, `NEW CERTIFICATE REQUEST`.
    ///
    /// # Errors
    /// As [`Self::from_der`], and whatever is not PEM of one signing request.
    pub fn from_pem(pem: &str) -> Result<Self, CsrError> {
        if pem.len() > CSR_LIMIT {
            return Err(CsrError::TooLong(pem.len()));
        }
        let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(CsrError::Pem)?;
        if !matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(CsrError::Label(label.chars().take(64).collect()));
        }
        Self::from_der(&der)
    }

    /// Reads a signing request in DER.
    ///
    /// # Errors
    /// Fails closed: refuses what is too long, not exactly one PKCS #10 request, of a key or
    /// algorithm that is not accepted, or not signed by the key it contains.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > CSR_LIMIT {
            return Err(CsrError::TooLong(der.len()));
        }
        let signed = Signed::from_der(der).map_err(CsrError::Malformed)?;
        let spki = spki_of(signed.body).map_err(CsrError::Malformed)?;
        let public_key = PublicKey::from_spki_der(spki).map_err(CsrError::Key)?;
        let algorithm = SignatureAlgorithm::of(&signed.algorithm)
            .ok_or_else(|| CsrError::Algorithm(signed.algorithm.oid.to_string()))?;
        public_key.verify_with(algorithm, signed.body, signed.signature).map_err(CsrError::Signature)?;
        Ok(Self { public_key, der_sha256: sha256(der), der: der.to_vec() })
    }

    /// The key that is to be certified.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The request itself, DER: what a CA elsewhere wants to see.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of the request's DER: what a proof of possession names.
    #[must_use]
    pub const fn der_sha256(&self) -> [u8; 32] {
        self.der_sha256
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// The SubjectPublicKeyInfo of a CertificationRequestInfo. Name and attributes are stepped over.
fn spki_of(info: &[u8]) -> der::Result<&[u8]> {
    const ATTRIBUTES: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let mut reader = SliceReader::new(info)?;
    let spki = reader.sequence(|inner| {
        if u8::decode(inner)? != 0 {
            return Err(inner.error(ErrorKind::Value { tag: Tag::Integer }));
        }
        let _subject = AnyRef::decode(inner)?.sequence(|name| name.read_slice(name.remaining_len()))?;
        let spki = inner.tlv_bytes()?;
        // Some clients leave the empty attributes out.
        if !inner.is_finished() {
            let actual = AnyRef::decode(inner)?.header().tag();
            if actual != ATTRIBUTES {
                return Err(inner.error(ErrorKind::TagUnexpected { expected: Some(ATTRIBUTES), actual }));
            }
        }
        Ok(spki)
    })?;
    reader.finish()?;
    Ok(spki)
}
