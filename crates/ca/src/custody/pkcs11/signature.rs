//! What tokens take and give, and what a certificate carries.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use cryptoki::mechanism::Mechanism;
use der::asn1::UintRef;
use der::{Encode as _, Sequence};

use crate::key::KeyAlgorithm;

/// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3).
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// What a token is asked for so that it signs a message as certificates are signed.
pub(super) struct Question {
    pub(super) mechanism: Mechanism<'static>,
    pub(super) data: Vec<u8>,
}

/// `None` for a kind of key that is not used from tokens.
pub(super) fn question(algorithm: KeyAlgorithm, message: &[u8]) -> Option<Question> {
    let hashed = |hash| digest(hash, message).as_ref().to_vec();
    let (mechanism, data) = match algorithm {
        KeyAlgorithm::P256 => (Mechanism::Ecdsa, hashed(&SHA256)),
        KeyAlgorithm::P384 => (Mechanism::Ecdsa, hashed(&SHA384)),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            (Mechanism::Sha256RsaPkcs, message.to_vec())
        }
        KeyAlgorithm::Ed25519 => return None,
    };
    Some(Question { mechanism, data })
}

/// What a token answered, as a certificate carries it: tokens give the `r` and `s` of ECDSA as two
/// numbers of one length, side by side.
pub(super) fn answer(algorithm: KeyAlgorithm, signature: Vec<u8>) -> der::Result<Vec<u8>> {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 => {
            let (r, s) = signature.split_at(signature.len() / 2);
            EcdsaSignature { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()
        }
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 | KeyAlgorithm::Ed25519 => {
            Ok(signature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_become_der() {
        let mut raw = [0; 64];
        (raw[31], raw[32]) = (5, 0x80);
        let der = answer(KeyAlgorithm::P256, raw.to_vec()).unwrap();
        // 5 in one octet; the other with a zero in front, so that it is not negative.
        let s = [&[0x02, 33, 0, 0x80][..], &[0; 31]].concat();
        assert_eq!(der, [&[0x30, 38, 0x02, 1, 5][..], &s].concat());
    }
}
