//! The envelope that certificates, revocation lists and signing requests share: the signed part,
//! the algorithm and the signature (RFC 5280 section 4.1, RFC 2986 section 4.2).

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode as _, Encode as _, ErrorKind, Reader as _, SliceReader, Tag};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

/// The signature algorithms that are read; those of [`crate::SigningKey`] are also written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    Ed25519,
    RsaSha256,
    RsaSha384,
    RsaSha512,
}

impl SignatureAlgorithm {
    const ALL: [Self; 7] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
    ];

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => rfc5912::ECDSA_WITH_SHA_256,
            Self::EcdsaSha384 => rfc5912::ECDSA_WITH_SHA_384,
            Self::EcdsaSha512 => rfc5912::ECDSA_WITH_SHA_512,
            Self::Ed25519 => rfc8410::ID_ED_25519,
            Self::RsaSha256 => rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
            Self::RsaSha384 => rfc5912::SHA_384_WITH_RSA_ENCRYPTION,
            Self::RsaSha512 => rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
        }
    }

    const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }

    /// The AlgorithmIdentifier: NULL parameters for RSA (RFC 4055 section 5), none for the others
    /// (RFC 5758 section 3.2, RFC 8410 section 3).
    pub(crate) fn identifier(self) -> AlgorithmIdentifierOwned {
        let parameters = self.is_rsa().then(|| AnyRef::NULL.into());
        AlgorithmIdentifierOwned { oid: self.oid(), parameters }
    }

    /// The algorithm that an identifier names, if it is one of ours and has the right parameters.
    pub(crate) fn of(identifier: &AlgorithmIdentifierRef<'_>) -> Option<Self> {
        let algorithm = Self::ALL.into_iter().find(|algorithm| algorithm.oid() == identifier.oid)?;
        let right = match identifier.parameters {
            None => true,
            Some(parameters) => algorithm.is_rsa() && parameters.is_null(),
        };
        right.then_some(algorithm)
    }
}

/// A signed document, taken apart without changing a byte of the signed part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) algorithm: AlgorithmIdentifierRef<'a>,
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Refuses trailing bytes, a body that is no SEQUENCE and a signature of odd bits.
    pub(crate) fn from_der(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let signed = reader.sequence(|inner| {
            let tag = Tag::peek(inner)?;
            if tag != Tag::Sequence {
                return Err(
                    inner.error(ErrorKind::TagUnexpected { expected: Some(Tag::Sequence), actual: tag })
                );
            }
            let body = inner.tlv_bytes()?;
            let algorithm = AlgorithmIdentifierRef::decode(inner)?;
            let bits = BitStringRef::decode(inner)?;
            let signature =
                bits.as_bytes().ok_or_else(|| inner.error(ErrorKind::Value { tag: Tag::BitString }))?;
            Ok(Self { body, algorithm, signature })
        })?;
        reader.finish()?;
        Ok(signed)
    }
}

/// Puts a signed document together.
pub(crate) fn to_der(body: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> der::Result<Vec<u8>> {
    let algorithm = algorithm.identifier().to_der()?;
    let signature = BitStringRef::from_bytes(signature)?.to_der()?;
    let content = [body, &algorithm, &signature].concat();
    AnyRef::new(Tag::Sequence, &content)?.to_der()
}
