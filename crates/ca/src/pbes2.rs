//! What is encrypted under a password in files that other programs open: PBES2 (RFC 8018 section 6.2) with
//! PBKDF2-HMAC-SHA256 and AES-256-CBC.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, Null, OctetString, OctetStringRef};
use der::{Encode as _, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::KeyError;
use crate::random::random_bytes;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

const KEY_LENGTH: u16 = 32;

/// More than this takes minutes, and nobody wrote it.
const MOST_ITERATIONS: u32 = 20_000_000;

/// Something was not encrypted, or not opened.
#[derive(Debug, Error)]
pub(crate) enum Pbes2Error {
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto(#[source] KeyError),
    /// It has no DER.
    #[error("malformed DER")]
    Der(#[from] der::Error),
    /// Encrypted in a way that is not read here.
    #[error("encrypted with {0}")]
    Scheme(String),
    /// Another password, or it was changed.
    #[error("another password, or damaged")]
    Passphrase,
}

/// The parameters of PBES2 (RFC 8018 appendix A.4).
#[derive(Sequence)]
struct Parameters {
    derivation: AlgorithmIdentifierOwned,
    cipher: AlgorithmIdentifierOwned,
}

/// The parameters of PBKDF2 (RFC 8018 appendix A.2).
#[derive(Sequence)]
struct Derivation {
    salt: OctetString,
    iterations: u32,
    #[asn1(optional = "true")]
    key_length: Option<u16>,
    #[asn1(optional = "true")]
    function: Option<AlgorithmIdentifierOwned>,
}

/// The algorithm identifier and the ciphertext, under a salt and an initialisation vector of its own.
pub(crate) fn encrypt(
    plain: &[u8],
    password: &str,
    iterations: NonZeroU32,
) -> Result<(Vec<u8>, Vec<u8>), Pbes2Error> {
    let salt = random_bytes::<16>().map_err(Pbes2Error::Crypto)?;
    let key = derived(password, &salt, iterations);
    let failed = || Pbes2Error::Crypto(KeyError::Crypto("encrypt with AES-256-CBC"));
    let (vector, encrypted) = aes_256_cbc(plain, &key).ok_or_else(failed)?;
    Ok((scheme(&salt, iterations, &vector)?, encrypted))
}

/// What was encrypted.
///
/// Fails closed: nothing but this very scheme is opened. That it is what was encrypted shows only in what
/// it is: nothing here proves that it was not changed.
pub(crate) fn decrypt(
    scheme: &AlgorithmIdentifierOwned,
    encrypted: &[u8],
    password: &str,
) -> Result<Zeroizing<Vec<u8>>, Pbes2Error> {
    let parameters: Parameters = of_kind(scheme, PBES2)?;
    let derivation: Derivation = of_kind(&parameters.derivation, PBKDF2)?;
    let function = derivation.function.as_ref().map_or_else(|| "1.2.840.113549.2.7".to_owned(), oid_of);
    if function != HMAC_SHA256.to_string() {
        return Err(Pbes2Error::Scheme(format!("the function {function}")));
    }
    let iterations = NonZeroU32::new(derivation.iterations).filter(|count| count.get() <= MOST_ITERATIONS);
    let known_length = derivation.key_length.is_none_or(|length| length == KEY_LENGTH);
    let (Some(iterations), true) = (iterations, known_length) else {
        return Err(Pbes2Error::Scheme(format!("{} iterations", derivation.iterations)));
    };
    let vector: OctetString = of_kind(&parameters.cipher, AES_256_CBC)?;
    let vector: [u8; 16] =
        vector.as_bytes().try_into().map_err(|_length| Pbes2Error::Scheme("another vector".to_owned()))?;
    let key = derived(password, derivation.salt.as_bytes(), iterations);
    opened(encrypted, &key, vector).ok_or(Pbes2Error::Passphrase)
}

fn oid_of(algorithm: &AlgorithmIdentifierOwned) -> String {
    algorithm.oid.to_string()
}

/// The parameters of an algorithm that must be `kind`.
fn of_kind<T>(algorithm: &AlgorithmIdentifierOwned, kind: ObjectIdentifier) -> Result<T, Pbes2Error>
where
    T: for<'a> der::Decode<'a, Error = der::Error>,
{
    if algorithm.oid != kind {
        return Err(Pbes2Error::Scheme(format!("the algorithm {}", algorithm.oid)));
    }
    let parameters = algorithm.parameters.as_ref().map(der::Encode::to_der).transpose()?;
    Ok(T::from_der(&parameters.unwrap_or_default())?)
}

fn derived(password: &str, salt: &[u8], iterations: NonZeroU32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut *key);
    key
}

fn aes_256_cbc(plain: &[u8], key: &[u8; 32]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut bytes = plain.to_vec();
    let DecryptionContext::Iv128(vector) = key.encrypt(&mut bytes).ok()? else { return None };
    Some((vector.as_ref().to_vec(), bytes))
}

fn opened(encrypted: &[u8], key: &[u8; 32], vector: [u8; 16]) -> Option<Zeroizing<Vec<u8>>> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut bytes = Zeroizing::new(encrypted.to_vec());
    let vector = DecryptionContext::Iv128(FixedLength::from(vector));
    let plain = key.decrypt(&mut bytes, vector).ok()?.len();
    bytes.truncate(plain);
    Some(bytes)
}

/// PBES2 with its parameters.
fn scheme(salt: &[u8], iterations: NonZeroU32, vector: &[u8]) -> der::Result<Vec<u8>> {
    let function = tlv(Tag::Sequence, &[&HMAC_SHA256.to_der()?, &Null.to_der()?])?;
    let (salt, iterations) = (OctetStringRef::new(salt)?.to_der()?, iterations.get().to_der()?);
    let derivation = tlv(Tag::Sequence, &[&salt, &iterations, &KEY_LENGTH.to_der()?, &function])?;
    let derivation = tlv(Tag::Sequence, &[&PBKDF2.to_der()?, &derivation])?;
    let cipher = tlv(Tag::Sequence, &[&AES_256_CBC.to_der()?, &OctetStringRef::new(vector)?.to_der()?])?;
    let parameters = tlv(Tag::Sequence, &[&derivation, &cipher])?;
    tlv(Tag::Sequence, &[&PBES2.to_der()?, &parameters])
}

/// A value by its tag and the parts of its contents.
pub(crate) fn tlv(tag: Tag, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, &parts.concat())?.to_der()
}
