//! The file that a backup lies in: encrypted and authenticated, from the first octet to the last.
//!
//! A header with what Argon2id (RFC 9106) is run with and a check of it, then the contents in chunks of
//! 64 KiB under AES-256-GCM by the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as age
//! has it: the nonce is the number of the chunk and whether it is the last one. So what was changed, put
//! in another order or cut off does not open, and a file is read and written without being held in
//! memory.

use std::io::{self, ErrorKind, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::derivation::{self, Derivation};
use crate::key::KeyError;
use crate::secret_file::{SecretError, SecretFile};

const MAGIC: &[u8; 8] = b"CSBACKUP";
/// The one that this program writes, and the newest that it reads.
const VERSION: u16 = 1;
const CHECK_LENGTH: usize = 32;
/// Magic and version.
const BEGINNING: usize = MAGIC.len() + 2;

/// How much of the contents is sealed at once.
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// A backup file cannot be written or read.
#[derive(Debug, Error)]
pub enum BackupFileError {
    /// The file system refused.
    #[error("cannot use the backup file")]
    File(#[source] io::Error),
    /// There is no passphrase to be had.
    #[error("cannot read the passphrase of the backup")]
    Secret(#[from] SecretError),
    /// The cryptographic library failed.
    #[error("cannot use the key of the backup")]
    Key(#[from] KeyError),
    /// Something else.
    #[error("this is no backup file")]
    Format,
    /// Made by a later version.
    #[error("the backup file is of version {0}, which a newer countersign wrote; this one reads version 1")]
    Newer(u16),
    /// The check of the header does not hold.
    #[error("the passphrase is not the one of this backup file, or its header was altered")]
    Passphrase,
    /// A chunk is not as it was written, or not in its place.
    #[error("the backup file was altered in its contents, in or before octet {0}")]
    Altered(u64),
    /// The end is missing.
    #[error("the backup file was cut short at octet {0}: its end is missing")]
    CutShort(u64),
}

/// What stands before the contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHeader {
    derivation: Derivation,
    check: [u8; CHECK_LENGTH],
}

/// What a passphrase gives: one key for the contents, one for the check of the header.
struct Keys {
    contents: LessSafeKey,
    header: hmac::Key,
}

impl BackupHeader {
    /// How long it is.
    pub const LENGTH: usize = BEGINNING + derivation::LENGTH + CHECK_LENGTH;

    /// Reads one. Nothing of it is believed before the passphrase has been tried on it.
    ///
    /// # Errors
    /// [`BackupFileError::Format`], [`BackupFileError::Newer`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BackupFileError> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(BackupFileError::Format)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(BackupFileError::Format)?;
        if magic != MAGIC {
            return Err(BackupFileError::Format);
        }
        match u16::from_be_bytes(*version) {
            VERSION => {}
            newer if newer > VERSION => return Err(BackupFileError::Newer(newer)),
            _never_written => return Err(BackupFileError::Format),
        }
        let (derivation, rest) = rest.split_first_chunk().ok_or(BackupFileError::Format)?;
        let derivation = Derivation::from_bytes(derivation).ok_or(BackupFileError::Format)?;
        let check = rest.first_chunk().ok_or(BackupFileError::Format)?;
        Ok(Self { derivation, check: *check })
    }

    /// As it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [checked_part(self.derivation).as_slice(), &self.check].concat()
    }
}

fn checked_part(derivation: Derivation) -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_be_bytes(), &derivation.to_bytes()].concat()
}

impl Keys {
    fn of(passphrase: &str, derivation: Derivation) -> Result<Self, KeyError> {
        let bytes: Zeroizing<[u8; 64]> = derivation.key_of(passphrase)?;
        let (contents, header) = bytes.split_at(32);
        let contents = UnboundKey::new(&AES_256_GCM, contents)
            .map_err(|_unspecified| KeyError::Crypto("use the key of the backup"))?;
        Ok(Self { contents: LessSafeKey::new(contents), header: hmac::Key::new(hmac::HMAC_SHA256, header) })
    }
}

/// Which chunk, and whether more follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inner,
    Last,
}

fn nonce(number: u64, place: Place) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    // Eleven octets of number, one of place; of the first eleven a u64 fills the last eight.
    let number = number.to_be_bytes();
    for (to, from) in bytes.iter_mut().skip(3).zip(number) {
        *to = from;
    }
    if let (Place::Last, Some(last)) = (place, bytes.last_mut()) {
        *last = 1;
    }
    Nonce::assume_unique_for_key(bytes)
}

