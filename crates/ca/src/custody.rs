//! Where a CA's private key lies, and how it is asked to sign.

pub mod pkcs11;

use std::fmt;

use crate::key::{KeyError, SigningKey};
use crate::public_key::PublicKey;

/// How long a custody takes to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As long as the arithmetic.
    Quick,
    /// It may wait for a device: not to be called where other work waits too.
    Slow,
}

/// A private key in some custody: in memory, in a token, anywhere that signs on request. An
/// [`crate::Issuer`] holds one and checks every signature that it gives.
///
/// The algorithm follows from the public key: ECDSA with SHA-256 for P-256 and with SHA-384 for P-384,
/// Ed25519, and RSA PKCS #1 v1.5 with SHA-256.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message`, hashing it first as the algorithm wants. The result is what a certificate
    /// carries: for ECDSA the DER of `r` and `s`, whatever the custody itself returns.
    ///
    /// # Errors
    /// When the custody does not sign. It may be away for a while: the next call tries again.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// How long that takes.
    fn pace(&self) -> Pace {
        Pace::Quick
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> &PublicKey {
        self.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign(message)
    }
}
