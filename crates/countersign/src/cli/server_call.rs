//! Calls to a running server, over its admin listener.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::Failure;
use crate::banner::reachable;
use crate::config::Resolved;
use crate::ports::Ports;

const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is taken.
const LARGEST_ANSWER: usize = 32 << 20;

/// What to ask.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// The bearer token, if the route needs one.
    pub(super) token: Option<&'a str>,
}

/// Asks the server of this configuration: status and body.
pub(super) async fn ask(address: SocketAddr, call: Call<'_>) -> Result<(StatusCode, String), Failure> {
    ask_with(address, call, "").await
}

/// The same with a body, JSON or nothing.
pub(super) async fn ask_with(
    address: SocketAddr,
    call: Call<'_>,
    json: &str,
) -> Result<(StatusCode, String), Failure> {
    let (status, body) = sent(address, call, json).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// What is at a path for everybody.
pub(super) async fn fetch(address: SocketAddr, path: &str) -> Result<Vec<u8>, Failure> {
    let (status, body) = sent(address, Call { method: Method::GET, path, token: None }, "").await?;
    if status != StatusCode::OK {
        return Err(anyhow::anyhow!("{address} answers {status} to {path}").into());
    }
    Ok(body.to_vec())
}

async fn sent(address: SocketAddr, call: Call<'_>, json: &str) -> Result<(StatusCode, Bytes), Failure> {
    let answer = timeout(PATIENCE, send(address, call, json)).await;
    answer
        .with_context(|| format!("ask {address}: no answer in {} s", PATIENCE.as_secs()))
        .and_then(|answered| answered.with_context(|| format!("ask {address}")))
        .map_err(|error| Failure::from(error).hint("is `countersign serve` running with this configuration?"))
}

/// The address from the ports file when there is one, else the configured one.
pub(super) fn admin_address(config: &Resolved) -> Result<SocketAddr, Failure> {
    let mut address = reachable(config.admin.listen);
    if let Some(path) = config.ports_file.as_deref() {
        address.set_port(admin_port(path)?);
    }
    Ok(address)
}

fn admin_port(path: &Path) -> Result<u16, Failure> {
    let ports = Ports::read(path);
    let ports =
        ports.map_err(|error| Failure::from(error).hint("`serve` writes it once everything is ready"))?;
    Ok(ports.admin)
}

async fn send(address: SocketAddr, call: Call<'_>, json: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("start HTTP")?;
    let driver = tokio::spawn(connection);
    let mut request =
        Request::builder().method(call.method).uri(call.path).header(header::HOST, address.to_string());
    if let Some(token) = call.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !json.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::<Bytes>::from(json.to_owned())).context("build the request")?;
    let response = sender.send_request(request).await.context("send the request")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).context("read the answer")?.to_bytes();
    driver.abort();
    Ok((status, body))
}
