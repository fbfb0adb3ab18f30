//! One JSON body, POSTed over a connection of its own.

use anyhow::Context as _;
use countersign_tls::{ClientTls, ServerTrust};
use http::uri::Scheme;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::AlertPlace;
use crate::system_roots::roots;

/// POSTs to a place, or below it.
pub(super) async fn post(place: &AlertPlace, below: &str, body: &serde_json::Value) -> anyhow::Result<()> {
    let url = place.url()?;
    let uri = url.uri();
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let request = request(uri, below, body)?;
    if is_tls {
        let trust = ServerTrust::Roots(roots(place.ca_file.as_deref(), "alert_to.ca_file")?);
        let tls = ClientTls::new(&trust, None).context("set up TLS")?;
        let stream = tls.connect(host, port).await.context("connect")?;
        exchange(stream, request).await
    } else {
        exchange(TcpStream::connect((host, port)).await.context("connect")?, request).await
    }
}

fn request(uri: &Uri, below: &str, body: &serde_json::Value) -> anyhow::Result<Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path =
        if below.is_empty() { path.to_owned() } else { format!("{}{below}", path.trim_end_matches('/')) };
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .body(Full::from(body.to_string()))
        .context("build the request")
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("start HTTP")?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("send")?;
    let status = response.status();
    // What it says is not looked at: it is not ours to log.
    response.into_body().collect().await.context("read the answer")?;
    driver.abort();
    anyhow::ensure!(status.is_success(), "the answer is {status}");
    Ok(())
}
