//! A directory `NAME` with `NAME-cert.pem`, `NAME-chain.pem` and `NAME-key.pem`, which are swapped at once.
//!
//! The three are links into `.current`, which is a link to one directory below `.versions`. To swap them is
//! to rename one link: whenever that is interrupted, certificate and key belong together. Where the three
//! are plain files still, they become links first, to copies of themselves, so that each step leaves what
//! is seen under their names as it was.

use std::ffi::OsStr;
use std::fs::{Metadata, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_authority::crash_point;
use countersign_ca::{CertificateFacts, SigningKey, certificates_from_pem, random_bytes};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use zeroize::Zeroizing;

const CURRENT: &str = ".current";
const VERSIONS: &str = ".versions";

/// What is in a slot: certificate, chain and key.
const PARTS: [&str; 3] = ["key", "chain", "cert"];

/// A certificate with its key, in PEM.
pub(crate) struct Written {
    /// The certificate, and the CAs between it and the root.
    pub(crate) certificate: String,
    /// The CAs above it, the root last.
    pub(crate) chain: String,
    /// The key.
    pub(crate) key: Zeroizing<String>,
}

impl Written {
    fn part(&self, what: &str) -> &str {
        match what {
            "key" => &self.key,
            "chain" => &self.chain,
            _cert => &self.certificate,
        }
    }
}

/// The directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    directory: PathBuf,
    name: String,
}

impl Slot {
    /// A directory, if it can be one.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        let name = directory.file_name().and_then(OsStr::to_str)?.to_owned();
        Some(Self { directory: directory.to_owned(), name })
    }

    /// `NAME`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn file_name(&self, what: &str) -> String {
        format!("{}-{what}.pem", self.name)
    }

    /// `NAME-WHAT.pem`.
    pub(crate) fn file(&self, what: &str) -> PathBuf {
        self.directory.join(self.file_name(what))
    }

    /// The files that are there: what they are, and where.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        PARTS.into_iter().map(|what| self.file(what)).filter(|file| file.is_file())
    }

    /// Makes it so that the files can be swapped at once, and clears away what an interrupted swap left.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        let are_links = PARTS.iter().all(|what| self.is_link(what) || !self.file(what).exists());
        if !are_links {
            let version = self.make_version()?;
            for what in PARTS {
                let file = self.file(what);
                if let Some(contents) = optional(fs_err::read(&file))? {
                    let like = fs_err::metadata(&file)?;
                    write_like(&version.join(self.file_name(what)), &contents, &like, what)?;
                }
            }
            self.point_to(&version)?;
            crash_point("settle");
            for what in PARTS.into_iter().filter(|what| self.file(what).exists()) {
                self.link(what)?;
                crash_point(&format!("settle-{what}"));
            }
        }
        self.tidy()
    }

    /// Swaps all three at once. Who may read them stays as it was.
    ///
    /// # Errors
    /// Fails closed: what does not belong together never takes the place of what does.
    pub(crate) fn swap(&self, new: &Written) -> anyhow::Result<()> {
        let version = self.make_version()?;
        for what in PARTS {
            let seen = optional(fs_err::metadata(self.file(what)))?;
            let like = seen.map_or_else(|| fs_err::metadata(self.file("cert")), Ok)?;
            write_like(&version.join(self.file_name(what)), new.part(what).as_bytes(), &like, what)?;
        }
        sync(&version)?;
        let [key, certificate] = ["key", "cert"].map(|what| version.join(self.file_name(what)));
        anyhow::ensure!(belong_together(&key, &certificate)?, "certificate and key do not belong together");
        if !self.is_link("chain") {
            self.link("chain")?;
        }
        crash_point("staged");
        self.point_to(&version)?;
        crash_point("swapped");
        self.tidy()
    }

    fn make_version(&self) -> anyhow::Result<PathBuf> {
        let versions = self.directory.join(VERSIONS);
        let version = versions.join(hex::encode(random_bytes::<8>().context("make a name")?));
        let mode = fs_err::metadata(&self.directory)?.permissions().mode() & 0o777;
        for directory in [&versions, &version] {
            match std::fs::DirBuilder::new().mode(0o700).create(directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("make the directory {}", directory.display()));
                }
                Ok(()) | Err(_) => {}
            }
            give_like(directory, &fs_err::metadata(&self.directory)?, mode)?;
        }
        Ok(version)
    }

    /// Lets `.current` lead to a version, at once.
    fn point_to(&self, version: &Path) -> anyhow::Result<()> {
        sync(version)?;
        sync(&self.directory.join(VERSIONS))?;
        let target = Path::new(VERSIONS).join(version.file_name().unwrap_or_default());
        self.put_link(CURRENT, &target)
    }

    fn is_link(&self, what: &str) -> bool {
        fs_err::read_link(self.file(what)).is_ok_and(|target| target == self.target(what))
    }

    fn target(&self, what: &str) -> PathBuf {
        Path::new(CURRENT).join(self.file_name(what))
    }

    fn link(&self, what: &str) -> anyhow::Result<()> {
        self.put_link(&self.file_name(what), &self.target(what))
    }

    fn put_link(&self, name: &str, target: &Path) -> anyhow::Result<()> {
        let random = hex::encode(random_bytes::<8>().context("make a name")?);
        let beside = self.directory.join(format!("{CURRENT}.{random}"));
        symlink(target, &beside).with_context(|| format!("make the link {}", beside.display()))?;
        let put = fs_err::rename(&beside, self.directory.join(name));
        if put.is_err() {
            // What is left of it is nobody's.
            let _gone = fs_err::remove_file(&beside);
        }
        put?;
        sync(&self.directory)
    }

    /// Removes versions that nothing leads to, and links that never got their name.
    fn tidy(&self) -> anyhow::Result<()> {
        let in_use = optional(fs_err::read_link(self.directory.join(CURRENT)))?;
        let in_use = in_use.as_deref().and_then(Path::file_name);
        for version in entries(&self.directory.join(VERSIONS))? {
            if version.file_name() != in_use {
                fs_err::remove_dir_all(version)?;
            }
        }
        let lost = format!("{CURRENT}.");
        for entry in entries(&self.directory)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(&lost) {
                fs_err::remove_file(entry)?;
            }
        }
        Ok(())
    }
}

