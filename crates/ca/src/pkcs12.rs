//! A certificate with its key in one file, as browsers import them (PKCS #12, RFC 7292).
//!
//! Written here because the libraries that write it bring a second set of cryptography, pre-releases
//! among it. Only what is safe today: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA256 (RFC 8018), and
//! HMAC-SHA256 over all of it.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac};
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, BmpString, Null, OctetStringRef};
use der::{Encode as _, Tag, TagNumber};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{KeyError, SigningKey};
use crate::pbes2::{self, Pbes2Error, tlv};
use crate::public_key::PublicKey;
use crate::random::random_bytes;

const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");

/// What goes into the file.
#[derive(Clone, Copy, Debug)]
pub struct Pkcs12Contents<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a SigningKey,
    /// The CAs above it, DER.
    pub chain: &'a [Vec<u8>],
    /// What people see it under.
    pub name: &'a str,
}

/// Why no file was made.
#[derive(Debug, Error)]
pub enum Pkcs12Error {
    /// The certificate cannot be read.
    #[error("unusable certificate")]
    Certificate(#[source] KeyError),
    /// Certificate and key are of different people.
    #[error("the certificate is not that of the key")]
    KeyMismatch,
    /// A file without a password protects nothing.
    #[error("an empty password")]
    EmptyPassword,
    /// Something in it has no place in such a file: a name in letters outside the basic plane, say.
    #[error("cannot encode the PKCS #12 file")]
    Encode(#[source] der::Error),
    /// The cryptography failed.
    #[error("cannot encrypt the PKCS #12 file")]
    Encrypt(#[source] KeyError),
}

impl From<Pbes2Error> for Pkcs12Error {
    fn from(error: Pbes2Error) -> Self {
        match error {
            Pbes2Error::Crypto(error) => Self::Encrypt(error),
            Pbes2Error::Der(error) => Self::Encode(error),
            Pbes2Error::Scheme(_) | Pbes2Error::Passphrase => Self::Encrypt(KeyError::Crypto("encrypt")),
        }
    }
}

/// Writes the file, DER. Key and certificates are encrypted under `password`, and all of it is
/// protected against change.
///
/// # Errors
/// Refuses an empty password and a key that is not the certificate's.
pub fn pkcs12(contents: &Pkcs12Contents<'_>, password: &str) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let certified =
        PublicKey::from_certificate_der(contents.certificate).map_err(Pkcs12Error::Certificate)?;
    if &certified != contents.key.public_key() {
        return Err(Pkcs12Error::KeyMismatch);
    }
    if password.is_empty() {
        return Err(Pkcs12Error::EmptyPassword);
    }
    let certificates = certificate_bags(contents).map_err(Pkcs12Error::Encode)?;
    let (scheme, certificates) = pbes2::encrypt(&certificates, password, ITERATIONS)?;
    let (key_scheme, key) = pbes2::encrypt(contents.key.pkcs8_der(), password, ITERATIONS)?;
    let safe = authenticated_safe(contents, (&scheme, &certificates), (&key_scheme, &key));
    let safe = safe.map_err(Pkcs12Error::Encode)?;
    let salt = random_bytes::<16>().map_err(Pkcs12Error::Encrypt)?;
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mac_key(password, &salt)), &safe);
    file(&safe, mac.as_ref(), &salt).map(Zeroizing::new).map_err(Pkcs12Error::Encode)
}

/// The certificate that belongs to the key, then the CAs.
fn certificate_bags(contents: &Pkcs12Contents<'_>) -> der::Result<Vec<u8>> {
    let mut bags = certificate_bag(contents.certificate, &attributes(contents)?)?;
    for ca in contents.chain.iter().filter(|ca| ca.as_slice() != contents.certificate) {
        bags.extend(certificate_bag(ca, &[])?);
    }
    tlv(Tag::Sequence, &[&bags])
}

fn certificate_bag(certificate: &[u8], attributes: &[u8]) -> der::Result<Vec<u8>> {
    let value = explicit(&OctetStringRef::new(certificate)?.to_der()?)?;
    let bag = explicit(&tlv(Tag::Sequence, &[&X509_CERTIFICATE.to_der()?, &value])?)?;
    tlv(Tag::Sequence, &[&CERT_BAG.to_der()?, &bag, attributes])
}

/// By the same key identifier the reader knows which certificate is the key's.
fn attributes(contents: &Pkcs12Contents<'_>) -> der::Result<Vec<u8>> {
    let id = digest::digest(&digest::SHA256, contents.certificate);
    let id = attribute(LOCAL_KEY_ID, &OctetStringRef::new(id.as_ref())?.to_der()?)?;
    let name = attribute(FRIENDLY_NAME, &BmpString::from_utf8(contents.name)?.to_der()?)?;
    // DER orders the members of a SET by their encoding.
    let mut members = [id, name];
    members.sort();
    tlv(Tag::Set, &[&members.concat()])
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> der::Result<Vec<u8>> {
    tlv(Tag::Sequence, &[&kind.to_der()?, &tlv(Tag::Set, &[value])?])
}

fn authenticated_safe(
    contents: &Pkcs12Contents<'_>,
    (scheme, certificates): (&[u8], &[u8]),
    (key_scheme, key): (&[u8], &[u8]),
) -> der::Result<Vec<u8>> {
    let content = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    let encrypted =
        tlv(Tag::Sequence, &[&DATA.to_der()?, scheme, &AnyRef::new(content, certificates)?.to_der()?])?;
    let encrypted = tlv(Tag::Sequence, &[&0_u8.to_der()?, &encrypted])?;
    let certificates = tlv(Tag::Sequence, &[&ENCRYPTED_DATA.to_der()?, &explicit(&encrypted)?])?;
    let key = tlv(Tag::Sequence, &[key_scheme, &OctetStringRef::new(key)?.to_der()?])?;
    let bag = [SHROUDED_KEY_BAG.to_der()?, explicit(&key)?, attributes(contents)?].concat();
    let bags = tlv(Tag::Sequence, &[&tlv(Tag::Sequence, &[&bag])?])?;
    tlv(Tag::Sequence, &[&certificates, &data(&bags)?])
}

fn file(safe: &[u8], mac: &[u8], salt: &[u8]) -> der::Result<Vec<u8>> {
    let algorithm = tlv(Tag::Sequence, &[&SHA256.to_der()?, &Null.to_der()?])?;
    let digest = tlv(Tag::Sequence, &[&algorithm, &OctetStringRef::new(mac)?.to_der()?])?;
    let salt = OctetStringRef::new(salt)?.to_der()?;
    let mac = tlv(Tag::Sequence, &[&digest, &salt, &ITERATIONS.get().to_der()?])?;
    tlv(Tag::Sequence, &[&3_u8.to_der()?, &data(safe)?, &mac])
}

/// A ContentInfo of plain data.
fn data(content: &[u8]) -> der::Result<Vec<u8>> {
    tlv(Tag::Sequence, &[&DATA.to_der()?, &explicit(&OctetStringRef::new(content)?.to_der()?)?])
}

/// `[0] EXPLICIT`.
fn explicit(inner: &[u8]) -> der::Result<Vec<u8>> {
    tlv(Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, &[inner])
}

/// The key of the HMAC (RFC 7292 appendix B.2, with SHA-256 and identifier 3): one block is enough.
fn mac_key(password: &str, salt: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    const BLOCK: usize = 64;
    const FOR_INTEGRITY: u8 = 3;
    let utf16 = password.encode_utf16().chain(std::iter::once(0));
    let password = Zeroizing::new(utf16.flat_map(u16::to_be_bytes).collect::<Vec<_>>());
    let filled = |bytes: &[u8]| -> Vec<u8> {
        let length = bytes.len().div_ceil(BLOCK).saturating_mul(BLOCK);
        bytes.iter().copied().cycle().take(length).collect()
    };
    let mut first = Zeroizing::new(vec![FOR_INTEGRITY; BLOCK]);
    first.extend(filled(salt));
    first.extend(Zeroizing::new(filled(&password)).iter());
    let mut key = Zeroizing::new(digest::digest(&digest::SHA256, &first).as_ref().to_vec());
    for _again in 1..ITERATIONS.get() {
        key = Zeroizing::new(digest::digest(&digest::SHA256, &key).as_ref().to_vec());
    }
    key
}
