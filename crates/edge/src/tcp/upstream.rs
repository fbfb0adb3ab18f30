//! What stands behind a TCP door, and the way there.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use countersign_tls::tunnel::{SourceError, TlsSource};
use countersign_tls::{ClientStream, ConnectError};
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::unix;

/// Finds out about an upstream that is gone without a word.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// What stands behind a TCP door.
#[derive(Clone, Debug)]
pub enum TcpUpstream {
    /// A server in clear.
    Tcp {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A server over TLS.
    Tls {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// The name that its certificate must be for.
        server_name: String,
        /// By what it is trusted, and what is shown to it.
        tls: Arc<TlsSource>,
    },
    /// A server on this machine, at a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for TcpUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Why there is no upstream.
#[derive(Debug, Error)]
pub(crate) enum ReachError {
    #[error("connect to the upstream")]
    Connect(#[source] io::Error),
    #[error("tell the upstream who is there")]
    Header(#[source] io::Error),
    #[error("TLS with the upstream")]
    Tls(#[source] ConnectError),
    #[error("prepare TLS with the upstream")]
    Source(#[source] SourceError),
    #[error("the upstream took too long")]
    Timeout,
}

impl ReachError {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Header(_) | Self::Tls(_) | Self::Source(_) => "UPSTREAM_UNREACHABLE",
            Self::Timeout => "UPSTREAM_TIMEOUT",
        }
    }
}

impl TcpUpstream {
    /// Connects, says `header` first, and does the handshake, if there is one.
    pub(crate) async fn reach(
        &self,
        header: &[u8],
        patience: Duration,
    ) -> Result<UpstreamStream, ReachError> {
        let reaching = async {
            match self {
                Self::Tcp { host, port } => Ok(UpstreamStream::Tcp(tcp(host, *port, header).await?)),
                Self::Tls { host, port, server_name, tls } => {
                    let tls = tls.current().map_err(ReachError::Source)?;
                    let io = tcp(host, *port, header).await?;
                    let stream = tls.handshake(server_name, io).await.map_err(ReachError::Tls)?;
                    Ok(UpstreamStream::Tls(Box::new(stream)))
                }
                Self::Unix(path) => {
                    let mut io = unix::connect(path).await.map_err(ReachError::Connect)?;
                    io.write_all(header).await.map_err(ReachError::Header)?;
                    Ok(UpstreamStream::Unix(io))
                }
            }
        };
        timeout(patience, reaching).await.unwrap_or(Err(ReachError::Timeout))
    }
}

async fn tcp(host: &str, port: u16, header: &[u8]) -> Result<TcpStream, ReachError> {
    let mut io = TcpStream::connect((host, port)).await.map_err(ReachError::Connect)?;
    io.set_nodelay(true).map_err(ReachError::Connect)?;
    SockRef::from(&io).set_tcp_keepalive(&KEEP_ALIVE).map_err(ReachError::Connect)?;
    io.write_all(header).await.map_err(ReachError::Header)?;
    Ok(io)
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) enum UpstreamStream {
    Tcp(TcpStream),
    Tls(Box<ClientStream<TcpStream>>),
    Unix(UnixStream),
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(&mut **io).poll_read(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(&mut **io).poll_write(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(&mut **io).poll_shutdown(cx),
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
