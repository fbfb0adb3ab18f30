//! CA keys at rest: sealed with a key-encryption key that lies outside the database.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::ids::IssuerKeyId;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::derivation::{self, Derivation};
use crate::key::{KeyError, SigningKey};
use crate::random::random_bytes;
use crate::secret_file::SecretError;

const KEY_LENGTH: usize = 32;
const NAME_LENGTH: usize = 8;
/// Version 1 of the sealed form: these four octets, the key-encryption key's name, the nonce, then
/// the ciphertext with its tag.
const MAGIC: &[u8; 4] = b"CSK\x01";
/// Version 2, for keys derived from a passphrase: between the name and the nonce lies what Argon2id was
/// run with.
const MAGIC_DERIVED: &[u8; 4] = b"CSK\x02";

/// Why a key could not be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The file system refused.
    #[error("cannot use the key-encryption key file")]
    File(#[source] io::Error),
    /// Others can read the key-encryption key.
    #[error("{path} has mode {mode:04o}, so that others can read the key-encryption key; run: chmod 600 {path}", path = path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key-encryption key.
    #[error("{path} holds no key-encryption key: 32 octets or 64 hex digits are expected; restore the file from its backup", path = path.display())]
    Contents {
        /// The file.
        path: PathBuf,
    },
    /// The cryptographic library or a key failed.
    #[error("cannot use the key")]
    Key(#[source] KeyError),
    /// Not a sealed key, or of a later version.
    #[error("not a sealed key of version 1 or 2")]
    Format,
    /// Sealed with another key-encryption key.
    #[error(
        "the key was sealed with another key-encryption key: with {sealed_with}, and here is {this}; \
         configure what it was sealed with, `countersign ca reseal` changes it"
    )]
    WrongKey {
        /// What sealed it: its kind and its name.
        sealed_with: String,
        /// What is at hand.
        this: String,
    },
    /// Altered, or sealed for something else.
    #[error("the sealed {0} was altered or belongs to another one")]
    Altered(String),
    /// A passphrase or a credential cannot be had.
    #[error("cannot read what the key-encryption key comes from")]
    Secret(#[from] SecretError),
}

/// The key that seals CA keys (AES-256-GCM). It lies outside the database and its backup: a copy of
/// the data directory without it cannot sign.
pub struct KeyEncryptionKey {
    key: RandomizedNonceKey,
    /// The first octets of a hash of it, to tell a wrong key from a damaged one.
    name: [u8; NAME_LENGTH],
    /// How it came of a passphrase, if it did.
    derivation: Option<Derivation>,
}

/// A private key as it lies on disk or in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey(Vec<u8>);

impl SealedKey {
    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How the key that sealed it came of a passphrase, if it did.
    pub(crate) fn derivation(&self) -> Result<Option<Derivation>, SealError> {
        parts(&self.0).map(|parts| parts.derivation).ok_or(SealError::Format)
    }

    /// What sealed it, in words.
    pub(crate) fn sealed_with(&self) -> Result<String, SealError> {
        parts(&self.0).map(|parts| in_words(parts.name, parts.derivation)).ok_or(SealError::Format)
    }
}

impl From<Vec<u8>> for SealedKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<SealedKey> for Vec<u8> {
    fn from(sealed: SealedKey) -> Self {
        sealed.0
    }
}

