//! Signing requests that are not well formed are refused, saying what is wrong.

use countersign_ca::csr::CSR_LIMIT;
use countersign_ca::{CsrError, KeyAlgorithm, SigningKey, VerifiedCsr};
use der::asn1::{Any, BitString, SetOfVec};
use der::pem::LineEnding;
use der::{Decode as _, Encode as _};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::hierarchy::key;

/// A signing request by `key`, signed by `signer`.
pub(crate) fn request_by(key: &SigningKey, signer: &SigningKey) -> CertReq {
    let info = CertReqInfo {
        version: Version::V1,
        subject: "CN=anything".parse::<Name>().unwrap(),
        public_key: spki::SubjectPublicKeyInfoOwned::from_der(key.public_key().spki_der()).unwrap(),
        attributes: SetOfVec::new(),
    };
    let oid = match signer.algorithm() {
        KeyAlgorithm::P256 => const_oid::db::rfc5912::ECDSA_WITH_SHA_256,
        KeyAlgorithm::P384 => const_oid::db::rfc5912::ECDSA_WITH_SHA_384,
        KeyAlgorithm::Ed25519 => const_oid::db::rfc8410::ID_ED_25519,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            const_oid::db::rfc5912::SHA_256_WITH_RSA_ENCRYPTION
        }
    };
    let signature = signer.sign(&info.to_der().unwrap()).unwrap();
    CertReq {
        info,
        algorithm: spki::AlgorithmIdentifierOwned { oid, parameters: None },
        signature: BitString::from_bytes(&signature).unwrap(),
    }
}

pub(crate) fn valid(algorithm: KeyAlgorithm) -> Vec<u8> {
    let key = key(algorithm);
    request_by(&key, &key).to_der().unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der).unwrap()
}

#[test]
fn a_well_formed_request_is_read_from_der_and_pem() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let key = key(algorithm);
        let der = request_by(&key, &key).to_der().unwrap();
        let read = VerifiedCsr::from_der(&der).unwrap();
        assert_eq!(read.public_key(), key.public_key());
        let from_pem = VerifiedCsr::from_pem(&pem("CERTIFICATE REQUEST", &der)).unwrap();
        assert_eq!(from_pem.der_sha256(), read.der_sha256());
    }
}

#[test]
fn too_long_a_request_is_refused_unread() {
    let der = vec![0x30; CSR_LIMIT + 1];
    assert!(matches!(VerifiedCsr::from_der(&der), Err(CsrError::TooLong(length)) if length == CSR_LIMIT + 1));
    let text = "A".repeat(2 * 1024 * 1024);
    assert!(matches!(VerifiedCsr::from_pem(&text), Err(CsrError::TooLong(_))));
}

#[test]
fn trailing_data_is_refused() {
    let mut der = valid(KeyAlgorithm::P256);
    der.push(0);
    assert!(matches!(VerifiedCsr::from_der(&der), Err(CsrError::Malformed(_))));
    let one = pem("CERTIFICATE REQUEST", &valid(KeyAlgorithm::P256));
    assert!(VerifiedCsr::from_pem(&format!("{one}{one}")).is_err());
    assert!(VerifiedCsr::from_pem(&format!("{one}garbage")).is_err());
}

#[test]
fn what_is_no_request_is_refused() {
    for text in ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----", "{\"csr\": 1}"] {
        assert!(matches!(VerifiedCsr::from_pem(text), Err(CsrError::Pem(_))), "{text}");
    }
    let key = key(KeyAlgorithm::P256);
    assert!(
        matches!(VerifiedCsr::from_pem(&key.pkcs8_pem()), Err(CsrError::Label(label)) if label == "PRIVATE KEY")
    );
    for der in [&b""[..], b"\x30", b"\x30\x00", b"\x30\x80\x00\x00", &valid(KeyAlgorithm::P256)[..100]] {
        assert!(matches!(VerifiedCsr::from_der(der), Err(CsrError::Malformed(_))), "{der:02x?}");
    }
}

#[test]
fn a_request_not_signed_by_its_own_key_is_refused() {
    let (own, other) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P256));
    let stolen = request_by(&own, &other).to_der().unwrap();
    assert!(matches!(VerifiedCsr::from_der(&stolen), Err(CsrError::Signature(_))));
    // Another kind of key signed it.
    let mixed = request_by(&own, &key(KeyAlgorithm::Ed25519)).to_der().unwrap();
    assert!(matches!(VerifiedCsr::from_der(&mixed), Err(CsrError::Signature(_))));
}

#[test]
fn algorithms_with_wrong_parameters_and_odd_bits_are_refused() {
    let key = key(KeyAlgorithm::P256);
    let mut request = request_by(&key, &key);
    request.algorithm.parameters = Some(Any::null());
    assert!(matches!(VerifiedCsr::from_der(&request.to_der().unwrap()), Err(CsrError::Algorithm(_))));
    let mut request = request_by(&key, &key);
    let mut bits = request.signature.raw_bytes().to_vec();
    bits.push(0);
    request.signature = BitString::new(7, bits).unwrap();
    assert!(matches!(VerifiedCsr::from_der(&request.to_der().unwrap()), Err(CsrError::Malformed(_))));
}
