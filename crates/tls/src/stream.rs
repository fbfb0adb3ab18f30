//! Both ends of a TLS connection: plain text in and out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};

use crate::read_ahead::ReadAhead;

/// A TLS connection a door has accepted: plain text in and out.
///
/// Its state, of more than a kilobyte, has a place of its own, so that whoever holds the stream can be moved
/// about and does not hold that much more than once.
#[derive(Debug)]
pub struct ServerStream<IO>(pub(crate) Box<tokio_rustls::server::TlsStream<ReadAhead<IO>>>);

impl<IO> ServerStream<IO> {
    /// The transport below.
    #[must_use]
    pub fn transport(&self) -> &IO {
        self.0.get_ref().0.transport()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> ServerStream<IO> {
    /// Ready when there is plain text to be read, and how many bytes of it at least: none means that the
    /// peer has said goodbye. Needs no buffer of the caller's while there is nothing.
    ///
    /// # Errors
    /// When the connection is lost, or what came in is not proper TLS.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_fill_buf(cx).map_ok(<[u8]>::len)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for ServerStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServerStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }
}

/// The client's end of a TLS connection: plain text in and out.
#[derive(Debug)]
pub struct ClientStream<IO>(pub(crate) tokio_rustls::client::TlsStream<IO>);

impl<IO> ClientStream<IO> {
    /// The transport below.
    #[must_use]
    pub fn transport(&self) -> &IO {
        self.0.get_ref().0
    }

    /// Whether the handshake resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Whether HTTP/2 was agreed on by ALPN.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.0.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// The chain the server showed, leaf first, DER.
    #[must_use]
    pub fn server_chain_der(&self) -> Vec<Box<[u8]>> {
        let shown = self.0.get_ref().1.peer_certificates().unwrap_or_default();
        shown.iter().map(|certificate| certificate.as_ref().into()).collect()
    }
}

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