impl KeyEncryptionKey {
    /// Reads the key-encryption key, or makes one when there is no such file: 32 octets, or 64 hex
    /// digits. The file is 0600 and its directory, if made here, 0700 from the first instant.
    ///
    /// # Errors
    /// Fails closed: refuses a file that its group or others can reach, and one of another length,
    /// saying what to do; never replaces a file that exists.
    pub fn load_or_create(path: &Path) -> Result<Self, SealError> {
        match fs::File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            Err(error) => Err(SealError::File(error)),
        }
    }

    /// Reads the key-encryption key from its file.
    ///
    /// # Errors
    /// The same; makes none.
    pub fn load(path: &Path) -> Result<Self, SealError> {
        Self::read(path, fs::File::open(path).map_err(SealError::File)?)
    }

    fn read(path: &Path, file: fs::File) -> Result<Self, SealError> {
        let metadata = file.metadata().map_err(SealError::File)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SealError::Permissions { path: path.to_owned(), mode });
        }
        let mut contents = Zeroizing::new(Vec::with_capacity(128));
        file.take(128).read_to_end(&mut contents).map_err(SealError::File)?;
        Self::of_octets(&contents, path)
    }

    /// From what a file holds.
    pub(crate) fn of_octets(contents: &[u8], path: &Path) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        let text = contents.trim_ascii_end();
        let read = if contents.len() == KEY_LENGTH {
            bytes.copy_from_slice(contents);
            true
        } else {
            hex::decode_to_slice(text, bytes.as_mut_slice()).is_ok()
        };
        if read { Self::new(&bytes, None) } else { Err(SealError::Contents { path: path.to_owned() }) }
    }

    /// From a passphrase.
    pub(crate) fn of_passphrase(passphrase: &str, derivation: Derivation) -> Result<Self, SealError> {
        let bytes = derivation.key_of(passphrase).map_err(SealError::Key)?;
        Self::new(&bytes, Some(derivation))
    }

    fn new(bytes: &[u8; KEY_LENGTH], derivation: Option<Derivation>) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes)
            .map_err(|_unspecified| SealError::Key(KeyError::Crypto("use the key-encryption key")))?;
        let labelled = Zeroizing::new([b"countersign key-encryption key name".as_slice(), bytes].concat());
        let mut name = [0; NAME_LENGTH];
        for (to, from) in name.iter_mut().zip(digest(&SHA256, &labelled).as_ref()) {
            *to = *from;
        }
        Ok(Self { key, name, derivation })
    }

    /// Seals a CA's key; the sealed form opens for this issuer only.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, key: &SigningKey, issuer: IssuerKeyId) -> Result<SealedKey, SealError> {
        self.seal_octets(key.pkcs8_der(), issuer.as_bytes())
    }

    /// Opens a sealed key.
    ///
    /// # Errors
    /// Fails closed: refuses what this key-encryption key did not seal for this issuer, bit for
    /// bit, and a key that is not the issuer's.
    pub fn open(&self, sealed: &SealedKey, issuer: IssuerKeyId) -> Result<SigningKey, SealError> {
        let altered = || SealError::Altered(format!("key of issuer {issuer}"));
        let pkcs8 = self.open_octets(sealed, issuer.as_bytes())?.ok_or_else(altered)?;
        let key = SigningKey::from_pkcs8_der(&pkcs8).map_err(SealError::Key)?;
        if IssuerKeyId::from(key.public_key().sha256()) == issuer { Ok(key) } else { Err(altered()) }
    }

    /// Seals a secret that is no signing key; the sealed form opens under this name only.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal_secret(&self, secret: &[u8], name: &str) -> Result<SealedKey, SealError> {
        self.seal_octets(secret, secret_label(name).as_bytes())
    }

    /// Opens such a secret.
    ///
    /// # Errors
    /// Fails closed: refuses what this key-encryption key did not seal under this name, bit for bit.
    pub fn open_secret(&self, sealed: &SealedKey, name: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opened = self.open_octets(sealed, secret_label(name).as_bytes())?;
        opened.ok_or_else(|| SealError::Altered(name.to_owned()))
    }

    /// Seals octets, which open with the same label only.
    fn seal_octets(&self, octets: &[u8], label: &[u8]) -> Result<SealedKey, SealError> {
        let mut text = Zeroizing::new(Vec::with_capacity(octets.len() + AES_256_GCM.tag_len()));
        text.extend_from_slice(octets);
        let nonce = self
            .key
            .seal_in_place_append_tag(self.associated(label), &mut *text)
            .map_err(|_unspecified| SealError::Key(KeyError::Crypto("seal")))?;
        Ok(SealedKey([self.header().as_slice(), nonce.as_ref(), &text].concat()))
    }

    /// Opens octets; `None` when they were altered or have another label.
    fn open_octets(&self, sealed: &SealedKey, label: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, SealError> {
        let Parts { name, derivation, nonce, ciphertext } = parts(&sealed.0).ok_or(SealError::Format)?;
        if *name != self.name || derivation != self.derivation {
            let (sealed_with, this) = (in_words(name, derivation), in_words(&self.name, self.derivation));
            return Err(SealError::WrongKey { sealed_with, this });
        }
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let opened = self.key.open_in_place(Nonce::from(nonce), self.associated(label), &mut text);
        Ok(opened.ok().map(|octets| Zeroizing::new(octets.to_vec())))
    }

    /// What the tag covers besides what is sealed: the header and the label.
    fn associated(&self, label: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([self.header().as_slice(), label].concat())
    }

    /// What stands before the nonce.
    fn header(&self) -> Vec<u8> {
        match self.derivation {
            None => [MAGIC, &self.name[..]].concat(),
            Some(derivation) => [MAGIC_DERIVED, &self.name[..], &derivation.to_bytes()].concat(),
        }
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey([redacted])")
    }
}

/// A sealed key, taken apart.
struct Parts<'a> {
    name: &'a [u8; NAME_LENGTH],
    derivation: Option<Derivation>,
    nonce: &'a [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

fn parts(sealed: &[u8]) -> Option<Parts<'_>> {
    let (magic, rest) = sealed.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk()?;
    let (derivation, rest) = match magic {
        MAGIC => (None, rest),
        MAGIC_DERIVED => {
            let (bytes, rest) = rest.split_first_chunk::<{ derivation::LENGTH }>()?;
            (Some(Derivation::from_bytes(bytes)?), rest)
        }
        _ => return None,
    };
    let (nonce, ciphertext) = rest.split_first_chunk()?;
    Some(Parts { name, derivation, nonce, ciphertext })
}

/// What the tag of a secret covers: never what that of an issuer's key does, which is 32 octets.
fn secret_label(name: &str) -> String {
    format!("countersign sealed secret\n{name}")
}

/// A key-encryption key by its kind and name, never itself.
fn in_words(name: &[u8; NAME_LENGTH], derivation: Option<Derivation>) -> String {
    let kind = if derivation.is_some() { "passphrase" } else { "key" };
    format!("{kind} {}", hex::encode(name))
}

/// Writes a fresh key beside `path` and links it there, so that the file appears whole, and that of
/// two processes starting together both end up with the one that came first.
fn create(path: &Path) -> Result<(), SealError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_directory(directory).map_err(SealError::File)?;
    let suffix = hex::encode(random_bytes::<8>().map_err(SealError::Key)?);
    let temporary = directory.join(format!(".key-encryption-key.{suffix}"));
    let key = Zeroizing::new(random_bytes::<KEY_LENGTH>().map_err(SealError::Key)?);
    let written = write_new(&temporary, key.as_slice()).and_then(|()| link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written.and(removed).and_then(|()| fs::File::open(directory)?.sync_all()).map_err(SealError::File)
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        io::Error::new(error.kind(), format!("failed to create directory `{}`: {error}", directory.display()))
    })
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Unlike a rename, a link never replaces what is there.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
