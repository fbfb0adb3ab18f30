//! Private keys under a passphrase, in a form that other programs open too: PKCS #8 EncryptedPrivateKeyInfo
//! (RFC 5958 section 3) with PBES2, PBKDF2-HMAC-SHA256 and AES-256-CBC.

use std::num::NonZeroU32;

use der::asn1::{OctetString, OctetStringRef};
use der::pem::LineEnding;
use der::{Decode as _, Encode as _, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{KeyError, SigningKey};
use crate::pbes2::{self, Pbes2Error, tlv};

/// About half a second: whoever guesses pays it for every guess.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

pub(crate) const PEM_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// A key was not encrypted, or not opened.
#[derive(Debug, Error)]
pub enum EncryptedKeyError {
    /// No such thing.
    #[error("no ENCRYPTED PRIVATE KEY in PEM")]
    Pem,
    /// Not as it is written here.
    #[error(
        "the key is encrypted in another way ({0}): only PBES2 with PBKDF2, HMAC-SHA256 and AES-256-CBC is \
         opened; `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256` writes it so"
    )]
    Scheme(String),
    /// The passphrase is another one.
    #[error("the passphrase is wrong, or the file was changed")]
    Passphrase,
    /// It opens, and is no key that is accepted.
    #[error("cannot use the key")]
    Key(#[source] KeyError),
    /// It has no DER.
    #[error("malformed encrypted key")]
    Der(#[source] der::Error),
}

impl From<Pbes2Error> for EncryptedKeyError {
    fn from(error: Pbes2Error) -> Self {
        match error {
            Pbes2Error::Crypto(error) => Self::Key(error),
            Pbes2Error::Der(error) => Self::Der(error),
            Pbes2Error::Scheme(scheme) => Self::Scheme(scheme),
            Pbes2Error::Passphrase => Self::Passphrase,
        }
    }
}

#[derive(Sequence)]
struct EncryptedPrivateKeyInfo {
    algorithm: AlgorithmIdentifierOwned,
    data: OctetString,
}

/// The key under a passphrase, PEM.
///
/// # Errors
/// When the cryptographic library fails.
pub fn encrypted_key_pem(key: &SigningKey, passphrase: &str) -> Result<String, EncryptedKeyError> {
    let (scheme, encrypted) = pbes2::encrypt(key.pkcs8_der(), passphrase, ITERATIONS)?;
    let octets = OctetStringRef::new(&encrypted).and_then(|octets| octets.to_der());
    let octets = octets.map_err(EncryptedKeyError::Der)?;
    let der = tlv(Tag::Sequence, &[&scheme, &octets]).map_err(EncryptedKeyError::Der)?;
    der::pem::encode_string(PEM_LABEL, LineEnding::LF, &der).map_err(|_too_long| EncryptedKeyError::Pem)
}

/// The key of such a PEM.
///
/// # Errors
/// Fails closed: refuses another passphrase, another scheme, and whatever does not open to a key.
pub fn key_of_encrypted_pem(text: &str, passphrase: &str) -> Result<SigningKey, EncryptedKeyError> {
    let (label, der) =
        der::pem::decode_vec(text.trim().as_bytes()).map_err(|_malformed| EncryptedKeyError::Pem)?;
    if label != PEM_LABEL {
        return Err(EncryptedKeyError::Pem);
    }
    let info = EncryptedPrivateKeyInfo::from_der(&der).map_err(EncryptedKeyError::Der)?;
    let pkcs8: Zeroizing<Vec<u8>> = pbes2::decrypt(&info.algorithm, info.data.as_bytes(), passphrase)?;
    match SigningKey::from_pkcs8_der(&pkcs8) {
        Ok(key) => Ok(key),
        // One of 256 wrong passphrases gives a right padding, and nonsense before it.
        Err(_nonsense) if pkcs8.first() != Some(&0x30) => Err(EncryptedKeyError::Passphrase),
        Err(error) => Err(EncryptedKeyError::Key(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;

    #[test]
    fn a_key_opens_with_its_passphrase_and_no_other() {
        let key = SigningKey::generate(KeyAlgorithm::P384).unwrap();
        let pem = encrypted_key_pem(&key, "correct horse battery").unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let again = key_of_encrypted_pem(&pem, "correct horse battery").unwrap();
        assert_eq!(again.public_key(), key.public_key());
        for wrong in ["Correct horse battery", ""] {
            let refused = key_of_encrypted_pem(&pem, wrong).unwrap_err();
            assert!(matches!(refused, EncryptedKeyError::Passphrase), "{refused}");
        }
    }

    #[test]
    fn what_is_no_encrypted_key_is_refused() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let plain = key.pkcs8_pem();
        assert!(matches!(key_of_encrypted_pem(&plain, "x"), Err(EncryptedKeyError::Pem)));
        let garbage = der::pem::encode_string(PEM_LABEL, LineEnding::LF, b"\x30\x00").unwrap();
        assert!(matches!(key_of_encrypted_pem(&garbage, "x"), Err(EncryptedKeyError::Der(_))));
        // The old way: PBE with SHA-1 and triple DES.
        let scheme = tlv(
            Tag::Sequence,
            &[&const_oid::ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3").to_der().unwrap()],
        );
        let octets = OctetStringRef::new(&[0; 16]).unwrap().to_der().unwrap();
        let old = tlv(Tag::Sequence, &[&scheme.unwrap(), &octets]).unwrap();
        let old = der::pem::encode_string(PEM_LABEL, LineEnding::LF, &old).unwrap();
        assert!(matches!(key_of_encrypted_pem(&old, "x"), Err(EncryptedKeyError::Scheme(_))));
    }
}
