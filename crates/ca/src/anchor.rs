//! Signed anchors, and the small file that an anchor leaves the installation as.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::anchor::{ANCHOR_FORMAT, AnchorError, AnchorStatement};
use der::pem::LineEnding;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::key::{KeyError, SigningKey};
use crate::public_key::{PublicKey, SignatureError};

/// The longest file that is read: a hundred thousand chains and more.
const FILE_LIMIT: usize = 32 << 20;

const PEM_LABEL: &str = "PUBLIC KEY";

/// An anchor whose signature is that of [`Self::key`]. Whose key that is, the reader must ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAnchor {
    statement: AnchorStatement,
    signature: Vec<u8>,
    key: PublicKey,
}

/// A text that is no anchor file.
#[derive(Debug, Error)]
pub enum AnchorFileError {
    /// Larger than any that is written.
    #[error("larger than {FILE_LIMIT} bytes")]
    TooLong,
    /// Not the JSON that an anchor file is.
    #[error("not an anchor file")]
    Json(#[source] serde_json::Error),
    /// Of another version.
    #[error("its format is {0:?}, not {ANCHOR_FORMAT:?}")]
    Format(String),
    /// What it says cannot be read.
    #[error("its statement is not one of an anchor")]
    Statement(#[source] AnchorError),
    /// The key is not one PEM block of a public key.
    #[error("its publicKey is not a public key in PEM")]
    KeyText,
    /// The key is none that signs here.
    #[error("its publicKey cannot be used")]
    Key(#[source] KeyError),
    /// The signature is not base64.
    #[error("its signature is not base64")]
    SignatureText(#[source] base64::DecodeError),
    /// The signature is not the key's over the statement.
    #[error("it was changed: its signature is not over its statement")]
    Signature(#[source] SignatureError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    format: String,
    statement: String,
    signature: String,
    public_key: String,
}

impl SignedAnchor {
    /// Signs a statement.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(statement: AnchorStatement, key: &SigningKey) -> Result<Self, KeyError> {
        let signature = key.sign(statement.text().as_bytes())?;
        Ok(Self { statement, signature, key: key.public_key().clone() })
    }

    /// Puts an anchor on record together again.
    ///
    /// # Errors
    /// Fails closed: refuses any but the key's own signature over exactly this statement.
    pub fn verified(
        statement: AnchorStatement,
        signature: Vec<u8>,
        key: PublicKey,
    ) -> Result<Self, SignatureError> {
        key.verify(statement.text().as_bytes(), &signature)?;
        Ok(Self { statement, signature, key })
    }

    /// Reads an anchor file; members that it does not know are not signed and are ignored.
    ///
    /// # Errors
    /// Fails closed: whatever is not whole, not of this format or not signed by the key in it.
    pub fn from_file(text: &str) -> Result<Self, AnchorFileError> {
        if text.len() > FILE_LIMIT {
            return Err(AnchorFileError::TooLong);
        }
        let file: File = serde_json::from_str(text).map_err(AnchorFileError::Json)?;
        if file.format != ANCHOR_FORMAT {
            return Err(AnchorFileError::Format(file.format.chars().take(64).collect()));
        }
        let statement = file.statement.parse().map_err(AnchorFileError::Statement)?;
        let signature = STANDARD.decode(&file.signature).map_err(AnchorFileError::SignatureText)?;
        let key = public_key_from_pem(&file.public_key)?;
        Self::verified(statement, signature, key).map_err(AnchorFileError::Signature)
    }

    /// The anchor file: JSON that [`Self::from_file`] and OpenSSL can check.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = File {
            format: ANCHOR_FORMAT.to_owned(),
            statement: self.statement.text(),
            signature: self.signature_base64(),
            public_key: self.key_pem(),
        };
        // Texts alone: it cannot fail.
        serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
    }

    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &AnchorStatement {
        &self.statement
    }

    /// The signature: for P-256 ECDSA in DER with SHA-256.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The same as the file has it.
    #[must_use]
    pub fn signature_base64(&self) -> String {
        STANDARD.encode(&self.signature)
    }

    /// Whose signature it is.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key as the file has it.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the reason is below")]
    #[expect(clippy::expect_used, reason = "encoding fails for lengths beyond usize alone")]
    pub fn key_pem(&self) -> String {
        der::pem::encode_string(PEM_LABEL, LineEnding::LF, self.key.spki_der()).expect("a short key fits")
    }
}

/// Reads a public key, PEM.
///
/// # Errors
/// Refuses what is not one PEM block of a public key that is accepted here.
pub fn public_key_from_pem(text: &str) -> Result<PublicKey, AnchorFileError> {
    match der::pem::decode_vec(text.trim().as_bytes()) {
        Ok((PEM_LABEL, der)) => PublicKey::from_spki_der(&der).map_err(AnchorFileError::Key),
        Ok(_) | Err(_) => Err(AnchorFileError::KeyText),
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::TrustDomain;
    use countersign_core::time::Timestamp;

    use super::*;
    use crate::key::KeyAlgorithm;

    fn statement() -> AnchorStatement {
        AnchorStatement {
            trust_domain: TrustDomain::default(),
            installation: [1; 32],
            number: 1,
            at: Timestamp::from_secs(0),
            previous: [0; 32],
            heads: Vec::new(),
        }
    }

    #[test]
    fn a_file_reads_back_and_no_changed_one_does() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let signed = SignedAnchor::sign(statement(), &key).unwrap();
        let file = signed.to_file();
        assert_eq!(SignedAnchor::from_file(&file).unwrap(), signed);
        let evil = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let evil = SignedAnchor::sign(statement(), &evil).unwrap();
        for changed in [
            file.replace("number 1", "number 2"),
            file.replace("anchor-v1", "anchor-v2"),
            file.replace("\"format\": \"countersign-audit-anchor-v1\"", "\"format\": \"x\""),
            file.replace("PUBLIC KEY", "CERTIFICATE"),
            file.replace("\"signature\": \"", "\"signature\": \"A"),
            file.replace(&signed.signature_base64(), &evil.signature_base64()),
            file.replace("statement", "state"),
            format!("{file}x"),
            String::new(),
        ] {
            assert!(SignedAnchor::from_file(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_signature_of_anything_else_is_none_of_an_anchor() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let other = key.sign(b"countersign-proof-v1 something").unwrap();
        assert!(SignedAnchor::verified(statement(), other, key.public_key().clone()).is_err());
    }
}
