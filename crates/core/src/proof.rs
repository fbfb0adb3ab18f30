//! What a device signs to prove that it has a key.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::identity::TrustDomain;
use crate::ids::{CertificateId, ChallengeId, DeviceId};
use crate::time::Timestamp;

/// What the signature is for; it can serve for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofSubject {
    /// A new certificate for this signing request: the SHA-256 of its DER.
    Renew {
        /// SHA-256 of the CSR's DER.
        csr_sha256: [u8; 32],
    },
    /// The confirmation of this certificate.
    Confirm(CertificateId),
    /// A new bearer token, staged until it is confirmed.
    RotateToken,
    /// The end of the device's own enrolment.
    Unenroll,
}

impl ProofSubject {
    /// The purpose and what it is about, as they are signed. What is about nothing further is about
    /// the SHA-256 of no bytes.
    fn lines(self) -> (&'static str, String) {
        match self {
            Self::Renew { csr_sha256 } => ("renew", hex::encode(csr_sha256)),
            Self::Confirm(certificate) => ("confirm", certificate.to_string()),
            Self::RotateToken => ("rotate-token", hex::encode(Sha256::digest([]))),
            Self::Unenroll => ("unenroll", hex::encode(Sha256::digest([]))),
        }
    }
}

/// A challenge as both sides know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofMessage<'a> {
    /// What for.
    pub subject: ProofSubject,
    /// In which installation.
    pub trust_domain: &'a TrustDomain,
    /// For which device.
    pub device: DeviceId,
    /// Under which challenge.
    pub challenge: ChallengeId,
    /// The challenge's nonce, as it was handed out: letters and digits.
    pub nonce: &'a str,
    /// Until when the challenge is good.
    pub expires_at: Timestamp,
}

impl ProofMessage<'_> {
    /// The bytes to sign: eight lines of text, each ended by a line feed.
    ///
    /// ```text
    /// countersign-proof-v1
    /// renew | confirm | rotate-token | unenroll
    /// <trust domain>
    /// <device id>
    /// <challenge id>
    /// <nonce>
    /// <expiry, as in the challenge>
    /// <lower-case hex SHA-256 of the CSR's DER | certificate id | SHA-256 of no bytes>
    /// ```
    ///
    /// The signature is that of the key's own algorithm: ECDSA with SHA-256 (P-256) or SHA-384
    /// (P-384) in DER, Ed25519, or RSA PKCS #1 v1.5 with SHA-256; sent in standard base64.
    #[must_use]
    pub fn signing_bytes(&self) -> Vec<u8> {
        let (purpose, subject) = self.subject.lines();
        let mut text = String::with_capacity(320);
        // Writing to a String cannot fail.
        let _written = write!(
            text,
            "countersign-proof-v1\n{purpose}\n{}\n{}\n{}\n{}\n{}\n{subject}\n",
            self.trust_domain, self.device, self.challenge, self.nonce, self.expires_at,
        );
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_nothing_further_says_so_and_what_for() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned();
        assert_eq!(ProofSubject::RotateToken.lines(), ("rotate-token", nothing.clone()));
        assert_eq!(ProofSubject::Unenroll.lines(), ("unenroll", nothing));
    }

    #[test]
    fn every_field_changes_the_bytes() {
        let domain = TrustDomain::default();
        let other_domain: TrustDomain = "other.internal".parse().unwrap();
        let base = ProofMessage {
            subject: ProofSubject::Renew { csr_sha256: [7; 32] },
            trust_domain: &domain,
            device: DeviceId::random(),
            challenge: ChallengeId::random(),
            nonce: "n0",
            expires_at: Timestamp::from_secs(300),
        };
        let variants = [
            ProofMessage { subject: ProofSubject::Renew { csr_sha256: [8; 32] }, ..base.clone() },
            ProofMessage { subject: ProofSubject::Confirm(CertificateId::random()), ..base.clone() },
            ProofMessage { subject: ProofSubject::RotateToken, ..base.clone() },
            ProofMessage { subject: ProofSubject::Unenroll, ..base.clone() },
            ProofMessage { trust_domain: &other_domain, ..base.clone() },
            ProofMessage { device: DeviceId::random(), ..base.clone() },
            ProofMessage { challenge: ChallengeId::random(), ..base.clone() },
            ProofMessage { nonce: "n1", ..base.clone() },
            ProofMessage { expires_at: Timestamp::from_secs(301), ..base.clone() },
        ];
        for variant in variants {
            assert_ne!(variant.signing_bytes(), base.signing_bytes());
        }
        let text = String::from_utf8(base.signing_bytes()).unwrap();
        assert_eq!(text.lines().count(), 8);
    }
}
