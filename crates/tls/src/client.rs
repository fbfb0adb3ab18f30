//! The client's side of TLS: whom a program of ours trusts, and what it shows.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::ids::SpkiSha256;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, SignatureScheme};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::connector::HttpsConnector;
use crate::credential::ServerCredentials;
use crate::pem;
use crate::pinned_keys::{KeyMismatch, KeyUnderRoots, PinnedKeys};
use crate::provider::{VERSIONS, provider};
use crate::server_verdict::Judged;
use crate::server_verifier::{PinMismatch, PinnedRoot, under_roots};
use crate::stream::ClientStream;

/// How long a connection with its handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client's own certificate chain and private key.
#[derive(Clone)]
pub struct ClientIdentity(Own);

#[derive(Clone)]
enum Own {
    Pem { chain: String, key: Zeroizing<String> },
    Served(Arc<ServerCredentials>),
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity([redacted])")
    }
}

/// The same chain: whoever shows it has the key of its leaf.
impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Own::Pem { chain, .. }, Own::Pem { chain: others, .. }) => chain == others,
            (Own::Served(door), Own::Served(others)) => Arc::ptr_eq(door, others),
            (Own::Pem { .. }, Own::Served(_)) | (Own::Served(_), Own::Pem { .. }) => false,
        }
    }
}

impl Eq for ClientIdentity {}

impl ClientIdentity {
    /// From PEM: the chain leaf first, and the key in PKCS#8, SEC1 or PKCS#1. Checked when a
    /// [`ClientTls`] is made of it.
    #[must_use]
    pub fn from_pem(chain: impl Into<String>, key: impl Into<String>) -> Self {
        Self(Own::Pem { chain: chain.into(), key: Zeroizing::new(key.into()) })
    }

    /// What a door shows whoever asks it for no name, as it is at each handshake.
    #[must_use]
    pub fn of_door(credentials: Arc<ServerCredentials>) -> Self {
        Self(Own::Served(credentials))
    }
}

/// Which servers a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTrust {
    /// Those with a certificate under one of these roots, PEM.
    Roots(String),
    /// Those that show, and hold a certificate under, the root whose DER has this SHA-256.
    Pinned([u8; 32]),
    /// Those whose own key is one of these, whatever their certificate says, and those that show, and hold
    /// a certificate under, a CA whose key is.
    Keys(Vec<SpkiSha256>),
    /// Those with a certificate under one of the roots, PEM, and one of the keys as their own.
    KeysUnder {
        /// The keys.
        keys: Vec<SpkiSha256>,
        /// The roots.
        roots: String,
    },
}

