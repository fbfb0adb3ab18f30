//! HTTPS for `hyper_util`'s client.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::client::{ClientTls, ConnectError};
use crate::stream::ClientStream;

/// Connects `hyper_util`'s client to `https` URLs and to nothing else.
#[derive(Clone, Debug)]
pub struct HttpsConnector {
    pub(crate) tls: ClientTls,
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
        self.0.inner().transport().peer_addr().ok()
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
