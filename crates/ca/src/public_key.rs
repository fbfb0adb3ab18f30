//! Public keys that Countersign accepts, in certificates and as proof of possession.

use aws_lc_rs::signature as lc;
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use countersign_core::ids::SpkiSha256;
use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::{Decode as _, Encode as _, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use thiserror::Error;

use crate::key::{KeyAlgorithm, KeyError};
use crate::signed::SignatureAlgorithm;

/// RSA keys outside these sizes, in bits, are refused.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A signature that is not this key's over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature is not that of the key")]
pub struct SignatureError;

/// Which kind of public key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }

    const fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa => SignatureAlgorithm::RsaSha256,
        }
    }
}

/// A public key of an algorithm and size that we accept: P-256, P-384, Ed25519 or RSA of 2048 to
/// 4096 bits. Held as its SubjectPublicKeyInfo in DER, in the one spelling that the key has, so
/// that a denied key cannot come back under another hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: Kind,
    spki: Box<[u8]>,
    key_bits: Box<[u8]>,
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// Refuses other algorithms, curves and sizes, points that are not on their curve, compressed
    /// points, explicit curve parameters, and any second spelling of a key.
    pub fn from_spki_der(spki_der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(spki_der).map_err(KeyError::Malformed)?;
        let kind = kind_of(&spki.algorithm.oid, spki.algorithm.parameters)?;
        let bits = spki.subject_public_key.as_bytes().ok_or(KeyError::Invalid(kind.name()))?;
        let key = Self::new(kind, bits)?;
        if *key.spki == *spki_der { Ok(key) } else { Err(KeyError::Invalid(kind.name())) }
    }

    /// Reads the public key of a certificate on record.
    ///
    /// # Errors
    /// Refuses what is no certificate, and what [`Self::from_spki_der`] refuses.
    pub fn from_certificate_der(certificate_der: &[u8]) -> Result<Self, KeyError> {
        let certificate = x509_cert::Certificate::from_der(certificate_der).map_err(KeyError::Malformed)?;
        let spki = certificate.tbs_certificate().subject_public_key_info();
        Self::from_spki_der(&spki.to_der().map_err(KeyError::Malformed)?)
    }

    pub(crate) fn p256(point: &[u8]) -> Result<Self, KeyError> {
        Self::new(Kind::P256, point)
    }

    pub(crate) fn p384(point: &[u8]) -> Result<Self, KeyError> {
        Self::new(Kind::P384, point)
    }

    pub(crate) fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::new(Kind::Ed25519, bytes)
    }

    pub(crate) fn rsa(bits: &[u8]) -> Result<Self, KeyError> {
        Self::new(Kind::Rsa, bits)
    }

    /// From the two numbers, the highest octet first.
    pub(crate) fn rsa_of_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let number = |octets| UintRef::new(octets).map_err(KeyError::Malformed);
        let key = RsaPublicKey { modulus: number(modulus)?, exponent: number(exponent)? };
        Self::rsa(&key.to_der().map_err(KeyError::Malformed)?)
    }

    fn new(kind: Kind, bits: &[u8]) -> Result<Self, KeyError> {
        check_key_bits(kind, bits)?;
        let verifier = verifier(kind, kind.signature_algorithm()).ok_or(KeyError::Invalid(kind.name()))?;
        let _parsed =
            lc::ParsedPublicKey::new(verifier, bits).map_err(|_rejected| KeyError::Invalid(kind.name()))?;
        Ok(Self {
            kind,
            spki: spki_of(kind, bits).map_err(KeyError::Malformed)?.into(),
            key_bits: bits.into(),
        })
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The SHA-256 of the SubjectPublicKeyInfo: the key's name.
    #[must_use]
    pub fn sha256(&self) -> SpkiSha256 {
        SpkiSha256::of(&self.spki)
    }

    /// The key identifier of RFC 7093 section 2 method 1: the leftmost 160 bits of the SHA-256 of
    /// the key bits.
    pub(crate) fn subject_key_id(&self) -> [u8; 20] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.key_bits);
        let mut id = [0; 20];
        for (to, from) in id.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        id
    }

    /// The algorithm of a key that takes this one's place: for RSA the next larger size that is made.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.kind {
            Kind::P256 => KeyAlgorithm::P256,
            Kind::P384 => KeyAlgorithm::P384,
            Kind::Ed25519 => KeyAlgorithm::Ed25519,
            Kind::Rsa => match rsa_bits(&self.key_bits).unwrap_or_default() {
                ..=2048 => KeyAlgorithm::Rsa2048,
                2049..=3072 => KeyAlgorithm::Rsa3072,
                3073.. => KeyAlgorithm::Rsa4096,
            },
        }
    }

    /// What the SubjectPublicKeyInfo's BIT STRING holds.
    pub(crate) fn key_bits(&self) -> &[u8] {
        &self.key_bits
    }

    /// Type and size, for people: `P-256`, `RSA-2048`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.kind {
            Kind::P256 | Kind::P384 | Kind::Ed25519 => self.kind.name().to_owned(),
            Kind::Rsa => format!("RSA-{}", rsa_bits(&self.key_bits).unwrap_or_default()),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The algorithm that the key itself signs with.
    pub(crate) const fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.kind.signature_algorithm()
    }

    /// Verifies a signature of the key's own algorithm: ECDSA in DER with SHA-256 (P-256) or
    /// SHA-384 (P-384), Ed25519, or RSA PKCS #1 v1.5 with SHA-256. The proofs of
    /// [`countersign_core::proof`] are signed so.
    ///
    /// # Errors
    /// Fails closed: anything but this key's signature over exactly this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.verify_with(self.signature_algorithm(), message, signature)
    }

    /// Verifies a signature whose algorithm the signed document names.
    pub(crate) fn verify_with(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let verifier = verifier(self.kind, algorithm).ok_or(SignatureError)?;
        lc::UnparsedPublicKey::new(verifier, &self.key_bits)
            .verify(message, signature)
            .map_err(|_unspecified| SignatureError)
    }
}

