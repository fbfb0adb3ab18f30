//! Our side of TLS to upstreams, read again when its files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_tls::{ClientError, ClientIdentity, ClientTls, ServerCredentials, ServerTrust};
use parking_lot::Mutex;
use thiserror::Error;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::group::{UpstreamCertificate, UpstreamProtocol, UpstreamRoots, UpstreamTls};

/// Where systems keep the roots they trust, PEM.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why TLS to upstreams cannot be set up.
#[derive(Debug, Error)]
pub enum UpstreamTlsError {
    /// Any server would do.
    #[error("nothing says which servers are the right ones: name their CA, or pin their keys")]
    NoTrust,
    /// The machine trusts nobody.
    #[error("this machine has no file of trusted roots where systems keep them")]
    NoSystemRoots,
    /// The door's certificate is wanted where there is no door.
    #[error("there is no door whose certificate could be shown")]
    NoDoor,
    /// A file cannot be read.
    #[error("read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was read cannot be used.
    #[error("use the certificates and keys for upstreams")]
    Client(#[source] ClientError),
}

/// Our side of TLS to the upstreams of a group.
#[derive(Debug)]
pub(crate) struct ClientSide {
    settings: UpstreamTls,
    protocol: UpstreamProtocol,
    door: Option<Arc<ServerCredentials>>,
    in_use: ArcSwap<InUse>,
    seen: Mutex<Seen>,
}

/// What new connections use.
#[derive(Debug)]
pub(crate) struct InUse {
    pub(crate) tls: ClientTls,
    generation: u64,
}

/// Which files were read, and whether they could be used.
#[derive(Debug, PartialEq, Eq)]
struct Seen(Vec<Option<Stamp>>);

/// What changes with a file: where its links lead, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl ClientSide {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// Fails closed: without a way to tell the right server there is no TLS.
    pub(crate) fn new(
        settings: UpstreamTls,
        protocol: UpstreamProtocol,
        door: Option<Arc<ServerCredentials>>,
    ) -> Result<Self, UpstreamTlsError> {
        let seen = Mutex::new(Seen::of(&settings));
        let tls = load(&settings, protocol, door.as_ref())?;
        let in_use = ArcSwap::from_pointee(InUse { tls, generation: 0 });
        Ok(Self { settings, protocol, door, in_use, seen })
    }

    /// What a new connection uses.
    pub(crate) fn in_use(&self) -> Arc<InUse> {
        self.in_use.load_full()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.in_use.load().generation
    }

    /// The name that the server must prove, if it is not its address's.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.settings.server_name.as_deref()
    }

    /// Whether anything of it is in files.
    pub(crate) fn has_files(&self) -> bool {
        files(&self.settings).next().is_some()
    }

    /// Reads the files again if they have changed. What cannot be used leaves what is in use.
    pub(crate) fn refresh(&self) {
        let now = Seen::of(&self.settings);
        {
            let mut seen = self.seen.lock();
            if *seen == now {
                return;
            }
            *seen = now;
        }
        match load(&self.settings, self.protocol, self.door.as_ref()) {
            Ok(tls) => {
                let generation = self.generation().wrapping_add(1);
                self.in_use.store(Arc::new(InUse { tls, generation }));
                info!(files = %self.named(), "credentials for upstreams replaced");
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, reason, files = %self.named(), "changed credentials for upstreams not usable, old ones kept");
            }
        }
    }

    fn named(&self) -> String {
        files(&self.settings).map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

impl InUse {
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }
}

impl Seen {
    fn of(settings: &UpstreamTls) -> Self {
        Self(files(settings).map(Stamp::of).collect())
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs_err::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            seconds: file.mtime(),
            nanoseconds: file.mtime_nsec(),
        })
    }
}

fn files(settings: &UpstreamTls) -> impl Iterator<Item = &Path> {
    let roots = match &settings.roots {
        Some(UpstreamRoots::File(path)) => Some(path),
        Some(UpstreamRoots::System) | None => None,
    };
    let own = match &settings.certificate {
        Some(UpstreamCertificate::Files { chain, key }) => [Some(chain), Some(key)],
        Some(UpstreamCertificate::Door) | None => [None, None],
    };
    roots.into_iter().chain(own.into_iter().flatten()).map(PathBuf::as_path)
}

fn load(
    settings: &UpstreamTls,
    protocol: UpstreamProtocol,
    door: Option<&Arc<ServerCredentials>>,
) -> Result<ClientTls, UpstreamTlsError> {
    let roots = match &settings.roots {
        Some(UpstreamRoots::File(path)) => Some(read(path)?),
        Some(UpstreamRoots::System) => {
            let found = SYSTEM_ROOTS.iter().find_map(|path| fs_err::read_to_string(path).ok());
            Some(found.ok_or(UpstreamTlsError::NoSystemRoots)?)
        }
        None => None,
    };
    let trust = match (settings.pins.as_slice(), roots) {
        ([], None) => return Err(UpstreamTlsError::NoTrust),
        ([], Some(roots)) => ServerTrust::Roots(roots),
        (pins, None) => ServerTrust::Keys(pins.to_vec()),
        (pins, Some(roots)) => ServerTrust::KeysUnder { keys: pins.to_vec(), roots },
    };
    let identity = match &settings.certificate {
        None => None,
        Some(UpstreamCertificate::Files { chain, key }) => {
            let key = Zeroizing::new(read(key)?);
            Some(ClientIdentity::from_pem(read(chain)?, key.as_str()))
        }
        Some(UpstreamCertificate::Door) => {
            Some(ClientIdentity::of_door(Arc::clone(door.ok_or(UpstreamTlsError::NoDoor)?)))
        }
    };
    let tls = ClientTls::new(&trust, identity.as_ref()).map_err(UpstreamTlsError::Client)?;
    Ok(match protocol {
        UpstreamProtocol::Http1 => tls,
        UpstreamProtocol::Http2 => tls.with_protocols(&[b"h2"]),
    })
}

fn read(path: &Path) -> Result<String, UpstreamTlsError> {
    fs_err::read_to_string(path).map_err(|source| UpstreamTlsError::File { path: path.to_owned(), source })
}
