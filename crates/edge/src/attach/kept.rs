//! What an edge keeps on disk: the signed messages as they came, and apart from them the highest version it
//! has seen.

use std::fs::Permissions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_api::edge::frame::SignedTrust;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::snapshot::wire::MESSAGE_LIMIT;
use thiserror::Error;

/// How much may be appended before it is better to keep a whole snapshot again.
const APPENDED: u64 = 8 << 20;

/// What is kept cannot be read or written.
#[derive(Debug, Error)]
pub enum KeptError {
    /// A file cannot be read or written.
    #[error("use {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The file with the highest version is none.
    #[error("{} does not say which version was seen; remove the directory to be told everything anew", .0.display())]
    Seen(PathBuf),
}

/// What an edge keeps on disk, in a directory of its own.
#[derive(Debug)]
pub struct Kept {
    messages: PathBuf,
    seen: PathBuf,
    appended: AtomicU64,
}

impl Kept {
    /// In this directory, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(directory: &Path) -> Result<Self, KeptError> {
        let failed = |error| KeptError::File(directory.to_owned(), error);
        std::fs::create_dir_all(directory).map_err(failed)?;
        std::fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self {
            messages: directory.join("messages"),
            seen: directory.join("seen"),
            appended: AtomicU64::default(),
        })
    }

    /// The highest version that was seen.
    ///
    /// # Errors
    /// Fails closed: a file that does not say it is not taken for none.
    pub fn seen(&self) -> Result<SnapshotVersion, KeptError> {
        let text = match std::fs::read_to_string(&self.seen) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(SnapshotVersion::default()),
            read => read.map_err(|error| KeptError::File(self.seen.clone(), error))?,
        };
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(generation)), Some(Ok(epoch)), None) => Ok(SnapshotVersion { generation, epoch }),
            _ => Err(KeptError::Seen(self.seen.clone())),
        }
    }

    /// The messages, the whole one first. What was not written to its end is left out: nobody was told that
    /// it is applied.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn messages(&self) -> Result<Vec<SignedTrust>, KeptError> {
        let failed = |error| KeptError::File(self.messages.clone(), error);
        let bytes = match std::fs::read(&self.messages) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(failed)?,
        };
        let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let Some((message, after)) = after.split_at_checked(length.min(MESSAGE_LIMIT + 1024)) else {
                break;
            };
            messages.push(SignedTrust::from_bytes(message).map_err(failed)?);
            rest = after;
        }
        if !rest.is_empty() {
            // Nothing may come behind half a message.
            self.appended.store(u64::MAX, Ordering::Relaxed);
        }
        Ok(messages)
    }

    /// Whether so much has been appended that the next message had better be a whole one.
    pub fn wants_whole(&self) -> bool {
        self.appended.load(Ordering::Relaxed) > APPENDED
    }

    /// A whole one was asked for: it comes before anything else.
    pub fn expects_whole(&self) {
        self.appended.store(0, Ordering::Relaxed);
    }

    /// Keeps a whole snapshot in the place of everything; then this version counts as seen.
    ///
    /// # Errors
    /// When it cannot be written; then everything is as it was.
    pub fn replace(&self, message: &SignedTrust, version: SnapshotVersion) -> Result<(), KeptError> {
        write(&self.messages, &framed(message)).inspect_err(|_error| {
            // Nothing may come behind what is older.
            self.appended.store(u64::MAX, Ordering::Relaxed);
        })?;
        self.appended.store(0, Ordering::Relaxed);
        self.raise_seen(version)
    }

    /// Keeps a message behind the others; then this version counts as seen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, message: &SignedTrust, version: SnapshotVersion) -> Result<(), KeptError> {
        let bytes = framed(message);
        let appended = || {
            let mut file = std::fs::OpenOptions::new().append(true).open(&self.messages)?;
            file.write_all(&bytes)?;
            file.sync_data()
        };
        appended().map_err(|error| {
            // Half of it may be there.
            self.appended.store(u64::MAX, Ordering::Relaxed);
            KeptError::File(self.messages.clone(), error)
        })?;
        self.appended.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.raise_seen(version)
    }

    fn raise_seen(&self, version: SnapshotVersion) -> Result<(), KeptError> {
        if version <= self.seen()? {
            return Ok(());
        }
        write(&self.seen, format!("{} {}\n", version.generation, version.epoch).as_bytes())
    }
}

fn framed(message: &SignedTrust) -> Vec<u8> {
    let bytes = message.to_bytes();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes.as_slice()].concat()
}

/// A file that is 0600 at every instant and whole or as it was before.
fn write(path: &Path, contents: &[u8]) -> Result<(), KeptError> {
    let written = || {
        let beside = path.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        std::fs::File::open(directory)?.sync_all()
    };
    written().map_err(|error| KeptError::File(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64) -> SnapshotVersion {
        SnapshotVersion { generation: 1, epoch }
    }

    fn message(byte: u8) -> SignedTrust {
        SignedTrust { message: vec![byte; 100], signature: vec![byte; 70] }
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_half_a_message_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(&folder.path().join("trust")).unwrap();
        assert!(kept.messages().unwrap().is_empty());
        assert_eq!(kept.seen().unwrap(), SnapshotVersion::default());
        kept.replace(&message(1), at(5)).unwrap();
        kept.append(&message(2), at(6)).unwrap();
        let again = Kept::new(&folder.path().join("trust")).unwrap();
        assert_eq!(again.messages().unwrap(), [message(1), message(2)]);
        assert_eq!(again.seen().unwrap(), at(6));
        assert!(!again.wants_whole());
        let path = folder.path().join("trust/messages");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(again.messages().unwrap(), [message(1)]);
        assert!(again.wants_whole(), "nothing comes behind half a message");
    }

    #[test]
    fn the_highest_version_is_never_lowered_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(&folder.path().join("trust")).unwrap();
        kept.replace(&message(1), at(9)).unwrap();
        kept.replace(&message(1), at(5)).unwrap();
        assert_eq!(kept.seen().unwrap(), at(9));
        for name in ["trust/messages", "trust/seen"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        std::fs::write(folder.path().join("trust/seen"), "soon").unwrap();
        assert!(kept.seen().is_err());
    }
}
