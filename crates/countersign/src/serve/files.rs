//! Files that nobody but us may read.

use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// The permissions of whoever is not the owner.
const OTHERS: u32 = 0o077;
/// What a data directory of ours holds.
const OURS: [&str; 2] = ["key-encryption-key", "countersign.db"];

/// Makes a directory that only its owner can enter, parents included. One that is there and that
/// others can enter is closed to them if it is plainly a data directory: ours, and either empty or with
/// our files in it.
///
/// # Errors
/// Fails closed: refuses any other directory that others can enter, with what to do about it.
pub(crate) fn make_private_directory(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("make the data directory {}", path.display()))?;
    let found = fs_err::metadata(path).context("look at the data directory")?;
    if found.mode() & OTHERS == 0 {
        return Ok(());
    }
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if !is_own || !is_data_directory(path)? {
        let shown = path.display();
        bail!(
            "others can enter the data directory {shown} (mode {:03o}): chmod 700 it if it is only \
             Countersign's and this user owns it, or name a directory below it, as {shown}/countersign",
            found.mode() & 0o777
        );
    }
    fs_err::set_permissions(path, Permissions::from_mode(0o700)).context("close the data directory")?;
    tracing::warn!(path = %path.display(), "data directory was open to others, closed it");
    Ok(())
}

fn is_data_directory(path: &Path) -> anyhow::Result<bool> {
    if OURS.iter().any(|name| path.join(name).exists()) {
        return Ok(true);
    }
    Ok(fs_err::read_dir(path).context("look into the data directory")?.next().is_none())
}

/// Closes the files of an SQLite database to others, those that are there.
pub(crate) fn close_database(path: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = Path::new(&name);
        let found = match fs_err::metadata(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found.context("look at the database")?,
        };
        if found.mode() & OTHERS != 0 {
            fs_err::set_permissions(file, Permissions::from_mode(0o600)).context("close the database")?;
            tracing::warn!(path = %file.display(), "database was open to others, closed it");
        }
    }
    Ok(())
}

/// Writes a file that is 0600 at every instant and whole or absent.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
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
pub(crate) fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("remove an old file"),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().mode() & 0o777
    }

    fn open_to_all(path: &Path) {
        fs_err::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_data_directory_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("a/b");
        make_private_directory(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        open_to_all(&made);
        make_private_directory(&made).unwrap();
        assert_eq!(mode(&made), 0o700, "empty");
        fs_err::write(made.join("key-encryption-key"), "").unwrap();
        open_to_all(&made);
        make_private_directory(&made).unwrap();
        assert_eq!(mode(&made), 0o700, "with our files");
    }

    #[test]
    fn fails_closed_on_a_directory_that_may_be_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("letter.txt"), "").unwrap();
        open_to_all(folder.path());
        let refused = make_private_directory(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("(mode 755): chmod 700 it"), "{refused}");
        assert_eq!(mode(folder.path()), 0o755, "left alone");
    }

    #[test]
    fn a_database_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("countersign.db");
        close_database(&database).unwrap();
        let files = ["countersign.db", "countersign.db-wal"].map(|name| folder.path().join(name));
        for file in &files {
            fs_err::write(file, "").unwrap();
            fs_err::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        close_database(&database).unwrap();
        assert_eq!(files.each_ref().map(|file| mode(file)), [0o600; 2]);
    }
}
