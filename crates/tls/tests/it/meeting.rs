//! The fixture: a door, clients of the TLS library itself, and one handshake between them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::{Holder, Shown};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::{Clock as _, Timestamp};
use countersign_testkit::{ManualClock, TestCa, TestCertificate};
use countersign_tls::{
    ClientAuth, ClientTls, ConnectError, DoorTls, HandshakeError, Peer, ServerCredential, ServerCredentials,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

pub(crate) const DOMAIN: &str = "countersign.internal";
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];
/// What the door's certificate is good for.
const NAMES: [&str; 4] = ["door.test", "open.test", "strict.test", "also-strict.test"];
/// Within the life of everything the test CA makes.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) struct Door {
    pub(crate) tls: DoorTls,
    pub(crate) credentials: Arc<ServerCredentials>,
    pub(crate) snapshots: watch::Sender<Arc<TrustSnapshot>>,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn credential(certificate: &TestCertificate) -> ServerCredential {
    ServerCredential::from_pem(&certificate.chain_pem(), &certificate.key_pem()).unwrap()
}

impl Door {
    pub(crate) fn new(ca: &TestCa, client_auth: ClientAuth) -> Self {
        let credentials = Arc::new(ServerCredentials::new(credential(&ca.server(&NAMES))));
        let (snapshots, watching) = watch::channel(Arc::new(ca.snapshot(&["acme"], Enforcement::Enforce)));
        let clock = Arc::new(ManualClock::at(NOW));
        let tls = DoorTls::new(Arc::clone(&credentials), watching, client_auth, Arc::clone(&clock) as _);
        Self { tls: tls.unwrap(), credentials, snapshots, clock }
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut TrustSnapshot) -> R) {
        self.snapshots.send_modify(|snapshot| {
            change(Arc::make_mut(snapshot));
        });
    }

    pub(crate) fn shown(&self, peer: &Peer) -> Shown {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        peer.shown(&snapshot, Holder::Own, self.clock.now())
    }

    /// One handshake and an exchange of a few bytes; a peer that was refused reads why.
    pub(crate) async fn meet(&self, client: &Client) -> Meeting {
        self.meet_as("door.test", client).await
    }

    /// The same with a client that asks for another name.
    pub(crate) async fn meet_as(&self, name: &'static str, client: &Client) -> Meeting {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = async {
            let (mut stream, peer) = self.tls.accept(far).await?;
            stream.write_all(b"welcome").await.unwrap();
            stream.shutdown().await.unwrap();
            Ok(peer)
        };
        let visitor = async {
            let name = ServerName::try_from(name).unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client.0));
            let mut stream = connector.connect(name, near).await?;
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await?;
            Ok(heard)
        };
        let both = async { tokio::join!(server, visitor) };
        let (peer, heard) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("in time");
        Meeting { peer, heard }
    }
}

pub(crate) struct Meeting {
    pub(crate) peer: Result<Peer, HandshakeError>,
    pub(crate) heard: io::Result<Vec<u8>>,
}

impl Meeting {
    /// The peer of a handshake that must have succeeded on both sides.
    pub(crate) fn peer(self) -> Peer {
        assert_eq!(self.heard.expect("the client was served"), b"welcome");
        self.peer.expect("the door accepted")
    }

    /// The door's error code and the alert the client was told.
    pub(crate) fn refusal(self) -> (&'static str, rustls::AlertDescription) {
        let code = self.peer.expect_err("the door refused").code();
        let error = self.heard.expect_err("the client got nothing");
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => (code, *alert),
            other => panic!("no alert but {other:?}: {error}"),
        }
    }
}

/// Any chain with any key, whether they are fit for anything or not.
fn certified(chain: Vec<Vec<u8>>, key: &[u8]) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    Arc::new(CertifiedKey::new(chain, any_supported_type(&key).unwrap()))
}

/// What our client says to a server that shows `certificate` without looking at it.
pub(crate) async fn careless_server(
    certificate: &TestCertificate,
    client: &ClientTls,
    host: &str,
) -> Result<(), ConnectError> {
    let shows = SingleCertAndKey::from(certified(certificate.chain.clone(), certificate.key.pkcs8_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shows));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (_accepted, connected) = tokio::join!(acceptor.accept(far), client.handshake(host, near));
    connected.map(drop)
}

/// A client of one TLS version, with its own memory of sessions.
pub(crate) struct Client(Arc<ClientConfig>);

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Client {
    /// A client that shows nothing.
    pub(crate) fn anonymous(ca: &TestCa, version: &'static SupportedProtocolVersion) -> Self {
        Self::trusting(ca.root_der(), version)
    }

    /// A client that shows nothing, and trusts whoever this CA's certificate (DER) vouches for.
    pub(crate) fn trusting(root: &[u8], version: &'static SupportedProtocolVersion) -> Self {
        Self(Arc::new(Self::builder(root, version).with_no_client_auth()))
    }

    /// A client that shows `certificate`, with its key.
    pub(crate) fn showing(
        ca: &TestCa,
        version: &'static SupportedProtocolVersion,
        certificate: &TestCertificate,
    ) -> Self {
        Self::showing_chain(ca, version, certificate.chain.clone(), certificate.key.pkcs8_der())
    }

    /// A client that shows any chain and signs with any key.
    pub(crate) fn showing_chain(
        ca: &TestCa,
        version: &'static SupportedProtocolVersion,
        chain: Vec<Vec<u8>>,
        key: &[u8],
    ) -> Self {
        let shows = Shows(certified(chain, key));
        Self(Arc::new(Self::builder(ca.root_der(), version).with_client_cert_resolver(Arc::new(shows))))
    }

    /// The same, offering these protocols by ALPN.
    pub(crate) fn offering(mut self, protocols: &[&[u8]]) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    fn builder(
        root: &[u8],
        version: &'static SupportedProtocolVersion,
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.to_vec())).unwrap();
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
    }
}