fn kind_of(algorithm: &ObjectIdentifier, parameters: Option<AnyRef<'_>>) -> Result<Kind, KeyError> {
    let unsupported = |what: String| KeyError::Unsupported(what);
    if *algorithm == rfc5912::ID_EC_PUBLIC_KEY {
        let curve = parameters
            .and_then(|any| any.decode_as::<ObjectIdentifier>().ok())
            .ok_or_else(|| unsupported("elliptic curve without a name".to_owned()))?;
        return if curve == rfc5912::SECP_256_R_1 {
            Ok(Kind::P256)
        } else if curve == rfc5912::SECP_384_R_1 {
            Ok(Kind::P384)
        } else {
            Err(unsupported(format!("elliptic curve {curve}")))
        };
    }
    if *algorithm == rfc8410::ID_ED_25519 {
        return Ok(Kind::Ed25519);
    }
    if *algorithm == rfc5912::RSA_ENCRYPTION {
        return Ok(Kind::Rsa);
    }
    Err(unsupported(format!("algorithm {algorithm}")))
}

/// The lengths that the one spelling of a key of this kind has.
fn check_key_bits(kind: Kind, bits: &[u8]) -> Result<(), KeyError> {
    let right = match kind {
        Kind::P256 => bits.len() == 65 && bits.first() == Some(&4),
        Kind::P384 => bits.len() == 97 && bits.first() == Some(&4),
        Kind::Ed25519 => bits.len() == 32,
        Kind::Rsa => {
            let size = rsa_bits(bits).map_err(KeyError::Malformed)?;
            if !RSA_BITS.contains(&size) {
                return Err(KeyError::RsaSize(size));
            }
            let key = RsaPublicKey::from_der(bits).map_err(KeyError::Malformed)?;
            key.exponent.as_bytes().last().is_some_and(|byte| byte % 2 == 1)
        }
    };
    if right { Ok(()) } else { Err(KeyError::Invalid(kind.name())) }
}

fn rsa_bits(bits: &[u8]) -> der::Result<usize> {
    let key = RsaPublicKey::from_der(bits)?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok((modulus.len() * 8).saturating_sub(unused))
}

fn spki_of(kind: Kind, bits: &[u8]) -> der::Result<Vec<u8>> {
    let (oid, parameters) = match kind {
        Kind::P256 => (rfc5912::ID_EC_PUBLIC_KEY, Some(AnyRef::from(&rfc5912::SECP_256_R_1))),
        Kind::P384 => (rfc5912::ID_EC_PUBLIC_KEY, Some(AnyRef::from(&rfc5912::SECP_384_R_1))),
        Kind::Ed25519 => (rfc8410::ID_ED_25519, None),
        Kind::Rsa => (rfc5912::RSA_ENCRYPTION, Some(AnyRef::NULL)),
    };
    SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitStringRef::from_bytes(bits)?,
    }
    .to_der()
}

