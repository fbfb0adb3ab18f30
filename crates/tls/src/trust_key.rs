//! The key by which an edge knows that what it is told of trust comes from its authority.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use const_oid::ObjectIdentifier;
use der::Decode as _;
use thiserror::Error;
use x509_cert::spki::SubjectPublicKeyInfoRef;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// A P-256 public key.
#[derive(Clone, Debug)]
pub struct TrustKey(UnparsedPublicKey<Vec<u8>>);

/// A key or a signature that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrustKeyError {
    /// Not the SubjectPublicKeyInfo of a P-256 key.
    #[error("not a P-256 public key")]
    Key,
    /// Not this key's signature over this message.
    #[error("the signature is not the authority's")]
    Signature,
}

impl TrustKey {
    /// The key in a SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`TrustKeyError::Key`] for any but P-256.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, TrustKeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_der| TrustKeyError::Key)?;
        let curve = spki.algorithm.parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        let point = spki.subject_public_key.as_bytes();
        match (spki.algorithm.oid == EC, curve, point) {
            (true, Some(P256), Some(point)) => {
                Ok(Self(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.to_vec())))
            }
            _ => Err(TrustKeyError::Key),
        }
    }

    /// Checks a signature: ECDSA with SHA-256, DER.
    ///
    /// # Errors
    /// [`TrustKeyError::Signature`] for any but this key's over exactly this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), TrustKeyError> {
        self.0.verify(message, signature).map_err(|_unspecified| TrustKeyError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::{KeyKind, TestKey};

    #[test]
    fn only_its_own_signature_over_the_same_message_is_taken() {
        let (key, other) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
        let trust = TrustKey::from_spki_der(key.spki_der()).unwrap();
        let signature = key.sign_p256(b"message");
        assert_eq!(trust.verify(b"message", &signature), Ok(()));
        assert_eq!(trust.verify(b"massage", &signature), Err(TrustKeyError::Signature));
        assert_eq!(trust.verify(b"message", &other.sign_p256(b"message")), Err(TrustKeyError::Signature));
        assert_eq!(trust.verify(b"message", &[]), Err(TrustKeyError::Signature));
        let other_kind = TestKey::generate(KeyKind::P384);
        assert_eq!(TrustKey::from_spki_der(other_kind.spki_der()).unwrap_err(), TrustKeyError::Key);
        assert_eq!(TrustKey::from_spki_der(b"").unwrap_err(), TrustKeyError::Key);
    }
}
