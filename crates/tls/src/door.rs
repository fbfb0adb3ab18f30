//! The door's side of TLS.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::guest::GuestOf;
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::Clock;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{Acceptor, NoServerSessionStorage, ServerConnection};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use crate::client_verifier::{ClientVerifier, Court, REFUSED, Strictness};
use crate::credential::ServerCredentials;
use crate::handshake::HandshakeError;
use crate::peer::{Peer, Session, TlsProtocol};
use crate::policy::{ClientAuth, HostPolicies};
use crate::provider::{VERSIONS, provider};
use crate::read_ahead::ReadAhead;
use crate::stream::ServerStream;
use crate::verdict::Judge;

/// A door's TLS could not be set up.
#[derive(Debug, Error)]
#[error("set up TLS for a door")]
pub struct DoorTlsError(#[source] pub(crate) rustls::Error);

/// The TLS of one listener, with one client-authentication policy for each name that clients ask for.
///
/// TLS 1.3 and 1.2, X25519MLKEM768, X25519 and P-256, AES-128-GCM first by the server's choice, one
/// session ticket per handshake. Sessions live in tickets under a key of this `DoorTls` and of one policy
/// alone, replaced every six hours: a key shared between policies would let an unauthenticated session resume
/// where a certificate is required (CVE-2025-23419), and a store of sessions would have to grow with the fleet
/// and with whatever chains strangers show.
///
/// A listener on many threads clones one `DoorTls`, so that they share tickets and verdicts; two
/// listeners are two `DoorTls`.
#[derive(Clone, Debug)]
pub struct DoorTls {
    configs: Configs,
    credentials: Arc<ServerCredentials>,
    court: Court,
    policies: Arc<ArcSwap<HostPolicies>>,
}

/// One configuration for each policy, with ticket keys of its own.
#[derive(Clone, Debug)]
struct Configs {
    none: Arc<ServerConfig>,
    optional: Arc<ServerConfig>,
    required: Arc<ServerConfig>,
}

impl Configs {
    const fn of(&self, client_auth: ClientAuth) -> &Arc<ServerConfig> {
        match client_auth {
            ClientAuth::None => &self.none,
            ClientAuth::Optional => &self.optional,
            ClientAuth::Required => &self.required,
        }
    }

    fn with_protocols(self, protocols: &[&[u8]]) -> Self {
        let with = |config: Arc<ServerConfig>| {
            let mut config = ServerConfig::clone(&config);
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { none: with(self.none), optional: with(self.optional), required: with(self.required) }
    }
}

impl DoorTls {
    /// TLS for one listener, the same for every name until [`Self::go_by`] says otherwise. ALPN offers `h2`
    /// and `http/1.1`; see [`Self::with_protocols`].
    ///
    /// # Errors
    /// When the TLS library refuses the configuration.
    pub fn new(
        credentials: Arc<ServerCredentials>,
        snapshots: watch::Receiver<Arc<TrustSnapshot>>,
        client_auth: ClientAuth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DoorTlsError> {
        let court = Court { judge: Arc::new(Judge::new()), snapshots, clock, guests: Arc::default() };
        let config = |client_auth| config(&credentials, &court, client_auth).map_err(DoorTlsError);
        let configs = Configs {
            none: config(ClientAuth::None)?,
            optional: config(ClientAuth::Optional)?,
            required: config(ClientAuth::Required)?,
        };
        let policies = Arc::new(ArcSwap::from_pointee(HostPolicies::new(client_auth)));
        let door = Self { configs, credentials, court, policies };
        Ok(door.with_protocols(&[b"h2", b"http/1.1"]))
    }

    /// The same with other ALPN protocols, preferred first; none turns ALPN off.
    #[must_use]
    pub fn with_protocols(mut self, protocols: &[&[u8]]) -> Self {
        self.configs = self.configs.with_protocols(protocols);
        self
    }

    /// Asks this of clients from the next handshake on. What was asked in earlier ones stays with their
    /// connections, see [`Peer::client_auth`].
    pub fn go_by(&self, policies: HostPolicies) {
        self.policies.store(Arc::new(policies));
    }

    /// Under [`ClientAuth::Required`], lets guests of these through the handshake from now on: those whom
    /// any place behind the door admits. Which place admits whom is for the door to judge, with every
    /// request. Until then no guest gets through.
    pub fn admit_guests(&self, of: Vec<GuestOf>) {
        self.court.guests.store(Arc::new(of));
    }

    /// Does the server's side of the handshake and judges what the peer showed, also when it resumed
    /// a session: the TLS library does not ask our verifier then. The caller bounds the time it takes.
    ///
    /// # Errors
    /// Fails closed: under [`ClientAuth::Required`] whatever is not in good standing is refused, and a
    /// resumed session as strictly as a new one.
    pub async fn accept<IO>(&self, io: IO) -> Result<(ServerStream<IO>, Peer), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let result = self.shake_hands(ReadAhead::new(io)).await;
            result.map_err(|error| HandshakeError::sort(error, REFUSED.get().take()))
        };
        let shaken = REFUSED.scope(Cell::new(None), handshake).await?;
        let (stream, client_auth) = shaken.ok_or(HandshakeError::NameAsked)?;
        let peer = self.judge(stream.get_ref().1, client_auth)?;
        Ok((ServerStream(Box::new(stream)), peer))
    }

    /// Where names make a difference, the client's first message is read before anything is chosen. `None`: it
    /// was a CA that asked whose a name is, and is answered.
    async fn shake_hands<IO>(&self, io: IO) -> io::Result<Option<(TlsStream<IO>, ClientAuth)>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let policies = self.policies.load_full();
        let challenges = self.credentials.challenges();
        if let Some(client_auth) = policies.of_all()
            && challenges.is_empty()
        {
            let acceptor = TlsAcceptor::from(Arc::clone(self.configs.of(client_auth)));
            return Ok(Some((acceptor.accept(io).await?, client_auth)));
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        if let Some(answer) = challenges.find(&start.client_hello()) {
            start.into_stream(answer).await?.shutdown().await?;
            return Ok(None);
        }
        let client_auth = policies.of(start.client_hello().server_name());
        let config = Arc::clone(self.configs.of(client_auth));
        Ok(Some((start.into_stream(config).await?, client_auth)))
    }

    fn judge(&self, connection: &ServerConnection, client_auth: ClientAuth) -> Result<Peer, HandshakeError> {
        let shown = connection.peer_certificates().unwrap_or_default();
        let chain: Vec<Arc<[u8]>> = shown.iter().map(|certificate| certificate.as_ref().into()).collect();
        let (verdict, snapshot, now) = self.court.verdict(&chain);
        if client_auth == ClientAuth::Required
            && let Some(refusal) = self.court.refusal(&chain, &verdict, &snapshot, now)
        {
            return Err(HandshakeError::Refused(refusal));
        }
        let session = session(connection, client_auth, &self.credentials);
        Ok(Peer::new(chain, (verdict, Arc::clone(&self.court.judge)), session))
    }
}

fn config(
    credentials: &Arc<ServerCredentials>,
    court: &Court,
    client_auth: ClientAuth,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = |strictness| Arc::new(ClientVerifier { court: court.clone(), strictness });
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional => builder.with_client_cert_verifier(verifier(Strictness::After)),
        ClientAuth::Required => builder.with_client_cert_verifier(verifier(Strictness::Inside)),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(credentials) as _);
    config.ignore_client_order = true;
    config.send_tls13_tickets = 1;
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn session(
    connection: &ServerConnection,
    client_auth: ClientAuth,
    credentials: &ServerCredentials,
) -> Session {
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsProtocol::Tls12,
        _ => TlsProtocol::Tls13,
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let group = connection.negotiated_key_exchange_group().map(|group| group.name());
    Session {
        is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        protocol,
        cipher: suite.and_then(|suite| suite.as_str()).map_or("unknown", iana_name),
        key_exchange: group.and_then(|group| group.as_str()),
        server_name: connection.server_name().map(Into::into),
        shown: Some(credentials.choose(connection.server_name())),
        alpn: connection.alpn_protocol().map(Into::into),
        client_auth,
    }
}

/// The TLS library writes `TLS13_AES_128_GCM_SHA256` for IANA's `TLS_AES_128_GCM_SHA256`.
fn iana_name(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}
