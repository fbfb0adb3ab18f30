//! Files with a secret in them: a passphrase, a PIN, a key-encryption key.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longer than any secret that people keep in a file.
const LIMIT: u64 = 4096;

/// Shorter passphrases are guessed, however slowly each guess is checked.
const SHORTEST_PASSPHRASE: usize = 12;

/// A file with a secret in it that others may not read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretFile {
    /// The operator's own: its group and others can do nothing with it.
    Own(PathBuf),
    /// A credential that systemd lays down in `$CREDENTIALS_DIRECTORY`, which is closed to everybody
    /// else. The access list by which the service reads it shows as read permission of its group.
    Credential(PathBuf),
}

/// A secret that cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file system refused.
    #[error("cannot read the secret")]
    File(#[source] io::Error),
    /// Others can read it.
    #[error("{path} has mode {mode:04o}, so that others can read the secret in it; run: chmod 600 {path}", path = path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is there, and is none.
    #[error("{path} {what}", path = path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: &'static str,
    },
}

impl SecretFile {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Credential(path) => path,
        }
    }

    /// What is in it, byte for byte.
    ///
    /// # Errors
    /// Fails closed: refuses a file that others can read, and one longer than any secret.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let file = fs::File::open(self.path()).map_err(SecretError::File)?;
        let mode = file.metadata().map_err(SecretError::File)?.permissions().mode() & 0o7777;
        let of_others = match self {
            Self::Own(_) => 0o077,
            Self::Credential(_) => 0o037,
        };
        if mode & of_others != 0 {
            return Err(SecretError::Permissions { path: self.path().to_owned(), mode });
        }
        let mut contents = Zeroizing::new(Vec::with_capacity(LIMIT as usize + 1));
        file.take(LIMIT + 1).read_to_end(&mut contents).map_err(SecretError::File)?;
        if contents.len() as u64 > LIMIT {
            return Err(self.refused("is longer than 4096 octets: name the file with the secret"));
        }
        Ok(contents)
    }

    /// The one line of text in it, without the end of the line.
    ///
    /// # Errors
    /// The same, and refuses what is empty, no text, or of several lines.
    pub fn read_line(&self) -> Result<Zeroizing<String>, SecretError> {
        let contents = self.read()?;
        let text = str::from_utf8(&contents).map_err(|_invalid| self.refused("is not a text in UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(self.refused("is empty: write the secret into it, on one line"));
        }
        if line.contains(['\n', '\r', '\0']) {
            return Err(self.refused("has several lines: write the secret into it, on one line"));
        }
        Ok(Zeroizing::new(line.to_owned()))
    }

    /// The passphrase in it.
    ///
    /// # Errors
    /// The same, and refuses one of fewer than 12 characters.
    pub fn passphrase(&self) -> Result<Zeroizing<String>, SecretError> {
        let text = self.read_line()?;
        if text.chars().count() < SHORTEST_PASSPHRASE {
            return Err(self.refused("holds a passphrase of fewer than 12 characters: choose a longer one"));
        }
        Ok(text)
    }

    pub(crate) fn refused(&self, what: &'static str) -> SecretError {
        SecretError::Contents { path: self.path().to_owned(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(contents: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_line_is_read_without_its_end() {
        for contents in ["a secret", "a secret\n", "a secret\r\n"] {
            let (_folder, path) = with(contents.as_bytes(), 0o600);
            assert_eq!(*SecretFile::Own(path).read_line().unwrap(), "a secret");
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let long = [b'a'; 4097];
        for contents in [&b""[..], b"\n", b"two\nlines", b"\xff", &long] {
            let (_folder, path) = with(contents, 0o600);
            let refused = SecretFile::Own(path).read_line().unwrap_err();
            assert!(matches!(refused, SecretError::Contents { .. }), "{refused}");
        }
        let gone = SecretFile::Own("/nonexistent/secret".into()).read_line();
        assert!(matches!(gone, Err(SecretError::File(_))));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_but_for_the_access_list_of_a_credential() {
        for (mode, own, credential) in [
            (0o400, true, true),
            (0o600, true, true),
            (0o440, false, true),
            (0o444, false, false),
            (0o460, false, false),
            (0o604, false, false),
        ] {
            let (_folder, path) = with(b"a secret", mode);
            assert_eq!(SecretFile::Own(path.clone()).read().is_ok(), own, "{mode:o}");
            assert_eq!(SecretFile::Credential(path).read().is_ok(), credential, "{mode:o}");
        }
    }
}
