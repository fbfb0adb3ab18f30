//! A client of doors that does exactly what it is told: which certificate it shows, which TLS and
//! HTTP it speaks, whether it resumes a session, and what time it takes it to be. It keeps its
//! connections open, and notices when they are cut.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_core::time::{Clock, SystemClock};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;

/// How long a handshake or an answer may take before a test is told that it does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What HTTP to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What TLS to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// There is no connection, or no answer on it.
#[derive(Debug, Error)]
pub enum ClientFailure {
    /// No connection, or no handshake.
    #[error("connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection was cut, or what came over it was not HTTP.
    #[error("ask: {0}")]
    Http(#[source] hyper::Error),
    /// Nothing came in time.
    #[error("nothing came within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `code` of an error body; empty when there is none.
    #[must_use]
    pub fn code(&self) -> String {
        let json = self.json();
        json.get("code").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    /// A header's value; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a client does; one of them keeps one store of sessions to resume.
#[derive(Clone, Debug)]
pub struct DoorClient {
    roots_pem: String,
    identity_pem: Option<String>,
    http: HttpVersion,
    tls: TlsVersion,
    resumption: bool,
    clock: Arc<dyn Clock>,
    server_name: String,
    source: Option<IpAddr>,
    /// Made by the first connection.
    made: Arc<std::sync::OnceLock<Arc<ClientConfig>>>,
}

impl DoorClient {
    /// A client that trusts servers under one of these roots (PEM), shows nothing, speaks HTTP/1.1
    /// over TLS 1.3 and never resumes.
    #[must_use]
    pub fn new(roots_pem: &str) -> Self {
        Self {
            roots_pem: roots_pem.to_owned(),
            identity_pem: None,
            http: HttpVersion::Http1,
            tls: TlsVersion::Tls13,
            resumption: false,
            clock: Arc::new(SystemClock),
            server_name: "127.0.0.1".to_owned(),
            source: None,
            made: Arc::default(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.made = Arc::default();
        self
    }

    /// Shows a certificate: PEM with the leaf, its chain and its private key.
    #[must_use]
    pub fn showing(self, identity_pem: &str) -> Self {
        self.with(|client| client.identity_pem = Some(identity_pem.to_owned()))
    }

    /// Speaks this HTTP.
    #[must_use]
    pub fn http(self, version: HttpVersion) -> Self {
        self.with(|client| client.http = version)
    }

    /// Speaks this TLS.
    #[must_use]
    pub fn tls(self, version: TlsVersion) -> Self {
        self.with(|client| client.tls = version)
    }

    /// Resumes the sessions of its own earlier connections: a clone made after this shares them.
    #[must_use]
    pub fn resuming(self) -> Self {
        self.with(|client| client.resumption = true)
    }

    /// Judges the server's certificate by this clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|client| client.clock = clock)
    }

    /// Asks for this server name (SNI, when it is no address) and expects a certificate for it.
    #[must_use]
    pub fn server_name(self, name: &str) -> Self {
        self.with(|client| client.server_name = name.to_owned())
    }

    /// Connects from this address; on Linux the whole of 127.0.0.0/8 is this machine.
    #[must_use]
    pub fn from_address(self, address: IpAddr) -> Self {
        self.with(|client| client.source = Some(address))
    }

    /// Connects and does the handshake. A TLS 1.3 client learns only from the first answer whether
    /// the server took its certificate.
    ///
    /// # Errors
    /// When there is no connection, or the server did not prove who it is, or refused the client.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, ClientFailure> {
        let stream = self.stream(address).await?;
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Connection::over(stream, self.http, is_resumed, &format!("https://{address}")).await
    }

    /// The bare TLS stream, for what no HTTP library would write.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn stream(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, ClientFailure> {
        let config = Arc::clone(self.made.get_or_init(|| Arc::new(self.config())));
        let name = ServerName::try_from(self.server_name.clone()).expect("a server name");
        let connecting = async {
            let tcp = connect_from(self.source, address).await?;
            tcp.set_nodelay(true)?;
            tokio_rustls::TlsConnector::from(config).connect(name, tcp).await
        };
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        connected.map_err(|_elapsed| ClientFailure::TimedOut)?.map_err(ClientFailure::Connect)
    }

    fn config(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = match self.tls {
            TlsVersion::Tls12 => [&rustls::version::TLS12],
            TlsVersion::Tls13 => [&rustls::version::TLS13],
        };
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots_pem.as_bytes()) {
            roots.add(root.expect("a root in PEM")).expect("a root");
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let time: Arc<dyn TimeProvider> = Arc::new(Time(Arc::clone(&self.clock)));
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&versions)
            .expect("a TLS version")
            .with_webpki_verifier(verifier.build().expect("a verifier"));
        let mut config = match &self.identity_pem {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key in PEM");
                builder.with_client_auth_cert(chain.expect("a chain in PEM"), key).expect("an identity")
            }
        };
        config.resumption = if self.resumption { Resumption::default() } else { Resumption::disabled() };
        config.alpn_protocols = match self.http {
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
        };
        config
    }
}

