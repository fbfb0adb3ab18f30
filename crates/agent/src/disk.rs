//! Where the configuration lives: written so that being killed at any moment loses nothing and no
//! other user can read it at any moment.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, from_yaml, to_yaml};
use crate::state::StateFile;

/// The configuration could not be read or written.
#[derive(Debug, Error)]
pub enum DiskError {
    /// A file operation failed.
    #[error("cannot use {path}")]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Other users can enter the directory, and it holds things that are not the agent's.
    #[error("other users can enter {0}, and it holds more than the agent's files")]
    OpenDirectory(PathBuf),
    /// The content is wrong.
    #[error("cannot use {path}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ConfigError,
    },
    /// Another agent process is changing it.
    #[error("another agent process is changing {0}")]
    Busy(PathBuf),
}

/// Keeps other agent processes from changing the configuration until dropped.
#[derive(Debug)]
pub struct DiskLock(fs::File);

impl Drop for DiskLock {
    /// Closing the file would do, were no child process just being started with a copy of it.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(error = %error, "cannot give the configuration free");
        }
    }
}

/// Where the configuration is kept.
pub trait Disk: Send + Sync {
    /// The configuration, or `None` when there is none.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn load(&self) -> Result<Option<Config>, DiskError>;

    /// Replaces the configuration; once this has returned, losing power does not lose it.
    ///
    /// # Errors
    /// See [`DiskError`]. After an error the former configuration stands.
    fn save(&self, config: &Config) -> Result<(), DiskError>;

    /// Keeps other agent processes from changing it.
    ///
    /// # Errors
    /// [`DiskError::Busy`] at once, without waiting, when another has it.
    fn lock(&self) -> Result<DiskLock, DiskError>;

    /// Removes the configuration, and with it the key, the certificate and the token.
    ///
    /// # Errors
    /// See [`DiskError`]. What is not there is no error.
    fn remove(&self) -> Result<(), DiskError>;

    /// Where it is, for people.
    fn path(&self) -> &Path;
}

/// `agent.yaml`: mode 0600 in a directory of mode 0700, replaced by renaming.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    directory: PathBuf,
}

