//! Files that nobody but us may read.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::DirBuilderExt as _;

/// Makes a directory that only its owner can enter, parents included, unless it is there.
pub(crate) fn make_private_directory(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("make the data directory {}", path.display()))
}

/// Writes a file that is 0600 at every instant and whole or absent.
pub(super) fn write_private(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    remove_if_there(&beside)?;
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .context("create a private file")?;
    file.write_all(contents).context("write a private file")?;
    file.sync_all().context("write a private file")?;
    fs_err::rename(&beside, path).context("put a private file in place")
}

/// Removes a file if it is there.
pub(super) fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("remove an old file"),
        Ok(()) | Err(_) => Ok(()),
    }
}