fn verifier(kind: Kind, algorithm: SignatureAlgorithm) -> Option<&'static dyn lc::VerificationAlgorithm> {
    use SignatureAlgorithm as A;
    Some(match (kind, algorithm) {
        (Kind::P256, A::EcdsaSha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, A::EcdsaSha384) => &lc::ECDSA_P256_SHA384_ASN1,
        (Kind::P256, A::EcdsaSha512) => &lc::ECDSA_P256_SHA512_ASN1,
        (Kind::P384, A::EcdsaSha256) => &lc::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, A::EcdsaSha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (Kind::P384, A::EcdsaSha512) => &lc::ECDSA_P384_SHA512_ASN1,
        (Kind::Ed25519, A::Ed25519) => &lc::ED25519,
        (Kind::Rsa, A::RsaSha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (Kind::Rsa, A::RsaSha384) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (Kind::Rsa, A::RsaSha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
        (Kind::P256 | Kind::P384 | Kind::Ed25519 | Kind::Rsa, _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyAlgorithm, SigningKey};

    fn spki(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, bits: &[u8]) -> Vec<u8> {
        SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier { oid, parameters },
            subject_public_key: BitStringRef::from_bytes(bits).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    #[test]
    fn reads_what_it_writes() {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
            let key = SigningKey::generate(algorithm).unwrap();
            let read = PublicKey::from_spki_der(key.public_key().spki_der()).unwrap();
            assert_eq!(&read, key.public_key());
            assert_eq!(read.sha256(), SpkiSha256::of(read.spki_der()));
        }
    }

    #[test]
    fn refuses_short_and_long_rsa_keys_by_their_size() {
        for (bytes, size) in [(64, 512), (128, 1024), (255, 2040), (513, 4104)] {
            let mut modulus = vec![0xff; bytes];
            modulus[0] = 0x80;
            let key = RsaPublicKey {
                modulus: UintRef::new(&modulus).unwrap(),
                exponent: UintRef::new(&[1, 0, 1]).unwrap(),
            };
            let der = spki(rfc5912::RSA_ENCRYPTION, Some(AnyRef::NULL), &key.to_der().unwrap());
            let error = PublicKey::from_spki_der(&der).unwrap_err();
            assert_eq!(error.to_string(), format!("RSA-{size}: RSA keys of 2048 to 4096 bits are accepted"));
        }
    }

    #[test]
    fn refuses_other_curves_and_algorithms_by_name() {
        let point = [4; 133];
        for (oid, parameters) in [
            (rfc5912::ID_EC_PUBLIC_KEY, Some(AnyRef::from(&rfc5912::SECP_521_R_1))),
            (rfc5912::ID_EC_PUBLIC_KEY, None),
            (rfc5912::ID_EC_PUBLIC_KEY, Some(AnyRef::NULL)),
            (rfc5912::ID_DSA, None),
            (rfc8410::ID_X_25519, None),
        ] {
            let error = PublicKey::from_spki_der(&spki(oid, parameters, &point)).unwrap_err();
            assert!(matches!(error, KeyError::Unsupported(_)), "{oid}: {error}");
        }
    }

    #[test]
    fn refuses_a_point_off_the_curve_and_a_compressed_one() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let good = key.public_key().key_bits.clone();
        let mut off = good.clone();
        off[40] ^= 1;
        let mut compressed = good[..33].to_vec();
        compressed[0] = 2 + (good[64] & 1);
        for bits in [&off[..], &compressed] {
            let der = spki(rfc5912::ID_EC_PUBLIC_KEY, Some(AnyRef::from(&rfc5912::SECP_256_R_1)), bits);
            assert!(matches!(PublicKey::from_spki_der(&der), Err(KeyError::Invalid("P-256"))));
        }
    }

    #[test]
    fn refuses_a_second_spelling_of_a_key() {
        let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let bits = &key.public_key().key_bits;
        let with_null = spki(rfc8410::ID_ED_25519, Some(AnyRef::NULL), bits);
        assert!(matches!(PublicKey::from_spki_der(&with_null), Err(KeyError::Invalid("Ed25519"))));
        let mut trailing = key.public_key().spki_der().to_vec();
        trailing.push(0);
        assert!(matches!(PublicKey::from_spki_der(&trailing), Err(KeyError::Malformed(_))));
    }
}