/// Writes a backup file. What is written to it comes out sealed; [`Self::finish`] writes the end, without
/// which it does not open.
pub struct BackupWriter<W> {
    to: W,
    keys: Keys,
    waiting: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> BackupWriter<W> {
    /// Begins a file, with a salt of its own.
    ///
    /// # Errors
    /// Refuses a passphrase of fewer than 12 characters, and a file with it that others can read.
    pub fn begin(mut to: W, secret: &SecretFile) -> Result<Self, BackupFileError> {
        let passphrase = secret.passphrase()?;
        let derivation = Derivation::fresh()?;
        let keys = Keys::of(&passphrase, derivation)?;
        let mut check = [0; CHECK_LENGTH];
        check.copy_from_slice(hmac::sign(&keys.header, &checked_part(derivation)).as_ref());
        to.write_all(&BackupHeader { derivation, check }.to_bytes()).map_err(BackupFileError::File)?;
        Ok(Self { to, keys, waiting: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)), number: 0 })
    }

    /// Writes what waits and the end, and gives back what it was written to.
    ///
    /// # Errors
    /// [`BackupFileError::File`].
    pub fn finish(mut self) -> Result<W, BackupFileError> {
        self.seal(Place::Last).and_then(|()| self.to.flush()).map_err(BackupFileError::File)?;
        Ok(self.to)
    }

    fn seal(&mut self, place: Place) -> io::Result<()> {
        self.keys
            .contents
            .seal_in_place_append_tag(nonce(self.number, place), Aad::empty(), &mut *self.waiting)
            .map_err(|_unspecified| io::Error::other("the contents cannot be sealed"))?;
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for BackupWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is written once it is known that it is not the last.
        if self.waiting.len() == CHUNK && !bytes.is_empty() {
            self.seal(Place::Inner)?;
        }
        let (now, _later) = bytes.split_at(bytes.len().min(CHUNK - self.waiting.len()));
        self.waiting.extend_from_slice(now);
        Ok(now.len())
    }

    /// Nothing: what waits is written when the chunk is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a backup file. What has been read from it is as it was written; that it was all, shows at the
/// end.
pub struct BackupReader<R> {
    from: R,
    contents: LessSafeKey,
    /// The next chunk, sealed, if it is known already that there is one.
    ahead: Vec<u8>,
    opened: Zeroizing<Vec<u8>>,
    /// How much of what was opened has been taken.
    taken: usize,
    number: u64,
    is_over: bool,
}

impl<R: Read> BackupReader<R> {
    /// Reads the header and tries the passphrase on it.
    ///
    /// # Errors
    /// See [`BackupFileError`].
    pub fn begin(mut from: R, secret: &SecretFile) -> Result<Self, BackupFileError> {
        let mut bytes = Vec::with_capacity(BackupHeader::LENGTH);
        let most = BackupHeader::LENGTH as u64;
        from.by_ref().take(most).read_to_end(&mut bytes).map_err(BackupFileError::File)?;
        let header = BackupHeader::from_bytes(&bytes)?;
        let passphrase = secret.passphrase()?;
        let keys = Keys::of(&passphrase, header.derivation)?;
        // In constant time.
        hmac::verify(&keys.header, &checked_part(header.derivation), &header.check)
            .map_err(|_unspecified| BackupFileError::Passphrase)?;
        Ok(Self::of(from, keys.contents))
    }

    fn of(from: R, contents: LessSafeKey) -> Self {
        Self {
            from,
            contents,
            ahead: Vec::with_capacity(CHUNK + TAG + 1),
            opened: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            taken: 0,
            number: 0,
            is_over: false,
        }
    }

    /// Opens the next chunk; `false` behind the last.
    fn advance(&mut self) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        // One octet more than a chunk says that another follows.
        let missing = CHUNK + TAG + 1 - self.ahead.len();
        self.from.by_ref().take(missing as u64).read_to_end(&mut self.ahead)?;
        let place = if self.ahead.len() > CHUNK + TAG { Place::Inner } else { Place::Last };
        let (sealed, next) = self.ahead.split_at(self.ahead.len().min(CHUNK + TAG));
        self.opened.clear();
        self.opened.extend_from_slice(sealed);
        let next = next.to_vec();
        self.taken = 0;
        let nonce = nonce(self.number, place);
        let text = self.contents.open_in_place(nonce, Aad::empty(), &mut self.opened);
        let Ok(length) = text.map(|text| text.len()) else {
            return Err(io::Error::new(ErrorKind::InvalidData, self.fault()));
        };
        self.opened.truncate(length);
        self.ahead = next;
        self.number += 1;
        self.is_over = place == Place::Last;
        Ok(true)
    }

    /// What is wrong with the chunk that did not open.
    fn fault(&self) -> BackupFileError {
        let before = BackupHeader::LENGTH as u64 + self.number * (CHUNK + TAG) as u64;
        let mut sealed = self.ahead.clone();
        sealed.truncate(CHUNK + TAG);
        let end = before + sealed.len() as u64;
        // Whole, and written as one that others follow.
        let is_inner =
            self.contents.open_in_place(nonce(self.number, Place::Inner), Aad::empty(), &mut sealed).is_ok();
        if is_inner || self.ahead.len() < TAG {
            BackupFileError::CutShort(end)
        } else {
            BackupFileError::Altered(end)
        }
    }
}