/// A client's TLS could not be set up.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The roots cannot be read.
    #[error("read the roots that servers are trusted by")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The identity cannot be read, or key and certificate do not belong together.
    #[error("read the client's certificate and key")]
    Identity(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The TLS library refuses the configuration.
    #[error("set up TLS for a client")]
    Tls(#[source] rustls::Error),
}

/// Why a server could not be reached.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Only `https://host[:port]` is connected to.
    #[error("not an https URL with a host: {0}")]
    NotHttps(String),
    /// No connection.
    #[error("connect to {address}")]
    Tcp {
        /// Where to.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server's chain has no certificate with the pinned fingerprint.
    #[error("the server's root does not match the fingerprint: expected {expected}, got {got}")]
    PinMismatch {
        /// The pinned SHA-256, lower-case hex.
        expected: String,
        /// The SHA-256 of the last certificate the server showed, lower-case hex.
        got: String,
    },
    /// None of the keys in the server's chain is one of those that are pinned.
    #[error("the server's key is not the pinned one: got sha256/{}", STANDARD.encode(.got.as_bytes()))]
    KeyMismatch {
        /// The key of the server's own certificate.
        got: SpkiSha256,
    },
    /// The handshake failed; the server is not who it should be, or refused us.
    #[error("TLS handshake with {address}")]
    Tls {
        /// With whom.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A client's TLS: whom it trusts, and what it shows.
///
/// Sessions are remembered here and nowhere else, so that a client with a new identity, which is a new
/// `ClientTls`, never resumes a session of the old one.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    pinned_root: Arc<OnceLock<String>>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl ClientTls {
    /// A client that trusts servers by `trust` and shows `identity` to those that ask. ALPN offers
    /// `http/1.1`; see [`Self::with_http2`].
    ///
    /// # Errors
    /// Refuses unreadable PEM and a key that is not the certificate's.
    pub fn new(trust: &ServerTrust, identity: Option<&ClientIdentity>) -> Result<Self, ClientError> {
        let pinned_root = Arc::new(OnceLock::new());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(ClientError::Tls)?
            .dangerous();
        let builder = match trust {
            ServerTrust::Roots(roots) => builder.with_custom_certificate_verifier(under_roots(roots)?),
            ServerTrust::Pinned(pin) => builder.with_custom_certificate_verifier(Arc::new(Judged(
                PinnedRoot::new(*pin, Arc::clone(&pinned_root)),
            ))),
            ServerTrust::Keys(keys) => {
                builder.with_custom_certificate_verifier(Arc::new(Judged(PinnedKeys::new(keys.clone()))))
            }
            ServerTrust::KeysUnder { keys, roots } => {
                let verifier = KeyUnderRoots::new(keys.clone(), under_roots(roots)?);
                builder.with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(ClientIdentity(Own::Pem { chain, key })) => {
                let refused = |e| ClientError::Identity(Box::new(e));
                let chain = pem::certificates(chain).map_err(refused)?;
                let key = pem::private_key(key).map_err(refused)?;
                builder.with_client_auth_cert(chain, key).map_err(|e| ClientError::Identity(Box::new(e)))?
            }
            Some(ClientIdentity(Own::Served(credentials))) => {
                let mut config = builder.with_client_cert_resolver(Arc::new(OfDoor(Arc::clone(credentials))));
                // A session would go on under the certificate that was shown when it began.
                config.resumption = Resumption::disabled();
                config
            }
        };
        if matches!(trust, ServerTrust::Keys(_) | ServerTrust::KeysUnder { .. }) {
            // A session that is resumed shows no certificate: the key is looked at every time.
            config.resumption = Resumption::disabled();
        }
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), pinned_root })
    }

    /// The same, offering `h2` before `http/1.1`.
    #[must_use]
    pub fn with_http2(self) -> Self {
        self.with_protocols(&[b"h2", b"http/1.1"])
    }

    /// The same with other ALPN protocols, preferred first; none turns ALPN off.
    #[must_use]
    pub fn with_protocols(mut self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self.config = Arc::new(config);
        self
    }

    /// Whether it is a clone of the other.
    #[cfg(test)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pinned_root, &other.pinned_root)
    }

    /// The pinned root's certificate in PEM, once a handshake has found it; `None` before, or
    /// without a pin.
    #[must_use]
    pub fn pinned_root_pem(&self) -> Option<String> {
        self.pinned_root.get().cloned()
    }

    /// A connector for `hyper_util::client::legacy::Client`.
    #[must_use]
    pub fn connector(&self) -> HttpsConnector {
        HttpsConnector { tls: self.clone() }
    }

    /// Connects to `host:port` and does the handshake, within ten seconds: the server has proved to be
    /// `host` (a DNS name or an IP address) before any byte can be written.
    ///
    /// # Errors
    /// Fails closed: a server that does not prove it, or is not under the pinned root, gets no data.
    pub async fn connect(&self, host: &str, port: u16) -> Result<ClientStream<TcpStream>, ConnectError> {
        let unreachable = |source| ConnectError::Tcp { address: format!("{host}:{port}"), source };
        let connecting = async {
            let io = TcpStream::connect((host, port)).await.map_err(unreachable)?;
            io.set_nodelay(true).map_err(unreachable)?;
            self.handshake(host, io).await
        };
        let timed_out = |_elapsed| unreachable(io::ErrorKind::TimedOut.into());
        tokio::time::timeout(PATIENCE, connecting).await.map_err(timed_out)?
    }

    /// Does the handshake over `io`, expecting the server to be `host`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn handshake<IO>(&self, host: &str, io: IO) -> Result<ClientStream<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())
            .map_err(|_invalid| ConnectError::NotHttps(host.to_owned()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, io).await;
        stream.map(ClientStream).map_err(|source| failure(host, source))
    }
}

/// Shows what a door shows.
#[derive(Debug)]
struct OfDoor(Arc<ServerCredentials>);

impl ResolvesClientCert for OfDoor {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.default_key()).filter(|key| key.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Finds our pin's own complaint inside what the TLS library reports.
fn failure(host: &str, source: io::Error) -> ConnectError {
    let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) = tls {
        if let Some(PinMismatch { expected, got }) = other.0.downcast_ref::<PinMismatch>() {
            return ConnectError::PinMismatch { expected: expected.clone(), got: got.clone() };
        }
        if let Some(KeyMismatch { got }) = other.0.downcast_ref::<KeyMismatch>() {
            return ConnectError::KeyMismatch { got: *got };
        }
    }
    ConnectError::Tls { address: host.to_owned(), source }
}
