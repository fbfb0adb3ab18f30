//! What stands behind every door that is measured: the smallest HTTP server that will do, on the load
//! generator's processor.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::machine::Cores;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nhello, device\n";
const GOODBYE: &[u8] =
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nhello, device\n";

/// Starts it on a thread of its own, which ends with the process.
pub(crate) fn start(cores: Cores) -> anyhow::Result<SocketAddr> {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for the upstream")?;
    socket.set_nonblocking(true).context("listen for the upstream")?;
    let address = socket.local_addr().context("listen for the upstream")?;
    let runtime = Builder::new_current_thread().enable_all().build().context("start the upstream")?;
    let serving = move || {
        cores.pin_generator();
        runtime.block_on(serve(socket));
    };
    std::thread::Builder::new().name("upstream".to_owned()).spawn(serving).context("start the upstream")?;
    Ok(address)
}

async fn serve(socket: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(socket) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

/// Answers requests without bodies until the connection ends.
async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap_or_default();
    let mut buffer = Vec::with_capacity(16 * 1024);
    while matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
        if !buffer.ends_with(b"\r\n\r\n") {
            continue;
        }
        let line = buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let is_last = line.ends_with(b"HTTP/1.0");
        buffer.clear();
        let answer = if is_last { GOODBYE } else { ANSWER };
        if stream.write_all(answer).await.is_err() || is_last {
            return;
        }
    }
}
