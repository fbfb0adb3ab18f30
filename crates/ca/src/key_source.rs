//! Where the key-encryption key comes from.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::derivation::Derivation;
use crate::seal::{KeyEncryptionKey, SealError, SealedKey};
use crate::secret_file::SecretFile;

/// Where the key-encryption key comes from. Whatever it is, it lies outside the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A file, made at the first start.
    File(PathBuf),
    /// A key that somebody else lays down, as systemd does with a credential; never made here.
    Given(SecretFile),
    /// Derived from a passphrase with Argon2id.
    Passphrase(SecretFile),
}

impl KeySource {
    /// The key-encryption key for keys that are sealed already, of which `sealed` is one; without one,
    /// for keys that are yet to be sealed: a file is then made if there is none, and a passphrase gets a
    /// salt of its own.
    ///
    /// # Errors
    /// Fails closed: refuses a secret that others can read, a short passphrase, and a kind of source
    /// that cannot have sealed `sealed`.
    pub fn open(&self, sealed: Option<&SealedKey>) -> Result<KeyEncryptionKey, SealError> {
        match (self, sealed) {
            (Self::File(path), None) => KeyEncryptionKey::load_or_create(path),
            (Self::File(path), Some(_)) => KeyEncryptionKey::load(path),
            (Self::Given(file), _) => KeyEncryptionKey::of_octets(&file.read()?, file.path()),
            (Self::Passphrase(file), None) => KeyEncryptionKey::of_passphrase(
                &file.passphrase()?,
                Derivation::fresh().map_err(SealError::Key)?,
            ),
            (Self::Passphrase(file), Some(sealed)) => match sealed.derivation()? {
                Some(derivation) => KeyEncryptionKey::of_passphrase(&file.passphrase()?, derivation),
                None => Err(SealError::WrongKey {
                    sealed_with: sealed.sealed_with()?,
                    this: format!("a passphrase ({})", file.path().display()),
                }),
            },
        }
    }

    /// Whether the file that it names is there.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn is_there(&self) -> io::Result<bool> {
        self.path().try_exists()
    }

    /// The file that it names.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Given(file) | Self::Passphrase(file) => file.path(),
        }
    }

    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Given(_) => "credential",
            Self::Passphrase(_) => "passphrase",
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::File(_) => write!(f, "the key in {path}"),
            Self::Given(_) => write!(f, "the credential {path}"),
            Self::Passphrase(_) => write!(f, "the passphrase in {path}"),
        }
    }
}
