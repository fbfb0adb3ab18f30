//! The files of a tree, a directory for each of its names: `ca/ca-cert.pem`, `web/web-cert.pem`,
//! `web/web-key.pem`, `web/web-chain.pem`.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_ca::{CertificateFacts, SigningKey, certificates_from_pem, random_bytes};
use countersign_core::ids::SpkiSha256;
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner.
    Owner,
    /// Everybody.
    Everybody,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// The directory that a tree is written to.
#[derive(Debug)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    /// Below `directory`, which is made when it is needed.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// `NAME/NAME-WHAT.pem`.
    pub(crate) fn path(&self, name: &str, what: &str) -> PathBuf {
        self.0.join(name).join(format!("{name}-{what}.pem"))
    }

    /// Writes one of the files, unless it says that already.
    pub(crate) fn write(
        &self,
        (name, what): (&str, &str),
        pem: &str,
        readers: Readers,
    ) -> anyhow::Result<()> {
        let path = self.path(name, what);
        let directory = self.0.join(name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&directory)
            .with_context(|| format!("make the directory {}", directory.display()))?;
        replace(&path, pem.as_bytes(), readers).with_context(|| format!("write {}", path.display()))
    }

    /// The key of the certificate that is there, with its certificate; `None` when either is missing or
    /// they do not belong together.
    pub(crate) fn key_of(&self, name: &str) -> Option<SpkiSha256> {
        let key = zeroize_read(&self.path(name, "key"))?;
        let key = SigningKey::from_pkcs8_pem(&key).ok()?;
        let certificate = fs_err::read_to_string(self.path(name, "cert")).ok()?;
        let leaf = certificates_from_pem(&certificate).ok()?.into_iter().next()?;
        let facts = CertificateFacts::of(&leaf).ok()?;
        (facts.key == *key.public_key()).then(|| key.public_key().sha256())
    }
}

fn zeroize_read(path: &Path) -> Option<zeroize::Zeroizing<String>> {
    fs_err::read_to_string(path).ok().map(zeroize::Zeroizing::new)
}

/// Writes beside the file, with its final mode from the first instant, and renames: whoever reads it
/// reads the old or the new one, whole.
pub(crate) fn replace(path: &Path, contents: &[u8], readers: Readers) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let random = u64::from_be_bytes(random_bytes().context("make a name")?);
    let temporary = directory.join(format!(".{name}.{random:016x}"));
    let written = (|| {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(contents)?;
        file.set_permissions(Permissions::from_mode(readers.mode()))?;
        file.sync_all()?;
        fs_err::rename(&temporary, path)?;
        fs_err::File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // What is left of it, if anything, is nobody's.
        let _gone = fs_err::remove_file(&temporary);
    }
    Ok(written?)
}
