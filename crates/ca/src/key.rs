//! Private keys that sign: CA keys and the keys of the platform's own services.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use der::pem::LineEnding;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::public_key::PublicKey;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256; the default.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits, for peers that know nothing else.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

const PEM_LABEL: &str = "PRIVATE KEY";

/// The words for algorithms, in configuration, plans and commands.
const ALGORITHMS: [(KeyAlgorithm, &str); 6] = [
    (KeyAlgorithm::P256, "p256"),
    (KeyAlgorithm::P384, "p384"),
    (KeyAlgorithm::Ed25519, "ed25519"),
    (KeyAlgorithm::Rsa2048, "rsa-2048"),
    (KeyAlgorithm::Rsa3072, "rsa-3072"),
    (KeyAlgorithm::Rsa4096, "rsa-4096"),
];

/// A word that names no algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown key algorithm {0:?}: known are p256, p384, ed25519, rsa-2048, rsa-3072 and rsa-4096")]
pub struct UnknownAlgorithm(String);

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ALGORITHMS.iter().find(|(algorithm, _)| algorithm == self).map(|(_, word)| *word);
        f.write_str(word.unwrap_or_default())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let known = ALGORITHMS.iter().find(|(_, word)| *word == text).map(|(algorithm, _)| *algorithm);
        known.ok_or_else(|| UnknownAlgorithm(text.chars().take(80).collect()))
    }
}

/// A key that cannot be made, read or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The cryptographic library failed.
    #[error("cannot {0}: the cryptographic library failed")]
    Crypto(&'static str),
    /// No private key that signs here.
    #[error("not an unencrypted PKCS #8 private key of P-256, P-384, Ed25519 or RSA")]
    Pkcs8,
    /// Not a SubjectPublicKeyInfo.
    #[error("malformed public key")]
    Malformed(#[source] der::Error),
    /// An algorithm, a curve or parameters that are not accepted.
    #[error("unsupported public key: {0}; accepted are P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits")]
    Unsupported(String),
    /// An RSA key that is too short to be safe or too long to be cheap.
    #[error("RSA-{0}: RSA keys of 2048 to 4096 bits are accepted")]
    RsaSize(usize),
    /// The right shape, but no valid key.
    #[error("invalid {0} public key")]
    Invalid(&'static str),
    /// A serial-number prefix outside its range.
    #[error("node id {0:#04x} is not in 0x01..=0x7f")]
    Node(u8),
    /// What keeps the key (a token, say) did not do what it was asked for.
    #[error("the custody of the key at {location} failed")]
    Custody {
        /// Where the key lies; never how to get at it.
        location: String,
        /// What it said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key in memory: PKCS #8, overwritten when dropped, never printed.
pub struct SigningKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let failed = |_unspecified| KeyError::Crypto("generate a key");
        // PKCS #8 version 1: what OpenSSL 3.0 reads, for Ed25519 too.
        let document = match algorithm {
            KeyAlgorithm::P256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).and_then(|pair| pair.to_pkcs8v1())
            }
            KeyAlgorithm::P384 => {
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).and_then(|pair| pair.to_pkcs8v1())
            }
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
            KeyAlgorithm::Rsa2048 => return Self::generate_rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => return Self::generate_rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => return Self::generate_rsa(KeySize::Rsa4096),
        };
        Self::from_pkcs8_der(document.map_err(failed)?.as_ref())
    }

    fn generate_rsa(size: KeySize) -> Result<Self, KeyError> {
        let document: Result<Pkcs8V1Der<'_>, _> = RsaKeyPair::generate(size).and_then(|pair| pair.as_der());
        let document = document.map_err(|_unspecified| KeyError::Crypto("generate a key"))?;
        Self::from_pkcs8_der(document.as_ref())
    }

    /// Reads an unencrypted PKCS #8 key.
    ///
    /// # Errors
    /// Refuses what is not a valid key of one of the [`KeyAlgorithm`]s.
    pub fn from_pkcs8_der(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8) {
            Pair::P256(pair)
        } else if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8) {
            Pair::P384(pair)
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8(pkcs8) {
            Pair::Ed25519(pair)
        } else {
            Pair::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_rejected| KeyError::Pkcs8)?)
        };
        let public = match &pair {
            Pair::P256(pair) => PublicKey::p256(pair.public_key().as_ref()),
            Pair::P384(pair) => PublicKey::p384(pair.public_key().as_ref()),
            Pair::Ed25519(pair) => PublicKey::ed25519(pair.public_key().as_ref()),
            Pair::Rsa(pair) => PublicKey::rsa(pair.public_key().as_ref()),
        }?;
        Ok(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()), public })
    }

    /// Reads an unencrypted PKCS #8 key in PEM.
    ///
    /// # Errors
    /// As [`Self::from_pkcs8_der`].
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) =
            der::pem::decode_vec(text.trim().as_bytes()).map_err(|_malformed| KeyError::Pkcs8)?;
        let der = Zeroizing::new(der);
        if label == PEM_LABEL { Self::from_pkcs8_der(&der) } else { Err(KeyError::Pkcs8) }
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Which kind of key it is.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.public.algorithm()
    }

    /// Signs with the key's own algorithm: ECDSA in DER with SHA-256 (P-256) or SHA-384 (P-384),
    /// Ed25519, or RSA PKCS #1 v1.5 with SHA-256.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
            Pair::Rsa(pair) => return sign_rsa(pair, message),
        };
        signature
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_unspecified| KeyError::Crypto("sign"))
    }

    /// The key as `PRIVATE KEY` PEM (RFC 5958), overwritten when dropped.
    #[must_use]
    #[expect(clippy::expect_used, reason = "PEM of a key of a few hundred bytes cannot overflow")]
    pub fn pkcs8_pem(&self) -> Zeroizing<String> {
        let pem = der::pem::encode_string(PEM_LABEL, LineEnding::LF, &self.pkcs8);
        Zeroizing::new(pem.expect("a short key fits"))
    }

    /// The key as PKCS #8 in DER.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }
}

fn sign_rsa(pair: &RsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_unspecified| KeyError::Crypto("sign"))?;
    Ok(signature)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_have_words() {
        for (algorithm, word) in ALGORITHMS {
            assert_eq!((algorithm.to_string().as_str(), word.parse()), (word, Ok(algorithm)));
        }
        assert!("rsa-1024".parse::<KeyAlgorithm>().is_err());
    }

    #[test]
    fn every_kind_signs_verifies_and_reads_back() {
        for (algorithm, _word) in ALGORITHMS {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
            assert_eq!((key.algorithm(), again.algorithm()), (algorithm, algorithm));
            assert_eq!(key.public_key(), again.public_key());
            let signature = again.sign(b"message").unwrap();
            assert_eq!(SigningKey::from_pkcs8_pem(&key.pkcs8_pem()).unwrap().public_key(), key.public_key());
            key.public_key().verify(b"message", &signature).unwrap();
            assert!(key.public_key().verify(b"another", &signature).is_err(), "{algorithm:?}");
            let other = SigningKey::generate(algorithm).unwrap();
            assert!(other.public_key().verify(b"message", &signature).is_err(), "{algorithm:?}");
        }
    }

    #[test]
    fn never_prints_itself() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey([redacted])");
        assert!(key.pkcs8_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let mut cut = key.pkcs8_der().to_vec();
        cut.pop();
        for bytes in [&b""[..], b"key", &cut] {
            assert!(matches!(SigningKey::from_pkcs8_der(bytes), Err(KeyError::Pkcs8)));
        }
    }
}