async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind((source, 0).into())?;
    socket.connect(address).await
}

#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An open connection.
pub struct Connection {
    sender: Sender,
    closed: watch::Receiver<bool>,
    is_resumed: bool,
    origin: String,
}

impl Connection {
    /// HTTP/1.1 without TLS.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn plain(address: SocketAddr) -> Result<Self, ClientFailure> {
        let stream = TcpStream::connect(address).await.map_err(ClientFailure::Connect)?;
        Self::over(stream, HttpVersion::Http1, false, &format!("http://{address}")).await
    }

    async fn over<IO>(
        io: IO,
        version: HttpVersion,
        is_resumed: bool,
        origin: &str,
    ) -> Result<Self, ClientFailure>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (closing, closed) = watch::channel(false);
        let io = TokioIo::new(io);
        let sender = match version {
            HttpVersion::Http1 => {
                let (sender, driver) = http1::handshake(io).await.map_err(ClientFailure::Http)?;
                tokio::spawn(async move {
                    let _ended = driver.with_upgrades().await;
                    closing.send_replace(true);
                });
                Sender::Http1(sender)
            }
            HttpVersion::Http2 => {
                let made = http2::handshake(TokioExecutor::new(), io).await;
                let (sender, driver) = made.map_err(ClientFailure::Http)?;
                tokio::spawn(async move {
                    let _ended = driver.await;
                    closing.send_replace(true);
                });
                Sender::Http2(sender)
            }
        };
        Ok(Self { sender, closed, is_resumed, origin: origin.to_owned() })
    }

    /// Asks. The path is sent as it is written here; a `Host` header is added unless there is one.
    ///
    /// # Errors
    /// When the connection is cut, or no answer comes.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, ClientFailure> {
        let asking = async {
            let response = self.begin(method, path, headers, body).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(ClientFailure::Http)?.to_bytes();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, asking).await.map_err(|_elapsed| ClientFailure::TimedOut)?
    }

    /// Asks, and gives the answer as soon as its header is there: the body is the caller's to read.
    ///
    /// # Errors
    /// When the connection is cut.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, ClientFailure> {
        let method: Method = method.parse().expect("a method");
        let authority = self.origin.rsplit('/').next().unwrap_or_default().to_owned();
        let mut request = Request::builder().method(method);
        let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        request = match &self.sender {
            Sender::Http1(_) if !has_host => request.uri(path).header("host", authority),
            Sender::Http1(_) => request.uri(path),
            Sender::Http2(_) => request.uri(format!("{}{path}", self.origin)),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(ClientFailure::Http)?;
                sender.send_request(request).await.map_err(ClientFailure::Http)
            }
            Sender::Http2(sender) => {
                sender.ready().await.map_err(ClientFailure::Http)?;
                sender.send_request(request).await.map_err(ClientFailure::Http)
            }
        }
    }

    /// Asks with a bearer token and a JSON body.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn json(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, ClientFailure> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = Vec::new();
        if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer.as_str()));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.request(method, path, &headers, body).await
    }

    /// Whether the handshake resumed a session.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether the other side has ended the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the other side has ended the connection.
    pub async fn closed(&mut self) {
        // An error means that the driver is gone, and the connection with it.
        drop(self.closed.wait_for(|closed| *closed).await);
    }
}
