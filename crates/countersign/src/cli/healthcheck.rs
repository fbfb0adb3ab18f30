//! `countersign healthcheck`: asks a running server, over its admin listener, whether it is ready.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::arguments::HealthcheckArguments;
use super::failure::Failure;
use super::output::print;
use super::run::{block_on, loaded};
use crate::banner::reachable;
use crate::config::Resolved;
use crate::ports::Ports;

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 64 * 1024;

/// Succeeds when the server says that it is ready.
pub(super) fn run(arguments: HealthcheckArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let address = admin_address(&config)?;
    block_on(async {
        let answer = timeout(PATIENCE, ask(address)).await;
        let (status, body) = answer
            .with_context(|| format!("ask {address}: no answer in {} s", PATIENCE.as_secs()))
            .and_then(|answered| answered.with_context(|| format!("ask {address}")))
            .map_err(|error| {
                Failure::from(error).hint("is `countersign serve` running with this configuration?")
            })?;
        if arguments.json {
            print(&format!("{}\n", body.trim_end()))?;
        }
        if status != StatusCode::OK {
            return Err(Failure::bad_answer(format!("{address} is not ready: {status}")));
        }
        if !arguments.json {
            print("ready\n")?;
        }
        Ok(())
    })
}

/// The address from the ports file when there is one, else the configured one.
fn admin_address(config: &Resolved) -> Result<SocketAddr, Failure> {
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

async fn ask(address: SocketAddr) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("start HTTP")?;
    let driver = tokio::spawn(connection);
    let request = Request::get("/health/ready")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .context("build the request")?;
    let response = sender.send_request(request).await.context("send the request")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).context("read the answer")?.to_bytes();
    driver.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