/// Whether a certificate is that of a key, both in files.
fn belong_together(key: &Path, certificate: &Path) -> anyhow::Result<bool> {
    let key = Zeroizing::new(fs_err::read_to_string(key)?);
    let key = SigningKey::from_pkcs8_pem(&key).context("read the new key")?;
    let certificates = certificates_from_pem(&fs_err::read_to_string(certificate)?);
    let leaf = certificates.context("read the new certificate")?.into_iter().next();
    let leaf = leaf.context("read the new certificate: there is none")?;
    Ok(CertificateFacts::of(&leaf).context("read the new certificate")?.key == *key.public_key())
}

/// `None` for what is not there.
fn optional<T>(read: std::io::Result<T>) -> anyhow::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn entries(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Some(entries) = optional(fs_err::read_dir(directory))? else { return Ok(Vec::new()) };
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?)
}

/// Writes a file that nobody else can read before it is as it should be. Fails closed: nobody but its owner
/// and its group ever reads a key.
fn write_like(path: &Path, contents: &[u8], like: &Metadata, what: &str) -> anyhow::Result<()> {
    let mode = match what {
        "key" => like.permissions().mode() & 0o640,
        _public => like.permissions().mode() & 0o777 | 0o400,
    };
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    give_like(path, like, if what == "key" { mode | 0o600 } else { mode })?;
    Ok(file.sync_all()?)
}

/// Gives a file or directory the owner of another, and this mode.
fn give_like(path: &Path, like: &Metadata, mode: u32) -> anyhow::Result<()> {
    let file = fs_err::File::open(path)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(file.file(), Some(like.uid()), Some(like.gid()))
            .with_context(|| format!("give {} the owner of what it replaces", path.display()))?;
    }
    Ok(file.set_permissions(Permissions::from_mode(mode))?)
}

fn sync(directory: &Path) -> anyhow::Result<()> {
    Ok(fs_err::File::open(directory)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use countersign_ca::KeyAlgorithm;
    use countersign_testkit::TestCa;

    use super::*;

    fn slot(folder: &Path) -> Slot {
        let slot = Slot::of(&folder.join("web")).unwrap();
        fs_err::create_dir(slot.directory()).unwrap();
        slot
    }

    fn written() -> Written {
        let certificate = TestCa::new("elsewhere.example").server(&["web.example.com"]);
        let (certificate, key) = (certificate.chain_pem(), Zeroizing::new(certificate.key_pem()));
        Written { chain: "a chain\n".to_owned(), certificate, key }
    }

    fn seen(slot: &Slot) -> Vec<String> {
        PARTS.map(|what| fs_err::read_to_string(slot.file(what)).unwrap_or_default()).to_vec()
    }

    fn put(slot: &Slot, written: &Written, key_mode: u32) {
        for what in PARTS {
            fs_err::write(slot.file(what), written.part(what)).unwrap();
        }
        fs_err::set_permissions(slot.file("key"), Permissions::from_mode(key_mode)).unwrap();
    }

    #[test]
    fn plain_files_become_links_and_look_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (slot, first, second) = (slot(folder.path()), written(), written());
        put(&slot, &first, 0o640);
        let before = seen(&slot);
        slot.settle().unwrap();
        assert_eq!(seen(&slot), before);
        slot.swap(&second).unwrap();
        assert_eq!(seen(&slot), PARTS.map(|what| second.part(what)));
        let mode = fs_err::metadata(slot.file("key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640, "its group keeps reading it");
        slot.settle().unwrap();
        assert_eq!(seen(&slot), PARTS.map(|what| second.part(what)));
        assert_eq!(entries(&slot.directory().join(VERSIONS)).unwrap().len(), 1);
    }

    #[test]
    fn files_that_were_put_there_since_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (slot, first, second) = (slot(folder.path()), written(), written());
        put(&slot, &first, 0o600);
        slot.settle().unwrap();
        // Somebody replaces two of the links; the third still leads to the version in use.
        for what in ["key", "cert"] {
            fs_err::remove_file(slot.file(what)).unwrap();
            fs_err::write(slot.file(what), second.part(what)).unwrap();
        }
        let before = seen(&slot);
        slot.settle().unwrap();
        assert_eq!(seen(&slot), before);
        assert!(PARTS.iter().all(|what| slot.is_link(what)));
    }

    #[test]
    fn a_key_that_everybody_could_read_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let slot = slot(folder.path());
        put(&slot, &written(), 0o644);
        slot.settle().unwrap();
        let mode = fs_err::metadata(slot.file("key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640);
    }

    #[test]
    fn fails_closed_on_a_certificate_of_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let (slot, first) = (slot(folder.path()), written());
        put(&slot, &first, 0o600);
        slot.settle().unwrap();
        let before = seen(&slot);
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap().pkcs8_pem();
        assert!(slot.swap(&Written { key, ..written() }).is_err());
        assert_eq!(seen(&slot), before);
        slot.settle().unwrap();
        assert_eq!(entries(&slot.directory().join(VERSIONS)).unwrap().len(), 1, "what was staged is gone");
    }
}
