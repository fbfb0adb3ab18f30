//! Keys for tests.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};

use crate::der_writer::{bit_string, integer, name, oid, pem, sequence, tlv};

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521, which our doors do not accept.
    P521,
    /// RSA, 2048 bits.
    Rsa2048,
}

/// A private key with its public half. Test material: printed and kept without care.
#[derive(Clone, Debug)]
pub struct TestKey {
    pkcs8: Vec<u8>,
    spki: Vec<u8>,
}

impl TestKey {
    /// A fresh one.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::P384 => Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::P521 => Self::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyKind::Rsa2048 => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("RSA key is made");
                let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("PKCS#8").as_ref().to_vec();
                let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("SPKI");
                Self { pkcs8, spki: spki.as_ref().to_vec() }
            }
        }
    }

    /// A key whose private half is elsewhere, as of a signing request: it can be certified, not used.
    #[must_use]
    pub fn of_public_key(spki_der: &[u8]) -> Self {
        Self { pkcs8: Vec::new(), spki: spki_der.to_vec() }
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).expect("EC key is made");
        let pkcs8 = pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec();
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("SPKI");
        Self { pkcs8, spki: spki.as_ref().to_vec() }
    }

    /// The private key, PKCS#8 DER.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The private key, PKCS#8 PEM.
    #[must_use]
    pub fn pkcs8_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// The public key, SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// A signing request (PKCS #10, DER) by a P-256 key that asks for nothing but `common_name`.
    #[must_use]
    pub fn signing_request_der(&self, common_name: &str) -> Vec<u8> {
        let subject = name(&[("2.5.4.3", common_name)]);
        let content = sequence(&[&integer(&[0]), &subject, &self.spki, &tlv(0xa0, &[])]);
        let algorithm = sequence(&[&oid("1.2.840.10045.4.3.2")]);
        sequence(&[&content, &algorithm, &bit_string(&self.sign_p256(&content))])
    }

    /// The same in PEM.
    #[must_use]
    pub fn signing_request_pem(&self, common_name: &str) -> String {
        pem("CERTIFICATE REQUEST", &self.signing_request_der(common_name))
    }

    /// Signs with a P-256 key, ECDSA with SHA-256, DER.
    #[must_use]
    pub fn sign_p256(&self, message: &[u8]) -> Vec<u8> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8).expect("P-256 key");
        pair.sign(&SystemRandom::new(), message).expect("signature").as_ref().to_vec()
    }
}
