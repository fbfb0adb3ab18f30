//! The client's side of TLS: how a program of ours reaches a server over HTTPS.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pem::PemError;

/// A client's own certificate chain and private key.
#[derive(Clone)]
pub struct ClientIdentity {
    chain_pem: String,
    key_pem: String,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity([redacted])")
    }
}

impl ClientIdentity {
    /// From PEM: the chain leaf first, and the key in PKCS#8, SEC1 or PKCS#1. Checked when a
    /// [`ClientTls`] is made of it.
    #[must_use]
    pub fn from_pem(chain: impl Into<String>, key: impl Into<String>) -> Self {
        Self { chain_pem: chain.into(), key_pem: key.into() }
    }
}

/// Which servers a client trusts.
#[derive(Clone, Debug)]
pub enum ServerTrust {
    /// Those with a certificate under one of these roots, PEM.
    Roots(String),
    /// Those that show, and hold a certificate under, the root whose DER has this SHA-256.
    Pinned([u8; 32]),
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
        let _ = (trust, identity.map(|i| (&i.chain_pem, &i.key_pem)));
        Err(ClientError::Roots(Box::new(PemError::NoCertificate)))
    }

    /// The same, offering `h2` before `http/1.1`.
    #[must_use]
    pub fn with_http2(self) -> Self {
        self
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

    /// Connects to `host:port` and does the handshake: the server has proved to be `host` (a DNS
    /// name or an IP address) before any byte can be written.
    ///
    /// # Errors
    /// Fails closed: a server that does not prove it, or is not the pinned one, gets no data.
    pub async fn connect(&self, host: &str, port: u16) -> Result<ClientStream<TcpStream>, ConnectError> {
        let address = format!("{host}:{port}");
        let io =
            TcpStream::connect((host, port)).await.map_err(|source| ConnectError::Tcp { address, source })?;
        self.handshake(host, io).await
    }

    /// Does the handshake over `io`, expecting the server to be `host`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn handshake<IO>(&self, host: &str, io: IO) -> Result<ClientStream<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let address = host.to_owned();
        let name = rustls::pki_types::ServerName::try_from(address.clone())
            .map_err(|_invalid| ConnectError::NotHttps(address.clone()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, io).await {
            Ok(stream) => Ok(ClientStream(stream)),
            Err(source) => Err(ConnectError::Tls { address, source }),
        }
    }
}

/// The client's end of a TLS connection: plain text in and out.
#[derive(Debug)]
pub struct ClientStream<IO>(tokio_rustls::client::TlsStream<IO>);

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects `hyper_util`'s client to `https` URLs and to nothing else.
#[derive(Clone, Debug)]
pub struct HttpsConnector {
    tls: ClientTls,
}

/// A connection on its way.
pub type Connecting = Pin<Box<dyn Future<Output = Result<HttpsStream, ConnectError>> + Send>>;

impl tower_service::Service<http::Uri> for HttpsConnector {
    type Response = HttpsStream;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Connecting {
        let tls = self.tls.clone();
        Box::pin(async move {
            let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
                return Err(ConnectError::NotHttps(uri.to_string()));
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = tls.connect(host, uri.port_u16().unwrap_or(443)).await?;
            Ok(HttpsStream(TokioIo::new(stream)))
        })
    }
}

/// An HTTPS connection as hyper wants it.
#[derive(Debug)]
pub struct HttpsStream(TokioIo<ClientStream<TcpStream>>);

impl HttpsStream {
    /// The server's address.
    #[must_use]
    pub fn server_address(&self) -> Option<SocketAddr> {
        self.0.inner().0.get_ref().0.peer_addr().ok()
    }
}

impl Connection for HttpsStream {
    fn connected(&self) -> Connected {
        let (tcp, tls) = self.0.inner().0.get_ref();
        let connected = tcp.connected();
        if tls.alpn_protocol() == Some(b"h2") { connected.negotiated_h2() } else { connected }
    }
}

impl hyper::rt::Read for HttpsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for HttpsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
