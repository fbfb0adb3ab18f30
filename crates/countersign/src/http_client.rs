//! HTTP/1.1 to what the configuration names, over TLS or in clear as its URL says.

use anyhow::Context as _;
use countersign_tls::ClientTls;
use http::request;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::HttpUrl;

/// A connection that requests are sent over; it ends with this.
pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;

/// Opens a connection to where a URL leads; `tls` is for those that begin with `https`.
///
/// # Errors
/// Fails closed: without TLS to where it is asked for, and when whoever is there is not who it should be.
pub(crate) async fn open(url: &HttpUrl, tls: Option<&ClientTls>) -> anyhow::Result<Sender> {
    let (host, port) = (url.host(), url.port());
    let place = || format!("connect to {host}:{port}");
    if url.is_tls() {
        let tls = tls.context("TLS is not set up")?;
        start(tls.connect(host, port).await.with_context(place)?).await
    } else {
        start(TcpStream::connect((host, port)).await.with_context(place)?).await
    }
}

/// A request for a path there, with the headers that all have.
pub(crate) fn request(url: &HttpUrl, method: Method, path: &str) -> request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, url.uri().authority().map_or("", |authority| authority.as_str()))
        .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
}

async fn start<S>(stream: S) -> anyhow::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("start HTTP")?;
    tokio::spawn(connection);
    Ok(sender)
}
