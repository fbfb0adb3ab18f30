//! One process at a time may write: an advisory lock on a file beside the database.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};

use crate::error::StoreError;

/// The lock; let go when dropped, by the kernel too if the process dies.
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of the database at `path`, and makes sure that the database file exists and is
    /// readable by its owner alone (its journal takes over the mode).
    ///
    /// # Errors
    /// Fails closed: without the lock there is no writer.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = lock_path(path);
        let open =
            |path: &Path| private_file(path).map_err(|source| StoreError::open(path.display(), source));
        let file = open(&lock_path)?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(lock_path)),
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::open(lock_path.display(), source));
            }
        }
        drop(open(path)?);
        Ok(Self { _file: file })
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.options_mut().mode(0o600);
    options.open(path)
}