impl ConfigFile {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        Self { path, directory }
    }

    fn temporary(&self) -> PathBuf {
        sibling(&self.path, ".new")
    }

    fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        let path = path.to_owned();
        move |source| DiskError::File { path, source }
    }

    /// Makes sure that the directory exists and is the agent's alone.
    fn prepare_directory(&self) -> Result<(), DiskError> {
        match fs::metadata(&self.directory) {
            Ok(_) if private::is_private(&self.directory).map_err(Self::at(&self.directory))? => Ok(()),
            Ok(_) if self.holds_only_ours().map_err(Self::at(&self.directory))? => {
                private::restrict_directory(&self.directory).map_err(Self::at(&self.directory))
            }
            Ok(_) => Err(DiskError::OpenDirectory(self.directory.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private::create_directory(&self.directory).map_err(Self::at(&self.directory))
            }
            Err(source) => Err(DiskError::File { path: self.directory.clone(), source }),
        }
    }

    fn holds_only_ours(&self) -> io::Result<bool> {
        let ours = self.files();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            if !ours.iter().any(|path| path.file_name() == Some(&name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every file that is the agent's.
    fn files(&self) -> Vec<PathBuf> {
        let besides = [".new", ".lock"].iter().chain(&StateFile::ENDINGS);
        std::iter::once(self.path.clone()).chain(besides.map(|ending| sibling(&self.path, ending))).collect()
    }

    fn write_temporary(&self, text: &str) -> io::Result<PathBuf> {
        let path = self.temporary();
        // Left behind by a process that was killed while writing.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private::create_file(&path)?;
        private::give_to_owner(&self.directory, &file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(path)
    }
}

impl Disk for ConfigFile {
    fn load(&self) -> Result<Option<Config>, DiskError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DiskError::File { path: self.path.clone(), source }),
        };
        if private::restrict_file(&self.path).map_err(Self::at(&self.path))? {
            tracing::warn!(
                path = %self.path.display(),
                "other users could read the configuration; its mode is 0600 now, enrol again if they may have"
            );
        }
        let config =
            from_yaml(&text).map_err(|source| DiskError::Content { path: self.path.clone(), source })?;
        Ok(Some(config))
    }

    fn save(&self, config: &Config) -> Result<(), DiskError> {
        let text =
            to_yaml(config).map_err(|source| DiskError::Content { path: self.path.clone(), source })?;
        self.prepare_directory()?;
        let temporary = self.write_temporary(&text).map_err(Self::at(&self.temporary()))?;
        fs::rename(&temporary, &self.path).map_err(Self::at(&self.path))?;
        private::sync_directory(&self.directory).map_err(Self::at(&self.directory))
    }

    fn lock(&self) -> Result<DiskLock, DiskError> {
        self.prepare_directory()?;
        let path = sibling(&self.path, ".lock");
        let file = private::open_lock(&path).map_err(Self::at(&path))?;
        private::give_to_owner(&self.directory, &file).map_err(Self::at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(DiskLock(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(DiskError::Busy(self.path.clone())),
            Err(std::fs::TryLockError::Error(source)) => Err(DiskError::File { path, source }),
        }
    }

    fn remove(&self) -> Result<(), DiskError> {
        for path in self.files() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DiskError::File { path, source: error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        match private::sync_directory(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Self::at(&self.directory)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The file beside `path` whose name ends so.
pub(crate) fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(unix)]
pub(crate) mod private {
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use fs_err as fs;
    use fs_err::os::unix::fs::OpenOptionsExt as _;

    const OTHERS: u32 = 0o077;

    pub(super) fn is_private(directory: &Path) -> io::Result<bool> {
        Ok(fs::metadata(directory)?.permissions().mode() & OTHERS == 0)
    }

    pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        directory.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_directory)
    }

    pub(super) fn restrict_directory(directory: &Path) -> io::Result<()> {
        fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
    }

    /// Whether it had to be restricted.
    pub(super) fn restrict_file(path: &Path) -> io::Result<bool> {
        if fs::metadata(path)?.permissions().mode() & OTHERS == 0 {
            return Ok(false);
        }
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(true)
    }

    pub(crate) fn create_file(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    pub(crate) fn open_lock(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// A file that root makes in the directory of the service's user belongs to that user: a person
    /// may run a command as root beside a service that does not.
    pub(crate) fn give_to_owner(directory: &Path, file: &fs::File) -> io::Result<()> {
        let owner = fs::metadata(directory)?;
        if owner.uid() == 0 || file.metadata()?.uid() != 0 {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
    }

    pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
        fs::File::open(directory)?.sync_all()
    }
}

#[cfg(not(unix))]
pub(crate) mod private {
    use std::io;
    use std::path::Path;
    use std::process::Command;

    use fs_err as fs;

    /// The directory's access list is set when it is made, and files inherit it.
    pub(super) fn is_private(_directory: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// Access for administrators and the system alone, inherited by what is made inside.
    pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        restrict_directory(directory)
    }

    pub(super) fn restrict_directory(directory: &Path) -> io::Result<()> {
        // S-1-5-18 is the system, S-1-5-32-544 the administrators, in any language of Windows.
        let status = Command::new("icacls")
            .arg(directory)
            .args(["/inheritance:r", "/grant:r", "*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F", "/q"])
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("icacls failed")) }
    }

    pub(super) fn restrict_file(_path: &Path) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn create_file(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(crate) fn open_lock(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)
    }

    /// The directory's access list says who may do what.
    pub(crate) fn give_to_owner(_directory: &Path, _file: &fs::File) -> io::Result<()> {
        Ok(())
    }

    /// Windows writes directories through by itself.
    pub(super) fn sync_directory(_directory: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StartedEnrolment;
    use crate::secret::Secret;
    use std::os::unix::fs::PermissionsExt as _;

    fn config() -> Config {
        Config {
            server: "https://cs.example.com".parse().unwrap(),
            ca_pem: None,
            enrolment: None,
            started: Some(StartedEnrolment { key: Secret::new("key"), enrolment_key_sha256: String::new() }),
            transport: crate::config::Transport::WebSocket,
            forwards: Vec::new(),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn file_and_directory_are_private() {
        let root = tempfile::tempdir().unwrap();
        let disk = ConfigFile::new(root.path().join("a/b/agent.yaml"));
        assert!(disk.load().unwrap().is_none());
        disk.save(&config()).unwrap();
        assert_eq!(disk.load().unwrap(), Some(config()));
        assert_eq!((mode(disk.path()), mode(&root.path().join("a/b"))), (0o600, 0o700));
    }

    #[test]
    fn an_open_directory_is_closed_when_it_is_ours_and_refused_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("etc");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let disk = ConfigFile::new(directory.join("agent.yaml"));
        disk.save(&config()).unwrap();
        assert_eq!(mode(&directory), 0o700);

        fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.join("other"), "x").unwrap();
        assert!(matches!(disk.save(&config()), Err(DiskError::OpenDirectory(_))));
        assert_eq!(mode(&directory), 0o755);
    }

    #[test]
    fn a_file_that_others_could_read_is_closed_when_read() {
        let root = tempfile::tempdir().unwrap();
        let disk = ConfigFile::new(root.path().join("agent.yaml"));
        disk.save(&config()).unwrap();
        fs::set_permissions(disk.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        disk.load().unwrap();
        assert_eq!(mode(disk.path()), 0o600);
    }

    #[test]
    fn a_file_left_by_a_killed_process_is_in_nobodys_way() {
        let root = tempfile::tempdir().unwrap();
        let disk = ConfigFile::new(root.path().join("agent.yaml"));
        fs::write(root.path().join("agent.yaml.new"), "half").unwrap();
        disk.save(&config()).unwrap();
        assert!(!root.path().join("agent.yaml.new").exists());
        assert_eq!(disk.load().unwrap(), Some(config()));
    }

    #[test]
    fn nothing_is_left_when_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let disk = ConfigFile::new(root.path().join("agent.yaml"));
        disk.save(&config()).unwrap();
        drop(disk.lock().unwrap());
        let state = StateFile::beside(disk.path());
        drop(state.claim().unwrap());
        fs::write(root.path().join("other"), "x").unwrap();
        disk.remove().unwrap();
        disk.remove().unwrap();
        let left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["other"], "and what is not the agent's stays");
    }

    #[test]
    fn two_processes_do_not_change_it_at_once() {
        let root = tempfile::tempdir().unwrap();
        let disk = ConfigFile::new(root.path().join("agent.yaml"));
        let held = disk.lock().unwrap();
        assert!(matches!(disk.lock(), Err(DiskError::Busy(_))));
        drop(held);
        assert!(disk.lock().is_ok());
    }
}
