//! The directory that Mosquitto reads: certificate, key, CAs and lists are one version, put in place by one
//! rename of a link.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_ca::random_bytes;
use fs_err::os::unix::fs::{OpenOptionsExt as _, symlink};

/// The link to the version in place.
const CURRENT: &str = "current";

/// Where the versions are.
const VERSIONS: &str = ".versions";

/// The name of the version that Mosquitto was last told of.
const TOLD: &str = ".told";

/// A file that only its owner reads.
const SECRET: u32 = 0o600;

/// A file that holds no secret.
const OPEN: u32 = 0o644;

/// What is put in place together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The server's certificate and the CAs between it and the root, with its key, if they are kept here.
    pub(crate) server: Option<(String, zeroize::Zeroizing<String>)>,
    /// The device CAs and what is above them.
    pub(crate) device_cas: String,
    /// Their revocation lists.
    pub(crate) lists: String,
    /// What devices trust the server by.
    pub(crate) root: String,
}

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Who owns it, and so what is in it.
    owner: (u32, u32),
}

impl Folder {
    /// The directory at this absolute path; made, for its owner alone, if it is not there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            fs_err::create_dir_all(path)?;
            fs_err::set_permissions(path, Permissions::from_mode(0o700))?;
        }
        let path = fs_err::canonicalize(path)?;
        let text = path.to_str().context("use a directory whose name is no UTF-8")?;
        anyhow::ensure!(
            !text.contains(char::is_whitespace),
            "{text}: Mosquitto's configuration cannot name a path with spaces"
        );
        let owner = fs_err::metadata(&path)?;
        Ok(Self { owner: (owner.uid(), owner.gid()), path })
    }

    /// Where a file of the version in place is.
    pub(crate) fn current(&self, name: &str) -> PathBuf {
        self.path.join(CURRENT).join(name)
    }

    /// Where a file is that belongs to no version.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The version in place, as far as it can be read.
    pub(crate) fn read(&self) -> Option<Version> {
        let text = |name: &str| fs_err::read_to_string(self.current(name)).ok();
        let server = text("server-cert.pem").zip(text("server-key.pem").map(zeroize::Zeroizing::new));
        Some(Version {
            server,
            device_cas: text("device-cas.pem")?,
            lists: text("device-crl.pem")?,
            root: text("root.pem")?,
        })
    }

    /// Puts a version in place, whole: killed at any moment, the one before is.
    pub(crate) fn put(&self, version: &Version) -> anyhow::Result<()> {
        let versions = self.path.join(VERSIONS);
        if !versions.exists() {
            fs_err::create_dir(&versions)?;
            self.own(&versions, 0o700)?;
        }
        let name = hex::encode(random_bytes::<8>().context("make a name")?);
        let place = versions.join(&name);
        fs_err::create_dir(&place)?;
        self.own(&place, 0o700)?;
        if let Some((certificate, key)) = &version.server {
            self.write(&place.join("server-key.pem"), key.as_bytes(), SECRET)?;
            self.write(&place.join("server-cert.pem"), certificate.as_bytes(), OPEN)?;
        }
        self.write(&place.join("device-cas.pem"), version.device_cas.as_bytes(), OPEN)?;
        self.write(&place.join("device-crl.pem"), version.lists.as_bytes(), OPEN)?;
        self.write(&place.join("root.pem"), version.root.as_bytes(), OPEN)?;
        fs_err::File::open(&place)?.sync_all()?;
        let link = self.path.join(format!(".{CURRENT}.{name}"));
        symlink(Path::new(VERSIONS).join(&name), &link)?;
        fs_err::rename(&link, self.path.join(CURRENT))?;
        fs_err::File::open(&self.path)?.sync_all()?;
        self.forget_others(&versions, &name)
    }

    /// Old versions hold old keys.
    fn forget_others(&self, versions: &Path, kept: &str) -> anyhow::Result<()> {
        for entry in fs_err::read_dir(versions)? {
            let entry = entry?;
            if entry.file_name() != kept {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes a file that belongs to no version, whole, unless that is what is there. Whether it did.
    pub(crate) fn replace(&self, name: &str, contents: &str, is_secret: Secrecy) -> anyhow::Result<bool> {
        let path = self.file(name);
        if fs_err::read_to_string(&path).is_ok_and(|there| there == contents) {
            return Ok(false);
        }
        let temporary = self.file(&format!(".{name}.{}", hex::encode(random_bytes::<8>()?)));
        self.write(&temporary, contents.as_bytes(), is_secret.mode())?;
        fs_err::rename(&temporary, &path)?;
        fs_err::File::open(&self.path)?.sync_all()?;
        Ok(true)
    }

    /// Whether Mosquitto was told of everything that is in place.
    pub(crate) fn is_told(&self) -> bool {
        let current = fs_err::read_link(self.path.join(CURRENT)).ok();
        let told = fs_err::read_to_string(self.path.join(TOLD)).ok();
        current.is_some() && current.map(|path| path.display().to_string()) == told
    }

    /// Notes that it was.
    pub(crate) fn note_told(&self) -> anyhow::Result<()> {
        let current = fs_err::read_link(self.path.join(CURRENT))?;
        self.replace(TOLD, &current.display().to_string(), Secrecy::Open).map(drop)
    }

    fn write(&self, path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(SECRET).open(path)?;
        file.write_all(contents)?;
        self.own(path, mode)?;
        Ok(file.sync_all()?)
    }

    /// What is in the directory belongs to its owner: Mosquitto reads it once it has dropped its rights.
    fn own(&self, path: &Path, mode: u32) -> anyhow::Result<()> {
        let there = fs_err::metadata(path)?;
        if (there.uid(), there.gid()) != self.owner {
            chown(path, Some(self.owner.0), Some(self.owner.1))
                .with_context(|| format!("give {} to the owner of its directory", path.display()))?;
        }
        Ok(fs_err::set_permissions(path, Permissions::from_mode(mode))?)
    }
}

/// Who reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Its owner.
    Secret,
    /// Everybody.
    Open,
}

impl Secrecy {
    const fn mode(self) -> u32 {
        match self {
            Self::Secret => SECRET,
            Self::Open => OPEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(lists: &str) -> Version {
        Version {
            server: Some(("certificate".to_owned(), "key".to_owned().into())),
            device_cas: "cas".to_owned(),
            lists: lists.to_owned(),
            root: "root".to_owned(),
        }
    }

    #[test]
    fn a_version_takes_the_place_of_the_one_before_whole_and_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(&folder.path().join("mosquitto")).unwrap();
        assert_eq!(folder.read(), None);
        assert!(!folder.is_told());
        folder.put(&version("one")).unwrap();
        assert_eq!(folder.read(), Some(version("one")));
        folder.note_told().unwrap();
        assert!(folder.is_told());
        folder.put(&version("two")).unwrap();
        assert!(!folder.is_told());
        assert_eq!(folder.read(), Some(version("two")));
        let key = fs_err::metadata(folder.current("server-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs_err::read_dir(folder.file(VERSIONS)).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_written_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        assert!(folder.replace("a", "1", Secrecy::Secret).unwrap());
        assert!(!folder.replace("a", "1", Secrecy::Secret).unwrap());
        assert!(folder.replace("a", "2", Secrecy::Secret).unwrap());
    }
}
