//! The file that a root lies in while it is offline: its certificate, and its key under a passphrase, both
//! in PEM, so that other programs open it too.

use std::sync::Arc;

use countersign_core::ids::IssuerKeyId;
use thiserror::Error;

use crate::certificate::{certificates_from_pem, pem};
use crate::encrypted_key::{self, EncryptedKeyError, encrypted_key_pem, key_of_encrypted_pem};
use crate::issuer::{IssueError, Issuer, IssuerKind};
use crate::key::{KeyError, SigningKey};
use crate::pem_blocks::pem_blocks;

/// A file does not hold a root, or does not open.
#[derive(Debug, Error)]
pub enum RootFileError {
    /// It is no such file.
    #[error("no {0} in the file: it is none that `countersign ca root export` wrote")]
    Missing(&'static str),
    /// A key that everybody can read.
    #[error(
        "the key in the file is under no passphrase: the file is none that `countersign ca root export` wrote"
    )]
    PlainKey,
    /// The certificate cannot be read.
    #[error("malformed certificate in the file")]
    Certificate(#[source] der::Error),
    /// The key does not open.
    #[error("cannot open the key in the file")]
    Key(#[source] EncryptedKeyError),
    /// They are not of one root.
    #[error("the file holds no root")]
    Root(#[source] IssueError),
    /// The key cannot be read once more.
    #[error("cannot use the key in the file")]
    Unusable(#[source] KeyError),
}

/// A root that was opened from its file: evidence that file and passphrase give its key.
#[derive(Debug)]
pub struct RootFile {
    key: SigningKey,
    issuer: Issuer,
}

impl RootFile {
    /// What the file says, PEM.
    ///
    /// # Errors
    /// When the key cannot be encrypted.
    pub fn write(
        certificate_der: &[u8],
        key: &SigningKey,
        passphrase: &str,
    ) -> Result<String, EncryptedKeyError> {
        Ok(format!("{}{}", pem(certificate_der), encrypted_key_pem(key, passphrase)?))
    }

    /// Opens it.
    ///
    /// # Errors
    /// Fails closed: refuses another passphrase, a key that is not the certificate's, and what is no root.
    pub fn open(text: &str, passphrase: &str) -> Result<Self, RootFileError> {
        let blocks = pem_blocks(text);
        let of = |label| blocks.iter().find(|block| block.label == label);
        let certificate = of("CERTIFICATE").ok_or(RootFileError::Missing("CERTIFICATE"))?;
        let Some(key) = of(encrypted_key::PEM_LABEL) else {
            let is_plain = blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY"));
            let missing = RootFileError::Missing(encrypted_key::PEM_LABEL);
            return Err(if is_plain { RootFileError::PlainKey } else { missing });
        };
        let certificate = certificates_from_pem(certificate.text).map_err(RootFileError::Certificate)?;
        let certificate = certificate.into_iter().next().ok_or(RootFileError::Missing("CERTIFICATE"))?;
        let key = key_of_encrypted_pem(key.text, passphrase).map_err(RootFileError::Key)?;
        let signer = SigningKey::from_pkcs8_der(key.pkcs8_der()).map_err(RootFileError::Unusable)?;
        let issuer = Issuer::open(&certificate, Arc::new(signer), IssuerKind::Root);
        Ok(Self { key, issuer: issuer.map_err(RootFileError::Root)? })
    }

    /// Which root it is.
    #[must_use]
    pub const fn key_id(&self) -> IssuerKeyId {
        self.issuer.key_id()
    }

    /// What signs.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }
}
