//! The device's key: made here, never sent. What leaves is a signing request and signatures.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use const_oid::db::rfc4519::COMMON_NAME;
use const_oid::db::rfc5912::ECDSA_WITH_SHA_256;
use der::asn1::{Any, BitString, SetOfVec, Utf8StringRef};
use der::pem::LineEnding;
use der::{Decode as _, Encode as _};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use thiserror::Error;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use zeroize::Zeroizing;

use crate::secret::Secret;

const PRIVATE_KEY: &str = "PRIVATE KEY";
const SIGNING_REQUEST: &str = "CERTIFICATE REQUEST";

/// The most characters that a common name may have (RFC 5280 appendix A, ub-common-name).
const COMMON_NAME_LIMIT: usize = 64;

/// Something about a key failed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The generator or the signature failed.
    #[error("cannot {0} with the device's key")]
    Crypto(&'static str, #[source] aws_lc_rs::error::Unspecified),
    /// It is no PEM with a PKCS #8 key.
    #[error("the saved key is no PKCS #8 PEM")]
    Pem(#[source] der::pem::Error),
    /// It is not a P-256 key.
    #[error("the saved key is no P-256 key")]
    Rejected(#[source] aws_lc_rs::error::KeyRejected),
    /// The signing request cannot be written.
    #[error("cannot write the signing request")]
    Request(#[source] der::Error),
}

/// A P-256 key pair.
pub struct DeviceKey(EcdsaKeyPair);

/// A PKCS #10 signing request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// The request, PEM.
    pub pem: String,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
}

impl DeviceKey {
    /// A fresh key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self)
            .map_err(|error| KeyError::Crypto("make a key pair", error))
    }

    /// The key that was saved.
    ///
    /// # Errors
    /// Refuses anything but a P-256 key in PKCS #8 PEM.
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let (_label, der) = der::pem::decode_vec(pem.expose().as_bytes()).map_err(KeyError::Pem)?;
        let der = Zeroizing::new(der);
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).map(Self).map_err(KeyError::Rejected)
    }

    /// The private key, to be saved: PKCS #8 PEM.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn to_pem(&self) -> Result<Secret, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|error| KeyError::Crypto("write a file", error))?;
        let pem = der::pem::encode_string(PRIVATE_KEY, LineEnding::LF, der.as_ref());
        pem.map(Secret::new).map_err(KeyError::Pem)
    }

    /// The public key: SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn public_key_der(&self) -> Result<Vec<u8>, KeyError> {
        let der: PublicKeyX509Der<'_> =
            self.0.public_key().as_der().map_err(|error| KeyError::Crypto("write the public part", error))?;
        Ok(der.as_ref().to_vec())
    }

    /// Signs with ECDSA and SHA-256; the signature is DER.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature.map(|bytes| bytes.as_ref().to_vec()).map_err(|error| KeyError::Crypto("sign", error))
    }

    /// A signing request whose subject is `CN=<common_name>`, cut to what a common name may hold.
    /// The subject is for people: a control plane uses only the key.
    ///
    /// # Errors
    /// When it cannot be written or signed.
    pub fn signing_request(&self, common_name: &str) -> Result<SigningRequest, KeyError> {
        let der = self.signing_request_der(common_name)?;
        let pem = der::pem::encode_string(SIGNING_REQUEST, LineEnding::LF, &der).map_err(KeyError::Pem)?;
        Ok(SigningRequest { pem, sha256: sha256(&der) })
    }

    fn signing_request_der(&self, common_name: &str) -> Result<Vec<u8>, KeyError> {
        let public_key = self.public_key_der()?;
        let info = CertReqInfo {
            version: Version::V1,
            subject: subject(common_name).map_err(KeyError::Request)?,
            public_key: SubjectPublicKeyInfoOwned::from_der(&public_key).map_err(KeyError::Request)?,
            attributes: SetOfVec::new(),
        };
        let signature = self.sign(&info.to_der().map_err(KeyError::Request)?)?;
        let request = CertReq {
            info,
            algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA_256, parameters: None },
            signature: BitString::from_bytes(&signature).map_err(KeyError::Request)?,
        };
        request.to_der().map_err(KeyError::Request)
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

fn subject(common_name: &str) -> Result<Name, der::Error> {
    let text: String = common_name.chars().filter(|c| !c.is_control()).take(COMMON_NAME_LIMIT).collect();
    let text = if text.is_empty() { "device".to_owned() } else { text };
    let value = Any::encode_from(&Utf8StringRef::new(&text)?)?;
    let mut name = RelativeDistinguishedName::default();
    name.insert(AttributeTypeAndValue { oid: COMMON_NAME, value })?;
    let mut names = RdnSequence::default();
    names.push(name);
    Name::from_der(&names.to_der()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use proptest::prelude::*;

    fn verifies(key: &DeviceKey, message: &[u8], signature: &[u8]) -> bool {
        let point = key.0.public_key().as_ref().to_vec();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
    }

    #[test]
    fn a_saved_key_is_the_same_key() {
        let key = DeviceKey::generate().unwrap();
        let again = DeviceKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(key.public_key_der().unwrap(), again.public_key_der().unwrap());
        assert!(verifies(&key, b"message", &again.sign(b"message").unwrap()));
        assert!(key.to_pem().unwrap().expose().starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn refuses_a_key_that_is_none() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(DeviceKey::from_pem(&Secret::new(text)).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_host_name_makes_a_request_that_verifies(host in "\\PC{0,80}") {
            let key = DeviceKey::generate().unwrap();
            let der = key.signing_request_der(&host).unwrap();
            let request = CertReq::from_der(&der).unwrap();
            let info = request.info.to_der().unwrap();
            prop_assert!(verifies(&key, &info, request.signature.raw_bytes()));
            prop_assert_eq!(
                request.info.public_key.to_der().unwrap(), key.public_key_der().unwrap());
            prop_assert!(request.info.attributes.is_empty());
        }
    }
}
