//! What certificates and keys were before they were renewed: a directory for every run, for its owner
//! alone.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_core::time::Timestamp;
use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::slot::Slot;

/// A directory with this file holds backups.
const MARK: &str = ".countersign-backup";

/// The backup of one run.
#[derive(Debug)]
pub(crate) struct Backup(PathBuf);

impl Backup {
    /// Makes a directory below `parent` that is named for the moment.
    pub(crate) fn make(parent: &Path, now: Timestamp) -> anyhow::Result<Self> {
        make_directory(parent)?;
        let mark = parent.join(MARK);
        if !mark.exists() {
            fs_err::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&mark)?;
        }
        let moment: String =
            now.floor_to_second().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        for count in 1..1000_u32 {
            let name = if count == 1 { moment.clone() } else { format!("{moment}-{count}") };
            let directory = parent.join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => return Ok(Self(directory)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("make the directory {}", directory.display()));
                }
            }
        }
        anyhow::bail!("there are too many backups of this second in {}", parent.display())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Copies the files of a slot below `base`, each 0600.
    pub(crate) fn keep(&self, slot: &Slot, base: &Path) -> anyhow::Result<()> {
        let below = slot.directory().strip_prefix(base).unwrap_or_else(|_elsewhere| Path::new(""));
        let below = if below.as_os_str().is_empty() { Path::new(slot.name()) } else { below };
        let directory = self.0.join(below);
        make_directory(&directory)?;
        for file in slot.files() {
            let contents = zeroize::Zeroizing::new(fs_err::read(&file)?);
            let copy = directory.join(file.file_name().unwrap_or_default());
            let mut copied =
                fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy)?;
            copied.write_all(&contents)?;
            copied.sync_all()?;
        }
        Ok(fs_err::File::open(&directory)?.sync_all()?)
    }
}

/// Whether a directory holds backups.
pub(super) fn is_backup(directory: &Path) -> bool {
    directory.join(MARK).exists()
}

fn make_directory(directory: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("make the directory {}", directory.display()))
}
