//! The operator's own certificates: read together, shown together, and read again when their files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use countersign_core::time::Timestamp;
use countersign_tls::{NameChallenges, ServerCredential, ServerCredentials};
use parking_lot::Mutex;

use crate::config::{DoorCertificate, Resolved};

/// The operator's own certificates with their keys, found to belong together; shown to nobody yet.
#[derive(Debug)]
pub(crate) struct OwnCertificates {
    /// What everybody is shown, when that is the operator's.
    default: Option<ServerCredential>,
    named: Vec<(String, ServerCredential)>,
}

impl OwnCertificates {
    /// As they are in their files now.
    ///
    /// # Errors
    /// Fails closed: with one that cannot be read or used, none is; the error names it.
    pub(crate) fn read(config: &Resolved) -> anyhow::Result<Self> {
        let default = match &config.http_door.certificate {
            DoorCertificate::Issued => None,
            DoorCertificate::Files { chain, key } => Some(from_files(chain, key)?),
        };
        let mut named = Vec::new();
        for host in &config.hosts {
            let Some((chain, key)) = &host.certificate else { continue };
            let credential = from_files(chain, key)?;
            named.extend(host.names.iter().map(|name| (name.to_string(), credential.clone())));
        }
        Ok(Self { default, named })
    }
}

/// What the doors show under names: the operator's certificates, and one that was obtained from a public CA.
#[derive(Debug)]
pub(crate) struct Shown {
    credentials: Arc<ServerCredentials>,
    named: Mutex<Named>,
    acquiring: Mutex<Option<Acquiring>>,
}

/// How it goes with a certificate from a public CA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acquiring {
    /// When the one that is shown ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// How often in a row another one was not obtained.
    pub(crate) failures: u32,
}

#[derive(Debug, Default)]
struct Named {
    own: Vec<(String, ServerCredential)>,
    acquired: Vec<(String, ServerCredential)>,
}

impl Shown {
    /// Nothing yet but what everybody is shown.
    pub(crate) fn new(credentials: Arc<ServerCredentials>) -> Self {
        Self { credentials, named: Mutex::default(), acquiring: Mutex::default() }
    }

    /// What the doors show CAs that ask whose a name is.
    pub(crate) fn challenges(&self) -> NameChallenges {
        self.credentials.challenges().clone()
    }

    /// Shows the operator's certificates from the next handshake on.
    pub(crate) fn show_own(&self, own: OwnCertificates) {
        self.change(|named| named.own = own.named);
        if let Some(default) = own.default {
            self.credentials.replace_default(default);
        }
    }

    /// Shows this one under these names from the next handshake on, unless the operator has their own.
    pub(crate) fn show_acquired(
        &self,
        names: &[String],
        credential: &ServerCredential,
        expires_at: Timestamp,
    ) {
        *self.acquiring.lock() = Some(Acquiring { expires_at: Some(expires_at), failures: 0 });
        let acquired = names.iter().map(|name| (name.clone(), credential.clone())).collect();
        self.change(|named| named.acquired = acquired);
    }

    /// Another one was not obtained, so many times in a row.
    pub(crate) fn not_acquired(&self, failures: u32) {
        self.acquiring.lock().get_or_insert_default().failures = failures;
    }

    /// How it goes with the one that is kept, if one is.
    pub(crate) fn acquiring(&self) -> Option<Acquiring> {
        *self.acquiring.lock()
    }

    /// Shows none any more.
    pub(crate) fn forget_acquired(&self) {
        *self.acquiring.lock() = None;
        self.change(|named| named.acquired.clear());
    }

    fn change(&self, change: impl FnOnce(&mut Named)) {
        let mut named = self.named.lock();
        change(&mut named);
        self.credentials.replace_named(named.acquired.iter().chain(&named.own).cloned());
    }
}

/// The operator's own certificate and its key, for the doors to show.
///
/// # Errors
/// When they cannot be read or do not fit.
pub(crate) fn from_files(chain: &Path, key: &Path) -> anyhow::Result<ServerCredential> {
    let text = fs_err::read_to_string(chain).context("read a certificate of the doors")?;
    let secret = fs_err::read_to_string(key).context("read a key of the doors")?;
    let named = || format!("use the certificate {} with the key {}", chain.display(), key.display());
    ServerCredential::from_pem(&text, &secret).with_context(named)
}

/// Which files with certificates there are, and what changes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

/// Where the links of a file lead, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
}

impl Stamps {
    /// Of the operator's certificates at this moment.
    pub(crate) fn of(config: &Resolved) -> Self {
        let default = match &config.http_door.certificate {
            DoorCertificate::Issued => None,
            DoorCertificate::Files { chain, key } => Some((chain, key)),
        };
        let named = config.hosts.iter().filter_map(|host| host.certificate.as_ref());
        let pairs = default.into_iter().chain(named.map(|(chain, key)| (chain, key)));
        Self(pairs.flat_map(|(chain, key)| [stamped(chain), stamped(key)]).collect())
    }
}

impl Stamps {
    /// The files, each as it is named.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _stamp)| path.as_path())
    }
}

fn stamped(path: &Path) -> (PathBuf, Option<Stamp>) {
    let stamp = fs_err::metadata(path).ok().map(|found| Stamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        written: (found.mtime(), found.mtime_nsec()),
    });
    (path.to_owned(), stamp)
}