impl<R: Read> Read for BackupReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.opened.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let waiting = self.opened.get(self.taken..).unwrap_or_default();
        let count = waiting.len().min(into.len());
        for (to, from) in into.iter_mut().zip(waiting) {
            *to = *from;
        }
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    fn secret(text: &str) -> (tempfile::TempDir, SecretFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        (folder, SecretFile::Own(path))
    }

    fn sealed(contents: &[u8]) -> Vec<u8> {
        let (_folder, secret) = secret(PASSPHRASE);
        let mut writer = BackupWriter::begin(Vec::new(), &secret).unwrap();
        writer.write_all(contents).unwrap();
        writer.finish().unwrap()
    }

    fn opened(file: &[u8], passphrase: &str) -> Result<Vec<u8>, String> {
        let (_folder, secret) = secret(passphrase);
        let mut reader = BackupReader::begin(file, &secret).map_err(|error| error.to_string())?;
        let mut contents = Vec::new();
        reader.read_to_end(&mut contents).map_err(|error| error.to_string())?;
        Ok(contents)
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn what_was_written_is_read_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let contents = text(length);
            let file = sealed(&contents);
            assert_eq!(opened(&file, PASSPHRASE).unwrap(), contents, "{length}");
            assert!(length < 16 || !file.windows(16).any(|part| part == &contents[..16]));
        }
    }

    #[test]
    fn another_passphrase_does_not_open_it() {
        let refused = opened(&sealed(b"contents"), "incorrect horse battery").unwrap_err();
        assert!(refused.contains("passphrase"), "{refused}");
    }

    #[test]
    fn no_octet_can_be_changed() {
        let file = sealed(&text(CHUNK + 100));
        for at in [0, 8, 9, 12, 30, 37, 40, 69, 70, 5000, 70 + CHUNK, 70 + CHUNK + TAG, file.len() - 1] {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(opened(&altered, PASSPHRASE).is_err(), "{at}");
        }
    }

    #[test]
    fn a_file_cut_short_or_made_longer_does_not_open() {
        let file = sealed(&text(3 * CHUNK));
        let whole = CHUNK + TAG;
        for (length, said) in [
            (BackupHeader::LENGTH - 1, "no backup file"),
            (BackupHeader::LENGTH, "cut short"),
            (BackupHeader::LENGTH + whole, "cut short"),
            (BackupHeader::LENGTH + 2 * whole, "cut short"),
            (BackupHeader::LENGTH + whole + 5, "cut short"),
            (BackupHeader::LENGTH + whole + 500, "altered"),
            (file.len() - 1, "altered"),
        ] {
            let refused = opened(&file[..length], PASSPHRASE).unwrap_err();
            assert!(refused.contains(said), "{length}: {refused}");
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert!(opened(&longer, PASSPHRASE).is_err());
    }

    #[test]
    fn chunks_stay_in_their_order_and_in_their_file() {
        let whole = CHUNK + TAG;
        let (one, other) = (sealed(&text(3 * CHUNK)), sealed(&text(3 * CHUNK)));
        let (header, body) = one.split_at(BackupHeader::LENGTH);
        let (first, rest) = body.split_at(whole);
        let (second, third) = rest.split_at(whole);
        for parts in [[second, first, third], [first, first, third], [first, third, second]] {
            let mixed = [header, parts[0], parts[1], parts[2]].concat();
            assert!(opened(&mixed, PASSPHRASE).is_err());
        }
        let grafted = [header, &other[BackupHeader::LENGTH..]].concat();
        assert!(opened(&grafted, PASSPHRASE).is_err());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut file = sealed(b"contents");
        file[9] = 2;
        let refused = opened(&file, PASSPHRASE).unwrap_err();
        assert!(refused.contains("version 2"), "{refused}");
        assert!(opened(b"-----BEGIN", PASSPHRASE).unwrap_err().contains("no backup file"));
    }

    #[test]
    fn a_header_reads_back() {
        let file = sealed(b"");
        let header = BackupHeader::from_bytes(&file).unwrap();
        assert_eq!(header.to_bytes(), file[..BackupHeader::LENGTH]);
    }
}
